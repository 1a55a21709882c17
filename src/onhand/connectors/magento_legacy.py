"""Tells Magento shops without inventory sources: the one stock item that a product has there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from onhand.connectors.flow import (
    Accepted,
    Flow,
    Later,
    Rejected,
    Request,
    Response,
    Shown,
    Target,
    Unsure,
    Verdict,
    for_all,
    retry_after,
)
from onhand.connectors.magento_calls import count, get, sku_path, words
from onhand.connectors.reading import ask, at, text, whole

LARGEST = 99_999_999
NOT_MANAGED = "the shop does not manage the stock of this product, so it sells freely"
AWAY = {0, 401, 408, 425, 429, 502, 503, 504}
"""Answers that hold for every other product too."""

Verdicts: TypeAlias = dict[int, Verdict]


def tell_stock_items(jobs: Sequence[tuple[int, Target, str]], *, backorders: bool = False) -> Flow[Verdicts]:
    """Read each stock item and send it back with another quantity, because most of its fields are required.
    Here an order lowers the quantity at once, so open orders are not added. With ``backorders`` a product
    stays in stock at 0."""
    verdicts: Verdicts = {}
    away: Response | None = None
    for place, target, sku in jobs:
        if away is not None:
            verdicts[place] = Later(target, f"not sent after: {away.words}", retry_after(away))
            continue
        answer = yield from ask(get(f"/V1/stockItems/{sku_path(sku)}"))
        item, name = answer.json(), text(answer.json(), "item_id")
        if not answer.ok or name is None:
            verdicts[place] = _refused(target, answer)
        elif at(item, "manage_stock") is False:
            infinite = target.slots[0].infinite
            verdicts[place] = Accepted(target) if infinite else Rejected(target, NOT_MANAGED)
        else:
            answer = yield from ask(_write(sku, name, item, target.slots[0].offer, backorders))
            taken = answer.ok and whole(answer.json()) is not None
            verdicts[place] = Accepted(target) if taken else _refused(target, answer)
        away = answer if answer.status in AWAY else None
    return verdicts


def _write(sku: str, name: str, item: Mapping[str, Any], offer: int, backorders: bool) -> Request:
    quantity = min(LARGEST, max(0, offer))
    kept = {key: value for key, value in item.items() if key != "extension_attributes"}
    body = {"stockItem": {**kept, "qty": quantity, "is_in_stock": quantity > 0 or backorders}}
    return Request("PUT", f"/V1/products/{sku_path(sku)}/stockItems/{name}", json=body)


def _refused(target: Target, answer: Response) -> Verdict:
    if answer.ok:
        return Unsure(target, words(answer))
    if answer.status in (400, 404, 422):
        return Rejected(target, words(answer), str(answer.status))
    if 400 <= answer.status < 500:
        return Later(target, words(answer), retry_after(answer))
    return for_all([target], answer)[0]


def shown_stock_item(item: Any) -> Shown:
    """What the stock item says; None where the shop does not manage it."""
    return Shown(None if at(item, "manage_stock") is False else count(item, "qty"))
