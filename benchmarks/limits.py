"""The limits measured beside the hub: the same server without a ledger, and a bare loop on the database."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onhand import frontdoor
from onhand.asgi import application
from onhand.wire import BODY_LIMIT, body, respond


async def serve(port_file: str, answer: str) -> None:
    """The front door and the route table of the hub, answering the same bytes to every request."""
    same = answer.encode()

    async def endpoint(request: Request) -> Response:
        await body(request, BODY_LIMIT)
        return Response(same, media_type="application/json")

    def ready(port: int) -> None:
        Path(port_file).write_text(str(port), encoding="utf-8")

    app = application([Route("/{rest:path}", endpoint, methods=["POST", "PUT"])], respond)
    await frontdoor.serve(app, "127.0.0.1", 0, bulk=lambda _: False, on_ready=ready)


TABLES = """
CREATE TABLE levels (account INTEGER NOT NULL, item INTEGER NOT NULL, location INTEGER NOT NULL,
 on_hand INTEGER NOT NULL, reserved INTEGER NOT NULL, infinite INTEGER NOT NULL, present INTEGER NOT NULL,
 version INTEGER NOT NULL, next_expiry INTEGER, PRIMARY KEY (account, item, location)) STRICT, WITHOUT ROWID;
CREATE TABLE movements (account INTEGER NOT NULL, seq INTEGER NOT NULL, item INTEGER NOT NULL,
 location INTEGER NOT NULL, version INTEGER NOT NULL, kind TEXT NOT NULL, on_hand INTEGER NOT NULL,
 reserved INTEGER NOT NULL, on_hand_after INTEGER NOT NULL, reserved_after INTEGER NOT NULL,
 infinite INTEGER NOT NULL, present INTEGER NOT NULL, reason TEXT, reference TEXT, caller TEXT NOT NULL,
 context TEXT, recorded_at INTEGER NOT NULL, effective_at INTEGER NOT NULL,
 PRIMARY KEY (account, seq)) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX movements_level ON movements (account, item, location, seq);
"""


def bare_loop(path: Path, items: Sequence[int], batch: int, seconds: float) -> float:
    """Rows changed per second by a loop that does what a ledger must: read a level, write it, write
    the movement; ``batch`` of them in each durable transaction, on the driver without any layer."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -16384"):
        connection.execute(f"PRAGMA {pragma}")
    connection.executescript(TABLES)
    insert = f"INSERT INTO levels VALUES ({', '.join('?' * 9)})"
    connection.executemany(insert, [(1, item, 1, 1000, 0, 0, 1, 1, None) for item in sorted(set(items))])
    done, seq = 0, 0
    until = (start := time.perf_counter()) + seconds
    while time.perf_counter() < until:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(batch):
            seq += 1
            _change(connection, items[seq % len(items)], seq)
        connection.execute("COMMIT")
        done += batch
    rate = done / (time.perf_counter() - start)
    connection.close()
    return rate


def _change(connection: sqlite3.Connection, item: int, seq: int) -> None:
    key = (1, item, 1)
    on_hand, version = connection.execute(
        "SELECT on_hand, version FROM levels WHERE account = ? AND item = ? AND location = ?", key
    ).fetchone()
    connection.execute(
        "UPDATE levels SET on_hand = ?, version = ? WHERE account = ? AND item = ? AND location = ?",
        (on_hand + 1, version + 1, *key),
    )
    after = (on_hand + 1, 0, 0, 1)
    row = (1, seq, item, 1, version + 1, "adjusted", 1, 0, *after, None, None, "bench", None, 1, 1)
    connection.execute(f"INSERT INTO movements VALUES ({', '.join('?' * 18)})", row)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2]))
