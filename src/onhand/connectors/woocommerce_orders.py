"""Orders of a WooCommerce shop since a moment, as snapshots; REST API wc/v3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from onhand.connectors.flow import Flow, Order, OrderLine, Orders, Request, expect
from onhand.connectors.reading import (
    ask,
    iso,
    moment,
    need_rows,
    need_text,
    rows,
    said_at,
    text,
    units,
    whole,
)

PAGE = 100
OVERLAP = 60_000_000
"""Microseconds that a poll looks back behind the last change it saw."""
BEGINNING = "1970-01-01T00:00:00Z"
OPEN = "pending,processing,on-hold"
PHASES = ("any", "trash")
"""Two lists: "any" leaves out what lies in the trash, and such an order has to let its units go."""

UNPAID = {"pending", "failed", "checkout-draft", "auto-draft"}
"""WooCommerce lowers its stock when an order is paid or put on hold, not before."""
GONE = {"cancelled", "refunded", "trash"}


class Cursor(NamedTuple):
    """Where a poll stands: ``since`` is empty during the first look; ``high`` is where the next poll begins;
    ``phase`` and ``page`` the list and its page."""

    since: str
    high: str
    phase: int = 0
    page: int = 1

    def write(self) -> str:
        """As text."""
        return "|".join((self.since, self.high, str(self.phase), str(self.page)))


def read_cursor(told: str | None) -> Cursor:
    """The cursor of `Cursor.write`, a plain moment, or the beginning of a connection."""
    since, *rest = (told or "").split("|")
    phase, page = (whole(part) or 0 for part in (*rest, "", "", "")[1:3])
    if len(rest) != 3 or phase >= len(PHASES) or page < 1:
        return Cursor(since, since or BEGINNING)
    return Cursor(since, rest[0], phase, page)


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time. Without one: those that wait, and from then on what
    changes."""
    here = read_cursor(cursor)
    answer = yield from ask(Request("GET", "/orders", query=_query(here), repeatable=True))
    listed = need_rows(expect(answer))
    seen = []
    for row in listed:
        seen.append((yield from _order(row)))
    seen.sort(key=lambda order: order.updated)
    if not here.since and here.page == 1:
        now = said_at(answer)
        here = here._replace(high=iso(now) if now is not None else BEGINNING)
    if here.since:
        here = here._replace(high=max([here.high, *(iso(order.updated) for order in seen)]))
    pages = whole(answer.headers.get("x-wp-totalpages"))
    if here.page < pages if pages is not None else len(listed) >= PAGE:
        return Orders(tuple(seen), here._replace(page=here.page + 1).write(), more=True)
    if here.since and here.phase + 1 < len(PHASES):
        return Orders(tuple(seen), here._replace(phase=here.phase + 1, page=1).write(), more=True)
    return Orders(tuple(seen), here.high)


def _query(here: Cursor) -> tuple[tuple[str, str], ...]:
    """By the day of creation, because pages in the order of change would move under our hands."""
    query = (("per_page", str(PAGE)), ("page", str(here.page)), ("orderby", "date"), ("order", "asc"))
    if not here.since:
        return (*query, ("status", OPEN))
    start = iso(max(0, (moment(here.since) or 0) - OVERLAP))
    changed = (("modified_after", start), ("dates_are_gmt", "true"))
    return (*query, ("status", PHASES[here.phase]), *changed)


def _order(row: Mapping[str, Any]) -> Flow[Order]:
    """A snapshot. Units refunded before they were shipped will not be; their number takes a call."""
    name, status = need_text(row, "id"), text(row, "status") or ""
    shipped = status == "completed" or text(row, "date_completed_gmt") is not None
    off: Mapping[str, int] = {}
    if rows(row, "refunds") and not shipped and status not in GONE:
        query = (("per_page", str(PAGE)),)
        answer = yield from ask(Request("GET", f"/orders/{name}/refunds", query=query, repeatable=True))
        off = _refunded(need_rows(expect(answer)))
    lines = rows(row, "line_items")
    return Order(
        name,
        moment(row, "date_modified_gmt") or 0,
        tuple(_line(line, shipped, status in GONE, off) for line in lines),
        name=text(row, "number") or "",
        holds=status not in UNPAID,
    )


def _line(line: Mapping[str, Any], shipped: bool, gone: bool, off: Mapping[str, int]) -> OrderLine:
    name, count = need_text(line, "id"), units(line, "quantity")
    known = (("product", text(line, "product_id")), ("variation", text(line, "variation_id")))
    return OrderLine(
        name,
        {kind: value for kind, value in known if value and value != "0"},
        text(line, "sku"),
        count,
        cancelled=0 if shipped else count if gone else min(count, off.get(name, 0)),
        shipped=count if shipped else 0,
    )


def _refunded(refunds: list[Mapping[str, Any]]) -> Mapping[str, int]:
    """Units by line of the order: a refund counts them below zero and names the line in its notes."""
    off: dict[str, int] = {}
    for refund in refunds:
        for line in rows(refund, "line_items"):
            notes = {text(note, "key"): text(note, "value") for note in rows(line, "meta_data")}
            if name := notes.get("_refunded_item_id"):
                off[name] = off.get(name, 0) + abs(whole(line, "quantity") or 0)
    return off
