"""Wix catalogue V1: a product's variants are set together, and so is whether they are tracked at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

import msgspec

from onhand.connectors.flow import (
    Accepted,
    Flow,
    Later,
    Page,
    Rejected,
    Request,
    Response,
    Seen,
    Shown,
    Target,
    Unsure,
    Verdict,
    expect,
)
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text, whole
from onhand.connectors.wix_calls import LARGEST, SIMPLE, V1, post, refused, words

PAGE = 100

Verdicts: TypeAlias = dict[int, Verdict]


def push(targets: Mapping[int, Target]) -> Flow[Verdicts]:
    """A call for each product; when Wix is away, shut or full the rest waits."""
    verdicts: Verdicts = {
        index: Rejected(target, "catalogue V1 has no locations: a variant has one number")
        for index, target in targets.items()
        if len(target.slots) != 1
    }
    for group in _grouped({i: t for i, t in targets.items() if i not in verdicts}):
        answer = yield from ask(_patch(group))
        verdicts |= _judged(group, answer)
        if answer.silent or answer.status in (401, 403, 429):
            rest = {i: Later(t, answer.words) for i, t in targets.items() if i not in verdicts}
            return verdicts | rest
    return verdicts


def _grouped(targets: Mapping[int, Target]) -> list[dict[int, Target]]:
    """The targets by product, each variant once in a group."""
    groups: dict[tuple[str, int], dict[int, Target]] = {}
    for index, target in targets.items():
        turn = 0
        while any(
            _variant(t) == _variant(target) for t in groups.get((target.ids["product"], turn), {}).values()
        ):
            turn += 1
        groups.setdefault((target.ids["product"], turn), {})[index] = target
    return list(groups.values())


def _variant(target: Target) -> str:
    return target.ids.get("variant") or SIMPLE


def _patch(group: Mapping[int, Target]) -> Request:
    product = next(iter(group.values())).ids["product"]
    variants = [
        {"variantId": _variant(target), "quantity": max(0, min(target.slots[0].offer, LARGEST))}
        for target in group.values()
    ]
    # Left out, it means false, and the whole product is no longer tracked.
    body = {"inventoryItem": {"trackQuantity": True, "variants": variants}}
    path = f"/stores/v2/inventoryItems/product/{quote(product, safe='')}"
    return Request("PATCH", path, json=body, repeatable=True)


def _judged(group: Mapping[int, Target], answer: Response) -> Verdicts:
    """A success is an empty object; there is no word on single variants."""
    mine = list(group.values())
    if answer.ok and (not answer.body or isinstance(answer.json(), Mapping)):
        return {index: Accepted(target) for index, target in group.items()}
    if answer.ok:
        return {index: Unsure(target, answer.words) for index, target in group.items()}
    if answer.status == 404 and answer.page:
        # A gateway's page and not Wix's word on the product.
        return {index: Later(target, answer.words) for index, target in group.items()}
    if answer.status == 404:
        return {index: Rejected(target, words(answer), "404") for index, target in group.items()}
    return dict(zip(group, refused(mine, answer), strict=True))


# --- looking --------------------------------------------------------------------------------------------


def pull(cursor: str | None) -> Flow[Page]:
    """A page of products. It goes on by number and not by offset: Wix ends a list at ten thousand. These
    numbers have sixteen digits."""
    after = int(cursor) if cursor and cursor.isascii() and cursor.isdigit() else 0
    query = {
        "paging": {"limit": PAGE},
        "filter": _text({"numericId": {"$gt": after}}),
        "sort": _text([{"numericId": "asc"}]),
    }
    page = expect((yield from ask(post("/stores-reader/v2/inventoryItems/query", {"query": query}))))
    items = need_rows(page, "inventoryItems")
    products = (yield from _products([need_text(row, "productId") for row in items])) if items else {}
    seen: list[Seen] = []
    for row in items:
        product = products.get(need_text(row, "productId"), {})
        seen += [_seen(row, variant, product) for variant in rows(row, "variants")]
    last = need_text(items[-1], "numericId") if len(items) == PAGE else None
    return Page(tuple(seen), last if last != cursor else None)


def _text(value: Any) -> str:
    """Filters and sortings are JSON inside a text here."""
    return msgspec.json.encode(value).decode()


def _products(names: list[str]) -> Flow[dict[str, Mapping[str, Any]]]:
    """Products by id, with variants: the stock records have no SKU."""
    query = {"paging": {"limit": PAGE}, "filter": _text({"id": {"$hasSome": names}})}
    body = {"query": query, "includeVariants": True, "includeHiddenProducts": True}
    found = expect((yield from ask(post("/stores/v1/products/query", body))))
    return {need_text(row, "id"): row for row in need_rows(found, "products")}


def _seen(row: Mapping[str, Any], variant: Mapping[str, Any], product: Mapping[str, Any]) -> Seen:
    name = text(variant, "variantId") or SIMPLE
    own = next((v for v in rows(product, "variants") if text(v, "id") == name), {})
    tracked = row.get("trackQuantity") is not False
    return Seen(
        {"catalog": V1, "product": need_text(row, "productId"), "variant": name},
        text(own, "variant", "sku") or text(product, "sku"),
        (Shown(whole(variant, "quantity") if tracked else None),),
        title=" - ".join(filter(None, (text(product, "name"), _choices(own)))),
        active=product.get("visible") is not False,
    )


def _choices(variant: Mapping[str, Any]) -> str:
    chosen = at(variant, "choices")
    return ", ".join(str(value) for value in chosen.values()) if isinstance(chosen, Mapping) else ""
