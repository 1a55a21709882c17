"""How items are shown as variants: stock, prices as numbers, barcodes, the parcel, and links. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from onhand.dialects.marketplacer import prices
from onhand.dialects.marketplacer.errors import Problem
from onhand.dialects.marketplacer.schema import DIALECT
from onhand.stock.model import Level
from onhand.store.catalog import Item, Price
from onhand.store.offers import FILTERS

PAGE_SIZE = 50
PAGE_SIZE_LIMIT = 500
PAGE_NUMBER_LIMIT = 10**9
"""No collection is that long; beyond it a number is a mistake."""

PARCEL = "shipping_parcel"
_FILTER = re.compile(r"filter\[(.*)\]", re.DOTALL)
_BARCODES = ("barcode", "gtin", "ean", "upc", "isbn")


class Variant(NamedTuple):
    """An item under its variant id."""

    id: int
    item: Item

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the item says to this API alone: multi_store, external_id, notes."""
        return self.item.attributes.get(DIALECT, {})

    @property
    def multi_store(self) -> bool:
        """Whether several sellers may have stock of it; so it is unless it says otherwise."""
        return self.attributes.get("multi_store") is not False


def resource(variant: Variant, levels: Iterable[Level], price: Price | None) -> dict[str, Any]:
    """A variant with the sum of ``levels``; ``price`` is the one seller's where it has only one."""
    return {"id": variant.id, "type": "variants", "attributes": _attributes(variant, list(levels), price)}


def _attributes(variant: Variant, levels: list[Level], price: Price | None) -> dict[str, Any]:
    item = variant.item
    own = price.price if price is not None and price.price is not None else item.price
    return {
        "count_on_hand": sum(max(0, level.on_hand) for level in levels if not level.infinite),
        "sku": item.sku,
        "barcode": next((item.barcodes[kind] for kind in _BARCODES if kind in item.barcodes), None),
        "price": prices.number(own),
        "sale_price": prices.number(price.sale_price if price is not None else None),
        "ean": item.barcodes.get("ean"),
        "upc": item.barcodes.get("upc"),
        "external_id": _text(variant.attributes.get("external_id")),
        "infinite": any(level.infinite for level in levels),
        "notes": _text(variant.attributes.get("notes")),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def single(url: str, variant: Variant, shown: dict[str, Any], include: str) -> dict[str, Any]:
    """The document of one variant: an array of one, as it is published, with links and relationships."""
    relationships: dict[str, Any] = {"option_values": {"data": []}}
    included: list[dict[str, Any]] = []
    measured = variant.item.measurements
    if measured and PARCEL in include.split(","):
        relationships[PARCEL] = {"data": {"type": "shipping_parcels", "id": variant.id}}
        included.append(_parcel(variant.id, measured))
    return {
        "links": {"self": url},
        "data": [{**shown, "relationships": relationships}],
        "included": included,
    }


def _parcel(number: int, measured: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "weight": "weight",
        "width": "width",
        "length": "length",
        "depth": "height",
        "mass_unit": "weight_unit",
        "distance_unit": "unit",
    }
    sizes = {theirs: measured.get(ours) for theirs, ours in names.items()}
    return {"type": "shipping_parcels", "id": number, **sizes}


# --- filters and pages --------------------------------------------------------------------------------


def filters(given: Mapping[str, str]) -> dict[str, str]:
    """What the variants of a list must have. Raises Problem 400.

    JSON:API's clients write ``filter[sku]`` for ``sku``. A filter that there is not is refused: who asks for
    one variant and takes the first of all would set the stock of another.
    """
    where: dict[str, str] = {}
    for key, value in given.items():
        found = _FILTER.fullmatch(key)
        name = found[1] if found else key
        if name in FILTERS:
            where[name] = value
        elif found:
            raise Problem(400, f"Variants are filtered by {', '.join(FILTERS)} alone", "filter")
    return where


class Page(NamedTuple):
    """Which part of a collection is asked for, from 1 on."""

    number: int = 1
    size: int = PAGE_SIZE

    @property
    def offset(self) -> int:
        """How many come before it."""
        return (self.number - 1) * self.size


def page(number: str | None, size: str | None) -> Page:
    """The page that the parameters name; a size above the limit is the limit. Raises Problem 400."""
    return Page(
        _positive(number, "page[number]", 1),
        min(_positive(size, "page[size]", PAGE_SIZE), PAGE_SIZE_LIMIT),
    )


def _positive(text: str | None, name: str, default: int) -> int:
    if text is None:
        return default
    if text.isascii() and text.isdecimal() and len(text) < 20:
        if 0 < (value := int(text)) <= PAGE_NUMBER_LIMIT:
            return value
    raise Problem(400, f"{name} must be a whole number from 1 to {PAGE_NUMBER_LIMIT}", name)


def last(page: Page, total: int) -> int:
    """The number of the last page."""
    return max(1, -(-total // page.size))
