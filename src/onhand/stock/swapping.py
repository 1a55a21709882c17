"""Tells a line of an order that has become another product's from the line that it was. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from onhand.stock.ordering import Snapshot, State, Told


def parted(kept: State | None, seen: Snapshot) -> Snapshot:
    """A snapshot in which such a line has a name of its own beside the one that is kept, so that what it was
    is let go and what it is now held: a line's item does not change."""
    before = {line.told.id: line.told for line in kept.lines} if kept else {}
    lines = tuple(_named(before.get(line.id, line), line) for line in seen.lines)
    return seen if lines == seen.lines else replace(seen, lines=lines)


def _named(old: Told, new: Told) -> Told:
    """What is only renamed, or not sold any more, keeps its listing or its SKU; what has neither is other."""
    pairs = ((old.name, new.name), (old.sku, new.sku))
    other = all(one and two and one != two for one, two in pairs)
    return replace(new, id=f"{new.id} {new.name}") if other else new
