"""Incidents: what went wrong where nobody was waiting for an answer, kept until somebody looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.store import counters
from onhand.store.sql import Insert, Statement

REFUSED, PLANNED, MESSAGE = "refused", "planned", "message"
"""A queued change was refused; a planned change was; a received message could not be applied."""

OVERSOLD, ORDER = "oversold", "order"
"""More is promised at a level than is there; a channel's order has a line that stands on nothing of ours."""


class Incident(NamedTuple):
    """One incident. ``body`` depends on ``kind``; times are microseconds UTC."""

    id: int
    kind: str
    body: dict[str, Any]
    opened_at: int
    resolved_at: int | None


_open = Insert("incidents", "account int, id int, kind text, body text, opened_at int")
_page = Statement(
    "SELECT id, kind, body, opened_at, resolved_at FROM incidents"
    " WHERE account = :account AND id > :after ORDER BY id LIMIT :limit"
)
_resolve = Statement(
    "UPDATE incidents SET resolved_at = :now WHERE account = :account AND id = :id"
    " AND resolved_at IS NULL RETURNING id"
)


def report(
    connection: Connection, account: int, found: Sequence[tuple[str, Mapping[str, Any]]], now: int
) -> None:
    """Open an incident for each (kind, body)."""
    if not found:
        return
    first = counters.take(connection, account, "incident", len(found))
    rows = [
        (account, first + at, kind, msgspec.json.encode(body).decode(), now)
        for at, (kind, body) in enumerate(found)
    ]
    _open.run(connection, rows)


def page(connection: Connection, account: int, after: int = 0, limit: int = 100) -> list[Incident]:
    """Incidents by id, from the one behind ``after`` on."""
    rows = _page.run(connection, account=account, after=after, limit=limit)
    return [Incident(*row)._replace(body=msgspec.json.decode(row[2])) for row in rows]


def resolve(connection: Connection, account: int, number: int, now: int) -> bool:
    """Note that somebody dealt with it; False if there is none or somebody did before."""
    return bool(_resolve.run(connection, account=account, id=number, now=now))
