"""Deletes NuORDER's rows of a size so that the brand's own are never lost: first they are remembered, then
all rows are deleted, then they are put back. Whoever dies in between leaves a note of what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from onhand.connectors.flow import Failed, Flow, Later, Request, Target, expect, retry_after
from onhand.connectors.nuorder_rows import Row, listed, path, row_of, told
from onhand.connectors.reading import ask, text

NOTE = "rows:"
"""The beginning of the note with the brand's rows of a warehouse; the warehouse follows."""
REMEMBERED = "its rows are to be told anew: those of the brand are remembered first"


def forgotten(target: Target) -> Mapping[str, str]:
    """What ends all notes of a target: its rows are complete."""
    return {name: "" for name in target.notes if name.startswith(NOTE)}


def cleared(target: Target, warehouse: str, sku: str, theirs: Sequence[Row]) -> Flow[Later | None]:
    """Delete all rows of a size and put ``theirs``, those of the brand, back. A verdict instead when it has
    to be remembered first what they are. Raises Failed."""
    bare = _bare(theirs)
    if _kept(target, warehouse) != bare:
        note = msgspec.json.encode(bare).decode() if bare else ""
        return Later(target, REMEMBERED, notes={NOTE + warehouse: note})
    yield from delete(warehouse, sku)
    yield from _put_back(warehouse, sku, bare)
    return None


def restored(target: Target, warehouse: str, sku: str, theirs: Iterable[Row]) -> Flow[None]:
    """Put back what is remembered and not there any more. Raises Failed."""
    there = {row.place for row in theirs}
    missing = [row for row in _kept(target, warehouse) if row.place not in there]
    yield from _put_back(warehouse, sku, missing)


def delete(warehouse: str, sku: str) -> Flow[None]:
    """Delete all rows of a size, whoever's they are. Raises Failed."""
    gone = yield from ask(Request("DELETE", path(warehouse, sku), repeatable=True))
    if not gone.ok and gone.status != 404:
        passing = gone.silent or gone.status in (408, 425, 429) or gone.status >= 500
        raise Failed(gone.words, retry=passing, seconds=retry_after(gone), login=gone.status in (401, 403))


def _put_back(warehouse: str, sku: str, missing: Sequence[Row]) -> Flow[None]:
    if not missing:
        return
    found = expect((yield from ask(told(warehouse, [(sku, row) for row in missing]))))
    stored = {row_of(row).place for row in listed(found) if text(row, "sku_id") == sku}
    if lost := [row for row in missing if row.place not in stored]:
        raise Failed(f"the brand's row {lost[0].name} from {lost[0].start} was not put back: try again")


def _kept(target: Target, warehouse: str) -> list[Row]:
    """The brand's rows as they are remembered."""
    try:
        return msgspec.json.decode(target.notes.get(NOTE + warehouse) or "[]", type=list[Row])
    except msgspec.DecodeError:
        return []


def _bare(theirs: Iterable[Row]) -> list[Row]:
    """Rows as they are told, in one order."""
    return sorted((row._replace(id=None) for row in theirs), key=repr)
