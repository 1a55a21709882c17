"""What happens in a simulated time, the same for every way that is compared: orders, returns, deliveries.

Pure: the lots come from a generator that the caller has seeded.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from onhand.office.orderfile import Ask, What
from onhand.simulate.profiles import Profile

DAY = 86_400.0


class Kind(StrEnum):
    """What an event is."""

    SALE = "sale"
    """A customer wants units at a channel."""
    STOCK = "stock"
    """Units come into the warehouse, or are lost there (below 0)."""


class Event(NamedTuple):
    """Something that happens ``at`` so many seconds from the beginning. ``channel`` is a sale's."""

    at: float
    kind: Kind
    sku: str
    units: int
    channel: int = -1
    order: int = -1


class Supply(NamedTuple):
    """How stock comes in: every ``days`` each SKU is delivered ``percent`` of what the file orders of it in
    that time on average, the first time at the beginning."""

    days: float = 7.0
    percent: int = 100


def poisson(count: int, days: float, lots: random.Random) -> list[float]:
    """The times of ``count`` arrivals of a Poisson process, given that so many came in ``days``."""
    return sorted(lots.uniform(0.0, days * DAY) for _ in range(count))


def events(
    asks: Sequence[Ask],
    times: Sequence[float],
    days: float,
    channels: Sequence[Profile],
    supply: Supply,
    lots: random.Random,
) -> list[Event]:
    """All events by time. ``times`` are those of the asks; every order is a customer of one channel, drawn
    by the channels' shares."""
    found = [*_deliveries(asks, days, supply)]
    weights = [one.share for one in channels]
    for number, (ask, at) in enumerate(zip(asks, times, strict=True)):
        channel = lots.choices(range(len(channels)), weights)[0]
        match ask.what:
            case What.ORDER:
                found += [Event(at, Kind.SALE, sku, units, channel, number) for sku, units in ask.lines]
            case What.RETURN:
                found += [Event(at, Kind.STOCK, sku, units) for sku, units in ask.lines]
            case What.LOSS:
                found += [Event(at, Kind.STOCK, sku, -units) for sku, units in ask.lines]
    # Sorting is stable: what is delivered at a time is there for the orders of that time.
    return sorted(found, key=lambda event: event.at)


def wanted(asks: Sequence[Ask]) -> Mapping[str, int]:
    """Units that orders ask for, by SKU."""
    found: dict[str, int] = {}
    for ask in asks:
        if ask.what is What.ORDER:
            for sku, units in ask.lines:
                found[sku] = found.get(sku, 0) + units
    return found


def _deliveries(asks: Sequence[Ask], days: float, supply: Supply) -> Iterator[Event]:
    """What is left over by rounding comes with a later delivery; the sum is right to the unit."""
    for sku, units in wanted(asks).items():
        whole = units * supply.percent / 100
        sent, round_ = 0, 0
        while round_ * supply.days < days:
            due = round(whole * min(1.0, (round_ + 1) * supply.days / days))
            if due > sent:
                yield Event(round_ * supply.days * DAY, Kind.STOCK, sku, due - sent)
            sent, round_ = due, round_ + 1
