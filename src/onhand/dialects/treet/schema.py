"""Treet's wire without HTTP: bodies and queries to values, values and refusals to bodies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias, assert_never

import msgspec

from onhand.stock.model import (
    QUANTITY_LIMIT,
    Adjust,
    AnyRefusal,
    Closed,
    Exists,
    Expired,
    Forbidden,
    Insufficient,
    Level,
    SetAvailable,
    Stale,
    TooLarge,
    Undone,
    Unknown,
)
from onhand.wire import is_int

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
SHOWN_CHARACTERS_MAX = 40
STATES = {"OPEN": "open", "CLOSED": "closed"}

SET, ADJUST = "SET_INVENTORY", "ADJUST_INVENTORY"

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")
_CURSOR = re.compile(r"[1-9][0-9]{0,17}")


class Invalid(Exception):
    """A request that Treet answers with 400; the message is the sentence of its error body."""


class SetInventory(msgspec.Struct, frozen=True):
    """Compare-and-set: ``new`` units if the listing shows ``old``."""

    old: int
    new: int


class AdjustInventory(msgspec.Struct, frozen=True):
    """``delta`` units more, or fewer when it is negative."""

    delta: int


Update: TypeAlias = SetInventory | AdjustInventory


class Query(NamedTuple):
    """Which listings to list: a status of ours or "" for all, how many, behind which listing."""

    status: str
    limit: int
    after: int


def listing_id(text: str) -> str:
    """A listing's uuid in lower case. Raises Invalid."""
    if not _UUID.fullmatch(text):
        raise Invalid("The listing id must be a UUID")
    return text.lower()


def update(body: object) -> Update:
    """The update that a body asks for; fields of the other action are ignored. Raises Invalid."""
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object")
    match body.get("action"):
        case "SET_INVENTORY":
            return SetInventory(_units(body, "oldInventory", SET, 0), _units(body, "newInventory", SET, 0))
        case "ADJUST_INVENTORY":
            return AdjustInventory(_units(body, "inventoryAdjustment", ADJUST, -QUANTITY_LIMIT))
        case None if "action" not in body:
            raise Invalid(f"action is required: {SET} or {ADJUST}")
        case other:
            raise Invalid(f"action must be {SET} or {ADJUST}, not {_shown(other)}")


def _units(body: Mapping[str, object], name: str, action: str, least: int) -> int:
    value = body.get(name)
    if is_int(value) and least <= value <= QUANTITY_LIMIT:
        return value
    if name not in body:
        raise Invalid(f"{name} is required for {action}")
    if not is_int(value):
        raise Invalid(f"{name} must be a whole number, not {_shown(value)}")
    if value < least and least == 0:
        raise Invalid(f"{name} must be at least 0, not {_shown(value)}")
    raise Invalid(f"{name} must be between {least} and {QUANTITY_LIMIT}, not {_shown(value)}")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}…"


def command(asked: Update, item: int, location: int) -> SetAvailable | Adjust:
    """The update as a command at the level that the listing is bound to."""
    match asked:
        case AdjustInventory():
            return Adjust(item, location, asked.delta)
        case SetInventory():
            return SetAvailable(item, location, asked.new, expected=asked.old)
        case _:
            assert_never(asked)


def updated(name: str, level: Level) -> dict[str, object]:
    """The body of an update that was done."""
    return {"id": name, "availableInventory": level.shown}


def refused(refusal: AnyRefusal) -> str:
    """Why an update was not done, with the arithmetic."""
    match refusal:
        case Stale():
            return f"Expected {refusal.expected} but the listing has {refusal.shown}"
        case Insufficient():
            return f"Cannot subtract {refusal.wanted}: the listing has {max(0, refusal.available)}"
        case Closed():
            return "The listing is closed"
        case TooLarge():
            return f"The inventory would be {refusal.value}; the most a listing can have is {refusal.limit}"
        case Unknown():
            return f"The {refusal.kind} of the listing is gone"
        case Forbidden():
            return f"The listing cannot be updated: {refusal.why}"
        case Expired() | Exists() | Undone():
            return "The listing cannot be updated"
        case _:
            assert_never(refusal)


# --- the list -----------------------------------------------------------------------------------------


def query(given: Sequence[tuple[str, str]]) -> Query:
    """The query of a list request; names that the API does not know are ignored. Raises Invalid."""
    found: dict[str, str] = {}
    for name, value in given:
        if name in found:
            raise Invalid(f"{name} is given more than once")
        if name in ("state", "limit", "after"):
            found[name] = value
    state, limit = found.get("state"), found.get("limit", str(LIMIT_DEFAULT))
    if state is not None and state not in STATES:
        raise Invalid("state must be OPEN or CLOSED")
    if not _LIMIT.fullmatch(limit) or int(limit) > LIMIT_MAX:
        raise Invalid(f"limit must be a whole number from 1 to {LIMIT_MAX}")
    after = _behind(found["after"]) if "after" in found else 0
    return Query("" if state is None else STATES[state], int(limit), after)


def cursor(number: int) -> str:
    """Where a page ends, for ``after``; clients take it as it is."""
    return str(number)


def _behind(text: str) -> int:
    if not _CURSOR.fullmatch(text):
        raise Invalid("after must be the endCursor of an earlier answer")
    return int(text)


class Entry(NamedTuple):
    """A listing as the list shows it; ``number`` is its place in the order."""

    number: int
    name: str
    open: bool
    level: Level
    sku: str | None
    title: str | None


def page(entries: Sequence[Entry], limit: int) -> dict[str, object]:
    """The body of a list; ``entries`` holds one more than ``limit`` when there is a further page."""
    shown = entries[:limit]
    return {
        "listings": [_entry(one) for one in shown],
        "pageInfo": {
            "endCursor": cursor(shown[-1].number) if shown else None,
            "hasNextPage": len(entries) > limit,
        },
    }


def _entry(one: Entry) -> dict[str, object]:
    return {
        "id": one.name,
        "state": "OPEN" if one.open else "CLOSED",
        "availableInventory": one.level.shown,
        "sku": one.sku,
        "title": one.title,
    }
