"""From a stale listing and the stock behind it to the target that its channel is told. Pure.

A target is computed when it is sent, from one snapshot. What the rules make of the stock is `offers`, which
`explain` shows term by term.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from onhand.connectors.channel import (
    Channel,
)
from onhand.connectors.flow import Future, Slot, Target
from onhand.stock.offering import Offer, Rules, offer, stacked, units
from onhand.store.drives import past
from onhand.store.outgoing import Aim, Listed, SlotRow, Stale

_encode = msgspec.json.Encoder().encode


def offers(listed: Listed, rules: Rules) -> list[Offer]:
    """What each slot of a listing should show, in the order of its slots. ``rules`` are the connection's:
    the listing's own stand on them."""
    taken = stacked(rules, listed.rules)
    return [offer(sources, taken, closed=listed.closed) for sources in listed.sources]


def left_alone(listed: Listed, rules: Rules) -> bool:
    """Whether a channel keeps the number that it has: nobody ever counted here what it sells, so the ledger
    knows nothing of it. A shop that is connected before its stock is taken in goes on selling. Not where the
    listing is closed here, or has a cap of 0, which somebody set to empty it."""
    if listed.counted or not listed.slots:
        return False
    return not listed.closed and stacked(rules, listed.rules).cap != 0


def target(aim: Aim, rules: Rules, channel: Channel) -> Target:
    """What the channel is to be told of a stale listing, all its slots together.

    A slot's ``observed`` is given only where it is newer than what was acknowledged."""
    listed, now, largest = aim.listed, aim.at, channel.largest
    taken = stacked(rules, listed.rules)
    told = []
    for row, sources in zip(listed.slots, listed.sources, strict=True):
        made, infinite = units(sources, taken, closed=listed.closed)
        told.append(
            Slot(
                made if made < largest else largest,
                row.place or None,
                infinite,
                row.acknowledged,
                None if row.observed is None else _observed(row, now),
                row.token,
                row.committed,
            )
        )
    slots = tuple(told)
    stale = aim.stale
    reason, shop = stale.reason, None
    if stale.context:
        context = _context(stale.context)
        reason, shop = reason or context.get("reason"), context.get("shop_id")
    sku = listed.sku or listed.item_sku
    futures = tuple(_futures(aim)) if aim.ahead else ()
    key = _key(stale, slots)
    # By place: a name for each value takes as long as to make the value.
    return Target(listed.id, listed.ids, slots, key, sku, reason, shop, futures, listed.notes, aim.at)


def _futures(aim: Aim) -> Iterator[Future]:
    """What is planned at the locations that feed a slot, day by day; only more can be told ahead."""
    for change in aim.ahead:
        for row in aim.listed.slots:
            if change.place[1] in row.locations:
                yield Future(change.day, change.units, row.place or None)


def _observed(row: SlotRow, now: int) -> int | None:
    if row.observed_at is None or row.observed_at <= past(row.acknowledged_at, now):
        return None
    return row.observed


def _key(stale: Stale, slots: tuple[Slot, ...]) -> str:
    """The same for the same state of the listing: said again after a crash it is the same request, told
    anew after a change, a look or a person's word it is another. By when it became stale, too: marks are
    counted anew each time that it does, and nothing else may have moved since."""
    return _encode((stale.listing, stale.seq, stale.marks, stale.marked_at, slots)).decode()


def _context(text: str) -> Mapping[str, Any]:
    """What a dialect noted about the change: reason and shop_id, where it is a JSON object."""
    if not text.startswith("{"):
        return {}
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}
