"""Query strings of the lists: limit, page_token and the bracket filters, read strictly."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from onhand.dialects.trackstar import moments
from onhand.dialects.trackstar.moments import SECOND
from onhand.dialects.trackstar.schema import LIMIT_MAX, Faults
from onhand.store.products import Wanted

VALUES_LIMIT = 100
"""Values in one ``in`` or ``nin``."""

_NAME = re.compile(r"(\w+)(?:\[(\w+)\])?", re.ASCII)
_LISTS = ("in", "nin")
_DATE_OPS = ("eq", "neq", "gt", "gte", "lt", "lte", *_LISTS)
_OPS = {
    "created_date": _DATE_OPS,
    "updated_date": _DATE_OPS,
    "trackstar_updated_date": _DATE_OPS,
    "ids": ("eq", "in"),
    "sku": ("eq", *_LISTS),
}
_COLUMNS = {"created_date": "created", "updated_date": "updated", "trackstar_updated_date": "updated"}
_BEHIND = "after:"


class Query(NamedTuple):
    """A page that is asked for. With ``ids`` nothing else counts, although it must be valid."""

    limit: int = LIMIT_MAX
    after: int = 0
    wanted: tuple[Wanted, ...] = ()
    ids: tuple[str, ...] | None = None


def page_token(last: int) -> str:
    """What stands for the page behind record ``last``."""
    return base64.urlsafe_b64encode(f"{_BEHIND}{last}".encode()).decode()


def products(pairs: Iterable[tuple[str, str]]) -> Query | Faults:
    """The query of a product list, or what is wrong with it."""
    return _read(list(pairs), _OPS)


def plain(pairs: Iterable[tuple[str, str]]) -> Query | Faults:
    """The query of a list that has pages and no filters, or what is wrong with it."""
    return _read(list(pairs), {})


def _read(given: list[tuple[str, str]], known: Mapping[str, tuple[str, ...]]) -> Query | Faults:
    faults: Faults = {}
    seen: set[tuple[str, str]] = set()
    query = Query()
    for name, value in given:
        found = _NAME.fullmatch(name)
        field, op = (found[1], found[2] or "eq") if found else (name, "eq")
        # A bare `ids` is a list, so it says the same as `ids[in]`.
        key = (field, "" if field == "ids" else op)
        if key in seen:
            faults[name] = ["Given more than once."]
            continue
        seen.add(key)
        if name in ("limit", "page_token"):
            step = _limit(query, value) if name == "limit" else _page(query, value)
        elif op not in known.get(field, ()):
            step = "Unknown field." if field not in known else "Unknown filter operator."
        else:
            step = _filter(query, field, op, value)
        if isinstance(step, str):
            faults[name] = [step]
        else:
            query = step
    return faults or query


def _limit(query: Query, value: str) -> Query | str:
    if not (value.isascii() and value.isdecimal() and len(value) <= 18):
        return "Not a valid integer."
    if not 1 <= int(value) <= LIMIT_MAX:
        return f"Must be greater than or equal to 1 and less than or equal to {LIMIT_MAX}."
    return query._replace(limit=int(value))


def _page(query: Query, value: str) -> Query | str:
    try:
        text = base64.b64decode(value.encode("ascii"), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        text = ""
    number = text.removeprefix(_BEHIND)
    if not text.startswith(_BEHIND) or not number.isdecimal() or len(number) > 18:
        return "Not a valid page token."
    return query._replace(after=int(number))


def _filter(query: Query, field: str, op: str, value: str) -> Query | str:
    values = value.split(",") if op in _LISTS or field == "ids" else [value]
    if len(values) > VALUES_LIMIT:
        return f"Longer than maximum length {VALUES_LIMIT}."
    if any(one == "" for one in values):
        return "Shorter than minimum length 1."
    if any("\0" in one for one in values):
        return "Not a valid string."
    if field in _COLUMNS:
        wanted = _dates(_COLUMNS[field], op, values)
        return wanted if isinstance(wanted, str) else query._replace(wanted=(*query.wanted, wanted))
    if field == "ids":
        return query._replace(ids=tuple(dict.fromkeys(values)))
    names = Wanted("sku", "nin" if op == "nin" else "in", tuple(values))
    return query._replace(wanted=(*query.wanted, names))


def _dates(column: str, op: str, values: list[str]) -> Wanted | str:
    """Dates are shown as whole seconds, so that is how they are compared."""
    seconds: list[int] = []
    for value in values:
        at = moments.parse(value)
        if at is None:
            return "Not a valid datetime."
        seconds.append(at - at % SECOND)
    first = seconds[0]
    match op:
        case "eq" | "in":
            return Wanted(column, "at", tuple(seconds))
        case "neq" | "nin":
            return Wanted(column, "not_at", tuple(seconds))
        case "gt" | "gte":
            return Wanted(column, "since", (first + SECOND if op == "gt" else first,))
        case _:
            return Wanted(column, "until", (first + SECOND if op == "lte" else first,))
