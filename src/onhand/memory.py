"""What is remembered of the catalogue, each account by itself, and until when it counts."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Protocol

MEMORY_LIMIT = 100_000
"""Things remembered at most; then it begins anew."""

MEMORY_SECONDS = 1.0
"""How long what is remembered of a PostgreSQL counts without a look at the account's number of changes."""

MEMORY_LIFE_SECONDS = 60.0
"""How long at most, whatever the number is: somebody may have changed rows with SQL of their own."""


class Owned(Protocol):
    """What says whose it is."""

    @property
    def account(self) -> int:
        """The account that it belongs to."""


class Known:
    """What is remembered of an account under one number of changes."""

    __slots__ = ("ends", "number", "single", "stamp", "tables", "until")

    def __init__(self, number: int, asked: float, ends: float) -> None:
        self.stamp = object()
        """For those who keep what rests on this, and no longer: this itself may be large, and they may never
        come back to see that it was forgotten."""
        self.single: dict[Hashable, Any] = {}
        self.tables: dict[str, dict[Any, Any]] = {}
        """Things of one kind, by their names."""
        self.number = number
        self.until = asked + MEMORY_SECONDS
        self.ends = ends


def _always() -> Known:
    """What counts until it is forgotten."""
    return Known(0, 0.0, 0.0)


class Memory:
    """Remembers what was found, by account: single things by name, and tables of things of one kind.

    What is looked up goes into the very `Known` that was there before it was asked for: one that was
    dropped meanwhile takes it along, so that nothing old is kept under a newer number.

    ``number`` reads how often an account's catalogue was changed; None where this process is the only one
    that changes it. `forget` may be called in any thread, all else in the loop.
    """

    def __init__(self, number: Callable[[int], Awaitable[int]] | None) -> None:
        self._number = number
        self._known: defaultdict[int, Known] = defaultdict(_always)
        self.now: Callable[[int], Known | None] = (
            self._known.__getitem__ if number is None else self._counting
        )
        """What is remembered of an account and still counts; None where that must be asked first, by `of`."""
        self._looks: dict[int, asyncio.Task[Known]] = {}
        self._count = 0

    def _counting(self, account: int) -> Known | None:
        known = self._known.get(account)
        return None if known is None or known.until < time.monotonic() else known

    async def of(self, account: int) -> Known:
        """The same, once it is known to count."""
        if self._number is None:
            return self._known[account]
        return await self._looked_at(account, self._number)

    async def _looked_at(self, account: int, number: Callable[[int], Awaitable[int]]) -> Known:
        look = self._looks.get(account)
        if look is None or look.get_loop() is not asyncio.get_running_loop():
            look = asyncio.ensure_future(self._look(account, number))
            self._looks[account] = look
            look.add_done_callback(lambda done: self._looked(account, done))
        # One look for all who wait; a caller that leaves does not end it for the others.
        return await asyncio.shield(look)

    def _looked(self, account: int, done: asyncio.Task[Known]) -> None:
        if self._looks.get(account) is done:
            del self._looks[account]
        if not done.cancelled():
            done.exception()  # those who waited have it

    async def _look(self, account: int, number: Callable[[int], Awaitable[int]]) -> Known:
        """Read the number again, always before what is then remembered under it is read."""
        known, asked = self._known.get(account), time.monotonic()
        found = await number(account)
        if known is not None and known.number == found and asked < known.ends:
            # If it was forgotten meanwhile, then nobody sees it again but those who have been waiting here.
            known.until = asked + MEMORY_SECONDS
            if self._known.get(account) is known:
                return known
        known = Known(found, asked, asked + MEMORY_LIFE_SECONDS)
        self._known[account] = known
        return known

    def keep(self, known: Known, name: Hashable, value: Any) -> None:
        """Remember ``value`` in what was known before it was looked up."""
        self._make_room(1)
        known.single[name] = value

    def keep_many(self, known: Known, kind: str, values: Mapping[Any, Any]) -> None:
        """Remember more of a table."""
        if values:
            self._make_room(len(values))
            known.tables.setdefault(kind, {}).update(values)

    def _make_room(self, count: int) -> None:
        if self._count + count > MEMORY_LIMIT:
            self.forget()
        self._count += count

    def forget(self, account: int | None = None) -> None:
        """An account's catalogue was changed; without one, anything may have been."""
        if account is None:
            self._known.clear()
            self._count = 0
        else:
            self._known.pop(account, None)
