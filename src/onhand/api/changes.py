"""POST /changes: up to ten thousand commands in one commit; and transfers, one at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Literal

from msgspec import structs
from starlette.responses import Response

from onhand.api import told
from onhand.api.asked import Changes, Reserve, Transfer
from onhand.api.calls import Call
from onhand.api.meaning import Names, Wanted, at_once, command, commands, wanted
from onhand.api.problems import Problem
from onhand.api.replies import Reply, refusal
from onhand.api.schema import Body
from onhand.api.told import NO_HOLDS
from onhand.stock import ledger
from onhand.stock.ledger import Refused
from onhand.stock.model import AnyCommand, Place, Reservation
from onhand.store.books import Named
from onhand.work import Accepted, Group, Outcome, Recorded

FAULTS_LIMIT = 100
"""Entries of errors in one answer."""


class Asked(Body, frozen=True, kw_only=True):
    """What POST /changes takes."""

    changes: Changes
    mode: Literal["atomic", "partial"] = "atomic"


class TransferAsked(Transfer, frozen=True, kw_only=True, tag=False):
    """What POST /transfers takes."""


def made(call: Call) -> Awaitable[Response]:
    """POST /changes: all or none (atomic), or each for itself (partial)."""
    call.params()
    asked = call.body(Asked)
    known = at_once(asked.changes, call.remembered(), call.now)
    if known is None:
        return _looked_up(call, asked)
    return _partial(call, known) if asked.mode == "partial" else _atomic(call, known)


async def _looked_up(call: Call, asked: Asked) -> Response:
    names = await look_up(call, wanted(asked.changes), usual=any_reserve(asked.changes))
    found = commands(asked.changes, names, call.now)
    if asked.mode == "partial":
        return await _partial(call, found)
    wrong = [one for one in found if isinstance(one, Problem)]
    if wrong:
        raise _all_wrong(wrong)
    return await _atomic(call, [one for one in found if not isinstance(one, Problem)])


def any_reserve(changes: Sequence[object]) -> bool:
    """Whether any line may need the usual locations."""
    return any(isinstance(one, Reserve) for one in changes)


async def look_up(call: Call, asked: Wanted, *, usual: bool = False) -> Names:
    """What a request names, as far as the caller may see it."""
    names = await call.resolved(asked, usual=usual)
    if names.allowed is None or not asked.references:
        return names
    return structs.replace(names, holds=mine(await call.holds(asked.references), names.allowed))


def mine(held: Mapping[Named, Reservation], allowed: frozenset[int]) -> frozenset[str]:
    """Those of some reservations that are at allowed locations only."""
    return frozenset(
        name for (_, name), hold in held.items() if all(line.location in allowed for line in hold.lines)
    )


def _all_wrong(wrong: Sequence[Problem]) -> Problem:
    """Everything that is wrong before the ledger is asked, as one problem."""
    if len(wrong) == 1:
        return wrong[0]
    entries = [entry for one in wrong for entry in one.errors]
    words = f"{len(wrong)} changes cannot be made, the first because: {wrong[0].detail}"
    return Problem(wrong[0].code, words, entries[:FAULTS_LIMIT])


# --- all or none ------------------------------------------------------------------------------------------


def _atomic(call: Call, asked: Sequence[AnyCommand]) -> Awaitable[Response]:
    if len(asked) == 1:
        return _single(call, asked[0])

    def made(recorded: Recorded) -> Reply:
        outcome = recorded.outcomes[0]
        if isinstance(outcome, Refused):
            return _refused(outcome, asked)
        entries, first = outcome.entries, outcome.seq
        rows, start = [], 0
        for end, one in zip(outcome.ends, asked, strict=True):
            rows.append(told.done(entries[start:end], first + start, one, recorded.levels))
            start = end
        return _reply(recorded, "atomic", rows, len(rows))

    return call.record((Group(tuple(asked)),), made, watch=_watched(asked))


def _single(call: Call, one: AnyCommand) -> Awaitable[Response]:
    """The same of one change, as most requests have."""

    def made(recorded: Recorded) -> Reply:
        outcome = recorded.outcomes[0]
        if isinstance(outcome, Refused):
            return _refused(outcome, (one,))
        return _reply(recorded, "atomic", (told.done(outcome.entries, outcome.seq, one, recorded.levels),), 1)

    return call.record((Group((one,)),), made, watch=ledger.places(one, NO_HOLDS))


def _refused(outcome: Refused, asked: Sequence[AnyCommand]) -> Reply:
    at = told.at_change(outcome.index) + told.at_line(asked[outcome.index], outcome.refusal)
    return refusal(told.refused(outcome.refusal, at))


def _watched(asked: Sequence[AnyCommand]) -> tuple[Place, ...]:
    """All levels that commands name."""
    found: set[Place] = set()
    for one in asked:
        if type(one) in ledger.SHIFTS:  # as nearly always
            found.add((one.item, one.location))  # type: ignore[union-attr]
        else:
            found.update(ledger.places(one, NO_HOLDS))
    return tuple(found)


def _reply(recorded: Recorded, mode: str, rows: Sequence[object], done: int, status: int = 200) -> Reply:
    seq = recorded.seq
    return Reply(status, told.Made(mode, done, len(rows) - done, seq, told.token(seq), rows))


# --- each for itself ----------------------------------------------------------------------------------------


async def _partial(call: Call, asked: Sequence[AnyCommand | Problem]) -> Response:
    good = [one for one in asked if not isinstance(one, Problem)]

    def made(recorded: Recorded) -> Reply:
        outcomes = iter(recorded.outcomes)
        rows: list[object] = []
        for index, one in enumerate(asked):
            rows.append(
                _refused_before(one, index)
                if isinstance(one, Problem)
                else _ended(one, next(outcomes), index, recorded)
            )
        done = sum(isinstance(row, told.Done) for row in rows)
        return _reply(recorded, "partial", rows, done)

    return await call.record(tuple(Group((one,)) for one in good), made, watch=_watched(good))


def _refused_before(problem: Problem, index: int) -> dict[str, Any]:
    errors = problem.errors[:1]
    entry = errors[0] if errors else {"code": problem.code, "detail": problem.detail}
    return {"status": "refused", "error": {"pointer": told.at_change(index)} | entry}


def _ended(one: AnyCommand, outcome: Outcome, index: int, recorded: Recorded) -> object:
    if isinstance(outcome, Accepted):
        return told.done(outcome.entries, outcome.seq, one, recorded.levels)
    at = told.at_change(index) + told.at_line(one, outcome.refusal)
    return {"status": "refused", "error": told.refusal(outcome.refusal, at)}


# --- transfers ----------------------------------------------------------------------------------------------


async def transferred(call: Call) -> Response:
    """POST /transfers: units of an item move from one location to another."""
    call.params()
    asked = call.body(TransferAsked)
    names = await look_up(call, wanted([asked]))
    move = command(asked, names, call.now)

    def made(recorded: Recorded) -> Reply:
        outcome = recorded.outcomes[0]
        if isinstance(outcome, Refused):
            return refusal(told.refused(outcome.refusal))
        return _reply(
            recorded, "atomic", (told.done(outcome.entries, outcome.seq, move, recorded.levels),), 1, 201
        )

    return await call.record((Group((move,)),), made, watch=ledger.places(move, NO_HOLDS))
