"""Tells Shopify quantities: absolute, compared with what it showed, under a key; Admin API 2026-10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from onhand.connectors.auth import fingerprint
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Flow,
    Later,
    Rejected,
    Response,
    Slot,
    Stale,
    Target,
    Unsure,
    Verdict,
    Whole,
    for_all,
)
from onhand.connectors.reading import ask, at, rows, text, whole
from onhand.connectors.shopify_graphql import (
    DENIED,
    LOOK,
    PASSING,
    SET,
    TRACK,
    balance_wait,
    fault,
    levels_of,
    request,
    shown,
)

ENTRIES = 250
"""Quantities in one mutation: Shopify's limit for lists that are given to it."""
ROUNDS = 6
"""How often one mutation is said again without what was refused, or under another key."""
LOOKED_AT = 20
LARGEST = 1_000_000_000
PLAIN_REASON = "correction"
"""The reason that every shop takes; others are passed on and replaced by this one when refused."""
STALE = {"CHANGE_FROM_QUANTITY_STALE", "COMPARE_QUANTITY_STALE"}
BUSY = {"IDEMPOTENCY_CONCURRENT_REQUEST", "SERVICE_UNAVAILABLE"}
NEW_KEY = {"IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"}
CLOSED = {402, 404, 423}
"""A frozen, missing or locked shop: nothing about the targets."""


class Job(NamedTuple):
    """A target at its place in the batch, with what Shopify is to be told."""

    place: int
    target: Target
    entries: tuple[dict[str, Any], ...]


Verdicts: TypeAlias = dict[int, Verdict]


class Judged(NamedTuple):
    """The verdicts of a mutation, and what to change before the rest is said again: key or reason."""

    verdicts: Verdicts
    again: str = ""


