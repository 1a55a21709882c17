"""Receipts of an Etsy shop, since a moment or by their ids, as snapshots of orders; Open API v3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onhand.connectors.etsy_inventory import label
from onhand.connectors.flow import Flow, Order, OrderLine, Orders, Request, Reread, Response, expect
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text, units, whole
from onhand.connectors.walking import SECOND, need_moment, read, step, still_open

PAGE = 100
CANCELLED = "canceled"
REFUNDED = "fully refunded"
COMPLETED = "completed"
FEW = 10
"""So many receipts are asked for one by one; of more it would eat up the day's calls."""
CANCELLED_PAGES = 5
"""Pages of cancelled receipts, the newest first, that are looked through for others."""


def orders(settings: Any, cursor: str | None) -> Flow[Orders]:
    """Receipts changed since the cursor, a page at a time; without one those that are not shipped."""
    walk = read(cursor)
    query = [("sort_on", "updated"), ("sort_order", "asc"), ("limit", str(PAGE))]
    query.append(("offset", str((walk.page - 1) * PAGE)))
    if walk.asked_from is not None:
        query.append(("min_last_modified", str(walk.asked_from // SECOND)))
    if walk.opening:
        query.append(("was_shipped", "false"))
    path = f"/shops/{settings.shop_id}/receipts"
    answer = yield from ask(Request("GET", path, tuple(query), repeatable=True))
    listed = need_rows(expect(answer), "results")
    seen = [_order(row) for row in listed]
    following, more = step(walk, [order.updated for order in seen], len(listed) >= PAGE, answer)
    kept = [order for order in seen if not walk.opening or still_open(order.lines)]
    return Orders(tuple(kept), following, more)


# --- by id ----------------------------------------------------------------------------------------------


def reread(settings: Any, names: Sequence[str]) -> Flow[Reread]:
    """How these receipts stand now. Etsy's list of those that changed leaves out what was cancelled since, so
    its units would stay taken. A few are asked for by their ids, many are looked for among the cancelled."""
    wanted = [name for name in dict.fromkeys(names) if name.isascii() and name.isdigit()]
    path = f"/shops/{settings.shop_id}/receipts"
    if len(wanted) > FEW:
        return (yield from _cancelled(path, set(wanted)))
    found: list[Order] = []
    gone: list[str] = []
    for name in wanted:
        answer = yield from ask(Request("GET", f"{path}/{name}", repeatable=True))
        if _denied(answer):
            gone.append(name)
        else:
            row = expect(answer)
            found += [_order(row)] if text(row, "receipt_id") == name else []
    return Reread(tuple(found), tuple(gone))


def _cancelled(path: str, wanted: set[str]) -> Flow[Reread]:
    query = (("was_canceled", "true"), ("sort_on", "updated"), ("sort_order", "desc"), ("limit", str(PAGE)))
    found: dict[str, Order] = {}
    for page in range(CANCELLED_PAGES):
        here = (*query, ("offset", str(page * PAGE)))
        listed = need_rows(expect((yield from ask(Request("GET", path, here, repeatable=True)))), "results")
        found |= {order.id: order for order in map(_order, listed) if order.id in wanted}
        if len(listed) < PAGE or len(found) == len(wanted):
            break
    return Reread(tuple(found.values()))


def _denied(answer: Response) -> bool:
    """Whether there is no such receipt; that there is no such path has other words."""
    return answer.status == 404 and "receipt" in (text(answer.json(), "error") or "").casefold()


# --- snapshots ------------------------------------------------------------------------------------------


def _order(row: Mapping[str, Any]) -> Order:
    name = need_text(row, "receipt_id")
    changed = whole(row, "updated_timestamp") or whole(row, "update_timestamp")
    told = [line for line in rows(row, "transactions") if line.get("is_digital") is not True]
    left = [whole(line, "shipped_timestamp") for line in told]
    last = max((when for when in left if when is not None), default=None)
    return Order(
        name,
        need_moment(changed and changed * SECOND),
        tuple(_line(row, line) for line in told),
        name=name,
        sent=None if None in left or last is None else last * SECOND,
    )


def _line(receipt: Mapping[str, Any], row: Mapping[str, Any]) -> OrderLine:
    """A transaction. Part of a refund names no line, so it changes nothing; and a refund never says that
    goods came back."""
    ordered = units(row, "quantity")
    status = (text(receipt, "status") or "").casefold()
    sent = at(receipt, "is_shipped") is True or status == COMPLETED
    sent = sent or whole(row, "shipped_timestamp") is not None
    shipped = ordered if sent and status != CANCELLED else 0
    cancelled = ordered - shipped if status in (CANCELLED, REFUNDED) else 0
    ids = {name: value for name in ("listing_id", "product_id") if (value := text(row, name))}
    varied = [
        (whole(each, "property_id") or 0, (choice,))
        for each in rows(row, "variations")
        # A personal text of the buyer stands among the variations, without a value's id.
        if (choice := text(each, "value_id"))
    ]
    if varied:
        ids["variation"] = label(tuple(sorted(varied)))
    return OrderLine(need_text(row, "transaction_id"), ids, text(row, "sku"), ordered, cancelled, shipped)
