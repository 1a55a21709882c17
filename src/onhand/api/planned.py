"""Planned changes: made for a date, listed, shown, cancelled while they wait."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta
from sqlalchemy import Connection
from starlette.responses import Response

from onhand.api import params, told
from onhand.api.asked import LevelChange
from onhand.api.calls import Call
from onhand.api.changes import look_up
from onhand.api.meaning import commands, wanted
from onhand.api.problems import Problem, bad_parameter
from onhand.api.replies import Reply, response
from onhand.api.schema import Body, Position, ahead, cursor, position
from onhand.api.schema import shown as time_shown
from onhand.stock.model import AnyCommand
from onhand.store import counters, requests, wakeups
from onhand.store.requests import Planned

CHANGES_LIMIT = 1000
"""Changes in one planned change."""

STATUSES = ("waiting", "applied", "refused", "cancelled")

Changes: TypeAlias = Annotated[list[LevelChange], Meta(min_length=1, max_length=CHANGES_LIMIT)]


class New(Body, frozen=True, kw_only=True):
    """Changes to be made together, all or none, when ``due`` has come."""

    due: str
    changes: Changes


async def listed(call: Call) -> Response:
    """GET /planned-changes: by id; a key that is bound to a seller sees its own."""
    found = call.params("status", "cursor", "limit")
    limit = params.limit(found)
    status = params.one(found, "status")
    if status is not None and status not in STATUSES:
        raise bad_parameter("status", f"expected one of {', '.join(STATUSES)}")
    text = params.one(found, "cursor")
    after: int = 0 if text is None else position(text, "planned", (status,), tuple[Position])[0]
    rows = await call.read(lambda c: requests.plans(c, call.account, after, limit + 1))
    more = cursor("planned", (status,), rows[limit - 1].id) if len(rows) > limit else None
    seen = [one for one in rows[:limit] if status in (None, one.status) and _mine(call, one)]
    return response(Reply(200, told.page([_body(one) for one in seen], more)))


async def shown(call: Call) -> Response:
    """GET /planned-changes/{plan}."""
    call.params()
    number = call.number("plan", "unknown_planned_change")
    return response(Reply(200, _body(await call.read(lambda c: _found(c, call, number)))))


async def created(call: Call) -> Response:
    """POST /planned-changes: names are looked up now, stock when the time has come."""
    call.params()
    asked = call.body(New)
    due = ahead(asked.due, call.now, "/due")
    names = await look_up(call, wanted(asked.changes))
    made: list[AnyCommand] = []
    for one in commands(asked.changes, names, call.now):
        if isinstance(one, Problem):
            raise one
        made.append(one)

    def unit(connection: Connection) -> Reply:
        number = counters.take(connection, call.account, "planned")
        text = msgspec.json.encode(made).decode()
        row = (call.account, number, due, text, call.caller.principal, None, call.now)
        requests.plan(connection, [row])
        body = _body(_found(connection, call, number))
        return Reply(201, body, {"Location": f"/api/v1/planned-changes/{number}"})

    return await call.write(unit, ((wakeups.PLANNED, due),))


async def cancelled(call: Call) -> Response:
    """DELETE /planned-changes/{plan}: while it waits."""
    call.params()
    number = call.number("plan", "unknown_planned_change")

    def unit(connection: Connection) -> Reply:
        one = _found(connection, call, number)
        if not requests.end_plan(connection, call.account, number, "cancelled", call.now):
            raise Problem("already_ended", f"The planned change is {one.status}")
        return Reply(200, _body(_found(connection, call, number)))

    return await call.write(unit)


def _mine(call: Call, one: Planned) -> bool:
    return call.caller.seller is None or one.caller == call.caller.principal


def _found(connection: Connection, call: Call, number: int) -> Planned:
    found = requests.one_plan(connection, call.account, number)
    if found is None or not _mine(call, found):
        raise Problem("unknown_planned_change", "There is no such planned change")
    return found


def _body(one: Planned) -> dict[str, Any]:
    commands = msgspec.json.decode(one.commands, type=list[AnyCommand])
    return {
        "id": one.id,
        "due": time_shown(one.due),
        "status": one.status,
        "outcome": one.outcome,
        "caller": one.caller,
        "changes": [told.change(command) for command in commands],
        "created_at": time_shown(one.created_at),
        "ended_at": time_shown(one.ended_at),
    }
