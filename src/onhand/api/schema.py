"""The wire's own types: strict bodies with JSON Pointers for what is wrong, times, cursors, bounds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from onhand import wire, wording
from onhand.api.problems import Problem, fault, invalid
from onhand.stock.model import QUANTITY_LIMIT, TEXT_LIMIT

ID_LIMIT = 2**63 - 1
NAME_LIMIT = 255
SHOWN_LIMIT = 300
CURSOR_LIMIT = 4096
PAGE_DEFAULT, PAGE_LIMIT = 100, 1000
TTL_LIMIT_SECONDS = 366 * 24 * 3600
"""The longest hold and the furthest planned change."""

SECOND = 1_000_000
"""Microseconds."""

Id: TypeAlias = Annotated[int, Meta(ge=1, le=ID_LIMIT)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=TEXT_LIMIT)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=QUANTITY_LIMIT)]
Units: TypeAlias = Annotated[int, Meta(ge=1, le=QUANTITY_LIMIT)]
Delta: TypeAlias = Annotated[int, Meta(ge=-QUANTITY_LIMIT, le=QUANTITY_LIMIT)]
Seconds: TypeAlias = Annotated[int, Meta(ge=1, le=TTL_LIMIT_SECONDS)]
Where: TypeAlias = Id | Name
"""A location: its id, or its name."""

T = TypeVar("T")


class Body(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A request body: what it does not know it refuses. That it leaves out defaults is for `reading`. What
    was read from JSON holds no cycles, so nobody needs to look for them."""


def decode(raw: bytes) -> object:
    """``raw`` as strict JSON. Raises Problem: invalid_json."""
    try:
        return wire.decode(raw)
    except wire.BadBody as bad:
        raise Problem("invalid_json", bad.message) from None


def convert(value: object, kind: type[T]) -> T:
    """A decoded value as this shape. Raises Problem: invalid_body, with a JSON Pointer."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        found = wording.complaint(str(error))
        raise invalid(
            pointer(*(one[:NAME_LIMIT] for one in found.steps)), found.words[:SHOWN_LIMIT]
        ) from None


def pointer(*steps: str | int) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


# --- times ----------------------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def moment(text: str) -> int | None:
    """An RFC 3339 time as microseconds UTC, below 0 before 1970; None if it is not one."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None


def shown(micros: int | None) -> str | None:
    """Microseconds UTC as RFC 3339 with six digits and a Z."""
    if micros is None:
        return None
    return (_EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds")[:26] + "Z"


def ahead(text: str, now: int, at: str) -> int:
    """A time that must lie ahead of ``now``, but not further than `TTL_LIMIT_SECONDS`."""
    micros = moment(text)
    if micros is None:
        raise invalid(at, "Expected a time as in RFC 3339, like 2026-03-01T12:00:00Z")
    latest = now + TTL_LIMIT_SECONDS * SECOND
    if not now < micros <= latest:
        words = f"The time must be later than {shown(now)} and not later than {shown(latest)}"
        raise Problem("moment_out_of_range", words, [fault("moment_out_of_range", words, pointer=at)])
    return micros


# --- cursors ----------------------------------------------------------------------------------------------

_VERSION = 1


def cursor(kind: str, filters: Sequence[object], *position: int | str) -> str:
    """Where a list goes on, for a client to send back; opaque, and good for these filters only."""
    raw = msgspec.json.encode([_VERSION, kind, _digest(filters), *position])
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def position(text: str, kind: str, filters: Sequence[object], shape: Any) -> Any:
    """The position in a cursor, a tuple of type ``shape``. Raises Problem: invalid_cursor."""
    try:
        if len(text) > CURSOR_LIMIT or not text.isascii():
            raise ValueError(text)
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, name, digest, *rest = msgspec.json.decode(raw, type=list[int | str])
        found = msgspec.convert(rest, shape)
    except (ValueError, UnicodeDecodeError, binascii.Error, msgspec.DecodeError):
        raise Problem("invalid_cursor", "This is no cursor of ours") from None
    if (version, name) != (_VERSION, kind):
        raise Problem("invalid_cursor", "This cursor belongs to another list")
    if digest != _digest(filters):
        raise Problem("invalid_cursor", "This cursor was given for other filters")
    return found


def _digest(filters: Sequence[object]) -> str:
    if not filters:
        return ""
    return hashlib.blake2b(repr(tuple(filters)).encode(), digest_size=6).hexdigest()


Position: TypeAlias = Annotated[int, Meta(ge=0, le=ID_LIMIT)]
Key: TypeAlias = Annotated[str, Meta(max_length=TEXT_LIMIT, pattern=r"\A[^\x00]*\Z")]


def missing(code: str, what: str, at: str) -> Problem:
    """Something named in a body that is not there."""
    detail = f"There is no {what}"
    return Problem(code, detail, [fault(code, detail, pointer=at)])
