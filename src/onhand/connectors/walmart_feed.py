"""Tells Walmart many quantities at once: an MP_INVENTORY feed of version 1.5, followed until it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from onhand.connectors.auth import fingerprint
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
)
from onhand.connectors.reading import ask, need_rows, rows, text, units
from onhand.connectors.walmart_calls import errors, get, hold, nothing_said, words

POLLS = (5, 10, 15, 30, 60, 60, 120, 120, 180, 300, 300, 300, 300)
"""Seconds before each look at a feed; half an hour in all, then it is sent anew."""
PAGE = 50
DONE = {"PROCESSED", "ERROR"}
PASSING = {"TIMEOUT_ERROR", "SYSTEM_ERROR", "INPROGRESS", "RECEIVED"}
"""States of an item that are not its own fault."""


class FeedItem(NamedTuple):
    """A SKU and the number of each of its nodes."""

    sku: str
    nodes: tuple[tuple[str, int], ...]


def tell_feed(items: Sequence[FeedItem], targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Verdicts, one an item, once Walmart has worked through the feed: that it takes one means nothing."""
    sent, media = multipart(_content(items))
    answer = yield from ask(
        Request(
            "POST",
            "/v3/feeds",
            (("feedType", "MP_INVENTORY"),),
            body=sent,
            headers=(("Content-Type", media),),
            limit="feeds",
        )
    )
    if answer.status == 429:
        return [Later(target, answer.words, hold(answer)) for target in targets]
    if not answer.ok:
        return for_all(targets, answer)
    if (name := text(answer.json(), "feedId")) is None:
        found = errors(answer.json())
        told = words(found[0]) if found else answer.words
        return [Whole(target, told, "feed") if found else Unsure(target, told) for target in targets]
    done = yield from _followed(name)
    if done is None:
        return [Unsure(target, f"feed {name} is still being worked on") for target in targets]
    listed = yield from _details(name, done)
    if listed is None:
        return [Unsure(target, f"feed {name} is done, its details are not to be had") for target in targets]
    failed = text(done.json(), "feedStatus") == "ERROR"
    return [
        _judged(target, listed.get(item.sku, []), name, failed)
        for item, target in zip(items, targets, strict=True)
    ]


def _content(items: Sequence[FeedItem]) -> dict[str, Any]:
    """The file. A list nested in another way is taken with a 200, and then every item fails."""
    inventory = [
        {
            "sku": item.sku,
            "shipNodes": [
                {"shipNode": name, "quantity": {"unit": "EACH", "amount": count}}
                for name, count in item.nodes
            ],
        }
        for item in items
    ]
    return {"inventoryHeader": {"version": "1.5"}, "inventory": inventory}


def multipart(content: Any) -> tuple[bytes, str]:
    """A form with one JSON file, and its media type. The boundary is drawn from the file, so that the same
    is said in the same bytes."""
    raw = msgspec.json.encode(content)
    boundary = f"onhand-{fingerprint(raw.hex())}"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="inventory.json"\r\n'
        "Content-Type: application/json\r\n\r\n"
    )
    tail = f"\r\n--{boundary}--\r\n"
    return head.encode() + raw + tail.encode(), f"multipart/form-data; boundary={boundary}"


def _look(name: str, offset: int) -> Request:
    query = (("includeDetails", "true"), ("offset", str(offset)), ("limit", str(PAGE)))
    return get(f"/v3/feeds/{quote(name, safe='')}", query, "feed status")


def _followed(name: str) -> Flow[Response | None]:
    """The first answer that says that the feed is done; None when it is not in time."""
    for seconds in POLLS:
        yield Wait(seconds)
        answer = yield from ask(_look(name, 0))
        if answer.ok and text(answer.json(), "feedStatus") in DONE:
            return answer
        if answer.status in (401, 403, 404):
            return None
    return None


def _details(name: str, first: Response) -> Flow[dict[str, list[Mapping[str, Any]]] | None]:
    """What became of each SKU, over all pages; a SKU may come once for each node."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    answer, offset = first, 0
    while True:
        if nothing_said(answer, "itemDetails", "itemIngestionStatus"):
            return found if offset == 0 and answer.ok else None
        page = need_rows(answer.json(), "itemDetails", "itemIngestionStatus")
        for row in page:
            found.setdefault(text(row, "sku") or "", []).append(row)
        offset += PAGE
        if not page or offset >= units(first.json(), "itemsReceived"):
            return found
        answer = yield from ask(_look(name, offset))


def _judged(target: Target, states: Sequence[Mapping[str, Any]], name: str, failed: bool) -> Verdict:
    if not states:
        told = f"feed {name} says nothing of this SKU"
        return Whole(target, told, "feed") if failed else Unsure(target, told)
    wrong = [row for row in states if (text(row, "ingestionStatus") or "").upper() != "SUCCESS"]
    if not wrong:
        return Accepted(target)
    found = rows(wrong[0], "ingestionErrors", "ingestionError") or rows(wrong[0], "ingestionErrors")
    state = text(wrong[0], "ingestionStatus") or "without a state"
    told = "; ".join(words(error) for error in found) or f"feed {name}: {state}"
    return Later(target, told) if state in PASSING else Rejected(target, told, state)
