"""The envelopes of an account's connections, all of them: for sealing them with another key."""

from __future__ import annotations

from sqlalchemy import Connection

from onhand.store.sql import Statement

_envelopes = Statement(
    "SELECT id, secrets FROM connections WHERE account = :account AND secrets IS NOT NULL ORDER BY id"
)
_hold = Statement("UPDATE connections SET secrets = secrets WHERE account = :account AND secrets IS NOT NULL")
_keep = Statement("UPDATE connections SET secrets = :secrets WHERE account = :account AND id = :link")


def hold(connection: Connection, account: int) -> None:
    """Let nobody else change an envelope of the account's until the transaction ends."""
    _hold.run(connection, account=account)


def envelopes(connection: Connection, account: int) -> list[tuple[int, str]]:
    """(connection, envelope) of every connection that has secrets."""
    return [(row[0], row[1]) for row in _envelopes.run(connection, account=account)]


def keep(connection: Connection, account: int, link: int, envelope: str) -> None:
    """Store an envelope in place of the one that is there."""
    _keep.run(connection, account=account, link=link, secrets=envelope)
