"""Items as they are written: created one or many, changed, made into kits; all of a request or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Connection
from starlette.responses import Response

from onhand import wording
from onhand.api.asked import Sellable
from onhand.api.calls import Call
from onhand.api.items import found_item, rendered
from onhand.api.meaning import Names, item_of
from onhand.api.problems import Fault, Problem, fault
from onhand.api.replies import Reply
from onhand.api.schema import Body, Id, Name, Units, convert, missing, pointer
from onhand.attributes import ItemAttributes, updated
from onhand.store import catalog, feeding, levels, lookup
from onhand.store.catalog import Item

FAULTS_LIMIT = 100
"""Entries of errors in one answer."""

ITEMS_LIMIT = 10_000
"""Items in one request."""

COMPONENTS_LIMIT = 100
ENTRIES_LIMIT = 100
LONG_TEXT_LIMIT = 2048
SIZE_LIMIT = 10**12

Money: TypeAlias = Annotated[str, Meta(pattern=wording.MONEY, max_length=17)]
Currency: TypeAlias = Annotated[str, Meta(pattern=wording.CURRENCY, max_length=3)]
Short: TypeAlias = Annotated[str, Meta(max_length=255)]
Long: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONG_TEXT_LIMIT)]
Words: TypeAlias = Annotated[list[Name], Meta(max_length=ENTRIES_LIMIT)]
Codes: TypeAlias = Annotated[dict[Name, Short], Meta(max_length=ENTRIES_LIMIT)]
Size: TypeAlias = Annotated[float, Meta(ge=0, le=SIZE_LIMIT)] | Annotated[int, Meta(ge=0, le=SIZE_LIMIT)]
Sizes: TypeAlias = Annotated[dict[Name, Short | Size], Meta(max_length=ENTRIES_LIMIT)]


class Component(Sellable, frozen=True, kw_only=True):
    """So many of an item in one kit."""

    quantity: Units


Components: TypeAlias = Annotated[list[Component], Meta(max_length=COMPONENTS_LIMIT)]


class Change(Body, frozen=True, kw_only=True):
    """Fields of an item; what is left out stays as it is, null empties."""

    sku: Name | UnsetType | None = UNSET
    name: Long | UnsetType | None = UNSET
    parent: Id | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET
    price: Money | UnsetType | None = UNSET
    cost: Money | UnsetType | None = UNSET
    currency: Currency | UnsetType | None = UNSET
    barcodes: Codes | UnsetType = UNSET
    image_url: Long | UnsetType | None = UNSET
    measurements: Sizes | UnsetType = UNSET
    tags: Words | UnsetType = UNSET
    categories: Words | UnsetType = UNSET
    components: Components | UnsetType = UNSET
    attributes: ItemAttributes | UnsetType = UNSET


class Many(Body, frozen=True, kw_only=True):
    """Several items at once, all or none."""

    items: Annotated[list[Change], Meta(min_length=1, max_length=ITEMS_LIMIT)]


async def created(call: Call) -> Response:
    """POST /items: one item, or {"items": [...]}, all or none."""
    call.account_wide()
    call.params()
    value = call.json()
    if isinstance(value, dict) and "items" in value:
        asked, prefix = convert(value, Many).items, "/items"
    else:
        asked, prefix = [convert(value, Change)], ""

    def unit(connection: Connection) -> Reply:
        rows = rendered(connection, call.caller, _add(connection, call, asked, prefix))
        if prefix:
            return Reply(201, {"data": rows})
        return Reply(201, rows[0], {"Location": f"/api/v1/items/{rows[0]['id']}"})

    return await call.write(unit)


async def changed(call: Call) -> Response:
    """PATCH /items/{item}: what is in the body is set, null empties."""
    call.account_wide()
    call.params()
    asked = call.body(Change)

    def unit(connection: Connection) -> Reply:
        item = found_item(connection, call)
        if not isinstance(asked.attributes, UnsetType):
            # What is kept is read once nobody else can change it: another process may be doing so.
            catalog.touch_items(connection, call.account, [item.id], call.now)
            item = found_item(connection, call, item.id)
        fields = _fields(asked, item.attributes)
        _check(connection, call, [asked], [""], item)
        if fields:
            try:
                catalog.change_item(connection, call.account, item.id, fields, call.now)
            except catalog.Taken as taken:
                raise _taken([_sku_fault(asked.sku, "")]) from taken
        if not isinstance(asked.components, UnsetType):
            catalog.hold_levels(connection, call.account, item.id)
            _make_kit(connection, call, item.id, asked.components, "")
        return Reply(200, rendered(connection, call.caller, [found_item(connection, call, item.id)])[0])

    return await call.write(unit)


def _add(connection: Connection, call: Call, asked: Sequence[Change], prefix: str) -> list[Item]:
    at = [pointer(prefix[1:], index) if prefix else "" for index in range(len(asked))]
    _check(connection, call, asked, at, None)
    try:
        made = catalog.add_items(
            connection, call.account, [Item(0, **_fields(one, {})) for one in asked], call.now
        )
    except catalog.Taken as taken:
        raise Problem("sku_taken", f"Already there: {taken.what}") from taken
    for index, one in enumerate(asked):
        if not isinstance(one.components, UnsetType) and one.components:
            _make_kit(connection, call, made[index].id, one.components, at[index])
            made[index] = msgspec.structs.replace(made[index], kit=True)
    return made


def _fields(asked: Change, kept: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for as fields of an item; ``kept`` are the attributes that it has."""
    values = msgspec.structs.asdict(asked)
    del values["components"]
    if not isinstance(asked.attributes, UnsetType):
        values["attributes"] = updated(kept, asked.attributes)
    return {name: value for name, value in values.items() if value is not UNSET}


