"""Reads when the orders of a file were placed, where it has a column that says so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from onhand.office import sheets
from onhand.office.people import BadAsk
from onhand.office.sheets import Bad

USUAL = ("InvoiceDate", "OrderDate", "CreatedAt", "Timestamp")
"""Columns that are taken without being named."""
SHOWN_LIMIT = 40
"""Characters of what is no time that are shown."""
OTHER_FORMS = ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S")


def column(path: Path, name: str | None) -> str | None:
    """The column with the times: the one that is named, else a usual one, else None. Raises BadAsk."""
    with sheets.opened(path) as sheet:
        if name is not None:
            sheet.column(name)
            return name
        return next((one for one in USUAL if one.lower() in sheet.columns), None)


class Times(NamedTuple):
    """When each invoice was placed, in seconds since 1970 UTC, and the first words that are no time, if any
    stand where one should; else ""."""

    at: dict[str, float]
    unread: str


def read(path: Path, name: str) -> Times:
    """The times of the invoices: each has that of its first line that has one.

    A time is ISO 8601 or month/day/year hour:minute; without a zone it is UTC. A time that cannot be read
    is passed over. Raises OSError, and BadAsk when there is no time in the file.
    """
    found: dict[str, float] = {}
    unread = ""
    with sheets.opened(path) as sheet:
        invoice_at, at = sheet.column("InvoiceNo"), sheet.column(name)
        for row in sheet.rows:
            if isinstance(row, Bad) or row.cells[invoice_at] in found:
                continue
            words = row.cells[at].strip()
            moment = when(words)
            if moment is not None:
                found[row.cells[invoice_at]] = moment
            elif not unread:
                unread = words[:SHOWN_LIMIT]
    if not found:
        raise BadAsk(f"column {name} of {path} holds no time: write 2026-11-22T09:30:00 or 11/22/2026 9:30")
    return Times(found, unread)


def when(words: str) -> float | None:
    """A time in seconds since 1970 UTC; None when it is none."""
    for form in (None, *OTHER_FORMS):
        try:
            moment = datetime.fromisoformat(words) if form is None else datetime.strptime(words, form)  # noqa: DTZ007
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None
