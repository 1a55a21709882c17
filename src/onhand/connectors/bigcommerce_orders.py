"""Orders of a BigCommerce store, since a moment or by their ids, as snapshots; Orders API V2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

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
CANCELLED = 5
OFF = {4, CANCELLED, 6}
"""Refunded, cancelled, declined."""
WITH_LINES = (("include", "consignments.line_items"), ("consignment_structure", "object"))
KINDS = ("shipping", "pickups", "downloads")


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time; without one the open ones among all."""
    walk = read(cursor)
    query = [("sort", "date_modified:asc"), ("page", str(walk.page)), ("limit", str(PAGE))]
    query += WITH_LINES
    if walk.asked_from is not None:
        query.append(("min_date_modified", iso(walk.asked_from)))
    answer = yield from ask(Request("GET", "/v2/orders", tuple(query), repeatable=True))
    found = _listed(answer)
    seen = []
    for row in rows(found):
        seen.append((yield from _order(row)))
    changed = [order.updated for order in seen]
    following, more = step(walk, changed, len(found) >= PAGE, answer)
    kept = [order for order in seen if not walk.opening or still_open(order.lines)]
    return Orders(tuple(kept), following, more)


def _listed(answer: Response) -> list[Any]:
    """The orders of a list, which is a 204 without a body when it is empty. Raises Failed."""
    found = expect(answer)
    if not isinstance(found, list | None):
        raise Failed("the channel's answer is not as documented: orders are no list", retry=True)
    return found or []


# --- by id ----------------------------------------------------------------------------------------------


def reread(settings: Any, names: Sequence[str]) -> Flow[Reread]:
    """How these orders stand now. They are read in runs of ids; one that is left out there is asked for by
    itself, because it may lie in the archive, and is gone when the store denies it."""
    waiting = sorted({int(name) for name in names if name.isascii() and name.isdigit()})
    found: list[Order] = []
    gone: list[str] = []
    while waiting:
        span = (("min_id", str(waiting[0])), ("max_id", str(waiting[-1])), ("limit", str(PAGE)))
        answer = yield from ask(Request("GET", "/v2/orders", (*span, *WITH_LINES), repeatable=True))
        listed = {whole(row, "id") or 0: row for row in rows(_listed(answer))}
        read = max(waiting[0], *listed) if len(listed) >= PAGE else waiting[-1]
        for number in (one for one in waiting if one <= read):
            row = listed.get(number) or (yield from _one(number))
            if row is None:
                gone.append(str(number))
            else:
                found.append((yield from _order(row)))
        waiting = [one for one in waiting if one > read]
    return Reread(tuple(found), tuple(gone))


def _one(number: int) -> Flow[Mapping[str, Any] | None]:
    """An order, also from the archive; None when the store says that there is none. Raises Failed."""
    answer = yield from ask(Request("GET", f"/v2/orders/{number}", WITH_LINES, repeatable=True))
    found = answer.json()
    # V2 has its errors in a list. A 404 without such a word is a gateway's.
    if answer.status == 404 and 404 in (whole(found, "status"), whole(found, 0, "status")):
        return None
    row = expect(answer)
    if not isinstance(row, Mapping) or whole(row, "id") != number:
        raise Failed("the channel's answer is not as documented: it is another order", retry=True)
    return row


# --- snapshots ------------------------------------------------------------------------------------------


def _order(row: Mapping[str, Any]) -> Flow[Order]:
    """A snapshot; one that came without its consignments takes a call of its own for its lines."""
    name = need_text(row, "id")
    status = whole(row, "status_id")
    if row.get("is_deleted") is True and status not in GONE:
        status = CANCELLED  # nobody will ship what was put into the archive
    lines = list(_items(at(row, "consignments")))
    if at(row, "consignments") is None:
        path = f"/v2/orders/{name}/products"
        found = expect((yield from ask(Request("GET", path, (("limit", "250"),), repeatable=True))))
        lines = [(item, None) for item in rows(found)]
    return Order(
        name,
        need_moment(_when(text(row, "date_modified") or text(row, "date_created") or "")),
        tuple(_line(item, location, status) for item, location in lines if units(item, "quantity")),
        name=text(row, "id") or "",
        # An order that was begun and not paid lowers nothing.
        holds=status != INCOMPLETE,
        sent=_when(text(row, "date_shipped") or ""),
    )


def _when(told: str) -> int | None:
    """V2 writes times as in e-mail; ISO is taken too."""
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
