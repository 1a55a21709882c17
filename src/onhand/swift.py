"""Small batches of usual works on SQLite: decided from memory, and written by one statement in a thread.

It comes to what `plain.record` comes to, which the tests hold it to. Whatever is not as usual goes there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from onhand import batch, plain
from onhand.plain import Sheet
from onhand.stock.model import Level
from onhand.store import onestep, posting, requests, shelf
from onhand.store.books import Marked, Spot
from onhand.store.onestep import Advance, Deed
from onhand.store.shelf import Shelf
from onhand.work import Recorded, Work

LIMIT = 128
"""Levels in a batch at most: of more, rows that are stepped one by one are cheaper."""


class Decided(NamedTuple):
    """A batch that is decided and still to be written: what becomes of each work, the deed (None where there
    is nothing to write), the levels and the accounts' numbers after it, and what becomes stale."""

    recorded: Sequence[Recorded | None]
    deed: Deed | None
    levels: Mapping[Spot, Level]
    advances: Mapping[int, Advance]
    marked: set[Marked]


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
    told: dict[Spot, tuple[int, ...]] = {}
    if not _load(connection, shelved, sheets, named.spots, now, told):
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
        return Decided(recorded, None, {}, {}, set())
    slip = posting.slip_of([sheet.page(account) for account, sheet in sheets.items()])
    marked = {(spot[0], link) for spot in told if spot in slip.moved for link in told[spot]}
    deed = onestep.deed(advances, slip.movements, slip.moved if marked else {}, kept, now)
    if deed is None:
        return None
    onestep.prepare(connection)
    return Decided(recorded, deed, slip.levels, advances, marked)


def write(connection: Connection, decided: Decided) -> None:
    """Write and commit what was decided. After an exception it was not, and nothing is remembered."""
    if decided.deed is None:
        return
    shelved = shelf.of(connection)
    try:
        onestep.do(connection, decided.deed)
    except BaseException:
        shelved.forget()
        raise
    shelved.put(
        decided.levels, {account: (one.last, one.recorded_at) for account, one in decided.advances.items()}
    )


def _used(connection: Connection, works: Sequence[Work], now: int) -> bool:
    """Whether a key was used before, or comes twice."""
    keys = [(work.account, work.key.scope, work.key.key, work.key.fingerprint) for work in works if work.key]
    if not keys:
        return False
    return len({key[:3] for key in keys}) < len(keys) or bool(requests.claim(connection, keys, now))


def _load(
    connection: Connection,
    shelved: Shelf,
    sheets: Mapping[int, Sheet],
    spots: set[Spot],
    now: int,
    told: dict[Spot, tuple[int, ...]],
) -> bool:
    """Put the levels on the sheets, and into ``told`` who is told of them; False where one of them is not as
    it seems."""
    known = {account: shelved.known(account).levels for account in sheets}
    if missing := [spot for spot in spots if spot[1:] not in known[spot[0]]]:
        if not shelved.load(connection, missing):
            return False
    for spot in spots:
        account, place = spot[0], spot[1:]
        level, links = known[account][place]
        if level.next_expiry is not None and level.next_expiry <= now:
            return False
        sheet = sheets[account]
        sheet.levels[place] = sheet.loaded[place] = level
        if links:
            told[spot] = links
    return True
