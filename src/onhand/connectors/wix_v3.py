"""Wix catalogue V3: a record of stock for each variant and location, set under its revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from onhand.connectors.flow import (
    Accepted,
    Failed,
    Flow,
    Later,
    Page,
    Place,
    Rejected,
    Response,
    Seen,
    Shown,
    Slot,
    Stale,
    Target,
    Unsure,
    Verdict,
    expect,
)
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text, whole
from onhand.connectors.wix_calls import LARGEST, V3, code, post, refused

ENTRIES = 1000
"""Records in one call."""
PRODUCTS = 100
CONFLICT = 409
STALE = {"CONFLICT", "ABORTED", "ALREADY_CHANGED"}

Key: TypeAlias = tuple[str, str]
"""Product and variant: a variant id alone is not unique."""


class Record(NamedTuple):
    """What Wix keeps for a variant at a location; no quantity where it is not tracked."""

    id: str
    revision: str
    quantity: int | None


class Entry(NamedTuple):
    """A record to be set, for a slot of the target at a place in the batch."""

    place: int
    slot: Slot
    item: str
    revision: str


Verdicts: TypeAlias = dict[int, Verdict]
Records: TypeAlias = dict[Key, dict[str | None, Record]]


def key_of(target: Target) -> Key:
    """Product and variant of a target."""
    return target.ids.get("product", ""), target.ids.get("variant", "")


def item_name(location: str | None) -> str:
    """Under which name the id of a location's record is remembered."""
    return f"item:{location or ''}"


def push(targets: Mapping[int, Target]) -> Flow[Verdicts]:
    """Set records under the revision that came with the number we saw. A record that we know no revision of
    is looked up, and compared by its number instead: what moved in between is not run over."""
    records, verdicts = yield from _missing(targets)
    entries: list[Entry] = []
    for index, target in targets.items():
        if index in verdicts:
            continue
        found = _entries(index, target, records.get(key_of(target), {}))
        if isinstance(found, Rejected | Stale):
            verdicts[index] = found
        else:
            entries += found
    told = yield from _set(targets, entries)
    return verdicts | (yield from _looked_up(told))


def _missing(targets: Mapping[int, Target]) -> Flow[tuple[Records, Verdicts]]:
    """The records of targets of which an id or a revision is not known."""
    lacking = {i: t for i, t in targets.items() if any(_known(t, slot) is None for slot in t.slots)}
    if not lacking:
        return {}, {}
    try:
        return (yield from _look({target.ids["product"] for target in lacking.values()})), {}
    except Failed as failed:
        return {}, unread(lacking, failed)


def unread(targets: Mapping[int, Target], failed: Failed) -> Verdicts:
    """The verdicts when what must be known before anything is said could not be read."""
    passing = failed.retry or failed.login
    return {
        index: Later(target, failed.words, failed.seconds) if passing else Rejected(target, failed.words)
        for index, target in targets.items()
    }


def _known(target: Target, slot: Slot) -> tuple[str, str] | None:
    item = target.ids.get(item_name(slot.location))
    return (item, slot.token) if item and slot.token else None


def _entries(index: int, target: Target, here: Mapping[str | None, Record]) -> list[Entry] | Rejected | Stale:
    """The entries of a target, or why it is not said."""
    found: list[Entry] = []
    changed: dict[str | None, Record] = {}
    for slot in target.slots:
        if known := _known(target, slot):
            found.append(Entry(index, slot, *known))
            continue
        record = _at(here, slot.location)
        if record is None:
            where = f"location {slot.location}" if slot.location else "the location that is meant"
            return Rejected(target, f"Wix keeps no stock of this variant at {where}", "no_record")
        expected = slot.acknowledged if slot.observed is None else slot.observed
        if None not in (expected, record.quantity) and expected != record.quantity:
            changed[slot.location] = record
        found.append(Entry(index, slot, record.id, record.revision))
    return _stale(target, changed, "the number has changed there") if changed else found


def _at(here: Mapping[str | None, Record], location: str | None) -> Record | None:
    """The record at a location; the only one there is where none is named."""
    if location is None and len(here) == 1:
        return next(iter(here.values()))
    return here.get(location)


def _stale(target: Target, here: Mapping[str | None, Record], said: str) -> Stale:
    numbers = {place: record.quantity for place, record in here.items() if record.quantity is not None}
    return Stale(target, numbers, said, {place: record.revision for place, record in here.items()})


