"""The one door to the ledger: work from every caller waits here and is committed in groups."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from onhand.store import counters, requests, wakeups
from onhand.store.engine import READERS, WRITERS, Store, reading
from onhand.transact import Busy, Ticket, Transactions
from onhand.work import Recorded, Work

T = TypeVar("T")

BATCH_LIMIT = 512
"""Works in one commit at most."""

WAITING_LIMIT = 20_000
"""Works that may wait for a commit before new ones are turned away."""

log = structlog.get_logger(__name__)


def clock() -> int:
    """Now, in microseconds UTC."""
    return time.time_ns() // 1000


class Lane:
    """Work that is committed in one order: an account's on PostgreSQL, everybody's on SQLite."""

    __slots__ = ("busy", "tickets")

    def __init__(self) -> None:
        self.tickets: deque[Ticket] = deque()
        self.busy = False


class Inventory:
    """The ledger as the rest of the program sees it. Create, `start` in a running loop, `stop`."""

    def __init__(self, store: Store, now: Callable[[], int] = clock) -> None:
        self.store = store
        self.now = now
        self._transactions = Transactions(store, now)
        self._lanes: dict[int, Lane] = {}
        self._guard = threading.Lock()
        self._ready: SimpleQueue[Lane | None] = SimpleQueue()
        self._waiting = 0
        self._threads: list[threading.Thread] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._inline: Connection | None = None
        self._stopped = False

    def start(self) -> None:
        """Start the writer threads."""
        for number in range(1 if self.store.sqlite else WRITERS):
            thread = threading.Thread(target=self._work, name=f"writer-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        if self.store.sqlite:
            self._inline = self.store.reader.connect()

    async def stop(self) -> None:
        """Commit what is waiting, then stop. Work that comes later is refused as Busy."""
        with self._guard:
            self._stopped = True
        for _ in self._threads:
            self._ready.put(None)
        loop = asyncio.get_running_loop()
        for thread in self._threads:
            await loop.run_in_executor(None, thread.join)
        self._readers.shutdown()
        if self._inline is not None:
            self._inline.close()

    async def record(self, work: Work) -> Recorded:
        """Decide ``work`` and commit what it does; returns after the commit.

        Raises Busy when too much is waiting, Unknowable when the database did not say whether it
        committed, and StoreFull when the disk is.
        """
        recorded: Recorded = await self._submit(work.account, work)
        return recorded

    async def write(
        self,
        account: int,
        unit: Callable[[Connection], T],
        wakes: tuple[tuple[str, int], ...] = (),
    ) -> T:
        """Run ``unit`` on the writer's connection, in its own savepoint; returns after the commit.

        An exception of the unit undoes the unit alone and is raised here. ``wakes`` says when the
        account must be looked at again because of it: (kind, microseconds UTC).
        """
        value: T = await self._submit(account, unit, wakes)
        return value

    async def accept(self, account: int, source: str, principal: str, body: str) -> int:
        """Keep a message durably until whoever applies ``source`` has applied it; its id, which is
        the order of arrival."""

        def unit(connection: Connection) -> int:
            number = counters.take(connection, account, "inbox")
            message = requests.Message(number, source, principal, body, self.now())
            requests.receive(connection, account, message)
            return number

        return await self.write(account, unit, ((wakeups.INBOX, self.now()),))

    async def read(self, account: int, query: Callable[[Connection], T], *, long: bool = False) -> T:
        """Run ``query`` on a snapshot of the account. Point reads of SQLite run at once; ``long``
        ones, and all of PostgreSQL's, in a thread."""
        if self._inline is not None and not long:
            with self._inline.begin():
                return query(self._inline)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, account, query)

    def _read(self, account: int, query: Callable[[Connection], T]) -> T:
        with reading(self.store, account) as connection:
            return query(connection)

    def _submit(
        self,
        account: int,
        job: Work | Callable[[Connection], Any],
        wakes: tuple[tuple[str, int], ...] = (),
    ) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        ticket = Ticket(account, job, loop.create_future(), loop, wakes)
        with self._guard:
            if self._stopped or self._waiting >= WAITING_LIMIT:
                raise Busy("too much work is waiting")
            self._waiting += 1
            lane = self._lanes.setdefault(0 if self.store.sqlite else account, Lane())
            lane.tickets.append(ticket)
            if not lane.busy:
                lane.busy = True
                self._ready.put(lane)
        return ticket.future

    def _work(self) -> None:
        while True:
            lane = self._ready.get()
            if lane is None:
                return
            batch = self._take(lane)
            try:
                again = self._transactions.run(batch)
            except Exception as error:
                log.exception("batch failed")
                for ticket in batch:
                    ticket.fail(error)
                again = []
            self._give_back(lane, batch, again)
            _wake(batch)

    def _take(self, lane: Lane) -> list[Ticket]:
        with self._guard:
            count = min(len(lane.tickets), BATCH_LIMIT)
            return [lane.tickets.popleft() for _ in range(count)]

    def _give_back(self, lane: Lane, batch: Sequence[Ticket], again: Sequence[Ticket]) -> None:
        with self._guard:
            lane.tickets.extendleft(reversed(again))
            self._waiting -= len(batch) - len(again)
            if lane.tickets:
                self._ready.put(lane)
            else:
                lane.busy = False
                if self._stopped:
                    self._ready.put(None)


def _wake(batch: Sequence[Ticket]) -> None:
    """Hand the results to the loop in one call: waking it is what costs."""
    ended = [ticket for ticket in batch if ticket.ended]
    if ended:
        ended[0].loop.call_soon_threadsafe(_settle, ended)


def _settle(ended: Sequence[Ticket]) -> None:
    for ticket in ended:
        ticket.settle()
