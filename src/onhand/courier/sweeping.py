"""Looks at all that a channel shows, page by page: keeps it, finds drift, says why, and heals it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from onhand.connectors.channel import (
    Channel,
)
from onhand.connectors.flow import (
    OFF_SALE,
    Failed,
    Flow,
    Page,
    Seen,
)
from onhand.connectors.kind import Pull, external_id
from onhand.courier import aiming, judging, mirroring
from onhand.courier.flows import Session
from onhand.courier.mirroring import Found
from onhand.inventory import Inventory
from onhand.stock.offering import Offer, Rules
from onhand.store import drives, feeding, observing, outgoing
from onhand.store.books import Marked
from onhand.store.observing import Sight
from onhand.store.outgoing import Listed

T = TypeVar("T")

MISSED_AT_ONCE = 1_000
NEVER = -1
"""No time at all: neither of a sweep nor of asking for one."""
NOT_COUNTED = -1
"""Stands for the number of a listing that its channel does not count, which sells without end: it is like no
offer."""


class Sweep:
    """One look at everything a connection's channel shows. ``orders`` asks the channel for its orders
    first, before a number that differs is taken for drift: it may have sold."""

    def __init__(
        self,
        inventory: Inventory,
        session: Session,
        account: int,
        link: int,
        owner: str,
        orders: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._inventory = inventory
        self._session = session
        self._account, self._link, self._owner = account, link, owner
        self._orders = orders
        self._channel: Channel = session.module.CHANNEL

    async def run(self, pull: Pull, cursor: str | None) -> None:
        """Every page from ``cursor`` on. Where it stands is kept, so that another courier goes on there.
        Raises `flow.Failed` and `drives.LeaseLost`."""
        began = self._inventory.now() if cursor is None else None
        before = await self._read(self._swept_at)
        if began is None and before is not None and before <= 0:
            before = NEVER  # what was seen before it was asked for does not count
        while True:
            at = self._inventory.now()
            page = await self._pulled(pull, cursor)
            await self._page(page, at)
            cursor = page.cursor
            if cursor is None:
                break
            await self._note({"pull_cursor": cursor})
        if began is not None:
            await self._gone(began)
        await self._write(partial(drives.swept, before=before, at=self._inventory.now()))

    async def _pulled(self, pull: Pull, cursor: str | None) -> Page:
        """A page. Channels' cursors do not live for ever: one that is refused is forgotten, so that the next
        sweep begins anew and is not refused for good. Raises `flow.Failed` and `drives.LeaseLost`."""
        try:
            return await self._session.run(_from(pull, cursor))
        except Failed as failed:
            if cursor is not None and not failed.retry and not failed.login:
                await self._note({"pull_cursor": None})
            raise

    async def look(self, seen: Sequence[Seen], at: int) -> None:
        """The same for some listings that were shown in a request that began ``at``."""
        await self._page(Page(tuple(seen)), at)

    # --- a page -----------------------------------------------------------------------------------

    async def _page(self, page: Page, at: int) -> None:
        found = await self._read(lambda c: self._ours(c, page.seen))
        if not found:
            return
        await mirroring.mirror(self._inventory, self._account, self._link, found)
        # What was told after this time may not be shown yet: that is no drift.
        shown = at - int(page.behind * 1_000_000)
        if self._orders is not None and await self._read(lambda c: self._odd(c, found, shown)):
            await self._orders()
        skus = {external_id(self._channel, one.ids): one.sku for one in page.seen}
        unit = partial(self._keep, found=found, skus=skus, at=at, shown=shown)
        marked = await self._inventory.write(self._account, unit, quiet=True)
        if marked:
            self._inventory.marked(marked)

    def _ours(self, connection: Connection, seen: Sequence[Seen]) -> list[Found]:
        names = {external_id(self._channel, one.ids): one for one in seen}
        ids = observing.listings_of(connection, self._account, self._link, names)
        return [Found(ids[name], one) for name, one in names.items() if name in ids]

    def _causes(
        self, connection: Connection, found: Sequence[Found], at: int
    ) -> Iterator[tuple[observing.Known, str | None, int | None]]:
        now = self._inventory.now()
        listed = self._listed(connection, found)
        known = observing.known(connection, self._account, listed)
        rules = outgoing.rules_of(connection, self._account, self._link)
        offered = _offered(listed.values(), rules)
        for one in found:
            off = listed[one.listing].notes.get(OFF_SALE) and not one.seen.active
            alone = aiming.left_alone(listed[one.listing], rules)
            for shown in one.seen.shown if one.seen.writable else ():
                slot = known.get((one.listing, shown.location or ""))
                if slot is None:
                    continue
                made, units = offered[slot[:2]], shown.quantity  # net on a gross channel, too
                if alone or (units is None and made.infinite):
                    yield slot, None, None
                elif units is None and slot.acknowledged is not None:
                    # It was told a number, and somebody there has switched counting off.
                    yield slot, judging.cause(slot, NOT_COUNTED, made.units, at, now), None
                elif units is not None:
                    units = 0 if off else units
                    most = min(made.units, self._channel.largest)
                    yield slot, judging.cause(slot, units, most, at, now), units

    def _listed(self, connection: Connection, found: Sequence[Found]) -> dict[int, Listed]:
        listings = [one.listing for one in found]
        now = self._inventory.now()
        return {one.id: one for one in outgoing.listed(connection, self._account, listings, now)}

    def _odd(self, connection: Connection, found: Sequence[Found], at: int) -> bool:
        # What it refuses, or is not told yet, differs anyhow: to ask for its orders would change nothing.
        return any(why in judging.HEALED for _, why, _ in self._causes(connection, found, at))

    def _keep(
        self,
        connection: Connection,
        found: Sequence[Found],
        skus: Mapping[str, str | None],
        at: int,
        shown: int,
    ) -> set[Marked]:
        """Write a page: what was seen, what drifted and what does not any more; what is to be healed."""
        drives.require(connection, self._account, self._link, self._owner)
        now = self._inventory.now()
        moved = feeding.follow(connection, self._account, self._link, skus, now)
        judged = list(self._causes(connection, found, shown))
        sights = [sight for one in found for sight in _sights(one, at)]
        observing.observe(connection, self._account, sights, now, at - shown)
        if renamed := self._renamed(connection, found):
            # Others learn ids, too: what is written is made of what is kept now.
            feeding.hold(connection, self._account, renamed)
            observing.set_ids(connection, self._account, self._renamed(connection, found))
        observing.set_writable(connection, self._account, [(one.listing, one.seen.writable) for one in found])
        observing.healed(connection, self._account, [s[:2] for s, why, _ in judged if why is None], now)
        drifted = [(s, why, units) for s, why, units in judged if why is not None]
        return moved | self._report(connection, drifted)

    def _renamed(self, connection: Connection, found: Sequence[Found]) -> dict[int, Mapping[str, str]]:
        """The listings of which the channel tells other ids than are kept: what is told by those that are
        gone would be refused, or would not be what buyers see."""
        listed = self._listed(connection, found)
        now = {one.listing: {**listed[one.listing].ids, **one.seen.ids} for one in found}
        return {number: ids for number, ids in now.items() if ids != listed[number].ids}

    def _report(
        self, connection: Connection, drifted: Sequence[tuple[observing.Known, str, int | None]]
    ) -> set[Marked]:
        now = self._inventory.now()
        observing.report(connection, self._account, drifted, now)
        if outgoing.rules_of(connection, self._account, self._link).heal is False:
            return set()
        stale = {slot.listing for slot, why, _ in drifted if why in judging.HEALED}
        return feeding.mark(connection, self._account, stale, now)

    # --- listings that are gone -------------------------------------------------------------------

    async def _gone(self, began: int) -> None:
        """After a whole sweep: what was shown before and is not any more."""
        after = 0
        while missed := await self._read(partial(self._missed, began=began, after=after)):
            after = max(listing for listing, _ in missed)
            unit = partial(self._lose, missed=missed, began=began)
            self._inventory.marked(await self._inventory.write(self._account, unit, quiet=True))

    def _missed(self, connection: Connection, began: int, after: int) -> list[tuple[int, str]]:
        return observing.missed(connection, self._account, self._link, began, after, MISSED_AT_ONCE)

    def _lose(self, connection: Connection, missed: Sequence[tuple[int, str]], began: int) -> set[Marked]:
        drives.require(connection, self._account, self._link, self._owner)
        known = observing.known(connection, self._account, [listing for listing, _ in missed])
        now = self._inventory.now()
        causes = [(known[slot], judging.cause(known[slot], None, -1, began, now), None) for slot in missed]
        return self._report(connection, [(slot, why, None) for slot, why, _ in causes if why is not None])

    # --- the ledger -------------------------------------------------------------------------------

    async def _read(self, query: Callable[[Connection], T]) -> T:
        return await self._inventory.read(self._account, query, long=True)

    def _swept_at(self, connection: Connection) -> int | None:
        row = drives.driven(connection, self._account, self._link)
        return None if row is None else row.swept_at

    async def _note(self, values: dict[str, Any]) -> None:
        await self._write(partial(drives.note, values=values))

    async def _write(self, note: Callable[..., None]) -> None:
        def unit(connection: Connection) -> None:
            drives.require(connection, self._account, self._link, self._owner)
            note(connection, self._account, self._link)

        await self._inventory.write(self._account, unit, quiet=True)


def _from(pull: Pull, cursor: str | None) -> Callable[[Any], Flow[Page]]:
    return lambda settings: pull(settings, cursor)


def _sights(found: Found, at: int) -> Iterator[Sight]:
    for one in found.seen.shown:
        yield Sight(found.listing, one.location or "", one.quantity, one.token, one.committed, at)


def _offered(found: Iterable[Listed], rules: Rules) -> dict[tuple[int, str], Offer]:
    """What every slot of these listings should show now."""
    return {
        (listed.id, slot.place): made
        for listed in found
        for slot, made in zip(listed.slots, aiming.offers(listed, rules), strict=True)
    }
