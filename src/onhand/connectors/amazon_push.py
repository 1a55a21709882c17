"""Tells Amazon quantities: a PATCH for each listing, or one feed for many. Listings Items 2021-08-01."""

from __future__ import annotations

from collections.abc import Sequence

from onhand.connectors.amazon_calls import (
    FBA,
    OWN,
    Seller,
    error_words,
    ids_of,
    issue_words,
    items_path,
    look_up,
)
from onhand.connectors.amazon_feed import Job, Verdicts, by_itself, feed
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
from onhand.connectors.reading import ask, rows, text
from onhand.connectors.skus import sku_of

PASSING = {0, 401, 403, 408, 425, 429}
"""Answers that say nothing about a listing, besides a server's faults."""
AT_ONCE = 1_500
"""Listings that are told one by one before the rest is computed anew: five minutes' worth."""
SOON = 1.0
WAITS = "it is told by itself, after others: Amazon takes five a second"
ELSEWHERE = f"Amazon knows one location of a merchant's own, {OWN}"
OWNED = "Amazon ships this listing (FBA) and keeps its stock: its quantity cannot be set"
NAMELESS = "it has no SKU that Amazon could know"


def push(settings: Seller, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Tell every target: one by one when they are few or feeds are not done, in a feed from
    ``settings.feed_from`` on. Never a listing both ways at once, for Amazon does not say in which order it
    would take them."""
    verdicts: Verdicts = {}
    jobs = yield from _jobs(settings, targets, verdicts)
    alone = [job for job in jobs if by_itself(job.target)]
    fed = [job for job in jobs if not by_itself(job.target)]
    if len(fed) < settings.feed_from:
        alone, fed = jobs, []
    for job in alone[AT_ONCE:]:
        verdicts[job.place] = Later(job.target, WAITS, SOON)
    verdicts |= yield from _patch(settings, alone[:AT_ONCE])
    if fed:
        verdicts |= yield from feed(settings, fed)
    return [verdicts[place] for place in range(len(targets))]


def _jobs(settings: Seller, targets: Sequence[Target], verdicts: Verdicts) -> Flow[list[Job]]:
    """The targets that can be told; ``verdicts`` gets those of the others. A listing of which it is not
    known who ships it is looked up first: a quantity sent for FBA stock would open a second offer."""
    jobs: list[Job] = []
    halt: Response | None = None
    for place, target in enumerate(targets):
        sku, words = sku_of(target), _fault(target)
        if sku is None or words:
            verdicts[place] = Rejected(target, words or NAMELESS)
        elif "fulfilled_by" in target.ids:
            jobs.append(Job(place, target, sku, {}))
        elif halt is not None:
            verdicts[place] = Later(target, halt.words, retry_after(halt))
        else:
            answer = yield from ask(look_up(settings, sku))
            halt = answer if _passing(answer) else None
            found = _looked_up(settings, Job(place, target, sku, {}), answer)
            if isinstance(found, Job):
                jobs.append(found)
            else:
                verdicts[place] = found
    return jobs


def _fault(target: Target) -> str:
    where = [slot.location for slot in target.slots]
    if target.ids.get("fulfilled_by", OWN) != OWN or where == [FBA]:
        return OWNED
    return "" if where in ([None], [OWN]) else ELSEWHERE


def _looked_up(settings: Seller, job: Job, answer: Response) -> Job | Verdict:
    if _passing(answer):
        return Later(job.target, answer.words, retry_after(answer))
    if not answer.ok:
        return Rejected(job.target, *error_words(answer))
    found = answer.json()
    if text(found, "sku") is None:
        return Later(job.target, f"the listing cannot be read: {answer.words}")
    learned = ids_of(settings, found)
    if learned["fulfilled_by"] != OWN:
        return Rejected(job.target, OWNED)
    return job._replace(learned=learned)


def _passing(answer: Response) -> bool:
    return answer.status in PASSING or answer.status >= 500


def _patch(settings: Seller, jobs: Sequence[Job]) -> Flow[Verdicts]:
    """One by one. What says nothing about the listing ends the round: the rest is not sent."""
    verdicts: Verdicts = {}
    halt: Response | None = None
    for job in jobs:
        if halt is not None:
            verdicts[job.place] = Later(job.target, halt.words, retry_after(halt))
            continue
        answer = yield from ask(_patch_call(settings, job))
        halt = answer if _passing(answer) else None
        verdicts[job.place] = _patched(job, answer)
    return verdicts


def _patch_call(settings: Seller, job: Job) -> Request:
    query = (("marketplaceIds", settings.marketplace_id), ("issueLocale", settings.locale))
    body = {"productType": job.kind, "patches": job.patches}
    path = items_path(settings, job.sku)
    return Request("PATCH", path, query=query, json=body, limit="patch", repeatable=True)


def _patched(job: Job, answer: Response) -> Verdict:
    """A 200 may well refuse: its status tells."""
    if _passing(answer):
        return for_all([job.target], answer)[0]
    if not answer.ok:
        return Rejected(job.target, *error_words(answer))
    found = answer.json()
    match text(found, "status"):
        case "ACCEPTED":
            return Accepted(job.target, ids=job.learned)
        case "INVALID":
            return Rejected(job.target, *issue_words(rows(found, "issues")))
        case _:
            return Unsure(job.target, f"Amazon's answer is not as documented: {answer.words}")
