"""What is to be done for one connection, and when: lanes that tell it, sweeps that look, polls for orders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from onhand.connectors import kind
from onhand.connectors.flow import Failed
from onhand.courier.flows import Session, Stopping
from onhand.courier.lanes import Lanes
from onhand.courier.office import Office
from onhand.courier.ports import Crash
from onhand.courier.sweeping import Sweep
from onhand.courier.tally import Tally
from onhand.store import drives
from onhand.store.drives import Driven, LeaseLost

LANES = 8
BIG_BATCH, BIG_LANES = 1_000, 2
"""A channel that takes big batches gets few at once: they are what is held in memory."""
PAUSE_SECONDS = 1.0
"""After something of ours failed."""
MICROSECONDS = 1_000_000
LANE, SWEEP, POLL, LOOK = "lane", "sweep", "poll", "look"
LOOK_SECONDS = 1.0
"""Between two looks at what webhooks named."""
HINTED_SWEEP_SECONDS = 300.0
"""Between two sweeps that a webhook asks for, where the channel cannot show single listings."""

log = structlog.get_logger(__name__)


class Errands:
    """The tasks of one connection. ``row`` is the connection as it was read last, ``wake`` is set when
    something ended; ``ended`` is what ends the whole drive."""

    def __init__(
        self, office: Office, account: int, row: Driven, session: Session, tally: Tally, wake: asyncio.Event
    ) -> None:
        self.row = row
        self.session = session
        self.tasks: dict[asyncio.Task[None], str] = {}
        self.ended: BaseException | None = None
        self.stale_row = False
        """Whether something has just written what ``row`` shows of sweeps and polls."""
        self._office = office
        self._account, self._link = account, row.link
        self._tally = tally
        self._wake = wake
        asks = self._orders_after if self._takes_orders() else None
        self._lanes = Lanes(office, account, row.link, session, tally, asks)
        self._polling = asyncio.Lock()
        self._asked_at = 0
        """When the last poll began that came to its end."""
        self._looked_at = 0.0
        self._started_at = 0.0
        self._tried: float | None = None
        """The time of the circuit when a lane was begun last."""
        self._not_before: dict[str, float] = {}

    def call(self) -> None:
        """Something has become stale, or due."""
        self._lanes.called = True

    async def end(self, grace: float) -> None:
        """Begin nothing more, and give what was sent ``grace`` seconds to be settled."""
        self._lanes.ending = True
        for task, name in list(self.tasks.items()):
            if name != LANE:
                task.cancel()
        if tasks := list(self.tasks):
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- when -------------------------------------------------------------------------------------

    def due_in(self) -> float:
        """Seconds until something is due; 0 when it is."""
        now, circuit = self._office.way.now(), self.session.circuit
        waits = [self._lane_in(now)]
        if self._may_ask():
            waits += [self._timer(name) - now for name in (SWEEP, POLL, LOOK)]
        return max(0.0, min(waits), circuit.waits(now))

    def begin(self) -> None:
        """Begin all that is due, as far as the channel is up."""
        now, circuit = self._office.way.now(), self.session.circuit
        if circuit.waits(now) > 0:
            return
        if self._lane_in(now) <= 0:
            self._started_at, self._tried = now, circuit.open_until
            self._lanes.called = self._lanes.full = False
            self._lanes.next_due = None
            self._start(LANE, self._lanes.run())
        if self.stale_row:
            return  # what has just come to its end would be begun again
        for name, work in ((SWEEP, self._sweep), (POLL, self._ask_for_orders), (LOOK, self._look)):
            if now >= self._timer(name) and self._may_ask():
                self._start(name, self._attempt(name, work))

    def _running(self) -> int:
        return sum(name == LANE for name in self.tasks.values())

    def _may_ask(self) -> bool:
        """Whether a sweep or a poll may be begun. One is the try of a channel that was down, too, where
        there is nothing to tell: or it would be taken for down until something is."""
        return self.session.circuit.closed or not self.tasks

    def _lane_in(self, now: float) -> float:
        """Seconds until a lane may be begun, not above 0 when one may; never where nothing is to be told,
        or where only the end of another, which wakes us, makes room."""
        lanes, running, circuit = self._lanes, self._running(), self.session.circuit
        channel = self.session.module.CHANNEL
        most = min(BIG_LANES if channel.batch >= BIG_BATCH else LANES, channel.parallel or LANES)
        if running >= (most if circuit.closed else 1):
            return float("inf")
        due = float("inf") if lanes.next_due is None else lanes.next_due / MICROSECONDS
        # A channel that was down is tried with what was put off because of it, before that is due.
        if lanes.called or lanes.full or self._tried != circuit.open_until:
            due = 0.0
        due = max(due, self._not_before.get(LANE, 0.0))
        if running and not lanes.full:
            due = max(due, self._started_at + self._office.beats.gather)
        return due - now

    def _timer(self, name: str) -> float:
        """When the next sweep, poll or look is due, in seconds; never for what the channel cannot."""
        row, module, now = self.row, self.session.module, self._office.way.clock.now()
        if name == LOOK:
            able, last, every = self._may_look(), self._looked_at, LOOK_SECONDS
        elif name == SWEEP:
            able, last = kind.pulls(module) is not None, drives.past(row.swept_at, now) / MICROSECONDS
            every = row.rules.sweep or self._office.sweep
            if row.hints and not self._may_look():
                every = min(every, HINTED_SWEEP_SECONDS)
        else:
            able, last = self._takes_orders(), drives.past(row.polled_at, now) / MICROSECONDS
            every = row.rules.poll or self._office.poll
        if not able or name in self.tasks.values():
            return float("inf")
        return max(last + every, self._not_before.get(name, 0.0))

    def _may_look(self) -> bool:
        """Whether what webhooks named can be looked at by itself."""
        if not self.row.hints or drives.EVERYTHING in (wanted := self.row.wanted):
            return False
        return not wanted or kind.looks(self.session.module) is not None

    def _takes_orders(self) -> bool:
        return kind.takes_orders(self.session.module) is not None and self._office.orders is not None

    # --- tasks ------------------------------------------------------------------------------------

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"{name} {self._link}")
        self.tasks[task] = name
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        name = self.tasks.pop(task, "")
        self._wake.set()
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, (LeaseLost, Stopping, Crash)):
            self.ended = self.ended or error
            return
        what = {"task": name, "account": self._account, "connection": self._link}
        log.error("an errand to a channel failed, it goes on", **what, exc_info=error)
        self._not_before[name] = self._office.way.now() + PAUSE_SECONDS
        self.call()

    async def _sweep(self) -> None:
        pull = kind.pulls(self.session.module)
        if pull is not None:
            hints, cursor = self.row.hints, self.row.pull_cursor
            if cursor is None:
                await self._heed(drives.heeding, hints)
            await self._sight().run(pull, cursor)
            await self._reread()
            if cursor is None:
                await self._heed(drives.heeded, hints)

    async def _look(self) -> None:
        """Look at the listings and orders that webhooks named."""
        look, row = kind.looks(self.session.module), self.row
        at = self._office.way.clock.now()
        self._looked_at = at / MICROSECONDS
        await self._heed(drives.heeding, row.hints)
        if row.orders:
            await self._reread(row.orders)
        if row.wanted and look is not None:
            seen = await self.session.run(lambda settings: look(settings, row.wanted))
            await self._sight().look(seen, at)
        await self._heed(drives.heeded, row.hints)

    async def _reread(self, names: Sequence[str] | None = None) -> None:
        if (orders := self._office.orders) is not None:
            # Not beside a poll, whose older word of an order that is gone would come after ours.
            async with self._polling:
                await orders.reread(self._account, self._link, self.session, names)

    def _sight(self) -> Sweep:
        ask = self._ask_for_orders if self._takes_orders() else None
        names = (self._account, self._link, self._office.owner)
        return Sweep(self._office.inventory, self.session, *names, orders=ask)

    async def _heed(self, what: Callable[..., None], hints: str | None) -> None:
        if hints:
            await self._write(partial(what, hints=hints))

    async def _ask_for_orders(self) -> None:
        """Take in all orders that changed at the channel since the last time."""
        async with self._polling:
            await self._poll()

    async def _orders_after(self, at: int) -> None:
        """Have all orders that the channel had at this time, in microseconds UTC, if it tells them now;
        where it does not, the next poll brings them."""
        async with self._polling:
            if self._asked_at > at:
                return
            try:
                await self._poll()
            except Failed as error:
                what = {"account": self._account, "connection": self._link}
                log.warning(
                    "a channel that moved could not be asked for its orders", words=error.words, **what
                )

    async def _poll(self) -> None:
        orders = self._office.orders
        if orders is None:
            return
        began = self._office.way.clock.now()
        await self._write(drives.polling)
        while await orders.poll(self._account, self._link, self.session):
            pass
        await self._write(partial(drives.polled, at=began))
        self._asked_at = began
        self.stale_row = True

    async def _write(self, unit: Callable[..., None]) -> None:
        here = partial(unit, account=self._account, link=self._link)
        await self._office.inventory.write(self._account, here, quiet=True)

    async def _attempt(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
            self._tally.troubles.pop(name, None)
        except Failed as error:
            self._tally.troubles[name] = error.words
            what = {"what": name, "account": self._account, "connection": self._link}
            log.warning("a channel could not be asked", words=error.words, **what)
            wait = max(error.seconds or 0.0, self._office.beats.again)
            self._not_before[name] = self._office.way.now() + wait
        finally:
            self.stale_row = True
