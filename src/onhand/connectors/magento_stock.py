"""Looks at Magento's products: source quantities, and what its open orders have reserved of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

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
from onhand.connectors.reading import ask, need_rows, need_text, rows, text, whole

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
    """A page of products that have stock of their own. The cursor is the last product's id: Magento answers
    a page number that is too high with its last page again."""
    last = cursor if cursor and cursor.isdigit() else "0"
    groups = [[("type_id", "in", KINDS)], [("entity_id", "gt", last)]]
    fields = ("fields", "items[id,sku,name,type_id,status],total_count")
    query = (*criteria(groups, PAGE, sort="entity_id"), fields)
    listed = need_rows(expected((yield from ask(get("/V1/products", query)))), "items")
    if settings.stock == "stock_item":
        shown = yield from _stock_items(listed)
    else:
        shown = yield from _sources(settings, [need_text(row, "sku") for row in listed])
    seen = tuple(_seen(row, shown.get(need_text(row, "sku").casefold(), ())) for row in listed)
    following = need_text(listed[-1], "id") if len(listed) >= PAGE else None
    behind = 0.0 if settings.stock == "stock_item" else BEHIND
    return Page(seen, following if following != cursor else None, behind)


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


def _sources(settings: Settings, skus: Sequence[str]) -> Flow[Mapping[str, Sequence[Shown]]]:
    """By SKU in lower case: each source with what can be sold of it."""
    if not skus:
        return {}
    items: list[Mapping[str, Any]] = []
    for page in range(1, MOST_PAGES):
        query = criteria([any_of(skus)], SOURCE_PAGE, page, "source_item_id")
        found = expected((yield from ask(get("/V1/inventory/source-items", query))))
        more = need_rows(found, "items")
        items += more
        if not more or len(items) >= (whole(found, "total_count") or 0):
            break
    salable = yield from _salable(settings, skus)
    by_sku: dict[str, list[Mapping[str, Any]]] = {}
    for item in items:
        by_sku.setdefault(need_text(item, "sku").casefold(), []).append(item)
    return {sku: _net(listed, salable.get(sku)) for sku, listed in by_sku.items()}


def _salable(settings: Settings, skus: Sequence[str]) -> Flow[Mapping[str, int]]:
    """What the shop itself calculates that it can sell; one by one where it has no list of it."""
    path = f"/V1/inventory/export-stock-salable-qty/website/{quote(settings.website, safe='')}"
    answer = yield from ask(get(path, criteria([any_of(skus)], len(skus))))
    found: dict[str, int] = {}
    if answer.status not in (400, 404):
        listed = expected(answer)
        for row in rows(listed) if isinstance(listed, list) else need_rows(listed, "items"):
            if (quantity := count(row, "qty")) is not None:
                found[need_text(row, "sku").casefold()] = quantity
        return found
    for sku in skus:
        one = f"/V1/inventory/get-product-salable-quantity/{sku_path(sku)}/{settings.stock_id}"
        answer = yield from ask(get(one))
        # 400 and 404 are of a product that the website does not sell.
        if answer.status not in (400, 404) and (quantity := count(expected(answer))) is not None:
            found[sku.casefold()] = quantity
    return found


def _net(items: Sequence[Mapping[str, Any]], salable: int | None) -> Sequence[Shown]:
    """Reservations are of the whole stock and not of a source: the fullest source is taken to bear them."""
    hands = [(need_text(item, "source_code"), _hand(item)) for item in items]
    hands.sort(key=lambda pair: (-pair[1], pair[0]))
    reserved = 0 if salable is None else max(0, sum(hand for _, hand in hands) - salable)
    found = []
    for n, (source, hand) in enumerate(hands):
        here = reserved if n == len(hands) - 1 else min(reserved, hand)
        found.append(Shown(hand - here, source, committed=here))
        reserved -= here
    return found


def _hand(item: Mapping[str, Any]) -> int:
    """A source item that is marked out of stock counts for nothing, whatever its quantity."""
    hand = count(item, "quantity")
    if hand is None:
        raise Failed("the channel's answer is not as documented: a source item has no quantity", retry=True)
    return hand if whole(item, "status") == IN_STOCK else min(0, hand)
