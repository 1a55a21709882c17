"""What a slot of a listing should show, and every term of that number, from levels and stacked rules. Pure.

The terms, in this order:

1. what is available at each location that feeds the slot: on hand less reserved, below 0 where oversold;
   of a kit, how many can be made there (the scarcest component). Held stock is never offered, mirrored
   stock only where the rules say so. A location that a rule names but that is not there offers nothing.
2. less the buffer: units, or percent of what is available (rounded up), whichever is more
3. nothing at all when less than the minimum is left
4. at most the cap
5. never less than 0, and nothing of a closed listing

Unlimited stock skips 2 and 3 and shows the cap, or 999 without one. At a cap of 0 it is unlimited no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec

from onhand.stock.model import INFINITE_SHOWN, QUANTITY_LIMIT, Level, Value

Units = Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_LIMIT)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=31_536_000)]
HELD, MIRRORED = "held", "mirrored"
KEPT = (HELD, MIRRORED)
"""Kinds of locations whose stock is not simply offered."""


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a connection or a listing makes its numbers; None leaves it to what stands above.

    ``locations`` are ours that feed it (ids); ``places`` says so for each location of the channel, by its
    id there, and goes before ``locations``. ``mirrored`` allows stock that a channel owns to be offered.
    Of a connection alone: ``heal`` (default True) puts drift right, ``sweep`` and ``poll`` are the seconds
    between two looks at its numbers and at its orders.
    """

    buffer: Units | None = None
    percent: Percent | None = None
    minimum: Units | None = None
    cap: Units | None = None
    mirrored: bool | None = None
    locations: tuple[int, ...] | None = None
    places: dict[str, tuple[int, ...]] | None = None
    heal: bool | None = None
    sweep: Seconds | None = None
    poll: Seconds | None = None


PLAIN = Rules()


def stacked(above: Rules, below: Rules) -> Rules:
    """The rules of a listing (``below``) on those of its connection (``above``), field by field.

    A listing that names ``locations`` and no ``places`` is not bound by the connection's places."""
    if below is PLAIN or below == PLAIN:
        return above
    values = {name: getattr(below, name) for name in Rules.__struct_fields__}
    taken = {name: getattr(above, name) if value is None else value for name, value in values.items()}
    if below.locations is not None and below.places is None:
        taken["places"] = None
    return Rules(**taken)


class Part(Value, frozen=True):
    """Stock of one item at one location; ``per`` units of it go into one of what is listed."""

    item: int
    level: Level
    per: int = 1


class Source(Value, frozen=True):
    """A location that feeds a slot, with the item, or with every component of a kit. ``kind`` is the
    location's: stock, held or mirrored."""

    location: int
    kind: str
    parts: Sequence[Part]


class Term(msgspec.Struct, frozen=True):
    """One step of the sum: what it is called, what it changed, what was then left, and why.

    ``name`` is available, kit, held, mirrored, infinite, buffer, minimum, cap, floor or closed; a term of a
    location names it.
    """

    name: str
    change: int
    after: int
    why: str
    location: int | None = None


class Offer(msgspec.Struct, frozen=True):
    """Units to show, whether they stand for unlimited stock, and the terms that led there."""

    units: int
    infinite: bool
    terms: tuple[Term, ...]


class _Count:
    """The number so far."""

    __slots__ = ("units",)

    def __init__(self) -> None:
        self.units = 0

    def add(self, name: str, change: int, why: str, *values: int, location: int | None = None) -> None:
        self.units += change


class _Sum:
    """The number so far, and its terms: ``why`` with ``values`` put into it."""

    __slots__ = ("terms", "units")

    def __init__(self) -> None:
        self.units = 0
        self.terms: list[Term] = []

    def add(self, name: str, change: int, why: str, *values: int, location: int | None = None) -> None:
        self.units += change
        self.terms.append(Term(name, change, self.units, why.format(*values), location))


def offer(sources: Iterable[Source], rules: Rules = PLAIN, *, closed: bool = False) -> Offer:
    """What a slot should show that is fed by ``sources``, under rules that are already stacked."""
    total = _Sum()
    infinite = _reckon(total, sources, rules, closed=closed)
    return Offer(total.units, infinite, tuple(total.terms))


