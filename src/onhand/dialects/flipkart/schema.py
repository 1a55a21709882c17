"""Inventory updates: wire body to groups of commands, what became of them to the wire answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, assert_never

import msgspec

from onhand.attributes import PRODUCT_ID_LONGEST, PRODUCT_ID_SHORTEST
from onhand.dialects.flipkart.codes import WARNING, BadRequest, Code, Fault, per_sku
from onhand.stock.ledger import Refused
from onhand.stock.model import (
    ABSENT,
    INFINITE_SHOWN,
    QUANTITY_LIMIT,
    AnyRefusal,
    Closed,
    Exists,
    Expired,
    Forbidden,
    Insufficient,
    Level,
    Place,
    SetAvailable,
    Stale,
    TooLarge,
    Undone,
    Unknown,
)
from onhand.wire import is_int
from onhand.work import Companion, Group, Outcome, PutDetail

DIALECT = "flipkart"
SKUS_LIMIT = 10
ENABLED, DISABLED = "ENABLED", "DISABLED"
STATUS_DETAIL, PENDING_DETAIL = "flipkart_status", "flipkart_pending"
"""Kinds of detail kept about (listing, location): several listings may be of one item."""

_STATUS_BODY = {status: f'{{"status":"{status}"}}' for status in (ENABLED, DISABLED)}


class Spot(msgspec.Struct, frozen=True):
    """What a request says of one location: ``at`` is where it stands, ``id`` is Flipkart's.

    ``inventory`` None leaves the stock alone, ``pending`` None says nothing. Of an entry with faults only
    ``at`` and ``id`` count.
    """

    at: int
    id: str
    inventory: int | None
    status: str
    pending: int | None


class Asked(msgspec.Struct, frozen=True):
    """One SKU's update as far as it can be read without knowing the catalogue; where there are no faults,
    each location is one of ``spots``, and once."""

    sku: str
    product_id: str | None
    spots: tuple[Spot, ...]
    faults: tuple[Fault, ...]


class Offer(NamedTuple):
    """A listing as the rules see it. ``product_id`` None accepts any. ``open`` is as it was read: a commit
    may close a listing that ``closes`` with its level."""

    listing: int
    item: int
    product_id: str | None
    inactive: bool = False
    archived: bool = False
    open: bool = True
    closes: bool = False


class Change(msgspec.Struct, frozen=True):
    """An update that may go to the ledger; ``aims`` has the spot of each command of ``group``, ``places`` the
    level."""

    sku: str
    group: Group
    aims: tuple[Spot, ...]
    places: tuple[Place, ...]
    warnings: tuple[Fault, ...]


# --- reading ------------------------------------------------------------------------------------------


def envelope(body: object) -> list[Asked]:
    """The updates of a request body, in its order. Raises BadRequest for what is no map of 1 to 10 SKUs."""
    if not isinstance(body, dict):
        raise BadRequest(Code.NOT_A_MAP, "The body must be an object that maps SKUs to their updates")
    if not body:
        raise BadRequest(Code.NO_SKUS, "The body must name at least one SKU")
    if len(body) > SKUS_LIMIT:
        raise too_many(len(body))
    return [read(sku, value) for sku, value in body.items()]


def too_many(count: int) -> BadRequest:
    """The refusal of more SKUs than one request may name."""
    return BadRequest(Code.TOO_MANY_SKUS, f"Batch size {count} exceeds the maximum of {SKUS_LIMIT}")


def read(sku: str, value: object) -> Asked:
    """One SKU's update; whatever is wrong with it is in its faults."""
    if not isinstance(value, dict):
        return Asked(sku, None, (), (Fault(Code.NOT_AN_UPDATE, "The update must be an object"),))
    faults: list[Fault] = []
    product_id = _product_id(value.get("product_id"), faults)
    spots = _spots(value.get("locations"), faults)
    return Asked(sku, product_id, spots, tuple(faults))


