"""The nouns of the ledger, the commands a caller may give, and the refusals it may get back."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

QUANTITY_LIMIT = 10**12
"""No quantity, level or delta may be further from zero than this."""

INFINITE_SHOWN = 999
"""What an infinite level shows where a wire can only carry a number."""

TEXT_LIMIT = 512
"""Characters in a reason, reference or caller."""

Place: TypeAlias = tuple[int, int]
"""(item id, location id): the key of a level inside its account."""


class Value(msgspec.Struct, frozen=True, gc=False):
    """An immutable value of the ledger."""


class Level(Value, frozen=True):
    """Stock of one item at one location. Quantities are units; ``next_expiry`` is microseconds UTC.

    ``next_expiry`` is a lower bound: no hold on this level expires before it.
    ``present`` is False for a level that was never set or was forgotten; it then counts as 0.
    """

    on_hand: int = 0
    reserved: int = 0
    infinite: bool = False
    present: bool = False
    version: int = 0
    next_expiry: int | None = None

    @property
    def available(self) -> int:
        """On hand less reserved; negative when oversold."""
        return self.on_hand - self.reserved

    @property
    def shown(self) -> int:
        """Available as the outside sees it: never below 0, and the cap where stock is infinite."""
        return INFINITE_SHOWN if self.infinite else max(0, self.on_hand - self.reserved)


ABSENT = Level()


class Kind(StrEnum):
    """Why a level changed: one word for each entry of the ledger."""

    COUNTED = "counted"
    ADJUSTED = "adjusted"
    RESERVED = "reserved"
    RELEASED = "released"
    EXPIRED = "expired"
    SHIPPED = "shipped"
    RETURNED = "returned"
    FOUND = "found"
    TRANSFERRED = "transferred"
    INFINITE = "infinite"
    FINITE = "finite"
    FORGOTTEN = "forgotten"


class Movement(Value, frozen=True):
    """One change at one level, not yet numbered: what was added to on_hand and to reserved.

    ``infinite`` and ``present`` are the state afterwards. ``effective_at`` is set only where it
    differs from the time of recording (an expiry that is written late).
    """

    item: int
    location: int
    kind: Kind
    on_hand: int = 0
    reserved: int = 0
    infinite: bool = False
    present: bool = True
    reason: str | None = None
    reference: str | None = None
    effective_at: int | None = None

    @property
    def place(self) -> Place:
        """The level this movement belongs to."""
        return (self.item, self.location)


class HoldLine(Value, frozen=True):
    """What one reservation has at one level. ``held`` is still promised; the rest is history.

    ``kit`` is the item the customer ordered when this line is one of its components, and ``per``
    the units of this component in one kit.
    """

    item: int
    location: int
    held: int
    shipped: int = 0
    released: int = 0
    expired: int = 0
    returned: int = 0
    kit: int | None = None
    per: int = 1

    @property
    def place(self) -> Place:
        """The level this line holds units at."""
        return (self.item, self.location)


class HoldStatus(StrEnum):
    """Where a reservation stands."""

    HELD = "held"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    EXPIRED = "expired"
    RELEASED = "released"


class Reservation(Value, frozen=True):
    """Units promised under a reference. ``expires_at`` is microseconds UTC; None never expires."""

    reference: str
    owner: str
    lines: tuple[HoldLine, ...]
    confirmed: bool = False
    expires_at: int | None = None

    @property
    def status(self) -> HoldStatus:
        """Derived from the counts of the lines, so that it can never disagree with them."""
        if any(line.held for line in self.lines):
            return HoldStatus.CONFIRMED if self.confirmed else HoldStatus.HELD
        if any(line.shipped for line in self.lines):
            return HoldStatus.SHIPPED
        if any(line.expired for line in self.lines):
            return HoldStatus.EXPIRED
        return HoldStatus.RELEASED


# --- commands ---------------------------------------------------------------------------------


class Command(Value, frozen=True, tag=True):
    """What a caller asks of the ledger. Items and locations are internal ids."""


class Floor(StrEnum):
    """Which number a decrease may not take below zero."""

    AVAILABLE = "available"
    ON_HAND = "on_hand"


class SetOnHand(Command, frozen=True):
    """A count: on_hand becomes ``quantity`` (at least 0); reserved stays, so available may turn negative.

    With ``only_absent``, a level that is present stays as it is.
    """

    item: int
    location: int
    quantity: int
    reason: str | None = None
    reference: str | None = None
    only_absent: bool = False


class SetAvailable(Command, frozen=True):
    """Available becomes ``quantity`` (at least 0): on_hand = quantity + reserved.

    With ``expected``, only if the shown number (``Level.shown``) equals it, else `Stale`.
    """

    item: int
    location: int
    quantity: int
    expected: int | None = None
    reason: str | None = None
    reference: str | None = None


class Adjust(Command, frozen=True):
    """Add ``delta`` to on_hand. A decrease that takes ``floor`` below 0 is `Insufficient`.

    Infinite stock stays as it is.
    """

    item: int
    location: int
    delta: int
    floor: Floor = Floor.AVAILABLE
    reason: str | None = None
    reference: str | None = None


class SetInfinite(Command, frozen=True):
    """Switch unlimited stock on or off. While it is on, on_hand is hidden, and only a count changes it."""

    item: int
    location: int
    infinite: bool
    reason: str | None = None
    reference: str | None = None


class Forget(Command, frozen=True):
    """The level becomes absent, which differs from 0. Refused while anything is reserved."""

    item: int
    location: int
    reason: str | None = None
    reference: str | None = None


class Transfer(Command, frozen=True):
    """Move ``quantity`` (> 0) units from ``source`` to ``destination``; floor is available."""

    item: int
    source: int
    destination: int
    quantity: int
    reason: str | None = None
    reference: str | None = None


class Line(Value, frozen=True):
    """A line to reserve: ``quantity`` (> 0) of ``item`` at the first of ``locations`` that has it,
    split over them in order. ``kit`` and ``per`` are filled in when a kit is expanded."""

    item: int
    quantity: int
    locations: tuple[int, ...]
    kit: int | None = None
    per: int = 1


class Part(Value, frozen=True):
    """A part of a reservation: ``quantity`` (> 0) of an item (or kit), at one location if named."""

    item: int
    quantity: int
    location: int | None = None


class Reserve(Command, frozen=True):
    """Promise units under ``reference``; the same reference again replaces its owner's own hold.

    ``expires_at`` is microseconds UTC, None for a hold that does not expire. ``force`` is for a
    channel's facts: what does not fit is reserved at the first location all the same.
    """

    reference: str
    lines: tuple[Line, ...]
    expires_at: int | None = None
    confirmed: bool = False
    force: bool = False
    reason: str | None = None


class Extend(Command, frozen=True):
    """Give a held reservation a new expiry (None: it no longer expires)."""

    reference: str
    expires_at: int | None
    reason: str | None = None


class Confirm(Command, frozen=True):
    """Make a held reservation firm: it no longer expires."""

    reference: str
    reason: str | None = None


class Release(Command, frozen=True):
    """Give promised units back to available; all that is still held when ``parts`` is None."""

    reference: str
    parts: tuple[Part, ...] | None = None
    reason: str | None = None


class Ship(Command, frozen=True):
    """Promised units leave the house; all that is still held when ``parts`` is None.

    An expired hold is checked against what is available now. ``force`` finds missing units first.
    """

    reference: str
    parts: tuple[Part, ...] | None = None
    force: bool = False
    reason: str | None = None


class Return(Command, frozen=True):
    """Shipped units of a reservation come back to on_hand at the level they left."""

    reference: str
    parts: tuple[Part, ...] | None = None
    reason: str | None = None


class Expire(Command, frozen=True):
    """End a held reservation now, as if its time had come."""

    reference: str
    reason: str | None = None


LevelCommand: TypeAlias = SetOnHand | SetAvailable | Adjust | SetInfinite | Forget | Transfer
HoldCommand: TypeAlias = Reserve | Extend | Confirm | Release | Ship | Return | Expire
AnyCommand: TypeAlias = LevelCommand | HoldCommand


# --- refusals ---------------------------------------------------------------------------------


class Refusal(Value, frozen=True, tag=True):
    """Why a command cannot be done, with the arithmetic. A value, never an exception."""


class Stale(Refusal, frozen=True):
    """Compare-and-set failed: the caller expected one number and the ledger shows another."""

    item: int
    location: int
    expected: int
    shown: int


class Insufficient(Refusal, frozen=True):
    """There is not enough: ``wanted`` units were asked for, ``available`` can be had. ``kit`` is what was
    named, where the item is a component of it."""

    item: int
    location: int
    wanted: int
    available: int
    on_hand: int
    reserved: int
    kit: int | None = None


class Unknown(Refusal, frozen=True):
    """Nothing of this ``kind`` ("item", "location", "reservation", "level", "line") has this name."""

    kind: str
    name: str


class Closed(Refusal, frozen=True):
    """The listing the command came through is closed."""

    listing: int


class Expired(Refusal, frozen=True):
    """The hold has run out; ``expired_at`` is microseconds UTC."""

    reference: str
    expired_at: int


class Exists(Refusal, frozen=True):
    """The reference is taken: by one that has gone further, or (``status`` None) by another owner's."""

    reference: str
    status: HoldStatus | None


class TooLarge(Refusal, frozen=True):
    """A quantity, or the level it would lead to, is further from zero than ``limit``."""

    value: int
    limit: int = QUANTITY_LIMIT


class Forbidden(Refusal, frozen=True):
    """The command is well formed but never allowed here; ``why`` is a sentence without a stop."""

    why: str


class Undone(Refusal, frozen=True):
    """Nothing was wrong with this command, but a companion in its group was refused."""


AnyRefusal: TypeAlias = (
    Stale | Insufficient | Unknown | Closed | Expired | Exists | TooLarge | Forbidden | Undone
)
