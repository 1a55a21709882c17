"""Reservations: made, shown, extended, confirmed, released, shipped and given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import asdict, replace
from sqlalchemy import Connection
from starlette.responses import Response

from onhand.api import params, told
from onhand.api.asked import (
    Confirm,
    ConfirmBody,
    Extend,
    ExtendBody,
    HoldChange,
    PartsBody,
    Release,
    Reserve,
    ReserveBody,
    Return,
    Ship,
)
from onhand.api.calls import Call
from onhand.api.changes import mine
from onhand.api.levels import labels_of
from onhand.api.meaning import Names, command, wanted
from onhand.api.problems import Problem
from onhand.api.replies import Reply, refusal, response
from onhand.api.schema import Body, Key, cursor, position
from onhand.api.told import Labels
from onhand.stock import holds, model
from onhand.stock.ledger import Refused
from onhand.stock.model import Reservation
from onhand.store import books, lookup
from onhand.work import Group, Recorded

T = TypeVar("T", bound=Body)

NO_PARTS = PartsBody()


class Look(NamedTuple):
    """What one write needs to know beforehand."""

    names: Names
    labels: Labels


# --- reading --------------------------------------------------------------------------------------------


async def listed(call: Call) -> Response:
    """GET /reservations: by reference. A bound key's own are looked for, and what others call theirs is not
    in its cursors."""
    found = call.params("cursor", "limit")
    seller = call.caller.seller
    limit = params.limit(found)
    text = params.one(found, "cursor")
    after: str = "" if text is None else position(text, "reservations", (), tuple[Key])[0]

    def query(connection: Connection) -> dict[str, Any]:
        references = lookup.references(connection, call.account, after, limit + 1, seller)
        more = cursor("reservations", (), references[limit - 1]) if len(references) > limit else None
        rows = _current(connection, call, references[:limit])
        return told.page(_bodies(connection, call, rows), more, levels_seq(connection, call))

    return response(Reply(200, await call.read(query, long=seller is not None)))


async def shown(call: Call) -> Response:
    """GET /reservations/{reference}."""
    call.params()

    def query(connection: Connection) -> dict[str, Any]:
        rows = _current(connection, call, [_reference(call)])
        if not rows:
            raise _unknown()
        seq = {"as_of_seq": levels_seq(connection, call)}
        return _bodies(connection, call, rows)[0] | seq

    return response(Reply(200, await call.read(query)))


def _reference(call: Call) -> str:
    found = call.path("reference")
    if len(found) > model.TEXT_LIMIT:
        raise _unknown()
    return found


def _unknown() -> Problem:
    return Problem("unknown_reservation", "There is no such reservation")


def _current(connection: Connection, call: Call, references: Sequence[str]) -> list[Reservation]:
    """The reservations of these names that the caller may see, with what has run out expired."""
    names = [(call.account, one) for one in references]
    allowed = call.allowed(connection)
    found = books.reservations(connection, names, lock=False)
    rows = [found[name] for name in names if name in found]
    return [
        _aged(hold, call.now)
        for hold in rows
        if allowed is None or all(line.location in allowed for line in hold.lines)
    ]


def _aged(hold: Reservation, now: int) -> Reservation:
    if hold.confirmed or hold.expires_at is None or hold.expires_at > now:
        return hold
    for place in {line.place for line in hold.lines}:
        hold, _ = holds.fold(hold, place)
    return hold


def levels_seq(connection: Connection, call: Call) -> int:
    """The last movement that this read has seen."""
    return books.last(connection, call.account)[0]


def _bodies(connection: Connection, call: Call, rows: Sequence[Reservation]) -> list[dict[str, Any]]:
    labels = labels_of(connection, call.account, [line.place for hold in rows for line in hold.lines])
    return [told.reservation(hold, labels) for hold in rows]


# --- writing --------------------------------------------------------------------------------------------


async def created(call: Call) -> Response:
    """POST /reservations: promise units; the same reference again replaces the caller's own hold."""
    call.params()
    asked = call.body(ReserveBody)
    change = Reserve(**asdict(asked))
    return await _record(call, change, await _look_new(call, change))


async def extended(call: Call) -> Response:
    """POST /reservations/{reference}/extend."""
    asked = _body(call, ExtendBody)
    return await _changed(call, Extend(reference=_reference(call), **asdict(asked)))


async def confirmed(call: Call) -> Response:
    """POST /reservations/{reference}/confirm."""
    asked = _body(call, ConfirmBody, ConfirmBody())
    return await _changed(call, Confirm(reference=_reference(call), **asdict(asked)))


async def released(call: Call) -> Response:
    """POST /reservations/{reference}/release: all that is held, or parts of it."""
    asked = _body(call, PartsBody, NO_PARTS)
    return await _changed(call, Release(reference=_reference(call), lines=asked.lines, reason=asked.reason))


async def shipped(call: Call) -> Response:
    """POST /reservations/{reference}/ship: all that is held, or parts of it."""
    asked = _body(call, PartsBody, NO_PARTS)
    return await _changed(call, Ship(reference=_reference(call), lines=asked.lines, reason=asked.reason))


async def returned(call: Call) -> Response:
    """POST /reservations/{reference}/return: all that was shipped, or parts of it."""
    asked = _body(call, PartsBody, NO_PARTS)
    return await _changed(call, Return(reference=_reference(call), lines=asked.lines, reason=asked.reason))


def _body(call: Call, kind: type[T], empty: T | None = None) -> T:
    call.params()
    return call.body(kind, empty=empty)


async def _changed(call: Call, change: HoldChange) -> Response:
    return await _record(call, change, await _look(call, change))


async def _record(call: Call, change: HoldChange, look: Look) -> Response:
    asked = command(change, look.names, call.now)

    def made(recorded: Recorded) -> Reply:
        outcome = recorded.outcomes[0]
        if isinstance(outcome, Refused):
            return refusal(told.refused(outcome.refusal, told.at_line(asked, outcome.refusal)))
        body = told.reservation(recorded.holds[change.reference], look.labels)
        seen = {"as_of_seq": recorded.seq, "token": told.token(recorded.seq)}
        return Reply(200 if change.reference in recorded.known else 201, body | seen)

    return await call.record((Group((asked,)),), made, holds=(change.reference,))


async def _look_new(call: Call, change: Reserve) -> Look:
    """For a hold that will have the lines that are asked for, whether there is one of its name or not."""
    names = await call.resolved(wanted([change]), usual=True)
    items = {line.item for line in change.lines if line.item is not None} | set(names.items.values())
    places = set(names.locations.values()) | set(names.usual)
    for line in change.lines:
        places |= {one for one in (line.location, *(line.locations or ())) if isinstance(one, int)}
    labels = await call.labels(items | await call.parts(items), places)
    if names.allowed is not None:
        names = replace(names, holds=mine(await call.holds([change.reference]), names.allowed))
    return Look(names, labels)


async def _look(call: Call, change: HoldChange) -> Look:
    names = await call.resolved(wanted([change]))
    held = await call.holds([change.reference])
    known = held.get((call.account, change.reference))
    if names.allowed is not None:
        names = replace(names, holds=mine(held, names.allowed))
    # Somebody else's is answered to the letter like none: else every reference could be tried out.
    if known is None or (names.holds is not None and change.reference not in names.holds):
        raise _unknown()
    items = {line.item for line in known.lines} | set(names.items.values())
    places = {line.location for line in known.lines} | set(names.locations.values())
    return Look(names, await call.labels(items, places))
