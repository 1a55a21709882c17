"""Orders of a Mirakl shop since a moment, as snapshots: operation OR11 of the Marketplace seller API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onhand.connectors.flow import Flow, Order, OrderLine, Orders, Pairs, Request, expect
from onhand.connectors.reading import (
    ask,
    at,
    iso,
    moment,
    need_rows,
    need_text,
    now_there,
    rows,
    said_at,
    text,
    units,
)
from onhand.connectors.walking import need_moment, read_cursor

PAGE = 100
OVERLAP = 300_000_000
"""Microseconds that a poll looks back behind the last change it saw."""
OPEN = "WAITING_ACCEPTANCE,WAITING_DEBIT,WAITING_DEBIT_PAYMENT,SHIPPING"
NOT_YET = {"STAGING"}
"""Under the operator's own review: it may never become an order, and no stock is taken for it."""
GONE = {"REFUSED", "CANCELED"}
SENT = {"SHIPPED", "TO_COLLECT", "RECEIVED", "CLOSED"}
WAITING = {*OPEN.split(","), *NOT_YET, *GONE}
"""States of a line that has not left. Others, as an incident or a refund has them, come before and after."""
REFUNDED = "REFUNDED"
"""Of a whole line. Once its buyer has paid, an order is cancelled so, too, and then it never leaves."""
OWN_CENTRE = "DEFAULT"


def read_orders(shop: Pairs, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time. Without one: those that wait to be shipped, then
    what changed after this first look."""
    here = read_cursor(cursor)
    behind = moment(here.since)
    filters: Pairs = (("order_state_codes", OPEN),)
    if behind is not None:
        filters = (("start_update_date", iso(max(0, behind - OVERLAP))),)
    paging = (("max", str(PAGE)), ("offset", str(here.offset)))
    call = Request("GET", "/api/orders", query=(*shop, *filters, *paging), limit="orders", repeatable=True)
    answer = yield from ask(call)
    found = expect(answer)
    listed = need_rows(found, "orders")
    seen = [_order(row) for row in listed]
    ours = [order for order in seen if order.lines]
    if behind is None and not here.high:
        # The shop's own clock: nothing that changes while we read the open orders is missed later.
        here = here._replace(high=iso(now_there(answer)))
    if behind is not None and here.begins:
        # Later pages come minutes after, and by then orders of this one have changed again: the next round
        # begins where this one did, whatever is seen on the way.
        latest = said_at(answer) or max((order.updated for order in seen), default=0)
        here = here._replace(high=max(here.high, iso(latest)))
    ours.sort(key=lambda order: order.updated)
    following = here.after(len(listed), units(found, "total_count"))
    return Orders(tuple(ours), following.write() if following else here.high, more=following is not None)


def _order(row: Mapping[str, Any]) -> Order:
    name = need_text(row, "order_id")
    state = text(row, "order_state") or ""
    foreign = text(row, "fulfillment", "center", "code") not in (None, OWN_CENTRE)
    return Order(
        name,
        need_moment(moment(row, "last_updated_date")),
        () if foreign else tuple(_line(line, state) for line in rows(row, "order_lines")),
        name=text(row, "commercial_id") or name,
        holds=state not in NOT_YET,
    )


def _line(row: Mapping[str, Any], order_state: str) -> OrderLine:
    """A line has a state of its own; one that does not say whether the units have left leaves that to the
    time of its shipping or to the order's state, and they stay promised when these do not say so either."""
    state = text(row, "order_line_state") or order_state
    left = text(row, "shipped_date")
    if state == REFUNDED and "shipped_date" in row and left is None:
        state = "CANCELED"
    elif state not in WAITING and (left or order_state in SENT):
        state = "SHIPPED"
    ordered = units(row, "quantity")
    cancelled = ordered if state in GONE else sum(units(part, "quantity") for part in _cancelations(row))
    cancelled = min(cancelled, ordered)
    ids = {"sku": text(row, "offer_sku"), "offer_id": text(row, "offer_id")}
    return OrderLine(
        need_text(row, "order_line_id"),
        {name: value for name, value in ids.items() if value},
        text(row, "offer_sku"),
        ordered,
        cancelled,
        ordered - cancelled if state in SENT else 0,
        location=text(row, "shipping_from", "warehouse", "code"),
    )


def _cancelations(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return rows(row, "cancelations") if at(row, "cancelations") else []
