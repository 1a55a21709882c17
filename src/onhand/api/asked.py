"""What a change may ask, as it is written on the wire, and the ledger's commands that it becomes."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from onhand.api.schema import (
    Body,
    Count,
    Delta,
    Id,
    Name,
    Seconds,
    Text,
    Units,
    Where,
)
from onhand.stock.model import Floor

CHANGES_LIMIT = 10_000
"""Changes in one request."""

LINES_LIMIT = 1000
"""Lines of one reservation."""

LOCATIONS_LIMIT = 100
"""Locations that one line may draw on."""


# --- the wire -------------------------------------------------------------------------------------------


_ENDS = {"source": "from", "destination": "to"}


class Sellable(Body, frozen=True, kw_only=True):
    """An item by its id or its SKU, one of the two."""

    item: Id | None = None
    sku: Name | None = None


class Change(Sellable, frozen=True, kw_only=True, tag_field="op"):
    """A change of one item's stock."""

    reason: Text | None = None
    reference: Text | None = None


class SetOnHand(Change, frozen=True, kw_only=True, tag="set_on_hand"):
    """A count: so many units are there."""

    location: Where
    quantity: Count


class SetAvailable(Change, frozen=True, kw_only=True, tag="set_available"):
    """So many units can be sold; with ``expected`` only if so many could be until now."""

    location: Where
    quantity: Count
    expected: Count | None = None


class Adjust(Change, frozen=True, kw_only=True, tag="adjust"):
    """So many units more or less."""

    location: Where
    delta: Delta
    floor: Floor = Floor.AVAILABLE


class SetInfinite(Change, frozen=True, kw_only=True, tag="set_infinite"):
    """Stock without end, or with one again."""

    location: Where
    infinite: bool


class Forget(Change, frozen=True, kw_only=True, tag="forget"):
    """There is no level here any more; that differs from 0."""

    location: Where


class Transfer(
    Change, frozen=True, kw_only=True, tag="transfer", rename={"source": "from", "destination": "to"}
):
    """Units move from one location to another."""

    source: Where
    destination: Where
    quantity: Units


class Line(Sellable, frozen=True, kw_only=True):
    """A line to reserve, at one location or at the first of several that have it."""

    quantity: Units
    location: Where | None = None
    locations: Annotated[list[Where], Meta(min_length=1, max_length=LOCATIONS_LIMIT)] | None = None


class Part(Sellable, frozen=True, kw_only=True):
    """A part of a reservation."""

    quantity: Units
    location: Where | None = None


Lines: TypeAlias = Annotated[list[Line], Meta(min_length=1, max_length=LINES_LIMIT)]
Parts: TypeAlias = Annotated[list[Part], Meta(min_length=1, max_length=LINES_LIMIT)]


class Until(Body, frozen=True, kw_only=True):
    """How long: one of the two; a null ``expires_at`` is for ever."""

    ttl_seconds: Seconds | None = None
    expires_at: str | UnsetType | None = UNSET


class ReserveBody(Until, frozen=True, kw_only=True):
    """What POST /reservations takes, and the change that is named reserve."""

    reference: Text
    lines: Lines
    confirmed: bool = False
    reason: Text | None = None


class ExtendBody(Until, frozen=True, kw_only=True):
    """A new expiry."""

    reason: Text | None = None


class PartsBody(Body, frozen=True, kw_only=True):
    """All of a reservation, or parts of it."""

    lines: Parts | None = None
    reason: Text | None = None


class ConfirmBody(Body, frozen=True, kw_only=True):
    """Nothing but a reason."""

    reason: Text | None = None


class Reserve(ReserveBody, frozen=True, kw_only=True, tag_field="op", tag="reserve"):
    """Promise units under a reference."""


class Extend(ExtendBody, frozen=True, kw_only=True, tag_field="op", tag="extend"):
    """Give a hold a new expiry."""

    reference: Text


class Confirm(ConfirmBody, frozen=True, kw_only=True, tag_field="op", tag="confirm"):
    """Make a hold firm."""

    reference: Text


class Release(PartsBody, frozen=True, kw_only=True, tag_field="op", tag="release"):
    """Give promised units back."""

    reference: Text


class Ship(PartsBody, frozen=True, kw_only=True, tag_field="op", tag="ship"):
    """Promised units leave."""

    reference: Text


class Return(PartsBody, frozen=True, kw_only=True, tag_field="op", tag="return"):
    """Shipped units come back."""

    reference: Text


LevelChange: TypeAlias = SetOnHand | SetAvailable | Adjust | SetInfinite | Forget | Transfer
HoldChange: TypeAlias = Reserve | Extend | Confirm | Release | Ship | Return
AnyChange: TypeAlias = LevelChange | HoldChange
Changes: TypeAlias = Annotated[list[AnyChange], Meta(min_length=1, max_length=CHANGES_LIMIT)]
