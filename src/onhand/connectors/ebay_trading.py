"""Tells and reads eBay listings that the Inventory API does not know, by the older Trading API (1423)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from onhand.connectors.auth import Wire
from onhand.connectors.ebay_calls import Account
from onhand.connectors.ebay_push import LARGEST
from onhand.connectors.ebay_revisions import counted, rests, tomorrow
from onhand.connectors.ebay_xml import (
    BUSY,
    NO_LOGIN,
    PATH,
    Node,
    call,
    count,
    element,
    every,
    need,
    need_time,
    root,
    said,
    trouble,
    warnings,
)
from onhand.connectors.flow import (
    Accepted,
    Flow,
    Later,
    Page,
    Rejected,
    Response,
    Seen,
    Shown,
    Target,
    Unsure,
    Verdict,
    Whole,
    for_all,
    retry_after,
)
from onhand.connectors.reading import ask, iso
from onhand.connectors.skus import sendable

LEVEL = "1423"
TOGETHER = 4
IN_ENGLISH = element("ErrorLanguage", "en_US")
"""eBay's words are read, too: without it they are in the language of the site."""
UNCHANGED = "21917091"
"""The warning that the number is shown already, and nothing was revised."""
PAGE = 100
SPAN = 120 * 24 * 3600 * 1_000_000
"""Microseconds of end times that a list may cover; listings without an end renew every month."""
FIELDS = (
    "HasMoreItems,PaginationResult,ItemArray.Item.ItemID,ItemArray.Item.SKU,ItemArray.Item.Title,"
    "ItemArray.Item.Quantity,ItemArray.Item.ListingType,ItemArray.Item.SellingStatus,"
    "ItemArray.Item.Variations.Variation"
)


class Job(NamedTuple):
    """A target at its place in the batch. ``variation`` is the SKU of one, empty for a plain listing."""

    place: int
    target: Target
    item: str
    variation: str


def trading_headers(account: Account, wire: Wire) -> tuple[tuple[str, str], ...]:
    """What a call of the older interface carries besides its name; empty for other calls."""
    if wire.path != PATH:
        return ()
    token = account.access_token
    named = (("X-EBAY-API-SITEID", str(account.site)), ("X-EBAY-API-COMPATIBILITY-LEVEL", LEVEL))
    return (*named, ("X-EBAY-API-IAF-TOKEN", token.reveal())) if token else named


# --- telling --------------------------------------------------------------------------------------------


