"""Orders of a Magento shop, since a moment or by their ids, as snapshots; their counts alone, no names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from onhand.connectors.flow import Failed, Flow, Order, OrderLine, Orders, Reread, Response
from onhand.connectors.magento_calls import Settings, criteria, expected, get
from onhand.connectors.reading import ask, at, iso, moment, need_rows, need_text, text, whole
from onhand.connectors.walking import APART, need_moment, read, step, still_open

PAGE = 100
OPEN = "new,pending_payment,processing,holded,payment_review"
ENDED = {"complete", "closed", "canceled"}
PARENTS = {"configurable", "bundle"}
COUNTS = ("qty_ordered", "qty_canceled", "qty_refunded", "qty_shipped", "qty_invoiced", "qty_returned")
LINE = f"item_id,parent_item_id,sku,product_id,product_type,is_virtual,{','.join(COUNTS)}"
ORDER = f"entity_id,increment_id,state,updated_at,items[{LINE}]"
FIELDS = f"items[{ORDER}],total_count"


def orders(settings: Settings, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor, a page at a time; without one those that are open."""
    walk = read(cursor)
    groups = [[("state", "in", OPEN)]] if walk.opening else []
    if walk.since is not None:
        since = iso(walk.since).replace("T", " ").removesuffix("Z")
        groups.append([("updated_at", "gteq", since)])
    # Orders of one second would come in no order of their own, another on each page.
    query = (*criteria(groups, PAGE, walk.page, "updated_at entity_id"), ("fields", FIELDS))
    answer = yield from ask(get("/V1/orders", query))
    found = expected(answer)
    listed = need_rows(found, "items")
    seen = [_order(row) for row in listed]
    # A page number that is too high brings the last page again, so the total decides.
    full = walk.page * PAGE < (whole(found, "total_count") or 0)
    following, more = step(walk, [order.updated for order in seen], full, answer, APART)
    kept = [order for order in seen if not walk.opening or still_open(order.lines)]
    return Orders(tuple(kept), following, more)


# --- by id ----------------------------------------------------------------------------------------------


def reread(settings: Settings, names: Sequence[str]) -> Flow[Reread]:
    """How these orders stand now, and which the shop denies, one by one: some extension has deleted them."""
    found: list[Order] = []
    gone: list[str] = []
    wanted = [name for name in dict.fromkeys(names) if name.isascii() and name.isdigit()]
    for start in range(0, len(wanted), PAGE):
        some = wanted[start : start + PAGE]
        query = (*criteria([[("entity_id", "in", ",".join(some))]], PAGE), ("fields", FIELDS))
        answer = yield from ask(get("/V1/orders", query))
        listed = {text(row, "entity_id"): row for row in need_rows(expected(answer), "items")}
        for name in some:
            row = listed.get(name) or (yield from _one(name))
            if row is None:
                gone.append(name)
            else:
                found.append(_order(row))
    return Reread(tuple(found), tuple(gone))


def _one(name: str) -> Flow[Mapping[str, Any] | None]:
    """An order; None when the shop says that there is none. Raises Failed."""
    answer = yield from ask(get(f"/V1/orders/{name}", (("fields", ORDER),)))
    if _denied(answer):
        return None
    row = expected(answer)
    if not isinstance(row, Mapping) or text(row, "entity_id") != name:
        raise Failed("the channel's answer is not as documented: it is another order", retry=True)
    return row


def _denied(answer: Response) -> bool:
    """Whether there is no such order; that there is no such route is a gateway's or another module's word."""
    said = text(answer.json(), "message")
    return answer.status == 404 and said is not None and "route" not in said.casefold()


# --- snapshots ------------------------------------------------------------------------------------------


def _order(row: Mapping[str, Any]) -> Order:
    name = need_text(row, "entity_id")
    items = need_rows(row, "items")
    ended = text(row, "state") in ENDED
    changed = need_moment(moment(row, "updated_at"))
    return Order(name, changed, _lines(items, ended), name=text(row, "increment_id") or name)


def _lines(items: Sequence[Mapping[str, Any]], ended: bool) -> tuple[OrderLine, ...]:
    """What has stock: a configurable product and the variant chosen of it are two lines with one SKU."""
    parents = {text(item, "item_id"): item for item in items}
    return tuple(
        _line(item, parents.get(text(item, "parent_item_id")), ended)
        for item in items
        if text(item, "product_type") not in PARENTS and _count(item, "qty_ordered")
    )


def _count(item: Mapping[str, Any], name: str) -> int:
    """Units; Magento counts in decimals, and a part of a unit takes a whole one from the shelf."""
    match at(item, name):
        case bool():
            return 0
        case int() | float() as found if math.isfinite(found):
            return max(0, math.ceil(found))
        case _:
            return 0


def _counted(item: Mapping[str, Any], parent: Mapping[str, Any] | None, name: str) -> int:
    """What became of a line is often counted on its parent, in the parent's own units."""
    own = _count(item, name)
    many = _count(parent, "qty_ordered") if parent else 0
    if not parent or not many:
        return own
    return max(own, _count(parent, name) * _count(item, "qty_ordered") // many)


def _line(item: Mapping[str, Any], parent: Mapping[str, Any] | None, ended: bool) -> OrderLine:
    """A refund takes back what was not shipped. A virtual product has left when it is invoiced."""
    ordered = _count(item, "qty_ordered")
    virtual = text(item, "product_type") in ("virtual", "downloadable") or at(item, "is_virtual") in (
        1,
        "1",
        True,
    )
    left = _counted(item, parent, "qty_invoiced" if virtual else "qty_shipped")
    shipped = min(ordered, left)
    off = _counted(item, parent, "qty_canceled") + max(0, _counted(item, parent, "qty_refunded") - shipped)
    cancelled = ordered - shipped if ended else min(off, ordered - shipped)
    returned = min(shipped, _counted(item, parent, "qty_returned"))
    ids = {"product_id": name} if (name := text(item, "product_id")) else {}
    return OrderLine(
        need_text(item, "item_id"), ids, text(item, "sku"), ordered, cancelled, shipped, returned
    )
