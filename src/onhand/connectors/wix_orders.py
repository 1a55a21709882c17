"""Orders of a Wix site since a moment, as snapshots; eCommerce Orders v1, for both catalogues.

Unless a site says otherwise (`inventoryUpdateTrigger` of its orders settings), Wix takes units off when an
order is placed, while its payment is still under way. Such an order is INITIALIZED, and no search tells of
it; one that is PENDING is told, and holds its units here, too: should Wix not have taken them off, less is
offered for a while, and not more than there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onhand.connectors import wix_v3
from onhand.connectors.flow import Failed, Flow, Order, OrderLine, Orders, Request, expect
from onhand.connectors.reading import (
    ask,
    at,
    iso,
    moment,
    need_rows,
    need_text,
    rows,
    said_at,
    text,
    units,
)
from onhand.connectors.walking import given_at, need_moment, still_open, turned
from onhand.connectors.wix_calls import SIMPLE, post

PAGE = 100
STORES = "215238eb-22a5-4c36-9e7b-e7c08025e04e"
"""The app whose products have stock: orders may hold bookings and tickets of others."""
OVERLAP = 120_000_000
"""Microseconds that a poll looks back behind the one before it."""
SENT = {"PARTIALLY_FULFILLED", "FULFILLED"}
UNCOUNTED = {"INITIALIZED", "REJECTED"}
"""States in which nothing was bought, or not yet."""


class Cursor(NamedTuple):
    """``since`` is empty while a new connection reads what is still to be shipped; ``high`` is where the
    next poll goes on, ``page`` Wix's own cursor, which was ``given`` at that moment of its clock."""

    since: str = ""
    high: str = ""
    given: str = ""
    page: str = ""

    def write(self) -> str:
        """As text."""
        return "|".join(self)


class Sent(NamedTuple):
    """What was sent of an order: units by line, and when the last of them left, where that is known."""

    units: Mapping[str, int]
    last: int | None = None


class Where(NamedTuple):
    """The ids under which the store keeps stock, by the ids that the site has for the same locations, and
    the one that orders take from unless they say otherwise."""

    names: Mapping[str, str] = {}
    default: str | None = None

    def of(self, name: str | None) -> str | None:
        """Where the stock of a line is kept, that names a location or none."""
        return self.default if name is None else self.names.get(name, name)


def read_cursor(told: str | None) -> Cursor:
    """The cursor of `Cursor.write`, a plain moment, or the beginning."""
    since, high, given, page = [*(told or "").split("|", 3), "", "", ""][:4]
    return Cursor(since if moment(since) is not None else "", high, given, page)


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """A page of orders by their time of change. Without a cursor only those with something to ship: what
    left before we looked first is no longer in our stock."""
    here = read_cursor(cursor)
    answer, page = yield from turned(lambda page: _search(here._replace(page=page)), here.page, here.given)
    here = here._replace(page=page)
    found = expect(answer)
    listed = need_rows(found, "orders")
    left = [need_text(row, "id") for row in listed if text(row, "fulfillmentStatus") in SENT]
    sent = (yield from _sent(left)) if left else {}
    where = (yield from _where()) if listed else Where()
    snapshots = [_order(row, sent.get(text(row, "id") or "", Sent({})), where) for row in listed]
    if not here.high:
        # The channel's own clock when the first page was asked for: nothing older can come up later.
        latest = max((order.updated for order in snapshots), default=0) if here.since else 0
        here = here._replace(high=max(here.since, iso(said_at(answer) or latest)))
    kept = tuple(order for order in snapshots if here.since or still_open(order.lines))
    following = text(found, "metadata", "cursors", "next") or text(found, "pagingMetadata", "cursors", "next")
    if following and following != here.page and listed:
        given = given_at(answer)
        return Orders(kept, here._replace(page=following, given=given).write(), more=True)
    return Orders(kept, here.high)


