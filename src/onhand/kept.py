"""Connections to channels, kept and used again.

A pool of httpcore2 asks each of its idle connections, at every request, whether the other side has closed it:
with the connections of many shops in one pool that costs more than the request. So each is a pool of its own,
for one connection, and whoever takes it asks that one alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import httpcore2

CONNECTIONS, IDLE, IDLE_SECONDS = 200, 100, 30.0
"""Connections at once, those that wait for a next request, and for how long."""

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""


class Kept:
    """The connections of a process, by where they lead; what ``make`` makes opens with its first request."""

    def __init__(
        self, make: Callable[[], httpcore2.AsyncConnectionPool], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._make, self._now = make, now
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._closed = 0
        """How often: what was in use meanwhile is not kept."""
        self._free: dict[Origin, list[httpcore2.AsyncConnectionPool]] = {}
        self._since: OrderedDict[httpcore2.AsyncConnectionPool, tuple[Origin, float]] = OrderedDict()
        """Those that are free with their origin and since when, the one that waits longest first."""

    @contextlib.asynccontextmanager
    async def one(self, origin: Origin, timeout: float) -> AsyncIterator[httpcore2.AsyncConnectionPool]:
        """A connection, for one request. Raises httpcore2.PoolTimeout where there is none within ``timeout``
        seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._room.acquire()
        except TimeoutError as error:
            raise httpcore2.PoolTimeout(f"{CONNECTIONS} connections are in use") from error
        found, closed = self._take(origin) or self._make(), self._closed
        try:
            yield found
        finally:
            self._room.release()
            if closed == self._closed:
                now = self._now()
                self._free.setdefault(origin, []).append(found)
                self._since[found] = origin, now
                await self._dismiss(now - IDLE_SECONDS, IDLE)
            else:
                await found.aclose()

    async def close(self) -> None:
        """Close them all, those that are in use when they are not any more."""
        self._closed += 1
        await self._dismiss(float("inf"), 0)

    def _take(self, origin: Origin) -> httpcore2.AsyncConnectionPool | None:
        """The one that was used last: it is the least likely to be closed."""
        if not (free := self._free.get(origin)):
            return None
        found = free.pop()
        self._left(origin)
        del self._since[found]
        return found

    async def _dismiss(self, before: float, most: int) -> None:
        """Close those that are free since ``before``, and the oldest where there are more than ``most``."""
        while self._since:
            oldest, (origin, since) = next(iter(self._since.items()))
            if since >= before and len(self._since) <= most:
                return
            del self._since[oldest]
            self._free[origin].remove(oldest)
            self._left(origin)
            await oldest.aclose()

    def _left(self, origin: Origin) -> None:
        if not self._free[origin]:
            del self._free[origin]
