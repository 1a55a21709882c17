"""Connects a channel: settings checked and sealed, places matched, listings imported a page at a time.

`begin` makes the connection, paused and unfinished; `page` imports what the channel shows, again and again
until its cursor is None; `finish` lets the courier at it. Each is safe to repeat: a listing that is known
stays, and `begin` goes on with an unfinished connection to the same shop, which a killed process left. A shop
that is connected already is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection

from onhand import wording
from onhand.connectors import kind
from onhand.connectors.channel import plain_settings, read_settings
from onhand.connectors.flow import Failed, Page, Place, Seen
from onhand.connectors.kind import Kind, external_id
from onhand.courier import mirroring
from onhand.courier.flows import Session, Stopping
from onhand.orders_in import CALLER as ORDERS
from onhand.orders_in import CLOCK_OFF_LIMIT, Polls
from onhand.outward import beginning, refeeding
from onhand.outward.equipment import ASKING_SECONDS, Equipment, Refusal, asked, unknown_connection
from onhand.outward.needs import needs
from onhand.stock.offering import Rules
from onhand.store import catalog, channels, drives, feeding, linking, lookup, observing, unlinking
from onhand.store.catalog import Location
from onhand.store.linking import Found, Linked
from onhand.store.observing import Sight
from onhand.transact import Busy, StoreFull, Unknowable

log = structlog.get_logger(__name__)

NAME_LIMIT = 100
CURSOR_LIMIT = 4_000
"""Characters of an import's cursor; so many digits are still a number to Python."""
KEPT_NAMED = 3
"""Orders of removed connections that are named."""


class Began(msgspec.Struct, frozen=True):
    """A connection that was made. ``who`` is what the channel called us; ``feeds`` says which of our
    locations feed which of its places ("" where it has none), by names; ``mirrored`` are its own places.
    ``resumed`` when it was begun before and not finished. ``notes`` are what a person should know."""

    connection: int
    channel: str
    name: str
    who: str
    feeds: dict[str, list[str]]
    unfed: list[str]
    mirrored: list[str]
    pulls: bool
    resumed: bool = False
    notes: list[str] = []


class Unmatched(msgspec.Struct, frozen=True):
    """A listing of the channel that is of no item of ours, and why."""

    sku: str | None
    title: str
    ids: dict[str, str]
    why: str


class Imported(msgspec.Struct, frozen=True):
    """What a page brought. ``cursor`` None: it was the last."""

    cursor: str | None
    seen: int
    created: int
    known: int
    unmatched: list[Unmatched]


class Finished(msgspec.Struct, frozen=True):
    """A connection whose listings are in: how many it is to be told of, and whether it is paused."""

    backlog: int
    paused: bool


# --- the connection -----------------------------------------------------------------------------------


async def begin(
    equipment: Equipment,
    account: int,
    channel: str,
    values: Mapping[str, Any],
    *,
    name: str = "",
    rules: Rules | None = None,
    feeds: Mapping[str, Sequence[str]] | None = None,
) -> Began:
    """Make a connection with these settings, and ask the channel who we are and for its places.

    ``feeds`` names our locations for places of the channel (by id or name; "" where it has none). Raises
    Refusal, and then nothing is left behind that was not there before, unless another request has gone on
    with it. The same where it is cut off before the places are written; once they are, it stays, unfinished.
    """
    module = equipment.module(channel)
    named = plain_name(name or module.CHANNEL.title)
    open_values, hidden = split(module, values)
    new = Linked(0, channel, named, (), open_values, rules or Rules(), True, 0)
    inventory, mark, link = equipment.inventory, secrets.token_hex(8), 0
    try:
        link, resumed = await inventory.write(
            account, lambda c: beginning.begin(c, equipment, account, new, hidden, mark)
        )
        equipment.forget(account, link)
        session = await equipment.session(account, link)
        who = await asked(session, module.check)
        began = equipment.now() + _ahead(session)
        locate = kind.locates(module)
        places = [] if locate is None else await asked(session, locate)

        def placed(c: Connection) -> Began:
            found = beginning.place(c, account, link, mark, resumed=resumed)
            if not resumed:
                # What an order was before or after is decided by the channel's clock, which dates orders.
                linking.change(c, account, link, {"created_at": began})
            return _place(c, account, found, module, who, places, rules, feeds, equipment.now())

        made = await inventory.write(account, placed)
    except BaseException as error:
        equipment.forget(account, link)
        # Who is cut off may not have heard of what was done.
        if link or not isinstance(error, Exception):
            with contextlib.suppress(Busy, StoreFull, Unknowable):  # it stays unfinished, as after a kill
                await inventory.write(account, lambda c: beginning.take_back(c, account, mark))
        raise
    if resumed:
        # Listings that are in already were fed as the rules were then.
        await refeeding.refeed(equipment, account, link)
    await _first_orders(equipment, account, link, session)
    return msgspec.structs.replace(made, resumed=resumed)


