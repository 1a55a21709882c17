"""Tells Magento through its message queue, an operation a target, and waits for what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

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
    Wait,
    Whole,
    for_all,
    retry_after,
)
from onhand.connectors.magento_calls import Settings, get, words
from onhand.connectors.reading import ask, at, rows, text, whole

LOOKS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 120.0)
"""Seconds before each look at an outcome: five minutes in all."""

ELSEWISE = "the numbers of the shop's operations do not tell which is which: set bulk to false"

Items: TypeAlias = Sequence[Mapping[str, Any]]


def tell_in_bulk(settings: Settings, jobs: Sequence[tuple[Target, Items]]) -> Flow[list[Verdict]]:
    """A verdict a job, in order; what the queue has not done within five minutes is unsure."""
    if not jobs:
        return []
    path = "/V1/async/bulk/inventory/source-items"
    if settings.auth != "ims":
        path = "/default/async/bulk/V1/inventory/source-items"
    body = [{"sourceItems": list(items)} for _, items in jobs]
    answer = yield from ask(Request("POST", path, json=body))
    targets = [target for target, _ in jobs]
    told = answer.json()
    bulk = text(told, "bulk_uuid")
    if not answer.ok or bulk is None:
        return _not_taken(targets, answer)
    verdicts: dict[int, Verdict] = {}
    names: list[str] = []
    for n, target in enumerate(targets):
        row = at(told, "request_items", n)
        names.append(text(row, "id") or str(n))
        if text(row, "status") == "rejected":
            verdicts[n] = Rejected(target, text(row, "error_message") or "rejected without words")
    return (yield from _outcome(bulk, targets, names, verdicts))


def _not_taken(targets: Sequence[Target], answer: Response) -> list[Verdict]:
    if answer.ok:
        return [Unsure(target, words(answer)) for target in targets]
    if answer.status in (404, 405, 409):
        return [Later(target, words(answer), retry_after(answer)) for target in targets]
    if answer.status in (400, 413, 422):
        return [Whole(target, words(answer), str(answer.status)) for target in targets]
    return for_all(targets, answer)


def _outcome(
    bulk: str, targets: Sequence[Target], names: Sequence[str], verdicts: dict[int, Verdict]
) -> Flow[list[Verdict]]:
    """Look again and again, each time later, until every operation has an end."""
    last = Response(0)
    for seconds in LOOKS:
        if len(verdicts) == len(targets):
            break
        yield Wait(seconds)
        last = yield from ask(get(f"/V1/bulk/{quote(bulk, safe='')}/detailed-status"))
        if not last.ok:
            continue
        done = {text(row, "id"): row for row in rows(last.json(), "operations_list")}
        if not done.keys() <= set(names):
            # Older shops show numbers of their database here, and such a one may be that of another of ours.
            return [verdicts.get(n, Unsure(target, ELSEWISE)) for n, target in enumerate(targets)]
        for n, target in enumerate(targets):
            verdict = _verdict(target, done.get(names[n]))
            if n not in verdicts and verdict is not None:
                verdicts[n] = verdict
    open_still = f"the queue has not done it yet: {last.words}"
    return [verdicts.get(n, Unsure(target, open_still)) for n, target in enumerate(targets)]


def _verdict(target: Target, row: Mapping[str, Any] | None) -> Verdict | None:
    """What became of an operation; None while it is open."""
    said = text(row, "result_message") or "failed without words"
    match whole(row, "status"):
        case 1:
            return Accepted(target)
        case 2:
            return Later(target, said)
        case 3 | 5:
            return Rejected(target, said, text(row, "error_code") or "")
        case _:
            return None
