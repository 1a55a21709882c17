"""Orders that a merchant ships for Amazon, since a moment, as snapshots. Orders API 2026-01-01.

Amazon keeps one quantity of a SKU for all marketplaces of a region, whatever marketplace it is told for. What
sells in another one lowers it, too, and without its orders here that would look like drift and be healed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from onhand.connectors.amazon_calls import Seller, search
from onhand.connectors.flow import Flow, Order, OrderLine, Orders, Pairs, Request, expect
from onhand.connectors.reading import (
    ask,
    iso,
    moment,
    need_rows,
    need_text,
    now_there,
    rows,
    text,
    units,
    whole,
)
from onhand.connectors.walking import given_at, need_moment, outlived

PATH = "/orders/2026-01-01/orders"
PAGE = 100
OVERLAP = 60_000_000
"""Microseconds that a poll looks back behind the end of the one before."""
OPEN_SPAN = 365 * 24 * 3600 * 1_000_000
"""How far back open orders of a new connection are looked for, in microseconds: one for what is yet
to be released waits for months without a change. Amazon keeps them for two years."""
OPEN = "PENDING_AVAILABILITY,PENDING,UNSHIPPED,PARTIALLY_SHIPPED"
PENDING = {"PENDING_AVAILABILITY", "PENDING"}
"""Not yet paid: Amazon holds the units, and does not count them as waiting to be shipped."""
BAD_TOKEN = 400
OPEN_ONES, CHANGED, PART = "open", "changed", "part"
"""What a poll reads: the open orders of a new connection, what changed since, or a part of that."""
SMALLEST_PART = 120_000_000
"""Microseconds. Amazon wants the end of a part to be as long ago."""


class Cursor(NamedTuple):
    """``since`` is the moment that the poll asks from, ``high`` where the next one goes on, ``token`` the
    page, ``given`` at that moment of Amazon's clock. Filters must not change between pages."""

    kind: str
    since: str
    high: str = ""
    given: str = ""
    token: str = ""

    def write(self) -> str:
        """As text."""
        return "|".join(self)

    def anew(self) -> Cursor:
        """The poll from its first page, of half the time: what has so many pages that its tokens die on the
        way comes to an end all the same."""
        since, high = moment(self.since), moment(self.high)
        if self.kind == OPEN_ONES or since is None or high is None or high - since < 2 * SMALLEST_PART:
            return self._replace(given="", token="")
        return Cursor(PART, self.since, iso((since + high) // 2))


def read_cursor(told: str) -> Cursor:
    """The cursor of `Cursor.write`, or a plain moment."""
    match told.split("|", 4):
        case [kind, since, high, given, token]:
            return Cursor(kind, since, high, given, token)
        case [kind, since, high, token]:
            return Cursor(kind, since, high, "", token)
        case _:
            return Cursor(CHANGED, told)


def orders(settings: Seller, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time. Without one: those of the last year that are
    open, then what changed after this first look."""
    here = read_cursor(cursor) if cursor else (yield from _beginning(settings))
    answer = yield from ask(_call(settings, here))
    if answer.status == BAD_TOKEN and here.token and outlived(here.given, answer):
        # A page's token lives for a day.
        return Orders((), here.anew().write(), more=True)
    found = expect(answer)
    seen = [_order(row) for row in need_rows(found, "orders") if _ours(row)]
    seen.sort(key=lambda order: order.updated)
    here = here._replace(high=here.high or _end(found, here, seen))
    token = text(found, "pagination", "nextToken")
    if token and token != here.token:
        given = given_at(answer)
        return Orders(tuple(seen), here._replace(given=given, token=token).write(), more=True)
    return Orders(tuple(seen), here.high, more=here.kind == PART)


def _beginning(settings: Seller) -> Flow[Cursor]:
    answer = yield from ask(search(settings, ("pageSize", "1")))
    expect(answer)
    now = now_there(answer)
    return Cursor(OPEN_ONES, iso(now - OPEN_SPAN), iso(now))


def _call(settings: Seller, here: Cursor) -> Request:
    since = moment(here.since)
    opening = here.kind == OPEN_ONES
    after = here.since if since is None or opening else iso(max(0, since - OVERLAP))
    query: Pairs = (
        ("lastUpdatedAfter", after),
        ("marketplaceIds", ",".join(dict.fromkeys((settings.marketplace_id, *settings.also)))),
        ("fulfilledBy", "MERCHANT"),
        ("includedData", "FULFILLMENT"),
        ("maxResultsPerPage", str(PAGE)),
    )
    if opening:
        query += (("fulfillmentStatuses", OPEN),)
    if here.kind == PART:
        query += (("lastUpdatedBefore", here.high),)
    if here.token:
        query += (("paginationToken", here.token),)
    return Request("GET", PATH, query=query, limit="orders", repeatable=True)


def _end(found: Any, here: Cursor, seen: list[Order]) -> str:
    """Where the window of this poll ends: Amazon says it, else the latest change."""
    if said := text(found, "lastUpdatedBefore"):
        return said
    return max([here.since, *(iso(order.updated) for order in seen)])


def _ours(row: Mapping[str, Any]) -> bool:
    return text(row, "fulfillment", "fulfilledBy") in (None, "MERCHANT")


def _order(row: Mapping[str, Any]) -> Order:
    name = need_text(row, "orderId")
    status = text(row, "fulfillment", "fulfillmentStatus") or ""
    return Order(
        name,
        need_moment(moment(row, "lastUpdatedTime")),
        tuple(_line(item, status) for item in rows(row, "orderItems")),
        name=name,
        holds=status != "UNFULFILLABLE",
    )


def _line(item: Mapping[str, Any], status: str) -> OrderLine:
    """Units that are neither shipped nor waiting have been cancelled; a pending order counts none as
    waiting and has cancelled none."""
    ordered = units(item, "quantityOrdered")
    shipped = min(ordered, units(item, "fulfillment", "quantityFulfilled"))
    waiting = whole(item, "fulfillment", "quantityUnfulfilled")
    if status == "CANCELLED":
        waiting = 0
    elif waiting is None or status in PENDING:
        shipped = ordered if waiting is None and status == "SHIPPED" else shipped
        waiting = ordered - shipped
    sku, asin = text(item, "product", "sellerSku"), text(item, "product", "asin")
    ids = {name: value for name, value in (("sku", sku), ("asin", asin)) if value}
    cancelled = max(0, ordered - shipped - waiting)
    return OrderLine(need_text(item, "orderItemId"), ids, sku, ordered, cancelled, shipped)
