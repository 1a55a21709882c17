"""Reads when the orders of a file were placed, where it has a column that says so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from onhand.office import sheets
from onhand.office.people import BadAsk
from onhand.office.sheets import Bad

USUAL = ("InvoiceDate", "OrderDate", "CreatedAt", "Timestamp")
"""Columns that are taken without being named."""
OTHER_FORMS = ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S")


def column(path: Path, name: str | None) -> str | None:
    """The column with the times: the one that is named, else a usual one, else None. Raises BadAsk."""
    with sheets.opened(path) as sheet:
        if name is not None:
            sheet.column(name)
            return name
        return next((one for one in USUAL if one.lower() in sheet.columns), None)


def read(path: Path, name: str) -> dict[str, float]:
    """When each invoice was placed, in seconds since 1970 UTC: the time of its first line that has one.

    A time is ISO 8601 or month/day/year hour:minute; without a zone it is UTC. A time that cannot be read
    is passed over. Raises OSError, and BadAsk when there is no time in the file.
    """
    found: dict[str, float] = {}
    with sheets.opened(path) as sheet:
        invoice_at, at = sheet.column("InvoiceNo"), sheet.column(name)
        for row in sheet.rows:
            if isinstance(row, Bad) or row.cells[invoice_at] in found:
                continue
            moment = when(row.cells[at].strip())
            if moment is not None:
                found[row.cells[invoice_at]] = moment
    if not found:
        raise BadAsk(f"column {name} of {path} holds no time: write 2026-11-22T09:30:00 or 11/22/2026 9:30")
    return found


def when(words: str) -> float | None:
    """A time in seconds since 1970 UTC; None when it is none."""
    for form in (None, *OTHER_FORMS):
        try:
            moment = datetime.fromisoformat(words) if form is None else datetime.strptime(words, form)  # noqa: DTZ007
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None
