"""Levels with more promised than is there: incidents that name the orders, watched until they are good.

An order that leaves a level short says so in its own commit (`report`). Afterwards the level is watched: the
clockwork asks what has turned (`turned`) and ends or opens the incident again (`settle`), with the movement
that did it and its time, however late that is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.store import incidents
from onhand.store.sql import Row, Statement

NAMED_LIMIT = 50
"""Orders that an incident names at most."""

EARLIER_LIMIT = 20
"""Times that it was open before, which an incident keeps at most."""

WATCH_SECONDS = 7 * 24 * 3600
"""How long a level is watched after it was good again; what happens later is another incident."""

NEWEST, OLDEST, LARGEST = "newest", "oldest", "largest"
"""Who loses when more is promised than is there: the order that came last, came first, or holds most."""


class Turned(NamedTuple):
    """An incident whose level has turned: ``short`` is whether it is oversold now."""

    id: int
    item: int
    location: int
    short: bool
    loses: str


class _Watched(NamedTuple):
    id: int
    opened_at: int
    resolved_at: int | None
    resolution: str | None
    earlier: str


_short = Statement(
    "SELECT DISTINCT l.item, l.location, l.on_hand, l.reserved, i.sku, p.name, r.loses FROM {rows}"
    " JOIN reservation_lines n ON n.account = r.account AND n.reference = r.reference AND n.held > 0"
    " JOIN levels l ON l.account = n.account AND l.item = n.item AND l.location = n.location"
    " JOIN items i ON i.account = l.account AND i.id = l.item"
    " JOIN locations p ON p.account = l.account AND p.id = l.location"
    " WHERE l.infinite = 0 AND l.on_hand < l.reserved ORDER BY l.item, l.location",
    rows="account int, reference text, loses text",
)
_holders = Statement(
    "SELECT n.item, n.location, n.reference, SUM(n.held), h.created_at, h.owner, o.external_id, o.name,"
    " o.updated, o.first_seen_at, c.id, c.channel, c.name FROM {rows}"
    " JOIN reservation_lines n ON n.account = r.account AND n.item = r.item AND n.location = r.location"
    " AND n.held > 0"
    " JOIN reservations h ON h.account = n.account AND h.reference = n.reference"
    " LEFT JOIN orders o ON o.account = n.account AND o.reference = n.reference"
    " LEFT JOIN connections c ON c.account = o.account AND c.id = o.connection"
    " GROUP BY n.item, n.location, n.reference, h.created_at, h.owner, o.external_id, o.name, o.updated,"
    " o.first_seen_at, c.id, c.channel, c.name",
    rows="account int, item int, location int",
)
_short_at = Statement(
    "SELECT l.item, l.location, l.on_hand, l.reserved, i.sku, p.name, r.loses FROM {rows}"
    " JOIN levels l ON l.account = r.account AND l.item = r.item AND l.location = r.location"
    " JOIN items i ON i.account = l.account AND i.id = l.item"
    " JOIN locations p ON p.account = l.account AND p.id = l.location"
    " WHERE l.infinite = 0 AND l.on_hand < l.reserved ORDER BY l.item, l.location",
    rows="account int, item int, location int, loses text",
)


def _both(text: str, rows: str | None = None, lock: str = "") -> Statement:
    """A statement whose index is named on SQLite, which knows nothing of how few the rows are, and which may
    ``lock`` what it finds on PostgreSQL, where others write."""
    plain = text.replace(" INDEXED BY incidents_watched", "").replace(" INDEXED BY movements_level", "")
    return Statement(sqlite=text, postgresql=plain + lock, rows=rows)


_watched = _both(
    "SELECT n.item, n.location, n.id, n.opened_at, n.resolved_at, n.resolution, n.earlier FROM {rows}"
    " JOIN incidents n INDEXED BY incidents_watched ON n.account = r.account AND n.item = r.item"
    " AND n.location = r.location AND n.watched = 1",
    rows="account int, item int, location int",
    lock=" ORDER BY n.id FOR UPDATE OF n",
)
_again = Statement(
    "UPDATE incidents SET body = r.body, opened_at = r.opened_at, resolved_at = NULL, resolution = NULL,"
    " earlier = r.earlier FROM {rows} WHERE incidents.account = r.account AND incidents.id = r.id",
    rows="account int, id int, body text, opened_at int, earlier text",
)
_resolve = Statement(
    "UPDATE incidents SET resolved_at = :at, resolution = :resolution"
    " WHERE account = :account AND id = :id AND resolved_at IS NULL"
)
_turned = _both(
    "SELECT n.id, n.item, n.location, n.resolved_at, n.body FROM incidents n INDEXED BY incidents_watched"
    " JOIN levels l ON l.account = n.account AND l.item = n.item AND l.location = n.location"
    " WHERE n.account = :account AND n.watched = 1 AND ((n.resolved_at IS NULL"
    " AND (l.infinite = 1 OR l.on_hand >= l.reserved)) OR (n.resolved_at IS NOT NULL"
    " AND l.infinite = 0 AND l.on_hand < l.reserved)) ORDER BY n.id LIMIT :limit"
)
_accounts = Statement("SELECT DISTINCT account FROM incidents WHERE watched = 1")
_any = _both(
    "SELECT 1 FROM incidents INDEXED BY incidents_watched WHERE account = :account AND watched = 1 LIMIT 1"
)
_let_go = Statement(
    "UPDATE incidents SET watched = 0 WHERE account = :account AND watched = 1 AND resolved_at < :before"
)
_GOOD = "(infinite = 1 OR on_hand_after >= reserved_after)"
_OF_LEVEL = (
    "FROM movements INDEXED BY movements_level"
    " WHERE account = :account AND item = :item AND location = :location"
)
_cause = {
    short: _both(
        f"SELECT seq, kind, on_hand, reserved, reason, reference, caller, recorded_at {_OF_LEVEL}"
        f" AND seq > COALESCE((SELECT seq {_OF_LEVEL} AND {before} ORDER BY seq DESC LIMIT 1), 0)"
        " ORDER BY seq LIMIT 1"
    )
    for short, before in ((True, _GOOD), (False, f"NOT {_GOOD}"))
}


# --- told -----------------------------------------------------------------------------------------------


def report(connection: Connection, account: int, references: Mapping[str, str], now: int) -> None:
    """Open an incident for every level that these orders hold units at and that cannot keep its promises.

    ``references`` says for each who loses. The incident has the arithmetic, the orders that hold units there
    with their channel and its lag (microseconds from its own time of change to ours), and the losers. A level
    that is watched has one already: that is brought up to date, and opens again if it was at its end.
    """
    if not references:
        return
    rows = [(account, *one) for one in sorted(references.items())]
    # Several orders of a commit may leave the same level short: it is told once.
    short = {(row[0], row[1]): row for row in _short.run(connection, rows)}
    if not short:
        return
    bodies = _bodies(connection, account, short, now)
    known = _known(connection, account, short)
    for place, one in known.items():
        _open_again(connection, account, one, bodies.pop(place), now)
    incidents.report(connection, account, [(incidents.OVERSOLD, body) for body in bodies.values()], now)


def _bodies(
    connection: Connection, account: int, short: Mapping[tuple[int, int], Row], now: int
) -> dict[tuple[int, int], dict[str, Any]]:
    holders: dict[tuple[int, int], list[Row]] = {}
    for row in _holders.run(connection, [(account, *place) for place in sorted(short)]):
        holders.setdefault((row[0], row[1]), []).append(row)
    return {place: _body(row, holders.get(place, []), now) for place, row in sorted(short.items())}


def _known(
    connection: Connection, account: int, places: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], _Watched]:
    """The watched incidents of these levels, by level. Nobody closes one, or opens it again, until the
    transaction ends."""
    rows = [(account, *place) for place in sorted(places)]
    return {(row[0], row[1]): _Watched(*row[2:]) for row in _watched.run(connection, rows)}


def _open_again(
    connection: Connection, account: int, old: _Watched, body: Mapping[str, Any], at: int
) -> None:
    earlier = msgspec.json.decode(old.earlier)
    opened = old.opened_at
    if old.resolved_at is not None:
        resolution = msgspec.json.decode(old.resolution or "null")
        times = {"opened_at": old.opened_at, "resolved_at": old.resolved_at, "resolution": resolution}
        earlier, opened = [*earlier, times][-EARLIER_LIMIT:], at
    texts = (msgspec.json.encode(body).decode(), opened, msgspec.json.encode(earlier).decode())
    _again.run(connection, [(account, old.id, *texts)])


# --- watched --------------------------------------------------------------------------------------------


def accounts_watched(connection: Connection) -> list[int]:
    """Accounts with a watched level; for a connection that sees them all (SQLite)."""
    return [row[0] for row in _accounts.run(connection)]


def watched(connection: Connection, account: int) -> bool:
    """Whether the account has a watched level."""
    return bool(_any.run(connection, account=account))


def turned(connection: Connection, account: int, limit: int = 500) -> list[Turned]:
    """Incidents that are open and whose level is good, or that have ended and whose level is short."""
    found = _turned.run(connection, account=account, limit=limit)
    return [
        Turned(number, item, location, resolved is not None, msgspec.json.decode(body)["policy"])
        for number, item, location, resolved, body in found
    ]


def settle(connection: Connection, account: int, now: int, limit: int = 500) -> int:
    """End incidents whose level is good again, and open those anew whose level is short again, at the time of
    the movement that did it; how many."""
    found = turned(connection, account, limit)
    known = _known(connection, account, [(one.item, one.location) for one in found]) if found else {}
    for one in found:
        if not one.short:
            cause = _mover(connection, account, one)
            at = cause["recorded_at"] if cause else now
            resolution = msgspec.json.encode({"by": incidents.STOCK, "movement": cause}).decode()
            _resolve.run(connection, account=account, id=one.id, at=at, resolution=resolution)
    again = {(one.item, one.location): one for one in found if one.short}
    rows = [(account, *place, one.loses) for place, one in sorted(again.items())]
    short = {(row[0], row[1]): row for row in _short_at.run(connection, rows)} if rows else {}
    bodies = _bodies(connection, account, short, now)
    for place in sorted(short.keys() & known.keys()):
        cause = _mover(connection, account, again[place])
        _open_again(connection, account, known[place], bodies[place], cause["recorded_at"] if cause else now)
    return len(found)


def _mover(connection: Connection, account: int, one: Turned) -> dict[str, Any] | None:
    """The movement since which the level is as it is."""
    found = _cause[one.short].run(connection, account=account, item=one.item, location=one.location)
    names = ("seq", "kind", "on_hand", "reserved", "reason", "reference", "caller", "recorded_at")
    return dict(zip(names, found[0], strict=True)) if found else None


def let_go(connection: Connection, account: int, now: int) -> None:
    """Watch no longer what has been good for `WATCH_SECONDS`."""
    _let_go.run(connection, account=account, before=now - WATCH_SECONDS * 1_000_000)


# --- the words ------------------------------------------------------------------------------------------


def _body(row: Row, holders: Sequence[Row], now: int) -> dict[str, Any]:
    item, location, on_hand, reserved, sku, place, loses = row
    missing = reserved - on_hand
    ordered = sorted((_holder(one, now) for one in holders), key=lambda one: _rank(one, loses), reverse=True)
    losers, left = [], missing
    for one in ordered:
        if left <= 0:
            break
        losers.append({"reference": one["reference"], "units": min(left, one["units"])})
        left -= one["units"]
    return {
        "item": item,
        "sku": sku,
        "location": location,
        "place": place,
        "on_hand": on_hand,
        "reserved": reserved,
        "missing": missing,
        "orders": ordered[:NAMED_LIMIT],
        "policy": loses,
        "losers": losers[:NAMED_LIMIT],
    }


def _holder(row: Row, now: int) -> dict[str, Any]:
    _, _, reference, held, created, owner, external_id, name, updated, first, link, channel, called = row
    made: dict[str, Any] = {"reference": reference, "units": int(held), "since": created}
    if external_id is None:
        return made | {"owner": owner}
    return made | {
        "order": external_id,
        "name": name,
        "connection": link,
        "channel": channel,
        "connection_name": called,
        "since": first,
        "updated": updated,
        "lag": max(0, now - updated),
    }


def _rank(one: Mapping[str, Any], loses: str) -> tuple[int, int, str]:
    """Who comes first loses first."""
    came = (one["since"], one.get("updated", one["since"]))
    if loses == OLDEST:
        return (-came[0], -came[1], one["reference"])
    if loses == LARGEST:
        return (one["units"], came[0], one["reference"])
    return (*came, one["reference"])
