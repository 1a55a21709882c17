"""What is handed to the one door of the ledger, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from onhand.stock.ledger import Entry, Refused
from onhand.stock.model import AnyCommand, Level, Place, Reservation


class PutPrice(msgspec.Struct, frozen=True, tag=True):
    """Price and sale price of an item at one seller, as exact decimal text or None.

    What is UNSET stays as it is in the database, whoever wrote it last.
    """

    item: int
    seller: int
    price: str | UnsetType | None = UNSET
    sale_price: str | UnsetType | None = UNSET
    currency: str | UnsetType | None = UNSET


class PutDetail(msgspec.Struct, frozen=True, tag=True):
    """What a dialect keeps about (item, other), as JSON text; None deletes it.

    ``kind`` says what ``other`` is, for instance a location. With ``part`` the body is an object of texts and
    numbers, and its members alone are put: the others stay as they are in the database, whoever wrote them.
    """

    dialect: str
    kind: str
    item: int
    other: int
    body: str | None
    part: bool = False


class SetStatus(msgspec.Struct, frozen=True, tag=True):
    """A listing becomes ``open`` or ``closed``."""

    listing: int
    status: str


class Plan(msgspec.Struct, frozen=True, tag=True):
    """Commands to be recorded at ``due`` (microseconds UTC) and not before."""

    due: int
    commands: tuple[AnyCommand, ...]
    context: str | None = None


class PutOrder(msgspec.Struct, frozen=True, tag=True):
    """A channel's order as it stands now: a row of `orders`.

    ``lines`` is its kept state as JSON, ``took`` what the channel did to its own slots (listing, slot,
    units sold, change in its open units; ``gross`` where it counts them) by its clock, which is ``off`` by
    so many microseconds, ``news`` incidents to open.
    With ``reserves``, levels that it leaves oversold become incidents, whose losers ``loses`` chooses.
    """

    connection: int
    external_id: str
    reference: str
    name: str
    updated: int
    holds: bool
    lines: str
    waiting: bool = False
    took: tuple[tuple[int, str | None, int, int], ...] = ()
    gross: bool = False
    off: int = 0
    news: tuple[tuple[str, dict[str, Any]], ...] = ()
    reserves: bool = False
    loses: str = "newest"


Companion: TypeAlias = PutPrice | PutDetail | SetStatus | Plan | PutOrder
"""A write that is not stock but stands or falls with the commands of its group."""


class Group(msgspec.Struct, frozen=True, gc=False):
    """Commands that are all done or none. ``listing`` must be open for them to be allowed.

    ``existing`` True is refused (Unknown "level") unless every level the commands touch is present,
    False (Forbidden) unless none is; None does not look. ``expect`` are the versions that levels must
    have before the first command: another is refused as `Stale`, with versions for numbers. ``caller`` asks
    for it where that is not the caller of its work.
    """

    commands: tuple[AnyCommand, ...]
    listing: int | None = None
    also: tuple[Companion, ...] = ()
    existing: bool | None = None
    expect: tuple[tuple[Place, int], ...] = ()
    caller: str | None = None


class Key(msgspec.Struct, frozen=True):
    """An idempotency key: the same ``scope`` and ``key`` are answered once.

    ``fingerprint`` is a digest of what was asked; the same key for something else is a conflict.
    """

    scope: str
    key: str
    fingerprint: str


class Answer(msgspec.Struct, frozen=True):
    """A wire answer that is kept under an idempotency key: status, body text, headers."""

    status: int
    body: str
    headers: dict[str, str] = {}


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A group that was done: its movements with the levels they led to, and their first ``seq``.

    ``seq`` numbers them without gaps; a group that changed nothing has no entries. ``ends`` says for
    each command how many of the entries were there after it.
    """

    entries: tuple[Entry, ...]
    seq: int
    ends: tuple[int, ...] = ()


class Conflict(msgspec.Struct, frozen=True):
    """The idempotency key was used before for something else."""


Outcome: TypeAlias = Accepted | Refused

NOTHING: Mapping[Any, Any] = MappingProxyType({})
"""An empty mapping that nobody can fill."""


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """What became of a `Work`.

    ``outcomes`` has one entry a group. ``levels`` holds every level touched or watched, as this work
    left it, ``holds`` the reservations it asked for, and ``known`` names those of them that were there
    before. ``seq`` is the account's last movement this work saw. ``replay`` is set, and the rest empty,
    when the key was known; ``fresh`` is the answer that was just made and kept. ``done_before`` is True
    when what it consumes was consumed already, ``outdated`` when a reservation is not as the work has
    ``seen`` it: then every group is refused as `Undone`.
    """

    outcomes: tuple[Outcome, ...] = ()
    levels: Mapping[Place, Level] = NOTHING
    seq: int = 0
    recorded_at: int = 0
    replay: Answer | Conflict | None = None
    fresh: Answer | None = None
    done_before: bool = False
    outdated: bool = False
    holds: Mapping[str, Reservation] = NOTHING
    known: frozenset[str] = frozenset()


class Arrival(msgspec.Struct, frozen=True):
    """A received message, to be kept until whoever applies ``source`` has applied it."""

    source: str
    principal: str
    body: str


class Work(msgspec.Struct, frozen=True):
    """One request to the ledger: groups that are independent of one another, in one commit.

    ``watch`` names levels whose state the answer needs, ``holds`` reservations that its commands
    name and whose state it needs. ``answer`` makes the wire answer that is
    stored under ``key`` in the same transaction; an answer with a status of 400 or more is not kept.
    ``consume`` are inbox messages, ``plan`` a planned change, that this work ends: it is done only
    if they were still there. ``mirror`` allows writing at mirrored locations. ``seen`` are reservations
    (None: there was none) that the groups were made from, and not for a planned change: if one is another by
    now, nothing is done and no message consumed.
    """

    account: int
    groups: tuple[Group, ...]
    caller: str
    key: Key | None = None
    answer: Callable[[Recorded], Answer] | None = None
    watch: tuple[Place, ...] = ()
    consume: tuple[int, ...] = ()
    plan: int | None = None
    mirror: bool = False
    context: str | None = None
    holds: tuple[str, ...] = ()
    seen: tuple[tuple[str, Reservation | None], ...] = ()
