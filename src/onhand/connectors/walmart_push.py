"""Tells Walmart quantities: a call for each SKU with all its nodes, or one feed when there are very many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    for_all,
)
from onhand.connectors.reading import ask, rows, text
from onhand.connectors.skus import sku_of
from onhand.connectors.walmart_calls import amount, errors, hold, inventory_path, nothing_said, refusal, words
from onhand.connectors.walmart_feed import FeedItem, tell_feed

BATCH = 2000
FEED_FROM = 600
"""From so many targets on a feed is quicker than single calls, of which a minute takes 200."""
PATIENCE = 3
"""Failures of the server in a row after which the rest is not tried: one may be about its SKU alone."""
LARGEST = 999_999_999

Verdicts: TypeAlias = dict[int, Verdict]


class Job(NamedTuple):
    """A target at its place in the batch."""

    place: int
    target: Target
    sku: str


def push(settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Set what is on hand: the offer and the units in Walmart's open orders, which it takes off again."""
    verdicts: Verdicts = {}
    jobs: list[Job] = []
    for index, target in enumerate(targets):
        sku = sku_of(target)
        if sku is None or (fault := _fault(target)):
            verdicts[index] = Rejected(target, fault if sku else "the listing has no SKU that can be sent")
        else:
            jobs.append(Job(index, target, sku))
    bulk, single = _parted(jobs)
    verdicts |= yield from _push_each(single)
    if bulk:
        items = [
            FeedItem(job.sku, tuple((s.location or "", said(s)) for s in job.target.slots)) for job in bulk
        ]
        told = yield from tell_feed(items, [job.target for job in bulk])
        verdicts |= {job.place: verdict for job, verdict in zip(bulk, told, strict=True)}
    return [verdicts[index] for index in range(len(targets))]


def said(slot: Slot) -> int:
    """The number on hand that makes Walmart offer what we offer."""
    return max(0, min(slot.offer + slot.committed, LARGEST))


def _fault(target: Target) -> str:
    places = [slot.location for slot in target.slots]
    if target.ids.get("wfs"):
        return "Walmart's own warehouses keep this stock"
    if not places:
        return "the listing has no number to show"
    if len(set(places)) != len(places) or (None in places and len(places) > 1):
        return "the listing names a node twice, or a node beside the default one"
    return ""


def _parted(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """What goes in a feed and what in calls of its own: the default node has no name for a feed, and a SKU
    is in it once."""
    bulk: dict[str, Job] = {}
    for job in jobs:
        if job.target.slots[0].location is not None:
            bulk.setdefault(job.sku, job)
    if len(bulk) < FEED_FROM:
        return [], list(jobs)
    taken = {job.place for job in bulk.values()}
    return list(bulk.values()), [job for job in jobs if job.place not in taken]


def _push_each(jobs: Sequence[Job]) -> Flow[Verdicts]:
    """A call for each; when Walmart is away, shut or full the rest waits."""
    verdicts: Verdicts = {}
    failures = 0
    for job in jobs:
        answer = yield from ask(_put(job))
        verdicts[job.place] = _judged(job, answer)
        failures = failures + 1 if answer.status >= 500 else 0
        if answer.silent or answer.status in (401, 403, 429) or failures >= PATIENCE:
            rest = (other for other in jobs if other.place not in verdicts)
            return verdicts | {o.place: Later(o.target, answer.words, hold(answer)) for o in rest}
    return verdicts


def _put(job: Job) -> Request:
    """All nodes of a SKU in one call; without a node it is the seller's default one."""
    slots = job.target.slots
    if slots[0].location is None:
        body: dict[str, Any] = {"sku": job.sku, "quantity": _quantity(slots[0])}
        query = (("sku", job.sku),)
        return Request("PUT", "/v3/inventory", query, body, limit="put inventory", repeatable=True)
    nodes = [{"shipNode": slot.location, "inputQty": _quantity(slot)} for slot in slots]
    body = {"inventories": {"nodes": nodes}}
    return Request("PUT", inventory_path(job.sku), (), body, limit="put inventories", repeatable=True)


def _quantity(slot: Slot) -> dict[str, Any]:
    return {"unit": "EACH", "amount": said(slot)}


def _judged(job: Job, answer: Response) -> Verdict:
    """What an answer about one SKU means; a node may be refused inside a 200."""
    target = job.target
    if answer.status == 423 or answer.status == 429 or (answer.page and not answer.ok):
        return Later(target, answer.words, hold(answer))
    told, code = refusal(answer)
    if not answer.ok:
        (verdict,) = for_all([target], answer)
        return verdict if isinstance(verdict, Later | Unsure) else Rejected(target, told, code)
    body = answer.json()
    if errors(body):
        return Rejected(target, told, code)
    if target.slots[0].location is None:
        echoed = amount(body, "quantity") == said(target.slots[0])
        return Accepted(target) if echoed else Unsure(target, f"another answer than expected: {answer.words}")
    if nothing_said(answer, "nodes"):
        return Unsure(target, f"another answer than expected: {answer.words}")
    nodes = {text(row, "shipNode"): row for row in rows(body, "nodes")}
    wrong = [_node_words(slot.location, nodes.get(slot.location)) for slot in target.slots]
    return Rejected(target, "; ".join(filter(None, wrong)), "node") if any(wrong) else Accepted(target)


def _node_words(name: str | None, row: Mapping[str, Any] | None) -> str:
    """What is wrong with a node; nothing when it succeeded."""
    if row is None:
        return f"node {name}: Walmart did not answer for it"
    found = errors(row)
    if (text(row, "status") or "").casefold() == "success" and not found:
        return ""
    told = "; ".join(words(error) for error in found) or text(row, "status") or "refused without words"
    return f"node {name}: {told}"
