"""Incidents: what went wrong where nobody waited for an answer, listed, shown, and closed with a note."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta
from sqlalchemy import Connection
from starlette.responses import Response

from onhand.api import params, told
from onhand.api.calls import Call
from onhand.api.problems import Problem, bad_parameter
from onhand.api.replies import Reply, response
from onhand.api.schema import Body
from onhand.outward import telling
from onhand.stock.model import TEXT_LIMIT
from onhand.store import incidents
from onhand.store.incidents import CLOSED, KINDS, OPEN, Incident

ALL = "all"
STATES = (OPEN, CLOSED, ALL)

Note: TypeAlias = Annotated[str, Meta(max_length=TEXT_LIMIT)]


class Close(Body, frozen=True, kw_only=True):
    """What was done about it."""

    note: Note = ""


async def listed(call: Call) -> Response:
    """GET /incidents: the open ones by id, or as asked."""
    call.account_wide()
    found = call.params("state", "kind", "cursor", "limit")
    state = params.one(found, "state") or OPEN
    kind = params.one(found, "kind") or ""
    if state not in STATES:
        raise bad_parameter("state", f"expected {', '.join(STATES[:-1])} or {STATES[-1]}")
    if kind and kind not in KINDS:
        raise bad_parameter("kind", f"expected {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    span = params.span(found, "incidents", state, kind)

    def query(connection: Connection) -> dict[str, Any]:
        which = "" if state == ALL else state
        found = incidents.page(connection, call.account, span.after, span.asks, state=which, kind=kind)
        rows, more = span.cut(found, lambda one: one.id)
        return told.page([telling.incident_told(one) for one in rows], more)

    return response(Reply(200, await call.read(query, long=True)))


async def shown(call: Call) -> Response:
    """GET /incidents/{incident}."""
    call.account_wide()
    call.params()
    number = call.number("incident", "unknown_incident")
    found = await call.read(lambda c: _incident(c, call, number))
    return response(Reply(200, telling.incident_told(found)))


async def closed(call: Call) -> Response:
    """POST /incidents/{incident}/close: somebody has dealt with it."""
    call.account_wide()
    call.params()
    number = call.number("incident", "unknown_incident")
    asked = call.body(Close, empty=Close())

    def unit(connection: Connection) -> Reply:
        _incident(connection, call, number)
        note, caller = asked.note.strip(), call.caller.principal
        if not incidents.close(connection, call.account, number, note, caller, call.now):
            raise Problem("already_ended", "The incident is closed already")
        return Reply(200, telling.incident_told(_incident(connection, call, number)))

    return await call.write(unit)


def _incident(connection: Connection, call: Call, number: int) -> Incident:
    found = incidents.one(connection, call.account, number)
    if found is None:
        raise Problem("unknown_incident", "There is no such incident")
    return found
