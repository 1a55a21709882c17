"""Reads of the ledger: levels now, levels as of a moment, and the movements behind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import replace
from sqlalchemy import Connection

from onhand.stock.model import Level, Place
from onhand.store.packed import Packed
from onhand.store.sql import Statement


class _Row(NamedTuple):
    item: int
    location: int
    on_hand: int
    reserved: int
    infinite: int
    present: int
    version: int
    next_expiry: int | None


_LEVEL = [f"l.{name}" for name in _Row._fields]
_at = Packed(
    _Row,
    _LEVEL,
    rest="FROM {rows} JOIN levels l ON l.account = r.account AND l.item = r.item"
    " AND l.location = r.location WHERE l.present = 1",
    rows="account int, item int, location int",
    listed=True,
)
_of_items = Packed(
    _Row,
    _LEVEL,
    rest="FROM {rows} JOIN levels l ON l.account = r.account AND l.item = r.item"
    " WHERE l.present = 1 ORDER BY l.item, l.location",
    rows="account int, item int",
)
_page = Packed(
    _Row,
    _LEVEL,
    rest="FROM levels l WHERE l.account = :account AND l.present = 1"
    " AND (l.item, l.location) > (:item, :location) ORDER BY l.item, l.location LIMIT :limit",
)
_page_at = Packed(
    _Row,
    _LEVEL,
    rest="FROM levels l WHERE l.account = :account AND l.location = :at"
    " AND l.present = 1 AND l.item > :item ORDER BY l.item LIMIT :limit",
)
_lapsed = Statement(
    "SELECT n.item, n.location, SUM(n.held), COUNT(*),"
    " (SELECT MIN(m.expires_at) FROM reservation_lines m WHERE m.account = n.account"
    " AND m.item = n.item AND m.location = n.location AND m.held > 0 AND m.expires_at > :now)"
    " FROM {rows} JOIN reservation_lines n ON n.account = r.account AND n.item = r.item"
    " AND n.location = r.location WHERE n.held > 0 AND n.expires_at <= :now"
    " GROUP BY n.account, n.item, n.location",
    rows="account int, item int, location int",
)
_lapsed_by = Statement(
    "SELECT SUM(n.held) FROM reservation_lines n WHERE n.account = :account AND n.item = :item"
    " AND n.location = :location AND n.held > 0 AND n.expires_at <= :at"
)
_seq = Statement("SELECT seq FROM accounts WHERE id = :account")


def current(connection: Connection, account: int, rows: Iterable[Any], now: int) -> dict[Place, Level]:
    """Rows as levels, less what is still held although its time is up: expiry is exact at a read. Their
    versions count the movements that will say so, one a line of a hold, as if they were written."""
    found: dict[Place, Level] = {}
    due: list[tuple[int, int, int]] = []
    for item, location, on_hand, reserved, infinite, present, version, expiry in rows:
        level = Level(on_hand, reserved, bool(infinite), bool(present), version, expiry)
        found[item, location] = level
        if expiry is not None and expiry <= now:
            due.append((account, item, location))
    for item, location, held, lines, ahead in _lapsed.run(connection, due, now=now) if due else ():
        level = found[item, location]
        found[item, location] = replace(
            level, reserved=level.reserved - int(held), version=level.version + lines, next_expiry=ahead
        )
    return found


def at(connection: Connection, account: int, places: Iterable[Place], now: int) -> dict[Place, Level]:
    """The levels at these places that are present; an absent one is left out."""
    rows = [(account, *place) for place in sorted(set(places))]
    return current(connection, account, _at.run(connection, rows), now) if rows else {}


def of_items(connection: Connection, account: int, items: Iterable[int], now: int) -> dict[Place, Level]:
    """Every present level of these items, by item and location."""
    rows = [(account, item) for item in sorted(set(items))]
    return current(connection, account, _of_items.run(connection, rows), now) if rows else {}


def page(
    connection: Connection, account: int, after: Place, limit: int, now: int, location: int | None = None
) -> dict[Place, Level]:
    """Present levels in key order behind ``after``, (0, 0) for the first; at one location if named."""
    if location is None:
        rows = _page.run(connection, account=account, item=after[0], location=after[1], limit=limit)
    else:
        rows = _page_at.run(connection, account=account, item=after[0], at=location, limit=limit)
    return current(connection, account, rows, now)


# --- levels that are only shown ----------------------------------------------------------------------

Standing: TypeAlias = tuple[int, int, int, int, int, int, int | None]
"""Item, location, on hand, reserved, infinite (0 or 1), version and next expiry of a level: a row of a long
list, which nobody makes a `Level` of."""

_STANDING = [f"l.{name}" for name in _Row._fields if name != "present"]
_standing: Packed[Standing] = Packed(
    Standing,  # type: ignore[arg-type]
    _STANDING,
    rest="FROM levels l WHERE l.account = :account AND l.present = 1"
    " AND (l.item, l.location) > (:item, :location) ORDER BY l.item, l.location LIMIT :limit",
)
_standing_at: Packed[Standing] = Packed(
    Standing,  # type: ignore[arg-type]
    _STANDING,
    rest="FROM levels l WHERE l.account = :account AND l.location = :at"
    " AND l.present = 1 AND l.item > :item ORDER BY l.item LIMIT :limit",
)
_standing_of: Packed[Standing] = Packed(
    Standing,  # type: ignore[arg-type]
    _STANDING,
    rest="FROM {rows} JOIN levels l ON l.account = r.account AND l.item = r.item"
    " AND l.location = r.location WHERE l.present = 1 ORDER BY l.item, l.location",
    rows="account int, item int, location int",
    listed=True,
)
_moved: Packed[tuple[int, int, int]] = Packed(
    tuple[int, int, int],
    ("m.item", "m.location", "m.present"),
    rest="FROM movements m WHERE m.account = :account AND m.seq > :after ORDER BY m.seq LIMIT :limit",
)
_HELD = (
    "FROM reservation_lines n WHERE n.account = :account AND n.item = :item AND n.location = :location"
    " AND n.held > 0 AND n.expires_at"
)
_one = Statement(
    "SELECT a.seq, l.on_hand, l.reserved, l.infinite, l.version, l.next_expiry,"
    f" CASE WHEN l.next_expiry <= :now THEN (SELECT CAST(SUM(n.held) AS BIGINT) {_HELD} <= :now) END,"
    f" CASE WHEN l.next_expiry <= :now THEN (SELECT COUNT(*) {_HELD} <= :now) END,"
    f" CASE WHEN l.next_expiry <= :now THEN (SELECT MIN(n.expires_at) {_HELD} > :now) END"
    " FROM accounts a LEFT JOIN levels l ON l.account = :account AND l.item = :item"
    " AND l.location = :location AND l.present = 1 WHERE a.id = :account"
)


def standing(
    connection: Connection, account: int, after: Place, limit: int, now: int, location: int | None = None
) -> list[Standing]:
    """The same page as rows."""
    if location is None:
        rows = _standing.run(connection, account=account, item=after[0], location=after[1], limit=limit)
    else:
        rows = _standing_at.run(connection, account=account, item=after[0], at=location, limit=limit)
    return _without_lapsed(connection, account, rows, now)


def standing_of(connection: Connection, account: int, places: Iterable[Place], now: int) -> list[Standing]:
    """The rows of these places in key order; none for an absent level."""
    rows = _standing_of.run(connection, [(account, *place) for place in places])
    return _without_lapsed(connection, account, rows, now)


def moved(connection: Connection, account: int, after: int, limit: int) -> list[tuple[int, int, int]]:
    """What moved behind number ``after``, in order: item, location, and 1 if that left a level, else 0."""
    return _moved.run(connection, account=account, after=after, limit=limit)


def _without_lapsed(connection: Connection, account: int, rows: list[Standing], now: int) -> list[Standing]:
    due = [(account, row[0], row[1]) for row in rows if row[6] is not None and row[6] <= now]
    if due:
        lapsed = {(row[0], row[1]): row[2:] for row in _lapsed.run(connection, due, now=now)}
        rows = [_less(row, *lapsed[row[:2]]) if row[:2] in lapsed else row for row in rows]
    return rows


def _less(row: Standing, held: int, lines: int, ahead: int | None) -> Standing:
    item, location, on_hand, reserved, infinite, version, _ = row
    return item, location, on_hand, reserved - int(held), infinite, version + lines, ahead


def one(connection: Connection, account: int, place: Place, now: int) -> tuple[int, Level | None]:
    """(the account's last movement, the level at ``place`` if it is present), in one statement."""
    item, location = place
    rows = _one.run(connection, account=account, item=item, location=location, now=now)
    if not rows:
        return 0, None
    seq, on_hand, reserved, infinite, version, expiry, held, lines, ahead = rows[0]
    if version is None:
        return seq, None
    if held is not None:
        reserved, version, expiry = reserved - held, version + lines, ahead
    return seq, Level(on_hand, reserved, bool(infinite), True, version, expiry)


def last_seq(connection: Connection, account: int) -> int:
    """The number of the account's last movement: what a read of this snapshot has seen."""
    rows = _seq.run(connection, account=account)
    return int(rows[0][0]) if rows else 0


# --- movements ----------------------------------------------------------------------------------------


class Written(NamedTuple):
    """One entry of the ledger as it was written. Times are microseconds UTC."""

    seq: int
    item: int
    location: int
    version: int
    kind: str
    on_hand: int
    reserved: int
    on_hand_after: int
    reserved_after: int
    infinite: bool
    present: bool
    reason: str | None
    reference: str | None
    caller: str
    context: str | None
    recorded_at: int
    effective_at: int


_WRITTEN = ", ".join(f"m.{name}" for name in Written._fields)
_history = Statement(
    f"SELECT {_WRITTEN} FROM movements m WHERE m.account = :account AND m.item = :item"
    " AND m.location = :location AND m.seq < :before ORDER BY m.seq DESC LIMIT :limit"
)
_stream = Statement(
    f"SELECT {_WRITTEN} FROM movements m WHERE m.account = :account AND m.seq > :after"
    " ORDER BY m.seq LIMIT :limit"
)
_last_before = Statement(
    f"SELECT {_WRITTEN} FROM movements m WHERE m.account = :account AND m.item = :item"
    " AND m.location = :location AND m.seq <= :seq ORDER BY m.seq DESC LIMIT 1"
)
# Movements are numbered without gaps in the order of their recording, so the last one recorded by
# a time is found by halving, and needs no index of its own.
_seq_at = Statement(
    "WITH RECURSIVE halves(low, high) AS ("
    " SELECT CAST(0 AS {big}), seq FROM accounts WHERE id = :account"
    " UNION ALL SELECT"
    " CASE WHEN m.recorded_at <= :at THEN m.seq ELSE h.low END,"
    " CASE WHEN m.recorded_at <= :at THEN h.high ELSE m.seq - 1 END"
    " FROM halves h JOIN movements m ON m.account = :account AND m.seq = (h.low + h.high + 1) / 2"
    " WHERE h.low < h.high) SELECT low FROM halves WHERE low >= high".replace("{big}", "BIGINT")
)
_late = Statement(
    "SELECT SUM(m.on_hand), SUM(m.reserved) FROM movements m WHERE m.account = :account"
    " AND m.item = :item AND m.location = :location AND m.effective_at <= :at"
    " AND m.effective_at < m.recorded_at AND m.seq > :seq"
)
NO_LIMIT = 2**62


def _written(rows: Iterable[Any]) -> list[Written]:
    return [Written(*row)._replace(infinite=bool(row[9]), present=bool(row[10])) for row in rows]


def history(
    connection: Connection, account: int, place: Place, before: int = NO_LIMIT, limit: int = 100
) -> list[Written]:
    """The movements of one level, newest first, older than ``before``."""
    item, location = place
    return _written(
        _history.run(connection, account=account, item=item, location=location, before=before, limit=limit)
    )


def movements(connection: Connection, account: int, after: int = 0, limit: int = 100) -> list[Written]:
    """The account's movements in order, behind number ``after``."""
    return _written(_stream.run(connection, account=account, after=after, limit=limit))


def seq_at(connection: Connection, account: int, at: int) -> int:
    """The account's last movement that was recorded by the time ``at`` (microseconds UTC)."""
    rows = _seq_at.run(connection, account=account, at=at)
    return int(rows[0][0]) if rows else 0


def as_of_seq(connection: Connection, account: int, place: Place, seq: int) -> Level:
    """The level as the account's movement number ``seq`` left it."""
    item, location = place
    rows = _written(_last_before.run(connection, account=account, item=item, location=location, seq=seq))
    if not rows:
        return Level()
    last = rows[0]
    return Level(last.on_hand_after, last.reserved_after, last.infinite, last.present, last.version)


def as_of(connection: Connection, account: int, place: Place, moment: int) -> Level:
    """The level at ``moment`` (microseconds UTC, not ahead of now): what was recorded by then, and what
    took effect by then but was recorded later, or is still to be (a hold's expiry)."""
    seq = seq_at(connection, account, moment)
    level = as_of_seq(connection, account, place, seq)
    item, location = place
    rows = _late.run(connection, account=account, item=item, location=location, at=moment, seq=seq)
    on_hand, reserved = (int(value or 0) for value in rows[0])
    ahead = _lapsed_by.run(connection, account=account, item=item, location=location, at=moment)
    reserved -= int(ahead[0][0] or 0)
    return replace(level, on_hand=level.on_hand + on_hand, reserved=level.reserved + reserved)
