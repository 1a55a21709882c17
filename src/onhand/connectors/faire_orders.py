"""Orders of a Faire brand since a moment, as snapshots; External API v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from onhand.connectors.flow import Flow, Order, OrderLine, Orders, Request, expect
from onhand.connectors.reading import iso, moment, need_rows, need_text, rows, said_at, text, units
from onhand.connectors.walking import OVERLAP, given_at, need_moment, still_open, turned

PAGE = 50
GONE = {"PRE_TRANSIT", "IN_TRANSIT", "DELIVERED"}
OFF = {"CANCELED", "CANCELLED"}


class Cursor(NamedTuple):
    """Where a poll stands. ``since`` is None while a new connection looks for open orders; ``high`` is
    where the next round begins (both microseconds UTC); ``after`` is Faire's own cursor within a round, which
    was ``given`` at that moment of its clock."""

    since: int | None
    high: int
    after: str | None = None
    given: str = ""

    def write(self) -> str:
        """As text."""
        since = "" if self.since is None else self.since
        return f"more|{since}|{self.high}|{self.given}|{self.after or ''}"


def read(cursor: str | None) -> Cursor:
    """A round that is under way, a plain moment, or the opening."""
    match (cursor or "").split("|", 4):
        case ["more", since, high, given, after] if high.isdigit():
            return Cursor(int(since) if since.isdigit() else None, int(high), after or None, given)
        case [plain] if (when := moment(plain)) is not None:
            return Cursor(max(0, when - OVERLAP), max(0, when))
        case _:
            return Cursor(None, 0)


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time; without one the open ones among all."""
    here = read(cursor)
    answer, page = yield from turned(
        lambda page: _page(here._replace(after=page or None)), here.after or "", here.given
    )
    here = here._replace(after=page or None)
    found = expect(answer)
    listed = need_rows(found, "orders")
    seen = [_order(row) for row in listed]
    high = max((here.high, *(order.updated for order in seen)))
    if here.since is not None and (here.given if here.after else said_at(answer)):
        # What changes again while later pages are read is behind the latest change that they show.
        high = here.high if here.after else max(here.high, said_at(answer) or 0)
    elif here.since is None:
        # Also after the round has begun again: what left meanwhile may have been seen before.
        high = here.high or said_at(answer) or 0
    kept = tuple(order for order in seen if here.since is not None or still_open(order.lines))
    after = text(found, "cursor")
    if listed and after and after != here.after:
        given = given_at(answer)
        return Orders(kept, Cursor(here.since, high, after, given).write(), more=True)
    return Orders(kept, iso(high))


def _page(here: Cursor) -> Request:
    """Faire's cursor stands alone: it remembers what was asked for."""
    query: tuple[tuple[str, str], ...] = (("limit", str(PAGE)),)
    if here.after:
        query = (("cursor", here.after),)
    elif here.since is not None:
        query = (*query, ("updated_at_min", iso(here.since)))
    return Request("GET", "/orders", query, limit="read", repeatable=True)


def _order(row: Mapping[str, Any]) -> Order:
    name = need_text(row, "id")
    state = text(row, "state") or ""
    lines = tuple(_line(item, state) for item in rows(row, "items"))
    changed = moment(row, "updated_at")
    return Order(name, need_moment(changed), lines, name=text(row, "display_id") or name)


def _line(item: Mapping[str, Any], state: str) -> OrderLine:
    """Counts are single units, also of what is sold by the case."""
    ordered = units(item, "quantity")
    own = text(item, "state") or ""
    off = state in OFF or own in OFF
    shipped = ordered if state in GONE and not off else 0
    named = {name: text(item, name) for name in ("variant_id", "product_id")}
    ids = {name: value for name, value in named.items() if value}
    return OrderLine(need_text(item, "id"), ids, text(item, "sku"), ordered, ordered if off else 0, shipped)
