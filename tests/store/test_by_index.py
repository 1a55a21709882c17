"""On PostgreSQL the rows of a commit are found by their keys, also in tables that were empty at first."""

from __future__ import annotations

import asyncio
import time

import psycopg

from onhand.stock.model import Line, Reserve, SetOnHand
from ticking import PLACE, world

PATIENCE_SECONDS = 30
RESERVATIONS = 30
TABLES = ("levels", "movements", "reservations", "reservation_lines")


def test_no_table_is_read_whole(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ANALYZE")  # from now on it knows that there is nothing
    seen, _ = scans(postgres_url, 0)

    async def go() -> None:
        async with world(postgres_url) as here:
            await here.record(SetOnHand(*PLACE, RESERVATIONS))
            for number in range(RESERVATIONS):
                await here.record(Reserve(f"R{number}", (Line(1, 1, (1,)),)))
            assert (await here.level()).available == 0

    asyncio.run(go())
    whole, by_key = scans(postgres_url, RESERVATIONS)
    assert by_key >= RESERVATIONS  # a foreign key's own look-up, for each line
    assert whole == seen


def scans(url: str, wanted: int) -> tuple[dict[str, int], int]:
    """How often each table was read whole; and reservations by a key, once that is as often as ``wanted``."""
    query = "SELECT relname, seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = ANY(%s)"
    end = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            found = connection.execute(query, (list(TABLES),)).fetchall()
            by_key = {name: keys for name, _, keys in found}["reservations"] or 0
            if by_key >= wanted or time.monotonic() > end:
                return {name: whole for name, whole, _ in found}, by_key
            time.sleep(0.05)