def push(settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Set `available`, all slots of a target in one mutation; see `_set` for what a refusal does."""
    verdicts: Verdicts = {}
    jobs: list[Job] = []
    taken: dict[tuple[str, str], int] = {}
    for index, target in enumerate(targets):
        job = Job(index, target, tuple(_entry(target, slot) for slot in target.slots))
        if words := _fault(job, taken):
            verdicts[index] = Rejected(target, words)
        elif target.ids.get("tracked") == "false" and (bad := (yield from _track(target))):
            verdicts[index] = bad
        else:
            jobs.append(job)
            taken |= {_pair(entry): entry["quantity"] for entry in job.entries}
    for reason in dict.fromkeys(job.target.reason or PLAIN_REASON for job in jobs):
        alike = [job for job in jobs if (job.target.reason or PLAIN_REASON) == reason]
        for group in _packed(alike):
            verdicts |= yield from _set(group, reason)
    return [verdicts[index] for index in range(len(targets))]


def _entry(target: Target, slot: Slot) -> dict[str, Any]:
    expected = slot.acknowledged if slot.observed is None else slot.observed
    return {
        "inventoryItemId": _gid("InventoryItem", target.ids.get("inventory_item", "")),
        "locationId": _gid("Location", slot.location or ""),
        "quantity": min(slot.offer, LARGEST),
        # Has to be sent even when it is null, which means: whatever is there.
        "changeFromQuantity": expected,
    }


def _gid(kind: str, name: str) -> str:
    """A global id; bare numbers are taken too."""
    return f"gid://shopify/{kind}/{name}" if name.isascii() and name.isdigit() else name


def _pair(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["inventoryItemId"], entry["locationId"]


def _fault(job: Job, taken: Mapping[tuple[str, str], int]) -> str:
    """Why a target cannot be said at all; several variants may share one inventory item."""
    if not job.target.ids.get("inventory_item"):
        return "the listing has no inventory item"
    if not job.entries or not all(entry["locationId"] for entry in job.entries):
        return "the listing names no location; Shopify keeps stock by location"
    if len(job.entries) > ENTRIES:
        return f"the listing has {len(job.entries)} locations; {ENTRIES} go in one call"
    if any(taken.get(_pair(entry), entry["quantity"]) != entry["quantity"] for entry in job.entries):
        return "another listing sets another number for the same inventory item and location"
    return ""


def _track(target: Target) -> Flow[Verdict | None]:
    """Quantities of an item that is not tracked are kept and ignored: begin to track it."""
    answer = (yield request(TRACK, {"id": _gid("InventoryItem", target.ids["inventory_item"])})) or Response(
        0
    )
    if bad := _undone(answer, [target]):
        return bad[0]
    result = at(answer.json(), "data", "inventoryItemUpdate")
    if errors := rows(result, "userErrors"):
        return Rejected(target, text(errors[0], "message") or answer.words, "not_tracked")
    return None if at(result, "inventoryItem", "tracked") is True else Unsure(target, answer.words)


def _packed(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs in groups of at most so many entries; a pair that is named twice counts twice."""
    groups: list[list[Job]] = []
    room = 0
    for job in jobs:
        if len(job.entries) > room:
            groups.append([])
            room = ENTRIES
        groups[-1].append(job)
        room -= len(job.entries)
    return groups


def _set(jobs: list[Job], reason: str) -> Flow[Verdicts]:
    """One mutation is all or nothing and names what it refuses: that is taken out and the rest said again.
    A number that moved is looked up, so that the next attempt starts from what Shopify shows."""
    verdicts: Verdicts = {}
    salt = 0
    for _ in range(ROUNDS):
        entries = list({_pair(entry): entry for job in jobs for entry in job.entries}.values())
        sent = {"name": "available", "reason": reason, "quantities": entries}
        answer = yield from ask(request(SET, {"input": sent, "key": _key(jobs, sent, salt)}))
        judged = _judge(jobs, entries, answer, reason)
        verdicts |= judged.verdicts
        jobs = [job for job in jobs if job.place not in verdicts]
        if not jobs:
            break
        salt += judged.again == "key"
        reason = PLAIN_REASON if judged.again == "reason" else reason
    verdicts |= {job.place: Stale(job.target, words="refused again and again") for job in jobs}
    return (yield from _looked_up(verdicts))


def _key(jobs: Sequence[Job], sent: Mapping[str, Any], salt: int) -> str:
    """The same when the same is said again after a silence, another as soon as anything differs: also when
    the same number is said because someone changed it back."""
    said = [(job.target.key, slot.acknowledged, slot.token) for job in jobs for slot in job.target.slots]
    return fingerprint(msgspec.json.encode([said, sent, salt]).decode())


def _undone(answer: Response, targets: Sequence[Target]) -> list[Verdict] | None:
    """Verdicts when the answer as a whole says that nothing was done, or says nothing."""
    if answer.status in CLOSED:
        return [Later(target, answer.words) for target in targets]
    if not answer.ok:
        return for_all(targets, answer)
    if wrong := fault(answer):
        words = f"{wrong.code} {wrong.words}".strip()
        if wrong.code in PASSING or wrong.code in DENIED:
            return [Later(target, words, balance_wait(answer)) for target in targets]
        return [Whole(target, words, wrong.code) for target in targets]
    if not isinstance(at(answer.json(), "data"), Mapping):
        return [Unsure(target, answer.words) for target in targets]
    return None


def _judge(jobs: list[Job], entries: list[dict[str, Any]], answer: Response, reason: str) -> Judged:
    """What the answer to one mutation means for its jobs."""
    targets = [job.target for job in jobs]
    if (undone := _undone(answer, targets)) is not None:
        return Judged({job.place: verdict for job, verdict in zip(jobs, undone, strict=True)})
    result = at(answer.json(), "data", "inventorySetQuantities")
    if not isinstance(at(result, "userErrors"), list):
        return Judged({job.place: Unsure(job.target, answer.words) for job in jobs})
    errors = rows(result, "userErrors")
    if not errors:
        return Judged({job.place: _accepted(job.target) for job in jobs})
    codes = {text(error, "code") or "" for error in errors}
    if codes & BUSY:
        return Judged({job.place: Later(job.target, _words(errors[0])) for job in jobs})
    if codes & NEW_KEY:
        return Judged({}, "key")
    if "INVALID_REASON" in codes and reason != PLAIN_REASON:
        return Judged({}, "reason")
    verdicts: Verdicts = {}
    for error in errors:
        verdicts |= {job.place: _refused(job.target, error) for job in _named(jobs, entries, error)}
    first = errors[0]
    return Judged(
        verdicts or {job.place: Whole(job.target, _words(first), text(first, "code") or "") for job in jobs}
    )


def _named(jobs: list[Job], entries: list[dict[str, Any]], error: Mapping[str, Any]) -> list[Job]:
    """The jobs that an error points at, by the path of its field: input, quantities, 0, quantity."""
    place = whole(error, "field", 2)
    if at(error, "field", 1) != "quantities" or place is None or not 0 <= place < len(entries):
        return []
    pair = _pair(entries[place])
    return [job for job in jobs if any(_pair(entry) == pair for entry in job.entries)]


def _refused(target: Target, error: Mapping[str, Any]) -> Verdict:
    code = text(error, "code") or ""
    return Stale(target, words=_words(error)) if code in STALE else Rejected(target, _words(error), code)


def _words(error: Mapping[str, Any]) -> str:
    return f"{text(error, 'code') or ''} {text(error, 'message') or ''}".strip() or "refused without words"


def _accepted(target: Target) -> Accepted:
    tracked = target.ids.get("tracked") == "false"
    return Accepted(target, ids={"tracked": "true"} if tracked else {})


def _looked_up(verdicts: Verdicts) -> Flow[Verdicts]:
    """The same, stale ones with the numbers that Shopify shows, as far as it tells them."""
    stale = {index: verdict for index, verdict in verdicts.items() if isinstance(verdict, Stale)}
    names = sorted({_gid("InventoryItem", v.target.ids["inventory_item"]) for v in stale.values()})
    levels: dict[str, dict[str | None, int]] = {}
    for some in (names[start : start + LOOKED_AT] for start in range(0, len(names), LOOKED_AT)):
        answer = yield from ask(request(LOOK, {"ids": some}))
        for row in rows(answer.json(), "data", "nodes"):
            try:
                found = [shown(level) for level in (yield from levels_of(row))]
            except Failed:
                continue
            levels[text(row, "id") or ""] = {s.location: s.quantity for s in found if s.quantity is not None}
    for index, verdict in stale.items():
        seen = levels.get(_gid("InventoryItem", verdict.target.ids["inventory_item"]), {})
        verdicts[index] = Stale(verdict.target, seen, verdict.words)
    return verdicts
