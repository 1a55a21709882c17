"""Work of every caller waits here and is committed in groups, by threads of their own.

On PostgreSQL each account has a queue, and any thread takes the next one. On SQLite there is one queue, one
thread, and small batches are decided in the event loop: the next one, too, while the last is being written.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any

import structlog
from sqlalchemy import Connection

from onhand import faults
from onhand.commit_queue import Batch, CommitQueue, light, passing, weigh
from onhand.store.books import Marked
from onhand.store.engine import WRITERS, Store
from onhand.ticket import Ticket
from onhand.transact import Busy, Opened, Transactions
from onhand.work import Arrival, Work

WAITING_LIMIT = 20_000
"""Works that may wait for a commit before new ones are turned away."""

WEIGHT_LIMIT = 250_000
"""Commands that may wait before works of more than `SMALL` are turned away: some two hundred megabytes."""

SMALL = 16
"""Commands of a work that bulk does not turn away."""

AHEAD = 0.5
"""The next batch is decided before the last one is committed if it has so many times its works: fewer are
better off in one commit with those that are about to come."""

log = structlog.get_logger(__name__)


class Commits:
    """What commits work. Create, `start` in a running loop, `stop`.

    ``changed`` is called in a thread, with the account, when a unit may have changed its catalogue (None:
    anybody's), before anybody hears of the commit; ``marked`` in the loop, with every (account, connection)
    of which a commit has made a listing stale.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], int],
        changed: Callable[[int | None], None],
        marked: Callable[[Collection[Marked]], None],
    ) -> None:
        self._store = store
        self._changed = changed
        self._marked = marked
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
        self._watched = False
        """Whether the loop looks if the next batch can be decided ahead."""
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def start(self) -> None:
        """Start the threads."""
        for number in range(1 if self._store.sqlite else WRITERS):
            thread = threading.Thread(target=self._work, name=f"writer-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        if self._store.sqlite:
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

    def submit(
        self,
        account: int,
        job: Work | Arrival | Callable[[Connection], Any],
        wakes: tuple[tuple[str, int], ...] = (),
        quiet: bool = False,
    ) -> asyncio.Future[Any]:
        """Have a job committed: see `Inventory.record`, `write` and `accept`. Raises Busy at once."""
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
            elif queue.basis is not None and not self._watched:
                self._watch(queue)
        return future

    def _queue(self, account: int) -> CommitQueue:
        """An account's, on PostgreSQL."""
        queue = self._queues.get(account)
        if queue is None:
            queue = self._queues[account] = CommitQueue()
        return queue

    # --- in the loop (SQLite)

    def _decide(self, queue: CommitQueue) -> None:
        """Begin the next batch. A small one is decided here, where no other thread fights for the
        interpreter, and only what waits for the disk is left to the writer thread. A large one would hold up
        everybody else, so that thread does all of it."""
        with self._guard:
            batch = queue.take()
        opened = self._opened(batch, None)
        self._begin(queue, batch, opened)

    def _opened(self, batch: Batch, before: Opened | None) -> Opened | None:
        try:
            return self._transactions.open(batch.tickets, before) if light(batch) else None
        except Exception as error:  # noqa: BLE001 - whatever it is, the queue would stand still for ever
            faults.stop_now(f"the writer broke: {error!r}")

    def _begin(self, queue: CommitQueue, batch: Batch, opened: Opened | None) -> None:
        if opened is not None and opened.may_be_followed:
            queue.basis = opened
        self._ready.put(partial(self._commit, queue, batch, opened))

    def _watch(self, queue: CommitQueue) -> None:
        """Decide the next batch ahead once the loop has nothing better to do."""
        self._watched = True
        asyncio.get_running_loop().call_soon(self._look, queue, 0)

    def _look(self, queue: CommitQueue, count: int) -> None:
        """See whether anybody has come since ``count`` were waiting, a turn of the loop ago."""
        if (waiting := len(queue.tickets)) != count:
            asyncio.get_running_loop().call_soon(self._look, queue, waiting)
            return
        self._watched = False
        before = queue.basis
        if before is not None and waiting and waiting >= AHEAD * len(before.results):
            self._decide_ahead(queue, before)

    def _decide_ahead(self, queue: CommitQueue, before: Opened) -> None:
        """Begin the next batch while the last one is being written, so that it is written right behind it. It
        rests on that one, and is decided again should that one not be written as it was decided."""
        with self._guard:
            if queue.under_way != 1:
                return
            batch = queue.take()
        opened = self._opened(batch, before)
        if opened is not None:
            self._begin(queue, batch, opened)
            return
        with self._guard:
            queue.give_back(batch)
            last = not queue.under_way
        if last:  # who ended meanwhile has left it to us
            self._decide(queue)

    def _settle(self, ended: Sequence[Ticket], marked: Collection[Marked], queue: CommitQueue | None) -> None:
        for ticket in ended:
            ticket.settle()
        if queue is not None:
            # Now, so that the disk is busy while the answers are sent.
            self._decide(queue)
        elif (only := self._only) is not None and only.basis is not None and not self._watched:
            self._watch(only)
        if marked:
            self._marked(marked)

    # --- in a thread

    def _dismiss(self) -> None:
        for _ in self._threads:
            self._ready.put(None)

    def _work(self) -> None:
        try:
            while (turn := self._ready.get()) is not None:
                turn()
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody else would see it
            # Without its writer the hub would keep everybody waiting: better that it is started again.
            faults.stop_now(f"the writer broke: {error!r}")

    def _turn(self, queue: CommitQueue) -> None:
        with self._guard:
            batch = queue.take()
        self._commit(queue, batch, None)

    def _commit(self, queue: CommitQueue, batch: Batch, opened: Opened | None) -> None:
        tickets = batch.tickets
        marked: set[Marked] = set()
        again: Sequence[Ticket] = ()
        more = partial(self._join, queue, batch) if self._only is None and passing(batch) else None
        try:
            again = self._transactions.run(tickets, marked, opened, more)
        except Exception as error:
            log.exception("batch failed")
            for ticket in tickets:
                ticket.fail(error)
        if opened is None:
            # Before anyone hears of it: what is remembered from before does not count any more.
            for account in {ticket.account for ticket in tickets if ticket.changes_catalogue}:
                self._changed(account or None)
        goes_on = self._end(queue, batch, again, opened)
        self._wake(tickets, again, marked, queue if goes_on else None)

    def _join(self, queue: CommitQueue, batch: Batch) -> Sequence[Ticket]:
        with self._guard:
            return queue.join(batch)

    def _end(self, queue: CommitQueue, batch: Batch, again: Sequence[Ticket], opened: Opened | None) -> bool:
        """Whether more is waiting, and for nothing that is still under way."""
        with self._guard:
            self._weight -= batch.weight - queue.end(again)
            self._waiting -= len(batch.tickets) - len(again)
            if opened is not None and (queue.basis is not None or not queue.under_way):
                self._transactions.ended(opened, queue.basis if queue.under_way else None)
            if queue.under_way:
                return False
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
