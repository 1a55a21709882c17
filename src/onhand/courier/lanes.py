"""Claims stale listings of one connection, computes what they should show, tells the channel, and settles.

Several lanes of a connection run side by side; each takes its place in the channel's limits *before* it
claims, so that numbers are computed when they are sent, and a channel that is slow or strict gets few and
full batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from msgspec.structs import replace

from onhand.connectors.channel import (
    Guard,
)
from onhand.connectors.flow import (
    Later,
    Stale,
    Target,
    Unsure,
    Verdict,
)
from onhand.courier import aiming, bisecting, settling
from onhand.courier.flows import Session, Stopping
from onhand.courier.office import Office
from onhand.courier.tally import Tally
from onhand.store import claiming, outgoing, told
from onhand.store.drives import LeaseLost
from onhand.store.outgoing import Aim, Claimed
from onhand.store.told import Told

LONG_READ = 50
"""Listings that are read on the event loop itself at most."""
LOOK_AHEAD = 1_000
"""Stale listings that are noted at one look into the outbox; their numbers are read when they are told."""
PATIENCE_SECONDS = 1.0
"""How long a push waits when it is throttled: longer, and its numbers are computed anew."""
WORDS = "the connector failed: "

log = structlog.get_logger(__name__)


class _Said:
    """What became of some listings, waiting to be written; ``error`` is why it was not."""

    __slots__ = ("ended", "error", "found")

    def __init__(self, found: Sequence[Told]) -> None:
        self.found = found
        self.ended = False
        self.error: Exception | None = None


class Lanes:
    """What the lanes of one connection share."""

    def __init__(
        self,
        office: Office,
        account: int,
        link: int,
        session: Session,
        tally: Tally,
        asks: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """``asks`` has the orders asked for that the channel had at a time, in microseconds UTC."""
        self._asks = asks
        self._office = office
        self._account, self._link = account, link
        self._session = session
        self._tally = tally
        self._channel = session.module.CHANNEL
        self._claiming = asyncio.Lock()
        self._under_way: set[int] = set()
        self._resting: dict[int, int] = {}
        self._waiting: deque[int] = deque()
        self._more = False
        self._writing = asyncio.Lock()
        self._unwritten: list[_Said] = []
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
        bucket = self._session.bucket
        while not self.ending and not self._office.way.stopping.is_set():
            await self._session.ready(bucket)
            probing = not self._session.circuit.closed
            claimed = None
            if self._session.circuit.waits(self._office.way.now()) == 0:
                claimed = await self._claim(early=probing)
            if claimed is None or not claimed.aims:
                self._session.pace.give_back(bucket)
                return
            aims = {one.stale.listing: _anew(one) if probing else one for one in claimed.aims}
            try:
                await self._tell(aims, claimed, bucket)
            finally:
                # What was settled is not here any more: another lane may have claimed it again.
                self._under_way.difference_update(aims)
            if probing:
                return
            bucket = self._session.bucket

    # --- claiming ---------------------------------------------------------------------------------

    async def _claim(self, *, early: bool) -> Claimed:
        # One at a time: what another lane settles while we read is not stale any more, whatever we read.
        async with self._claiming:
            return await self._claimed(early=early)

    async def _claimed(self, *, early: bool) -> Claimed:
        now = self._office.way.clock.now()
        while True:
            ids = await self._next(now, early=early)
            query = partial(
                claiming.claim,
                account=self._account,
                link=self._link,
                now=now,
                ids=ids,
                early=early,
                futures=self._channel.futures,
            )
            long = len(ids) > LONG_READ
            claimed = await self._office.inventory.read(self._account, query, long=long)
            if claimed.paused:
                # Who resumes it calls; until then there is nothing to look for.
                self._waiting.clear()
                self.full = False
                return claimed
            self._under_way.update([one.stale.listing for one in claimed.aims])
            self.full = self._more or bool(self._waiting)
            if claimed.aims or not ids:
                return claimed

    async def _next(self, now: int, *, early: bool) -> list[int]:
        """A batch of stale listings that nobody tells, longest waiting first; none when there are none."""
        many = self._channel.batch
        found: list[int] = []
        if early:
            self._waiting.clear()
        while len(found) < many:
            if not self._waiting and (found or not await self._look(now, early=early)):
                break
            one = self._waiting.popleft()
            if one not in self._under_way and self._resting.get(one, 0) <= now:
                found.append(one)
        return found

    async def _look(self, now: int, *, early: bool) -> bool:
        """Note what is due, or what is not yet if ``early``; whether there was something."""
        self.called = False
        self._resting = {one: until for one, until in self._resting.items() if until > now}
        without = self._under_way | self._resting.keys()
        limit = max(LOOK_AHEAD, self._channel.batch) + len(without)
        until = outgoing.FOREVER if early else now
        due = partial(outgoing.due, account=self._account, link=self._link, until=until, limit=limit)
        found = await self._office.inventory.read(self._account, due)
        self._waiting.extend(one for one in found if one not in without)
        self._more = len(found) == limit
        self.next_due = None
        if not self._more:
            query = partial(outgoing.next_due, account=self._account, link=self._link, now=now)
            ends = [await self._office.inventory.read(self._account, query)]
            if not self._waiting:
                ends += self._resting.values()
            self.next_due = min((one for one in ends if one is not None), default=None)
        return bool(self._waiting)

    # --- telling ----------------------------------------------------------------------------------

    async def _tell(self, aims: dict[int, Aim], claimed: Claimed, bucket: str) -> None:
        way = self._office.way
        way.probe("claimed")
        targets = {
            one.stale.listing: aiming.target(one, claimed.rules, self._channel)
            for one in claimed.aims
            if one.listed.writable and one.listed.slots and not aiming.left_alone(one.listed, claimed.rules)
        }
        if len(targets) < len(claimed.aims):
            rest = [settling.unsent(one) for one in claimed.aims if one.stale.listing not in targets]
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
        # Who is cut off here leaves nothing that would go on when the garbage is found.
        async with contextlib.aclosing(ended):
            async for verdicts in ended:
                way.probe("told")
                await self._hear(aims, verdicts)
                way.probe("settled")

    async def _hear(self, aims: dict[int, Aim], verdicts: Sequence[Verdict]) -> None:
        way = self._office.way
        now = way.clock.now()
        moved = [one for one in verdicts if type(one) is Stale]
        still = [one for one in verdicts if type(one) is not Stale] if moved else verdicts
        if still:
            await self._settle(aims, [self._judged(aims, one, now, way.lots) for one in still])
        if moved:
            # It has probably sold, and what it is told next must know of that: until it is settled, no
            # lane tells it.
            if self._asks is not None:
                await self._asks(now)
            await self._settle(aims, [self._judged(aims, one, now, way.lots) for one in moved])

    async def _push(self, targets: Sequence[Target], paid: str | None) -> Sequence[Verdict]:
        """The verdicts of one flow. What a module must not do (raise, forget a target) puts the batch off."""
        module = self._session.module
        try:
            verdicts = await self._session.run(
                lambda settings: module.push(settings, targets),
                patience=PATIENCE_SECONDS,
                prepaid=paid,
                tells=True,
            )
            if [one.target.listing for one in verdicts] == [one.listing for one in targets]:
                # A module may have told a target of its own making; what is settled is ours.
                pairs = zip(verdicts, targets, strict=True)
                return [one if one.target is ours else replace(one, target=ours) for one, ours in pairs]
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
        await self._write(_Said(found))
        until = self._office.way.clock.now() + int(self._office.beats.rest * 1_000_000)
        ended = [one.listing for one in found]
        self._under_way.difference_update(ended)
        self._resting.update(dict.fromkeys(ended, until))
        for one in ended:
            aims.pop(one, None)
        self.called = True

    async def _write(self, mine: _Said) -> None:
        """Write what became of listings; what other lanes have to write meanwhile goes with it."""
        self._unwritten.append(mine)
        async with self._writing:
            if not mine.ended:
                all_of_them, self._unwritten = self._unwritten, []
                for one in all_of_them:
                    # Until it is known better: who is cut off here leaves the others with this.
                    one.ended, one.error = True, Stopping()
                await self._written(all_of_them)
        if mine.error is not None:
            raise mine.error

    async def _written(self, all_of_them: Sequence[_Said]) -> None:
        error = await self._tried([told for one in all_of_them for told in one.found])
        for one in all_of_them:
            # What cannot be written must not keep what others have to write from being written.
            alone = error is not None and len(all_of_them) > 1 and not isinstance(error, LeaseLost)
            one.error = await self._tried(one.found) if alone else error

    async def _tried(self, found: Sequence[Told]) -> Exception | None:
        unit = partial(
            told.settle,
            account=self._account,
            link=self._link,
            owner=self._office.owner,
            found=found,
            now=self._office.way.clock.now(),
        )
        try:
            await self._office.inventory.write(self._account, unit, quiet=True)
        except Exception as error:  # noqa: BLE001 - each of the lanes raises its own
            return error
        return None


def _anew(one: Aim) -> Aim:
    """As if it had not been tried yet: how often a channel that was down could not be told is not held
    against what it puts off when it is back."""
    return replace(one, stale=replace(one.stale, attempts=0))
