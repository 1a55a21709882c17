"""What a channel is and can do, and its settings with their secrets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

import msgspec


class Value(msgspec.Struct, frozen=True):
    """An immutable value of the channel's side."""


# --- what a channel is ----------------------------------------------------------------------------------


class Meaning(StrEnum):
    """What a quantity means on a channel."""

    AVAILABLE = "available"
    """What can be sold: the channel lowers it itself when it sells."""
    GROSS = "gross"
    """On hand, from which the channel takes its own open orders: we send offer plus committed."""


class Guard(StrEnum):
    """How a write is kept from running over a sale that happened in between."""

    COMPARE = "compare-and-set"
    REVISION = "revision"
    DELTA = "native delta"
    NONE = "none"


class Limit(Value, frozen=True):
    """At most ``calls`` in ``seconds`` on a bucket of this name; ``burst`` at once."""

    name: str
    calls: float
    seconds: float
    burst: int = 1


class Channel(Value, frozen=True):
    """What a channel is and can do; the capability table of the documentation is written from these.

    ``batch`` targets go in one push at most. ``largest`` is the biggest number it can show. ``version``,
    ``document`` and ``checked`` say which API was followed, in which document, and on what day.
    """

    name: str
    title: str
    version: str
    document: str
    checked: str
    settings: type[Any]
    auth: str
    batch: int
    limits: tuple[Limit, ...]
    meaning: Meaning = Meaning.AVAILABLE
    guard: Guard = Guard.NONE
    idempotent: bool = False
    infinite: bool = False
    asynchronous: bool = False
    largest: int = 999_999_999
    pulls: bool = True
    locations: bool = False
    takes_orders: bool = True
    webhooks: bool = False
    refreshes: bool = False
    together: str = ""
    """The name of an id: listings that have it in common are pushed together, all that are linked, also
    when only one of them is stale and even beyond ``batch``. Etsy writes a listing's variations at once."""
    cannot: tuple[str, ...] = ()
    """What it cannot do, a sentence each, for people."""
    identity: tuple[str, ...] = ()
    """The names in `Seen.ids` that together tell a listing from all others; empty: all of them do."""
    futures: bool = False
    """Whether `Target.futures` can be told."""
    parallel: int = 0
    """Requests that may be under way at the same time; 0 is as many as the limits allow."""
    shop: tuple[str, ...] = ()
    """The names of the settings that tell a shop there from all others; empty: all of them together do."""

    def limit(self, name: str) -> Limit:
        """The bucket of this name."""
        return next(limit for limit in self.limits if limit.name == name)


# --- settings -------------------------------------------------------------------------------------------


class Secret:
    """Text that must not be seen: it hides from ``repr``, ``str`` and logs."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for signing and for nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


S = TypeVar("S")


def read_settings(kind: type[S], values: Mapping[str, Any]) -> S:
    """Settings from plain values, checked. Raises msgspec.ValidationError in words, without values."""
    return msgspec.convert(values, kind, dec_hook=_hidden)


def plain_settings(settings: Any) -> dict[str, Any]:
    """Settings as plain values, secrets revealed: to be sealed and stored, never shown."""
    values: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=_revealed)
    return values


def _hidden(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str) and value:
        return Secret(value)
    raise ValueError("Expected text that is not empty")


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"no plain form of {type(value).__name__}")
