"""Orders of a TikTok shop since a moment, as snapshots; search 202309, details 202507."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from onhand.connectors.flow import Failed, Flow, Order, OrderLine, Orders
from onhand.connectors.reading import ask, need_rows, need_text, rows, said_at, text, units
from onhand.connectors.tiktok_calls import call, cipher_of, data, is_old_token
from onhand.connectors.walking import given_at, need_moment, outlived

PAGE = 50
"""Orders whose details one call gives."""
OVERLAP = 120
"""Seconds that a poll looks back behind the one before it."""
SECOND = 1_000_000
TO_SHIP = ("UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION")
SHIPPED = {"IN_TRANSIT", "DELIVERED", "COMPLETED"}
OURS = {None, "FULFILLMENT_BY_SELLER"}
"""Who ships: TikTok's warehouses sell their own stock and not ours."""


class Cursor(NamedTuple):
    """``since`` (seconds) is 0 while a new connection reads the orders that are still to be shipped, status
    by status (``stage``); ``high`` is where the next poll goes on. ``at`` is the time of change that this
    one has reached and ``token`` the page from there, which was ``given`` at that moment of TikTok's clock:
    orders that change while we page move to the end, and by pages alone others would slip through the gap."""

    since: int = 0
    high: int = 0
    stage: int = 0
    at: int = 0
    given: str = ""
    token: str = ""

    def write(self) -> str:
        """As text."""
        return "|".join(map(str, self))

    def after(self, token: str | None, last: int, given: str) -> Cursor | None:
        """Where this poll goes on; None when it is done."""
        if token and last > self.at:
            return self._replace(at=last, token="", given="")
        if token and token != self.token:
            return self._replace(token=token, given=given)
        if self.since == 0 and self.stage + 1 < len(TO_SHIP):
            return Cursor(0, self.high, self.stage + 1)
        return None


def read_cursor(told: str | None) -> Cursor:
    """The cursor of `Cursor.write`, or the beginning."""
    since, high, stage, at, given, token = [*(told or "").split("|", 5), "", "", "", "", ""][:6]
    begin = units(at) or max(0, units(since) - OVERLAP)
    return Cursor(units(since), units(high), min(units(stage), len(TO_SHIP) - 1), begin, given, token)


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """A page of orders by their time of change. Without a cursor only those with something to ship: what
    left before we looked first is no longer in our stock."""
    here = read_cursor(cursor)
    cipher = yield from cipher_of(settings)
    query = [("page_size", str(PAGE)), ("sort_field", "update_time"), ("sort_order", "ASC")]
    query += [("page_token", here.token)] if here.token else []
    body: dict[str, Any] = {"update_time_ge": here.at}
    if not here.since:
        body["order_status"] = TO_SHIP[here.stage]
    answer = yield from ask(call("POST", "/order/202309/orders/search", cipher, *query, json=body))
    try:
        page = data(answer)
    except Failed as failed:
        if not here.token or failed.retry or is_old_token(answer) or not outlived(here.given, answer):
            raise
        # The name of a page does not live for ever: the next poll goes on by time, without it.
        return Orders((), here._replace(token="", given="").write())
    listed = need_rows(page, "orders") if "orders" in page else []
    found = yield from _details(cipher, [need_text(row, "id") for row in listed])
    if not here.high:
        # The channel's own clock when the first page was asked for: nothing older can come up later.
        clock = (said_at(answer) or 0) // SECOND
        here = here._replace(high=clock or max([here.since, *(order.updated // SECOND for order in found)]))
    kept = tuple(order for order in found if here.since or _open(order))
    last = max((units(row, "update_time") for row in listed), default=0)
    following = here.after(text(page, "next_page_token"), last, given_at(answer))
    return Orders(kept, (following or Cursor(here.high)).write(), more=following is not None)


def _details(cipher: str, names: list[str]) -> Flow[list[Order]]:
    """Snapshots of these orders, oldest change first."""
    if not names:
        return []
    details = data((yield from ask(call("GET", "/order/202507/orders", cipher, ("ids", ",".join(names))))))
    found = [_order(row) for row in need_rows(details, "orders") if text(row, "fulfillment_type") in OURS]
    return sorted(found, key=lambda order: order.updated)


def _open(order: Order) -> bool:
    return any(line.ordered > line.cancelled + line.shipped for line in order.lines)


def _order(row: Mapping[str, Any]) -> Order:
    """A snapshot. Samples and replacements are orders like others: their units leave the shelf."""
    counts: dict[str, list[int]] = {}
    about: dict[str, tuple[dict[str, str], str | None]] = {}
    for line in rows(row, "line_items"):
        status = text(line, "display_status") or text(row, "status")
        for ids, sku, count in _skus(line):
            ordered, cancelled, shipped = counts.setdefault(ids["sku"], [0, 0, 0])
            gone = count if status == "CANCELLED" or text(row, "status") == "CANCELLED" else 0
            left = count if status in SHIPPED and not gone else 0
            counts[ids["sku"]] = [ordered + count, cancelled + gone, shipped + left]
            about.setdefault(ids["sku"], (ids, sku))
    where = text(row, "warehouse_id")
    name = need_text(row, "id")
    lines = (
        OrderLine(sku, *about[sku], ordered, cancelled, shipped, location=where)
        for sku, (ordered, cancelled, shipped) in counts.items()
    )
    changed, sent = (units(row, when) * SECOND or None for when in ("update_time", "collection_time"))
    return Order(name, need_moment(changed), tuple(lines), name=name, sent=sent)


def _skus(line: Mapping[str, Any]) -> list[tuple[dict[str, str], str | None, int]]:
    """What a line takes from stock: one unit, or the parts of a bundle that exists on TikTok only."""
    parts = rows(line, "combined_listing_skus")
    if not parts:
        ids = {"product": text(line, "product_id") or "", "sku": text(line, "sku_id") or ""}
        return [({k: v for k, v in ids.items() if v} | {"sku": ids["sku"]}, text(line, "seller_sku"), 1)]
    return [
        ({"sku": text(part, "sku_id") or ""}, text(part, "seller_sku"), max(1, units(part, "sku_count")))
        for part in parts
    ]
