"""Incidents: what went wrong where nobody was waiting for an answer, kept until somebody looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import Place
from onhand.store import counters
from onhand.store.sql import Insert, Row, Statement

REFUSED, PLANNED, MESSAGE = "refused", "planned", "message"
"""A queued change was refused; a planned change was; a received message could not be applied."""

OVERSOLD, ORDER = "oversold", "order"
"""More is promised at a level than is there; a channel's order has a line that stands on nothing of ours, or
was open and is not there any more."""

KINDS = (REFUSED, PLANNED, MESSAGE, OVERSOLD, ORDER)
OPEN, CLOSED = "open", "closed"
PERSON, STOCK = "person", "stock"
"""Who ended an incident: somebody who dealt with it, or a movement after which its level is short no more."""


LOOKED_BACK = 10_000
"""Incidents among which one that says the same is looked for: a bound for what a commit takes."""


class Incident(NamedTuple):
    """One incident. ``body`` depends on ``kind``; times are microseconds UTC.

    ``resolution`` is None while it is open; ``by`` in it is `PERSON`, with ``note`` and ``caller``, or
    `STOCK`, with the ``movement``. ``earlier`` has the times when it was open before.
    """

    id: int
    kind: str
    body: dict[str, Any]
    opened_at: int
    resolved_at: int | None
    resolution: dict[str, Any] | None
    earlier: list[dict[str, Any]]


_COLUMNS = ", ".join(Incident._fields)
_open = Insert(
    "incidents",
    "account int, id int, kind text, body text, opened_at int, item int, location int, watched int",
)
_last = Statement("SELECT COALESCE(MAX(id), 0) FROM incidents WHERE account = :account")
_said = Statement(
    "SELECT n.item, n.location, n.body FROM incidents n WHERE n.account = :account AND n.id > :after"
    " AND n.kind = :kind AND n.resolved_at IS NULL"
    " AND (n.item, n.location) IN (SELECT r.item, r.location FROM {rows})",
    rows="item int, location int",
)
_page = Statement(
    f"SELECT {_COLUMNS} FROM incidents WHERE account = :account AND id > :after"
    " AND (:kind = '' OR kind = :kind)"
    " AND (:state = '' OR (:state = 'open' AND resolved_at IS NULL)"
    " OR (:state = 'closed' AND resolved_at IS NOT NULL)) ORDER BY id LIMIT :limit"
)
_one = Statement(f"SELECT {_COLUMNS} FROM incidents WHERE account = :account AND id = :id")
_close = Statement(
    "UPDATE incidents SET resolved_at = :now, resolution = :resolution, watched = 0"
    " WHERE account = :account AND id = :id AND resolved_at IS NULL RETURNING id"
)


def report(
    connection: Connection, account: int, found: Sequence[tuple[str, Mapping[str, Any]]], now: int
) -> None:
    """Open an incident for each (kind, body). One of an oversold level is watched from then on."""
    if not found:
        return
    first = counters.take(connection, account, "incident", len(found))
    rows = [(account, first + at, *_row(kind, body, now)) for at, (kind, body) in enumerate(found)]
    _open.run(connection, rows)


def _row(kind: str, body: Mapping[str, Any], now: int) -> Row:
    place = (body["item"], body["location"], 1) if kind == OVERSOLD else (*(_place(body) or (None, None)), 0)
    return (kind, msgspec.json.encode(body).decode(), now, *place)


def _place(body: Mapping[str, Any]) -> Place | None:
    """The level that a refused command was for; some are for none, or for several."""
    command = body.get("command") or {}
    return (command["item"], command["location"]) if {"item", "location"} <= command.keys() else None


def news(
    connection: Connection, account: int, bodies: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those of refused commands that no open incident says of the same level: clients send the same again
    and again, and what else is open must not drown in it."""
    places = {place for place in map(_place, bodies) if place}
    if not places:
        return list(bodies)
    after = _last.run(connection, account=account)[0][0] - LOOKED_BACK
    asked = {"account": account, "after": after, "kind": REFUSED}
    said: set[tuple[Place | None, str]] = {
        ((item, location), msgspec.json.decode(body)["why"])
        for item, location, body in _said.run(connection, sorted(places), **asked)
    }
    found = []
    for body in bodies:
        place, why = _place(body), body["why"]
        if place is None or (place, why) not in said:
            found.append(body)
        said.add((place, why))
    return found


def page(
    connection: Connection, account: int, after: int = 0, limit: int = 100, *, state: str = "", kind: str = ""
) -> list[Incident]:
    """Incidents by id, from the one behind ``after`` on; of one state and kind ("": all)."""
    found = _page.run(connection, account=account, after=after, limit=limit, state=state, kind=kind)
    return [_incident(row) for row in found]


def one(connection: Connection, account: int, number: int) -> Incident | None:
    """One incident."""
    found = _one.run(connection, account=account, id=number)
    return _incident(found[0]) if found else None


def close(connection: Connection, account: int, number: int, note: str, caller: str, now: int) -> bool:
    """Note that somebody dealt with it, who and how; False if there is none that is open. What comes after
    that at the same level is another incident."""
    resolution = {"by": PERSON, "note": note, "caller": caller}
    text = msgspec.json.encode(resolution).decode()
    return bool(_close.run(connection, account=account, id=number, resolution=text, now=now))


def _incident(row: Row) -> Incident:
    number, kind, body, opened, resolved, resolution, earlier = row
    ended = None if resolution is None else msgspec.json.decode(resolution)
    decoded = (msgspec.json.decode(body), opened, resolved, ended, msgspec.json.decode(earlier))
    return Incident(number, kind, *decoded)
