"""Looks at Magento's products: source quantities, and what its open orders have reserved of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from onhand.connectors.flow import Failed, Flow, Page, Seen, Shown
from onhand.connectors.magento_calls import (
    SKUS_AT_ONCE,
    Settings,
    any_of,
    count,
    criteria,
    expected,
    get,
    sku_path,
)
from onhand.connectors.magento_legacy import shown_stock_item
from onhand.connectors.magento_salable import Stock, net, salable, stocks
from onhand.connectors.reading import ask, need_rows, need_text, text, whole

PAGE = SKUS_AT_ONCE
SOURCE_PAGE = 300
"""The largest page of a shop whose input limit is on."""
KINDS = "simple,virtual,downloadable"
IN_STOCK = 1
MOST_PAGES = 1_000
BEHIND = 600.0
"""Seconds for which what is salable may still be that of an old quantity: it is read from an index, which
many shops bring up to date by a clock or in a queue, some minutes later."""


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of products that have stock of their own. The cursor is the last product's id, for Magento
    answers a page number that is too high with its last page again; and the stocks of the shop, which are
    asked for once."""
    last, known = _read(cursor)
    groups = [[("type_id", "in", KINDS)], [("entity_id", "gt", last)]]
    fields = ("fields", "items[id,sku,name,type_id,status],total_count")
    query = (*criteria(groups, PAGE, sort="entity_id"), fields)
    listed = need_rows(expected((yield from ask(get("/V1/products", query)))), "items")
    if settings.stock == "stock_item":
        shown: Mapping[str, Sequence[Shown]] = yield from _stock_items(listed)
    else:
        shown, known = yield from _sources([need_text(row, "sku") for row in listed], known, settings)
    seen = tuple(_seen(row, shown.get(need_text(row, "sku").casefold(), ())) for row in listed)
    following = need_text(listed[-1], "id") if len(listed) >= PAGE else last
    behind = 0.0 if settings.stock == "stock_item" else BEHIND
    return Page(seen, _written(following, known) if following != last else None, behind)


def _read(cursor: str | None) -> tuple[str, Sequence[Stock]]:
    last, _, told = (cursor or "").partition("|")
    try:
        known = msgspec.json.decode(told or "[]", type=tuple[Stock, ...])
    except (msgspec.DecodeError, UnicodeEncodeError):
        known = ()
    return (last if last.isdigit() else "0"), known


def _written(last: str, known: Sequence[Stock]) -> str:
    return f"{last}|{msgspec.json.encode(known).decode()}" if known else last


def _seen(row: Mapping[str, Any], shown: Sequence[Shown]) -> Seen:
    sku = need_text(row, "sku")
    ids = {"product_id": need_text(row, "id"), "sku": sku}
    return Seen(ids, sku, tuple(shown), text(row, "name") or "", active=whole(row, "status") == IN_STOCK)


def _stock_items(listed: Sequence[Mapping[str, Any]]) -> Flow[Mapping[str, Sequence[Shown]]]:
    found: dict[str, Sequence[Shown]] = {}
    for row in listed:
        sku = need_text(row, "sku")
        answer = yield from ask(get(f"/V1/stockItems/{sku_path(sku)}"))
        if answer.status != 404:
            found[sku.casefold()] = (shown_stock_item(expected(answer)),)
    return found


def _sources(
    skus: Sequence[str], known: Sequence[Stock], settings: Settings
) -> Flow[tuple[Mapping[str, Sequence[Shown]], Sequence[Stock]]]:
    """By SKU in lower case: each source with what can be sold of it; and the stocks of the shop."""
    items: list[Mapping[str, Any]] = []
    for page in range(1, MOST_PAGES if skus else 1):
        query = criteria([any_of(skus)], SOURCE_PAGE, page, "source_item_id")
        found = expected((yield from ask(get("/V1/inventory/source-items", query))))
        more = need_rows(found, "items")
        items += more
        if not more or len(items) >= (whole(found, "total_count") or 0):
            break
    by_sku: dict[str, dict[str, int]] = {}
    for item in items:
        hands = by_sku.setdefault(need_text(item, "sku").casefold(), {})
        hands[need_text(item, "source_code")] = _hand(item)
    if not by_sku:
        return {}, known
    stocked = known or (yield from stocks(settings))
    sold = []
    for stock in stocked:
        here = [sku for sku in skus if any(map(stock.has, by_sku.get(sku.casefold(), ())))]
        sold.append((stock, (yield from salable(stock, here)) if here else {}))
    shown = {
        sku: net(hands, [(stock, quantities.get(sku)) for stock, quantities in sold])
        for sku, hands in by_sku.items()
    }
    return shown, stocked


def _hand(item: Mapping[str, Any]) -> int:
    """A source item that is marked out of stock counts for nothing, whatever its quantity."""
    hand = count(item, "quantity")
    if hand is None:
        raise Failed("the channel's answer is not as documented: a source item has no quantity", retry=True)
    return hand if whole(item, "status") == IN_STOCK else min(0, hand)
