"""Tells Magento source quantities: the offer and the units in its open orders, which it holds reserved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from onhand.connectors.flow import (
    Accepted,
    Flow,
    Later,
    Rejected,
    Request,
    Response,
    Slot,
    Target,
    Unsure,
    Verdict,
    Whole,
    for_all,
    retry_after,
)
from onhand.connectors.magento_bulk import tell_in_bulk
from onhand.connectors.magento_calls import SKUS_AT_ONCE, Settings, any_of, criteria, get, words
from onhand.connectors.magento_legacy import tell_stock_items
from onhand.connectors.reading import ask, at, rows, text
from onhand.connectors.skus import sku_of

BATCH = 100
ITEMS = 100
FEWER_ITEMS = 20
"""What a shop takes whose input limit is on and left as it is."""
LARGEST = 99_999_999
SOURCE = "default"
PATH = "/V1/inventory/source-items"
TOO_MANY = re.compile(r"[Mm]aximum items of type .{0,60}? is (\d{1,5})")
NO_PRODUCT = "no product has this SKU, and Magento would keep the number for nothing"
NOT_THE_TARGETS = {404, 405, 409}

Verdicts: TypeAlias = dict[int, Verdict]


class Job(NamedTuple):
    """A target at its place in the push, with its source items; ``product`` is an id that was looked up."""

    place: int
    target: Target
    sku: str
    items: tuple[dict[str, Any], ...]
    product: str = ""


def push(settings: Settings, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Set source quantities, through the queue where settings say so; or the one stock item of a product."""
    verdicts: Verdicts = {}
    jobs: list[Job] = []
    said: dict[tuple[str, str], int] = {}
    for place, target in enumerate(targets):
        sku = sku_of(target) or ""
        job = Job(place, target, sku, tuple(_item(settings, sku, slot) for slot in target.slots))
        if fault := _fault(job, said):
            verdicts[place] = Rejected(target, fault)
        else:
            jobs.append(job)
            said |= {(item["sku"], item["source_code"]): item["quantity"] for item in job.items}
    if settings.stock == "stock_item":
        each = [(job.place, job.target, job.sku) for job in jobs]
        verdicts |= yield from tell_stock_items(each, backorders=settings.backorders)
        return [verdicts[place] for place in range(len(targets))]
    jobs, unknown = yield from _existing(jobs)
    verdicts |= unknown
    if settings.bulk:
        told = yield from tell_in_bulk(settings, [(job.target, job.items) for job in jobs])
        verdicts |= {job.place: _with_id(job, verdict) for job, verdict in zip(jobs, told, strict=True)}
    else:
        verdicts |= yield from _tell(jobs)
    return [verdicts[place] for place in range(len(targets))]


def _item(settings: Settings, sku: str, slot: Slot) -> dict[str, Any]:
    """Status does not follow quantity there, so both are always said."""
    quantity = min(LARGEST, max(0, slot.offer) + max(0, slot.committed))
    status = 1 if quantity > 0 or settings.backorders else 0
    return {"sku": sku, "source_code": slot.location or SOURCE, "quantity": quantity, "status": status}


def _fault(job: Job, said: dict[tuple[str, str], int]) -> str:
    """What Magento's own validation would refuse, together with the whole batch."""
    if not job.sku or job.sku != job.sku.strip():
        return "a SKU for Magento is not empty, begins and ends with no space, and has no control characters"
    if not job.items:
        return "the listing has nothing to say"
    if any(re.search(r"\s", item["source_code"]) for item in job.items):
        return "a source code has no spaces"
    for item in job.items:
        if said.get((item["sku"], item["source_code"]), item["quantity"]) != item["quantity"]:
            return "another target sets another number for the same SKU and source"
    return ""


# --- which products there are ---------------------------------------------------------------------------


def _existing(jobs: list[Job]) -> Flow[tuple[list[Job], Verdicts]]:
    """The jobs whose product is known or found. The write does not look: it keeps numbers of any SKU."""
    strangers = [job for job in jobs if not job.target.ids.get("product_id")]
    found: dict[str, str] = {}
    verdicts: Verdicts = {}
    for start in range(0, len(strangers), SKUS_AT_ONCE):
        some = strangers[start : start + SKUS_AT_ONCE]
        wanted = {job.sku for job in some}
        query = criteria([any_of(sorted(wanted))], len(wanted))
        answer = yield from ask(get("/V1/products", (*query, ("fields", "items[id,sku],total_count"))))
        listed = at(answer.json(), "items") if answer.ok else None
        if not isinstance(listed, list):
            verdicts |= {job.place: _not_asked(job.target, answer) for job in some}
            continue
        found |= {_folded(text(row, "sku")): text(row, "id") or "" for row in rows(listed)}
    for job in strangers:
        if job.place not in verdicts and not found.get(_folded(job.sku)):
            verdicts[job.place] = Rejected(job.target, NO_PRODUCT)
    here = [job._replace(product=found.get(_folded(job.sku), "")) for job in jobs]
    return [job for job in here if job.place not in verdicts], verdicts


def _folded(sku: str | None) -> str:
    """Magento's database does not tell upper from lower case."""
    return (sku or "").casefold()


def _not_asked(target: Target, answer: Response) -> Verdict:
    """Nothing was written yet."""
    return Later(target, words(answer), retry_after(answer))


# --- writing --------------------------------------------------------------------------------------------


def _tell(jobs: Sequence[Job]) -> Flow[Verdicts]:
    verdicts: Verdicts = {}
    waiting, size = list(jobs), ITEMS
    while waiting:
        some = _packed(waiting, size)
        items = [item for job in some for item in job.items]
        answer = yield from ask(Request("POST", PATH, json={"sourceItems": items}))
        limit = _limit(answer)
        if limit is not None and len(some) > 1 and size > 1:
            size = max(1, min(limit, size - 1))
            continue
        targets = [job.target for job in some]
        told = _judged(targets, answer)
        verdicts |= {job.place: _with_id(job, each) for job, each in zip(some, told, strict=True)}
        waiting = waiting[len(some) :]
    return verdicts


def _packed(jobs: Sequence[Job], size: int) -> list[Job]:
    """The first jobs that together have at most so many items; one at least."""
    some: list[Job] = []
    room = size
    for job in jobs:
        room -= len(job.items)
        if some and room < 0:
            break
        some.append(job)
    return some


def _limit(answer: Response) -> int | None:
    """How many items the shop takes, when that is what it complains of."""
    if answer.status == 413:
        return FEWER_ITEMS
    found = TOO_MANY.search(words(answer)) if answer.status == 400 else None
    return int(found[1]) or FEWER_ITEMS if found else None


def _judged(targets: Sequence[Target], answer: Response) -> list[Verdict]:
    """An empty list is all that a success says."""
    if answer.ok:
        taken = isinstance(answer.json(), list)
        return [Accepted(target) if taken else Unsure(target, words(answer)) for target in targets]
    if answer.status in NOT_THE_TARGETS:
        return [Later(target, words(answer), retry_after(answer)) for target in targets]
    if 400 <= answer.status < 500 and answer.status not in (401, 403, 408, 425, 429):
        return [Whole(target, words(answer), str(answer.status)) for target in targets]
    return for_all(targets, answer)


def _with_id(job: Job, verdict: Verdict) -> Verdict:
    match verdict:
        case Accepted(target=target) if job.product:
            return Accepted(target, ids={"product_id": job.product})
        case _:
            return verdict