def _search(here: Cursor) -> Request:
    if here.page:
        # A cursor knows its filter; Wix refuses to be told both.
        wanted: dict[str, Any] = {"cursorPaging": {"limit": PAGE, "cursor": here.page}}
        return post("/ecom/v1/orders/search", {"search": wanted})
    changed: dict[str, Any] = {"fulfillmentStatus": {"$in": ["NOT_FULFILLED", "PARTIALLY_FULFILLED"]}}
    if here.since:
        changed = {"updatedDate": {"$gte": iso(max(0, (moment(here.since) or 0) - OVERLAP))}}
    wanted = {
        "filter": changed,
        "sort": [{"fieldName": "updatedDate", "order": "ASC"}],
        "cursorPaging": {"limit": PAGE},
    }
    return post("/ecom/v1/orders/search", {"search": wanted})


def _sent(names: Sequence[str]) -> Flow[dict[str, Sent]]:
    """What has been sent of orders that are sent, wholly or in part."""
    found = expect((yield from ask(post("/ecom/v1/fulfillments/list-by-ids", {"orderIds": list(names)}))))
    sent: dict[str, Sent] = {}
    for order in need_rows(found, "ordersWithFulfillments"):
        lines: dict[str, int] = {}
        parcels = rows(order, "fulfillments")
        for row in (row for parcel in parcels for row in rows(parcel, "lineItems")):
            name = text(row, "id") or ""
            lines[name] = lines.get(name, 0) + units(row, "quantity")
        times = [moment(parcel, "createdDate") for parcel in parcels]
        last = max((time for time in times if time is not None), default=None)
        sent[text(order, "orderId") or ""] = Sent(lines, None if None in times else last)
    return sent


def _where() -> Flow[Where]:
    """The locations of the store, so that a line is told of where its stock is kept; nothing where the site
    has none (catalogue V1) or does not let them be read. Raises Failed when it may do so later."""
    try:
        stores = yield from wix_v3.stores()
    except Failed as failed:
        if failed.retry:
            raise
        return Where()
    names = {one.business: one.id for one in stores if one.business}
    return Where(names, next((one.id for one in stores if one.default), None))


def _order(row: Mapping[str, Any], sent: Sent, where: Where) -> Order:
    status = text(row, "status") or ""
    whole = text(row, "fulfillmentStatus") == "FULFILLED"
    lines = [
        _line(line, status in ("CANCELED", "REJECTED"), whole, sent.units, where)
        for line in rows(row, "lineItems")
        if text(line, "catalogReference", "appId") == STORES
    ]
    return Order(
        need_text(row, "id"),
        need_moment(moment(row, "updatedDate")),
        tuple(lines),
        name=text(row, "number") or "",
        holds=status not in UNCOUNTED,
        sent=sent.last,
    )


def _line(
    line: Mapping[str, Any], cancelled: bool, whole: bool, sent: Mapping[str, int], where: Where
) -> OrderLine:
    """Refunded units count as cancelled or returned once they are restocked: without that they have not
    come back, and Wix does not count them as stock either. Of a line that is fulfilled and was restocked the
    parcels tell which of the two it was."""
    name, ordered = need_text(line, "id"), units(line, "quantity")
    back = units(line, "restockQuantity")
    shipped = min(ordered, sent.get(name, 0))
    if whole and not (back and shipped):
        shipped = ordered
    off = ordered - shipped if cancelled else min(back, ordered - shipped)
    # A cancelled order restocks what was not shipped; only what is beyond that came back.
    returned = min(shipped, max(0, back - off))
    places = rows(line, "locations")
    return OrderLine(
        name,
        {
            "product": text(line, "catalogReference", "catalogItemId") or "",
            "variant": text(line, "catalogReference", "options", "variantId") or SIMPLE,
        },
        text(line, "physicalProperties", "sku"),
        ordered,
        off,
        shipped,
        returned,
        location=where.of(text(at(places, 0), "id")) if len(places) < 2 else None,
    )
