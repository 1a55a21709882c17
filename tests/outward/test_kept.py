"""Connections to channels are used again, each asked for by itself, and not kept for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import httpcore2
import pytest

from onhand import kept
from onhand.kept import Kept, Origin

SHOP: Origin = ("https", "shop.example", 443)
OTHER: Origin = ("https", "other.example", 443)
THIRD: Origin = ("https", "third.example", 443)
SECONDS = 5.0


class Line:
    """A connection that only knows whether it was closed."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = False

    async def aclose(self) -> None:
        assert not self.closed
        self.closed = True


class Office:
    """Counts what was made, and has a clock of its own."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.now = 0.0
        self.kept = Kept(self.make, lambda: self.now)

    def make(self) -> httpcore2.AsyncConnectionPool:
        self.lines.append(Line(len(self.lines)))
        return cast(httpcore2.AsyncConnectionPool, self.lines[-1])

    @contextlib.asynccontextmanager
    async def one(self, origin: Origin = SHOP, timeout: float = SECONDS) -> AsyncIterator[int]:
        async with self.kept.one(origin, timeout) as found:
            yield cast(Any, found).number

    async def used(self, origin: Origin = SHOP) -> int:
        """The number of the one that is used for a request."""
        async with self.one(origin) as number:
            return number

    def closed(self) -> list[int]:
        return [one.number for one in self.lines if one.closed]


@pytest.fixture
def office() -> Office:
    return Office()


def test_one_after_the_other_are_the_same(office: Office) -> None:
    async def go() -> None:
        assert [await office.used(), await office.used(OTHER), await office.used()] == [0, 1, 0]
        async with office.one() as first, office.one() as second, office.one(OTHER) as third:
            assert (first, second, third) == (0, 2, 1)
        assert await office.used() == 0  # the one that was given back last
        assert office.closed() == []
        await office.kept.close()
        assert office.closed() == [0, 1, 2]
        assert await office.used() == 3

    asyncio.run(go())


def test_what_fails_gives_its_place_back(office: Office) -> None:
    async def go() -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="broken"):
                async with office.one():
                    raise ValueError("broken")
        assert len(office.lines) == 1

    asyncio.run(go())


def test_none_waits_for_ever(office: Office) -> None:
    """Whoever gives one back closes those that nobody has used for long, wherever they lead."""

    async def go() -> None:
        await office.used()
        office.now += kept.IDLE_SECONDS - 1
        await office.used(OTHER)
        assert office.closed() == []
        office.now += 2
        await office.used(OTHER)
        assert office.closed() == [0]
        assert await office.used() == 2

    asyncio.run(go())


def test_so_many_wait_at_most(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "IDLE", 2)

    async def go() -> None:
        async with office.one(), office.one(OTHER), office.one():
            pass
        assert len(office.closed()) == 1
        await office.used(THIRD)
        assert len(office.closed()) == 2

    asyncio.run(go())


def test_so_many_are_in_use_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "CONNECTIONS", 2)
    office = Office()

    async def go() -> None:
        async with office.one(), office.one(OTHER):
            with pytest.raises(httpcore2.PoolTimeout, match="2 connections are in use"):
                async with office.one(timeout=0.01):
                    pass
            waiting = asyncio.create_task(office.used())
            await asyncio.sleep(0)
        assert await waiting == 0
        assert len(office.lines) == 2

    asyncio.run(go())


def test_what_is_in_use_is_closed_behind_its_request(office: Office) -> None:
    async def go() -> None:
        async with office.one() as before:
            await office.kept.close()
            assert office.closed() == []
            assert await office.used() == 1
        assert (before, office.closed()) == (0, [0])
        assert await office.used() == 1

    asyncio.run(go())
