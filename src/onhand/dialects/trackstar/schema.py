"""Bodies of adjustments in, commands out; refusals of the ledger in, the dialect's errors out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, assert_never

import msgspec

from onhand.dialects.trackstar import moments
from onhand.dialects.trackstar.rules import (
    EXACT,
    FIELDS,
    KNOWN,
    REQUIRED,
    RULES,
    Need,
    Rule,
)
from onhand.stock.model import (
    QUANTITY_LIMIT,
    Adjust,
    AnyRefusal,
    Closed,
    Exists,
    Expired,
    Forbidden,
    Insufficient,
    SetAvailable,
    Stale,
    TooLarge,
    Undone,
    Unknown,
)
from onhand.wire import is_int

LINES_LIMIT = 1000
"""Line items in one batch."""

KEY_LIMIT = 255
"""Characters in an Idempotency-Key."""

SHOP_LIMIT = 255
"""Characters in the id of a shop, which is kept with every movement that it comes with."""

LIMIT_MAX = 1000
"""Records on one page; also when no limit is asked for."""

SHOWN_LIMIT = 100
"""Warehouses that an error message spells out."""

TRACKSTAR, INTEGRATION = "trackstar", "integration"
"""Where an error comes from: the API itself, or what the connected system would say."""

_NO_VALUE = "The words none and null are not values."
_VOID = {"": "Shorter than minimum length 1.", "none": _NO_VALUE, "null": _NO_VALUE}

Faults: TypeAlias = dict[str, list[str]]
"""What is wrong, by field."""


class Site(NamedTuple):
    """What a connection allows: its warehouses (external id to location id, in order), its shop."""

    warehouses: Mapping[str, int]
    shop: str | None


Check: TypeAlias = Callable[[object, Rule, Site], str | None]
"""What says in words why a field's value is none."""

Checks: TypeAlias = dict[str, tuple[tuple[str, Check], ...]]
"""By integration, the checks of the fields that it knows."""


class Change(msgspec.Struct, frozen=True):
    """A valid body. ``due`` is microseconds UTC, None for at once; ``extras`` is for the channel."""

    mode: str
    quantity: int
    location: int
    reason: str | None
    due: int | None
    extras: dict[str, str]
    unused: tuple[str, ...]


class Line(msgspec.Struct, frozen=True):
    """A valid line of a batch: set ``product`` to ``quantity`` at ``location``."""

    product: str
    quantity: int
    location: int


class Batch(NamedTuple):
    """A valid batch."""

    lines: tuple[Line, ...]
    unused: tuple[str, ...]


class Problem(NamedTuple):
    """An error answer: status and JSON body."""

    status: int
    body: dict[str, Any]


def problem(status: int, words: str, origin: str = TRACKSTAR, **more: Any) -> Problem:
    """An error with its origin; ``more`` is id or detail."""
    return Problem(status, {"error": words, "origin": origin, **more})


def invalid(faults: Mapping[str, list[str]], place: str = "json") -> Problem:
    """422 with what is wrong by field; ``place`` is json, query or headers."""
    return problem(422, "Validation error", detail={place: dict(faults)})


def read_change(body: object, rule: Rule, site: Site, strict: bool, now: int) -> Change | Faults:
    """The adjustment that ``body`` asks of a connection, or what is wrong with it.

    ``strict`` refuses fields that the integration does not know although another one does.
    """
    if not isinstance(body, dict):
        return {"_schema": ["Invalid input type."]}
    fields = FIELDS[rule.name]
    faults, unused = _scan(body, REQUIRED[rule.name], fields, rule.open, strict)
    _check(body, _CHECKS, rule, site, faults)
    if not site.warehouses and "warehouse_id" not in faults:
        faults["warehouse_id"] = ["The connection has no warehouse."]
    if faults:
        return faults
    # What is neither unused nor at fault is a field.
    found = {name: body[name] for name in body if name in fields} if unused else body
    return _change(found, site, tuple(unused), now)


def _change(found: Mapping[str, Any], site: Site, unused: tuple[str, ...], now: int) -> Change:
    location = _place(found.get("warehouse_id"), site)
    date = found.get("future_date")
    due = moments.parse(date) if date is not None else None
    return Change(
        found["adjustment_type"],
        found["quantity"],
        location,
        found.get("reason"),
        due if due is not None and due > now else None,
        {name: found[name] for name in ("reason", "shop_id", "future_date") if name in found},
        unused,
    )


