"""Orders of a Shopify shop, since a moment or by their ids, as snapshots; GraphQL Admin API 2026-10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onhand.connectors.flow import Failed, Flow, Order, OrderLine, Orders, Reread
from onhand.connectors.reading import ask, at, iso, moment, need_rows, need_text, rows, text, units
from onhand.connectors.shopify_graphql import (
    LINES,
    NAMED_ORDERS,
    ORDERS,
    PAGE_COST,
    TOO_DEAR,
    data,
    fault,
    fitting,
    next_after,
    nodes,
    request,
    sized,
)
from onhand.connectors.shopify_history import History, history
from onhand.connectors.walking import given_at, outlived

PAGE = 20
LINE_PAGE = 100
SHIPMENTS = 5
"""As many are asked for with an order."""
OVERLAP = 120_000_000
"""Microseconds that a poll looks back: Shopify's search index lags."""
BEGINNING = "1970-01-01T00:00:00Z"
ALL_ORDERS = "read_all_orders"
"""Without this scope an order is hidden when it is older than sixty days."""


class Cursor(NamedTuple):
    """Where a poll stands: ``since`` is None while the open orders of a new connection are read; ``high``
    is the moment from which the next poll goes on; ``began`` when this one did, by Shopify's clock; ``after``
    the page, ``given`` at that moment."""

    since: str | None
    high: str = BEGINNING
    size: int = PAGE
    began: str = ""
    given: str = ""
    after: str | None = None

    def write(self) -> str:
        """As text."""
        since, after = self.since or "", self.after or ""
        return "|".join((since, self.high, str(self.size), self.began, self.given, after))

    def anew(self) -> Cursor:
        """The poll without its page. What has been read of the changed orders, oldest change first, stays
        read."""
        return Cursor(self.since and self.high, self.high, self.size)


