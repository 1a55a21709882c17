"""What left and came back of a Shopify order's lines, by its shipments and refunds; Admin API 2026-10."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from onhand.connectors.flow import Flow
from onhand.connectors.reading import at, need_text, rows, text, units
from onhand.connectors.shopify_graphql import HISTORY, PART, next_after, nodes, sized

PAGE, MOST = 10, 250
"""Shipments and refunds that are asked for at first, and at most: there are no pages of them."""
PART_PAGE = 100
NOT_SHIPPED = {"CANCELLED", "ERROR", "FAILURE"}
RESTOCKED = {"RETURN", "LEGACY_RESTOCK"}
"""How a refund says that shipped units came back to the shelf; one without restocking gives none back."""


class History(NamedTuple):
    """Units by the ids of lines. ``whole`` is False where there is more than could be read."""

    shipped: Mapping[str, int]
    returned: Mapping[str, int]
    whole: bool = True


def history(order: str) -> Flow[History]:
    """The history of an order; its shipments and refunds are read to their last line."""
    size = PAGE
    while True:
        found, got, _ = yield from sized(HISTORY, {"id": order}, size)
        shipments, refunds = rows(found, "order", "fulfillments"), rows(found, "order", "refunds")
        cut = max(len(shipments), len(refunds)) >= got
        if not cut or got < size or size >= MOST:
            break
        size = min(MOST, 5 * size)
    done = [row for row in shipments if row.get("status") not in NOT_SHIPPED]
    shipped = yield from _units(done, "fulfillmentLineItems")
    returned = yield from _units(refunds, "refundLineItems", RESTOCKED)
    return History(shipped, returned, whole=not cut and at(found, "order") is not None)


def _units(parts: list[Mapping[str, Any]], name: str, kinds: Collection[str] = ()) -> Flow[dict[str, int]]:
    """Units by line in shipments or refunds."""
    sums: dict[str, int] = {}
    for part in parts:
        listed, after = nodes(part, name), next_after(part, name)
        while after:
            variables = {"id": need_text(part, "id"), "after": after}
            found, _, _ = yield from sized(PART, variables, PART_PAGE)
            listed += nodes(found, "node", name)
            after = next_after(found, "node", name)
        for row in listed:
            if not kinds or text(row, "restockType") in kinds:
                line = text(row, "lineItem", "id") or ""
                sums[line] = sums.get(line, 0) + units(row, "quantity")
    return sums
