"""The courier of one process: finds connections with work, and has each driven.

    courier = Courier(inventory, transport, seals, connectors.ALL, settings, orders=...)
    await courier.start()         # in the running loop, after `Inventory.start`
    ...
    await courier.stop()          # before `Inventory.stop`

Any number of processes may each run one on a PostgreSQL: a connection is driven by the one that holds its
lease (`drives.owner`, `drives.until`). A commit that makes a listing stale nudges the courier of its own
process at once (`Inventory.marked`); another process finds it at its next look, a quarter of a second later.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from collections.abc import Collection, Sequence
from functools import partial
from operator import itemgetter

import structlog

from onhand.connectors import kind
from onhand.connectors.kind import Kind
from onhand.courier.drive import Drive
from onhand.courier.errands import HINTED_SWEEP_SECONDS
from onhand.courier.flows import Session, Way
from onhand.courier.office import Beats, Clock, Office, Paces
from onhand.courier.pacing import JUMP_SECONDS
from onhand.courier.ports import Clock as AnyClock
from onhand.courier.ports import Crash, Probe, Seals, TakesOrders, Transport
from onhand.courier.stored import Vault
from onhand.inventory import Inventory
from onhand.settings import Settings
from onhand.store import accounts, drives, linking
from onhand.store.books import Marked
from onhand.store.drives import Due
from onhand.transact import Busy, StoreFull, Unknowable

PER_ACCOUNT_SECONDS = 0.005
"""A look takes a statement an account on PostgreSQL: with many accounts looks are further apart."""
MICROSECONDS = 1_000_000

log = structlog.get_logger(__name__)


def _pass(point: str) -> None:
    """Nobody watches."""


class Unconnected(Exception):
    """There is no such connection, or no connector for it, or its settings do not fit: in words."""


class Courier:
    """One a process. ``modules`` are the connectors (`onhand.connectors.ALL`). Tests give their own clock,
    lots and probe; ``sole`` says that no other process can hold leases (on SQLite, where a lock file sees
    to it), so that those of a killed process end at the start."""

    def __init__(
        self,
        inventory: Inventory,
        transport: Transport,
        seals: Seals,
        modules: Sequence[Kind],
        settings: Settings,
        *,
        orders: TakesOrders | None = None,
        beats: Beats | None = None,
        clock: AnyClock | None = None,
        lots: random.Random | None = None,
        probe: Probe = _pass,
        owner: str | None = None,
        sole: bool | None = None,
    ) -> None:
        self._inventory = inventory
        self._stopping = asyncio.Event()
        way = Way(transport, clock or Clock(inventory.now), self._stopping, lots or random.Random(), probe)
        self._office = Office(
            inventory=inventory,
            way=way,
            seals=seals,
            modules={module.CHANNEL.name: module for module in modules},
            owner=owner or secrets.token_hex(8),
            beats=beats or Beats(),
            paces=Paces(),
            orders=orders,
            sweep=float(settings.sweep_seconds),
            poll=float(settings.poll_seconds),
        )
        self._sole = inventory.store.sqlite if sole is None else sole
        self._drives: dict[Marked, Drive] = {}
        self._tasks: dict[Marked, asyncio.Task[None]] = {}
        self._not_before: dict[Marked, float] = {}
        self._now = 0.0
        self._forget_at = 0.0
        self._looking: asyncio.Task[None] | None = None
        self.crashed = asyncio.Event()
        """Set when a probe has stopped the courier: see `ports.Crash`."""

    async def start(self) -> None:
        """Begin to look for work, and to hear of it."""
        if self._sole:
            await self._inventory.write(0, drives.release_all, quiet=True)
        self._inventory.marked = self.nudge
        self._looking = asyncio.create_task(self._look(), name="courier")

    async def stop(self) -> None:
        """Let what was sent be settled, give the leases back, and stop."""
        self._stopping.set()
        for drive in self._drives.values():
            drive.nudge()
        tasks = [task for task in (self._looking, *self._tasks.values()) if task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=2 * self._office.beats.grace)
            for task in late:
                log.warning("a driver does not end and is cut off", driver=task.get_name())
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def kill(self) -> None:
        """Stop as a killed process does: nothing more is written, and leases stay until they lapse."""
        self._stopping.set()
        for task in (self._looking, *self._tasks.values(), *self._under_way()):
            if task is not None:
                task.cancel()
        self._inventory.marked = lambda marked: None
        self.crashed.set()

    def nudge(self, marked: Collection[Marked]) -> None:
        """Listings of these (account, connection) have become stale. To be called in the event loop."""
        for key in marked:
            if (drive := self._drives.get(key)) is not None:
                drive.nudge()
            elif self._office.way.now() >= self._not_before.get(key, 0.0):
                self._begin(key)

    async def session(self, account: int, link: int) -> Session:
        """A way to a connection's channel, for asking it something on a person's behalf; the one in use
        while it is driven here. Raises Unconnected."""
        drive = self._drives.get((account, link))
        if drive is not None and drive.session is not None:
            return drive.session
        row = await self._inventory.read(account, partial(drives.driven, account=account, link=link))
        module = None if row is None else self._office.modules.get(row.channel)
        if row is None or module is None:
            raise Unconnected("there is no such connection, or no connector for it")
        vault = Vault(self._inventory, self._office.seals, account, link)
        try:
            settings = vault.settings(module, row)
        except ValueError as error:
            raise Unconnected(f"the settings do not fit: {error}") from error
        pace = self._office.paces.of(account, link)
        return Session(module, settings, self._office.way, vault=vault, pace=pace)

    # --- looking for work -------------------------------------------------------------------------

    async def _look(self) -> None:
        way = self._office.way
        while not self._stopping.is_set():
            pause = self._office.beats.look
            try:
                pause = max(pause, await self._round())
            except Exception:  # the loop must go on: nobody else looks
                log.exception("looking for work failed, it goes on")
            if await way.clock.wait(self._stopping, pause):
                return

    async def _round(self) -> float:
        """Begin to drive every connection that has work; seconds to wait for the next look at least."""
        now, owner = self._office.way.clock.now(), self._office.owner
        if now / MICROSECONDS < self._now - JUMP_SECONDS:
            self._not_before.clear()
            self._forget_at = 0.0
        self._now = now / MICROSECONDS
        if self._now >= self._forget_at:
            self._forget_at = self._now + self._office.beats.forget
            await self._forget()
        if self._inventory.store.sqlite:
            self._begin_all(await self._inventory.read(0, lambda c: drives.due(c, owner, now)))
            return 0.0
        everyone = await self._inventory.read(0, accounts.accounts)
        for one in everyone:
            if self._stopping.is_set():
                break
            query = partial(drives.due, owner=owner, now=now, account=one.id)
            try:
                self._begin_all(await self._inventory.read(one.id, query))
            except Exception:  # the other accounts have their right too
                log.exception("looking for work failed, it goes on", account=one.id)
        return PER_ACCOUNT_SECONDS * len(everyone)

    async def _forget(self) -> None:
        """Keep nothing of connections that are gone: a process lives long, and theirs would add up."""
        mine = sorted(self._office.paces.known() | self._not_before.keys())
        for account, some in itertools.groupby(mine, key=itemgetter(0)):
            read = partial(linking.links, account=account)
            there = {one.id for one in await self._inventory.read(account, read)}
            for key in some:
                if key[1] not in there and key not in self._drives:
                    self._office.paces.forget(*key)
                    self._not_before.pop(key, None)
                    if self._office.orders is not None:
                        self._office.orders.forget(*key)

    def _begin_all(self, found: Sequence[Due]) -> None:
        now = self._office.way.now()
        for one in found:
            key = (one.account, one.link)
            if one.stale and key in self._drives:
                # It may have been marked by another process, or by somebody who told nobody.
                self._drives[key].nudge()
            elif key not in self._drives and now >= self._not_before.get(key, 0.0) and self._needs(one, now):
                self._begin(key)

    def _needs(self, one: Due, now: float) -> bool:
        module = self._office.modules.get(one.channel)
        if one.stale or module is None:
            return one.stale
        swept, polled = (
            drives.past(at, int(now * MICROSECONDS)) / MICROSECONDS for at in (one.swept_at, one.polled_at)
        )
        if kind.pulls(module) is not None:
            every = one.rules.sweep or self._office.sweep
            if one.hinted:
                every = 0.0 if kind.looks(module) is not None else min(every, HINTED_SWEEP_SECONDS)
            if now >= swept + every:
                return True
        if self._office.orders is None or kind.takes_orders(module) is None:
            return False
        return now >= polled + (one.rules.poll or self._office.poll)

    def _begin(self, key: Marked) -> None:
        if self._stopping.is_set():
            return
        self._drives[key] = drive = Drive(self._office, *key)
        self._tasks[key] = asyncio.create_task(self._run(key, drive), name=f"drive {key}")

    async def _run(self, key: Marked, drive: Drive) -> None:
        pause = self._office.beats.look
        try:
            if await drive.run():
                pause = 0.0
        except Crash:
            self.kill()
        except (Busy, StoreFull, Unknowable) as error:
            log.warning("a driver waits for the database", account=key[0], connection=key[1], why=str(error))
            pause = self._office.beats.linger
        except Exception:  # one connection must not end the others
            log.exception("a driver failed", account=key[0], connection=key[1])
            pause = self._office.beats.again
        finally:
            del self._drives[key], self._tasks[key]
            self._not_before[key] = self._office.way.now() + pause
            if pause == 0.0:
                del self._not_before[key]

    def _under_way(self) -> Sequence[asyncio.Task[None]]:
        return [task for drive in self._drives.values() for task in drive.tasks]
