"""Has channels told anew or looked at now, releases what is parked, pauses, changes rules and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from onhand import wording
from onhand.connectors import kind
from onhand.connectors.kind import Kind
from onhand.outward import connecting, explaining, refeeding, sameness, watching
from onhand.outward.equipment import Equipment, Refusal, unknown_connection
from onhand.outward.needs import needs
from onhand.stock.offering import PLAIN, Rules
from onhand.store import drives, feeding, linking, lookup, orders
from onhand.store.books import Marked
from onhand.store.linking import Linked

T = TypeVar("T")

ELSEWHERE = (
    "another {} is another shop, and the listings and orders here are those of this one: connect that one by"
    " itself; if it is the same shop all the same, say so (--same-shop; same_shop in the API)"
)

SENT = (
    "the connection's secrets would be sent to another address than they were given for: give {} again in the"
    " same request"
)
TOKENS = frozenset({"access_token", "refresh_token"})
"""What a channel gives the hub for other secrets, where it says when it expires."""


async def _write(
    equipment: Equipment, account: int, unit: Callable[[Connection], tuple[T, set[Marked]]]
) -> T:
    """Run a unit, and let the courier hear at once of what it marked."""
    value, marked = await equipment.inventory.write(account, unit)
    if marked:
        equipment.inventory.marked(marked)
    return value


async def push(equipment: Equipment, account: int, listing: int) -> int:
    """Have one listing told anew, whatever is known of it; its connection. Raises Refusal."""

    def unit(connection: Connection) -> tuple[int, set[Marked]]:
        found = watching.listing(connection, account, listing)
        if not found.writable:
            raise Refusal("not_allowed", "the channel owns this stock: it is shown and never written")
        if explaining.uncounted(connection, account, found, equipment.now()):
            raise Refusal("not_allowed", explaining.UNCOUNTED)
        linking.unpark(connection, account, [listing], equipment.now())
        return found.connection, feeding.mark(connection, account, [listing], equipment.now())

    return await _write(equipment, account, unit)


async def push_all(equipment: Equipment, account: int, link: int, after: int = 0) -> tuple[int, int | None]:
    """Have some of a connection's listings told anew, by id behind ``after``: how many (at most
    `refeeding.AT_ONCE`), and where the next begin. Raises Refusal."""

    def unit(connection: Connection) -> tuple[tuple[int, int | None], set[Marked]]:
        if not linking.links(connection, account, link):
            unknown_connection()
        ids = feeding.listings_on(connection, account, link, after, refeeding.AT_ONCE)
        marked = feeding.mark(connection, account, ids, equipment.now())
        return (len(ids), ids[-1] if len(ids) == refeeding.AT_ONCE else None), marked

    return await _write(equipment, account, unit)


async def release(equipment: Equipment, account: int, listing: int) -> str:
    """Have a parked listing told again; what the channel had said. Raises Refusal."""

    def unit(connection: Connection) -> tuple[str, set[Marked]]:
        found = watching.listing(connection, account, listing)
        if found.parked is None:
            raise Refusal("not_allowed", "the listing is not parked")
        linking.unpark(connection, account, [listing], equipment.now())
        return found.parked, feeding.mark(connection, account, [listing], equipment.now())

    return await _write(equipment, account, unit)


async def sweep(equipment: Equipment, account: int, link: int) -> int:
    """Ask the courier to look at all that a channel shows, now; when that was asked (microseconds UTC).
    Raises Refusal."""
    now = equipment.now()

    def unit(connection: Connection) -> int:
        found = _link(connection, account, link)
        if kind.pulls(equipment.module(found.channel)) is None:
            raise Refusal("not_allowed", f"{found.channel} cannot be asked what it shows")
        if found.paused:
            raise Refusal("not_allowed", "the connection is paused: resume it first")
        drives.note(connection, account, link, {"swept_at": -now})
        return now

    asked = await equipment.inventory.write(account, unit, quiet=True)
    equipment.inventory.marked({(account, link)})
    return asked


async def pause(equipment: Equipment, account: int, link: int, *, paused: bool) -> Linked:
    """Stop telling a connection, or begin again; what has become stale meanwhile is told then. Raises
    Refusal."""
    return await change(equipment, account, link, paused=paused)


async def change(
    equipment: Equipment,
    account: int,
    link: int,
    *,
    name: str | None = None,
    paused: bool | None = None,
    rules: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    same_shop: bool = False,
) -> Linked:
    """Change what a connection is called, whether it is paused, some of its rules (as `merged`; the feeds of
    its listings follow), or some of its settings; those that lead to another shop only if somebody says that
    it is the ``same_shop`` all the same. Raises Refusal."""

    def unit(connection: Connection) -> Linked:
        if settings is not None:
            linking.hold_links(connection, account)  # another one may come to be of the same shop
        linking.hold(connection, account, link)
        found = _link(connection, account, link)
        values: dict[str, Any] = {}
        if name is not None:
            values["name"] = connecting.plain_name(name)
        if paused is not None:
            values["paused"] = paused
        if paused is False:
            values["unfinished"] = False
        if rules is not None:
            values["rules"] = merged(found.rules, rules)
            check_rules(connection, account, values["rules"])
        if settings is not None:
            values |= _settings(connection, equipment, account, found, settings, same_shop)
        linking.change(connection, account, link, values)
        return _link(connection, account, link)

    done = await equipment.inventory.write(account, unit)
    equipment.forget(account, link)
    if rules is not None:
        await refeeding.refeed(equipment, account, link)
    equipment.inventory.marked({(account, link)})
    return done


async def listing_rules(
    equipment: Equipment, account: int, listing: int, values: Mapping[str, Any], *, whole: bool = False
) -> Rules:
    """Change some of a listing's own rules, as `merged`, or give it these and no others as a ``whole``; all
    that it has now. Raises Refusal."""

    def unit(connection: Connection) -> tuple[Rules, set[Marked]]:
        feeding.hold(connection, account, [listing])
        found = watching.listing(connection, account, listing)
        rules = merged(PLAIN if whole else found.rules, values)
        if rules.heal is not None or rules.sweep is not None or rules.poll is not None:
            raise Refusal("bad_rules", "heal, sweep and poll are rules of connections", "rules")
        check_rules(connection, account, rules)
        linking.set_rules(connection, account, listing, rules, equipment.now())
        feeding.refeed(connection, account, [listing])
        return rules, feeding.mark(connection, account, [listing], equipment.now())

    return await _write(equipment, account, unit)


def merged(rules: Rules, values: Mapping[str, Any]) -> Rules:
    """``rules`` with those of ``values`` in their place; None drops one, and ``locations`` drop the
    ``places`` that would go before them, if these are not named too. Raises Refusal in words."""
    kept = msgspec.to_builtins(rules)
    if values.get("locations") is not None:
        kept.pop("places", None)
    return parse_rules({**kept, **values})


def check_rules(connection: Connection, account: int, rules: Rules) -> None:
    """Raise Refusal when rules name locations that are not there."""
    named = set(rules.locations or ())
    named |= {at for some in (rules.places or {}).values() for at in some}
    unknown = sorted(named - lookup.names(connection, account, named).keys())
    if unknown:
        raise Refusal("unknown_location", f"there is no location {unknown[0]}", "rules")


def _settings(
    connection: Connection,
    equipment: Equipment,
    account: int,
    found: Linked,
    values: Mapping[str, Any],
    same_shop: bool,
) -> dict[str, Any]:
    """Settings and secrets with some of them changed; a secret that is not named stays, unless all would be
    sent to another address. Where those that are kept cannot be opened any more, all that the channel needs
    must be among ``values``."""
    module = equipment.module(found.channel)
    envelope = drives.secrets(connection, account, found.id)
    kept: Mapping[str, Any] = {}
    closed = ""
    try:
        kept = equipment.seals.open(account, found.id, envelope) if envelope else {}
    except ValueError as error:
        closed = str(error)
    try:
        open_values, hidden = connecting.split(module, {**found.settings, **kept, **values})
    except Refusal as refusal:
        if not closed:
            raise
        raise Refusal("bad_settings", f"{closed}; {refusal.words}", "settings") from None
    there = sameness.of_the_same_shop(
        connection, equipment, account, found.channel, open_values, hidden, found.id
    )
    elsewhere = sameness.leads_elsewhere(module, found.settings, open_values)
    if elsewhere and there is not None and not there.unfinished:
        raise Refusal("not_allowed", sameness.TWICE.format(there.id, there.name), "settings")
    if elsewhere and not same_shop and _has_something(connection, account, found.id):
        raise Refusal("not_allowed", ELSEWHERE.format(" and ".join(elsewhere)), "settings")
    before = {**found.settings, **kept}
    if kept and sameness.goes_elsewhere(module, before, {**open_values, **hidden}):
        open_values, hidden = _given_again(module, before, values, open_values, hidden)
    return {
        "settings": open_values,
        "secrets": equipment.seals.seal(account, found.id, hidden) if hidden else None,
    }


def _given_again(
    module: Kind,
    before: Mapping[str, Any],
    values: Mapping[str, Any],
    open_values: Mapping[str, Any],
    hidden: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings and secrets without those that were kept: whoever may change an address is not thereby
    told what was given for the old one. Raises Refusal unless all are among ``values`` but tokens that the
    channel itself had given for them."""
    required = {one.name for one in needs(module.CHANNEL) if one.required}
    tokens = TOKENS - required if before.get("expires_at") else frozenset()
    if missing := sorted(hidden.keys() - values.keys() - tokens):
        raise Refusal("bad_settings", SENT.format(" and ".join(missing)), "settings")
    fresh = {"expires_at": values.get("expires_at", 0)} if "expires_at" in open_values else {}
    return {**open_values, **fresh}, {name: hidden[name] for name in hidden if name in values}


def _has_something(connection: Connection, account: int, link: int) -> bool:
    """Whether something of a shop is here already: a listing or an order."""
    listed = feeding.listings_on(connection, account, link, 0, 1)
    return bool(listed or orders.page(connection, account, link, limit=1))


def _link(connection: Connection, account: int, link: int) -> Linked:
    found = linking.links(connection, account, link) if link else []
    if not found:
        unknown_connection()
    return found[0]


def parse_rules(values: object) -> Rules:
    """Rules from plain values. Raises Refusal in words."""
    try:
        return msgspec.convert(values, Rules)
    except msgspec.ValidationError as error:
        raise Refusal("bad_rules", wording.complaint(str(error)).sentence, "rules") from None
