"""What is left to be done behind COMMIT on PostgreSQL: wake-ups to write down, and an answer to look for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from onhand import batch, faults, mixed
from onhand.store import requests, wakeups
from onhand.store.engine import Store, reason, set_account
from onhand.store.lapsing import lapsing
from onhand.ticket import Ticket
from onhand.work import Recorded, Work

LOOKS = 2
"""How often a key is looked up: what ended one connection ended those that we kept for reading, too."""

log = structlog.get_logger(__name__)


def remember(store: Store, tickets: Sequence[Ticket], results: Sequence[Any]) -> None:
    """Write down when the account of ``tickets`` must be looked at again; a scan rebuilds what gets lost."""
    found = [
        wake
        for ticket, result in zip(tickets, results, strict=True)
        for wake in (*ticket.wakes, *mixed.dues(ticket.job, result))
    ]
    due = wakeups.earliest(found)
    if not due:
        return
    try:
        with store.writer.begin() as connection:
            lapsing(connection, store.answer_seconds)
            wakeups.put(connection, [(tickets[0].account, *one) for one in due.items()])
    except SQLAlchemyError as error:
        log.warning("wake-up not written", reason=reason(error))


def look_up_each(store: Store, tickets: Sequence[Ticket]) -> list[Ticket]:
    """COMMIT may or may not have happened. A key tells, and its ticket gets the result; those of which nobody
    can say, as without a key."""
    until = time.monotonic() + store.answer_seconds
    unknown: list[Ticket] = []
    for ticket in tickets:
        found = look_up(store, ticket) if time.monotonic() < until else None
        if found is None:
            unknown.append(ticket)
        else:
            ticket.result = found
    return unknown


def look_up(store: Store, ticket: Ticket) -> Recorded | None:
    """What was committed under the key of ``ticket``; None where that cannot be told, or it has none."""
    for _ in range(LOOKS):
        try:
            return _stored(store, ticket)
        except SQLAlchemyError as error:
            log.warning("the key of an unknown commit could not be looked up", reason=reason(error))
            if isinstance(error, DBAPIError) and (faults.silent(error) or faults.away(error)):
                break
    return None


def _stored(store: Store, ticket: Ticket) -> Recorded | None:
    work = ticket.job
    if not isinstance(work, Work) or work.key is None:
        return None
    with store.reader.connect() as connection, connection.begin():
        set_account(connection, ticket.account)
        name = (work.account, work.key.scope, work.key.key)
        stored = requests.look_up(connection, name)
    return Recorded(replay=batch.replay(stored, work)) if stored else None
