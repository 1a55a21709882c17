"""Runs all that is in one batch, works, messages and units, and says of each what it led to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from onhand import batch, unit
from onhand.store import counters, requests, shelf, wakeups
from onhand.store.books import Marked
from onhand.ticket import Ticket
from onhand.unit import Failure
from onhand.work import Arrival, Plan, Recorded, Work

_WAIT = object()
"""Of a work that is for a later batch."""


def results(connection: Connection, tickets: Sequence[Ticket], now: int, marked: set[Marked]) -> list[Any]:
    """What each ticket leads to, still to be committed; an exception is a unit's own."""
    found: list[Any] = [None] * len(tickets)
    works: list[tuple[int, Work]] = []
    arrivals: dict[int, list[tuple[int, Arrival]]] = {}
    for at, ticket in enumerate(tickets):
        if isinstance(ticket.job, Work):
            works.append((at, ticket.job))
        elif isinstance(ticket.job, Arrival):
            arrivals.setdefault(ticket.account, []).append((at, ticket.job))
        else:
            found[at] = unit.run(connection, ticket.job)
    for account, each in sorted(arrivals.items()):
        _arrive(connection, account, each, found, now)
    # What a unit has decided may have been undone with it: only what works leave is remembered.
    shelf.begin(connection)
    if works:
        recorded = batch.commit(connection, [work for _, work in works], now, marked)
        for (at, _), one in zip(works, recorded, strict=True):
            found[at] = one if one is not None else _WAIT
    if connection.dialect.name == "postgresql":
        _number(connection, tickets, found)
    return found


def _number(connection: Connection, tickets: Sequence[Ticket], results: Sequence[Any]) -> None:
    """Say that the catalogue of this batch's account has changed, for those who remember it elsewhere.

    It comes last: who waits here for another process holds what that one does not want any more. Units of
    no account only make new ones, of which nobody remembers anything.
    """
    account, ended = tickets[0].account, zip(tickets, results, strict=True)
    if account and any(one.changes_catalogue and not isinstance(found, Failure) for one, found in ended):
        counters.take(connection, account, counters.CATALOGUE)


def _arrive(
    connection: Connection, account: int, found: list[tuple[int, Arrival]], results: list[Any], now: int
) -> None:
    """Put an account's messages into its inbox, in the order of the tickets."""
    first = counters.take(connection, account, "inbox", len(found))
    messages = []
    for number, (at, one) in enumerate(found, first):
        messages.append(requests.Message(number, one.source, one.principal, one.body, now))
        results[at] = number
    requests.receive(connection, account, *messages)


def dues(job: object, result: object) -> Iterator[tuple[str, int]]:
    """When what was just committed must be looked at again."""
    if not isinstance(job, Work) or not isinstance(result, Recorded):
        return
    for level in result.levels.values():
        if level.next_expiry is not None:
            yield wakeups.EXPIRY, level.next_expiry
    for group in job.groups:
        for companion in group.also:
            if isinstance(companion, Plan):
                yield wakeups.PLANNED, companion.due


def end(tickets: Sequence[Ticket], results: Sequence[Any]) -> list[Ticket]:
    """Tell each ticket what it led to; those that must wait for a later batch."""
    again = []
    for ticket, result in zip(tickets, results, strict=True):
        if result is _WAIT:
            again.append(ticket)
        elif isinstance(result, Failure):
            ticket.fail(result.error)
        else:
            ticket.result = result
    return again
