"""Small batches of usual works on SQLite: decided from memory, and written by one statement in a thread.

It comes to what `plain.record` comes to, which the tests hold it to. Whatever is not as usual goes there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import chain
from typing import NamedTuple

from sqlalchemy import Connection

from onhand import batch, companions, plain
from onhand.plain import Sheet
from onhand.stock.model import Level, Place
from onhand.store import books, onestep, posting, requests, shelf
from onhand.store.books import Marked, Spot
from onhand.store.onestep import Advance, Deed
from onhand.store.posting import Page
from onhand.store.shelf import Known, Shelf
from onhand.work import NOTHING, Recorded, Work

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
    if named is None or not named.alone or named.size > LIMIT:
        return None
    keys = [(work.account, work.key.scope, work.key.key, work.key.fingerprint) for work in works if work.key]
    if keys and _used(connection, keys, now, before):
        return None
    shelved, age = _basis(connection, before)
    sheets = named.sheets
    known = _load(connection, shelved, sheets, now, before)
    if known is None:
        return None
    plain.watch(connection, sheets, named.listings)
    last = {account: _last(connection, shelved, account, before) for account in sheets}
    made = _made(works, sheets, last, now)
    if any(sheet.guards.closing for sheet in sheets.values()):
        return None
    recorded: list[Recorded | None] = [*made]
    kept = batch.answered(enumerate(works), recorded, now)[0] if keys else []
    also = companions.rows(plain.said(works, made, sheets)) if named.also else []
    pages = [sheet.page(account) for account, sheet in sorted(sheets.items()) if sheet.entries]
    advances = {
        page.account: Advance(page.seq, page.seq + len(page.entries), page.recorded_at) for page in pages
    }
    moved, marked = _stale(pages, known)
    rows = [*chain.from_iterable(map(posting.rows_of, pages))]
    deed = onestep.deed(advances, rows, moved, kept, now, also)
    if deed is None and (pages or kept or also):
        return None
    levels = {account: sheets[account].levels for account in advances}
    names = {key[:3] for key in keys}
    return Decided(recorded, deed, marked, advances, shelved, age, known, levels, names)


def _basis(connection: Connection, before: Decided | None) -> tuple[Shelf, int]:
    """The shelf by which a batch is decided, and its age."""
    if before is not None:
        return before.shelf, before.age
    onestep.prepare(connection)
    shelved = shelf.of(connection)
    return shelved, shelved.age


def _made(
    works: Sequence[Work], sheets: Mapping[int, Sheet], last: Mapping[int, tuple[int, int]], now: int
) -> list[Recorded]:
    """What becomes of each work; ``last`` are the accounts' last numbers, and their times. A time moves on
    where something moves, which is known in the end: nearly always something does."""
    for account, (seq, recorded_at) in last.items():
        sheets[account].number(seq, max(recorded_at, now))
    made = plain.decide(works, sheets)
    idle = {account: known for account, known in last.items() if not sheets[account].entries}
    plain.renumber(works, made, sheets, idle)
    return made


def _stale(
    pages: Sequence[Page], known: Mapping[int, Known]
) -> tuple[Mapping[Spot, tuple[int, int]], set[Marked]]:
    """The first and the last number of each level that moves, where a connection is told of one, and those
    connections."""
    if not any(known[page.account].told for page in pages):
        return {}, set()
    moved = posting.moved(pages)
    marked = {(spot[0], link) for spot in moved for link in known[spot[0]].told.get(spot[1:], ())}
    return (moved if marked else {}), marked


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
    now: int,
    before: Decided | None,
) -> dict[int, Known] | None:
    """Put the levels on the sheets; what is known of each account, None where a level is not as it seems."""
    known = {account: shelved.known(account) for account in sheets}
    left = {} if before is None else before.levels
    missing = _put(known, left, sheets, now)
    if missing and shelved.load(connection, missing):
        missing = _put(known, left, sheets, now)
    return None if missing or missing is None else known


def _put(
    known: Mapping[int, Known],
    left: Mapping[int, Mapping[Place, Level]],
    sheets: Mapping[int, Sheet],
    now: int,
) -> list[Spot] | None:
    """Put the levels on the sheets as a batch has ``left`` them, or else as they are known; those that are
    missing, None where holds are due."""
    missing: list[Spot] = []
    for account, sheet in sheets.items():
        levels, there, later = sheet.levels, known[account].levels.get, left.get(account, NOTHING).get
        for place in sheet.places:
            level = later(place) or there(place)
            if level is None:
                missing.append((account, *place))
            elif level.next_expiry is not None and level.next_expiry <= now:
                return None
            else:
                levels[place] = level
    return missing
