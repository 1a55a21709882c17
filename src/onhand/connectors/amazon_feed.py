"""Tells Amazon many quantities in one feed, and reads what became of each. Feeds API 2021-06-30.

Feeds of an account are done one after the other. On busy days one waits for hours, and sellers tell of one
that hangs for days and holds up all behind it. So a listing whose feed was not done in time is told by
itself for a while, which another part of Amazon does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

import msgspec

from onhand.connectors.amazon_calls import ANY_TYPE, FEEDS, OWN, Seller, document, issue_words, presigned
from onhand.connectors.flow import (
    Accepted,
    Failed,
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
)
from onhand.connectors.reading import ask, need_text, rows, text, whole
from onhand.connectors.skus import sendable

LARGEST = 999_999
"""Amazon publishes no largest quantity; this one is taken everywhere."""
FEED_MESSAGES = 20_000
"""Amazon takes 25,000 messages and 10 MiB; with the longest SKUs this many stay below both."""
FEED_BYTES = 10 * 1024 * 1024
FEED_TYPE = "JSON_LISTINGS_FEED"
FEED_KIND = "application/json; charset=UTF-8"
WAITING = "IN_QUEUE"
"""The state of a feed that Amazon has not begun; it can be taken back."""
HANGING = "IN_PROGRESS"
LOOK_SECONDS = 20
LOOKS = 90
NOT_FED = "not_fed"
"""The note of a listing whose feed was not done in time: when it was told that, in microseconds UTC."""
NOT_FED_FOR = 6 * 3600 * 1_000_000
"""Microseconds for which no feed is tried again for it."""


class Job(NamedTuple):
    """A target at its place in the batch, ready to be told. ``learned`` are ids found on the way."""

    place: int
    target: Target
    sku: str
    learned: dict[str, str]

    @property
    def kind(self) -> str:
        """The product type to patch under."""
        known = self.learned.get("product_type") or self.target.ids.get("product_type") or ""
        return known if known and sendable(known) else ANY_TYPE

    @property
    def patches(self) -> list[dict[str, Any]]:
        """The one patch. Merging keeps what the entry says of handling time and restocking, which a
        replacement would drop; without its channel code the entry is refused."""
        quantity = max(0, min(self.target.slots[0].offer, LARGEST))
        value = {"fulfillment_channel_code": OWN, "quantity": quantity}
        return [{"op": "merge", "path": "/attributes/fulfillment_availability", "value": [value]}]


Verdicts: TypeAlias = dict[int, Verdict]


def by_itself(target: Target) -> bool:
    """Whether a feed for this listing was not done in time, not long ago."""
    then = target.notes.get(NOT_FED, "")
    return then.isdecimal() and 0 <= target.at - int(then) < NOT_FED_FOR


def _not_fed(jobs: Sequence[Job], words: str) -> Verdicts:
    late = [Later(job.target, words, notes=_noted(job.target)) for job in jobs]
    return _placed(jobs, late)


def _noted(target: Target) -> dict[str, str]:
    return {NOT_FED: str(target.at)} if target.at else {}


def feed(seller: Seller, jobs: Sequence[Job]) -> Flow[Verdicts]:
    """Upload, start and await a feed. Nothing has been told until it is started."""
    targets = [job.target for job in jobs]
    body = _body(seller, jobs)
    if len(body) > FEED_BYTES:
        return _placed(jobs, [Whole(target, "the feed is larger than Amazon takes") for target in targets])
    try:
        uploaded = yield from _upload(body)
    except Failed as failed:
        return _placed(jobs, [Later(target, failed.words, failed.seconds) for target in targets])
    if isinstance(uploaded, Response):
        return _placed(jobs, for_all(targets, uploaded))
    started = yield from ask(_start(seller, uploaded))
    if not started.ok:
        return _placed(jobs, for_all(targets, started))
    try:
        return (yield from _await(need_text(started.json(), "feedId"), jobs))
    except Failed as failed:
        return _placed(jobs, [Unsure(target, failed.words) for target in targets])


def _placed(jobs: Sequence[Job], said: Sequence[Verdict]) -> Verdicts:
    return {job.place: verdict for job, verdict in zip(jobs, said, strict=True)}


def _body(seller: Seller, jobs: Sequence[Job]) -> bytes:
    messages = [
        {
            "messageId": number,
            "sku": job.sku,
            "operationType": "PATCH",
            "productType": job.kind,
            "patches": job.patches,
        }
        for number, job in enumerate(jobs, 1)
    ]
    head = {"sellerId": seller.seller_id, "version": "2.0", "issueLocale": seller.locale}
    return msgspec.json.encode({"header": head, "messages": messages})


def _upload(body: bytes) -> Flow[str | Response]:
    """The id of the document that holds the feed, or the answer that refused it. Raises Failed."""
    call = Request("POST", f"{FEEDS}/documents", json={"contentType": FEED_KIND}, limit="documents")
    made = yield from ask(call)
    if made.silent:
        raise Failed("no answer to a request for room for a feed")
    if not made.ok:
        return made
    found = made.json()
    name, url = need_text(found, "feedDocumentId"), need_text(found, "url")
    put = yield from ask(presigned("PUT", url, body=body, headers=(("Content-Type", FEED_KIND),)))
    if not put.ok:
        raise Failed(f"the feed could not be uploaded: {put.status or 'no answer'}", retry=True)
    return name


def _start(seller: Seller, name: str) -> Request:
    body = {
        "feedType": FEED_TYPE,
        "marketplaceIds": [seller.marketplace_id],
        "inputFeedDocumentId": name,
    }
    return Request("POST", f"{FEEDS}/feeds", json=body, limit="feeds")


def _await(name: str, jobs: Sequence[Job]) -> Flow[Verdicts]:
    """The verdicts when the feed is through. Raises Failed when that cannot be learned."""
    seen = "no status yet"
    path = f"{FEEDS}/feeds/{quote(name, safe='')}"
    for _ in range(LOOKS):
        yield Wait(LOOK_SECONDS)
        answer = yield from ask(Request("GET", path, limit="feed", repeatable=True))
        seen = text(answer.json(), "processingStatus") or answer.words if answer.ok else answer.words
        match seen if answer.ok else "":
            case "DONE":
                report = need_text(answer.json(), "resultFeedDocumentId")
                return _judge(name, (yield from document(FEEDS, report, "results")), jobs)
            case "FATAL":
                words = f"feed {name} was aborted (FATAL)"
                return _placed(jobs, [Whole(job.target, words, "FATAL") for job in jobs])
            case "CANCELLED":
                return _placed(jobs, [Later(job.target, f"feed {name} was cancelled") for job in jobs])
            case _:
                pass
    words = f"feed {name} is still {seen} after {LOOKS * LOOK_SECONDS // 60} minutes"
    if seen == WAITING and (yield from ask(Request("DELETE", path, limit="feed", repeatable=True))).ok:
        # Left in its queue it would set these numbers some day, over those that are told meanwhile.
        return _not_fed(jobs, f"{words}, and was cancelled")
    if seen in (WAITING, HANGING):
        return _not_fed(jobs, words)
    raise Failed(words)


def _judge(name: str, report: bytes, jobs: Sequence[Job]) -> Verdicts:
    """The verdicts of a report. Errors are named by message or by SKU; that the others were accepted is
    believed when the count says so too. Raises Failed."""
    found = Response(200, body=report).json()
    accepted = whole(found, "summary", "messagesAccepted")
    if accepted is None:
        raise Failed(f"the report of feed {name} is not as documented")
    wrong: dict[int, list[Any]] = {}
    by_sku = {job.sku: number for number, job in enumerate(jobs, 1)}
    for issue in rows(found, "issues"):
        number = whole(issue, "messageId") or by_sku.get(text(issue, "sku") or "", 0)
        if text(issue, "severity") == "ERROR":
            wrong.setdefault(number, []).append(issue)
    if 0 in wrong and not accepted:
        # It is not about a message but about the feed: nothing of it was taken.
        words, code = issue_words(wrong[0])
        return _placed(jobs, [Whole(job.target, words, code) for job in jobs])
    complete = accepted == len(jobs) - sum(number in wrong for number in range(1, len(jobs) + 1))
    verdicts: Verdicts = {}
    for number, job in enumerate(jobs, 1):
        if number in wrong:
            verdicts[job.place] = Rejected(job.target, *issue_words(wrong[number]))
        elif complete:
            forgotten = {NOT_FED: ""} if NOT_FED in job.target.notes else {}
            verdicts[job.place] = Accepted(job.target, ids=job.learned, notes=forgotten)
        else:
            verdicts[job.place] = Unsure(job.target, f"feed {name} accepted {accepted} messages")
    return verdicts
