"""Tells TikTok Shop quantities: a call for each product, every warehouse of a SKU in it; API 202309."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from onhand.connectors.flow import (
    OFF_SALE,
    Accepted,
    Failed,
    Flow,
    Later,
    Rejected,
    Response,
    Target,
    Unsure,
    Verdict,
    Whole,
    for_all,
    retry_after,
)
from onhand.connectors.reading import ask, at, need_rows, rows, text, units, whole
from onhand.connectors.tiktok_calls import (
    HOLD,
    call,
    cipher_of,
    code_of,
    data,
    is_crowded,
    is_fault,
    is_login,
)

PRODUCTS = 100
"""Products that one look at inventory takes at most."""
LARGEST = 99_999
ABOUT_IDS = {12019022, 12019059}
ABOUT_PRODUCT = {12019113, 12052048, 12052700}
"""A state or an owner of the product (or the seller) that forbids changes: all its SKUs are refused."""

Stock: TypeAlias = dict[str, dict[str, int]]
"""Units by warehouse, by SKU id: what TikTok shows for a product."""
Verdicts: TypeAlias = dict[int, Verdict]


class Job(NamedTuple):
    """A target at its place in the batch, and the numbers of all its SKU's warehouses."""

    place: int
    target: Target
    numbers: Mapping[str, int]

    @property
    def sku(self) -> str:
        """TikTok's id of the SKU."""
        return self.target.ids["sku"]


