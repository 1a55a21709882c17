"""Takes a connection out of the tables, some rows at a time: its listings, its kept orders, and itself."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from onhand.store import feeding
from onhand.store.sql import Row, Statement

_held = Statement(
    "SELECT o.reference, SUM(n.held) FROM orders o JOIN reservation_lines n ON n.account = o.account"
    " AND n.reference = o.reference AND n.held > 0 WHERE o.account = :account AND o.connection = :link"
    " GROUP BY o.reference ORDER BY o.reference LIMIT :limit"
)
_kept = Statement(
    "SELECT DISTINCT n.reference FROM reservation_lines n WHERE n.account = :account AND n.held > 0"
    " AND EXISTS (SELECT 1 FROM reservations h WHERE h.account = n.account"
    " AND h.reference = n.reference AND h.owner = :owner) AND NOT EXISTS (SELECT 1 FROM orders o"
    " WHERE o.account = n.account AND o.reference = n.reference) ORDER BY n.reference LIMIT :limit"
)
_orders = Statement(
    "SELECT external_id FROM orders WHERE account = :account AND connection = :link LIMIT :limit"
)
_mirrored = Statement(
    "SELECT p.id FROM external_ids x JOIN locations p ON p.account = x.account AND p.kind = 'mirrored'"
    " AND CAST(p.id AS TEXT) = x.internal WHERE x.account = :account AND x.space = :space"
    " AND x.kind = 'location' ORDER BY p.id"
)
_ids = Statement("DELETE FROM external_ids WHERE account = :account AND space = :space")
_drive = Statement("DELETE FROM drives WHERE account = :account AND connection = :link")
_link = Statement("DELETE FROM connections WHERE account = :account AND id = :link")


def _gone(table: str, names: str, rows: str) -> Statement:
    columns = names.split()
    pairs = " AND ".join(f"{table}.{name} = r.{name}" for name in columns)
    listed = ", ".join(columns)
    return Statement(
        rows=rows,
        sqlite=f"DELETE FROM {table} WHERE ({listed}) IN (SELECT {listed} FROM {{rows}})",
        postgresql=f"DELETE FROM {table} USING {{rows}} WHERE {pairs}",
    )


_of_listings = tuple(
    _gone(table, "account listing", "account int, listing int")
    for table in ("outbox", "slots", "feeds", "drifts")
)
_listings = _gone("listings", "account id", "account int, id int")
_drop_orders = _gone(
    "orders", "account connection external_id", "account int, connection int, external_id text"
)


def held(connection: Connection, account: int, link: int, limit: int) -> list[tuple[str, int]]:
    """Orders of a connection that hold units in the ledger: (reference, units), by reference."""
    found = _held.run(connection, account=account, link=link, limit=limit)
    return [(row[0], int(row[1])) for row in found]


def kept(connection: Connection, account: int, owner: str, limit: int) -> list[str]:
    """The references of orders that still hold units and whose connection is forgotten; ``owner`` is that of
    orders' reservations."""
    return [row[0] for row in _kept.run(connection, account=account, owner=owner, limit=limit)]


def mirrored(connection: Connection, account: int, link: int) -> list[int]:
    """Our locations that mirror places of the connection."""
    return [row[0] for row in _mirrored.run(connection, account=account, space=_space(link))]


def drop_listings(connection: Connection, account: int, link: int, limit: int) -> int:
    """Delete listings with all that is known of their numbers; how many."""
    found = feeding.listings_on(connection, account, link, 0, limit)
    rows: Sequence[Row] = [(account, one) for one in found]
    if rows:
        for statement in (*_of_listings, _listings):
            statement.run(connection, rows)
    return len(rows)


def drop_orders(connection: Connection, account: int, link: int, limit: int) -> int:
    """Forget orders that were kept; how many. What they hold in the ledger stays held."""
    found = _orders.run(connection, account=account, link=link, limit=limit)
    if found:
        _drop_orders.run(connection, [(account, link, row[0]) for row in found])
    return len(found)


def left(connection: Connection, account: int, link: int) -> bool:
    """Whether the connection still has listings or kept orders."""
    if feeding.listings_on(connection, account, link, 0, 1):
        return True
    return bool(_orders.run(connection, account=account, link=link, limit=1))


def drop_link(connection: Connection, account: int, link: int) -> None:
    """Delete the connection itself, with its settings and secrets, when nothing of it is left."""
    _ids.run(connection, account=account, space=_space(link))
    _drive.run(connection, account=account, link=link)
    _link.run(connection, account=account, link=link)


def _space(link: int) -> str:
    return f"connection:{link}"
