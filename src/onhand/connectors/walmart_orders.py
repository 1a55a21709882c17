"""Orders that a Walmart seller ships, since a moment, as snapshots; Orders API v3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from onhand.connectors.flow import Flow, Order, OrderLine, Orders, Pairs, Response, expect
from onhand.connectors.reading import ask, at, iso, moment, need_rows, need_text, rows, said_at, text, units
from onhand.connectors.walking import given_at, need_moment, still_open, turned
from onhand.connectors.walmart_calls import get, refusal, when

PAGE = 200
DAY = 86_400_000_000
OVERLAP = 900_000_000
"""Microseconds that a poll looks back: the list can not be sorted by change, so its pages may shift."""
WINDOW = 150 * DAY
"""How old an order may be that still changes. It must be told: otherwise only a week is searched; and a
window has 180 days at most."""
STAGES = ("Created", "Acknowledged")
"""States of lines that are still to be shipped."""
BAD_PAGE = frozenset({400})
NONE_FOUND = "CONTENT_NOT_FOUND"
SHIPPED = {"SHIPPED", "DELIVERED", "REFUND", "REFUNDED"}
"""States of units that have left. Walmart refunds only what was shipped; what is not is cancelled."""
CANCELLED = {"CANCELLED", "CANCELED"}
"""Its documents spell it both ways."""


class Cursor(NamedTuple):
    """``since`` is empty while a new connection reads what is still to be shipped, state by state
    (``stage``); ``high`` is where the next poll goes on, ``page`` Walmart's own cursor, which was ``given``
    at that moment of its clock."""

    since: str = ""
    high: str = ""
    stage: int = 0
    given: str = ""
    page: str = ""

    def write(self) -> str:
        """As text."""
        return "|".join(map(str, self))

    def after(self, page: str | None, given: str) -> Cursor | None:
        """Where this poll goes on; None when it is done."""
        if page and page != self.page:
            return self._replace(page=page, given=given)
        if not self.since and self.stage + 1 < len(STAGES):
            return self._replace(stage=self.stage + 1, page="", given="")
        return None


def read_cursor(told: str | None) -> Cursor:
    """The cursor of `Cursor.write`, a plain moment, or the beginning."""
    since, high, stage, given, page = [*(told or "").split("|", 4), "", "", "", ""][:5]
    return Cursor(since if moment(since) else "", high, min(units(stage), len(STAGES) - 1), given, page)


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """A page of orders. Without a cursor only those with something to ship: what left before we looked
    first is no longer in our stock."""
    here = read_cursor(cursor)
    if not here.high and not here.since:
        # A flow has no clock: Walmart's own says from when on the next poll has to ask.
        first = yield from ask(get("/v3/orders", (("limit", "1"),), "orders"))
        _listed(first)
        here = here._replace(high=iso(said_at(first) or 0))
    answer, page = yield from turned(
        lambda page: get("/v3/orders", _query(here._replace(page=page)), "orders"),
        here.page,
        here.given,
        BAD_PAGE,
    )
    here = here._replace(page=page)
    snapshots = [_order(row) for row in _listed(answer)]
    snapshots.sort(key=lambda order: order.updated)
    if here.since and not here.high:
        latest = max((order.updated for order in snapshots), default=0)
        here = here._replace(high=max(here.since, iso(said_at(answer) or latest)))
    kept = tuple(order for order in snapshots if here.since or still_open(order.lines))
    following = text(answer.json(), "list", "meta", "nextCursor") if snapshots else None
    then = here.after(following, given_at(answer))
    return Orders(kept, (then or Cursor(here.high)).write(), more=then is not None)


def _listed(answer: Response) -> list[Mapping[str, Any]]:
    """The orders of an answer; that there are none is told with a 404. Raises Failed."""
    if answer.status == 404 and refusal(answer)[1].startswith(NONE_FOUND):
        return []
    return need_rows(expect(answer), "list", "elements", "order")


def _query(here: Cursor) -> Pairs:
    """Walmart's cursor is a query of its own, to be used as it is."""
    if here.page:
        return tuple(parse_qsl(here.page.lstrip("?"), keep_blank_values=True))
    clock = moment(here.since or here.high) or 0
    shared = (("limit", str(PAGE)), ("shipNodeType", "SellerFulfilled"))
    created = (("createdStartDate", iso(clock - WINDOW)),) if clock > WINDOW else ()
    if here.since:
        return (*shared, *created, ("lastModifiedStartDate", iso(max(0, clock - OVERLAP))))
    return (*shared, *created, ("status", STAGES[here.stage]))


def _order(row: Mapping[str, Any]) -> Order:
    """A snapshot. The order itself has no time of change: that of its lines' last states is taken."""
    lines = rows(row, "orderLines", "orderLine") or rows(row, "orderLines")
    times = [when(row, "orderDate"), *(when(line, "statusDate") for line in lines)]
    updated = max((time for time in times if time is not None), default=None)
    where = text(row, "shipNode", "id")
    return Order(
        need_text(row, "purchaseOrderId"),
        need_moment(updated),
        tuple(_line(line, where) for line in lines),
        name=text(row, "customerOrderId") or "",
        sent=_sent(lines, times[0]),
    )


def _sent(lines: Sequence[Mapping[str, Any]], placed: int | None) -> int | None:
    """When the last parcel left. The seller says so, and may say no more than the day: not before the order
    was placed."""
    said = (when(state, "trackingInfo", "shipDateTime") for line in lines for state in _states(line))
    known = [time for time in said if time is not None]
    return max([*known, placed or 0]) if known else None


def _states(line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The states of a line's units."""
    listed = at(line, "orderLineStatuses", "orderLineStatus")
    return rows(listed) if isinstance(listed, list) else rows(line, "orderLineStatuses")


def _line(line: Mapping[str, Any], where: str | None) -> OrderLine:
    """Quantities come as texts, by state. A unit may stand in two states, as shipped and as refunded, and has
    left but once."""
    sku, ordered = text(line, "item", "sku"), units(line, "orderLineQuantity", "amount")
    counts: dict[str, int] = {}
    for row in _states(line):
        state = (text(row, "status") or "").upper()
        counts[state] = counts.get(state, 0) + units(row, "statusQuantity", "amount")
    cancelled, shipped = (sum(counts.get(one, 0) for one in states) for states in (CANCELLED, SHIPPED))
    cancelled = min(cancelled, ordered)
    return OrderLine(
        need_text(line, "lineNumber"),
        {"sku": sku} if sku else {},
        sku,
        ordered,
        cancelled,
        min(shipped, ordered - cancelled),
        location=where,
    )
