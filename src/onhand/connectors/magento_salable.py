"""What a Magento shop can sell, stock by stock: which sources a stock has, and what open orders hold of them.

A website sells from one stock, and a stock from its own sources. What lies at a source of another stock, or
at one that is switched off, cannot be sold there: counted with the rest it would look like open orders, and
be added to the next number, and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from onhand.connectors.flow import Flow, Shown
from onhand.connectors.magento_calls import Settings, any_of, count, criteria, expected, get, sku_path
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text, whole

MOST_STOCKS = 100
UNKNOWN = (400, 404)
"""Of a product that a website does not sell, and of a shop that does not have the call."""


class Stock(msgspec.Struct, frozen=True):
    """A stock, and a website that sells from it. ``sources`` are the codes of those that count, None for all
    that the shop has."""

    website: str
    id: int
    sources: tuple[str, ...] | None = None

    def has(self, source: str) -> bool:
        """Whether a source is of this stock."""
        return self.sources is None or source in self.sources


def stocks(settings: Settings) -> Flow[list[Stock]]:
    """The stocks that websites sell from; where the shop does not tell, that of the settings with all
    sources. Raises Failed."""
    one = Stock(settings.website, settings.stock_id)
    answer = yield from ask(get("/V1/inventory/stocks", criteria([], MOST_STOCKS)))
    if answer.status in UNKNOWN:
        return [one]
    found: list[Stock] = []
    for row in need_rows(expected(answer), "items"):
        channels = rows(row, "extension_attributes", "sales_channels")
        websites = [text(each, "code") or "" for each in channels if text(each, "type") == "website"]
        number = whole(row, "stock_id")
        if number is not None and any(websites):
            website = one.website if one.website in websites else max(websites)
            sources = yield from _sources(number)
            if sources is None:
                return [one]
            found.append(Stock(website, number, sources))
    return found or [one]


def _sources(stock: int) -> Flow[tuple[str, ...] | None]:
    path = f"/V1/inventory/get-sources-assigned-to-stock-ordered-by-priority/{stock}"
    answer = yield from ask(get(path))
    if answer.status in UNKNOWN:
        return None
    listed = need_rows({"sources": expected(answer)}, "sources")
    return tuple(need_text(row, "source_code") for row in listed if at(row, "enabled") is not False)


def salable(stock: Stock, skus: Sequence[str]) -> Flow[Mapping[str, int]]:
    """What the shop itself calculates that it can sell from a stock, by SKU in lower case; one by one where
    it has no list of it. Raises Failed."""
    path = f"/V1/inventory/export-stock-salable-qty/website/{quote(stock.website, safe='')}"
    answer = yield from ask(get(path, criteria([any_of(skus)], len(skus))))
    found: dict[str, int] = {}
    if answer.status not in UNKNOWN:
        listed = expected(answer)
        for row in rows(listed) if isinstance(listed, list) else need_rows(listed, "items"):
            if (quantity := count(row, "qty")) is not None:
                found[need_text(row, "sku").casefold()] = quantity
        return found
    for sku in skus:
        one = f"/V1/inventory/get-product-salable-quantity/{sku_path(sku)}/{stock.id}"
        answer = yield from ask(get(one))
        if answer.status not in UNKNOWN and (quantity := count(expected(answer))) is not None:
            found[sku.casefold()] = quantity
    return found


def net(hands: Mapping[str, int], sold: Sequence[tuple[Stock, int | None]]) -> Sequence[Shown]:
    """The sources of a product with what can be sold of each. Reservations are of a stock and not of a
    source: the fullest is taken to bear them. ``sold`` is what can be sold from each stock, None where it
    does not say."""
    order = sorted(hands, key=lambda source: (-hands[source], source))
    held = dict.fromkeys(order, 0)
    for stock, quantity in sold:
        mine = [source for source in order if stock.has(source)]
        if quantity is None or not mine:
            continue
        reserved = max(0, sum(hands[source] for source in mine) - quantity)
        for source in mine[:-1]:
            here = min(reserved, max(0, hands[source] - held[source]))
            held[source] += here
            reserved -= here
        held[mine[-1]] += reserved
    return [Shown(hands[source] - held[source], source, committed=held[source]) for source in order]
