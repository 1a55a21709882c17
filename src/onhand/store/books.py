"""What a commit looks at: levels and reservations, locked and loaded; and reservations as it left them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import ABSENT, HoldLine, Level, Reservation
from onhand.store.sql import CHUNK, Insert, Row, Statement
from onhand.store.together import plan_once

Spot = tuple[int, int, int]
"""(account, item, location)."""
Marked = tuple[int, int]
"""(account, connection) of a listing that has become stale."""

PLACES = "account int, item int, location int"
"""The columns of a `Spot`."""
_LOADED = (
    "SELECT r.account, r.item, r.location, l.on_hand, l.reserved, l.infinite, l.present,"
    " l.version, l.next_expiry, i.kit, p.kind FROM {rows}"
    " {join} levels l ON l.account = r.account AND l.item = r.item AND l.location = r.location"
    " LEFT JOIN items i ON i.account = r.account AND i.id = r.item"
    " LEFT JOIN locations p ON p.account = r.account AND p.id = r.location"
)


def packed(more: str = "") -> str:
    """SQLite's statement for the levels of ``{rows}``, as `by_spot` takes them, with ``more`` columns.

    All rows as one text: each row that SQLite hands out lets the interpreter go, and on a busy hub it must be
    won back from the event loop.
    """
    columns, _, source = _LOADED.replace("{join}", "LEFT JOIN").removeprefix("SELECT ").partition(" FROM ")
    return f"SELECT json_group_array(json_array({columns}{more})) FROM {source}"


_ON_POSTGRESQL = _LOADED.replace("{join}", "JOIN") + " ORDER BY l.account, l.item, l.location FOR UPDATE OF l"
_load = Statement(
    rows=PLACES,
    sqlite=packed(),
    postgresql=_ON_POSTGRESQL,
    listed=True,
    prepared=True,
)
# The account's row comes after the levels, and only where no more levels are to be locked (decision 0001).
_load_usual = Statement(
    f"WITH l AS MATERIALIZED ({_ON_POSTGRESQL}), a AS MATERIALIZED (SELECT seq, recorded_at FROM accounts"
    " WHERE id = :account AND (SELECT COUNT(*) FROM l WHERE kit = 0 AND kind <> 'mirrored' AND present = 1"
    " AND (next_expiry IS NULL OR next_expiry > :now)) = :count FOR NO KEY UPDATE)"
    " SELECT l.*, a.seq, a.recorded_at FROM l JOIN a ON true",
    rows=PLACES,
    prepared=True,
)
# A row that is not there cannot be locked, so a version 0 stands in for it.
_prepare = Statement(
    "INSERT INTO levels (account, item, location, on_hand, reserved, version)"
    " SELECT r.account, r.item, r.location, 0, 0, 0 FROM {rows}"
    " JOIN items i ON i.account = r.account AND i.id = r.item"
    " JOIN locations p ON p.account = r.account AND p.id = r.location"
    " WHERE NOT EXISTS (SELECT 1 FROM levels l WHERE l.account = r.account AND l.item = r.item"
    " AND l.location = r.location) ORDER BY r.account, r.item, r.location ON CONFLICT DO NOTHING"
    " RETURNING account, item, location",
    rows=PLACES,
)


Spotted: TypeAlias = tuple[Level, int | None, str | None]
"""A level as loaded, whether its item is a kit (None: there is no such item), and the kind of its location
(None: there is no such location)."""

# A spot whose item or location is unknown has no row; this says which of the two it is.
_oddities = Statement(
    "SELECT r.account, r.item, r.location, i.kit, p.kind FROM {rows}"
    " LEFT JOIN items i ON i.account = r.account AND i.id = r.item"
    " LEFT JOIN locations p ON p.account = r.account AND p.id = r.location",
    rows=PLACES,
)


_last = Statement("SELECT seq, recorded_at FROM accounts WHERE id = :account")


def last(connection: Connection, account: int) -> tuple[int, int]:
    """The account's last movement number and the time it was recorded; (0, 0) for none."""
    rows = _last.run(connection, account=account)
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


def lock_usual(
    connection: Connection, spots: Iterable[Spot], now: int
) -> tuple[dict[Spot, Spotted], tuple[int, int]] | None:
    """The levels at ``spots``, all of one account, with its last movement and when that was recorded: the
    levels and then the account locked. None, and no account locked, where one of the levels is absent, of a
    kit or mirrored, or has holds that are due; and on SQLite, which has nothing to gain."""
    rows = sorted(set(spots))
    if connection.dialect.name == "sqlite" or not 0 < len(rows) <= CHUNK:
        return None
    plan_once(connection)
    found = _load_usual.run(connection, rows, account=rows[0][0], now=now, count=len(rows))
    if not found:
        plan_once(connection, really=False)
        return None
    return by_spot(row[:-2] for row in found), found[0][-2:]