def units(sources: Sequence[Source], rules: Rules = PLAIN, *, closed: bool = False) -> tuple[int, bool]:
    """The units of that `offer`, and whether they stand for unlimited stock: for those who tell many."""
    found = _plain(sources, rules)
    if found is not None:
        return (0 if closed or found < 0 else found), False
    total = _Count()
    infinite = _reckon(total, sources, rules, closed=closed)
    return total.units, infinite


def _plain(sources: Sequence[Source], rules: Rules) -> int | None:
    """What is available in all where no rule takes of it and every source is an item with an end: nearly
    always, and then no terms need to be gone through. None where they do."""
    if rules.buffer or rules.percent or rules.minimum or rules.cap is not None:
        return None
    found = 0
    for source in sources:
        if len(source.parts) != 1 or source.kind in KEPT:
            return None
        part = source.parts[0]
        if part.per != 1 or part.level.infinite:
            return None
        found += part.level.on_hand - part.level.reserved
    return found


def _reckon(total: _Count | _Sum, sources: Iterable[Source], rules: Rules, *, closed: bool) -> bool:
    """Add all terms; whether what is left stands for unlimited stock."""
    infinite = False
    for source in sources:
        infinite = _available(total, source, rules) or infinite
    if infinite:
        shown = INFINITE_SHOWN if rules.cap is None else rules.cap
        total.add("infinite", shown - total.units, "stock is unlimited, the cap is shown")
    else:
        _hold_back(total, rules)
    if total.units < 0:
        total.add("floor", -total.units, "nothing is shown below 0")
    if closed:
        total.add("closed", -total.units, "the listing is closed")
    # A cap of 0 empties a shelf: a channel that is told of stock without limit would sell on.
    return infinite and total.units > 0


def _available(total: _Count | _Sum, source: Source, rules: Rules) -> bool:
    """Add what is available at a location; True when that is without limit."""
    where = source.location
    if source.kind == HELD:
        total.add("held", 0, "stock at this location is held and not offered", location=where)
        return False
    if source.kind == MIRRORED and not rules.mirrored:
        total.add("mirrored", 0, "a channel owns this stock; no rule lets others offer it", location=where)
        return False
    limited = [part for part in source.parts if not part.level.infinite]
    if not limited:
        return bool(source.parts)
    scarce = limited[0] if len(limited) == 1 else min(limited, key=_makes)
    level, left = scarce.level, _makes(scarce)
    if len(source.parts) > 1 or scarce.per != 1:
        why = "item {} is the scarcest: {} on hand, {} reserved, {} for each"
        total.add("kit", left, why, scarce.item, level.on_hand, level.reserved, scarce.per, location=where)
    else:
        total.add("available", left, "{} on hand, {} reserved", level.on_hand, level.reserved, location=where)
    return False


def _makes(part: Part) -> int:
    return part.level.available // part.per


def _hold_back(total: _Count | _Sum, rules: Rules) -> None:
    part = rules.percent or 0
    percent = -(-max(0, total.units) * part // 100)
    buffer = rules.buffer or 0
    if buffer and buffer >= percent:
        total.add("buffer", -buffer, "{} units are held back", buffer)
    elif percent:
        total.add("buffer", -percent, "{} % of {} are held back", part, total.units)
    if rules.minimum and 0 < total.units < rules.minimum:
        total.add("minimum", -total.units, "less than the minimum of {} is left", rules.minimum)
    if rules.cap is not None and total.units > rules.cap:
        total.add("cap", rules.cap - total.units, "at most {} are shown", rules.cap)


def feeding(rules: Rules, usual: Sequence[int]) -> Mapping[str, tuple[int, ...]]:
    """The slots of a listing: a location of the channel ("" where it has none, or where none is told
    apart) to our locations that feed it. ``usual`` are the connection's own locations."""
    if rules.places:
        return rules.places
    return {"": tuple(usual) if rules.locations is None else rules.locations}