def _product_id(value: object, faults: list[Fault]) -> str | None:
    name = "product_id"
    if value is None:
        faults.append(Fault(Code.REQUIRED, "is required", name, name))
    elif not isinstance(value, str):
        faults.append(Fault(Code.NOT_A_STRING, "must be a string", name, name))
    elif not PRODUCT_ID_SHORTEST <= len(value) <= PRODUCT_ID_LONGEST:
        words = f"must have {PRODUCT_ID_SHORTEST} to {PRODUCT_ID_LONGEST} characters"
        faults.append(Fault(Code.LENGTH, words, name, name))
    else:
        return value
    return None


def _spots(value: object, faults: list[Fault]) -> tuple[Spot, ...]:
    name = "locations"
    if value is None:
        faults.append(Fault(Code.REQUIRED, "is required", name, name))
    elif not isinstance(value, list):
        faults.append(Fault(Code.NOT_A_LIST, "must be a list", name, name))
    elif not value:
        faults.append(Fault(Code.EMPTY, "must have at least one location", name, name))
    else:
        found: list[Spot] = []
        faulty: list[Spot] = []
        for at, one in enumerate(value):
            before = len(faults)
            spot = _spot(at, one, faults)
            if spot is not None:
                (found if len(faults) == before else faulty).append(spot)
        # Whether a location is known can be told of a faulty entry, too; whether it contradicts cannot.
        return (*(_distinct(found, faults) if len(found) > 1 else found), *faulty)
    return ()


def _spot(at: int, value: object, faults: list[Fault]) -> Spot | None:
    """What an entry says; None for one that names no location."""
    if not isinstance(value, dict):
        faults.append(Fault(Code.NOT_A_LOCATION, "must be an object", "locations", f"locations[{at}]"))
        return None
    name = value.get("id")
    if name is None:
        faults.append(Fault(Code.REQUIRED, "is required", "id", _path(at, "id")))
    elif not isinstance(name, str):
        faults.append(Fault(Code.NOT_A_STRING, "must be a string", "id", _path(at, "id")))
    status, inventory, pending = value.get("status"), value.get("inventory"), value.get("pending_inventory")
    if status is not None:
        status = _status(status, at, faults)
    if inventory is not None:
        inventory = _quantity(inventory, "inventory", at, faults)
    elif status is None:
        # The published class has status as its one required field besides id, and the seller's page has
        # inventory; so a location that says neither says nothing.
        faults.append(Fault(Code.REQUIRED, "is required", "inventory", _path(at, "inventory")))
    if pending is not None:
        pending = _quantity(pending, "pending_inventory", at, faults)
    if not isinstance(name, str):
        return None
    # An update without a status makes the listing buyable at the location (Flipkart's release notes).
    return Spot(at, name, inventory, status or ENABLED, pending)


def _path(at: int, name: str) -> str:
    return f"locations[{at}].{name}"


def _status(value: object, at: int, faults: list[Fault]) -> str | None:
    if isinstance(value, str) and value in _STATUS_BODY:
        return value
    words = f"must be {ENABLED} or {DISABLED}"
    faults.append(Fault(Code.NOT_A_STATUS, words, "status", _path(at, "status")))
    return None


def _quantity(value: object, name: str, at: int, faults: list[Fault]) -> int | None:
    if not is_int(value) or value < 0:
        faults.append(Fault(Code.NOT_A_QUANTITY, "must be a non-negative integer", name, _path(at, name)))
    elif value > QUANTITY_LIMIT:
        faults.append(Fault(Code.TOO_LARGE, f"must be at most {QUANTITY_LIMIT}", name, _path(at, name)))
    else:
        return value
    return None


def _distinct(spots: Sequence[Spot], faults: list[Fault]) -> tuple[Spot, ...]:
    """The locations are a set on this wire: equal entries are one, contradicting ones an error."""
    seen: dict[str, Spot] = {}
    for spot in spots:
        first = seen.setdefault(spot.id, spot)
        if first is not spot and msgspec.structs.replace(first, at=spot.at) != spot:
            words = f"contradicts locations[{first.at}], which has the same id"
            faults.append(Fault(Code.CONTRADICTION, words, "id", _path(spot.at, "id")))
    return tuple(seen.values())


# --- deciding what goes to the ledger -------------------------------------------------------------------