def _loaded(connection: Connection, rows: list[Spot]) -> list[list[Any]]:
    if connection.dialect.name == "postgresql":
        return _load.run(connection, rows)
    return [row for (text,) in _load.run(connection, rows) for row in msgspec.json.decode(text)]


def lock_levels(connection: Connection, spots: Iterable[Spot]) -> dict[Spot, Spotted]:
    """The levels at ``spots``, locked in key order; a spot that cannot exist has kit or kind None."""
    rows = sorted(set(spots))
    found = _spotted(connection, rows) if rows else {}
    if connection.dialect.name == "sqlite":  # it has a row for each, and nobody else who writes
        return found
    mine: set[Spot] = set()
    missing = [] if len(found) == len(rows) else [spot for spot in rows if spot not in found]
    if missing:
        _prepare.later(connection, missing, take=mine.update)
        found |= _spotted(connection, missing)
    # Of what is absent at a row that others knew, they may have made a kit while they were waited for.
    odd = [one for one in rows if one not in mine and not (one in found and found[one][0].present)]
    for account, item, at, kit, kind in _oddities.run(connection, odd) if odd else ():
        spot = (account, item, at)
        found[spot] = (found[spot][0] if spot in found else ABSENT, kit, kind)
    return found


def _spotted(connection: Connection, rows: list[Spot]) -> dict[Spot, Spotted]:
    return by_spot(_loaded(connection, rows))


def by_spot(rows: Iterable[Row]) -> dict[Spot, Spotted]:
    """Rows as they are loaded, as levels by their places."""
    found: dict[Spot, Spotted] = {}
    for account, item, at, units, held, infinite, present, version, expiry, kit, kind in rows:
        level = (
            ABSENT if version is None else Level(units, held, infinite != 0, present != 0, version, expiry)
        )
        found[account, item, at] = (level, kit, kind)
    return found


_kits = Statement(
    "SELECT k.account, k.kit, k.component, k.quantity FROM {rows}"
    " JOIN kit_components k ON k.account = r.account AND k.kit = r.kit ORDER BY 1, 2, 3",
    rows="account int, kit int",
)


