"""What is to be done for one connection, and when: lanes that tell it, sweeps that look, polls for orders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
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
LANE, SWEEP, POLL = "lane", "sweep", "poll"

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
        self._lanes = Lanes(office, account, row.link, session, tally)
        self._polling = asyncio.Lock()
        self._started_at = 0.0
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
        now, lanes = self._office.way.now(), self._lanes
        waits = [self._timer(SWEEP) - now, self._timer(POLL) - now]
        if lanes.next_due is not None:
            waits.append(lanes.next_due / MICROSECONDS - now)
        if lanes.called or lanes.full:
            # Where no lane may be begun now, the end of one wakes us.
            busy = self._running() > 0
            waits.append(self._started_at + self._office.beats.gather - now if busy else 0.0)
        waits = [max(one, self._not_before.get(LANE, 0.0) - now) for one in waits]
        return max(0.0, min(waits), self.session.circuit.waits(now))

    def begin(self) -> None:
        """Begin all that is due, as far as the channel is up."""
        now, circuit = self._office.way.now(), self.session.circuit
        if circuit.waits(now) > 0:
            return
        if self._lane_is_due(now):
            self._started_at = now
            self._lanes.called = self._lanes.full = False
            self._lanes.next_due = None
            self._start(LANE, self._lanes.run())
        if circuit.closed:
            for name, work in ((SWEEP, self._sweep), (POLL, self._ask_for_orders)):
                if now >= self._timer(name) and name not in self.tasks.values():
                    self._start(name, self._tried(name, work))

    def _running(self) -> int:
        return sum(name == LANE for name in self.tasks.values())

    def _lane_is_due(self, now: float) -> bool:
        lanes, running = self._lanes, self._running()
        if now < self._not_before.get(LANE, 0.0):
            return False
        if not self.session.circuit.closed:
            return running == 0
        batch = self.session.module.CHANNEL.batch
        if running >= (BIG_LANES if batch >= BIG_BATCH else LANES):
            return False
        due = lanes.next_due is not None and lanes.next_due / MICROSECONDS <= now
        if not (lanes.called or lanes.full or due):
            return False
        return lanes.full or running == 0 or now >= self._started_at + self._office.beats.gather

    def _timer(self, name: str) -> float:
        """When the next sweep or poll is due, in seconds; never for what the channel cannot."""
        if name == SWEEP:
            able, last = kind.pulls(self.session.module) is not None, self.row.swept_at
            every = self.row.rules.sweep or self._office.sweep
        else:
            able, last = self._takes_orders(), self.row.polled_at
            every = self.row.rules.poll or self._office.poll
        if not able or name in self.tasks.values():
            return float("inf")
        return max((last or 0) / MICROSECONDS + every, self._not_before.get(name, 0.0))

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
        if pull is None:
            return
        ask = self._ask_for_orders if self._takes_orders() else None
        names = (self._account, self._link, self._office.owner)
        sweep = Sweep(self._office.inventory, self.session, *names, orders=ask)
        await sweep.run(pull, self.row.pull_cursor)

    async def _ask_for_orders(self) -> None:
        """Take in all orders that changed at the channel since the last time."""
        orders = self._office.orders
        if orders is None:
            return
        began = self._office.way.clock.now()
        async with self._polling:
            while await orders.poll(self._account, self._link, self.session):
                pass
            values = {"polled_at": began}
            unit = partial(drives.note, account=self._account, link=self._link, values=values)
            await self._office.inventory.write(self._account, unit, quiet=True)

    async def _tried(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
            self._tally.trouble = None
        except Failed as error:
            self._tally.trouble = f"{name}: {error.words}"
            what = {"what": name, "account": self._account, "connection": self._link}
            log.warning("a channel could not be asked", words=error.words, **what)
            wait = max(error.seconds or 0.0, self._office.beats.again)
            self._not_before[name] = self._office.way.now() + wait
        finally:
            self.stale_row = True