def _look(products: set[str]) -> Flow[Records]:
    """All records of these products. Raises Failed."""
    found: Records = {}
    names = sorted(products)
    for start in range(0, len(names), PRODUCTS):
        for row in (yield from items_of(names[start : start + PRODUCTS])):
            name = (text(row, "productId") or "", text(row, "variantId") or "")
            record = Record(need_text(row, "id"), need_text(row, "revision"), _quantity(row))
            found.setdefault(name, {})[text(row, "locationId")] = record
    return found


def items_of(products: Sequence[str]) -> Flow[list[Mapping[str, Any]]]:
    """The inventory items of some products, over all pages. Raises Failed."""
    query: dict[str, Any] = {
        "filter": {"productId": {"$in": list(products)}},
        "cursorPaging": {"limit": ENTRIES},
    }
    found: list[Mapping[str, Any]] = []
    while True:
        page = expect((yield from ask(post("/stores/v3/inventory-items/query", {"query": query}))))
        found += need_rows(page, "inventoryItems")
        following = text(page, "pagingMetadata", "cursors", "next")
        if following is None or following == at(query, "cursorPaging", "cursor"):
            return found
        # A cursor knows its filter; Wix refuses to be told both.
        query = {"cursorPaging": {"limit": ENTRIES, "cursor": following}}


def _quantity(row: Mapping[str, Any]) -> int | None:
    return whole(row, "quantity") if row.get("trackQuantity") is not False else None


# --- setting --------------------------------------------------------------------------------------------


def _set(targets: Mapping[int, Target], entries: Sequence[Entry]) -> Flow[Verdicts]:
    """All entries, those of a target together; of several verdicts on a target the gravest counts."""
    verdicts: Verdicts = {}
    for group in _packed(entries):
        answer = yield from ask(post("/stores/v3/bulk/inventory-items/update", _body(group)))
        verdicts |= _judged(targets, group, answer)
    return verdicts


