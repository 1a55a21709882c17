"""Finds what the lines of channels' orders stand on: item, listing and slot, and where they reserve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from onhand.stock.ordering import Footing, Ground, Told
from onhand.store import books, catalog, channels, orders
from onhand.store.channels import Link
from onhand.store.orders import Found

Named: TypeAlias = tuple[str, str | None, str]
"""(external id, SKU, the channel's location): what a line says of what it sold."""

STOCK, MIRRORED = "stock", "mirrored"


class _View(NamedTuple):
    """What is known of the listings, items and locations that lines name."""

    link: Link
    listed: Mapping[str, Found]
    by_sku: Mapping[str, Found]
    items: Mapping[str, int]
    slots: Mapping[int, Mapping[str, tuple[int, ...]]]
    places: Mapping[str, int]
    kinds: Mapping[int, str]
    tracked: set[int]


def grounds(connection: Connection, account: int, link: Link, lines: Sequence[Told]) -> dict[Named, Ground]:
    """The ground of each line. A listing is found by the channel's ids, else by SKU; an item that is not
    listed there by its SKU. It reserves at the location that the line names, else where its listing is
    fed from, else at the connection's locations in order. While listings are still imported none is. A line
    that names nothing can never be found, and stands on nothing for good."""
    if not lines:
        return {}
    if link.unfinished:
        return {(line.name, line.sku, line.place): Ground(Footing.EARLY) for line in lines}
    view = _view(connection, account, link, lines)
    return {(line.name, line.sku, line.place): _ground(view, line) for line in lines}


def _view(connection: Connection, account: int, link: Link, lines: Sequence[Told]) -> _View:
    listed = orders.named(connection, account, link.id, [line.name for line in lines])
    skus = {line.sku for line in lines if line.sku and not _is(listed.get(line.name), line.sku)}
    by_sku = orders.by_sku(connection, account, link.id, skus)
    items = catalog.item_ids(connection, account, skus - by_sku.keys())
    found = [*listed.values(), *by_sku.values()]
    slots = orders.slots(connection, account, [one.listing for one in found])
    there = {one.item for one in found} | set(items.values())
    places = {line.place for line in lines if line.place}
    mapped = channels.internals(connection, account, f"connection:{link.id}", "location", places)
    return _View(
        link,
        listed,
        by_sku,
        items,
        {
            listing: {place: tuple(msgspec.json.decode(text)) for place, text in mine.items()}
            for listing, mine in slots.items()
        },
        {place: int(here) for place, here in mapped.items() if here.isdigit()},
        {one.id: one.kind for one in catalog.locations(connection, account)},
        tracked(connection, account, there),
    )


def tracked(connection: Connection, account: int, items: Set[int]) -> set[int]:
    """Items of which stock is kept; of kits, those with a component of which it is."""
    recipes = books.components(connection, [(account, item) for item in items])
    parts = {kit: {part for part, _ in recipe} for (_, kit), recipe in recipes.items()}
    kept = orders.tracked(connection, account, set(items).union(*parts.values()))
    return kept | {kit for kit, components in parts.items() if components & kept}


def _is(listed: Found | None, sku: str) -> bool:
    """Whether a line of this SKU sold what its listing is known to be: its channel may show that under
    another SKU since, and then the SKU says what was sold."""
    return listed is not None and listed.sku in (None, sku)


def _item(view: _View, line: Told, found: Found | None) -> int | None:
    named = None
    if line.sku and not _is(found, line.sku):
        other = view.by_sku.get(line.sku)
        named = other.item if other else view.items.get(line.sku)
    return found.item if found and named is None else named


def _ground(view: _View, line: Told) -> Ground:
    if not (line.name or line.sku):
        return Ground(Footing.NOTHING)
    found = view.listed.get(line.name) or view.by_sku.get(line.sku or "")
    item = _item(view, line, found)
    if item is None:
        return Ground(Footing.UNKNOWN)
    slots = view.slots.get(found.listing, {}) if found else {}
    listing, slot = (found.listing if found else None), _slot(slots, line.place)
    locations = _locations(view, slots, line.place)
    ours = tuple(at for at in dict.fromkeys(locations) if view.kinds.get(at) == STOCK)
    if not ours:
        theirs = any(view.kinds.get(at) == MIRRORED for at in locations)
        return Ground(Footing.THEIRS if theirs else Footing.NOWHERE, item, (), listing, slot)
    footing = Footing.TAKEN if item in view.tracked else Footing.UNTRACKED
    return Ground(footing, item, ours, listing, slot)


def _slot(slots: Mapping[str, tuple[int, ...]], place: str) -> str | None:
    """The slot whose number the sale lowered; None where it cannot be told."""
    for one in (place, ""):
        if one in slots:
            return one
    return next(iter(slots)) if len(slots) == 1 else None


def _locations(view: _View, slots: Mapping[str, tuple[int, ...]], place: str) -> tuple[int, ...]:
    if place and place in slots:
        return slots[place]
    if place in view.places:
        return (view.places[place],)
    if "" in slots:
        return slots[""]
    # Where a sale lowers no number of the listing, that number would go on to offer what is sold.
    fed = {at for some in slots.values() for at in some}
    usual = view.link.locations
    return tuple(at for at in usual if at in fed) + tuple(sorted(fed.difference(usual))) or tuple(usual)
