"""How records and members are shown, keys in the published order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from onhand.dialects.marketplacer import prices
from onhand.dialects.marketplacer.schema import TYPE
from onhand.stock.model import Level


class Record(msgspec.Struct, frozen=True):
    """One inventory: what a seller has of a variant. Prices are stored text."""

    id: int
    seller: int
    level: Level
    price: str | None = None
    sale_price: str | None = None
    provider: str | None = None


def inventories(records: Sequence[Record]) -> dict[str, Any]:
    """The collection, by id."""
    ordered = sorted(records, key=lambda record: record.id) if len(records) > 1 else records
    return {"data": [{"id": one.id, "type": TYPE, "attributes": _attributes(one)} for one in ordered]}


def _attributes(one: Record) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if not one.level.infinite:
        shown["count_on_hand"] = max(0, one.level.on_hand)
    if not one.level.infinite or one.price is not None or one.sale_price is not None:
        shown["price"] = _price(one.price)
        shown["sale_price"] = _price(one.sale_price)
    shown["infinite"] = one.level.infinite
    shown["seller_id"] = one.seller
    if one.provider is not None:
        shown["fulfilment_provider"] = one.provider
    return shown


def _price(text: str | None) -> str | None:
    return None if text is None else prices.shortest(text)


def memberships(sellers: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """The members of the multi-store; a membership has the id of its seller."""
    data = [
        {
            "id": seller,
            "type": "multi_store_memberships",
            "attributes": {"seller_id": seller, "seller_name": name},
        }
        for seller, name in sellers
    ]
    return {"data": data}