def _packed(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries in calls that are not too long; a target is never in two, a record never twice in one."""
    by_place: dict[int, list[Entry]] = {}
    for entry in entries:
        by_place.setdefault(entry.place, []).append(entry)
    groups: list[list[Entry]] = []
    for own in by_place.values():
        items = {entry.item for entry in own}
        last = groups[-1] if groups else None
        if last is None or len(last) + len(own) > ENTRIES or items & {entry.item for entry in last}:
            groups.append(last := [])
        last += own
    return groups


def _body(group: Sequence[Entry]) -> dict[str, Any]:
    items = [{"inventoryItem": {"id": e.item, "revision": e.revision, **_said(e.slot)}} for e in group]
    return {"inventoryItems": items, "reason": "MANUAL", "returnEntity": True}


def _said(slot: Slot) -> dict[str, Any]:
    """A number makes a record tracked; that there is stock, without one, makes it untracked."""
    return {"inStock": True} if slot.infinite else {"quantity": max(0, min(slot.offer, LARGEST))}


def _judged(targets: Mapping[int, Target], group: Sequence[Entry], answer: Response) -> Verdicts:
    """Each entry has its own result inside a 200, known by its place in the call."""
    places = list(dict.fromkeys(entry.place for entry in group))
    mine = [targets[place] for place in places]
    if not answer.ok:
        said: list[Verdict] = [Stale(target, words=answer.words) for target in mine]
        # Wix documents the status of a conflict, and not the code that comes with it.
        stale = answer.status == CONFLICT or is_stale(code(answer))
        return dict(zip(places, said if stale else refused(mine, answer), strict=True))
    results: dict[int | None, Mapping[str, Any]] = {
        whole(row, "itemMetadata", "originalIndex"): row for row in rows(answer.json(), "results")
    }
    verdicts: Verdicts = {}
    for index, entry in enumerate(group):
        target = targets[entry.place]
        verdict = _one(target, entry, results.get(index), answer)
        verdicts[entry.place] = _gravest(verdicts.get(entry.place), verdict)
    return verdicts


def _one(target: Target, entry: Entry, row: Mapping[str, Any] | None, answer: Response) -> Verdict:
    if row is None:
        return Unsure(target, f"another answer than expected: {answer.words}")
    place = entry.slot.location
    if at(row, "itemMetadata", "success") is True:
        revision = text(row, "item", "revision")
        tokens = {place: revision} if revision else {}
        return Accepted(target, tokens, {item_name(place): entry.item})
    error = at(row, "itemMetadata", "error")
    name = text(error, "code") or "refused"
    told = f"{name} {text(error, 'description') or ''}".strip()
    return Stale(target, words=told) if is_stale(name) else Rejected(target, told, name)


def is_stale(name: str) -> bool:
    """Whether a code says that the revision is not the current one."""
    return "REVISION" in name or name in STALE


def _gravest(one: Verdict | None, other: Verdict) -> Verdict:
    """Of two verdicts about slots of one target the one that counts."""
    if one is None:
        return other
    if isinstance(one, Accepted) and isinstance(other, Accepted):
        return Accepted(one.target, {**one.tokens, **other.tokens}, {**one.ids, **other.ids})
    order = (Rejected, Unsure, Stale)
    return next((v for kind in order for v in (one, other) if isinstance(v, kind)), other)


def _looked_up(verdicts: Verdicts) -> Flow[Verdicts]:
    """The same, stale ones with what Wix shows now and its revisions, as far as it tells."""
    stale = {index: v for index, v in verdicts.items() if isinstance(v, Stale)}
    if not stale:
        return verdicts
    try:
        records = yield from _look({v.target.ids["product"] for v in stale.values()})
    except Failed:
        return verdicts
    for index, verdict in stale.items():
        here = records.get(key_of(verdict.target), {})
        slots = {slot.location for slot in verdict.target.slots}
        shown = {place: record for place in slots if (record := _at(here, place))}
        verdicts[index] = _stale(verdict.target, shown, verdict.words)
    return verdicts


# --- looking --------------------------------------------------------------------------------------------


def pull(cursor: str | None) -> Flow[Page]:
    """A page of products with all records of all their variants."""
    paging: dict[str, Any] = {"limit": PRODUCTS} | ({"cursor": cursor} if cursor else {})
    page = expect((yield from ask(post("/stores/v3/products/query", {"query": {"cursorPaging": paging}}))))
    products = {need_text(row, "id"): row for row in need_rows(page, "products")}
    listed: dict[Key, list[Mapping[str, Any]]] = {}
    for row in (yield from items_of(list(products))) if products else ():
        listed.setdefault((need_text(row, "productId"), need_text(row, "variantId")), []).append(row)
    seen = tuple(_seen(key, items, products.get(key[0], {})) for key, items in listed.items())
    following = text(page, "pagingMetadata", "cursors", "next")
    return Page(seen, following if products and following != cursor else None)


def _seen(key: Key, items: Sequence[Mapping[str, Any]], product: Mapping[str, Any]) -> Seen:
    ids = {"catalog": V3, "product": key[0], "variant": key[1]}
    ids |= {item_name(text(row, "locationId")): need_text(row, "id") for row in items}
    names = (
        text(product, "name") or text(items[0], "product", "name"),
        text(items[0], "product", "variantName"),
    )
    return Seen(
        ids,
        text(items[0], "product", "variantSku"),
        tuple(Shown(_quantity(row), text(row, "locationId"), text(row, "revision")) for row in items),
        title=" - ".join(name for name in names if name),
        active=product.get("visible") is not False,
    )


class Store(NamedTuple):
    """A location of the store. Stock is kept under ``id``; ``business`` is what the site calls the same."""

    id: str
    name: str
    business: str | None
    default: bool


def places() -> Flow[list[Place]]:
    """The locations of the store. Raises Failed."""
    return [Place(one.id, one.name, default=one.default) for one in (yield from stores())]


def stores() -> Flow[list[Store]]:
    """The locations of the store by both their names. Raises Failed."""
    found: list[Store] = []
    paging: dict[str, Any] = {"limit": PRODUCTS}
    while True:
        page = expect(
            (yield from ask(post("/stores/v3/locations/query", {"query": {"cursorPaging": paging}})))
        )
        for row in need_rows(page, "locations"):
            name = need_text(row, "id")
            default = row.get("defaultLocation") is True
            found.append(Store(name, text(row, "name") or name, text(row, "wixLocationId"), default))
        following = text(page, "pagingMetadata", "cursors", "next")
        if following is None or following == paging.get("cursor"):
            return found
        paging = {"limit": PRODUCTS, "cursor": following}
