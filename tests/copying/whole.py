"""A database with rows in every table: what a demo's hub leaves, a second account, and what that lacks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from commands import onhand
from onhand.store.pieces import TABLES
from servers import demo_server

KEYED = {"changes": [{"op": "adjust", "item": 1, "location": "MAIN", "delta": 3}]}
KEY = "before-the-move"
ODD = "Größe ☃ 😀 '; DROP TABLE items; -- \\ %s \t"
HIGHEST = 2**63 - 1

LEFT = {
    "inbox": "(account, id, source, principal, body, received_at) VALUES (2, 9, 'nobody', '', '{}', 1)",
    "incidents": "(account, id, kind, body, opened_at) VALUES (1, 900, 'message', '{}', 5)",
    "orders": "(account, connection, external_id, reference, updated, lines, first_seen_at, seen_at)"
    " VALUES (1, 1, 'X-1', 'order:1:X-1', 5, '{}', 5, 5)",
    "drifts": "(account, id, listing, cause, observed, found_at) VALUES (1, 1, 1, 'seen', -4, 5)",
    "outbox": "(account, listing, connection, since, seq, due)"
    f" VALUES (1, 1, 1, 1, {HIGHEST}, {-HIGHEST - 1})",
    "wakeups": f"(account, kind, due) VALUES (2, 'planned', {HIGHEST})",
    "planned": "(account, id, due, commands, caller, created_at)"
    " VALUES (2, 1, 4102444800000000, '[]', 'c', 5)",
}
"""What a quiet demo has no row of, and what only the second account has."""


class Whole(NamedTuple):
    """A SQLite file that nobody serves, what its demo.json said, and how a keyed change was answered."""

    db: Path
    demo: dict[str, Any]
    answer: str

    @property
    def native(self) -> dict[str, str]:
        """The headers of a caller of our own API."""
        return {"Authorization": f"Bearer {self.demo['native']['api_key']}"}


def whole(folder: Path) -> Whole:
    """Make it in ``folder``/hub.db."""
    with demo_server(folder) as (hub, demo):
        headers = {"Authorization": f"Bearer {demo['native']['api_key']}"}

        def post(path: str, body: object, **more: str) -> httpx2.Response:
            answer = httpx2.post(f"{hub.url}/api/v1{path}", headers=headers | more, json=body)
            assert answer.status_code in (200, 201), answer.text
            return answer

        answer = post("/changes", KEYED, **{"Idempotency-Key": KEY}).text
        post("/items", {"sku": "ODD", "name": ODD})
        post("/items", {"sku": "SET", "components": [{"item": 2, "quantity": 2}]})
        assert hub.stop() == 0
    db = folder / "hub.db"
    assert onhand("accounts", "create", "second", "--db", db).code == 0
    with closing(sqlite3.connect(db)) as connection, connection:
        for table, words in LEFT.items():
            connection.execute(f"INSERT INTO {table} {words}")
    return Whole(db, demo, answer)


def rows(db: Path | str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of a SQLite file."""
    with closing(sqlite3.connect(db)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert sorted(names) == sorted([*(table.name for table in TABLES), "alembic_version"])
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
