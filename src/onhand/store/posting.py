"""Posts what a commit decided: the account's next numbers, its levels and its movements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.stock.ledger import Entry
from onhand.stock.model import ABSENT, Level, Place
from onhand.store import shelf
from onhand.store.books import Spot, last
from onhand.store.sql import STEPPED, Insert, Row, Statement, Steps

_put_levels = Insert(
    "levels",
    "account int, item int, location int, on_hand int, reserved int, infinite int, present int,"
    " version int, next_expiry int",
    "ON CONFLICT (account, item, location) DO UPDATE SET on_hand = excluded.on_hand,"
    " reserved = excluded.reserved, infinite = excluded.infinite, present = excluded.present,"
    " version = excluded.version, next_expiry = excluded.next_expiry",
    listed=True,
    prepared=True,
)
# A row that is there and whose holds run out no earlier or later than before has one page to change: the
# statement that would also make one looks it up twice, and one that names the expiry sees to its index.
_move_levels = Steps(
    "UPDATE levels SET on_hand = ?, reserved = ?, infinite = ?, present = ?, version = ?"
    " WHERE account = ? AND item = ? AND location = ?"
)
# Of many levels few begin or change when their holds run out, and each NULL costs as much as two numbers.
_renumber_levels = Statement(
    sqlite="INSERT INTO levels (account, item, location, on_hand, reserved, infinite, present, version)"
    " SELECT * FROM {rows} WHERE true ON CONFLICT (account, item, location) DO UPDATE"
    " SET on_hand = excluded.on_hand, reserved = excluded.reserved, infinite = excluded.infinite,"
    " present = excluded.present, version = excluded.version",
    rows="account int, item int, location int, on_hand int, reserved int, infinite int, present int,"
    " version int",
    listed=True,
)
_NUMBERS = (
    "account int, seq int, item int, location int, version int, kind text, on_hand int,"
    " reserved int, on_hand_after int, reserved_after int, infinite int, present int,"
)
_ENDING = " recorded_at int, effective_at int"
_append = Insert(
    "movements", f"{_NUMBERS} reason text, reference text, caller text, context text,{_ENDING}", prepared=True
)
# Most have no words, and each NULL costs as much as a number.
_append_bare = Insert("movements", f"{_NUMBERS} caller text,{_ENDING}", prepared=True)
_REASON, _REFERENCE, _CALLER, _CONTEXT = range(12, 16)
# Many of one kind, by one caller and without words: a thousand go in one step, in which no thread needs the
# interpreter. Stepped row by row, the thread that writes must win it back from the event loop for each.
_append_alike = Statement(
    sqlite="INSERT INTO movements (account, seq, item, location, version, kind, on_hand, reserved,"
    " on_hand_after, reserved_after, infinite, present, caller, recorded_at, effective_at)"
    " SELECT :account, r.seq, r.item, r.location, r.version, :kind, r.on_hand, 0, r.on_hand_after,"
    " r.reserved_after, 0, 1, :caller, :at, :at FROM {rows}",
    rows="seq int, item int, location int, version int, on_hand int, on_hand_after int, reserved_after int",
    listed=True,
)
_advance = Statement(
    "UPDATE accounts SET seq = seq + :count,"
    " recorded_at = CASE WHEN recorded_at > :now THEN recorded_at ELSE :now END"
    " WHERE id = :account RETURNING seq, recorded_at",
    prepared=True,
)
_move_on = Statement(
    postgresql="UPDATE accounts SET seq = :seq, recorded_at = :recorded_at WHERE id = :account", prepared=True
)
# Several accounts in a batch are there on SQLite only.
_advance_each = Statement(
    sqlite="UPDATE accounts SET seq = accounts.seq + r.count,"
    " recorded_at = CASE WHEN recorded_at > :now THEN recorded_at ELSE :now END"
    " FROM {rows} WHERE accounts.id = r.account RETURNING id, seq, recorded_at",
    rows="account int, count int",
)
_last_each = Statement(
    sqlite="SELECT a.id, a.seq, a.recorded_at FROM {rows} JOIN accounts a ON a.id = r.account",
    rows="account int",
)


Caller = tuple[str, str | None]
"""Who made a movement, and the note that came with it."""


class Page(NamedTuple):
    """What a commit does to an account: its levels as they were loaded and as they are to be, who moved what,
    and the number before the first of that."""

    account: int
    seq: int
    recorded_at: int
    loaded: Mapping[Place, Level]
    levels: Mapping[Place, Level]
    entries: Sequence[Entry]
    callers: Sequence[Caller]


def post(connection: Connection, pages: Sequence[Page]) -> list[Spot]:
    """Write levels that have changed, and movements; the levels that moved."""
    changed: dict[Spot, Level] = {}
    before: dict[Spot, Level] = {}
    found: list[Spot] = []
    altered: list[Spot] = []
    for page in pages:
        account, loaded = page.account, page.loaded.get
        for place, level in page.levels.items():
            old = loaded(place, ABSENT)
            if level is not old and level != old:
                spot = (account, *place)
                changed[spot], before[spot] = level, old
                (altered if level.version == old.version else found).append(spot)
    if connection.dialect.name == "sqlite":
        shelved = shelf.of(connection)
        shelved.drop(changed)
        if altered:
            shelved.alter(altered)
    _write_levels(connection, changed, before)
    _append_pages(connection, pages)
    return found


def rows_of(page: Page) -> list[Row]:
    """The movements of a page as rows of their table, in order."""
    account, seq, recorded_at, _, _, entries, callers = page
    return [
        (
            account,
            seq,
            movement.item,
            movement.location,
            level.version,
            # The driver asks about a text of a type of its own what it may be taken for.
            movement.kind._value_,
            movement.on_hand,
            movement.reserved,
            level.on_hand,
            level.reserved,
            # As numbers: `int` takes five times as long.
            +movement.infinite,
            +movement.present,
            movement.reason,
            movement.reference,
            caller,
            context,
            recorded_at,
            recorded_at if movement.effective_at is None else min(movement.effective_at, recorded_at),
        )
        for seq, (entry, (caller, context)) in enumerate(zip(entries, callers, strict=True), seq + 1)
        for movement, level in [(entry.movement, entry.level)]
    ]


def moved(pages: Iterable[Page]) -> dict[Spot, tuple[int, int]]:
    """The first and the last number of each level that moves."""
    found: dict[Spot, tuple[int, int]] = {}
    for page in pages:
        account = page.account
        for seq, entry in enumerate(page.entries, page.seq + 1):
            spot = (account, *entry.movement.place)
            found[spot] = (found[spot][0] if spot in found else seq, seq)
    return found


def advance(connection: Connection, account: int, count: int, now: int) -> tuple[int, int]:
    """Take ``count`` numbers of the account: (the last one taken, the time of recording)."""
    if connection.dialect.name == "sqlite":
        shelf.of(connection).advanced([account])
    rows = _advance.run(connection, account=account, count=count, now=now)
    return (rows[0][0], rows[0][1])


def advance_each(
    connection: Connection, counts: Mapping[int, int], now: int, locked: tuple[int, int] | None = None
) -> dict[int, tuple[int, int]]:
    """The same for every account of a batch; of those that take none it is what `last` says. ``locked`` is
    that of the only one, where nobody else can take any meanwhile (PostgreSQL)."""
    if len(counts) == 1:
        ((account, count),) = counts.items()
        if locked is not None:
            seq, recorded_at = locked
            if count:
                seq, recorded_at = seq + count, max(recorded_at, now)
                _move_on.later(connection, seq=seq, recorded_at=recorded_at, account=account)
            return {account: (seq, recorded_at)}
        return {account: advance(connection, account, count, now) if count else last(connection, account)}
    taking = sorted((account, count) for account, count in counts.items() if count)
    others = sorted((account,) for account, count in counts.items() if not count)
    shelf.of(connection).advanced(counts)
    rows = _advance_each.run(connection, taking, now=now) if taking else []
    rows += _last_each.run(connection, others) if others else []
    return {account: (seq, at) for account, seq, at in rows}


def _write_levels(connection: Connection, levels: Mapping[Spot, Level], before: Mapping[Spot, Level]) -> None:
    """On SQLite those whose holds run out when they did go apart."""
    sqlite = connection.dialect.name == "sqlite"
    same: list[tuple[Spot, Level]] = []
    rows: list[Row] = []
    for spot in sorted(levels):
        level, old = levels[spot], before[spot]
        if sqlite and old.version and old.next_expiry == level.next_expiry:
            same.append((spot, level))
        else:
            rows.append((*spot, *_numbers(level), level.next_expiry))
    if len(levels) <= STEPPED:
        _move_levels.run(connection, [(*_numbers(level), *spot) for spot, level in same])
    elif same:
        _renumber_levels.run(connection, [(*spot, *_numbers(level)) for spot, level in same])
    _put_levels.later(connection, rows)


def _numbers(level: Level) -> tuple[int, int, int, int, int]:
    return (level.on_hand, level.reserved, int(level.infinite), int(level.present), level.version)


def _append_pages(connection: Connection, pages: Sequence[Page]) -> None:
    # With `store.onestep` the only place in onhand that writes the ledger.
    if connection.dialect.name == "sqlite" and len(pages) == 1 and _append_at_once(connection, pages[0]):
        return
    rows = [row for page in sorted(pages, key=itemgetter(0)) for row in rows_of(page)]
    for row in rows:
        if row[_REASON] is not None or row[_REFERENCE] is not None or row[_CONTEXT] is not None:
            _append.later(connection, rows)
            return
    _append_bare.later(connection, [(*row[:_REASON], row[_CALLER], *row[_CONTEXT + 1 :]) for row in rows])


def _append_at_once(connection: Connection, page: Page) -> bool:
    """Whether the movements of a page are many and alike, and so were written."""
    account, seq, recorded_at, _, _, entries, callers = page
    if len(entries) <= STEPPED or callers.count(callers[0]) < len(callers) or callers[0][1] is not None:
        return False
    usual = entries[0].movement.kind
    rows: list[Row] = []
    for entry in entries:
        movement, level = entry.movement, entry.level
        odd = movement.kind is not usual or movement.reserved or movement.infinite or not movement.present
        words = movement.reason is not None or movement.reference is not None
        if odd or words or movement.effective_at is not None:
            return False
        seq += 1
        item, location, on_hand = movement.item, movement.location, movement.on_hand
        rows.append((seq, item, location, level.version, on_hand, level.on_hand, level.reserved))
    kind, caller = usual._value_, callers[0][0]
    _append_alike.run(connection, rows, account=account, kind=kind, caller=caller, at=recorded_at)
    return True
