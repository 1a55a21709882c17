"""The queue that tickets wait in for their commit, and how many of them are one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from onhand.ticket import PASSING, Ticket
from onhand.work import Arrival, Work

BATCH_LIMIT = 512
"""Works in one commit at most."""

HEAVY_LIMIT = 20_000
"""Commands in one commit at most, unless one work has more: who comes with a single one waits no longer than
for as many."""


LIGHT_LIMIT = 1_024
"""Commands that are decided in the event loop at once: some twenty-five milliseconds."""


class Batch(NamedTuple):
    """What is committed together; ``weight`` is how many commands that is."""

    tickets: Sequence[Ticket]
    weight: int


class CommitQueue:
    """Work that is committed in one order: an account's on PostgreSQL, everybody's on SQLite.

    ``busy`` while a batch of it is under way. Its owner sees to it that one thread at a time is here.
    """

    __slots__ = ("busy", "tickets", "weight")

    def __init__(self) -> None:
        self.tickets: deque[Ticket] = deque()
        self.weight = 0
        self.busy = False

    def put(self, ticket: Ticket) -> None:
        """The last in line."""
        self.tickets.append(ticket)
        self.weight += ticket.weight

    def take(self) -> Batch:
        """The next batch: mostly all who wait."""
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

    def put_back(self, tickets: Sequence[Ticket]) -> int:
        """These are the first again; how many commands they have."""
        self.tickets.extendleft(reversed(tickets))
        weight = sum([ticket.weight for ticket in tickets])
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
    return batch.weight <= LIGHT_LIMIT and {type(one.job) for one in batch.tickets} <= PASSING
