"""Orders of a Shopify shop since a moment, as snapshots; GraphQL Admin API 2026-10."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from onhand.connectors.flow import Flow, Order, OrderLine, Orders
from onhand.connectors.reading import iso, moment, need_rows, need_text, rows, said_at, text, units
from onhand.connectors.shopify_graphql import HISTORY, LINES, ORDERS, next_after, nodes, sized

PAGE = 20
LINE_PAGE = 100
HISTORY_PAGE = 10
OVERLAP = 120_000_000
"""Microseconds that a poll looks back behind the last change it saw: Shopify's search index lags."""
BEGINNING = "1970-01-01T00:00:00Z"
NOT_SHIPPED = {"CANCELLED", "ERROR", "FAILURE"}
RESTOCKED = {"RETURN", "LEGACY_RESTOCK"}
"""How a refund says that shipped units came back to the shelf; one without restocking gives none back."""


class Cursor(NamedTuple):
    """Where a poll stands: ``since`` is None while the open orders of a new connection are read; ``high``
    is the moment from which the next poll goes on; ``after`` the page."""

    since: str | None
    high: str = BEGINNING
    size: int = PAGE
    after: str | None = None

    def write(self) -> str:
        """As text."""
        return "|".join((self.since or "", self.high, str(self.size), self.after or ""))


def read_cursor(told: str | None) -> Cursor:
    """The cursor of `Cursor.write`, a plain moment, or the beginning of a connection."""
    since, *rest = (told or "").split("|", 3)
    if len(rest) < 3:
        return Cursor(since or None, since or BEGINNING)
    high, size, after = rest
    return Cursor(since or None, high, int(size) if size.isdigit() else PAGE, after or None)


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time. Without one: those that are open, so that units
    which Shopify has promised already are known; then what changed after this first look."""
    here = read_cursor(cursor)
    query = f"updated_at:>='{_behind(here.since)}'" if here.since else "status:open"
    variables = {"after": here.after, "query": query}
    found, size, answer = yield from sized(ORDERS, variables, here.size)
    seen = []
    for row in need_rows(found, "orders", "nodes"):
        seen.append((yield from _order(row)))
    if here.since is None and here.after is None:
        now = said_at(answer)
        here = here._replace(high=iso(now) if now else BEGINNING)
    kept = [order for order in seen if here.since or _open(order)]
    high = max([here.high, *(iso(order.updated) for order in seen)]) if here.since else here.high
    after = next_after(found, "orders")
    if after:
        return Orders(tuple(kept), Cursor(here.since, high, size, after).write(), more=True)
    return Orders(tuple(kept), high)


def _behind(since: str) -> str:
    when = moment(since)
    return iso(max(0, when - OVERLAP)) if when is not None else BEGINNING


def _open(order: Order) -> bool:
    return any(line.ordered > line.cancelled + line.shipped for line in order.lines)


def _order(row: Mapping[str, Any]) -> Flow[Order]:
    """A snapshot; long orders and refunds after shipping take calls of their own."""
    name = need_text(row, "id")
    lines = nodes(row, "lineItems")
    after = next_after(row, "lineItems")
    while after:
        found, _, _ = yield from sized(LINES, {"id": name, "after": after}, LINE_PAGE)
        lines += nodes(found, "order", "lineItems")
        after = next_after(found, "order", "lineItems")
    told: Mapping[str, Any] = {}
    if any(_gone(line) or units(line, "nonFulfillableQuantity") for line in lines):
        told, _, _ = yield from sized(HISTORY, {"id": name}, HISTORY_PAGE)
    cancelled = text(row, "cancelledAt") is not None
    return Order(
        name,
        moment(row, "updatedAt") or 0,
        tuple(_line(line, cancelled, told) for line in lines),
        name=text(row, "name") or "",
        holds=row.get("confirmed") is not False,
        test=row.get("test") is True,
    )


def _gone(line: Mapping[str, Any]) -> int:
    """Units that were taken off the line, shipped or not: ``quantity`` never falls, the other does."""
    return max(0, units(line, "quantity") - units(line, "currentQuantity"))


def _line(line: Mapping[str, Any], cancelled: bool, told: Mapping[str, Any]) -> OrderLine:
    """What is not waiting has been shipped, unless units were taken off: then the order's history is asked,
    because the counts alone do not say whether a refunded unit had left the house."""
    name, ordered = need_text(line, "id"), units(line, "quantity")
    waiting = units(line, "unfulfilledQuantity")
    shipped, returned = ordered - waiting, 0
    if told:
        done = [row for row in rows(told, "order", "fulfillments") if row.get("status") not in NOT_SHIPPED]
        shipped = sum(_units_of(name, row, "fulfillmentLineItems") for row in done)
        returned = sum(
            _units_of(name, row, "refundLineItems", RESTOCKED) for row in rows(told, "order", "refunds")
        )
    shipped = max(0, min(shipped, ordered))
    off = ordered - shipped if cancelled else min(_gone(line), max(0, ordered - shipped - waiting))
    item, variant = text(line, "variant", "inventoryItem", "id"), text(line, "variant", "id")
    ids = {kind: value for kind, value in (("inventory_item", item), ("variant", variant)) if value}
    return OrderLine(name, ids, text(line, "sku"), ordered, off, shipped, min(returned, shipped))


def _units_of(line: str, row: Mapping[str, Any], name: str, kinds: Collection[str] = ()) -> int:
    """Units of a line in a shipment or a refund."""
    return sum(
        units(part, "quantity")
        for part in nodes(row, name)
        if text(part, "lineItem", "id") == line and (not kinds or text(part, "restockType") in kinds)
    )
