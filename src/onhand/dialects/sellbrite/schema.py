"""Sellbrite's inventory wire: bodies to changes, changes to commands, and what is wrong with a body."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeGuard

import msgspec

from onhand.stock.model import TEXT_LIMIT, SetAvailable, SetOnHand

RECORDS_LIMIT = 50
QUANTITY_MAX = 2**31 - 1
"""The published type of a quantity is a 32-bit integer."""
COST_MAX = Decimal("99999999.99")
"""The published type of a cost is a decimal of ten digits, two of them cents."""
CENT = Decimal("0.01")
STRING_LIMIT = 255

WAREHOUSE_MISSING = "Warehouse not found"
RECEIVED = "Request received"
CREATED = "Inventory successfully created"
EXISTS = "Inventory already exists"

_DIGITS = re.compile(r"[0-9]{1,10}\Z")
_BLANK = " \t\r\n"
_COST = re.compile(r"[0-9]{1,8}(\.[0-9]{1,20})?\Z")


class Malformed(Exception):
    """A body that is no request at all: 400."""


class Invalid(Exception):
    """A request that fails the validation of the whole call: 422."""


class _Wrong(Exception):
    """What is wrong with a record; whoever knows which one it is says so in front of it."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One validated record. ``warehouse`` is as the client named it; ``quantity`` is units on hand,
    or available where ``available`` is True. ``cost`` is exact decimal text; None was not sent."""

    sku: str
    warehouse: str
    quantity: int
    available: bool = False
    reason: str | None = None
    bin_location: str | None = None
    cost: str | None = None


class Queued(msgspec.Struct, frozen=True):
    """An accepted call as it waits in the inbox: changes, each with the id of its location.

    ``create`` is True for PUT, which makes missing records, and False for PATCH, which skips them.
    """

    create: bool
    changes: tuple[tuple[int, Change], ...]


_decode_queued = msgspec.json.Decoder(Queued).decode


def queued(create: bool, changes: Sequence[Change], locations: Mapping[str, int]) -> str:
    """An accepted call as the text of a message."""
    pairs = tuple((locations[change.warehouse], change) for change in changes)
    return msgspec.json.encode(Queued(create, pairs)).decode()


def unqueued(body: str) -> Queued:
    """The text of a message as the call it was. Raises msgspec.ValidationError for anything else."""
    return _decode_queued(body)


# --- bodies in ----------------------------------------------------------------------------------------


def changes(body: object, *, new: bool = False) -> list[Change]:
    """The records of a PUT or PATCH body, all of them valid, or ``new`` ones. Raises Malformed or Invalid.

    ``{"inventory": record}`` or ``{"inventory": [record, ...]}`` with at most `RECORDS_LIMIT`.
    """
    found = body.get("inventory") if isinstance(body, dict) else None
    if isinstance(found, dict):
        return [_change(found, None, new)]
    if not isinstance(found, list):
        raise Malformed('The body must be an object with the key "inventory": a record, or a list of them')
    if not found:
        raise Invalid("inventory: at least one record is required")
    if len(found) > RECORDS_LIMIT:
        raise Invalid(f"inventory: {len(found)} records, at most {RECORDS_LIMIT} are allowed in one call")
    return [_change(record, at, new) for at, record in enumerate(found)]


def creations(body: object) -> list[Change]:
    """The records of a POST body: as `changes`, but each with on_hand and no two for one place."""
    made = changes(body, new=True)
    seen: set[tuple[str, str]] = set()
    for change in made:
        place = (change.sku, change.warehouse)
        if place in seen:
            raise Invalid(f"{_named('inventory', change.sku)}: appears twice for one warehouse")
        seen.add(place)
    return made


def _change(record: object, at: int | None, new: bool) -> Change:
    """A record, the only one where ``at`` is None; a ``new`` one has no available yet."""
    if not isinstance(record, dict):
        raise Invalid(f"{_name(at)}: must be an object")
    sku = record.get("sku")
    if not _is_text(sku, STRING_LIMIT):
        raise Invalid(f"{_name(at)}: sku is required, a string of 1 to {STRING_LIMIT} characters")
    try:
        return _of_sku(sku, record, new)
    except _Wrong as wrong:
        raise Invalid(f"{_named(_name(at), sku)}: {wrong}") from None


def _of_sku(sku: str, record: Mapping[str, object], new: bool) -> Change:
    warehouse = record.get("warehouse_uuid")
    if not _is_text(warehouse, STRING_LIMIT):
        raise _Wrong(f"warehouse_uuid is required, a string of 1 to {STRING_LIMIT} characters")
    on_hand, available = record.get("on_hand"), record.get("available")
    if new and (on_hand is None or available is not None):
        raise _Wrong("on_hand is required, without available")
    if (on_hand is None) == (available is None):
        raise _Wrong("exactly one of on_hand and available is required")
    field, value = ("on_hand", on_hand) if available is None else ("available", available)
    return Change(
        sku,
        warehouse,
        _quantity(value, field),
        available is not None,
        _optional(record, "description", TEXT_LIMIT) if "description" in record else None,
        _optional(record, "bin_location", STRING_LIMIT) if "bin_location" in record else None,
        _cost(record["cost"]) if "cost" in record else None,
    )


def _name(at: int | None) -> str:
    return "inventory" if at is None else f"inventory[{at}]"


def _named(name: str, sku: str) -> str:
    return f"{name} (sku {sku!r})"


def _is_text(value: object, limit: int) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= limit and filled(value)


def filled(text: str) -> bool:
    """Whether a text has more than blanks, tabs and line ends."""
    return text.strip(_BLANK) != ""


def _quantity(value: object, field: str) -> int:
    if isinstance(value, str) and _DIGITS.match(value):
        value = int(value)
    if type(value) is not int or not 0 <= value <= QUANTITY_MAX:
        raise _Wrong(f"{field} must be a whole number from 0 to {QUANTITY_MAX}")
    return value


def _optional(record: Mapping[str, object], field: str, limit: int) -> str | None:
    value = record.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limit:
        raise _Wrong(f"{field} must be a string of at most {limit} characters")
    return value


def _cost(value: object) -> str | None:
    if value is None:
        return None
    number: Decimal | None = None
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        # The shortest text of a float is what the client wrote, as far as ten digits go.
        number = Decimal(repr(value))
    elif isinstance(value, str) and _COST.match(value):
        number = Decimal(value)
    if number is None or not 0 <= number < COST_MAX + CENT:
        raise _Wrong(f"cost must be a number from 0 to {COST_MAX}")
    return str(min(abs(number.quantize(CENT, ROUND_HALF_UP)), COST_MAX))


# --- to and from the ledger ---------------------------------------------------------------------------


def command(change: Change, item: int, location: int) -> SetOnHand | SetAvailable:
    """What a change asks of the ledger."""
    if change.available:
        return SetAvailable(item, location, change.quantity, reason=change.reason)
    return SetOnHand(item, location, change.quantity, reason=change.reason)


def detail(change: Change) -> str | None:
    """What a change says of its place besides the stock, as JSON text: bin, cost or both; or None."""
    if change.bin_location is None and change.cost is None:
        return None
    sent = {"bin_location": change.bin_location, "cost": change.cost}
    return msgspec.json.encode({name: value for name, value in sent.items() if value is not None}).decode()