def settle(asked: Asked, offer: Offer | None, places: Mapping[str, int]) -> Change | tuple[Fault, ...]:
    """The change that ``asked`` leads to, or everything that is wrong with it.

    ``places`` has our location ids by Flipkart's, for the locations that this seller has.
    """
    faults = list(asked.faults)
    if offer is None:
        faults.append(Fault(Code.NO_LISTING, "No listing exists for the given SKU"))
    elif asked.product_id is not None and offer.product_id not in (None, asked.product_id):
        words = "is not the product of this listing"
        faults.append(Fault(Code.OTHER_PRODUCT, words, "product_id", "product_id"))
    for spot in asked.spots:
        if spot.id not in places:
            faults.append(_unknown(spot))
    if faults or offer is None:
        return tuple(faults)
    item, aims = offer.item, asked.spots
    commands: list[SetAvailable] = []
    also: list[Companion] = []
    levels: list[Place] = []
    for spot in asked.spots:
        location = places[spot.id]
        also += _notes(offer, location, spot)
        if spot.inventory is not None:
            commands.append(SetAvailable(item, location, spot.inventory))
            levels.append((item, location))
    if len(commands) < len(aims):
        aims = tuple([spot for spot in aims if spot.inventory is not None])
    warnings = _warnings(offer) if offer.inactive or offer.archived else ()
    return Change(asked.sku, Group(tuple(commands), also=tuple(also)), aims, tuple(levels), warnings)


def _unknown(spot: Spot) -> Fault:
    words = "is not a location of this seller"
    return Fault(Code.UNKNOWN_LOCATION, words, "id", _path(spot.at, "id"))


def _notes(offer: Offer, location: int, spot: Spot) -> list[Companion]:
    body = _STATUS_BODY[spot.status]
    notes: list[Companion] = [PutDetail(DIALECT, STATUS_DETAIL, offer.listing, location, body)]
    if spot.pending is not None:
        body = f'{{"pending_inventory":{spot.pending}}}'
        notes.append(PutDetail(DIALECT, PENDING_DETAIL, offer.listing, location, body))
    return notes


def _warnings(offer: Offer) -> tuple[Fault, ...]:
    found = []
    if offer.inactive:
        words = "The inventory was updated, but the listing is inactive"
        found.append(Fault(Code.INACTIVE, words, severity=WARNING))
    if offer.archived:
        words = "The inventory was updated, but the listing is archived"
        found.append(Fault(Code.ARCHIVED, words, severity=WARNING))
    return tuple(found)


# --- answering ------------------------------------------------------------------------------------------


def failed(faults: Sequence[Fault]) -> dict[str, Any]:
    """The answer for a SKU that was not changed."""
    return per_sku("FAILURE", faults)


def answered(change: Change, outcome: Outcome, levels: Mapping[Place, Level]) -> dict[str, Any]:
    """The answer for a SKU that went to the ledger; ``levels`` has those of its places."""
    if isinstance(outcome, Refused):
        return failed([refused(outcome.refusal, change.aims[outcome.index])])
    warnings = list(change.warnings)
    for spot, place in zip(change.aims, change.places, strict=True):
        if levels.get(place, ABSENT).infinite:
            words = f"The inventory at {spot.id} is kept; stock there has no end and shows {INFINITE_SHOWN}"
            warnings.append(Fault(Code.ENDLESS, words, severity=WARNING))
    return per_sku("WARNING" if warnings else "SUCCESS", warnings)


def refused(refusal: AnyRefusal, spot: Spot) -> Fault:
    """A refusal of the ledger, at the location whose command met it, in Flipkart's words."""
    match refusal:
        case TooLarge(_, limit):
            words = f"leads to a level beyond {limit}"
            return Fault(Code.TOO_LARGE, words, "inventory", _path(spot.at, "inventory"))
        case Unknown("location", _):
            return _unknown(spot)
        case Unknown("item", _):
            return Fault(Code.NO_LISTING, "No listing exists for the given SKU")
        case Forbidden(why):
            return Fault(Code.REFUSED, f"{why[:1].upper()}{why[1:]}")
        case Closed():
            return Fault(Code.REFUSED, "The listing is closed")
        case Stale() | Insufficient() | Unknown() | Expired() | Exists() | Undone():
            return Fault(Code.CHANGED, "The stock was changed meanwhile: try again")
        case _:
            assert_never(refusal)
