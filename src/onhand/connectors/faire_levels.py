"""Reads and writes Faire's inventory levels: what we have on hand, from which Faire takes its open orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

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
    Whole,
    for_all,
)
from onhand.connectors.reading import ask, at, rows, text, whole
from onhand.connectors.skus import sku_of

BATCH = 50
"""No limit is published; others who write to Faire send 50 to 200."""
ROUNDS = 12
LARGEST = 999_999_999
BY_VARIANT = "/product-inventory/by-product-variant-ids"
BY_SKU = "/product-inventory/by-skus"
UNTRACKED, TRACKED = "untracked", "tracked"
"""The token of a slot that Faire does not count, which sells freely until a number ends that, and of one that
it does. Both are told: what is not told stays as it was."""
NOT_COUNTED = (
    "Faire does not track this variant, so it sells freely; writing a number would begin to block sales."
    " Switch tracking on there, or set start_tracking"
)
NOT_SHOWN = (
    "Faire shows no level of it: it does not track it, and it sells freely, or it is gone. Switch tracking on"
    " there, or set start_tracking"
)
AMBIGUOUS = "match multiple product variations"
NOT_THE_TARGETS = {404, 405, 409}

Verdicts: TypeAlias = dict[int, Verdict]


class Tracking(Protocol):
    """What a push needs of the settings."""

    @property
    def start_tracking(self) -> bool:
        """Whether a number may be written to a variant that Faire does not track yet."""


class Job(NamedTuple):
    """A target at its place in the push, under the name that it is written by."""

    place: int
    target: Target
    name: str
    number: int


# --- reading --------------------------------------------------------------------------------------------


def levels(found: Any) -> Mapping[str, Any]:
    """The levels of an answer by name; both shapes that were seen: under ``inventories``, and bare. A list
    of rows was not seen, but would mean the same."""
    inner = at(found, "inventories")
    if isinstance(inner, list):
        names = ("product_variant_id", "sku")
        return {name: row for row in rows(inner) for key in names if (name := text(row, key))}
    chosen = inner if isinstance(inner, Mapping) else found
    if not isinstance(chosen, Mapping):
        return {}
    return {name: level for name, level in chosen.items() if isinstance(level, Mapping)}


def shown(level: Any) -> Shown:
    """What can be sold of a variant. A count that is missing or of another type is no count, and no 0."""
    hand, open_orders = _count(level, "on_hand_quantity"), _count(level, "committed_quantity")
    if hand is None:
        return Shown(None, token=UNTRACKED)
    sellable = _count(level, "available_quantity")
    committed = max(0, open_orders or 0)
    quantity = hand - committed if sellable is None else sellable
    return Shown(quantity, token=TRACKED, committed=committed)


def _count(level: Any, name: str) -> int | None:
    return whole(level, name, "quantity") if text(level, name, "type") == "QUANTITY" else None


# --- writing --------------------------------------------------------------------------------------------


def push(settings: Tracking, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Set what is on hand: the offer and the units in Faire's open orders, which it takes off again."""
    verdicts: Verdicts = {}
    by_variant: list[Job] = []
    by_sku: list[Job] = []
    for place, target in enumerate(targets):
        if early := _early(settings, target):
            verdicts[place] = early
            continue
        slot = target.slots[0]
        number = min(LARGEST, max(0, slot.offer) + max(0, slot.committed))
        if variant := target.ids.get("variant_id"):
            by_variant.append(Job(place, target, variant, number))
        elif sku := sku_of(target):
            by_sku.append(Job(place, target, sku, number))
        else:
            verdicts[place] = Rejected(target, "the listing has neither a variant_id nor a usable SKU")
    for path, asked, key, jobs in (
        (BY_VARIANT, "ids", "product_variant_id", by_variant),
        (BY_SKU, "skus", "sku", by_sku),
    ):
        if not settings.start_tracking:
            verdicts |= yield from _uncounted(path, asked, jobs)
        verdicts |= yield from _write(path, key, [job for job in jobs if job.place not in verdicts])
    return [verdicts[place] for place in range(len(targets))]


