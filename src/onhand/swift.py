"""Small batches of usual works on SQLite: decided from memory, and written by one statement in a thread.

It comes to what `plain.record` comes to, which the tests hold it to. Whatever is not as usual goes there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from onhand import batch, plain
from onhand.plain import Sheet
from onhand.stock.model import Level, Place
from onhand.store import onestep, posting, requests, shelf
from onhand.store.books import Marked, Spot
from onhand.store.onestep import Advance, Deed
from onhand.store.shelf import Known, Shelf
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
    fresh = list(enumerate(works))
    named = plain.look(fresh)
    if named is None or not named.alone or len(named.spots) > LIMIT or _used(connection, works, now):
        return None
    shelved = shelf.of(connection)
    sheets = plain.sheets_of(fresh)
    known = _load(connection, shelved, sheets, named.spots, now)
    if known is None:
        return None
    plain.watch(connection, sheets, named.listings)
    decided = [plain.decide(at, work, sheets[work.account]) for at, work in fresh]
    if any(sheet.guards.closing for sheet in sheets.values()):
        return None
    advances: dict[int, Advance] = {}
    for account, sheet in sheets.items():
        before, recorded_at = shelved.last(connection, account)
        if sheet.entries:
            recorded_at = max(recorded_at, now)
            advances[account] = Advance(before, before + len(sheet.entries), recorded_at)
        sheet.number(before, recorded_at)
    recorded: list[Recorded | None] = [sheets[one.work.account].told(one) for one in decided]
    kept = batch.answered(fresh, recorded, now)[0]
    if not (advances or kept):
        return Decided(recorded, None, set(), {}, ())
    slip = posting.slip_of([sheet.page(account) for account, sheet in sheets.items()])
    marked = {(spot[0], link) for spot in slip.moved for link in known[spot[0]].told.get(spot[1:], ())}
    deed = onestep.deed(advances, slip.movements, slip.moved if marked else {}, kept, now)
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


def _used(connection: Connection, works: Sequence[Work], now: int) -> bool:
    """Whether a key was used before, or comes twice."""
    keys = [(work.account, work.key.scope, work.key.key, work.key.fingerprint) for work in works if work.key]
    if not keys:
        return False
    return len({key[:3] for key in keys}) < len(keys) or bool(requests.claim(connection, keys, now))


def _load(
    connection: Connection, shelved: Shelf, sheets: Mapping[int, Sheet], spots: set[Spot], now: int
) -> dict[int, Known] | None:
    """Put the levels on the sheets; what is known of each account, None where a level is not as it seems."""
    known = {account: shelved.known(account) for account in sheets}
    if missing := [spot for spot in spots if spot[1:] not in known[spot[0]].levels]:
        if not shelved.load(connection, missing):
            return None
    for spot in spots:
        account, place = spot[0], spot[1:]
        level = known[account].levels[place]
        if level.next_expiry is not None and level.next_expiry <= now:
            return None
        sheet = sheets[account]
        sheet.levels[place] = sheet.loaded[place] = level
    return known
