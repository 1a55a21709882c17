"""Incidents: what went wrong where nobody was waiting for an answer, kept until somebody looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

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
    place = (body["item"], body["location"], 1) if kind == OVERSOLD else (None, None, 0)
    return (kind, msgspec.json.encode(body).decode(), now, *place)


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
