"""Movements: the account's ledger in order, and the history of one level, newest first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from onhand.api import params, told
from onhand.api.calls import Call
from onhand.api.levels import labels_of
from onhand.api.replies import Reply, response
from onhand.api.schema import Position, cursor, position, shown
from onhand.api.told import MOVEMENTS, Labels
from onhand.store import levels
from onhand.store.levels import Written

HISTORY = "history"


async def listed(call: Call) -> Response:
    """GET /movements: in order; ``token`` is where a reader who wants more comes back with."""
    found = call.params("cursor", "limit")
    limit = params.limit(found)
    text = params.one(found, "cursor")
    after: int = 0 if text is None else position(text, MOVEMENTS, (), tuple[Position])[0]

    def query(connection: Connection) -> dict[str, Any]:
        last = levels.last_seq(connection, call.account)
        told.not_ahead(after, last)
        rows = levels.movements(connection, call.account, after, limit + 1)
        read, more = rows[:limit], len(rows) > limit
        reached = told.token(read[-1].seq if read else after)
        allowed = call.allowed(connection)
        seen = [row for row in read if allowed is None or row.location in allowed]
        return told.page(_bodies(connection, call, seen), reached if more else None, last, token=reached)

    return response(Reply(200, await call.read(query)))


async def history(call: Call) -> Response:
    """GET /levels/{item}/{location}/movements: newest first."""
    found = call.params("cursor", "limit")
    limit = params.limit(found)
    text = params.one(found, "cursor")

    def query(connection: Connection) -> dict[str, Any]:
        place = call.place(connection)
        before = levels.NO_LIMIT if text is None else position(text, HISTORY, place, tuple[Position])[0]
        rows = levels.history(connection, call.account, place, before, limit + 1)
        more = cursor(HISTORY, place, rows[limit - 1].seq) if len(rows) > limit else None
        last = levels.last_seq(connection, call.account)
        return told.page(_bodies(connection, call, rows[:limit]), more, last)

    return response(Reply(200, await call.read(query)))


def _bodies(connection: Connection, call: Call, rows: list[Written]) -> list[dict[str, Any]]:
    labels = labels_of(connection, call.account, [(row.item, row.location) for row in rows])
    return [_body(row, labels) for row in rows]


def _body(row: Written, labels: Labels) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "item": row.item,
        "sku": labels.skus.get(row.item),
        "location": row.location,
        "location_name": labels.locations.get(row.location),
        "version": row.version,
        "kind": row.kind,
        "on_hand": row.on_hand,
        "reserved": row.reserved,
        "on_hand_after": row.on_hand_after,
        "reserved_after": row.reserved_after,
        "available_after": row.on_hand_after - row.reserved_after,
        "infinite": row.infinite,
        "present": row.present,
        "reason": row.reason,
        "reference": row.reference,
        "caller": row.caller,
        "recorded_at": shown(row.recorded_at),
        "effective_at": shown(row.effective_at),
    }
