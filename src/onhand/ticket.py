"""One caller's work on its way through the ledger, and the future that the caller waits on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from onhand.store.books import Marked
from onhand.work import Arrival, Work

LIGHT_LIMIT = 1_024
"""Commands that are decided in the event loop at once: some twenty-five milliseconds."""

_NOTHING_MARKED: set[Marked] = set()


class Ticket:
    """One caller's work and the future that it waits on."""

    __slots__ = (
        "account",
        "ended",
        "error",
        "future",
        "job",
        "loop",
        "marked",
        "quiet",
        "result",
        "since",
        "wakes",
        "weight",
    )

    def __init__(
        self,
        account: int,
        job: Work | Arrival | Callable[[Connection], Any],
        future: asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop,
        wakes: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self.wakes = wakes
        self.account = account
        self.job = job
        self.future = future
        self.loop = loop
        self.since = time.monotonic()
        self.quiet = False
        self.weight = 0
        """How many commands it has."""
        if isinstance(job, Work):
            for group in job.groups:
                self.weight += len(group.commands) + len(group.also)
        self.marked: set[Marked] = _NOTHING_MARKED
        """What its batch made stale; only the first ticket of a batch tells."""
        self.ended = False
        self.result: Any = None
        self.error: Exception | None = None

    @property
    def changes_catalogue(self) -> bool:
        """Whether it may have changed more than stock: only units may, and not those that say so."""
        return not self.quiet and not isinstance(self.job, (Work, Arrival))

    def done(self, result: Any) -> None:
        """The work is committed."""
        self.result, self.ended = result, True

    def fail(self, error: Exception) -> None:
        """The work was not done, or nobody knows."""
        self.error, self.ended = error, True

    def settle(self) -> None:
        """Wake the caller. To be called in the caller's loop."""
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def light(batch: Sequence[Ticket]) -> bool:
    """Whether a batch is small enough to be decided while nothing else happens."""
    weight = 0
    for ticket in batch:
        if not isinstance(ticket.job, (Work, Arrival)):
            return False
        weight += ticket.weight
    return weight <= LIGHT_LIMIT
