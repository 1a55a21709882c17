"""What one published API alone is told of an item or a listing: the fields that it reads, typed and bounded.

Dialects read these fields and our own API writes them; neither imports the other, so they meet here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from onhand import wording

NAME_LIMIT = 255
TEXT_LIMIT = 2048
ENTRIES_LIMIT = 100
PRICE_LIMIT = 10**12
PRODUCT_ID_SHORTEST, PRODUCT_ID_LONGEST = 13, 16
"""Characters in Flipkart's id of a product."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=TEXT_LIMIT)]
Units: TypeAlias = Annotated[int, Meta(ge=0, le=PRICE_LIMIT)]
Currency: TypeAlias = Annotated[str, Meta(pattern=wording.CURRENCY, max_length=3)]
ProductId: TypeAlias = Annotated[str, Meta(min_length=PRODUCT_ID_SHORTEST, max_length=PRODUCT_ID_LONGEST)]


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields to keep: what is left out stays as it is, null forgets."""


class MarketplacerItem(Told, frozen=True, kw_only=True):
    """An item as Marketplacer's variant."""

    multi_store: bool | UnsetType | None = UNSET
    external_id: Name | UnsetType | None = UNSET
    notes: Text | UnsetType | None = UNSET


class ItemAttributes(Told, frozen=True, kw_only=True):
    """Of an item, by API."""

    marketplacer: MarketplacerItem | UnsetType | None = UNSET


class FlipkartPrice(Told, frozen=True, kw_only=True):
    """A listing's price in whole units of its currency; told as a whole."""

    mrp: Units
    selling_price: Units
    currency: Currency


class FlipkartListing(Told, frozen=True, kw_only=True):
    """A listing as Flipkart shows it."""

    product_id: ProductId | UnsetType | None = UNSET
    listing_id: Name | UnsetType | None = UNSET
    price: FlipkartPrice | UnsetType | None = UNSET
    listing_status: Literal["ACTIVE", "INACTIVE"] | UnsetType | None = UNSET
    fulfillment_profile: Literal["FBF", "FBF_LITE", "NON_FBF"] | UnsetType | None = UNSET
    archived_status: Literal["ARCHIVED", "NONE"] | UnsetType | None = UNSET


class TrackstarListing(Told, frozen=True, kw_only=True):
    """A listing as Trackstar's product; its tags and fields are told as a whole."""

    external_system_url: Text | UnsetType | None = UNSET
    trackstar_tags: Annotated[list[Name], Meta(max_length=ENTRIES_LIMIT)] | UnsetType | None = UNSET
    additional_fields: Annotated[dict[Name, Name], Meta(max_length=ENTRIES_LIMIT)] | UnsetType | None = UNSET


class ListingAttributes(Told, frozen=True, kw_only=True):
    """Of a listing, by API; only that of its connection can be told anything."""

    flipkart: FlipkartListing | UnsetType | None = UNSET
    trackstar: TrackstarListing | UnsetType | None = UNSET


def named(told: ListingAttributes) -> list[str]:
    """The APIs that ``told`` says something to."""
    return [name for name, value in msgspec.structs.asdict(told).items() if value is not UNSET]


def updated(kept: Mapping[str, Any], told: Told | UnsetType) -> dict[str, Any]:
    """``kept`` as it is after ``told``; what has nothing left is gone."""
    found = dict(kept)
    for name, value in msgspec.structs.asdict(told).items() if isinstance(told, Told) else ():
        new = updated(found.get(name, {}), value) or None if isinstance(value, Told) else value
        if new is None:
            found.pop(name, None)
        elif new is not UNSET:
            found[name] = new
    return found
