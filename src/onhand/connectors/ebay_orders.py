"""Orders of an eBay account since a moment, as snapshots. Sell Fulfillment API v1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from onhand.connectors.ebay_calls import FULFILLMENT, Account
from onhand.connectors.flow import Flow, Order, OrderLine, Orders, Request, expect
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
)
from onhand.connectors.walking import Cursor, need_moment, read_cursor

PAGE = 200
AGAIN = 20
"""Rows that the next page of open orders repeats, as those that are shipped meanwhile leave the list."""
OVERLAP = 300_000_000
"""Microseconds that a poll looks back behind the last change it saw."""
OPEN = "orderfulfillmentstatus:{NOT_STARTED|IN_PROGRESS}"
UNPAID = {"FAILED"}
"""The buyer's payment failed: eBay does not count the order."""


def read_orders(account: Account, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time. Without one: those that wait to be shipped, then
    what changed after this first look."""
    here = read_cursor(cursor)
    behind = moment(here.since)
    answer = yield from ask(_call(here, behind))
    found = expect(answer)
    listed = need_rows(found, "orders")
    seen = []
    for row in listed:
        seen.append((yield from _order(account, row)))
    if behind is None and not here.high:
        here = here._replace(high=iso(now_there(answer)))
    high = max([here.high, *(iso(order.updated) for order in seen)]) if behind is not None else here.high
    seen.sort(key=lambda order: order.updated)
    after = here.offset + len(listed)
    if listed and after < units(found, "total"):
        after -= AGAIN if behind is None and len(listed) > AGAIN else 0
        return Orders(tuple(seen), Cursor(here.since, high, after).write(), more=True)
    return Orders(tuple(seen), high)


def _call(here: Cursor, behind: int | None) -> Request:
    """Only one of the two dates may be named: given both, eBay heeds the day of creation alone."""
    wanted = OPEN
    if behind is not None:
        wanted = f"lastmodifieddate:[{iso(max(0, behind - OVERLAP)).removesuffix('Z')}.000Z..]"
    query = (("filter", wanted), ("limit", str(PAGE)), ("offset", str(here.offset)))
    return Request("GET", f"{FULFILLMENT}/order", query=query, limit="orders", repeatable=True)


def _order(account: Account, row: Mapping[str, Any]) -> Flow[Order]:
    name = need_text(row, "orderId")
    lines = rows(row, "lineItems")
    sent: Mapping[str, int] = {}
    if any(text(line, "lineItemFulfillmentStatus") == "IN_PROGRESS" for line in lines):
        sent = yield from _shipments(name)
    cancelled = text(row, "cancelStatus", "cancelState") == "CANCELED"
    return Order(
        name,
        need_moment(moment(row, "lastModifiedDate")),
        tuple(_line(account, line, cancelled, sent) for line in lines),
        name=name,
        holds=text(row, "orderPaymentStatus") not in UNPAID,
    )


def _shipments(name: str) -> Flow[Mapping[str, int]]:
    """Units shipped so far by line: the order itself only says that some were."""
    call = Request(
        "GET",
        f"{FULFILLMENT}/order/{quote(name, safe='')}/shipping_fulfillment",
        limit="orders",
        repeatable=True,
    )
    sent: dict[str, int] = {}
    for parcel in need_rows(expect((yield from ask(call))), "fulfillments"):
        for part in rows(parcel, "lineItems"):
            if line := text(part, "lineItemId"):
                sent[line] = sent.get(line, 0) + units(part, "quantity")
    return sent


def _line(account: Account, row: Mapping[str, Any], cancelled: bool, sent: Mapping[str, int]) -> OrderLine:
    name, ordered = need_text(row, "lineItemId"), units(row, "quantity")
    shipped = min(ordered, sent.get(name, 0))
    if text(row, "lineItemFulfillmentStatus") == "FULFILLED":
        shipped = ordered
    return OrderLine(
        name,
        _ids(account, row),
        text(row, "sku"),
        ordered,
        ordered - shipped if cancelled else 0,
        shipped,
    )


def _ids(account: Account, row: Mapping[str, Any]) -> dict[str, str]:
    """The ids that the line's listing has in a pull by the same interface."""
    sku, item = text(row, "sku"), text(row, "legacyItemId")
    if account.listings == "inventory":
        return {"sku": sku} if sku else {}
    varied = text(row, "legacyVariationId") not in (None, "0")
    return ({"item_id": item} if item else {}) | ({"variation": sku} if sku and varied else {})
