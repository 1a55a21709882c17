"""Query parameters: how often, how long, how large, and what is wrong with the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from onhand.api import schema
from onhand.api.problems import bad_parameter

T = TypeVar("T")

_WHOLE = re.compile(r"0|[1-9][0-9]{0,18}")


def whole(text: str) -> int | None:
    """A whole number of at most 63 bits, without leading zeros; None if it is not one."""
    found = int(text) if _WHOLE.fullmatch(text) else None
    return None if found is None or found > schema.ID_LIMIT else found


def one(found: Mapping[str, list[str]], name: str) -> str | None:
    """The only value of a parameter."""
    values = found.get(name)
    if values is None:
        return None
    if len(values) > 1:
        raise bad_parameter(name, "expected once")
    return values[0]


def number(found: Mapping[str, list[str]], name: str, least: int = 1) -> int | None:
    """A whole number of ``least`` or more."""
    text = one(found, name)
    if text is None:
        return None
    value = whole(text)
    if value is None or value < least:
        raise bad_parameter(name, f"expected a whole number of at least {least}")
    return value


def numbers(found: Mapping[str, list[str]], name: str, most: int) -> list[int]:
    """A parameter that may be repeated, as ids."""
    values = found.get(name, [])
    if len(values) > most:
        raise bad_parameter(name, f"expected at most {most} times")
    read = [whole(text) for text in values]
    if any(value is None or value < 1 for value in read):
        raise bad_parameter(name, "expected an id")
    return [value for value in read if value is not None]


def limit(found: Mapping[str, list[str]]) -> int:
    """How many rows a page shall have."""
    value = number(found, "limit")
    if value is not None and value > schema.PAGE_LIMIT:
        raise bad_parameter("limit", f"expected at most {schema.PAGE_LIMIT}")
    return schema.PAGE_DEFAULT if value is None else value


class Span(NamedTuple):
    """Which rows of a list by id are asked for: so many behind ``after``. One more, ``asks``, tells whether
    there are others."""

    kind: str
    filters: tuple[object, ...]
    after: int
    limit: int

    @property
    def asks(self) -> int:
        """Rows to read."""
        return self.limit + 1

    def cut(self, rows: Sequence[T], number: Callable[[T], int]) -> tuple[Sequence[T], str | None]:
        """The rows of the page, and the cursor of the next where there is one."""
        if len(rows) <= self.limit:
            return rows, None
        shown = rows[: self.limit]
        return shown, schema.cursor(self.kind, self.filters, number(shown[-1]))


def span(found: Mapping[str, list[str]], kind: str, *filters: object) -> Span:
    """``limit`` and ``cursor`` of a list; a cursor is good for its ``kind`` and ``filters`` only."""
    most, text = limit(found), one(found, "cursor")
    after = 0 if text is None else schema.position(text, kind, filters, tuple[schema.Position])[0]
    return Span(kind, filters, after, most)
