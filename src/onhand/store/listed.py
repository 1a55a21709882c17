"""What a commit asks and writes of listings: which are open, which close, which channels must be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.stock.model import Place
from onhand.store.books import PLACES, Marked, Spot
from onhand.store.sql import Statement

_CLOSED = (
    "UPDATE {listings} SET status = 'closed', updated_at = :now FROM {rows}"
    " WHERE listings.account = r.account AND listings.item = r.item"
    " AND listings.location = r.location AND closes_at_zero = 1 AND status = 'open'"
)
# Left to itself, SQLite takes the primary key here and looks at every listing of the account.
_close = Statement(
    sqlite=_CLOSED.replace("{listings}", "listings INDEXED BY listings_level"),
    postgresql=_CLOSED.replace("{listings}", "listings"),
    rows=PLACES,
)
# Who waits in line to be told keeps the place: what moves most would else be told last.
_mark_text = (
    "INSERT INTO outbox (account, listing, connection, since, seq, due, marked_at)"
    " SELECT f.account, f.listing, g.connection, MIN(r.seq), MAX(r.seq), :now, :now"
    " FROM {rows} JOIN feeds f ON f.account = r.account AND f.item = r.item"
    " AND f.location = r.location JOIN listings g ON g.account = f.account AND g.id = f.listing"
    " {where} GROUP BY f.account, f.listing, g.connection ORDER BY f.account, f.listing"
    " ON CONFLICT (account, listing) DO UPDATE SET seq = excluded.seq, marks = outbox.marks + 1{due}"
    " RETURNING account, connection"
)
_mark = Statement(
    sqlite=_mark_text.replace("{where}", "WHERE true").replace("{due}", ""),
    postgresql=_mark_text.replace("{where}", "").replace("{due}", ", due = LEAST(outbox.due, excluded.due)"),
    rows=PLACES + ", seq int",
    listed=True,
    prepared=True,
)
# What was put off is due again. SQLite writes an index whose column is named, whether it changes or not, and
# nearly no row was put off.
_hasten = Statement(
    sqlite="UPDATE outbox SET due = :now WHERE due > :now AND (account, listing) IN"
    " (SELECT f.account, f.listing FROM {rows} CROSS JOIN feeds f"
    " ON f.account = r.account AND f.item = r.item AND f.location = r.location)",
    rows=PLACES,
    listed=True,
)
# Most items are on no channel that we tell, or on all: to look which costs less than to prepare what there
# would be to write. On PostgreSQL it would be one more way there and back.
_fed = Statement(
    sqlite="SELECT r.account, r.item, r.location FROM {rows} WHERE EXISTS (SELECT 1 FROM feeds f"
    " WHERE f.account = r.account AND f.item = r.item AND f.location = r.location)",
    rows=PLACES,
    listed=True,
)


def close_listings(connection: Connection, spots: Iterable[Spot], now: int) -> None:
    """Close the open listings that close when their level shows nothing."""
    rows = sorted(spots)
    if rows:
        _close.later(connection, rows, now=now)


def mark_stale(
    connection: Connection,
    moved: Iterable[Spot],
    numbers: Callable[[], Mapping[Spot, tuple[int, int]]],
    now: int,
    marked: set[Marked],
) -> None:
    """Mark every listing fed by the levels that ``moved`` as stale since the first of the movements that
    ``numbers`` finds of each, and up to the last. One that was stale keeps its place in line, and one that
    was put off is due now. The (account, connection) of those that were marked are in ``marked`` after
    COMMIT."""
    spots = sorted(moved)
    if connection.dialect.name == "sqlite":
        spots = _fed.run(connection, spots)
    if not spots:
        return
    seqs = numbers()
    rows = [(*spot, seq) for spot in spots for seq in dict.fromkeys(seqs[spot])]
    _mark.later(connection, rows, lambda found: marked.update((row[0], row[1]) for row in found), now=now)
    if connection.dialect.name == "sqlite":
        _hasten.run(connection, spots, now=now)


_guards = Statement(
    "SELECT g.account, g.id, g.status, g.item, g.location, g.closes_at_zero FROM {rows}"
    " JOIN listings g ON g.account = r.account AND g.id = r.id",
    rows="account int, id int",
)


class Guard(NamedTuple):
    """A listing that commands come through: whether it is open, the level it is bound to, and whether
    it closes when that shows nothing."""

    status: str
    place: Place | None
    closes: bool


def guards(connection: Connection, listings: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Guard]:
    """The listings of these (account, id)."""
    rows = sorted(set(listings))
    found = _guards.run(connection, rows) if rows else []
    return {
        (account, listing): Guard(status, (item, at) if at is not None else None, bool(closes))
        for account, listing, status, item, at, closes in found
    }
