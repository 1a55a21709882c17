"""Levels as Sellbrite's inventory records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from onhand.stock.model import INFINITE_SHOWN, Level
from onhand.store.catalog import Item


class Record(NamedTuple):
    """All that a record of the wire is made from; ``cost`` is the product's, for who may see it."""

    item: Item
    warehouse: str
    level: Level
    detail: Mapping[str, Any]
    cost: str | None


_PACKAGE = ("length", "width", "height", "weight")
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_CODES = ("upc", "ean", "isbn", "gtin", "gcid", "epid", "asin", "fnsku")


def rendered(record: Record) -> dict[str, Any]:
    """A record with all the published fields; unlimited stock shows the cap."""
    item, warehouse, level, detail, cost = record
    available = INFINITE_SHOWN if level.infinite else level.available
    cost = detail.get("cost", cost)
    return {
        "sku": item.sku,
        "warehouse_uuid": warehouse,
        "on_hand": available + level.reserved,
        "available": available,
        "reserved": level.reserved,
        "product_name": item.name,
        **{f"package_{name}": _size(item.measurements.get(name)) for name in _PACKAGE},
        "cost": None if cost is None else float(cost),
        **{code: item.barcodes.get(code) for code in _CODES},
        "bin_location": detail.get("bin_location") or None,
    }


def _size(value: object) -> object:
    """A measurement as a number. The catalogue may have it as text; what is no number is not shown."""
    if isinstance(value, str):
        return float(value) if _DECIMAL.fullmatch(value) else None
    return value
