"""Small batches of usual works on SQLite: decided from memory, and written by one statement in a thread.

It comes to what `plain.record` comes to, which the tests hold it to. Whatever is not as usual goes there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from onhand import batch, companions, plain
from onhand.plain import Sheet
from onhand.stock.model import Level, Place
from onhand.store import onestep, posting, requests, shelf
from onhand.store.books import Marked, Spot
from onhand.store.onestep import Advance, Deed
from onhand.store.shelf import Known, Shelf
from onhand.store.sql import Row
from onhand.work import Recorded, Work

LIMIT = 128
"""Levels in a batch at most: of more, rows that are stepped one by one are cheaper."""


class Decided(NamedTuple):
    """A batch that is decided and still to be written: what becomes of each work, the deed (None where there
    is nothing to write), what becomes stale, the accounts' numbers, and what is to be remembered of them."""

    recorded: Sequence[Recorded | None]
    deed: Deed | None
    marked: set[Marked]
    advances: Mapping[int, Advance]
    after: Sequence[tuple[Known, Mapping[Place, Level], Advance]]


def decide(connection: Connection, works: Sequence[Work], now: int) -> Decided | None:
    """Decide ``works``. None, and nothing was done, where they need the ordinary way.

    ``connection`` is in no transaction: nobody else writes, so each statement sees the same.
    """
    named = plain.look(works)
    if named is None or not named.alone or len(named.spots) > LIMIT:
        return None
    keys = [(work.account, work.key.scope, work.key.key, work.key.fingerprint) for work in works if work.key]
    if keys and _used(connection, keys, now):
        return None
    shelved = shelf.of(connection)
    sheets = plain.sheets_of(works)
    known = _load(connection, shelved, sheets, named.spots, now)
    if known is None:
        return None
    plain.watch(connection, sheets, named.listings)
    decided = [plain.decide(at, work, sheets[work.account]) for at, work in enumerate(works)]
    advances: dict[int, Advance] = {}
    movements: list[Row] = []
    for account, sheet in sorted(sheets.items()):
        if sheet.guards.closing:
            return None
        before, recorded_at = shelved.last(connection, account)
        if sheet.entries:
            recorded_at = max(recorded_at, now)
            advances[account] = Advance(before, before + len(sheet.entries), recorded_at)
        sheet.number(before, recorded_at)
        movements += posting.rows_of(sheet.page(account))
    recorded: list[Recorded | None] = [sheets[one.work.account].told(one) for one in decided]
    kept = batch.answered(enumerate(works), recorded, now)[0] if keys else []
    also = companions.rows(plain.said(decided, recorded, sheets)) if named.also else ()
    if not (movements or kept or also):
        return Decided(recorded, None, set(), {}, ())
    moved = posting.moved(movements) if any(known[account].told for account in advances) else {}
    marked = {(spot[0], link) for spot in moved for link in known[spot[0]].told.get(spot[1:], ())}
    deed = onestep.deed(advances, movements, moved if marked else {}, kept, now, also)
    if deed is None:
        return None
    onestep.prepare(connection)
    after = [(known[account], sheets[account].levels, advance) for account, advance in advances.items()]
    return Decided(recorded, deed, marked, advances, after)


def write(connection: Connection, decided: Decided) -> None:
    """Write and commit what was decided. After an exception it was not, and nothing is remembered."""
    if decided.deed is None:
        return
    try:
        onestep.do(connection, decided.deed)
    except BaseException:
        shelf.of(connection).forget()
        raise
    for known, levels, advance in decided.after:
        known.put(levels, advance[1:])


def _used(connection: Connection, keys: Sequence[tuple[int, str, str, str]], now: int) -> bool:
    """Whether a key was used before, or comes twice."""
    return len({key[:3] for key in keys}) < len(keys) or bool(requests.claim(connection, keys, now))


def _load(
    connection: Connection, shelved: Shelf, sheets: Mapping[int, Sheet], spots: Iterable[Spot], now: int
) -> dict[int, Known] | None:
    """Put the levels on the sheets; what is known of each account, None where a level is not as it seems."""
    known = {account: shelved.known(account) for account in sheets}
    missing = _put(known, sheets, spots, now)
    if missing and shelved.load(connection, missing):
        missing = _put(known, sheets, missing, now)
    return None if missing or missing is None else known


def _put(
    known: Mapping[int, Known], sheets: Mapping[int, Sheet], spots: Iterable[Spot], now: int
) -> list[Spot] | None:
    """Put what is known of the levels on the sheets; those that are missing, None where holds are due."""
    missing: list[Spot] = []
    for account, item, at in spots:
        place = (item, at)
        level = known[account].levels.get(place)
        if level is None:
            missing.append((account, item, at))
        elif level.next_expiry is not None and level.next_expiry <= now:
            return None
        else:
            sheets[account].levels[place] = level
    return missing
