"""Tells eBay quantities of inventory items, their live offers and locations. Sell Inventory API v1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from onhand.connectors.ebay_calls import (
    BUSY,
    INVENTORY,
    NO_OFFERS,
    Account,
    error_words,
    offer_ids,
    offers_call,
)
from onhand.connectors.ebay_revisions import counted, rests, tomorrow
from onhand.connectors.flow import (
    Accepted,
    Flow,
    Later,
    Rejected,
    Request,
    Response,
    Target,
    Unsure,
    Verdict,
    for_all,
    retry_after,
)
from onhand.connectors.reading import ask, at, rows, text, units, whole
from onhand.connectors.skus import sku_of

TOGETHER = 25
LARGEST = 999_999_999
MIXED = "eBay counts by location or in one number: this listing has both"
NAMELESS = "it has no SKU that eBay could know"
PASSING = {0, 401, 403, 408, 425, 429}


class Job(NamedTuple):
    """A target at its place in the batch. ``offers`` are the ids of live offers that keep a number of their
    own, None until they are known; ``others`` are locations of the item that no slot speaks of."""

    place: int
    target: Target
    sku: str
    offers: tuple[str, ...] | None
    others: tuple[Mapping[str, Any], ...] = ()
    kept: Mapping[str, Mapping[str, Any]] = {}

    @property
    def located(self) -> bool:
        """Whether it is counted by location."""
        return self.target.slots[0].location is not None


Verdicts: TypeAlias = dict[int, Verdict]


def push_items(account: Account, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Absolute quantities, ``account.together`` SKUs a call. What says nothing about the targets ends the
    round: the rest is not sent."""
    verdicts: Verdicts = {}
    jobs: list[Job] = []
    for place, target in enumerate(targets):
        job = _job(place, target)
        if isinstance(job, Job):
            jobs.append(job)
        else:
            verdicts[place] = job
    halt: Response | None = None
    for start in range(0, len(jobs), account.together):
        batch = jobs[start : start + account.together]
        if halt is None:
            halt = yield from _tell(batch, verdicts)
        else:
            verdicts |= _later(batch, halt)
    return [verdicts[place] for place in range(len(targets))]


def _job(place: int, target: Target) -> Job | Verdict:
    sku = sku_of(target)
    if sku is None:
        return Rejected(target, NAMELESS)
    where = [slot.location for slot in target.slots]
    if not where or (None in where and len(where) > 1):
        return Rejected(target, MIXED if where else "it has no quantity to tell")
    if (rest := rests(target)) is not None:
        return rest
    known = target.ids.get("offers")
    return Job(place, target, sku, None if known is None else offer_ids(known))


def _later(jobs: Iterable[Job], answer: Response) -> Verdicts:
    seconds = retry_after(answer)
    return {job.place: Later(job.target, answer.words, seconds) for job in jobs}


def _tell(batch: list[Job], verdicts: Verdicts) -> Flow[Response | None]:
    """Tell one batch; the answer that makes it senseless to go on, if there was one."""
    for learn in (_with_offers, _with_places):
        batch, halt = yield from learn(batch, verdicts)
        if halt is not None:
            verdicts |= _later(batch, halt)
            return halt
    if not batch:
        return None
    answer = yield from _say(batch, verdicts)
    if _passing(answer):
        return answer
    bad = {text(row, "offerId") for row in rows(answer.json(), "responses") if not _good(row)}
    yield from _say_with_other_offers([job for job in batch if bad.intersection(job.offers or ())], verdicts)
    return None


def _say(batch: Sequence[Job], verdicts: Verdicts) -> Flow[Response]:
    body = {"requests": [_entry(job) for job in batch]}
    call = Request(
        "POST", f"{INVENTORY}/bulk_update_price_quantity", json=body, limit="push", repeatable=True
    )
    answer = yield from ask(call)
    verdicts |= {place: tomorrow(verdict) for place, verdict in _judge(batch, answer).items()}
    return answer


def _say_with_other_offers(refused: Sequence[Job], verdicts: Verdicts) -> Flow[None]:
    """What was refused with offers from memory is said once more with those of today, where they are others:
    a listing may have ended, or been published anew, since it was looked at."""
    doubtful = [job._replace(offers=None) for job in refused if _remembered(job)]
    found, halt = yield from _with_offers(doubtful, {})
    if halt is not None:
        verdicts |= _later(doubtful, halt)
    elif others := [job for job in found if job.offers != _remembered(job)]:
        yield from _say(others, verdicts)


def _remembered(job: Job) -> tuple[str, ...]:
    return offer_ids(job.target.ids.get("offers", ""))


def _passing(answer: Response) -> bool:
    return answer.status in PASSING or answer.status >= 500


Learned: TypeAlias = Flow[tuple[list[Job], Response | None]]
"""The jobs that are left to tell, and the answer that ends the round."""


def _with_offers(batch: list[Job], verdicts: Verdicts) -> Learned:
    """With the offers of listings that were never looked at."""
    ready: list[Job] = []
    for job in batch:
        if job.offers is not None:
            ready.append(job)
            continue
        answer = yield from ask(offers_call(job.sku))
        if _passing(answer):
            return batch, answer
        if answer.ok and not isinstance(at(answer.json(), "offers"), list):
            verdicts[job.place] = Later(job.target, f"its offers cannot be read: {answer.words}")
        elif answer.ok or answer.status == 404:
            known = offer_ids(live_offers(rows(answer.json(), "offers")))
            ready.append(job._replace(offers=known))
        else:
            verdicts[job.place] = Rejected(job.target, *error_words(answer))
    return ready, None


