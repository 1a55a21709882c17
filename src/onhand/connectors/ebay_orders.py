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
OVERLAP = 300_000_000
"""Microseconds that a poll looks back behind the beginning of the one before it."""
OPEN = "orderfulfillmentstatus:{NOT_STARTED|IN_PROGRESS}"
UNPAID = {"FAILED"}
"""The buyer's payment failed: eBay does not count the order."""
REFUNDED = "FULLY_REFUNDED"
"""The buyer has all of the money back: what was not shipped by then stays here, whether or not somebody
cancelled the order as well, and eBay goes on to list it as one that waits to be shipped."""


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
    if here.begins:
        # Not the latest change: pages later, orders of this one have changed again, and lie behind that.
        here = here._replace(high=max(here.high, iso(now_there(answer))))
    seen.sort(key=lambda order: order.updated)
    following = here.after(len(listed), units(found, "total"))
    return Orders(tuple(seen), following.write() if following else here.high, more=following is not None)


def _call(here: Cursor, behind: int | None) -> Request:
    """Only one of the two dates may be named: given both, eBay heeds the day of creation alone. Nor does it
    say how it sorts. So later pages are of what has not changed since the round began: that list only loses
    orders, and its total tells how many."""
    wanted = OPEN
    if behind is not None:
        end = "" if here.begins else _precise(here.high)
        wanted = f"lastmodifieddate:[{_precise(iso(max(0, behind - OVERLAP)))}..{end}]"
    query = (("filter", wanted), ("limit", str(PAGE)), ("offset", str(here.offset)))
    return Request("GET", f"{FULFILLMENT}/order", query=query, limit="orders", repeatable=True)


def _precise(when: str) -> str:
    """A time to the millisecond, as eBay wants it."""
    return when.removesuffix("Z") + ".000Z"


def _order(account: Account, row: Mapping[str, Any]) -> Flow[Order]:
    name = need_text(row, "orderId")
    lines = rows(row, "lineItems")
    sent: Mapping[str, int] = {}
    if any(text(line, "lineItemFulfillmentStatus") == "IN_PROGRESS" for line in lines):
        sent = yield from _shipments(name)
    paid = text(row, "orderPaymentStatus")
    cancelled = paid == REFUNDED or text(row, "cancelStatus", "cancelState") == "CANCELED"
    return Order(
        name,
        need_moment(moment(row, "lastModifiedDate")),
        tuple(_line(account, line, cancelled, sent) for line in lines),
        name=name,
        holds=paid not in UNPAID,
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