def _check(
    connection: Connection, call: Call, asked: Sequence[Change], at: Sequence[str], old: Item | None
) -> None:
    """Every SKU is free, every parent is there; ``old`` is the item that is changed."""
    wanted = [one.sku for one in asked if isinstance(one.sku, str)]
    seen = lookup.items(connection, call.account, wanted)
    if old is not None and old.sku is not None:
        seen.pop(old.sku, None)
    faults: list[Fault] = []
    for one, where in zip(asked, at, strict=True):
        if isinstance(one.sku, str):
            if one.sku in seen:
                faults.append(_sku_fault(one.sku, where))
            seen[one.sku] = 0
    if faults:
        raise _taken(faults)
    parents = {one.parent for one in asked if isinstance(one.parent, int)}
    there = lookup.skus(connection, call.account, parents)
    for one, where in zip(asked, at, strict=True):
        if isinstance(one.parent, int) and one.parent not in there:
            raise missing("unknown_item", f"item {one.parent}", f"{where}/parent")
        if old is not None and one.parent == old.id:
            raise _not_allowed("An item is not its own parent", f"{where}/parent")


def _sku_fault(sku: object, where: str) -> Fault:
    return fault("sku_taken", f"Another item has the SKU {sku!r}", pointer=f"{where}/sku")


def _taken(faults: Sequence[Fault]) -> Problem:
    return Problem("sku_taken", faults[0]["detail"], faults[:FAULTS_LIMIT])


# --- kits -----------------------------------------------------------------------------------------------


def _make_kit(
    connection: Connection, call: Call, kit: int, components: Sequence[Component], where: str
) -> None:
    catalog.hold_kits(connection, call.account)
    skus = {one.sku for one in components if one.sku is not None}
    names = Names(lookup.items(connection, call.account, skus), {})
    parts: dict[int, int] = {}
    for index, one in enumerate(components):
        at = f"{where}/components/{index}"
        part = item_of(one, names, at)
        if part in parts or part == kit:
            raise _not_allowed("A component is named once, and is not the kit itself", at)
        parts[part] = one.quantity
    if parts:
        _may_be_kit(connection, call, kit, parts, where)
    catalog.set_kit(connection, call.account, kit, parts, call.now)
    listed = feeding.listings_of(connection, call.account, [kit])
    feeding.refeed(connection, call.account, listed)
    feeding.mark(connection, call.account, listed, call.now)


def _may_be_kit(connection: Connection, call: Call, kit: int, parts: Mapping[int, int], where: str) -> None:
    there = catalog.items(connection, call.account, parts)
    for index, part in enumerate(parts):
        at = f"{where}/components/{index}"
        if part not in there:
            raise missing("unknown_item", f"item {part}", at)
        if there[part].kit:
            raise _not_allowed("A kit is not made of kits", at)
    if levels.of_items(connection, call.account, [kit], call.now):
        raise _not_allowed("This item has stock of its own: forget its levels first", f"{where}/components")
    if lookup.kits_with(connection, call.account, kit):
        raise _not_allowed("This item is a component of a kit", f"{where}/components")


def _not_allowed(words: str, at: str) -> Problem:
    return Problem("not_allowed", words, [fault("not_allowed", words, pointer=at)])
