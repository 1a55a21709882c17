"""What all drivers of a process share: the ledger, the way to channels, the modules, beats and who we are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from onhand.connectors.kind import Kind
from onhand.courier.flows import Way
from onhand.courier.pacing import Pace
from onhand.courier.ports import Seals, TakesOrders
from onhand.courier.tally import Tally
from onhand.inventory import Inventory


class Beats(NamedTuple):
    """Seconds between two rounds of what the courier does by the clock."""

    look: float = 0.25
    """Between two looks for connections with work, and at a connection's own row."""
    lease: float = 15.0
    """How long a lease holds; it is renewed at a third of that."""
    linger: float = 5.0
    """How long a driver with nothing to do keeps its lease."""
    rest: float = 0.1
    """A listing is not told again sooner than this: what changes meanwhile goes in one."""
    gather: float = 0.03
    """A batch that is not full is begun no sooner than this after the one before."""
    again: float = 60.0
    """After a poll or a sweep failed."""
    grace: float = 10.0
    """What is under way when the courier stops has this long to end."""
    forget: float = 600.0
    """Between two looks for connections that are gone, of which nothing need be kept."""


class Clock:
    """The real time."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """True as soon as the event is set, False when so many seconds have passed before."""
        if event.is_set():
            return True
        if seconds <= 0:
            await asyncio.sleep(0)
            return event.is_set()
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True


class Paces:
    """The pace of every connection and how it goes, kept while the process lives."""

    def __init__(self) -> None:
        self._paces: dict[tuple[int, int], Pace] = {}
        self._tallies: dict[tuple[int, int], Tally] = {}

    def of(self, account: int, link: int) -> Pace:
        """The pace of a connection; its `Session` tells it the limits."""
        return self._paces.setdefault((account, link), Pace())

    def tally(self, account: int, link: int) -> Tally:
        """The counts of a connection."""
        return self._tallies.setdefault((account, link), Tally())

    def known(self) -> set[tuple[int, int]]:
        """The (account, connection) of which something is kept."""
        return {*self._paces, *self._tallies}

    def forget(self, account: int, link: int) -> None:
        """A connection is gone."""
        self._paces.pop((account, link), None)
        self._tallies.pop((account, link), None)


class Office(NamedTuple):
    """What a `drive.Drive` works with. ``sweep`` and ``poll`` are the usual seconds between two of them."""

    inventory: Inventory
    way: Way
    seals: Seals
    modules: Mapping[str, Kind]
    owner: str
    beats: Beats
    paces: Paces
    orders: TakesOrders | None
    sweep: float
    poll: float
