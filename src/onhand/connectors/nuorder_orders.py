"""Orders of a NuORDER portal, as snapshots: it has no list by time of change, so open ones are followed."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from onhand.connectors.flow import Flow, Order, OrderLine, Orders, Request, Reread, Response, expect
from onhand.connectors.reading import ask, moment, need_rows, need_text, rows, said_at, text, units
from onhand.connectors.walking import need_moment, still_open

LIVING = ("pending", "approved", "edited", "processed")
MAYBE_UNKNOWN = "edited"
"""A status that some portals take and some do not."""
GONE = ("shipped", "cancelled")
AT_REST = ("draft", "review")
UNSURE = frozenset({MAYBE_UNKNOWN, *AT_REST})
UNCOUNTED = {"draft", "review", "pending"}
"""States before the brand has agreed to the order."""
FETCHES = 50
"""Orders that are fetched one by one, at most, before what was found is kept."""
OVERLAP = 86_400
"""Seconds that a poll looks back for orders which came and went between two polls."""
OBJECT_ID = 24


class Cursor(msgspec.Struct, frozen=True):
    """When the first poll was and the last, in seconds since 1970, the orders that were open then, and those
    of that poll that are still to be fetched."""

    first: int = 0
    since: int = 0
    open: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()


def read_cursor(told: str | None) -> Cursor | None:
    """The cursor of the last poll; None at the beginning."""
    try:
        return msgspec.json.decode(told or "", type=Cursor)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """All open orders, and what became of those that are no longer. Without a cursor only what is open: what
    left before we looked first is no longer in our stock."""
    here = read_cursor(cursor)
    if here is not None and here.todo:
        # Not with the lists once more: who came and went is in them for a day, and the poll would not end.
        return (yield from _some(settings, here, []))
    living: dict[str, Order] = {}
    clock = 0
    for status in LIVING:
        answer = yield from ask(Request("GET", f"/api/orders/{status}/detail", repeatable=True))
        clock = clock or (said_at(answer) or 0) // 1_000_000
        for row in _listed(answer, status):
            order = _order(settings, row, status)
            living[order.id] = order
    if here is None:
        kept = [order for order in living.values() if still_open(order.lines)]
        return _result(kept, Cursor(clock, clock, tuple(living)))
    todo = yield from _left(here, living)
    begun = Cursor(here.first or clock, clock or here.since, tuple(living), tuple(todo))
    return (yield from _some(settings, begun, list(living.values())))


def reread(settings: Any, names: Sequence[str]) -> Flow[Reread]:
    """How those of these orders stand that are in no list, and which of them the portal does not have. It is
    believed only while it shows another order by its id: else it may be the call that it does not know."""
    listed: dict[str, None] = {}
    for status in (*LIVING, *GONE, *AT_REST):
        answer = yield from ask(Request("GET", f"/api/orders/{status}/list", repeatable=True))
        if not (status in UNSURE and answer.status in (400, 404)):
            listed |= dict.fromkeys(_names(expect(answer), answer))
    found: list[Order] = []
    gone: list[str] = []
    for name in (one for one in dict.fromkeys(names) if one not in listed):
        answer = yield from ask(Request("GET", f"/api/order/{quote(name, safe='')}", repeatable=True))
        if answer.status == 404 and isinstance(answer.json(), Mapping):
            gone.append(name)
        else:
            row = expect(answer)
            found.append(_order(settings, row, need_text(row, "status")))
    known = next(iter(listed), None)
    if gone and not found and not (known and (yield from _fetched(settings, known))):
        return Reread()
    return Reread(tuple(found), tuple(gone))


def _some(settings: Any, here: Cursor, found: list[Order]) -> Flow[Orders]:
    """What was found, with some of the orders that are to be fetched."""
    for name in here.todo[:FETCHES]:
        fetched = yield from _fetched(settings, name)
        found = [*found, *fetched]
        # Sent back to a draft, an order may come again.
        waiting = tuple(order.id for order in fetched if not order.holds and order.id not in here.open)
        here = msgspec.structs.replace(here, open=(*here.open, *waiting))
    here = msgspec.structs.replace(here, todo=here.todo[FETCHES:])
    return _result(found, here, more=bool(here.todo))


def _result(found: list[Order], cursor: Cursor, more: bool = False) -> Orders:
    ordered = tuple(sorted(found, key=lambda order: order.updated))
    return Orders(ordered, msgspec.json.encode(cursor).decode(), more)


def _listed(answer: Response, status: str) -> list[Mapping[str, Any]]:
    """The orders of a status. Raises Failed."""
    if status == MAYBE_UNKNOWN and answer.status in (400, 404):
        return []
    return need_rows(expect(answer))


def _left(here: Cursor, living: Mapping[str, Order]) -> Flow[list[str]]:
    """The orders that were open and are no longer, and those that came and went in between: their ids tell
    when they were made. Raises Failed."""
    left = dict.fromkeys(name for name in here.open if name not in living)
    if not here.first:
        # We do not know what was before us, and that is not ours to count.
        return list(left)
    begin = max(here.first, here.since - OVERLAP)
    for status in GONE:
        answer = yield from ask(Request("GET", f"/api/orders/{status}/list", repeatable=True))
        for name in _names(expect(answer), answer):
            if name not in living and made_at(name) >= begin:
                left.setdefault(name)
    return list(left)


def _names(found: Any, answer: Response) -> list[str]:
    """The ids of a list: as texts, or in objects. Raises Failed."""
    need_rows(found)
    return [name for row in found if (name := text(row) or text(row, "_id"))]


def made_at(name: str) -> int:
    """When an order was made, in seconds since 1970: the first half of such an id says so."""
    if len(name) != OBJECT_ID or not set(name) <= set(string.hexdigits):
        return 0
    return int(name[:8], 16)


def _fetched(settings: Any, name: str) -> Flow[list[Order]]:
    """An order by its id; none when it has been deleted. Raises Failed."""
    answer = yield from ask(Request("GET", f"/api/order/{quote(name, safe='')}", repeatable=True))
    if answer.status == 404:
        return []
    found = expect(answer)
    return [_order(settings, found, need_text(found, "status"))]


def _order(settings: Any, row: Mapping[str, Any], status: str) -> Order:
    said = text(row, "status") or status
    lines = [
        _line(settings, line, size, said)
        for line in rows(row, "line_items")
        for size in rows(line, "sizes")
        # What is made to order leaves no shelf until it is sent.
        if line.get("prebook") is not True or said == "shipped"
    ]
    updated = moment(row, "modified_on") or moment(row, "created_on")
    return Order(
        need_text(row, "_id"),
        need_moment(updated),
        tuple(lines),
        name=text(row, "order_number") or "",
        holds=said not in UNCOUNTED,
    )


def _line(settings: Any, line: Mapping[str, Any], size: Mapping[str, Any], status: str) -> OrderLine:
    """A size of a line. Orders name it by product and size, and not by the id that stock is kept under."""
    product, name = text(line, "product", "_id") or "", text(size, "size") or ""
    where = text(line, "warehouse")
    count = units(size, "quantity")
    return OrderLine(
        f"{text(line, 'id') or product}:{name}",
        {"product": product, "size": name},
        text(size, settings.sku_field) or text(size, "upc"),
        count,
        count if status == "cancelled" else 0,
        count if status == "shipped" else 0,
        location=where if where in settings.warehouses else None,
    )
