"""The words between us and Walmart: calls with their limits, and its several ways to say that it will not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from onhand.connectors.auth import fingerprint
from onhand.connectors.channel import Limit
from onhand.connectors.flow import Pairs, Request, Response
from onhand.connectors.reading import at, moment, rows, said_at, text, whole

SERVICE = "Walmart Marketplace"
LIMITS = (
    Limit("default", calls=60, seconds=60, burst=10),
    Limit("put inventory", calls=200, seconds=60, burst=100),
    Limit("put inventories", calls=200, seconds=60, burst=100),
    Limit("get inventories", calls=200, seconds=60, burst=100),
    Limit("feeds", calls=50, seconds=3600, burst=5),
    Limit("feed status", calls=5000, seconds=60, burst=100),
    Limit("orders", calls=5000, seconds=60, burst=100),
    Limit("ship nodes", calls=50, seconds=60, burst=10),
)
LONGEST_HOLD = 600.0
UNTOLD_HOLD = 5.0
"""Seconds to wait when the bucket is empty and the answer does not say until when."""
XML_CODE = re.compile(r"<(?:\w+:)?code>([^<]{1,80})<")


def get(path: str, query: Pairs, limit: str) -> Request:
    """A question."""
    return Request("GET", path, query=query, limit=limit, repeatable=True)


def inventory_path(sku: str) -> str:
    """Where a SKU's nodes are."""
    return f"/v3/inventories/{quote(sku, safe='')}"


def correlation(nonce: str) -> str:
    """A nonce in the form of a UUID."""
    digits = fingerprint(nonce)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def errors(body: Any) -> list[Mapping[str, Any]]:
    """The errors of a body: a list under ``errors`` or ``error``, or one inside the other."""
    return rows(body, "errors") or rows(body, "error") or rows(body, "errors", "error")


def words(error: Mapping[str, Any]) -> str:
    """An error for a person."""
    said = text(error, "description") or text(error, "message") or text(error, "info") or ""
    where = text(error, "field") or ""
    return f"{code(error)} {said}{f' ({where})' if where else ''}".strip() or "refused without words"


def code(error: Mapping[str, Any]) -> str:
    """The code of an error."""
    return text(error, "code") or ""


def refusal(answer: Response) -> tuple[str, str]:
    """Words and code of a refusal, in JSON or in XML."""
    if found := errors(answer.json()):
        return "; ".join(words(error) for error in found[:5]), code(found[0])
    told = XML_CODE.search(answer.body[:2000].decode("utf-8", "replace"))
    return answer.words, told.group(1) if told else str(answer.status)


def amount(row: Any, name: str) -> int | None:
    """A quantity with its unit; None when it is missing or no whole number."""
    return whole(row, name, "amount")


def when(value: Any, *path: str | int) -> int | None:
    """A time, which Walmart writes as milliseconds since 1970 or as ISO 8601, in microseconds."""
    millis = whole(value, *path)
    return millis * 1000 if millis is not None else moment(value, *path)


def hold(answer: Response) -> float | None:
    """Seconds until the bucket of this call is filled again, once it is empty."""
    left = whole(answer.headers.get("x-current-token-count"))
    if answer.status != 429 and (left is None or left > 0):
        return None
    filled, now = when(answer.headers.get("x-next-replenishment-time")), said_at(answer)
    if filled is None or now is None:
        return UNTOLD_HOLD
    return min(LONGEST_HOLD, max(0.0, (filled - now) / 1_000_000))


def nothing_said(answer: Response, *path: str | int) -> bool:
    """Whether an answer that should have a list at a path has none."""
    return not isinstance(at(answer.json(), *path), list)
