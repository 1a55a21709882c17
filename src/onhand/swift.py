"""Small batches of usual works on SQLite: decided from memory, and written by one statement in a thread.

It comes to what `plain.record` comes to, which the tests hold it to. Whatever is not as usual goes there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from sqlalchemy import Connection

from onhand import batch, companions, plain
from onhand.plain import Sheet
from onhand.stock.model import Level, Place
from onhand.store import books, onestep, posting, requests, shelf
from onhand.store.books import Marked, Spot
from onhand.store.onestep import Advance, Deed
from onhand.store.shelf import Known, Shelf
from onhand.store.sql import Row
from onhand.work import Recorded, Work

LIMIT = 128
"""Levels in a batch at most: of more, rows that are stepped one by one are cheaper."""


class Decided(NamedTuple):
    """A batch that is decided and still to be written.

    What becomes of each work, the deed (None where there is nothing to write), what becomes stale, the
    accounts' numbers, the shelf and its age by which it was decided, what is known of the accounts, their
    levels as it leaves them, and its keys.
    """

    recorded: Sequence[Recorded | None]
    deed: Deed | None
    marked: set[Marked]
    advances: Mapping[int, Advance]
    shelf: Shelf
    age: int
    known: Mapping[int, Known]
    levels: Mapping[int, Mapping[Place, Level]]
    keys: Set[tuple[int, str, str]]


def decide(
    connection: Connection, works: Sequence[Work], now: int, before: Decided | None = None
) -> Decided | None:
    """Decide ``works``. None, and nothing was done, where they need the ordinary way.

    ``connection`` is in no transaction: nobody else writes, so each statement sees the same. With ``before``,
    which may be being written meanwhile, it is what they come to once that is committed; ``connection`` is
    then a reader's, and finds what ``before`` leaves as it is.
    """
    named = plain.look(works)
    if named is None or not named.alone or len(named.spots) > LIMIT:
        return None
    keys = [(work.account, work.key.scope, work.key.key, work.key.fingerprint) for work in works if work.key]
    if keys and _used(connection, keys, now, before):
        return None
    if before is None:
        shelved = shelf.of(connection)
        onestep.prepare(connection)
    else:
        shelved = before.shelf
    age = shelved.age if before is None else before.age
    sheets = plain.sheets_of(works)
    known = _load(connection, shelved, sheets, named.spots, now, before)
    if known is None:
        return None
    plain.watch(connection, sheets, named.listings)
    decided = [plain.decide(at, work, sheets[work.account]) for at, work in enumerate(works)]
    advances: dict[int, Advance] = {}
    pages: list[posting.Page] = []
    for account, sheet in sorted(sheets.items()):
        if sheet.guards.closing:
            return None
        last, recorded_at = _last(connection, shelved, account, before)
        if sheet.entries:
            recorded_at = max(recorded_at, now)
            advances[account] = Advance(last, last + len(sheet.entries), recorded_at)
        sheet.number(last, recorded_at)
        pages.append(sheet.page(account))
    movements: list[Row] = [row for page in pages for row in posting.rows_of(page)]
    recorded: list[Recorded | None] = [sheets[one.work.account].told(one) for one in decided]
    kept = batch.answered(enumerate(works), recorded, now)[0] if keys else []
    also = companions.rows(plain.said(decided, recorded, sheets)) if named.also else ()
    levels = {account: sheets[account].levels for account in advances}
    names = {key[:3] for key in keys}
    if not (movements or kept or also):
        return Decided(recorded, None, set(), {}, shelved, age, known, levels, names)
    moved = posting.moved(pages) if any(known[account].told for account in advances) else {}
    marked = {(spot[0], link) for spot in moved for link in known[spot[0]].told.get(spot[1:], ())}
    deed = onestep.deed(advances, movements, moved if marked else {}, kept, now, also)
    if deed is None:
        return None
    return Decided(recorded, deed, marked, advances, shelved, age, known, levels, names)


def write(connection: Connection, decided: Decided) -> bool:
    """Write and commit what was decided; False where it rests on what was not written. After that, and after
    an exception, it was not, and nothing is remembered."""
    if decided.shelf.age != decided.age:
        return False
    if decided.deed is None:
        return True
    try:
        onestep.do(connection, decided.deed)
    except BaseException:
        decided.shelf.forget()
        raise
    for account in decided.advances:
        decided.known[account].levels.update(decided.levels[account])
    return True


def settle(decided: Decided, later: Decided | None) -> None:
    """Remember the accounts' numbers once a batch is written, if it was; but for the accounts that ``later``
    has to do with, which may be being written."""
    if decided.shelf.age == decided.age:
        for account, advance in decided.advances.items():
            if later is None or account not in later.known:
                decided.known[account].last = advance[1:]


def _used(
    connection: Connection, keys: Sequence[tuple[int, str, str, str]], now: int, before: Decided | None
) -> bool:
    """Whether a key was used before, or comes twice."""
    names = {key[:3] for key in keys}
    if len(names) < len(keys) or (before is not None and not names.isdisjoint(before.keys)):
        return True
    return bool(requests.claim(connection, keys, now))


def _last(connection: Connection, shelved: Shelf, account: int, before: Decided | None) -> tuple[int, int]:
    """The account's last movement number and the time it was recorded."""
    if before is None:
        return shelved.last(connection, account)
    if (advance := before.advances.get(account)) is not None:
        return advance.last, advance.recorded_at
    # Not for the shelf: should ``before`` go the ordinary way, it may move this account, too.
    return shelved.known(account).last or books.last(connection, account)


def _load(
    connection: Connection,
    shelved: Shelf,
    sheets: Mapping[int, Sheet],
    spots: Iterable[Spot],
    now: int,
    before: Decided | None,
) -> dict[int, Known] | None:
    """Put the levels on the sheets; what is known of each account, None where a level is not as it seems."""
    known = {account: shelved.known(account) for account in sheets}
    left = {} if before is None else before.levels
    missing = _put(known, left, sheets, spots, now)
    if missing and shelved.load(connection, missing):
        missing = _put(known, left, sheets, missing, now)
    return None if missing or missing is None else known


def _put(
    known: Mapping[int, Known],
    left: Mapping[int, Mapping[Place, Level]],
    sheets: Mapping[int, Sheet],
    spots: Iterable[Spot],
    now: int,
) -> list[Spot] | None:
    """Put the levels on the sheets as a batch has ``left`` them, or else as they are known; those that are
    missing, None where holds are due."""
    missing: list[Spot] = []
    for account, item, at in spots:
        place = (item, at)
        level = left[account].get(place) if account in left else None
        if level is None:
            level = known[account].levels.get(place)
        if level is None:
            missing.append((account, item, at))
        elif level.next_expiry is not None and level.next_expiry <= now:
            return None
        else:
            sheets[account].levels[place] = level
    return missing
