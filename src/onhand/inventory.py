"""The one door to the ledger: work from every caller waits here and is committed in groups."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Hashable, Iterable, Mapping, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from onhand.commit_queue import Batch, CommitQueue, light, weigh
from onhand.joint import Joint
from onhand.memory import MEMORY_LIMIT, Memory, Owned
from onhand.readings import Readings
from onhand.store import counters, wakeups
from onhand.store.books import Marked
from onhand.store.engine import WRITERS, Store
from onhand.ticket import Ticket
from onhand.transact import Busy, Opened, Transactions, stop_now
from onhand.work import Arrival, Recorded, Work

T = TypeVar("T")
W = TypeVar("W", bound=Owned)
K = TypeVar("K", bound=Hashable)

WAITING_LIMIT = 20_000
"""Works that may wait for a commit before new ones are turned away."""

WEIGHT_LIMIT = 250_000
"""Commands that may wait before works of more than `SMALL` are turned away: some two hundred megabytes."""

SMALL = 16
"""Commands of a work that bulk does not turn away."""

log = structlog.get_logger(__name__)


def clock() -> int:
    """Now, in microseconds UTC."""
    return time.time_ns() // 1000


def _nobody(news: object) -> None:
    """Nobody is told: the next look into the inbox or the outbox finds it."""


class Inventory:
    """The ledger as the rest of the program sees it. Create, `start` in a running loop, `stop`.

    ``arrived`` is called with the account when a message was accepted, ``marked`` with every
    (account, connection) of which a commit has made a listing stale; both in the event loop.
    """

    def __init__(self, store: Store, now: Callable[[], int] = clock) -> None:
        self.store = store
        self.now = now
        self.arrived: Callable[[int], None] = _nobody
        self.marked: Callable[[Collection[Marked]], None] = _nobody
        self._transactions = Transactions(store, now)
        self.altered = self._transactions.altered
        """Levels that were changed without a movement. What is `settled` behind it, has all of them."""
        self._only = CommitQueue() if store.sqlite else None
        self._queues: dict[int, CommitQueue] = {}
        self._guard = threading.Lock()
        self._ready: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._home: asyncio.AbstractEventLoop | None = None
        """The loop that decides small batches itself (SQLite)."""
        self._waiting = 0
        self._weight = 0
        self._busy = 0
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._memory = Memory(None if store.sqlite else self._changes)
        self.memory = self._memory.now
        """What is remembered of an account and still counts: another object once it may have changed."""
        # Another server may be in the place of one that was away, which counts from where it was.
        self._readings = Readings(store, self._memory.forget)
        self._joint = Joint()
        self._owners: dict[Hashable, int] = {}
        """Whose it is that `recall_owned` has found."""

    def start(self) -> None:
        """Start the writer threads."""
        for number in range(1 if self.store.sqlite else WRITERS):
            thread = threading.Thread(target=self._work, name=f"writer-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._readings.start()
        if self.store.sqlite:
            self._home = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Commit what is waiting, then stop. Work that comes later is refused as Busy."""
        with self._guard:
            self._stopped = True
            if not self._busy:
                self._dismiss()
        loop = asyncio.get_running_loop()
        for thread in self._threads:
            await loop.run_in_executor(None, thread.join)
        self._transactions.close()
        self._readings.close()

    def record(self, work: Work) -> asyncio.Future[Recorded]:
        """Decide ``work`` and commit what it does; to be awaited, which returns after the commit.

        That raises Busy when too much is waiting, Unknowable when the database did not say whether it
        committed, and StoreFull when the disk is.
        """
        # Not a coroutine: every request has this one more to go through when it is awakened.
        try:
            return self._submit(work.account, work)
        except Busy as error:
            refused: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    async def write(
        self,
        account: int,
        unit: Callable[[Connection], T],
        wakes: tuple[tuple[str, int], ...] = (),
        *,
        quiet: bool = False,
    ) -> T:
        """Run ``unit`` on the writer's connection, in its own savepoint; returns after the commit.

        An exception of the unit undoes the unit alone and is raised here. ``wakes`` says when the
        account must be looked at again because of it: (kind, microseconds UTC). ``quiet`` units change
        nothing that `recall` remembers.
        """
        value: T = await self._submit(account, unit, wakes, quiet)
        return value

    async def accept(self, account: int, source: str, principal: str, body: str) -> int:
        """Keep a message durably until whoever applies ``source`` has applied it; its id, which is
        the order of arrival."""
        wakes = ((wakeups.INBOX, self.now()),)
        number: int = await self._submit(account, Arrival(source, principal, body), wakes)
        self.arrived(account)
        return number

    def read(
        self, account: int, query: Callable[[Connection], T], *, long: bool = False, alone: bool = False
    ) -> Coroutine[Any, Any, T]:
        """Run ``query`` on a snapshot of the account. Point reads of SQLite run at once; ``long``
        ones, and all of PostgreSQL's, in a thread. ``alone`` says that it is one statement."""
        return self._readings.run(account, query, long=long, alone=alone)

    async def recall(self, account: int, name: Hashable, query: Callable[[Connection], T | None]) -> T | None:
        """What ``query`` finds, remembered under ``name`` until a `write` changes the catalogue.

        For what only units of `write` on this account change: items, sellers, locations, connections,
        external ids, and listings but for their status. ``query`` is one statement. Nothing that is not
        found is remembered. What another process has changed on PostgreSQL is seen `MEMORY_SECONDS` later
        at the latest. Who makes one thing out of several that are remembered does so each time, or within
        one ``query``: they may be of different ages.
        """
        known = self._memory.now(account) or await self._memory.of(account)
        found: T | None = known.single.get(name)
        if found is None:
            found = await self.read(account, query, alone=True)
            if found is not None:
                self._memory.keep(known, name, found)
        return found

    async def recall_owned(self, name: Hashable, query: Callable[[Connection], W | None]) -> W | None:
        """The same for what is looked up before an account is known and says itself whose it is. It is
        remembered from the second time on: by then its account's memory is the one to ask."""
        owner = self._owners.get(name)
        found = None if owner is None else await self.recall(owner, name, query)
        if owner is not None and (found is None or found.account == owner):
            return found
        found = await self.read(0, query, alone=True)
        if found is not None:
            if len(self._owners) >= MEMORY_LIMIT:
                self._owners.clear()
            self._owners[name] = found.account
        return found

    def remembered(self, account: int) -> Mapping[str, Mapping[Any, Any]]:
        """What `recall_many` would answer from memory alone, by kind: to be looked into at once and not kept.
        What is missing there may exist all the same."""
        known = self.memory(account)
        return {} if known is None else known.tables

    def remembered_owned(self, name: Hashable) -> Any | None:
        """What `recall_owned` would answer from memory alone, without a turn of its own: None where it would
        have to ask."""
        owner = self._owners.get(name)
        known = None if owner is None else self._memory.now(owner)
        found = None if known is None else known.single.get(name)
        return found if found is not None and found.account == owner else None

    def catalogue(self, account: int) -> object:
        """What is another object once this process may have changed what `recall` remembers of an account; on
        PostgreSQL, where others change it too, nothing: `counters.CATALOGUE` says so there."""
        return self._memory.now(account) if self.store.sqlite else None

    def settled(self, account: int) -> tuple[int, int] | None:
        """The number and time of the account's last movement while no commit that changes a level of it is
        under way: the same object as long as none was changed. None where the database must be asked:
        meanwhile, and on PostgreSQL."""
        if self._home is None or (only := self._only) is None:
            return None
        last = self._transactions.last(account)
        if last is None:
            with self._guard:  # so that no batch begins
                if not (self._stopped or only.busy):
                    last = self._transactions.look(account)
        return last

    async def recall_many(
        self,
        account: int,
        kind: str,
        names: Iterable[K],
        query: Callable[[Connection, list[K]], Mapping[K, T]],
        *,
        alone: bool = True,
    ) -> dict[K, T]:
        """`recall` for many names at once: ``query`` is asked for those that are not remembered. ``alone`` is
        False where it is several statements that must see one snapshot."""
        wanted = list(names)
        known = self._memory.now(account) or await self._memory.of(account)
        table = known.tables.get(kind, {})
        found: dict[K, T] = {name: table[name] for name in wanted if name in table}
        if missing := [name for name in wanted if name not in found]:
            more = await self.look_up(account, kind, missing, query, alone=alone)
            mine = {name: more[name] for name in missing if name in more}
            self._memory.keep_many(known, kind, mine)
            found.update(mine)
        return found

    async def look_up(
        self,
        account: int,
        kind: str,
        names: list[K],
        query: Callable[[Connection, list[K]], Mapping[K, T]],
        *,
        alone: bool = False,
    ) -> Mapping[K, T]:
        """At least what ``query`` finds of ``names`` now. On PostgreSQL all who ask for a ``kind`` meanwhile
        share one look, with the ``query`` of one of them: it knows nothing of a request but its account.
        ``alone`` says that it is one statement."""
        if self.store.sqlite:
            return await self.read(account, lambda connection: query(connection, names), alone=alone)

        async def ask(all_names: list[K]) -> Mapping[K, T]:
            return await self.read(account, lambda connection: query(connection, all_names))

        return await self._joint.ask((account, kind), names, ask)

    async def _changes(self, account: int) -> int:
        """How often the catalogue of an account was changed, by whomever."""
        return await self.read(account, lambda c: counters.last(c, account, counters.CATALOGUE))

    def _submit(
        self,
        account: int,
        job: Work | Arrival | Callable[[Connection], Any],
        wakes: tuple[tuple[str, int], ...] = (),
        quiet: bool = False,
    ) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        weight = weigh(job)
        since = 0.0 if self._only else time.monotonic()
        with self._guard:
            crowded = weight > SMALL and self._weight >= WEIGHT_LIMIT
            if crowded or self._stopped or self._waiting >= WAITING_LIMIT:
                raise Busy("too much work is waiting")
            self._waiting += 1
            self._weight += weight
            queue = self._only or self._queue(account)
            queue.put(Ticket(account, job, future, loop, weight, since, wakes, quiet))
            if not queue.busy:
                queue.busy = True
                self._busy += 1
                if self._home is loop:
                    # What is submitted in the same turn of the loop joins the batch.
                    loop.call_soon(self._decide, queue)
                else:
                    self._ready.put(partial(self._turn, queue))
        return future

    def _queue(self, account: int) -> CommitQueue:
        """An account's, on PostgreSQL."""
        queue = self._queues.get(account)
        if queue is None:
            queue = self._queues[account] = CommitQueue()
        return queue

    def _dismiss(self) -> None:
        for _ in self._threads:
            self._ready.put(None)

    def _work(self) -> None:
        try:
            while (turn := self._ready.get()) is not None:
                turn()
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody else would see it
            # Without its writer the hub would keep everybody waiting: better that it is started again.
            stop_now(f"the writer broke: {error!r}")

    def _decide(self, queue: CommitQueue) -> None:
        """Begin the next batch. In the loop: a small one is decided and written here, where no other
        thread fights for the interpreter, and only its COMMIT, which waits for the disk, is left to the
        writer thread. A large one would hold up everybody else, so that thread does all of it."""
        with self._guard:
            batch = queue.take()
        try:
            opened = self._transactions.open(batch.tickets) if light(batch) else None
        except Exception as error:  # noqa: BLE001 - whatever it is, the queue would stand still for ever
            stop_now(f"the writer broke: {error!r}")
        self._ready.put(partial(self._commit, queue, batch, opened))

    def _turn(self, queue: CommitQueue) -> None:
        with self._guard:
            batch = queue.take()
        self._commit(queue, batch, None)

    def _commit(self, queue: CommitQueue, batch: Batch, opened: Opened | None) -> None:
        tickets = batch.tickets
        marked: set[Marked] = set()
        again: Sequence[Ticket] = ()
        try:
            again = self._transactions.run(tickets, marked, opened)
        except Exception as error:
            log.exception("batch failed")
            for ticket in tickets:
                ticket.fail(error)
        if opened is None:
            # Before anyone hears of it: what is remembered from before does not count any more.
            for account in {ticket.account for ticket in tickets if ticket.changes_catalogue}:
                self._memory.forget(account or None)
        more = self._give_back(queue, batch, again)
        self._wake(tickets, again, marked, queue if more else None)

    def _give_back(self, queue: CommitQueue, batch: Batch, again: Sequence[Ticket]) -> bool:
        """Whether more is waiting."""
        with self._guard:
            self._weight -= batch.weight - queue.put_back(again)
            self._waiting -= len(batch.tickets) - len(again)
            if queue.tickets:
                return True
            queue.busy = False
            self._busy -= 1
            if self._stopped and not self._busy:
                # Not before: a writer that leaves early would leave the rest of a long queue behind.
                self._dismiss()
            return False

    def _wake(
        self,
        tickets: Sequence[Ticket],
        again: Sequence[Ticket],
        marked: set[Marked],
        queue: CommitQueue | None,
    ) -> None:
        """Hand the results to the loop in one call, because waking it is what costs; ``queue`` goes on."""
        ended = tickets
        if again:
            waiting = set(map(id, again))
            ended = [ticket for ticket in tickets if id(ticket) not in waiting]
        loop = tickets[0].loop
        here = queue if self._home is loop else None
        try:
            if ended or here is not None:
                loop.call_soon_threadsafe(self._settle, ended, marked, here)
        except RuntimeError:
            # The loop was closed under us. A writer that died of it would leave everybody else waiting.
            log.warning("nobody waits for what was committed", works=len(ended))
            here = None
        if queue is not None and here is None:
            self._ready.put(partial(self._turn, queue))

    def _settle(self, ended: Sequence[Ticket], marked: Collection[Marked], queue: CommitQueue | None) -> None:
        for ticket in ended:
            ticket.settle()
        if queue is not None:
            # Now, so that the disk is busy while the answers are sent.
            self._decide(queue)
        if marked:
            self.marked(marked)
