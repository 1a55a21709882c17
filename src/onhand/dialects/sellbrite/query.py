"""The query of Sellbrite's lists: page, limit and filters, and how many pages there are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

LIMIT_MAX = 100
PAGE_MAX = 10**12
"""A page further away is past the end in any case; the number must fit the database."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FOREVER = 2**62

_NUMBER = re.compile(r"[0-9]{1,18}\Z")


SKU_NAMES = ("sku", "sku[]")
"""How clients write the filter by SKU: several of them are several parameters."""


class BadQuery(Exception):
    """A parameter that cannot be: 400 with an empty object."""


class Span(NamedTuple):
    """From and until, both included, in microseconds UTC."""

    first: int = 0
    last: int = FOREVER

    @property
    def open(self) -> bool:
        """Whether it holds any time."""
        return self == Span()


class Query(NamedTuple):
    """What a list is asked for. Pages count from 1; a filter that is None or empty does not look."""

    page: int = 1
    limit: int = LIMIT_MAX
    warehouse: str | None = None
    skus: tuple[str, ...] = ()
    created: Span = Span()
    updated: Span = Span()

    @property
    def offset(self) -> int:
        """How many entries come before the page."""
        return (self.page - 1) * self.limit


def query(pairs: Iterable[tuple[str, str]]) -> Query:
    """The query of a list; the last of two equal names counts, but for SKUs, of which a client may name up to
    `LIMIT_MAX`. An empty SKU or warehouse does not look.

    A limit above `LIMIT_MAX` is taken for that. Raises BadQuery.
    """
    every = list(pairs)
    given = dict(every)
    skus = tuple(dict.fromkeys(value for name, value in every if name in SKU_NAMES and value))
    if len(skus) > LIMIT_MAX:
        raise BadQuery
    return Query(
        min(_number(given.get("page", "1")), PAGE_MAX),
        min(_number(given.get("limit", str(LIMIT_MAX))), LIMIT_MAX),
        given.get("warehouse_uuid") or None,
        skus,
        _span(given, "created_at"),
        _span(given, "updated_at"),
    )


def pages(count: int, limit: int) -> int:
    """How many pages ``count`` entries fill."""
    return -(-count // limit)


def _number(text: str) -> int:
    if not _NUMBER.match(text) or int(text) < 1:
        raise BadQuery
    return int(text)


def _span(given: dict[str, str], name: str) -> Span:
    first, last = given.get(f"{name}_min"), given.get(f"{name}_max")
    return Span(0 if first is None else _moment(first), FOREVER if last is None else _moment(last))


def _moment(text: str) -> int:
    """An ISO 8601 time in microseconds; without a zone it is UTC."""
    text = text.upper()
    try:
        # A plus sign that was not escaped arrives as a blank.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise BadQuery from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // MICROSECOND
