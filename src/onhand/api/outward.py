"""What channels show of our listings: why, where it differs, what they refuse, and who has seen a change."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand.api import params, ruling, told
from onhand.api.calls import Call
from onhand.api.problems import bad_parameter
from onhand.api.replies import Reply
from onhand.api.ruling import Ruling
from onhand.api.schema import Position, position
from onhand.outward import explaining, steering, telling, watching
from onhand.outward.equipment import Equipment
from onhand.stock.offering import Rules
from onhand.store import levels, linking, showing

CHANNELS_LIMIT = 100


def _meant(call: Call) -> int:
    """The listing in the path, of a caller that may see all of the account; nothing else is asked."""
    call.account_wide()
    call.params()
    return call.number("listing", "unknown_listing")


async def explained(equipment: Equipment, call: Call) -> Reply:
    """GET /listings/{listing}/explain: every term of its number, down to movements and reservations."""
    number = _meant(call)

    def query(connection: Connection) -> dict[str, Any]:
        row = watching.listing(connection, call.account, number)
        return explaining.explain(connection, call.account, row, call.now)

    return Reply(200, telling.explained(await call.read(query, long=True)))


async def pushed(equipment: Equipment, call: Call) -> Reply:
    """POST /listings/{listing}/push: told anew as soon as may be."""
    number = _meant(call)
    await steering.push(equipment, call.account, number)
    return await _listing(call, number, 202)


async def released(equipment: Equipment, call: Call) -> Reply:
    """POST /listings/{listing}/release: a parked one is told again."""
    number = _meant(call)
    await steering.release(equipment, call.account, number)
    return await _listing(call, number, 202)


async def ruled(equipment: Equipment, call: Call) -> Reply:
    """PUT /listings/{listing}/rules: rules of its own, which go before the connection's."""
    number = _meant(call)
    values = msgspec.to_builtins(call.body(Rules))
    await steering.listing_rules(equipment, call.account, number, values, whole=True)
    return await _listing(call, number, 200)


async def ruled_anew(equipment: Equipment, call: Call) -> Reply:
    """PATCH /listings/{listing}/rules: those of its own rules that are named."""
    number = _meant(call)
    values = ruling.named(call.body(Ruling))
    await steering.listing_rules(equipment, call.account, number, values)
    return await _listing(call, number, 200)


async def _listing(call: Call, number: int, status: int) -> Reply:
    def query(connection: Connection) -> dict[str, Any]:
        found = watching.listing(connection, call.account, number)
        drifting = showing.drifting(connection, call.account, [number])
        return telling.listing_told(found, drifting=number in drifting)

    return Reply(status, await call.read(query))


async def drifts(equipment: Equipment, call: Call) -> Reply:
    """GET /drifts: where a channel showed another number, and why."""
    call.account_wide()
    found = call.params("connection", "healed", "cursor", "limit")
    link = params.number(found, "connection") or 0
    healed = params.one(found, "healed") or "false"
    if healed not in ("true", "false"):
        raise bad_parameter("healed", "expected true or false")
    span = params.span(found, "drifts", link, healed)

    def query(connection: Connection) -> dict[str, Any]:
        ended = healed == "true"
        found = showing.drifts(connection, call.account, link, span.after, span.asks, ended=ended)
        rows, more = span.cut(found, lambda one: one.drift.id)
        return told.page([telling.drift_told(one) for one in rows], more)

    return Reply(200, await call.read(query, long=True))


async def parked(equipment: Equipment, call: Call) -> Reply:
    """GET /parked: listings that a channel will not take, with its own words."""
    call.account_wide()
    found = call.params("connection", "cursor", "limit")
    link = params.number(found, "connection") or 0
    span = params.span(found, "parked", link)

    def query(connection: Connection) -> dict[str, Any]:
        found = linking.page(connection, call.account, link, span.after, span.asks, parked=True)
        rows, more = span.cut(found, lambda one: one.id)
        return told.page([telling.listing_told(one, drifting=False) for one in rows], more)

    return Reply(200, await call.read(query, long=True))


async def seen(equipment: Equipment, call: Call) -> Reply:
    """GET /changes/{token}/seen: which connections have acknowledged all that was changed up to a token;
    waits for them a while if asked to."""
    call.account_wide()
    found = call.params("channels", "wait")
    seq = position(call.path("token"), told.MOVEMENTS, (), tuple[Position])[0]
    names = [one for text in found.get("channels", []) for one in text.split(",") if one]
    if len(names) > CHANNELS_LIMIT:
        raise bad_parameter("channels", f"expected at most {CHANNELS_LIMIT}")
    wait = params.number(found, "wait", 0) or 0
    if wait > watching.WAIT_LIMIT_SECONDS:
        raise bad_parameter("wait", f"expected at most {watching.WAIT_LIMIT_SECONDS} seconds")
    told.not_ahead(seq, await call.read(lambda c: levels.last_seq(c, call.account)))
    rows = await watching.seen(equipment, call.account, seq, names, float(wait))
    last = await call.read(lambda c: levels.last_seq(c, call.account))
    body = {
        "seen": all(one.seen for one in rows),
        "seq": seq,
        "as_of_seq": last,
        "connections": msgspec.to_builtins(rows),
    }
    return Reply(200, body)
