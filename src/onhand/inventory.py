"""The one door to the ledger: work from every caller waits here and is committed in groups."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Hashable, Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection

from onhand.commits import Commits
from onhand.joint import Joint
from onhand.memory import MEMORY_LIMIT, Memory, Owned
from onhand.readings import Readings
from onhand.store import counters, wakeups
from onhand.store.books import Marked
from onhand.store.engine import Store
from onhand.transact import Busy
from onhand.work import Arrival, Recorded, Work

T = TypeVar("T")
W = TypeVar("W", bound=Owned)
K = TypeVar("K", bound=Hashable)


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
        self._memory = Memory(None if store.sqlite else self._changes)
        self.memory = self._memory.now
        """What is remembered of an account and still counts: another object once it may have changed."""
        self._commits = Commits(store, now, self._memory.forget, self._tell)
        self.altered, self.settled = self._commits.altered, self._commits.settled
        # Another server may be in the place of one that was away, which counts from where it was.
        self._readings = Readings(store, self._memory.forget)
        self._joint = Joint()
        self._owners: dict[Hashable, int] = {}
        """Whose it is that `recall_owned` has found."""

    def start(self) -> None:
        """Start the threads."""
        self._commits.start()
        self._readings.start()

    async def stop(self) -> None:
        """Commit what is waiting, then stop. Work that comes later is refused as Busy."""
        await self._commits.stop()
        self._readings.close()

    def _tell(self, marked: Collection[Marked]) -> None:
        self.marked(marked)  # whoever that is by now

    def record(self, work: Work) -> asyncio.Future[Recorded]:
        """Decide ``work`` and commit what it does; to be awaited, which returns after the commit.

        That raises Busy when too much is waiting, Unknowable when the database did not say whether it
        committed, and StoreFull when the disk is.
        """
        # Not a coroutine: every request has this one more to go through when it is awakened.
        try:
            return self._commits.submit(work.account, work)
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
        value: T = await self._commits.submit(account, unit, wakes, quiet)
        return value

    async def accept(self, account: int, source: str, principal: str, body: str) -> int:
        """Keep a message durably until whoever applies ``source`` has applied it; its id, which is
        the order of arrival."""
        wakes = ((wakeups.INBOX, self.now()),)
        number: int = await self._commits.submit(account, Arrival(source, principal, body), wakes)
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
        known = self._memory.now(account) if self.store.sqlite else None
        return None if known is None else known.stamp

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
