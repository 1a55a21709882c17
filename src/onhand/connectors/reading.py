"""Reads what a channel says without trusting its shape: paths, counts, texts and times. Pure."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from onhand.connectors.flow import Failed, Request, Response, Wait

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
WIDEST = 10**18
"""No number of a channel's is further from 0; there is room to add to it within 64 bits."""
LATEST = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // MICROSECOND


def ask(request: Request) -> Generator[Request | Wait, Response | None, Response]:
    """Send a request from within a flow, as ``yield from ask(...)``; no answer is one of status 0."""
    answer = yield request
    return answer if answer is not None else Response(0)


def at(value: Any, *path: str | int) -> Any:
    """What lies at a path of names and positions; None when anything on the way is missing."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text(value: Any, *path: str | int) -> str | None:
    """A text that is not empty, or an integer as text (ids come as both); None for anything else. U+0000 is
    left out: PostgreSQL keeps none."""
    match at(value, *path):
        case str(found) if found:
            return found.replace("\0", "") or None
        case bool():
            return None
        case int(found):
            return str(found)
        case _:
            return None


def whole(value: Any, *path: str | int) -> int | None:
    """A whole number; None for anything else, also for true and for 1.5. 3.0 and "3" are 3: some
    channels write whole numbers so. What is beyond `WIDEST` is brought to it: a database keeps no more."""
    match at(value, *path):
        case bool():
            return None
        case int(found):
            return max(-WIDEST, min(found, WIDEST))
        case float(found) if found.is_integer():
            return max(-WIDEST, min(int(found), WIDEST))
        case str(found) if found.lstrip("-").isascii() and found.lstrip("-").isdigit() and len(found) < 16:
            return int(found) if found.count("-") <= 1 else None
        case _:
            return None


def units(value: Any, *path: str | int) -> int:
    """A count that is at least 0; 0 when there is none."""
    return max(0, whole(value, *path) or 0)


def rows(value: Any, *path: str | int) -> list[Mapping[str, Any]]:
    """The objects of a list; empty when there is no list."""
    found = at(value, *path)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def need_rows(value: Any, *path: str | int) -> list[Mapping[str, Any]]:
    """The objects of a list that must be there. Raises Failed: a missing list is not an empty one."""
    if not isinstance(at(value, *path), list):
        where = ".".join(map(str, path)) or "it"
        raise Failed(f"the channel's answer is not as documented: {where} is no list", retry=True)
    return rows(value, *path)


def need_text(value: Any, *path: str | int) -> str:
    """A text that must be there. Raises Failed."""
    found = text(value, *path)
    if found is None:
        where = ".".join(map(str, path)) or "it"
        raise Failed(f"the channel's answer is not as documented: {where} is missing", retry=True)
    return found


# --- times ----------------------------------------------------------------------------------------------


def moment(value: Any, *path: str | int) -> int | None:
    """An ISO 8601 time as microseconds since 1970 UTC; a time without a zone is taken as UTC."""
    found = at(value, *path)
    if not isinstance(found, str):
        return None
    try:
        when = datetime.fromisoformat(found)
        aware = when if when.tzinfo else when.replace(tzinfo=UTC)
        return (aware - EPOCH) // MICROSECOND
    except (ValueError, OverflowError):
        return None


def iso(micros: int) -> str:
    """Microseconds since 1970 as 2026-11-22T00:00:00Z, in whole seconds rounded down; what is before 1970 or
    after 9999 is brought to the nearer end, so that these texts sort as the times do."""
    when = EPOCH + timedelta(microseconds=max(0, min(micros, LATEST)))
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=64)
def dated(words: str) -> int | None:
    """A header's date in microseconds since 1970 UTC, also one that names no zone; None for what is none."""
    try:
        when = parsedate_to_datetime(words)
        return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND
    except (ValueError, IndexError, TypeError, OverflowError):
        return None


def said_at(answer: Response) -> int | None:
    """The channel's own clock, in microseconds since 1970 UTC, from the Date header of its answer."""
    return dated(answer.headers.get("date", ""))


def now_there(answer: Response) -> int:
    """`said_at`, for a poll that must begin somewhere. Raises Failed: to begin at 1970 instead would take
    every old order for a new one."""
    found = said_at(answer)
    if found is None:
        raise Failed("the channel's answer has no date to begin from", retry=True)
    return found
