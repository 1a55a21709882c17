"""Claims stale listings of one connection, computes what they should show, tells the channel, and settles.

Several lanes of a connection run side by side; each takes its place in the channel's limits *before* it
claims, so that numbers are computed when they are sent, and a channel that is slow or strict gets few and
full batches.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial

import structlog
from msgspec.structs import replace

from onhand.connectors.channel import (
    Guard,
)
from onhand.connectors.flow import (
    Later,
    Target,
    Unsure,
    Verdict,
)
from onhand.courier import aiming, bisecting, settling
from onhand.courier.flows import Session, Stopping
from onhand.courier.office import Office
from onhand.courier.tally import Tally
from onhand.store import outgoing, told
from onhand.store.drives import LeaseLost
from onhand.store.outgoing import Aim, Claimed
from onhand.store.told import Told

LONG_READ = 50
"""Listings that are read on the event loop itself at most."""
PATIENCE_SECONDS = 1.0
"""How long a push waits when it is throttled: longer, and its numbers are computed anew."""
WORDS = "the connector failed: "

log = structlog.get_logger(__name__)


class Lanes:
    """What the lanes of one connection share."""

    def __init__(self, office: Office, account: int, link: int, session: Session, tally: Tally) -> None:
        self._office = office
        self._account, self._link = account, link
        self._session = session
        self._tally = tally
        self._channel = session.module.CHANNEL
        self._claiming = asyncio.Lock()
        self._under_way: set[int] = set()
        self._resting: dict[int, int] = {}
        self.called = True
        """Whether there may be something due that nobody has looked for."""
        self.full = False
        """Whether the last batch was a full one, and more may wait."""
        self.ending = False
        """Whether nothing more is to be begun."""
        self.next_due: int | None = None
        """When something is due that was not at the last look, in microseconds UTC."""

    async def run(self) -> None:
        """Tell batch after batch, until nothing is due or the channel is down. Raises LeaseLost, Stopping."""
        bucket = self._session.first or (self._channel.limits[0].name if self._channel.limits else "default")
        while not self.ending and not self._office.way.stopping.is_set():
            await self._session.ready(bucket)
            probing = not self._session.circuit.closed
            claimed = None
            if self._session.circuit.waits(self._office.way.now()) == 0:
                claimed = await self._claim(early=probing)
            if claimed is None or not claimed.aims:
                self._session.pace.give_back(bucket)
                return
            aims = {one.stale.listing: one for one in claimed.aims}
            try:
                await self._tell(aims, claimed, bucket)
            finally:
                # What was settled is not here any more: another lane may have claimed it again.
                self._under_way.difference_update(aims)
            if probing:
                return
            bucket = self._session.first or bucket

    # --- claiming ---------------------------------------------------------------------------------

    async def _claim(self, *, early: bool) -> Claimed:
        # One at a time: what another lane settles while we read is not stale any more, whatever we read.
        async with self._claiming:
            return await self._claimed(early=early)

    async def _claimed(self, *, early: bool) -> Claimed:
        self.called = False
        now = self._office.way.clock.now()
        without = self._under_way | self._rest(now)
        many = self._channel.batch
        query = partial(
            outgoing.claim,
            account=self._account,
            link=self._link,
            now=now,
            limit=many,
            without=without,
            early=early,
            futures=self._channel.futures,
        )
        claimed = await self._office.inventory.read(self._account, query, long=many > LONG_READ)
        self._under_way.update(one.stale.listing for one in claimed.aims)
        self.full = claimed.full
        self.next_due = claimed.next_due
        if self._resting and not claimed.aims:
            ends = min(self._resting.values())
            self.next_due = ends if self.next_due is None else min(ends, self.next_due)
        return claimed

    def _rest(self, now: int) -> set[int]:
        self._resting = {one: until for one, until in self._resting.items() if until > now}
        return set(self._resting)

    # --- telling ----------------------------------------------------------------------------------

    async def _tell(self, aims: dict[int, Aim], claimed: Claimed, bucket: str) -> None:
        way = self._office.way
        way.probe("claimed")
        targets = {
            one.stale.listing: aiming.target(one, claimed.rules, self._channel)
            for one in claimed.aims
            if one.listed.writable and one.listed.slots
        }
        rest = [settling.unsent(one) for one in claimed.aims if one.stale.listing not in targets]
        if rest:
            await self._settle(aims, rest)
        if not targets:
            self._session.pace.give_back(bucket)
            return
        if self._channel.guard is Guard.DELTA:
            await self._forget(targets)
        way.probe("prepared")
        paid: list[str] = [bucket]

        async def push(some: Sequence[Target]) -> Sequence[Verdict]:
            return await self._push(some, paid.pop() if paid else None)

        ended = bisecting.verdicts(push, list(targets.values()), lambda: way.probe("split"))
        async for verdicts in ended:
            way.probe("told")
            now = way.clock.now()
            found = [self._judged(aims, one, now, way.lots) for one in verdicts]
            await self._settle(aims, found)
            way.probe("settled")

    async def _push(self, targets: Sequence[Target], paid: str | None) -> Sequence[Verdict]:
        """The verdicts of one flow. What a module must not do (raise, forget a target) puts the batch off."""
        module = self._session.module
        try:
            verdicts = await self._session.run(
                lambda settings: module.push(settings, targets), patience=PATIENCE_SECONDS, prepaid=paid
            )
            if [one.target.listing for one in verdicts] == [one.listing for one in targets]:
                # A module may have told a target of its own making; what is settled is ours.
                return [replace(one, target=ours) for one, ours in zip(verdicts, targets, strict=True)]
            words = f"{WORDS}{len(verdicts)} verdicts for {len(targets)} targets"
            log.error(words, channel=self._channel.name)
        except (Stopping, LeaseLost):
            raise
        except Exception as error:
            words = WORDS + repr(error)
            log.exception("a connector failed", channel=self._channel.name)
        self._session.circuit.failed(words, self._office.way.now(), self._office.way.lots)
        return [Later(one, words) for one in targets]

    async def _forget(self, targets: dict[int, Target]) -> None:
        unit = partial(
            told.before_delta,
            account=self._account,
            link=self._link,
            owner=self._office.owner,
            ids=list(targets),
        )
        await self._office.inventory.write(self._account, unit, quiet=True)

    def _judged(self, aims: dict[int, Aim], verdict: Verdict, now: int, lots: random.Random) -> Told:
        aim = aims[verdict.target.listing]
        found = settling.told(aim, verdict.target, verdict, now, lots)
        if found.accepted:
            self._tally.lag(now - aim.stale.marked_at)
        elif found.parked is not None:
            self._tally.refused += 1
        elif isinstance(verdict, (Later, Unsure)):
            self._tally.put_off += 1
        return found

    async def _settle(self, aims: dict[int, Aim], found: Sequence[Told]) -> None:
        inventory, now = self._office.inventory, self._office.way.clock.now()
        unit = partial(
            told.settle,
            account=self._account,
            link=self._link,
            owner=self._office.owner,
            found=found,
            now=now,
        )
        await inventory.write(self._account, unit, quiet=True)
        until = now + int(self._office.beats.rest * 1_000_000)
        for one in found:
            self._under_way.discard(one.listing)
            self._resting[one.listing] = until
            aims.pop(one.listing, None)
        self.called = True
