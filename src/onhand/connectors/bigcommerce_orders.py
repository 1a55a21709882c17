"""Orders of a BigCommerce store since a moment, as snapshots; Orders API V2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from onhand.connectors.flow import Failed, Flow, Order, OrderLine, Orders, Request, expect
from onhand.connectors.reading import (
    EPOCH,
    MICROSECOND,
    ask,
    at,
    iso,
    moment,
    need_text,
    rows,
    text,
    units,
    whole,
)
from onhand.connectors.walking import need_moment, read, step, still_open

PAGE = 100
INCOMPLETE = 0
GONE = {2, 10}
"""Shipped, completed."""
OFF = {4, 5, 6}
"""Refunded, cancelled, declined."""
KINDS = ("shipping", "pickups", "downloads")


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time; without one the open ones among all."""
    walk = read(cursor)
    query = [("sort", "date_modified:asc"), ("page", str(walk.page)), ("limit", str(PAGE))]
    query += [("include", "consignments.line_items"), ("consignment_structure", "object")]
    if walk.since is not None:
        query.append(("min_date_modified", iso(walk.since)))
    answer = yield from ask(Request("GET", "/v2/orders", tuple(query), repeatable=True))
    found = expect(answer)
    if found is None:
        found = []  # an empty list is told as 204 without a body
    if not isinstance(found, list):
        raise Failed("the channel's answer is not as documented: orders are no list", retry=True)
    seen = []
    for row in rows(found):
        seen.append((yield from _order(row)))
    changed = [order.updated for order in seen]
    following, more = step(walk, changed, len(found) >= PAGE, answer)
    kept = [order for order in seen if not walk.opening or still_open(order.lines)]
    return Orders(tuple(kept), following, more)


def _order(row: Mapping[str, Any]) -> Flow[Order]:
    """A snapshot; one that came without its consignments takes a call of its own for its lines."""
    name = need_text(row, "id")
    status = whole(row, "status_id")
    lines = list(_items(at(row, "consignments")))
    if at(row, "consignments") is None:
        path = f"/v2/orders/{name}/products"
        found = expect((yield from ask(Request("GET", path, (("limit", "250"),), repeatable=True))))
        lines = [(item, None) for item in rows(found)]
    return Order(
        name,
        need_moment(_modified(row)),
        tuple(_line(item, location, status) for item, location in lines if units(item, "quantity")),
        name=text(row, "id") or "",
        # An order that was begun and not paid lowers nothing.
        holds=status != INCOMPLETE,
    )


def _modified(row: Mapping[str, Any]) -> int | None:
    """V2 writes times as in e-mail; ISO is taken too."""
    told = text(row, "date_modified") or text(row, "date_created") or ""
    try:
        return (parsedate_to_datetime(told) - EPOCH) // MICROSECOND
    except (ValueError, TypeError, IndexError, OverflowError):
        return moment(told)


def _items(consignments: Any) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """Lines with the location that a pickup names; consignments come as an object or a list of such."""
    groups = rows(consignments) if isinstance(consignments, list) else rows([consignments])
    for group in groups:
        for kind in KINDS:
            for parcel in rows(group, kind):
                place = text(parcel, "location", "id") or text(parcel, "location_id")
                yield from ((item, place) for item in rows(parcel, "line_items"))


def _line(item: Mapping[str, Any], location: str | None, status: int | None) -> OrderLine:
    """A refund takes back what was not shipped; of what was shipped it does not say that it came back."""
    ordered = units(item, "quantity")
    shipped = min(ordered, units(item, "quantity_shipped"))
    refunded = min(ordered, units(item, "quantity_refunded"))
    cancelled = max(0, refunded - shipped)
    if status in OFF:
        cancelled = ordered - shipped
    elif status in GONE:
        # Marking an order by hand as shipped leaves no shipment behind.
        cancelled = min(refunded, ordered - shipped)
        shipped = ordered - cancelled
    named = {name: text(item, name) for name in ("variant_id", "product_id")}
    ids = {name: value for name, value in named.items() if value and value != "0"}
    return OrderLine(need_text(item, "id"), ids, text(item, "sku"), ordered, cancelled, shipped, 0, location)