def push(settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Look at the products, then a call for each. The look is needed because a call must name every
    warehouse of a SKU: those that no slot is for are told what they show already."""
    verdicts: Verdicts = {}
    for index, target in enumerate(targets):
        if words := _fault(target):
            verdicts[index] = Rejected(target, words)
    # A listing is in its connection's shop, whichever shop the change of its stock was meant for.
    own = bool(settings.shop_id or settings.shop_cipher)
    named = {i: None if own else t.shop for i, t in enumerate(targets) if i not in verdicts}
    for shop in dict.fromkeys(named.values()):
        places = [i for i, name in named.items() if name == shop]
        for start in range(0, len(places), PRODUCTS):
            some = {index: targets[index] for index in places[start : start + PRODUCTS]}
            verdicts |= yield from _push_shop(settings, shop, some)
    return [verdicts[index] for index in range(len(targets))]


def _fault(target: Target) -> str:
    if not target.ids.get("product") or not target.ids.get("sku"):
        return "the listing needs the ids product and sku"
    return "" if target.slots else "the listing has no number to show"


def _push_shop(settings: Any, shop: str | None, targets: Mapping[int, Target]) -> Flow[Verdicts]:
    try:
        cipher = yield from cipher_of(settings, shop)
        stock = yield from _look(cipher, sorted({target.ids["product"] for target in targets.values()}))
    except Failed as failed:
        passing = failed.retry or failed.login
        return {
            index: Later(target, failed.words, failed.seconds) if passing else Rejected(target, failed.words)
            for index, target in targets.items()
        }
    groups, verdicts = _grouped(targets, stock)
    for group in groups:
        product = group[0].target.ids["product"]
        said = yield from _push_product(cipher, group, stock[product])
        verdicts |= said
        if stop := next((v for v in said.values() if isinstance(v, Later | Unsure)), None):
            # What is throttled, locked out or away for one product is so for all.
            rest = {i: Later(t, stop.words) for i, t in targets.items() if i not in verdicts}
            return verdicts | rest
    return verdicts


def _look(cipher: str, products: list[str]) -> Flow[dict[str, Stock]]:
    """What these products show, by product. Raises Failed."""
    body = {"product_ids": products}
    found = data((yield from ask(call("POST", "/product/202309/inventory/search", cipher, json=body))))
    stock: dict[str, Stock] = {}
    for product in need_rows(found, "inventory"):
        skus = stock.setdefault(text(product, "product_id") or "", {})
        for sku in rows(product, "skus"):
            skus[text(sku, "id") or ""] = {
                text(row, "warehouse_id") or "": units(row, "available_quantity")
                for row in rows(sku, "warehouse_inventory")
                if whole(row, "available_quantity") is not None
            }
    return stock


def _grouped(targets: Mapping[int, Target], stock: Mapping[str, Stock]) -> tuple[list[list[Job]], Verdicts]:
    """The jobs by product, each SKU once in a group, and the verdicts of what cannot be said."""
    groups: list[list[Job]] = []
    verdicts: Verdicts = {}
    for index, target in targets.items():
        shown = stock.get(target.ids["product"], {}).get(target.ids["sku"])
        numbers = _numbers(target, shown)
        if isinstance(numbers, str):
            verdicts[index] = Rejected(target, numbers)
            continue
        job = Job(index, target, numbers)
        fitting = (
            group
            for group in groups
            if group[0].target.ids["product"] == target.ids["product"]
            and job.sku not in {other.sku for other in group}
        )
        if (group := next(fitting, None)) is not None:
            group.append(job)
        else:
            groups.append([job])
    return groups, verdicts


def _numbers(target: Target, shown: Mapping[str, int] | None) -> dict[str, int] | str:
    """The number of every warehouse of the SKU, or why they cannot be told."""
    if not shown:
        return "TikTok shows no such SKU, or no warehouse for it"
    numbers = dict(shown)
    for slot in target.slots:
        warehouse = slot.location or (next(iter(shown)) if len(shown) == 1 else None)
        if warehouse is None:
            return f"the SKU is kept in {len(shown)} warehouses and the listing names none"
        if warehouse not in shown:
            return f"the SKU is not kept in warehouse {warehouse}; TikTok assigns {', '.join(shown)}"
        numbers[warehouse] = max(0, min(slot.offer, LARGEST))
    return numbers


def _push_product(cipher: str, jobs: list[Job], stock: Stock) -> Flow[Verdicts]:
    product = jobs[0].target.ids["product"]
    skus = [
        {"id": job.sku, "inventory": [{"warehouse_id": w, "quantity": q} for w, q in job.numbers.items()]}
        for job in jobs
    ]
    path = f"/product/202309/products/{quote(product, safe='')}/inventory/update"
    answer = yield from ask(call("POST", path, cipher, json={"skus": skus}))
    verdicts = _judged(jobs, answer)
    return (yield from _opened_or_closed(cipher, jobs[0], verdicts)) if len(stock) == 1 else verdicts


def _judged(jobs: list[Job], answer: Response) -> Verdicts:
    """What the answer about one product means; errors may hide behind code 0."""
    targets = [job.target for job in jobs]
    code = code_of(answer)
    if code is None or (code == 0 and not answer.ok):
        said = [Unsure(target, answer.words) for target in targets] if answer.ok else for_all(targets, answer)
        return {job.place: verdict for job, verdict in zip(jobs, said, strict=True)}
    words = f"{code} {text(answer.json(), 'message') or ''}".strip()
    if code:
        return {job.place: _refused(job.target, code, words, answer) for job in jobs}
    errors = rows(answer.json(), "data", "errors")
    by_sku = {text(error, "detail", "sku_id"): error for error in errors}
    if nameless := [error for sku, error in by_sku.items() if sku not in {job.sku for job in jobs}]:
        return {job.place: Whole(job.target, _words(nameless[0]), _code(nameless[0])) for job in jobs}
    return {
        job.place: Rejected(job.target, _words(by_sku[job.sku]), _code(by_sku[job.sku]))
        if job.sku in by_sku
        else Accepted(job.target)
        for job in jobs
    }


def _refused(target: Target, code: int, words: str, answer: Response) -> Verdict:
    if is_crowded(answer):
        return Later(target, words, retry_after(answer) or HOLD)
    if is_login(code) or is_fault(answer):
        return Later(target, words, retry_after(answer))
    if code in ABOUT_PRODUCT:
        return Rejected(target, words, str(code))
    return Whole(target, words, str(code))


def _code(error: Mapping[str, Any]) -> str:
    return text(error, "code") or ""


def _words(error: Mapping[str, Any]) -> str:
    """An error with those of its warehouses."""
    single = [f"{_code(error)} {text(error, 'message') or ''}".strip() or "refused without words"]
    for extra in rows(error, "detail", "extra_errors"):
        where = text(extra, "warehouse_id") or "?"
        single.append(f"warehouse {where}: {_code(extra)} {text(extra, 'message') or ''}".strip())
    return "; ".join(single)


# --- a zero that is refused -----------------------------------------------------------------------------


def _opened_or_closed(cipher: str, job: Job, verdicts: Verdicts) -> Flow[Verdicts]:
    """TikTok's documents disagree on whether 0 may be said. Where it is refused, a product of this one SKU
    is taken off sale instead, and put back by the first number after that. One with other SKUs is not:
    they would go with it."""
    verdict = verdicts[job.place]
    closes = _refused_zero(job, verdict)
    opens = isinstance(verdict, Accepted) and OFF_SALE in job.target.notes and any(job.numbers.values())
    if not closes and not opens:
        return verdicts
    path = f"/product/202309/products/{'deactivate' if closes else 'activate'}"
    body = {"product_ids": [job.target.ids["product"]]}
    answer = yield from ask(call("POST", path, cipher, json=body))
    if answer.ok and code_of(answer) == 0 and not at(answer.json(), "data", "errors"):
        return {job.place: Accepted(job.target, notes={OFF_SALE: "yes" if closes else ""})}
    return verdicts if closes else {job.place: Later(job.target, f"not on sale again: {answer.words}")}


def _refused_zero(job: Job, verdict: Verdict) -> bool:
    if not isinstance(verdict, Rejected | Whole) or any(job.numbers.values()):
        return False
    return verdict.code not in {str(code) for code in ABOUT_IDS | ABOUT_PRODUCT}