def _place(warehouse: str | None, site: Site) -> int:
    """The location of a warehouse that was checked; of the first when none is named."""
    return next(iter(site.warehouses.values())) if warehouse is None else site.warehouses[warehouse]


def command(change: Change, item: int) -> Adjust | SetAvailable:
    """What the ledger is asked to do."""
    match change.mode:
        case "increase":
            return Adjust(item, change.location, change.quantity, reason=change.reason)
        case "decrease":
            return Adjust(item, change.location, -change.quantity, reason=change.reason)
        case _:
            return SetAvailable(item, change.location, change.quantity, reason=change.reason)


# --- fields -------------------------------------------------------------------------------------------


def _scan(
    body: Mapping[str, Any], required: tuple[str, ...], fields: frozenset[str], open_: bool, strict: bool
) -> tuple[Faults, list[str]]:
    """What can be said without looking at types, and the fields that will not be used."""
    faults: Faults = {}
    unused: list[str] = []
    for name, value in body.items():
        if value is None:
            faults[name] = ["Field may not be null."]
        elif type(value) is str and (words := _VOID.get(value.lower())) is not None:
            faults[name] = [words]
        elif name in fields:
            continue
        elif open_ or (name in KNOWN and not strict):
            unused.append(name)
        else:
            faults[name] = ["Unknown field."]
    for name in required:
        if name not in body:
            faults[name] = ["Missing data for required field."]
    return faults, unused


def _check(body: Mapping[str, Any], checks: Checks, rule: Rule, site: Site, faults: Faults) -> None:
    """Add what is wrong with the fields that the integration knows."""
    for name, check in checks[rule.name]:
        if name in body and name not in faults and (words := check(body[name], rule, site)):
            faults[name] = [words]


def _quantity(value: object, _rule: Rule, _site: Site) -> str | None:
    if not is_int(value):
        return "Not a valid integer."
    if 0 <= value <= QUANTITY_LIMIT:
        return None
    if value < 0:
        return "Must be greater than or equal to 0."
    return f"Must be less than or equal to {QUANTITY_LIMIT}."


def _one_of(value: object, allowed: tuple[str, ...]) -> str | None:
    if not isinstance(value, str):
        return "Not a valid string."
    if value in allowed:
        return None
    rest = ", ..." if len(allowed) > SHOWN_LIMIT else ""
    return f"Must be one of: {', '.join(allowed[:SHOWN_LIMIT])}{rest}."


def _mode(value: object, rule: Rule, _site: Site) -> str | None:
    return None if value in rule.modes else _one_of(value, rule.modes)


def _reason(value: object, rule: Rule, _site: Site) -> str | None:
    return None if value in rule.reasons else _one_of(value, rule.reasons)


def _warehouse(value: object, _rule: Rule, site: Site) -> str | None:
    # The usual case must not build a tuple of a thousand warehouses.
    if isinstance(value, str) and value in site.warehouses:
        return None
    return _one_of(value, tuple(site.warehouses))


def _shop(value: object, _rule: Rule, site: Site) -> str | None:
    if not isinstance(value, str):
        return "Not a valid string."
    if site.shop is not None:
        return _one_of(value, (site.shop,))
    return None if len(value) <= SHOP_LIMIT else f"Longer than maximum length {SHOP_LIMIT}."


def _date(value: object, _rule: Rule, _site: Site) -> str | None:
    if not isinstance(value, str) or moments.parse(value) is None:
        return "Not a valid datetime."
    return None


def _known(checks: Mapping[str, Check]) -> Checks:
    return {
        rule: tuple((name, check) for name, check in checks.items() if name in FIELDS[rule]) for rule in RULES
    }


_CHECKS = _known(
    {
        "adjustment_type": _mode,
        "quantity": _quantity,
        "warehouse_id": _warehouse,
        "reason": _reason,
        "shop_id": _shop,
        "future_date": _date,
    }
)

# --- batches ------------------------------------------------------------------------------------------

_LINE_FIELDS = frozenset({"product_id", "quantity", "warehouse_id"})


def _exact(value: object, _rule: Rule, _site: Site) -> str | None:
    return _one_of(value, (EXACT,))


def _unplanned(_value: object, _rule: Rule, _site: Site) -> str | None:
    return "A batch is made at once: plan one product at a time."


def _elsewhere(_value: object, _rule: Rule, _site: Site) -> str | None:
    return "Say it in each line."


