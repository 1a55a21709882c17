"""Orders of a Squarespace site since a moment, as snapshots; orders 1.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onhand.connectors.flow import Flow, Order, OrderLine, Orders, Request, expect
from onhand.connectors.reading import (
    EPOCH,
    MICROSECOND,
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
)

ORDERS = "/1.0/commerce/orders"
OVERLAP = 60_000_000
"""Microseconds that a poll of orders looks back behind the last change it saw."""
MILLISECOND = 1_000
BEGINNING = "1970-01-01T00:00:00Z"
END = "2199-12-31T00:00:00Z"
"""Both ends of a time box must be named, and a flow has no clock."""
STATES = "NOT_CHARGED,AUTHORIZED,PAID,REFUNDED,PENDING,FAILED,REFUND_PENDING,REFUND_FAILED,PARTIALLY_PAID"
"""All of them: left out, those not yet or no longer paid for would be missing."""


class Cursor(NamedTuple):
    """Where a poll stands: ``since`` is empty during the first look, ``high`` is where the next poll begins;
    ``after`` and ``before`` are the box that is still to be read, ``page`` is Squarespace's own cursor."""

    since: str
    high: str
    after: str = ""
    before: str = END
    page: str = ""

    def write(self) -> str:
        """As text."""
        return "|".join(self)


def read_cursor(told: str | None) -> Cursor:
    """The cursor of `Cursor.write`, a plain moment, or the beginning of a connection. One that cannot be read
    begins its poll anew."""
    since, *rest = (told or "").split("|", 4)
    if len(rest) == 4 and moment(rest[1]) is not None and moment(rest[2]) is not None:
        return Cursor(since, *rest)
    start = iso(max(0, (moment(since) or 0) - OVERLAP)) if since else BEGINNING
    return Cursor(since, since or BEGINNING, start)


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time. Without one: those not yet fulfilled, and from then
    on what changes."""
    here = read_cursor(cursor)
    answer = yield from ask(Request("GET", ORDERS, query=_query(here), repeatable=True))
    found = expect(answer)
    seen = tuple(_order(row) for row in listed(found, "result"))
    if not here.since and here.high == BEGINNING:
        now = said_at(answer)
        here = here._replace(high=iso(now) if now is not None else BEGINNING)
    if here.since:
        here = here._replace(high=max([here.high, *(iso(order.updated) for order in seen)]))
    if page := following(found):
        return Orders(seen, _narrowed(here, seen, page).write(), more=True)
    return Orders(seen, here.high)


def _query(here: Cursor) -> tuple[tuple[str, str], ...]:
    if here.page:
        return (("cursor", here.page),)
    box = ("modifiedAfter", here.after), ("modifiedBefore", here.before), ("paymentStates", STATES)
    return box if here.since else (*box, ("fulfillmentStatus", "PENDING"))


def _narrowed(here: Cursor, seen: Sequence[Order], page: str) -> Cursor:
    """What is still to be read: the box, from the last order of the page on.

    Squarespace's cursor is a position in a list by time of change, and an order that changes leaves its place
    to the next one. A box has no such places. Which end of the list comes first is not documented: both do.
    Only among orders of the same millisecond there is but the cursor.
    """
    first, last = (seen[0].updated, seen[-1].updated) if seen else (0, 0)
    box = (here.after, here.before)
    if first and last > first:
        box = (_exact(last - MILLISECOND), here.before)
    elif last and first > last:
        box = (here.after, _exact(last + 2 * MILLISECOND))
    if box == (here.after, here.before):
        return here._replace(page=page)
    return here._replace(after=box[0], before=box[1], page="")


def _exact(micros: int) -> str:
    """A moment in whole milliseconds, rounded down."""
    when = EPOCH + max(0, micros) * MICROSECOND
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def listed(found: Any, name: str) -> list[Mapping[str, Any]]:
    """A list that may be written as null when it is empty. Raises Failed when it is missing."""
    if isinstance(found, Mapping) and name in found and found[name] is None:
        return []
    return need_rows(found, name)


def following(found: Any) -> str | None:
    """Squarespace's cursor of the next page; None at the end."""
    page = at(found, "pagination")
    return text(page, "nextPageCursor") if at(page, "hasNextPage") is True else None


def _order(row: Mapping[str, Any]) -> Order:
    """Squarespace knows no parts of an order: all of it waits, is fulfilled or is cancelled."""
    gone = text(row, "fulfillmentStatus") == "FULFILLED" or text(row, "fulfilledOn") is not None
    off = text(row, "fulfillmentStatus") == "CANCELED" and not gone
    lines = []
    for place, line in enumerate(rows(row, "lineItems")):
        variant, sku, count = text(line, "variantId"), text(line, "sku"), units(line, "quantity")
        if not variant and not sku:
            continue  # a download or a donation: nothing in stock
        lines.append(
            OrderLine(
                text(line, "id") or f"line-{place}",
                {"variant": variant} if variant else {},
                sku,
                count,
                cancelled=count if off else 0,
                shipped=count if gone else 0,
            )
        )
    return Order(
        need_text(row, "id"),
        moment(row, "modifiedOn") or 0,
        tuple(lines),
        name=text(row, "orderNumber") or "",
        holds=text(row, "paymentState") != "FAILED",
        test=row.get("testmode") is True,
        sent=moment(row, "fulfilledOn") if gone else None,
    )
