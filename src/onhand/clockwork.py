"""The hub's background loops: holds expire, plans come due, messages apply, incidents end, old data goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import structlog
from sqlalchemy import Connection

from onhand.inbox import Applier, Inbox, pause
from onhand.inventory import Inventory
from onhand.stock.model import AnyCommand
from onhand.store import accounts, incidents, keys, levels, oversold, requests, wakeups
from onhand.store.requests import Planned
from onhand.strikes import Strikes
from onhand.work import Group, Work

CALLER = "onhand:clock"
LEVELS_AT_ONCE, PLANS_AT_ONCE = 500, 200
ROUNDS = 20
"""How often one look returns to an account that always has more to do; the next look goes on."""
ACCOUNTS_AT_ONCE = 8
UNSEEN = -1
"""Stands for the number of the last movement where none was looked at."""
STOP_SECONDS = 10.0

log = structlog.get_logger(__name__)


class Beats(NamedTuple):
    """Seconds between two rounds of each loop, and until the first pruning."""

    look: float = 0.25
    settle: float = 1.0
    scan: float = 60.0
    prune: float = 86_400.0
    first_prune: float = 60.0


class Clockwork:
    """The loops of one process. Several processes on one PostgreSQL may each run theirs."""

    def __init__(
        self, inventory: Inventory, appliers: Mapping[str, Applier], beats: Beats | None = None
    ) -> None:
        self._inventory = inventory
        self._beats = beats or Beats()
        self._strikes = Strikes()
        self._stopping = asyncio.Event()
        self._inbox = Inbox(inventory, appliers, self._stopping)
        self._watched: dict[int, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the loops, in the running event loop."""
        self._stopping.clear()
        self._inventory.arrived = self.nudge
        beats = self._beats
        if not self._inventory.store.sqlite:
            self._spawn("scan", self._every(beats.scan, self._scan))
        self._spawn("look", self._every(beats.look, self._look))
        self._spawn("settle", self._every(beats.settle, self._settle))
        self._spawn("prune", self._every(beats.prune, self._prune, beats.first_prune))

    async def stop(self) -> None:
        """Let what is under way come to its end, then stop; what is left waits for the next start."""
        self._stopping.set()
        tasks = [*self._tasks, *self._inbox.draining.values()]
        self._tasks = []
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                log.warning("a loop does not end and is cut off", loop=task.get_name())
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def nudge(self, account: int) -> None:
        """A message of this account was accepted: apply it now. To be called in the event loop."""
        self._inbox.nudge(account)
        self._watched.setdefault(account, UNSEEN)

    def _spawn(self, name: str, loop: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(loop, name=name))

    async def _every(self, seconds: float, job: Callable[[], Awaitable[None]], first: float = 0.0) -> None:
        if first and await pause(self._stopping, first):
            return
        while True:
            try:
                await job()
            except Exception:  # a loop that ends takes its duty with it: say so, and go on
                log.exception("a background loop failed, it goes on", job=job.__name__)
            if await pause(self._stopping, seconds):
                return

    # --- who has something due --------------------------------------------------------------------

    async def _look(self) -> None:
        """See to every account that has something due; one that fails does not keep the others."""
        gate = asyncio.Semaphore(ACCOUNTS_AT_ONCE)
        due = await self._due()
        await asyncio.gather(*(self._see_to(account, kinds, gate) for account, kinds in due.items()))

    async def _due(self) -> dict[int, set[str]]:
        now = self._inventory.now()
        if self._inventory.store.sqlite:
            return await self._inventory.read(0, lambda c: _by_account(_due_here(c, now)))
        # Looking first keeps an idle hub from writing.
        if not await self._inventory.read(0, lambda c: wakeups.any_due(c, now)):
            return {}
        return _by_account(await self._inventory.write(0, lambda c: wakeups.take(c, now), quiet=True))

    async def _see_to(self, account: int, kinds: set[str], gate: asyncio.Semaphore) -> None:
        jobs = {wakeups.EXPIRY: self._expire, wakeups.PLANNED: self._carry_out}
        if wakeups.INBOX in kinds:
            self.nudge(account)
        async with gate:
            for job in (*(jobs[kind] for kind in sorted(kinds & jobs.keys())), self._remember):
                try:
                    await job(account)
                except Exception:  # the other kinds, and the other accounts, have their right too
                    log.exception("an account was not seen to", account=account, job=job.__name__)

    async def _remember(self, account: int) -> None:
        """Put back when the account must be looked at again; SQLite is asked for what is due itself."""
        if self._inventory.store.sqlite:
            return
        ahead = await self._inventory.read(account, lambda c: wakeups.ahead(c, account))
        rows = [(account, kind, due) for kind, due in ahead.items()]
        if rows:
            await self._inventory.write(0, lambda c: wakeups.put(c, rows), quiet=True)

    async def _for_all(self, job: Callable[[int], Awaitable[None]]) -> None:
        """Do ``job`` for every account; one that fails does not keep the others."""
        for account in await self._inventory.read(0, accounts.accounts):
            if self._stopping.is_set():
                return
            try:
                await job(account.id)
            except Exception:  # those behind it would wait for another minute or day, and then again
                log.exception("an account was not seen to", account=account.id, job=job.__name__)

    async def _scan(self) -> None:
        """Rebuild the wake-ups from the tables: one may have been lost with the process that took it."""
        await self._for_all(self._scan_in)

    async def _scan_in(self, account: int) -> None:
        await self._remember(account)
        if await self._inventory.read(account, partial(oversold.watched, account=account)):
            self._watched.setdefault(account, UNSEEN)

    async def _prune(self) -> None:
        await self._for_all(self._prune_in)
        now = self._inventory.now()
        # Quiet: one that is remembered is expired all the same.
        await self._inventory.write(0, lambda c: keys.drop_expired(c, now), quiet=True)

    async def _prune_in(self, account: int) -> None:
        now = self._inventory.now()
        prune = partial(requests.prune, account=account, now=now)
        while await self._inventory.write(account, prune, quiet=True):
            if self._stopping.is_set():
                return
        unwatch = partial(oversold.let_go, account=account, now=now)
        await self._inventory.write(account, unwatch, quiet=True)

    # --- oversold levels --------------------------------------------------------------------------

    async def _settle(self) -> None:
        """End and open again the incidents of oversold levels, in accounts that have some. SQLite is asked
        which these are; elsewhere messages and `_scan` name them."""
        if self._inventory.store.sqlite:
            found = await self._inventory.read(0, oversold.accounts_watched)
            self._watched = {account: self._watched.get(account, UNSEEN) for account in found}
        for account in list(self._watched):
            if self._stopping.is_set():
                return
            try:
                await self._settle_in(account)
            except Exception:  # the other accounts have their right too
                log.exception("an account's incidents were not seen to", account=account)

    async def _settle_in(self, account: int) -> None:
        busy = account in self._inbox.draining

        def look(connection: Connection) -> tuple[int, bool, bool]:
            seq = levels.last_seq(connection, account)
            if seq == self._watched[account]:
                return seq, True, False
            here = oversold.watched(connection, account)
            return seq, here, here and bool(oversold.turned(connection, account, 1))

        seq, here, turned = await self._inventory.read(account, look)
        if turned:
            now = self._inventory.now()
            unit = partial(oversold.settle, account=account, now=now)
            await self._inventory.write(account, unit, quiet=True)
        elif here:
            self._watched[account] = seq
        elif not busy:
            self._watched.pop(account, None)

    # --- what is done about it --------------------------------------------------------------------

    async def _expire(self, account: int) -> None:
        """Touch every level that has a due hold: whatever touches a level writes its expiries."""
        for _ in range(ROUNDS):
            now = self._inventory.now()
            places = await self._inventory.read(
                account,
                lambda c: wakeups.due_levels(c, account, now, LEVELS_AT_ONCE),  # noqa: B023
            )
            if not places or self._stopping.is_set():
                return
            await self._inventory.record(Work(account, (), CALLER, watch=tuple(places)))

    async def _carry_out(self, account: int) -> None:
        """Record the planned changes whose time has come."""
        for _ in range(ROUNDS):
            now = self._inventory.now()
            plans = await self._inventory.read(
                account,
                lambda c: requests.due_plans(c, account, now, PLANS_AT_ONCE),  # noqa: B023
            )
            if not plans or self._stopping.is_set():
                return
            # All are handed over before any is waited for, so they are decided in this order.
            ends = await asyncio.gather(*(self._apply(account, plan) for plan in plans))
            if not all(ends):
                return

    async def _apply(self, account: int, plan: Planned) -> bool:
        thing = (account, plan.id)
        try:
            commands = msgspec.json.decode(plan.commands, type=tuple[AnyCommand, ...])
            work = Work(account, (Group(commands),), plan.caller, plan=plan.id, context=plan.context)
            await self._inventory.record(work)
        except Exception as error:
            gone = self._strikes.strike(thing, error)
            what = {"account": account, "plan": plan.id, "given_up": gone}
            log.error("a planned change could not be applied", **what, exc_info=error)
            if gone:
                self._strikes.forget(thing)
                now, why = self._inventory.now(), repr(error)
                await self._inventory.write(
                    account, lambda c: _give_up(c, account, plan, why, now), quiet=True
                )
            return False
        self._strikes.forget(thing)
        return True


def _due_here(connection: Connection, now: int) -> Sequence[tuple[int, str]]:
    """What is due in all accounts; for a connection that sees them all."""
    return [
        *((account, wakeups.EXPIRY) for account in wakeups.accounts_due(connection, now)),
        *((account, wakeups.PLANNED) for account in requests.accounts_due(connection, now)),
        *((account, wakeups.INBOX) for account in requests.accounts_waiting(connection)),
    ]


def _by_account(found: Sequence[tuple[int, str]]) -> dict[int, set[str]]:
    due: dict[int, set[str]] = {}
    for account, kind in found:
        due.setdefault(account, set()).add(kind)
    return due


def _give_up(connection: Connection, account: int, plan: Planned, why: str, now: int) -> None:
    if requests.end_plan(connection, account, plan.id, "refused", now):
        requests.refuse_plan(connection, account, plan.id, f"It could not be done: {why}", now)
        body = {"plan": plan.id, "commands": plan.commands, "caller": plan.caller, "why": why}
        incidents.report(connection, account, [(incidents.PLANNED, body)], now)
