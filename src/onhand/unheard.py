"""Refusals that nobody is waiting for: they become incidents in the transaction that refused them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import msgspec
from sqlalchemy import Connection

from onhand.stock.ledger import Refused
from onhand.stock.model import (
    AnyRefusal,
    Closed,
    Exists,
    Expired,
    Forbidden,
    Insufficient,
    Stale,
    TooLarge,
    Undone,
    Unknown,
)
from onhand.store import incidents, requests
from onhand.work import Group, Outcome, Work


def write(connection: Connection, work: Work, outcomes: Sequence[Outcome], now: int) -> None:
    """Open incidents for the refused groups of a work that ends messages or a planned change.

    A planned change that was refused gets the status ``refused`` with the reason as its outcome.
    """
    refused = [
        (group, outcome)
        for group, outcome in zip(work.groups, outcomes, strict=True)
        if isinstance(outcome, Refused) and not _passed_over(group, outcome)
    ]
    if not refused:
        return
    bodies: Sequence[Mapping[str, Any]] = [_body(work, group, outcome) for group, outcome in refused]
    kind = incidents.PLANNED
    if work.plan is None:
        kind, bodies = incidents.REFUSED, incidents.news(connection, work.account, bodies)
    incidents.report(connection, work.account, [(kind, body) for body in bodies], now)
    if work.plan is not None:
        words = explain(refused[0][1].refusal)
        requests.refuse_plan(connection, work.account, work.plan, words, now)


def _passed_over(group: Group, outcome: Refused) -> bool:
    """Who asks for existing levels only wants the others left alone: that is no incident."""
    refusal = outcome.refusal
    return group.existing is True and isinstance(refusal, Unknown) and refusal.kind == "level"


def _body(work: Work, group: Group, outcome: Refused) -> dict[str, Any]:
    body = {
        "why": explain(outcome.refusal),
        "refusal": msgspec.to_builtins(outcome.refusal),
        "command": msgspec.to_builtins(group.commands[outcome.index]) if group.commands else None,
        "caller": group.caller or work.caller,
        "context": work.context,
        "plan": work.plan,
    }
    return {name: value for name, value in body.items() if value is not None}


def explain(refusal: AnyRefusal) -> str:
    """A refusal as a sentence, with its arithmetic; names are internal ids."""
    match refusal:
        case Stale(item, location, expected, shown):
            return f"Item {item} at {location} shows {shown}, and {expected} was expected"
        case Insufficient(item, location, wanted, available, on_hand, reserved, _):
            return (
                f"{wanted} of item {item} at {location} were asked for and {available} can be had"
                f" ({on_hand} on hand, {reserved} reserved)"
            )
        case Unknown(kind, name):
            return f"There is no {kind} {name}"
        case Closed(listing):
            return f"Listing {listing} is closed"
        case Expired(reference, expired_at):
            return f"The hold {reference!r} expired at {expired_at}"
        case Exists(reference, status):
            return f"The reference {reference!r} is taken: {status or 'another owner has it'}"
        case TooLarge(value, limit):
            return f"{value} is further from zero than {limit}"
        case Forbidden(why):
            return why[:1].upper() + why[1:]
        case Undone():
            return "Another change that belongs to it was refused"
        case _:
            assert_never(refusal)
