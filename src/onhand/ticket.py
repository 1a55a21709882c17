"""One caller's work on its way through the ledger, and the future that the caller waits on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand.work import Arrival, Work

PASSING = frozenset({Work, Arrival})
"""Jobs that are no units."""


class Ticket(msgspec.Struct, eq=False):
    """One caller's work and the future that it waits on, in ``loop``.

    ``weight`` is how many commands it has, ``since`` when it came, by the loop's clock. It has ended when it
    has a result, or an error that its caller is told.
    """

    account: int
    job: Work | Arrival | Callable[[Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    weight: int = 0
    since: float = 0.0
    wakes: tuple[tuple[str, int], ...] = ()
    quiet: bool = False
    result: Any = None
    error: Exception | None = None

    @property
    def changes_catalogue(self) -> bool:
        """Whether it may have changed more than stock: only units may, and not those that say so."""
        return not self.quiet and type(self.job) not in PASSING

    def fail(self, error: Exception) -> None:
        """The work was not done, or nobody knows."""
        self.error = error

    def settle(self) -> None:
        """Wake the caller. To be called in the caller's loop."""
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)