def _early(settings: Tracking, target: Target) -> Verdict | None:
    """What needs no request: a variant that is not tracked is unlimited, and is otherwise left alone."""
    if not target.slots:
        return Rejected(target, "the listing has nothing to say")
    slot = target.slots[0]
    if slot.token != UNTRACKED:
        return None
    if slot.infinite:
        return Accepted(target)
    return None if settings.start_tracking else Rejected(target, NOT_COUNTED, UNTRACKED)


def _uncounted(path: str, key: str, jobs: Sequence[Job]) -> Flow[Verdicts]:
    """The verdicts of jobs that must not be written, of those that nobody has looked at yet: Faire is asked
    whether it counts them."""
    asked = [job for job in jobs if job.target.slots[0].token is None]
    if not asked:
        return {}
    query = tuple((key, job.name) for job in asked)
    answer = yield from ask(Request("GET", path, query, limit="read", repeatable=True))
    if not answer.ok:
        return _refused(asked, answer)
    if not isinstance(answer.json(), Mapping):
        return {job.place: Later(job.target, answer.words) for job in asked}
    found = levels(answer.json())
    return {
        job.place: _left_alone(job, job.name in found)
        for job in asked
        if shown(found.get(job.name)).quantity is None
    }


def _left_alone(job: Job, seen: bool) -> Verdict:
    slot = job.target.slots[0]
    if slot.infinite and seen:
        return Accepted(job.target, tokens={slot.location: UNTRACKED})
    return Rejected(job.target, NOT_COUNTED if seen else NOT_SHOWN, UNTRACKED)


def _write(path: str, key: str, jobs: list[Job]) -> Flow[Verdicts]:
    """One call is all or nothing: what a refusal names is taken out, and the rest is said again."""
    verdicts: Verdicts = {}
    jobs, twice = _apart(jobs)
    verdicts |= {job.place: Rejected(job.target, "another target sets the same variant") for job in twice}
    answer = Response(0)
    for _ in range(ROUNDS):
        if not jobs:
            return verdicts
        said = {job.name: {key: job.name, "on_hand_quantity": job.number} for job in jobs}
        call = Request("PATCH", path, json={"inventories": list(said.values())}, limit="write")
        answer = yield from ask(call)
        named = [job for job in jobs if answer.status == 400 and job.name in _named(answer)]
        if not named:
            break
        verdicts |= {job.place: Rejected(job.target, _words(answer), "400") for job in named}
        jobs = [job for job in jobs if job not in named]
    return verdicts | _judged(jobs, answer)


def _apart(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    said: dict[str, int] = {}
    clashing = [job for job in jobs if said.setdefault(job.name, job.number) != job.number]
    return [job for job in jobs if said[job.name] == job.number], clashing


def _words(answer: Response) -> str:
    return text(answer.json(), "message") or answer.words


def _named(answer: Response) -> set[str]:
    """The SKUs that a refusal lists behind its colon."""
    words, _, listed = _words(answer).partition(":")
    return {part.strip(" []\"'") for part in listed.split(",")} if AMBIGUOUS in words else set()


def _judged(jobs: Sequence[Job], answer: Response) -> Verdicts:
    if answer.ok and isinstance(answer.json(), Mapping):
        found = levels(answer.json())
        return {job.place: _verdict(job, found) for job in jobs}
    if answer.ok:
        return {job.place: Unsure(job.target, answer.words) for job in jobs}
    return _refused(jobs, answer)


def _refused(jobs: Sequence[Job], answer: Response) -> Verdicts:
    targets = [job.target for job in jobs]
    if answer.status in NOT_THE_TARGETS:
        answer = Response(503, answer.headers, answer.body)
    if answer.status in (400, 422):
        return {job.place: Whole(job.target, _words(answer), str(answer.status)) for job in jobs}
    return dict(zip((job.place for job in jobs), for_all(targets, answer), strict=True))


def _verdict(job: Job, found: Mapping[str, Any]) -> Verdict:
    """The answer shows the levels as they are now; one that shows others but not this did not take it."""
    level = found.get(job.name)
    if level is None:
        return (
            Rejected(job.target, "Faire's answer does not show it")
            if found
            else Unsure(job.target, "no levels")
        )
    if shown(level).quantity is None:
        return Rejected(job.target, "Faire does not track this variant after the write", UNTRACKED)
    return Accepted(job.target, tokens={job.target.slots[0].location: TRACKED})
