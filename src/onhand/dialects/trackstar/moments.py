"""Times on the wire: RFC 3339 text to microseconds and back to whole seconds in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 1_000_000
"""Microseconds."""

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.(\d{1,40}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_KEPT = 4096
_LEAP_SECOND = 60
_END = 253_402_300_800 * SECOND
"""The year 10000: what is kept must be shown in UTC again, by whichever API it is asked for."""


def parse(text: str) -> int | None:
    """Microseconds UTC of an RFC 3339 date-time with its offset; None when it is none, and when in UTC
    it is past the year 9999.

    A leap second counts as the second after it.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    day, clock, seconds, fraction, sign, hours, minutes = found.groups()
    leap = int(seconds) == _LEAP_SECOND
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        return None
    try:
        at = datetime.fromisoformat(f"{day}T{clock}:{'59' if leap else seconds}+00:00")
    except ValueError:
        return None
    micros = (at - _EPOCH) // timedelta(microseconds=1)
    micros += SECOND if leap else int((fraction or "0")[:6].ljust(6, "0"))
    offset = (int(hours or 0) * 60 + int(minutes or 0)) * 60 * SECOND
    micros += offset if sign == "-" else -offset
    return micros if micros < _END else None


def show(micros: int) -> str:
    """``YYYY-MM-DDTHH:MM:SSZ``; what is less than a second is cut off."""
    return _show(micros // SECOND)


@lru_cache(_SHOWN_KEPT)
def _show(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