def live_offers(offers: Iterable[Mapping[str, Any]]) -> str:
    """The ids of published offers with a number of their own, as a listing remembers them."""
    own = [
        text(offer, "offerId") or ""
        for offer in offers
        if text(offer, "status") == "PUBLISHED" and whole(offer, "availableQuantity") is not None
    ]
    return " ".join(name for name in own if name) or NO_OFFERS


def _with_places(batch: list[Job], verdicts: Verdicts) -> Learned:
    """With what items have at locations that the targets do not speak of: to tell one location is to
    replace all."""
    located = [job for job in batch if job.located]
    if not located:
        return batch, None
    body = {"requests": [{"sku": job.sku} for job in located]}
    call = Request("POST", f"{INVENTORY}/bulk_get_inventory_item", json=body, repeatable=True)
    answer = yield from ask(call)
    if _passing(answer):
        return batch, answer
    found = {text(row, "sku"): row for row in rows(answer.json(), "responses")}
    ready: list[Job] = []
    for job in batch:
        if not job.located:
            ready.append(job)
        elif (spread := _spread(found.get(job.sku))) is None:
            verdicts[job.place] = _unread(job, found.get(job.sku), answer)
        else:
            told = {slot.location for slot in job.target.slots}
            others = tuple(part for key, part in spread.items() if key not in told)
            ready.append(job._replace(others=others, kept=spread))
    return ready, None


def _spread(row: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]] | None:
    """What an item has by location; None when it could not be read."""
    there = at(row, "inventoryItem", "availability", "shipToLocationAvailability")
    if row is None or not isinstance(at(row, "inventoryItem"), dict) or not _good(row):
        return None
    parts = rows(there, "availabilityDistributions")
    return {name: part for part in parts if (name := text(part, "merchantLocationKey"))}


def _unread(job: Job, row: Mapping[str, Any] | None, answer: Response) -> Verdict:
    status = whole(row, "statusCode")
    if row is not None and status is not None and 400 <= status < 500:
        return Rejected(job.target, *_row_words(row))
    return Later(job.target, f"its locations cannot be read: {answer.words}")


def _entry(job: Job) -> dict[str, Any]:
    """One SKU: the item's total, its locations, and the live offers whose own number would hide it."""
    slots = job.target.slots
    told = [max(0, min(slot.offer, LARGEST)) for slot in slots]
    total = min(LARGEST, sum(told) + sum(units(part, "quantity") for part in job.others))
    stock: dict[str, Any] = {"quantity": total}
    if job.located:
        ours = [
            {**job.kept.get(slot.location or "", {}), "merchantLocationKey": slot.location, "quantity": count}
            for slot, count in zip(slots, told, strict=True)
        ]
        stock["availabilityDistributions"] = [*job.others, *ours]
    entry: dict[str, Any] = {"sku": job.sku, "shipToLocationAvailability": stock}
    if job.offers:
        entry["offers"] = [{"offerId": name, "availableQuantity": total} for name in job.offers]
    return entry


# --- what became of it ----------------------------------------------------------------------------------


def _judge(batch: Sequence[Job], answer: Response) -> Verdicts:
    """The verdicts of an answer, which says 200 or 207 also when single entries failed."""
    targets = [job.target for job in batch]
    found = answer.json()
    if not answer.ok or not isinstance(at(found, "responses"), list):
        if BUSY.intersection(whole(error, "errorId") for error in rows(found, "errors")):
            return _later(batch, answer)
        said: list[Verdict] = for_all(targets, answer)
        if answer.ok:
            said = [
                Unsure(target, f"eBay's answer is not as documented: {answer.words}") for target in targets
            ]
        return {job.place: verdict for job, verdict in zip(batch, said, strict=True)}
    owner = {name: job.sku for job in batch for name in job.offers or ()}
    by_sku: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows(found, "responses"):
        sku = text(row, "sku") or owner.get(text(row, "offerId") or "")
        by_sku.setdefault(sku or "", []).append(row)
    return {job.place: _verdict(job, by_sku.get(job.sku, []), answer) for job in batch}


def _good(row: Mapping[str, Any]) -> bool:
    return 200 <= (whole(row, "statusCode") or 0) < 300


def _verdict(job: Job, said: Sequence[Mapping[str, Any]], answer: Response) -> Verdict:
    """A target is taken when its item and every offer of it were."""
    bad = [row for row in said if not _good(row)]
    if not said:
        return Unsure(job.target, "eBay did not say what became of this SKU")
    if not bad:
        return Accepted(job.target, ids=_remember(job), notes=counted(job.target))
    row = bad[0]
    status = whole(row, "statusCode")
    if status is None:
        return Unsure(job.target, "eBay did not say what became of this SKU")
    words, code = _row_words(row)
    busy = BUSY.intersection(whole(error, "errorId") for error in rows(row, "errors"))
    if busy or status == 429 or status >= 500:
        return Later(job.target, words)
    return Rejected(job.target, words, code)


def _row_words(row: Mapping[str, Any]) -> tuple[str, str]:
    return error_words(Response(whole(row, "statusCode") or 0), rows(row, "errors"))


def _remember(job: Job) -> Mapping[str, str]:
    known = " ".join(job.offers or ()) or NO_OFFERS
    return {"offers": known} if job.target.ids.get("offers") != known else {}