def components(
    connection: Connection, items: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """The (component, units per kit) of those of ``items``, as (account, item), that are kits."""
    rows = sorted(set(items))
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for account, kit, component, quantity in _kits.run(connection, rows) if rows else ():
        found.setdefault((account, kit), []).append((component, quantity))
    return found


# --- reservations ---------------------------------------------------------------------------------

_REFERENCES = "account int, reference text"
_heads = (
    "SELECT h.account, h.reference, h.owner, h.confirmed, h.expires_at FROM {rows}"
    " JOIN reservations h ON h.account = r.account AND h.reference = r.reference"
)
_load_heads = Statement(rows=_REFERENCES, sqlite=_heads, postgresql=_heads + " ORDER BY 1, 2 FOR UPDATE OF h")
_load_lines = Statement(
    "SELECT n.account, n.reference, n.item, n.location, n.held, n.shipped, n.released, n.expired,"
    " n.returned, n.kit, n.per FROM {rows}"
    " JOIN reservation_lines n ON n.account = r.account AND n.reference = r.reference"
    " ORDER BY n.account, n.reference, n.line",
    rows=_REFERENCES,
)
_due = Statement(
    "SELECT DISTINCT n.account, n.reference FROM {rows}"
    " JOIN reservation_lines n ON n.account = r.account AND n.item = r.item"
    " AND n.location = r.location WHERE n.held > 0 AND n.expires_at <= :now",
    rows=PLACES,
)
_next_due = Statement(
    "SELECT r.account, r.item, r.location, (SELECT MIN(n.expires_at) FROM reservation_lines n"
    " WHERE n.account = r.account AND n.item = r.item AND n.location = r.location"
    " AND n.held > 0 AND n.expires_at > :now) FROM {rows}",
    rows=PLACES,
)

Named = tuple[int, str]
"""(account, reference)."""


def reservations(
    connection: Connection, names: Iterable[Named], *, lock: bool = True
) -> dict[Named, Reservation]:
    """The reservations of these names, with their lines; locked by their heads unless told not to."""
    rows = sorted(set(names))
    if not rows:
        return {}
    statement = _load_heads if lock else _READ_HEADS
    heads = {(row[0], row[1]): row[2:] for row in statement.run(connection, rows)}
    lines: dict[Named, list[HoldLine]] = {name: [] for name in heads}
    for account, reference, *values in _load_lines.run(connection, list(heads)) if heads else ():
        lines[(account, reference)].append(HoldLine(*values))
    return {
        name: Reservation(name[1], owner, tuple(lines[name]), bool(confirmed), expires_at)
        for name, (owner, confirmed, expires_at) in heads.items()
    }


_READ_HEADS = Statement(_heads, rows=_REFERENCES)


def due_references(connection: Connection, spots: Iterable[Spot], now: int) -> list[Named]:
    """Reservations that still hold units at ``spots`` although their time is up."""
    rows = sorted(spots)
    return [(account, reference) for account, reference in _due.run(connection, rows, now=now)]


def next_expiries(connection: Connection, spots: Iterable[Spot], now: int) -> dict[Spot, int | None]:
    """For each spot the earliest expiry after ``now`` of what is held there."""
    rows = sorted(spots)
    return {tuple(row[:3]): row[3] for row in _next_due.run(connection, rows, now=now)}


_HEADS = (
    "account int, reference text, owner text, confirmed int, expires_at int, created_at int, updated_at int"
)
# Nothing can lock a name that is not there. Two that make the same one at once collide here, and the
# second is decided again.
_new_heads = Insert("reservations", _HEADS)
_put_heads = Insert(
    "reservations",
    _HEADS,
    "ON CONFLICT (account, reference) DO UPDATE SET owner = excluded.owner,"
    " confirmed = excluded.confirmed, expires_at = excluded.expires_at,"
    " updated_at = excluded.updated_at",
)
_LINE = "account int, reference text, line int"
_drop_lines = Statement(
    rows=_LINE,
    sqlite="DELETE FROM reservation_lines WHERE (account, reference, line) IN"
    " (SELECT account, reference, line FROM {rows})",
    postgresql="DELETE FROM reservation_lines n USING {rows}"
    " WHERE n.account = r.account AND n.reference = r.reference AND n.line = r.line",
)
_put_lines = Insert(
    "reservation_lines",
    _LINE + ", item int, location int, held int, shipped int,"
    " released int, expired int, returned int, kit int, per int, expires_at int",
    "ON CONFLICT (account, reference, line) DO UPDATE SET item = excluded.item,"
    " location = excluded.location, held = excluded.held, shipped = excluded.shipped,"
    " released = excluded.released, expired = excluded.expired, returned = excluded.returned,"
    " kit = excluded.kit, per = excluded.per, expires_at = excluded.expires_at",
)


class Change(NamedTuple):
    """A reservation as it was loaded (None: it is new) and as it is to be written.

    ``folded`` holds are not locked by their heads, only at the levels whose lines have expired.
    """

    old: Reservation | None
    new: Reservation
    folded: bool = False


def write_reservations(connection: Connection, changed: Mapping[Named, Change], now: int) -> None:
    """Write what is different in each reservation: its head, and those of its lines that changed.

    Lines that stayed are left alone: another process may be expiring them at another level.
    """
    new, known, lines, gone = list[Row](), list[Row](), list[Row](), list[Row]()
    for (account, reference), change in sorted(changed.items(), key=lambda one: one[0]):
        hold = change.new
        head = (account, reference, hold.owner, int(hold.confirmed), hold.expires_at, now, now)
        if change.old is None:
            new.append(head)
        elif not change.folded:
            known.append(head)
            more = range(len(hold.lines), len(change.old.lines))
            gone += [(account, reference, number) for number in more]
        lines += _line_rows(account, change)
    _new_heads.run(connection, new)
    _put_heads.run(connection, known)
    if gone:
        _drop_lines.run(connection, gone)
    _put_lines.run(connection, lines)


def _line_rows(account: int, change: Change) -> Iterable[Row]:
    old, hold = change.old, change.new
    before = old.lines if old is not None and old.expires_at == hold.expires_at else ()
    for number, line in enumerate(hold.lines):
        if number < len(before) and before[number] == line:
            continue
        counts = (line.held, line.shipped, line.released, line.expired, line.returned)
        ending = (line.kit, line.per, hold.expires_at)
        yield (account, hold.reference, number, line.item, line.location, *counts, *ending)
