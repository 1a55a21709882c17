"""Drives one connection while it has work: holds its lease, reads its settings, runs its errands, and notes
how it goes.

One courier drives a connection at a time. A drive that loses its lease stops at once; what it had under way
is settled by nobody and told again by whoever has the lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection

from onhand.courier.errands import MICROSECONDS, Errands
from onhand.courier.flows import Session, Stopping
from onhand.courier.office import Office
from onhand.courier.pacing import JUMP_SECONDS, Circuit
from onhand.courier.ports import Crash
from onhand.courier.stored import Vault
from onhand.store import drives, told
from onhand.store.drives import Driven, LeaseLost

SHORTEST_WAIT = 0.001

log = structlog.get_logger(__name__)


class Drive:
    """The driver of one connection. `run` returns when there is nothing to do, the connection is not to be
    told (any more), somebody else drives it, or the courier stops."""

    def __init__(self, office: Office, account: int, link: int) -> None:
        self._office = office
        self._account, self._link = account, link
        self._wake = asyncio.Event()
        self._tally = office.paces.tally(account, link)
        self._vault = Vault(office.inventory, office.seals, account, link)
        self._errands: Errands | None = None
        self._renew_at = 0.0
        self._lapses = 0
        self._load_at = 0.0
        self._busy_at = 0.0
        self._now = 0.0
        self._was_open = False
        self._noted: tuple[Any, Any, Any] = (None, None, None)

    @property
    def session(self) -> Session | None:
        """The way to the channel, once its settings were read."""
        return None if self._errands is None else self._errands.session

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What is under way."""
        return [] if self._errands is None else list(self._errands.tasks)

    def nudge(self) -> None:
        """A listing of this connection has become stale."""
        if self._errands is not None:
            self._errands.call()
        self._wake.set()

    async def run(self) -> bool:
        """Drive until there is nothing to do; False when it is not to be driven here, or not now."""
        leased = lost = False
        try:
            leased = await self._renew()
            self._errands = await self._prepare() if leased else None
            return self._errands is not None and await self._loop(self._errands)
        except LeaseLost:
            log.info("another courier drives this connection", **self._names)
            lost = True
            return False
        except Stopping:
            return True
        except (Crash, asyncio.CancelledError):
            lost = True
            raise
        finally:
            if lost:
                for task in self.tasks:
                    task.cancel()
            elif leased:
                await self._end()

    @property
    def _names(self) -> dict[str, int]:
        return {"account": self._account, "connection": self._link}

    # --- the loop ---------------------------------------------------------------------------------

    async def _loop(self, errands: Errands) -> bool:
        way, linger = self._office.way, self._office.beats.linger
        self._busy_at = way.now()
        while not way.stopping.is_set():
            self._wake.clear()
            if errands.ended is not None:
                raise errands.ended
            if await self._set_back(errands):
                return True
            if way.now() >= self._renew_at and not await self._renew():
                raise LeaseLost
            if (way.now() >= self._load_at or errands.stale_row) and not await self._reload(errands):
                return False
            await self._watch_circuit(errands)
            errands.begin()
            await self._note(errands)
            now = way.now()
            if errands.tasks or errands.due_in() <= linger:
                self._busy_at = now
            elif now - self._busy_at >= linger:
                return errands.session.circuit.closed
            if not self._wake.is_set():
                await way.clock.wait(self._wake, self._pause(errands))
        return True

    async def _set_back(self, errands: Errands) -> bool:
        """Whether the clock was set back: then all that is put off is due, and all times that were reckoned
        by it are forgotten with this drive."""
        clock = self._office.way.clock
        before, self._now = self._now, clock.now() / MICROSECONDS
        if self._now >= before - JUMP_SECONDS:
            return False
        log.warning("the clock was set back", seconds=round(before - self._now), **self._names)
        # What is under way may still be put off by the old time.
        await errands.end(self._office.beats.grace)
        await self._revive(clock.now())
        return True

    async def _revive(self, now: int) -> None:
        unit = partial(told.revive, account=self._account, link=self._link, now=now)
        await self._office.inventory.write(self._account, unit, quiet=True)

    def _pause(self, errands: Errands) -> float:
        """Seconds until something is to be done that nobody wakes us for."""
        now = self._office.way.now()
        return max(SHORTEST_WAIT, min(self._renew_at - now, self._load_at - now, errands.due_in()))

    async def _watch_circuit(self, errands: Errands) -> None:
        """When a channel is back, what was put off because of it is due now."""
        circuit = errands.session.circuit
        is_open = not circuit.closed
        if is_open and not self._was_open:
            log.warning("a channel is taken for down", words=circuit.words, **self._names)
        if self._was_open and not is_open:
            log.info("a channel is back", **self._names)
            await self._revive(self._office.way.clock.now())
            errands.call()
        self._was_open = is_open

    # --- lease and settings -----------------------------------------------------------------------

    async def _renew(self) -> bool:
        """Take or renew the lease. Raises LeaseLost if somebody else has had it meanwhile."""
        office, now = self._office, self._office.way.clock.now()
        until = now + int(office.beats.lease * MICROSECONDS)
        late = 0 < self._lapses <= now
        self._renew_at = now / MICROSECONDS + office.beats.lease / 3

        def unit(connection: Connection) -> bool:
            if late:
                drives.require(connection, self._account, self._link, office.owner)
            return drives.take(connection, self._account, self._link, office.owner, until, now)

        taken = await office.inventory.write(self._account, unit, quiet=True)
        if taken:
            self._lapses = until
        return taken

    async def _leased(self) -> None:
        """Before a request goes out: who stood still may find that somebody else has told newer numbers."""
        if self._office.way.clock.now() >= self._lapses and not await self._renew():
            raise LeaseLost

    async def _prepare(self) -> Errands | None:
        """The errands of the connection; None when it is gone, paused, down, or its settings do not fit."""
        row = await self._read()
        settings = None if row is None else await self._settings(row)
        if row is None or settings is None:
            return None
        module = self._office.modules[row.channel]
        open_until = None if row.open_until is None else row.open_until / MICROSECONDS
        circuit = Circuit(row.failures, open_until, row.words)
        if circuit.waits(self._office.way.now()) > 0:
            return None
        self._was_open = not circuit.closed
        session = Session(
            module,
            settings,
            self._office.way,
            vault=self._vault,
            pace=self._office.paces.of(self._account, self._link),
            circuit=circuit,
            count=self._tally.count,
        )
        session.leased = self._leased
        return Errands(self._office, self._account, row, session, self._tally, self._wake)

    async def _reload(self, errands: Errands) -> bool:
        """Read the connection again; False when it is not to be told any more."""
        errands.stale_row = False
        row = await self._read()
        if row is None:
            return False
        before, errands.row = errands.row, row
        if (before.channel, before.settings, before.secrets) != (row.channel, row.settings, row.secrets):
            settings = await self._settings(row)
            if settings is None or row.channel != before.channel:
                return False
            errands.session.use(settings)
        return True

    async def _read(self) -> Driven | None:
        query = partial(drives.driven, account=self._account, link=self._link)
        row = await self._office.inventory.read(self._account, query)
        self._load_at = self._office.way.now() + self._office.beats.look
        return None if row is None or row.paused else row

    async def _settings(self, row: Driven) -> Any:
        """The module's Settings; None, and the connection says why, when they do not fit."""
        module = self._office.modules.get(row.channel)
        if module is None:
            return await self._complain(f"there is no connector for {row.channel}")
        try:
            return self._vault.settings(module, row)
        except ValueError as error:
            return await self._complain(f"the settings do not fit: {error}")

    async def _complain(self, words: str) -> None:
        log.error("a connection cannot be driven", words=words, **self._names)
        again = self._office.way.clock.now() + int(self._office.beats.again * MICROSECONDS)
        await self._write({"words": words, "open_until": again})

    # --- notes ------------------------------------------------------------------------------------

    async def _note(self, errands: Errands, *, last: bool = False) -> None:
        """Write how it goes: the circuit when it changed, the counts with every renewal."""
        circuit = errands.session.circuit
        state = (circuit.open_until, circuit.words if circuit.open_until else None)
        changed = state != self._noted[0]
        if not (changed or last or self._noted[1] != self._renew_at):
            return
        stats = self._tally.stats()
        if changed or stats != self._noted[2]:
            until = None if circuit.open_until is None else int(circuit.open_until * MICROSECONDS)
            text = msgspec.json.encode(stats).decode()
            what = {"open_until": until, "failures": circuit.failures, "words": state[1], "stats": text}
            await self._write(what)
        self._noted = (state, self._renew_at, stats)

    async def _write(self, values: Mapping[str, Any]) -> None:
        unit = partial(drives.note, account=self._account, link=self._link, values=values)
        await self._office.inventory.write(self._account, unit, quiet=True)

    async def _end(self) -> None:
        """Let what was sent be settled, for a while, and give the lease back."""
        if self._errands is not None:
            await self._errands.end(self._office.beats.grace)
            await self._note(self._errands, last=True)
        release = partial(drives.release, account=self._account, link=self._link, owner=self._office.owner)
        await self._office.inventory.write(self._account, release, quiet=True)