def _ahead(session: Session) -> int:
    """By how much the channel's clock is ahead of ours, in microseconds; 0 where it does not say."""
    ahead = session.ahead or 0
    return ahead if abs(ahead) <= CLOCK_OFF_LIMIT else 0


async def _first_orders(equipment: Equipment, account: int, link: int, session: Session) -> None:
    """Begin with the channel's orders before its listings are imported, which can take long. A channel that
    does not tell them now, as to a token that may not read orders, is connected all the same."""
    try:
        async with asyncio.timeout(ASKING_SECONDS):
            await Polls(equipment.inventory).begin(account, link, session)
    except (Failed, Stopping, TimeoutError) as error:
        what = {"account": account, "connection": link, "words": str(error)}
        log.warning("orders could not be asked for while connecting; the first poll begins with them", **what)


def split(module: Kind, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Checked settings as (what may be seen, what is sealed). Raises Refusal without showing values."""
    try:
        settings = read_settings(module.CHANNEL.settings, values)
    except msgspec.ValidationError as error:
        raise Refusal("bad_settings", wording.complaint(str(error)).sentence, "settings") from None
    plain = plain_settings(settings)
    hidden = {one.name for one in needs(module.CHANNEL) if one.secret}
    return (
        {name: value for name, value in plain.items() if name not in hidden},
        {name: value for name, value in plain.items() if name in hidden and value is not None},
    )


def plain_name(name: str) -> str:
    """A name for a connection. Raises Refusal."""
    if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
        raise Refusal("bad_settings", f"a name has 1 to {NAME_LIMIT} printable characters", "name")
    return name


# --- places -------------------------------------------------------------------------------------------


def _place(
    connection: Connection,
    account: int,
    link: Linked,
    module: Kind,
    who: str,
    places: Sequence[Place],
    rules: Rules | None,
    feeds: Mapping[str, Sequence[str]] | None,
    now: int,
) -> Began:
    mine = [one for one in catalog.locations(connection, account) if one.kind == "stock" and one.active]
    named = {one.id: one.name for one in mine}
    writable = [place for place in places if place.ours]
    fed = _feeds(mine, link.locations, writable, feeds)
    made = rules or Rules()
    if made.places is None and made.locations is None:
        made = (
            msgspec.structs.replace(made, places=fed)
            if writable
            else msgspec.structs.replace(made, locations=fed.get(""))
        )
    linking.change(connection, account, link.id, {"rules": made})
    mirrored = [place for place in places if not place.ours]
    _mirror(connection, account, link, mirrored, now)
    titles = {place.id: place.name for place in places}
    used = {at for some in fed.values() for at in some}
    return Began(
        link.id,
        link.channel,
        link.name,
        who,
        {titles.get(place, place): [named[at] for at in some] for place, some in fed.items()},
        [one.name for one in mine if one.id not in used],
        [place.name for place in mirrored],
        kind.pulls(module) is not None,
        notes=list(_notes(connection, account)),
    )


def _notes(connection: Connection, account: int) -> Iterator[str]:
    """What a person should know before orders of this shop are taken in."""
    if kept := unlinking.kept(connection, account, ORDERS, KEPT_NAMED + 1):
        names = ", ".join(kept[:KEPT_NAMED]) + (" and others" if len(kept) > KEPT_NAMED else "")
        yield (
            f"orders of removed connections still hold units ({names}): those of this shop that are open are"
            " held once more now, so release the old ones over the API"
        )


def _feeds(
    mine: Sequence[Location],
    usual: Sequence[int],
    places: Sequence[Place],
    asked_for: Mapping[str, Sequence[str]] | None,
) -> dict[str, tuple[int, ...]]:
    """Which of our locations feed which place, by its id: as asked for, else the only place is fed by all
    of the account's own, else places are fed by locations of their name, else the default one by all."""
    ids = {one.name: one.id for one in mine}
    if asked_for:
        theirs = {place.name: place.id for place in places} | {place.id: place.id for place in places}
        theirs |= {} if places else {"": ""}
        return {
            _named(theirs, place, "place of the channel"): tuple(_named(ids, one, "location") for one in some)
            for place, some in asked_for.items()
        }
    if not places:
        return {"": tuple(usual)}
    if len(places) == 1:
        return {places[0].id: tuple(usual)}
    folded = {one.name.strip().casefold(): one.id for one in mine}
    same: dict[str, tuple[int, ...]] = {
        place.id: (folded[place.name.strip().casefold()],)
        for place in places
        if place.name.strip().casefold() in folded
    }
    if same:
        return same
    default = next((place for place in places if place.default), places[0])
    return {default.id: tuple(usual)}


def _named(known: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in known:
        names = ", ".join(repr(one) for one in sorted(known)) or "none"
        raise Refusal("unknown_location", f"there is no {what} {name!r}; there are: {names}", "feeds")
    return known[name]


def _mirror(connection: Connection, account: int, link: Linked, places: Sequence[Place], now: int) -> None:
    """A mirrored location of ours for each place that the channel itself fills."""
    own = next((one.id for one in catalog.sellers(connection, account) if one.own), None)
    space = f"connection:{link.id}"
    known = channels.internals(connection, account, space, "location", [place.id for place in places])
    taken = {one.name for one in catalog.locations(connection, account)}
    pairs = {}
    for place in places:
        if own is None:
            break
        if place.id in known:
            continue
        name = f"{link.name}: {place.name}"[:NAME_LIMIT]
        name = name if name not in taken else f"{name} ({link.id})"
        taken.add(name)
        made = catalog.add_location(connection, account, Location(0, name, own, mirroring.MIRRORED), now)
        pairs[place.id] = str(made.id)
    channels.map_ids(connection, account, space, "location", pairs)


# --- listings -----------------------------------------------------------------------------------------


async def page(equipment: Equipment, account: int, link: int, cursor: str | None = None) -> Imported:
    """Import a page of what the channel shows, from ``cursor`` on. Raises Refusal."""
    if cursor is not None and not (cursor.isascii() and cursor.isprintable() and len(cursor) <= CURSOR_LIMIT):
        # All that was given for one is so, and connectors read numbers out of it.
        raise Refusal("bad_cursor", "this is no cursor that an import has given", "cursor")
    session = await equipment.session(account, link)
    pull = kind.pulls(session.module)
    if pull is None:
        raise Refusal("not_allowed", f"{session.module.CHANNEL.title} cannot be asked what it shows")
    at = equipment.now()
    shown = await asked(session, lambda settings: pull(settings, cursor))
    inventory = equipment.inventory
    done = await inventory.write(
        account, lambda c: _keep(c, account, link, session.module, shown, at, equipment.now())
    )
    found = await inventory.read(account, lambda c: _mine(c, account, link, session.module, shown), long=True)
    await mirroring.mirror(inventory, account, link, found)
    return done


def _mine(
    connection: Connection, account: int, link: int, module: Kind, shown: Page
) -> list[mirroring.Found]:
    names = {external_id(module.CHANNEL, one.ids): one for one in shown.seen}
    ids = observing.listings_of(connection, account, link, names)
    return [mirroring.Found(ids[name], one) for name, one in names.items() if name in ids]


def _keep(
    connection: Connection, account: int, link: int, module: Kind, shown: Page, at: int, now: int
) -> Imported:
    if linking.held(connection, account, link) is None:
        unknown_connection()  # it was removed while the channel was asked
    items = lookup.items(connection, account, {one.sku for one in shown.seen if one.sku})
    good: list[Found] = []
    unmatched: list[Unmatched] = []
    sights: dict[str, Seen] = {}
    for seen in shown.seen:
        name = external_id(module.CHANNEL, seen.ids)
        why = _why_not(seen, items, name)
        if why is not None:
            unmatched.append(Unmatched(seen.sku, seen.title, dict(seen.ids), why))
            continue
        good.append(Found(name, items[seen.sku or ""], seen.ids, seen.sku, seen.writable))
        sights[name] = seen
    feeding.follow(connection, account, link, {one.external_id: one.sku for one in good}, now)
    new, ids = linking.keep_listings(connection, account, link, good, now)
    feeding.refeed(connection, account, new)
    observing.observe(
        connection,
        account,
        [
            Sight(ids[name], one.location or "", one.quantity, one.token, one.committed, at)
            for name, seen in sights.items()
            for one in seen.shown
        ],
        now,
    )
    feeding.mark(connection, account, new, now)
    return Imported(shown.cursor, len(shown.seen), len(new), len(ids) - len(new), unmatched)


def _why_not(seen: Seen, items: Mapping[str, int], name: str) -> str | None:
    if not name:
        return "the channel gives it no id"
    if not seen.sku:
        return "it has no SKU there"
    if seen.sku not in items:
        return "there is no item with this SKU"
    return None


async def finish(equipment: Equipment, account: int, link: int, *, paused: bool = False) -> Finished:
    """Let the courier tell the connection, unless it stays ``paused``. One that is finished already stays as
    it is: somebody may have paused it meanwhile. Raises Refusal."""

    def unit(connection: Connection) -> Finished:
        found = linking.held(connection, account, link)
        if found is None:
            unknown_connection()
        if found.unfinished:
            linking.change(connection, account, link, {"paused": paused, "unfinished": False})
        state = drives.status(connection, account, link)[0]
        return Finished(state.backlog, state.paused)

    done = await equipment.inventory.write(account, unit)
    equipment.inventory.marked({(account, link)})
    return done
