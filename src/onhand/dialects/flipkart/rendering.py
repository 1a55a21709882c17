"""How a listing is shown: our item, its levels and what the dialect keeps about it, as Flipkart prints it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from onhand.dialects.flipkart.schema import DISABLED, ENABLED, SKUS_LIMIT, Offer, too_many
from onhand.stock.model import ABSENT, Level, Place
from onhand.store.catalog import SKU_LIMIT, Item
from onhand.store.channels import Link, Listing

CURRENCY = "INR"
FULFILLMENT = "NON_FBF"

Details = Mapping[tuple[int, int], Mapping[str, Any]]
"""What is kept by (listing, location)."""


class Asked(NamedTuple):
    """The SKUs of a request for listings: those that can be one, and those that cannot, as text."""

    skus: list[str]
    invalid: list[str]


class Shelf(NamedTuple):
    """All that the listings of one request are shown from. ``names`` has Flipkart's id by location."""

    link: Link
    items: Mapping[int, Item]
    levels: Mapping[Place, Level]
    statuses: Details
    pending: Details
    names: Mapping[int, str]


def offer(listing: Listing) -> Offer:
    """What the rules need to know of a listing; that it is not open makes it inactive where that counts."""
    told = listing.attributes
    inactive = told.get("listing_status") == "INACTIVE"
    archived = told.get("archived_status") == "ARCHIVED"
    product_id = told.get("product_id")
    is_open, closes = listing.status == "open", listing.closes_at_zero
    return Offer(listing.id, listing.item, product_id, inactive, archived, is_open, closes)


def asked(raw: bytes) -> Asked:
    """The SKUs of a path segment, still percent-encoded; a comma parts them, encoded or not.

    Raises BadRequest for more than ten. A SKU that holds a comma cannot be asked for.
    """
    parts = unquote_to_bytes(raw).split(b",")
    if len(parts) > SKUS_LIMIT:
        raise too_many(len(parts))
    good: dict[str, None] = {}
    bad: dict[str, None] = {}
    for part in parts:
        text = part.decode("utf-8", "replace")
        fits = 0 < len(text) <= SKU_LIMIT and "\0" not in text and text.encode() == part
        (good if fits else bad)[text] = None
    return Asked(list(good), list(bad))


def answer(found: Asked, listings: Mapping[str, Listing], shelf: Shelf | None) -> dict[str, Any]:
    """The answer to a request for listings; empty sets are left out."""
    available = {sku: listing(listings[sku], shelf) for sku in found.skus if shelf and sku in listings}
    unavailable = [sku for sku in found.skus if sku not in available]
    body: dict[str, Any] = {"available": available}
    if unavailable:
        body["unavailable"] = unavailable
    if found.invalid:
        body["invalid"] = found.invalid
    return body


def listing(one: Listing, shelf: Shelf) -> dict[str, Any]:
    """One listing with its locations."""
    seen, told = offer(one), one.attributes
    # Clients take it from here for their updates, where an empty one fails; any is taken there.
    product_id = seen.product_id or f"ONHAND{one.id:010d}"
    return {
        "listing_id": told.get("listing_id") or f"LST{product_id}{one.id:06d}",
        "product_id": product_id,
        "price": _price(told.get("price"), shelf.items.get(one.item)),
        "listing_status": "INACTIVE" if seen.inactive or one.status != "open" else "ACTIVE",
        "fulfillment_profile": told.get("fulfillment_profile") or FULFILLMENT,
        "archived_status": "ARCHIVED" if seen.archived else "NONE",
        "locations": locations(one, shelf),
    }


def locations(one: Listing, shelf: Shelf) -> list[dict[str, Any]]:
    """Where the listing is offered: locations it was written for, and those that hold stock of the item."""
    found = []
    for number in shelf.link.locations:
        place = (one.id, number)
        status, level = shelf.statuses.get(place), shelf.levels.get((one.item, number))
        if number not in shelf.names or (status is None and level is None):
            continue
        shown = {
            "id": shelf.names[number],
            "status": DISABLED if status and status.get("status") == DISABLED else ENABLED,
            "inventory": (level or ABSENT).shown,
        }
        found.append(shown | dict(shelf.pending.get(place, {})))
    return found


def _price(told: Any, item: Item | None) -> dict[str, Any]:
    """The listing's own price, else the item's in whole units: this wire has no fractions."""
    if isinstance(told, dict):
        return told
    try:
        units = max(0, int(Decimal((item.price if item else None) or "0")))
    except (InvalidOperation, ValueError, OverflowError):
        units = 0
    return {"mrp": units, "selling_price": units, "currency": (item.currency if item else None) or CURRENCY}