def push_listings(targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Absolute available quantities, four listings or variations a call."""
    verdicts: dict[int, Verdict] = {}
    jobs: list[Job] = []
    for place, target in enumerate(targets):
        job = _job(place, target)
        if isinstance(job, Job):
            jobs.append(job)
        else:
            verdicts[place] = job
    halt: Later | Unsure | None = None
    for start in range(0, len(jobs), TOGETHER):
        batch = jobs[start : start + TOGETHER]
        if halt is None:
            answer = yield from ask(call("ReviseInventoryStatus", IN_ENGLISH + "".join(map(_status, batch))))
            told = _judge(batch, answer)
            halt = next((verdict for verdict in told if isinstance(verdict, Later | Unsure)), None)
            told = [tomorrow(verdict) for verdict in told]
        else:
            told = [Later(job.target, halt.words, getattr(halt, "seconds", None)) for job in batch]
        verdicts |= {job.place: verdict for job, verdict in zip(batch, told, strict=True)}
    return [verdicts[place] for place in range(len(targets))]


def _job(place: int, target: Target) -> Job | Verdict:
    item, variation = target.ids.get("item_id", ""), target.ids.get("variation", "")
    if not item or not sendable(item + variation):
        return Rejected(target, "it has no eBay item number")
    if [slot.location for slot in target.slots] != [None]:
        return Rejected(target, "a listing of this kind has one number, without locations")
    # A variation counts its own revisions, and eBay those of the whole listing: where it has had enough
    # before us, it says so.
    return rests(target) or Job(place, target, item, variation)


def _status(job: Job) -> str:
    """A variation is named by its item and its SKU, a plain listing by its item."""
    quantity = max(0, min(job.target.slots[0].offer, LARGEST))
    sku = element("SKU", job.variation) if job.variation else ""
    inner = f"{element('ItemID', job.item)}{sku}{element('Quantity', quantity)}"
    return f"<InventoryStatus>{inner}</InventoryStatus>"


def _judge(batch: Sequence[Job], answer: Response) -> list[Verdict]:
    """Listings that the answer repeats were taken. It does not say which of the others an error is about."""
    targets = [job.target for job in batch]
    if not answer.ok:
        return for_all(targets, answer)
    found = root(answer)
    if found is None or said(found, "Ack") is None:
        return [Unsure(target, f"eBay's answer is not as documented: {answer.words}") for target in targets]
    echoed = {(said(row, "ItemID"), said(row, "SKU") or "") for row in every(found, "InventoryStatus")}
    items = {item for item, _ in echoed}
    wrong = trouble(found)
    verdicts: list[Verdict] = []
    for job in batch:
        if (job.item, job.variation) in echoed if job.variation else job.item in items:
            verdicts.append(Accepted(job.target, notes=counted(job.target)))
        elif said(found, "Ack") in ("Success", "Warning") and UNCHANGED in warnings(found):
            verdicts.append(Accepted(job.target))
        elif said(found, "Ack") in ("Success", "Warning"):
            verdicts.append(Unsure(job.target, "eBay did not repeat this listing"))
        elif wrong.codes & (BUSY | NO_LOGIN):
            verdicts.append(Later(job.target, wrong.words, retry_after(answer)))
        elif len(batch) - len(echoed) == 1:
            verdicts.append(Rejected(job.target, wrong.words, min(wrong.codes, default="")))
        else:
            verdicts.append(Whole(job.target, wrong.words, min(wrong.codes, default="")))
    return verdicts


# --- looking --------------------------------------------------------------------------------------------


def pull_listings(cursor: str | None) -> Flow[Page]:
    """A page of active listings, a variation each by itself. The cursor is ``page|from|to``."""
    match (cursor or "").split("|"):
        case [page, start, end] if page.isdigit():
            number = int(page)
        case _:
            now = need_time(need((yield from ask(call("GeteBayOfficialTime", "")))))
            number, start, end = 1, iso(now), iso(now + SPAN)
    found = need((yield from ask(call("GetSellerList", _window(number, start, end, PAGE)))))
    seen = [part for item in every(found, "ItemArray", "Item") for part in _seen(item)]
    more = said(found, "HasMoreItems") == "true"
    return Page(tuple(seen), f"{number + 1}|{start}|{end}" if more else None)


def count_listings() -> Flow[int]:
    """How many active listings there are."""
    now = need_time(need((yield from ask(call("GeteBayOfficialTime", "")))))
    found = need((yield from ask(call("GetSellerList", _window(1, iso(now), iso(now + SPAN), 1)))))
    return count(found, "PaginationResult", "TotalNumberOfEntries") or 0


def _window(page: int, start: str, end: str, size: int) -> str:
    paging = f"<Pagination>{element('EntriesPerPage', size)}{element('PageNumber', page)}</Pagination>"
    return "".join(
        (
            element("DetailLevel", "ReturnAll"),
            *(element("OutputSelector", field) for field in FIELDS.split(",")),
            element("EndTimeFrom", start),
            element("EndTimeTo", end),
            element("IncludeVariations", "true"),
            paging,
        )
    )


def _seen(item: Node) -> list[Seen]:
    name = said(item, "ItemID")
    if name is None:
        return []
    title, active = said(item, "Title") or "", said(item, "SellingStatus", "ListingStatus") == "Active"
    fixed = said(item, "ListingType") in (None, "FixedPriceItem", "StoresFixedPrice")
    parts = list(every(item, "Variations", "Variation"))
    if not parts:
        why = "" if fixed else "the quantity of an auction cannot be set"
        return [Seen({"item_id": name}, said(item, "SKU"), (Shown(_left(item)),), title, active, fixed, why)]
    return [_variation(name, part, title, active) for part in parts]


def _variation(item: str, part: Node, title: str, active: bool) -> Seen:
    sku = said(part, "SKU")
    ids = {"item_id": item} | ({"variation": sku} if sku else {})
    why = "" if sku else "eBay can only set a variation that has a SKU"
    return Seen(ids, sku, (Shown(_left(part)),), title, active, sku is not None, why)


def _left(node: Node) -> int | None:
    """What is available: eBay's quantity counts from the beginning of the listing, sold units included."""
    total = count(node, "Quantity")
    return None if total is None else max(0, total - (count(node, "SellingStatus", "QuantitySold") or 0))
