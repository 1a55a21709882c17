"""The simulated channels, and the ways of keeping them up to date that are compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from onhand.connectors.channel import Limit
from onhand.stock.offering import PLAIN, Rules

SYNC_SECONDS = 900.0
CONSTANT_BUFFER = 5
HUB_SECONDS = 0.25
"""What the hub itself takes, from hearing of a change to the request that tells it."""


class Profile(NamedTuple):
    """A simulated channel. ``share`` is its part of the trade. An order is heard of ``hears`` seconds
    after it was placed where the channel sends webhooks, else at the next poll, one every ``polls``
    seconds. A call tells ``batch`` listings, goes out within ``limit``, and is shown ``shows`` seconds
    later."""

    name: str
    share: int
    limit: Limit
    batch: int
    shows: float
    hears: float | None = None
    polls: float = 60.0


USUAL = (
    Profile("shop", 50, Limit("default", calls=2, seconds=1, burst=20), batch=50, shows=0.5, hears=2.0),
    Profile("marketplace", 35, Limit("default", calls=5, seconds=1, burst=5), batch=1, shows=1.0),
    Profile("importing", 15, Limit("default", calls=1, seconds=60), batch=5_000, shows=60.0),
)
"""A shop with webhooks, a marketplace that takes one listing a call and is polled, and a marketplace that
takes files, one a minute, and shows them a minute later."""


class Way(NamedTuple):
    """A way of keeping channels up to date. With ``every``, orders and stock are looked at so many seconds
    apart and all that changed is told then; without, every change is told when it is known. ``by_sku`` are
    the rules, already stacked, of SKUs that have rules of their own."""

    name: str
    rules: Rules = PLAIN
    every: float | None = None
    by_sku: Mapping[str, Rules] = {}


def compared(
    every: float, buffer: int, rules: Rules, by_sku: Mapping[str, Rules] | None = None
) -> tuple[Way, ...]:
    """The ways of the table: a sync without and with a constant buffer, and onhand with its rules."""
    minutes = f"{every / 60:g}-minute sync"
    return (
        Way(f"{minutes}, no buffer", PLAIN, every),
        Way(f"{minutes}, buffer of {buffer}", Rules(buffer=buffer), every),
        Way("onhand as configured", rules, by_sku=by_sku or {}),
    )
