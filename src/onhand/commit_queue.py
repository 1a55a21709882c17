"""The queue that tickets wait in for their commit, and how many of them are one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, MutableSequence, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand.ticket import PASSING, Ticket
from onhand.transact import Opened
from onhand.work import Arrival, Work

BATCH_LIMIT = 512
"""Works in one commit at most."""

HEAVY_LIMIT = 20_000
"""Commands in one commit at most, unless one work has more: who comes with a single one waits no longer than
for as many."""


LIGHT_LIMIT = 1_024
"""Commands that are decided in the event loop at once: some twenty-five milliseconds."""


class Batch(msgspec.Struct, eq=False):
    """What is committed together; ``weight`` is how many commands that is."""

    tickets: MutableSequence[Ticket]
    weight: int


class CommitQueue:
    """Work that is committed in one order: an account's on PostgreSQL, everybody's on SQLite.

    ``busy`` while a batch of it is under way, or about to be. Its owner sees to it that one thread at a time
    is here.
    """

    __slots__ = ("basis", "busy", "tickets", "under_way", "weight")

    def __init__(self) -> None:
        self.tickets: deque[Ticket] = deque()
        self.weight = 0
        self.busy = False
        self.under_way = 0
        """Batches that were taken and have not ended."""
        self.basis: Opened | None = None
        """The newest of them, if it was begun and the next may be decided on top of it."""

    def put(self, ticket: Ticket) -> None:
        """The last in line."""
        self.tickets.append(ticket)
        self.weight += ticket.weight

    def take(self) -> Batch:
        """The next batch: mostly all who wait."""
        self.under_way += 1
        self.basis = None
        if len(self.tickets) <= BATCH_LIMIT and self.weight <= HEAVY_LIMIT:
            whole = Batch(self.tickets, self.weight)
            self.tickets, self.weight = deque(), 0
            return whole
        taken: list[Ticket] = []
        weight = 0
        while self.tickets and len(taken) < BATCH_LIMIT:
            if taken and weight + self.tickets[0].weight > HEAVY_LIMIT:
                break
            weight += self.tickets[0].weight
            taken.append(self.tickets.popleft())
        self.weight -= weight
        return Batch(taken, weight)

    def join(self, batch: Batch) -> Sequence[Ticket]:
        """Add to a batch those who have come since it was taken, up to a unit, and as many as there may be in
        one; who they are."""
        joined: list[Ticket] = []
        while self.tickets and len(batch.tickets) < BATCH_LIMIT:
            ticket = self.tickets[0]
            if type(ticket.job) not in PASSING or batch.weight + ticket.weight > HEAVY_LIMIT:
                break
            batch.weight += ticket.weight
            self.weight -= ticket.weight
            joined.append(self.tickets.popleft())
            batch.tickets.append(ticket)
        return joined

    def give_back(self, batch: Batch) -> None:
        """What was taken was not begun: it is the next again."""
        self.end(batch.tickets)

    def end(self, again: Sequence[Ticket]) -> int:
        """A batch has ended, and these are the first again; how many commands they have."""
        self.under_way -= 1
        self.tickets.extendleft(reversed(again))
        weight = sum([ticket.weight for ticket in again])
        self.weight += weight
        return weight


def weigh(job: Work | Arrival | Callable[[Connection], Any]) -> int:
    """How many commands a job has."""
    if type(job) is not Work:
        return 0
    if len(job.groups) == 1:
        (group,) = job.groups
        return len(group.commands) + len(group.also)
    return sum([len(group.commands) + len(group.also) for group in job.groups])


def light(batch: Batch) -> bool:
    """Whether a batch is small enough to be decided while nothing else happens."""
    return batch.weight <= LIGHT_LIMIT and passing(batch)


def passing(batch: Batch) -> bool:
    """Whether there are no units in a batch, which may take long."""
    return {type(one.job) for one in batch.tickets} <= PASSING