def read_cursor(told: str | None) -> Cursor:
    """The cursor of `Cursor.write`, a plain moment, or the beginning of a connection."""
    match (told or "").split("|", 5):
        case [since, high, size, *times, after] if size.isdecimal() and len(times) in (0, 2):
            began, given = times or ("", "")
            return Cursor(since or None, high, int(size), began, given, after or None)
        case [since, *_]:
            return Cursor(since or None, since or BEGINNING)
        case _:
            return Cursor(None)


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time. Without one: those that are open, so that units
    which Shopify has promised already are known; then what changed after this first look."""
    here = read_cursor(cursor)
    query = f"updated_at:>='{_behind(here.since)}'" if here.since else "status:open"
    answer, size = yield from fitting(ORDERS, {"after": here.after, "query": query}, here.size)
    try:
        found = data(answer)
    except Failed as failed:
        if not here.after or failed.retry or failed.login or not outlived(here.given, answer):
            raise
        return Orders((), here.anew().write(), more=True)
    seen = []
    for row in need_rows(found, "orders", "nodes"):
        seen.append((yield from _order(row)))
    now = given_at(answer)
    here = _reached(here, now, seen)
    kept = [order for order in seen if here.since or _open(order)]
    after = next_after(found, "orders")
    if after and after != here.after:
        here = here._replace(size=size, given=now, after=after)
        return Orders(tuple(kept), here.write(), more=True)
    return Orders(tuple(kept), here.high)


def _reached(here: Cursor, now: str, seen: Sequence[Order]) -> Cursor:
    """The cursor with where the next poll begins: at the last change that was seen, but not after the
    beginning of this one. On a long way what the index shows late lies behind us already."""
    if here.since:
        here = here._replace(began=here.began or now)
        last = max((iso(order.updated) for order in seen), default="")
        return here._replace(high=max(here.high, min(last, here.began or last)))
    return here._replace(high=now or BEGINNING) if here.high == BEGINNING else here


def _behind(since: str) -> str:
    when = moment(since)
    return iso(max(0, when - OVERLAP)) if when is not None else BEGINNING


def _open(order: Order) -> bool:
    return any(line.ordered > line.cancelled + line.shipped for line in order.lines)


def _order(row: Mapping[str, Any]) -> Flow[Order]:
    """A snapshot; long orders and refunds after shipping take calls of their own."""
    name = need_text(row, "id")
    lines = nodes(row, "lineItems")
    after = next_after(row, "lineItems")
    while after:
        found, _, _ = yield from sized(LINES, {"id": name, "after": after}, LINE_PAGE)
        lines += nodes(found, "order", "lineItems")
        after = next_after(found, "order", "lineItems")
    told = None
    if any(_reduced(line) for line in lines):
        told = yield from history(name)
    cancelled = text(row, "cancelledAt") is not None
    return Order(
        name,
        moment(row, "updatedAt") or 0,
        tuple(_line(line, cancelled, told) for line in lines),
        name=text(row, "name") or "",
        holds=row.get("confirmed") is not False,
        test=row.get("test") is True,
        sent=_sent(row),
    )


def _sent(row: Mapping[str, Any]) -> int | None:
    """When the last shipment was made; None where there may be more than were asked for."""
    times = [moment(parcel, "createdAt") for parcel in rows(row, "fulfillments")]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) < SHIPMENTS else None


def _gone(line: Mapping[str, Any]) -> int:
    """Units that were taken off the line, shipped or not: ``quantity`` never falls, the other does."""
    return max(0, units(line, "quantity") - units(line, "currentQuantity"))


def _reduced(line: Mapping[str, Any]) -> bool:
    """Whether units were taken off the line: its own counts do not say then what had left the house."""
    return bool(_gone(line) or units(line, "nonFulfillableQuantity"))


def _line(line: Mapping[str, Any], cancelled: bool, told: History | None) -> OrderLine:
    """What is not waiting has been shipped, unless units were taken off: then the order's history tells.
    Where that is too long to be read, what it may have shipped is not let go."""
    name, ordered = need_text(line, "id"), units(line, "quantity")
    waiting = units(line, "unfulfilledQuantity")
    shipped, returned, known = ordered - waiting, 0, True
    if told and _reduced(line):
        shipped, returned, known = told.shipped.get(name, 0), told.returned.get(name, 0), told.whole
    shipped = max(0, min(shipped, ordered))
    off = min(_gone(line), max(0, ordered - shipped - waiting)) if known else 0
    off = ordered - shipped if cancelled else off
    item, variant = text(line, "variant", "inventoryItem", "id"), text(line, "variant", "id")
    ids = {kind: value for kind, value in (("inventory_item", item), ("variant", variant)) if value}
    return OrderLine(name, ids, text(line, "sku"), ordered, off, shipped, min(returned, shipped))


# --- by id ----------------------------------------------------------------------------------------------


def reread(settings: Any, names: Sequence[str]) -> Flow[Reread]:
    """How these orders stand now. One that comes back as null is gone where the app may see all orders; else
    it may be hidden."""
    found: list[Order] = []
    gone: list[str] = []
    waiting = [list(names[start : start + PAGE]) for start in range(0, len(names), PAGE)]
    while waiting:
        some = waiting.pop(0)
        answer = yield from ask(request(NAMED_ORDERS, {"ids": some}, PAGE_COST))
        wrong = fault(answer)
        if wrong and wrong.code == TOO_DEAR and len(some) > 1:
            waiting[:0] = [some[: len(some) // 2], some[len(some) // 2 :]]
            continue
        told = data(answer)
        listed = at(told, "nodes")
        if not isinstance(listed, list) or len(listed) != len(some):
            raise Failed(
                "the channel's answer is not as documented: it is not about these orders", retry=True
            )
        for row in rows(told, "nodes"):
            found.append((yield from _order(row)))
        scopes = need_rows(told, "currentAppInstallation", "accessScopes")
        if ALL_ORDERS in {text(scope, "handle") for scope in scopes}:
            gone += [name for name, row in zip(some, listed, strict=True) if row is None]
    return Reread(tuple(found), tuple(gone))
