"""Connections that the hub tells: connected, shown, steered; and what each channel can do."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from onhand.api import params, ruling, told
from onhand.api.calls import Call
from onhand.api.problems import Problem, bad_parameter, fault
from onhand.api.replies import Reply
from onhand.api.ruling import Ruling
from onhand.api.schema import Body, Name
from onhand.outward import connecting, leaving, steering, telling, watching
from onhand.outward.equipment import Equipment, Refusal
from onhand.seals import BadKey
from onhand.stock.offering import Rules
from onhand.store import linking, showing

Label: TypeAlias = Annotated[str, Meta(max_length=connecting.NAME_LIMIT)]
CODES = {
    "bad_settings": "invalid_body",
    "bad_rules": "invalid_body",
    "bad_cursor": "invalid_cursor",
    "unknown_channel": "unknown_channel",
    "unknown_location": "unknown_location",
    "unknown_connection": "unknown_connection",
    "unknown_listing": "unknown_listing",
    "not_allowed": "not_allowed",
    "channel_refused": "channel_refused",
    "channel_unavailable": "channel_unavailable",
}
"""What a refusal is called here."""
STATES = ("stale", "parked")


class New(Body, frozen=True, kw_only=True):
    """A connection to make. ``feeds``: for places of the channel (by id or name) the names of our
    locations that feed them."""

    channel: Name
    settings: dict[str, Any]
    name: Label = ""
    rules: Rules | None = None
    feeds: dict[str, list[Name]] | None = None


class Change(Body, frozen=True, kw_only=True):
    """What may change about a connection. Of ``rules`` and ``settings`` those that are named change.
    ``same_shop``: also settings that tell one shop from another."""

    name: Label | UnsetType = UNSET
    paused: bool | UnsetType = UNSET
    rules: Ruling | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    same_shop: bool | UnsetType = UNSET


class Import(Body, frozen=True, kw_only=True):
    """Which page of the channel's listings to import."""

    cursor: str | None = None


def problem(refusal: Refusal) -> Problem:
    """A refusal as this API says it."""
    code = CODES[refusal.code]
    words = refusal.words[:1].upper() + refusal.words[1:]
    entries = (
        [fault(code, words, pointer=f"/{refusal.at}")] if refusal.at in ("settings", "rules", "feeds") else []
    )
    return Problem(code, words, entries)


# --- what there is --------------------------------------------------------------------------------------


async def kinds(equipment: Equipment, call: Call) -> Reply:
    """GET /channels: what each channel can do."""
    call.params()
    rows = [telling.told(module.CHANNEL) for module in equipment]
    return Reply(200, told.page(rows, None))


async def shown(equipment: Equipment, call: Call) -> Reply:
    """GET /connections/{connection}: with its rules and how it goes."""
    call.account_wide()
    call.params()
    number = call.number("connection", "unknown_connection")
    found = await call.read(lambda c: watching.connections(c, call.account, number))
    return Reply(200, telling.connection_told(found[0]))


async def numbers(equipment: Equipment, call: Call) -> Reply:
    """GET /connections/{connection}/numbers: what each listing should show, confirmed, and showed."""
    call.account_wide()
    found = call.params("state", "cursor", "limit")
    number = call.number("connection", "unknown_connection")
    state = params.one(found, "state") or ""
    if state and state not in STATES:
        raise bad_parameter("state", "expected stale or parked")
    span = params.span(found, "numbers", number, state)

    def query(connection: Any) -> dict[str, Any]:
        watching.connections(connection, call.account, number)  # one that the hub tells
        flags = {name: state == name for name in STATES}
        found = linking.page(connection, call.account, number, span.after, span.asks, **flags)
        rows, more = span.cut(found, lambda one: one.id)
        drifting = showing.drifting(connection, call.account, [one.id for one in rows])
        return told.page([telling.listing_told(one, drifting=one.id in drifting) for one in rows], more)

    return Reply(200, await call.read(query, long=True))


# --- made and changed -----------------------------------------------------------------------------------


async def created(equipment: Equipment, call: Call) -> Reply:
    """POST /connections: settings are checked with the channel itself; it is paused until its listings
    are imported and it is told to go on. One to the same shop that was begun and not finished is gone on
    with."""
    call.account_wide()
    call.params()
    asked = call.body(New)
    try:
        made = await connecting.begin(
            equipment,
            call.account,
            asked.channel,
            asked.settings,
            name=asked.name,
            rules=asked.rules,
            feeds=asked.feeds,
        )
    except BadKey as error:
        raise Problem("not_allowed", str(error)) from error
    where = {"Location": f"/api/v1/connections/{made.connection}"}
    return Reply(200 if made.resumed else 201, msgspec.to_builtins(made), where)


async def changed(equipment: Equipment, call: Call) -> Reply:
    """PATCH /connections/{connection}."""
    call.account_wide()
    call.params()
    number = call.number("connection", "unknown_connection")
    asked = call.body(Change)
    values = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not UNSET}
    if isinstance(asked.rules, Ruling):
        values["rules"] = ruling.named(asked.rules)
    try:
        await steering.change(equipment, call.account, number, **values)
    except BadKey as error:
        raise Problem("not_allowed", str(error)) from error
    found = await call.read(lambda c: watching.connections(c, call.account, number))
    return Reply(200, telling.connection_told(found[0]))


async def removed(equipment: Equipment, call: Call) -> Reply:
    """DELETE /connections/{connection}: it is forgotten, with its listings and orders."""
    call.account_wide()
    found = call.params("orders")
    number = call.number("connection", "unknown_connection")
    orders = params.one(found, "orders")
    if orders not in (None, leaving.RELEASE, leaving.KEEP):
        raise bad_parameter("orders", f"expected {leaving.RELEASE} or {leaving.KEEP}")
    left = await leaving.leave(equipment, call.account, number, orders)
    counts = {"listings": left.listings, "orders": left.orders, "released": left.released}
    return Reply(200, {"connection": number, "name": left.name} | counts)


async def imported(equipment: Equipment, call: Call) -> Reply:
    """POST /connections/{connection}/import: a page of the channel's listings, matched by SKU."""
    call.account_wide()
    call.params()
    number = call.number("connection", "unknown_connection")
    asked = call.body(Import, empty=Import())
    done = await connecting.page(equipment, call.account, number, asked.cursor)
    return Reply(200, msgspec.to_builtins(done))


async def pushed(equipment: Equipment, call: Call) -> Reply:
    """POST /connections/{connection}/push: every listing is told anew."""
    call.account_wide()
    call.params()
    number = call.number("connection", "unknown_connection")
    count, after = 0, 0
    while True:
        some, then = await steering.push_all(equipment, call.account, number, after)
        count += some
        if then is None:
            return Reply(202, {"connection": number, "marked": count})
        after = then


async def swept(equipment: Equipment, call: Call) -> Reply:
    """POST /connections/{connection}/sweep: the channel is looked at as soon as may be."""
    call.account_wide()
    call.params()
    number = call.number("connection", "unknown_connection")
    asked = await steering.sweep(equipment, call.account, number)
    return Reply(202, {"connection": number, "asked_at": telling.moment(asked)})
