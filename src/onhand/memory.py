"""What is remembered of the catalogue, each account by itself, and until when it counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Protocol, TypeAlias

MEMORY_LIMIT = 100_000
"""Things remembered at most; then it begins anew."""

MEMORY_SECONDS = 1.0
"""How long what is remembered of a PostgreSQL counts without a look at the account's number of changes."""

MEMORY_LIFE_SECONDS = 60.0
"""How long at most, whatever the number is: somebody may have changed rows with SQL of their own."""

Entries: TypeAlias = dict[Hashable, Any]


class Owned(Protocol):
    """What says whose it is."""

    @property
    def account(self) -> int:
        """The account that it belongs to."""


class Known:
    """What is remembered of an account under one number of changes."""

    __slots__ = ("ends", "entries", "number", "until")

    def __init__(self, number: int, asked: float, ends: float) -> None:
        self.entries: Entries = {}
        self.number = number
        self.until = asked + MEMORY_SECONDS
        self.ends = ends


class Memory:
    """Remembers what was found, by account and name.

    What is looked up goes into the very entries that were there before it was asked for: those that were
    dropped meanwhile take it along, so that nothing old is kept under a newer number.

    ``number`` reads how often an account's catalogue was changed; None where this process is the only one
    that changes it. `forget` may be called in any thread, all else in the loop.
    """

    def __init__(self, number: Callable[[int], Awaitable[int]] | None) -> None:
        self._number = number
        self._known: dict[int, Known] = {}
        self._looks: dict[int, asyncio.Task[Known]] = {}
        self._count = 0

    async def of(self, account: int) -> Entries:
        """What is remembered of an account and still counts."""
        known = self._known.get(account)
        if known is None or known.until < time.monotonic():
            known = await self._looked_at(account)
        return known.entries

    async def _looked_at(self, account: int) -> Known:
        if self._number is None:
            return self._known.setdefault(account, _forever())
        look = self._looks.get(account)
        if look is None or look.get_loop() is not asyncio.get_running_loop():
            look = asyncio.ensure_future(self._look(account, self._number))
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

    def keep(self, entries: Entries, name: Hashable, value: Any) -> None:
        """Remember ``value`` in what `of` gave before it was looked up."""
        if self._count >= MEMORY_LIMIT:
            self.forget()
        entries[name] = value
        self._count += 1

    def forget(self, account: int | None = None) -> None:
        """An account's catalogue was changed; without one, anything may have been."""
        if account is None:
            self._known = {}
            self._count = 0
        else:
            self._known.pop(account, None)


def _forever() -> Known:
    known = Known(0, 0.0, 0.0)
    known.until = float("inf")
    return known