# A batch uses none of these, but must not do another thing than they ask for and only call them unused.
_MEANT: dict[str, Check] = {"adjustment_type": _exact, "shop_id": _shop, "future_date": _unplanned}
_ABOVE = _known({**_MEANT, "quantity": _elsewhere, "warehouse_id": _elsewhere})
_IN_LINE = _known({**_MEANT, "quantity": _quantity, "warehouse_id": _warehouse})


def read_batch(body: object, rule: Rule, site: Site, strict: bool) -> Batch | Faults:
    """The lines of a batch, or what is wrong with it; a line's fault is under line_items.<n>.<field>."""
    if not isinstance(body, dict):
        return {"_schema": ["Invalid input type."]}
    faults, unused = _scan(body, ("line_items",), frozenset({"line_items"}), rule.open, strict)
    _check(body, _ABOVE, rule, site, faults)
    if faults:
        return faults
    items = body["line_items"]
    if not isinstance(items, list):
        return {"line_items": ["Not a valid list."]}
    if not 1 <= len(items) <= LINES_LIMIT:
        return {"line_items": [f"Length must be between 1 and {LINES_LIMIT}."]}
    lines: dict[tuple[str, int], Line] = {}
    for at, item in enumerate(items):
        line = _line(item, rule, site, strict, unused)
        if isinstance(line, Line) and (line.product, line.location) in lines:
            line = {"product_id": ["An earlier line has the same product and warehouse."]}
        if isinstance(line, Line):
            lines[line.product, line.location] = line
        else:
            faults |= {f"line_items.{at}.{name}": words for name, words in line.items()}
    return faults or Batch(tuple(lines.values()), tuple(dict.fromkeys(unused)))


def _line(item: object, rule: Rule, site: Site, strict: bool, unused: list[str]) -> Line | Faults:
    if not isinstance(item, dict):
        return {"_schema": ["Invalid input type."]}
    required: tuple[str, ...] = ("product_id", "quantity")
    fields = _LINE_FIELDS if rule.warehouse is not Need.ABSENT else _LINE_FIELDS - {"warehouse_id"}
    if rule.warehouse is Need.REQUIRED:
        required += ("warehouse_id",)
    faults, extra = _scan(item, required, fields, rule.open, strict)
    unused += extra
    _check(item, _IN_LINE, rule, site, faults)
    if "product_id" not in faults and not isinstance(item["product_id"], str):
        faults["product_id"] = ["Not a valid string."]
    if not site.warehouses and "warehouse_id" not in faults:
        faults["warehouse_id"] = ["The connection has no warehouse."]
    if faults:
        return faults
    location = _place(item.get("warehouse_id") if "warehouse_id" in fields else None, site)
    return Line(item["product_id"], item["quantity"], location)


# --- what the ledger said -----------------------------------------------------------------------------


def refused(refusal: AnyRefusal, product: str, line: str = "") -> Problem:
    """The answer to a change that the ledger did not allow.

    ``product`` is the id to name when the item is gone; ``line`` goes before the name of the field that is
    to blame, as "line_items.3." in a batch.
    """
    match refusal:
        case Insufficient(wanted=wanted, available=available):
            words = f"Cannot decrease by {wanted}: {available} available"
            return problem(422, words, INTEGRATION, detail={"json": {f"{line}quantity": [f"{words}."]}})
        case TooLarge(limit=limit):
            words = f"No quantity may be above {limit}"
            return problem(422, words, INTEGRATION, detail={"json": {f"{line}quantity": [f"{words}."]}})
        case Unknown(kind="item"):
            return unknown("Product", product)
        case Unknown(kind=kind):
            return problem(422, f"The {kind} is not there any more", INTEGRATION)
        case Forbidden(why=why):
            words = f"{why[:1].upper()}{why[1:]}"
            return problem(422, words, INTEGRATION, detail={"json": {f"{line}product_id": [f"{words}."]}})
        case Stale() | Closed() | Expired() | Exists() | Undone():
            return problem(422, "The product cannot be changed now", INTEGRATION)
        case _:
            assert_never(refusal)


def unknown(what: str, name: str) -> Problem:
    """404 with the id that was not found."""
    return problem(404, f"{what} not found", id=name)


OTHER_NUMBER = "An earlier line has another quantity for the same item and warehouse."
PARENT = "A parent product has no inventory of its own: adjust its variants."
