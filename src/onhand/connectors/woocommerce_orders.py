"""Orders of a WooCommerce shop, since a moment or by their ids, as snapshots; REST API wc/v3.

A shop that keeps orders as posts does not date all that happens to them: editing the items of one, and before
version 7.6 a refund in part, leave its time of change as it was. So a poll alone is not enough: orders that
hold units are asked for by their ids after each look at the shop, and those that a webhook names at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from onhand.connectors.flow import (
    Failed,
    Flow,
    Order,
    OrderLine,
    Orders,
    Request,
    Reread,
    Response,
    expect,
)
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
    whole,
)
from onhand.connectors.walking import APART
from onhand.connectors.woocommerce_pages import PAGE, Spot, asked, following

OVERLAP = 60_000_000
"""Microseconds that a poll looks back behind the last change it saw."""
BEGINNING = "1970-01-01T00:00:00Z"
OPEN = "pending,processing,on-hold"
PHASES = ("any", "trash")
"""Two lists: "any" leaves out what lies in the trash, and such an order has to let its units go."""

UNPAID = {"pending", "failed", "checkout-draft", "auto-draft"}
"""WooCommerce lowers its stock when an order is paid or put on hold, not before."""
GONE = {"cancelled", "refunded", "trash"}
RESTOCKED = "_restock_refunded_items"
UNKNOWN = "woocommerce_rest_shop_order_invalid_id"
MOST = 1e9
"""No line has so many units."""


class Cursor(NamedTuple):
    """Where a poll stands: ``since`` is empty during the first look; ``high`` is where the next poll begins,
    and not after ``start``, when this one began; ``phase`` is the list, ``offset`` the row where its next
    page begins, which is to be ``last``, the highest id that was read."""

    since: str
    high: str
    start: str = ""
    phase: int = 0
    offset: int = 0
    last: int = 0

    def write(self) -> str:
        """As text."""
        return "|".join(map(str, self))

    @property
    def begins(self) -> bool:
        """Whether nothing was read yet."""
        return not (self.phase or self.offset or self.last)


def read_cursor(told: str | None) -> Cursor:
    """The cursor of `Cursor.write`, a plain moment, or the beginning of a connection. One that cannot be read
    begins its poll anew."""
    since, *rest = (told or "").split("|")
    phase, offset, last = (whole(part) for part in (*rest, "", "", "", "", "")[2:5])
    if len(rest) != 5 or phase is None or offset is None or last is None or phase >= len(PHASES):
        return Cursor(since, since or BEGINNING)
    return Cursor(since, rest[0], rest[1], phase, max(0, offset), last)


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
    here = _noted(here, seen, answer)
    if (spot := following(Spot(here.offset, here.last), listed, answer)) is not None:
        return Orders(tuple(seen), here._replace(**spot._asdict()).write(), more=True)
    if here.since and here.phase + 1 < len(PHASES):
        return Orders(tuple(seen), here._replace(phase=here.phase + 1, offset=0, last=0).write(), more=True)
    return Orders(tuple(seen), here.high)


def _noted(here: Cursor, seen: Sequence[Order], answer: Response) -> Cursor:
    """Where the next poll begins, after a page: at the newest change that was seen, but not after this poll
    began, because what changes behind our back while we page is not in it."""
    now = said_at(answer)
    if here.begins:
        here = here._replace(start=iso(now) if now is not None else "")
        if not here.since:
            # Nothing that the shop has dated says yet what its own clock shows.
            return here._replace(high=BEGINNING if now is None else iso(now - APART))
    if not here.since:
        return here
    newest = max((iso(order.updated) for order in seen), default="")
    return here._replace(high=max(here.high, min(newest, here.start or newest)))


def _query(here: Cursor) -> tuple[tuple[str, str], ...]:
    """By id, because pages in the order of change would move under our hands."""
    query = asked(Spot(here.offset, here.last))
    if not here.since:
        return (*query, ("status", OPEN))
    start = iso(max(0, (moment(here.since) or 0) - OVERLAP))
    changed = (("modified_after", start), ("dates_are_gmt", "true"))
    return (*query, ("status", PHASES[here.phase]), *changed)


# --- by id ----------------------------------------------------------------------------------------------


def reread(settings: Any, names: Sequence[str]) -> Flow[Reread]:
    """How these orders stand now, and which the shop does not have: it has to deny each by name, because a
    list also leaves out what lies in the trash, or in a status that a plugin hides."""
    found: list[Order] = []
    gone: list[str] = []
    wanted = [name for name in dict.fromkeys(names) if name.isascii() and name.isdigit()]
    for start in range(0, len(wanted), PAGE):
        some = wanted[start : start + PAGE]
        query = (("per_page", str(PAGE)), ("include", ",".join(some)), ("status", "any"))
        answer = yield from ask(Request("GET", "/orders", query=query, repeatable=True))
        listed = {text(row, "id"): row for row in need_rows(expect(answer))}
        for name in some:
            row = listed.get(name)
            if row is None:
                row = yield from _one(name)
            if row is None:
                gone.append(name)
            else:
                found.append((yield from _order(row)))
    return Reread(tuple(found), tuple(gone))


def _one(name: str) -> Flow[Mapping[str, Any] | None]:
    """An order, wherever it lies; None when there is none of this id. Raises Failed."""
    answer = yield from ask(Request("GET", f"/orders/{name}", repeatable=True))
    if _denied(answer):
        return None
    row = expect(answer)
    if text(row, "id") != name or not isinstance(row, Mapping):
        raise Failed("the channel's answer is not as documented: it is another order", retry=True)
    return row


def _denied(answer: Response) -> bool:
    """Whether the shop says that it has no such order; a 404 of a gateway, or of a route, is no such word."""
    return answer.status == 404 and text(answer.json(), "code") == UNKNOWN


# --- snapshots ------------------------------------------------------------------------------------------


def _order(row: Mapping[str, Any]) -> Flow[Order]:
    """A snapshot. Units refunded before the rest was shipped never left; their number takes a call."""
    name, status = need_text(row, "id"), text(row, "status") or ""
    left = moment(row, "date_completed_gmt")
    shipped = status == "completed" or left is not None
    off: Mapping[str, int] = {}
    if rows(row, "refunds") and (left is not None or not (shipped or status in GONE)):
        query = (("per_page", str(PAGE)),)
        answer = yield from ask(Request("GET", f"/orders/{name}/refunds", query=query, repeatable=True))
        # Deleted since it was listed: what is read of it again says so, and no other order waits for that.
        off = {} if _denied(answer) else _refunded(need_rows(expect(answer)), left)
    lines = rows(row, "line_items")
    return Order(
        name,
        moment(row, "date_modified_gmt") or 0,
        tuple(_line(line, shipped, status in GONE, off) for line in lines),
        name=text(row, "number") or "",
        holds=status not in UNPAID,
        sent=left,
    )


def _line(line: Mapping[str, Any], shipped: bool, gone: bool, refunded: Mapping[str, int]) -> OrderLine:
    name, count = need_text(line, "id"), _sold(line)
    off = count if gone and not shipped else min(count, refunded.get(name, 0))
    # The shop counts on the line what its refunds have put back; of that, what never left did not come back.
    back = units(_notes(line).get(RESTOCKED)) - off
    known = (("product", text(line, "product_id")), ("variation", text(line, "variation_id")))
    return OrderLine(
        name,
        {kind: value for kind, value in known if value and value != "0"},
        text(line, "sku"),
        count,
        cancelled=off,
        shipped=count - off if shipped else 0,
        returned=max(0, min(back, count - off)) if shipped else 0,
    )


def _notes(line: Mapping[str, Any]) -> Mapping[str | None, str | None]:
    return {text(note, "key"): text(note, "value") for note in rows(line, "meta_data")}


def _sold(line: Mapping[str, Any]) -> int:
    """Units of a line. With a plugin a shop sells parts of a unit, and each takes a whole one here: taken for
    none, it would be sold again."""
    found = at(line, "quantity")
    return ceil(found) if isinstance(found, float) and 0 < found < MOST else units(line, "quantity")


def _refunded(refunds: list[Mapping[str, Any]], left: int | None) -> Mapping[str, int]:
    """Units by line of the order that were refunded, before it ``left`` if it has: a refund counts them below
    zero and names the line in its notes."""
    off: dict[str, int] = {}
    for refund in refunds:
        if left is not None and (moment(refund, "date_created_gmt") or left) >= left:
            continue
        for line in rows(refund, "line_items"):
            if name := _notes(line).get("_refunded_item_id"):
                off[name] = off.get(name, 0) + abs(whole(line, "quantity") or 0)
    return off
