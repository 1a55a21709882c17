"""NuORDER's replenishments: rows of a size in a warehouse, each a quantity from a day on; API v3.0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from onhand.connectors.flow import Failed, Flow, Request, Response, expect
from onhand.connectors.reading import ask, rows, said_at, text, whole

NOW, FUTURE = "immediate", "future"
OURS = {NOW, FUTURE}
"""The names of rows that we write; a brand's own rows have others and stay as they are."""
LONG_AGO = "01/01/2020"
"""When a row begins whose answer brought no date: it has begun."""
SECONDS_END = 100_000_000_000
"""Epoch numbers below this are seconds, above milliseconds."""
HALF_A_DAY = 43_200


Place: TypeAlias = tuple[str, str, bool]
"""Name, first day and prebook of a row: telling another row of the same place replaces it, or stands beside
it where a portal only ever adds."""


class Row(NamedTuple):
    """A row: ``start`` and ``end`` as MM/DD/YYYY, no ``quantity`` where there is no limit. ``id`` is
    NuORDER's own, where it came from there."""

    name: str
    start: str
    quantity: int | None
    prebook: bool = False
    end: str | None = None
    active: bool = True
    id: str | None = None

    def said(self, warehouse: str, sku: str) -> dict[str, Any]:
        """As NuORDER takes it."""
        return {
            "warehouse_id": warehouse,
            "sku_id": sku,
            "display_name": self.name,
            "prebook": self.prebook,
            "period_start": self.start,
            "period_end": self.end,
            "quantity": self.quantity,
            "active": self.active,
        }

    @property
    def ours(self) -> bool:
        """Whether a hub may have written it."""
        return self.name in OURS and not self.prebook

    @property
    def place(self) -> Place:
        """Where it stands among the rows of its size."""
        return self.name, self.start, self.prebook


def path(warehouse: str, sku: str) -> str:
    """Where the rows of a size are."""
    return f"/api/v3.0/warehouse/{quote(warehouse, safe='')}/sku/{quote(sku, safe='')}/replenishments"


def told(warehouse: str, said: Iterable[tuple[str, Row]]) -> Request:
    """Rows of sizes of a warehouse, to be stored. It is not sent again after a silence: where a portal only
    adds, all rows would be there twice."""
    body = [row.said(warehouse, sku) for sku, row in said]
    url = f"/api/v3.0/warehouse/{quote(warehouse, safe='')}/replenishments"
    return Request("PUT", url, json={"replenishments": body})


def read(answer: Response) -> list[Row] | None:
    """The rows of an answer; None where it has none to show. Raises Failed."""
    if answer.status == 404 and not answer.page:
        return None
    if answer.page:
        raise Failed(answer.words, retry=True)
    found = expect(answer)
    if not isinstance(found, list) and not isinstance(found, Mapping):
        raise Failed(f"the channel's answer is not as documented: {answer.words}", retry=True)
    return [row_of(row) for row in listed(found)]


def listed(found: Any) -> list[Mapping[str, Any]]:
    """The rows of an answer as they came, in a list or under a name."""
    return rows(found) if isinstance(found, list) else rows(found, "replenishments")


def looked(warehouse: str, sku: str) -> Flow[tuple[list[Row] | None, Response]]:
    """The rows of a size, and the answer that they came in. Raises Failed."""
    answer = yield from ask(Request("GET", path(warehouse, sku), repeatable=True))
    return read(answer), answer


def doubled(found: Iterable[Row]) -> bool:
    """Whether two rows of ours stand in the same place: their numbers add up."""
    places = [row.place for row in found if row.ours]
    return len(set(places)) < len(places)


def row_of(row: Mapping[str, Any]) -> Row:
    """A row as it came."""
    return Row(
        text(row, "display_name") or "",
        day_of(row, "period_start") or LONG_AGO,
        whole(row, "quantity"),
        row.get("prebook") is True,
        day_of(row, "period_end"),
        row.get("active") is not False,
        text(row, "id"),
    )


# --- days -----------------------------------------------------------------------------------------------


def written(day: date) -> str:
    """A day as NuORDER writes it."""
    return day.strftime("%m/%d/%Y")


def day_of(value: Any, *where: str) -> str | None:
    """A day that is told as MM/DD/YYYY, as ISO 8601 or as an epoch number; None for anything else."""
    number, told = whole(value, *where), text(value, *where)
    try:
        if number is not None:
            # A day begins at midnight of the portal's own zone: the midnight in UTC that is nearest is of
            # the day that was written. Cut off instead, rows would wander back by a day at each writing.
            seconds = number if abs(number) < SECONDS_END else number / 1000
            return written(datetime.fromtimestamp(seconds + HALF_A_DAY, UTC).date())
        if told is None:
            return None
        if "/" in told:
            return written(datetime.strptime(told, "%m/%d/%Y").replace(tzinfo=UTC).date())
        return written(date.fromisoformat(told[:10]))
    except (ValueError, OverflowError, OSError):
        return None


def today(answer: Response) -> str:
    """The day of an answer: a flow has no clock of its own."""
    now = said_at(answer)
    return LONG_AGO if now is None else written(datetime.fromtimestamp(now / 1_000_000, UTC).date())


def begun(start: str, day: str) -> bool:
    """Whether a day is not after another."""
    return order_of(start) <= order_of(day)


def order_of(day: str) -> tuple[str, str]:
    """What days are sorted by."""
    return day[6:], day[:5]
