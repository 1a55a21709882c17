"""What fake channels share: faults that can be switched on, a clock, headers, bodies, proofs, pages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

T = TypeVar("T")

START = datetime(2026, 11, 22, tzinfo=UTC)


def reply(status: int, value: Any = None, headers: Mapping[str, str] = {}) -> Response:
    """An answer with a JSON body, or none."""
    body = b"" if value is None else json.dumps(value).encode()
    return Response(status, {"content-type": "application/json", **headers}, body)


class Refused(Exception):
    """Raised anywhere inside a fake to answer at once."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.words)
        self.answer = answer


@dataclass
class Faults:
    """The next so many requests are throttled, fail with a 503, or are done and never answered."""

    throttle: int = 0
    fail: int = 0
    lose: int = 0

    def meet(self, throttled: Response, handle: Callable[[], Response]) -> Response:
        """The answer of ``handle``, or the fault that stands in its way. `Refused` becomes its answer."""
        if self.throttle:
            self.throttle -= 1
            return throttled
        if self.fail:
            self.fail -= 1
            return Response(503, {"content-type": "text/html"}, b"<html>Service Unavailable</html>")
        try:
            answer = handle()
        except Refused as refused:
            answer = refused.answer
        if self.lose:
            self.lose -= 1
            return Response(0)
        return answer


@dataclass
class Clock:
    """The channel's own clock: every reading is a second later than the one before."""

    seconds: int = 0

    def tick(self) -> datetime:
        """A new moment."""
        self.seconds += 1
        return START + timedelta(seconds=self.seconds)


class WallClock(Clock):
    """The clock of a channel that goes with ours, ``off`` by so much: it can be put forward and back."""

    def __init__(self, off: timedelta) -> None:
        self.off = off

    def tick(self) -> datetime:
        """What it shows."""
        return datetime.now(UTC) + self.off


def iso(moment: datetime) -> str:
    """2026-11-22T00:00:01Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micros(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


# --- requests -------------------------------------------------------------------------------------------


def header(wire: Wire, name: str) -> str:
    """A header, whatever the case of its name; empty when absent."""
    return next((value for key, value in wire.headers.items() if key.lower() == name.lower()), "")


def query(wire: Wire) -> dict[str, str]:
    """The query; a name may be given once."""
    names = [name for name, _ in wire.query]
    assert len(set(names)) == len(names), f"a name twice in the query: {names}"
    return dict(wire.query)


def body(wire: Wire) -> Any:
    """The JSON body, None when it is none."""
    try:
        return json.loads(wire.body)
    except ValueError:
        return None


def form(wire: Wire) -> dict[str, str]:
    """The form body."""
    return dict(parse_qsl(wire.body.decode(), keep_blank_values=True))


def unknown(value: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """Fields that the channel does not know."""
    return sorted(set(value) - set(known))


def whole(value: Any) -> bool:
    """Whether a JSON value is an integer (true is not)."""
    return isinstance(value, int) and not isinstance(value, bool)


# --- proofs ---------------------------------------------------------------------------------------------


def basic_of(wire: Wire) -> tuple[str, str]:
    """User and password of an Authorization header; two empty ones when there is none."""
    scheme, _, coded = header(wire, "authorization").partition(" ")
    if scheme != "Basic":
        return "", ""
    user, _, password = base64.b64decode(coded).decode().partition(":")
    return user, password


def bearer_of(wire: Wire) -> str:
    """The bearer token, empty when there is none."""
    scheme, _, token = header(wire, "authorization").partition(" ")
    return token if scheme == "Bearer" else ""


def hmac_base64(secret: bytes, message: bytes, digest: str = "sha256") -> str:
    """base64(HMAC)."""
    return base64.b64encode(hmac.new(secret, message, digest).digest()).decode()


def hmac_hex(secret: bytes, message: bytes) -> str:
    """hex(HMAC-SHA256)."""
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


# --- pages ----------------------------------------------------------------------------------------------


def page(rows: Sequence[T], start: int, size: int) -> tuple[Sequence[T], int | None]:
    """The rows from ``start`` on, and where the next page begins (None at the end)."""
    end = start + size
    return rows[start:end], end if end < len(rows) else None


# --- what the contract test is given --------------------------------------------------------------------


class Example(NamedTuple):
    """What a test needs to know of a channel to speak to it: every fake has one, called EXAMPLE.

    ``settings`` are plain values in which every secret is a long text that occurs nowhere else; ``ids`` are
    those of the n-th listing, ``location`` that of its slot.
    """

    settings: Mapping[str, Any]
    ids: Callable[[int], dict[str, str]]
    location: str | None = None
