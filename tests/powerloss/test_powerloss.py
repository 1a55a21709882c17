"""The power fails at many moments while a hub writes to SQLite: what it acknowledged is there, and once.

`make powerloss MOMENTS=1000` tries more. Everything that the hub does to its files is read from strace's log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from alembic import command
from alembic.config import Config

from commands import onhand
from onhand.store import engine
from powerloss import traced
from powerloss.disk import Disk
from powerloss.traced import Call
from servers import Server, start

MOMENTS = int(os.environ.get("MOMENTS", "25"))
SEED = int(os.environ.get("FROM", "1"))
LOADED_SECONDS = 3.0 if "MOMENTS" in os.environ else 1.0
CLIENTS = 6
BULK = 60
CHECKPOINT_PAGES = 150
"""A log of so many pages is taken into the file: often, so that many cuts hit the middle of that."""

LOG_SECONDS = 30
ACKNOWLEDGED = re.compile(rb'"as_of_seq":\s*(\d+)')
SYNCS = ("fsync", "fdatasync")
OFTEN = f"""
import onhand.store.files as files
files.CHECKPOINT_PAGES = {CHECKPOINT_PAGES}
from onhand.cli import app
app()
"""
WEAK = f"""
import onhand.store.files as files
strong = files.connect
def connect(path, *, reads):
    made = strong(path, reads=reads)
    made.execute("PRAGMA synchronous = NORMAL")
    return made
files.connect = connect
{OFTEN}
"""

MISSING = traced.missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

Rows = list[tuple[Any, ...]]


class Lived(NamedTuple):
    """What was done to the files, in order, and what was in them at the end."""

    calls: list[Call]
    movements: Rows
    keys: frozenset[str]


def recorded(log: Path, folder: Path, process: int) -> list[Call]:
    """What a traced process did, once its log is whole. A sync counts when it has ended."""
    until = time.monotonic() + LOG_SECONDS
    ends = re.compile(rb"^%d .* \+\+\+$" % process, re.M)
    while not ends.search(log.read_bytes()[-4_000:]):
        assert time.monotonic() < until, "the log does not end"
        time.sleep(0.05)
    found = list(traced.calls(log, folder))
    traced.refuse_unknown(found)
    log.unlink()
    return sorted(found, key=lambda one: one.ended if one.name in SYNCS else one.began)


def rows(db: Path, query: str) -> Rows:
    with contextlib.closing(sqlite3.connect(db)) as connection:
        return connection.execute(query).fetchall()


MOVEMENTS = "SELECT account, seq, item, location, on_hand, reserved, reference FROM movements ORDER BY 1, 2"
KEYS = "SELECT key FROM idempotency"


async def load(server: Server, key: str, names: str) -> None:
    """Clients that change, reserve, send bulk, and ask for what must be refused, each under its own key."""
    until = time.monotonic() + LOADED_SECONDS
    headers = {"Authorization": f"Bearer {key}"}

    async def client(http: httpx2.AsyncClient, me: int) -> None:
        number = 0
        while time.monotonic() < until:
            number += 1
            name = f"{names}{me}-{number}"
            refused = number % 7 == 0
            one = {"op": "adjust", "item": 40, "location": "MAIN", "delta": -(10**12) if refused else 1}
            size = BULK if number % 5 == 0 else 1
            body = {"changes": [one | {"reference": name} for _ in range(size)]}
            answer = await http.post("/api/v1/changes", json=body, headers={"Idempotency-Key": name})
            assert answer.status_code == (409 if refused else 200), answer.text

    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=60) as http:
        await asyncio.gather(*(client(http, me) for me in range(CLIENTS)))


def lived(folder: Path, program: str) -> Lived:
    """A new database with its demo, load, a stop; then a hub on what there is, load, and a kill."""
    log, db = folder / "strace.log", folder / "files" / "hub.db"
    db.parent.mkdir()
    told = folder / "demo.json"
    calls: list[Call] = []
    for names, words, end in (("a", ("--demo", "--demo-json", told), Server.stop), ("b", (), Server.kill)):
        traced_by = traced.strace(log, sys.executable, "-c", program)
        server = start(db, *words, program=traced_by, ONHAND_ACCEPT_DATA_LOSS="true")
        try:
            key = key_in(told)
            asyncio.run(load(server, key, names))
            end(server)
        finally:
            server.kill()
        calls += recorded(log, db.parent, server.process.pid)
    movements = rows(db, MOVEMENTS)
    keys = frozenset(row[0] for row in rows(db, KEYS))
    assert max(int(n) for one in calls if one.name == "send" for n in ACKNOWLEDGED.findall(one.data)) > 100
    return Lived(calls, movements, keys)


def key_in(told: Path) -> str:
    """The key of our own API that the demo has."""
    return str(json.loads(told.read_text(encoding="utf-8"))["native"]["api_key"])


def cuts(calls: Sequence[Call], disk: Disk, chance: random.Random, look: Callable[[int, int], None]) -> None:
    """Follow the calls, and lose the power at random moments: before a call, and at the very end. ``look``
    is given how many calls there were, and the last movement that somebody had been told of."""
    moments = {chance.randrange(len(calls)) for _ in range(MOMENTS)} | {len(calls)}
    told = 0
    for at in range(len(calls) + 1):
        if at in moments:
            look(at, told)
        if at < len(calls):
            disk.follow(calls[at])
            if calls[at].name == "send":
                told = max([told, *(int(one) for one in ACKNOWLEDGED.findall(calls[at].data))])


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    life = lived(tmp_path, OFTEN)
    found = tried(life, tmp_path)
    assert max(found) > 100
    print(f"{len(found)} power cuts in {len(life.calls)} calls, at up to {max(found)} movements: none lost")


@pytest.mark.skipif("MOMENTS" not in os.environ, reason="tries the trial itself: make powerloss")
def test_a_weaker_setting_would_be_found_out(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="were told of"):
        tried(lived(tmp_path, WEAK), tmp_path)


def tried(life: Lived, folder: Path) -> list[int]:
    """Lose the power at random moments of a life; how many movements were there after each."""
    chance = random.Random(SEED)
    files = next(Path(one.path).parent for one in life.calls if one.path.endswith("hub.db"))
    disk = Disk(files)
    found: list[int] = []

    def look(at: int, told: int) -> None:
        place = folder / "after"
        place.mkdir()
        disk.lose_power(chance, place)
        found.append(survived(place / "hub.db", life, told, f"seed {SEED}, call {at}"))
        shutil.rmtree(place)

    cuts(life.calls, disk, chance, look)
    return found


def survived(db: Path, life: Lived, told: int, where: str) -> int:
    """How many movements are there: a beginning of all there were, with all that was told of, and whole."""
    ran = onhand("init", "--db", db)
    assert ran.code == 0, (where, ran.err)
    assert rows(db, "PRAGMA integrity_check") == [("ok",)], where
    movements = rows(db, MOVEMENTS)
    assert movements == life.movements[: len(movements)], where
    assert len(movements) >= told, f"{where}: {told} were told of, {len(movements)} are there"
    if movements:
        ran = onhand("verify", "--db", db)
        assert ran.code == 0, (where, ran.out, ran.err)
    wanted = {row[6] for row in movements if row[6]} & life.keys
    assert wanted <= {row[0] for row in rows(db, KEYS)}, where
    return len(movements)


def test_a_migration_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    files, log = tmp_path / "files", tmp_path / "strace.log"
    files.mkdir()
    db = files / "hub.db"
    older(db)
    chance, disk = random.Random(SEED), Disk(files)
    disk.fill(path for path in files.iterdir() if path.name in ("hub.db", "hub.db-wal"))
    before = rows(db, "SELECT name FROM accounts")
    found: list[str] = []
    calls = recorded(log, files, traced.run(log, sys.executable, "-m", "onhand", "init", "--db", db))

    def look(at: int, told: int) -> None:
        place = tmp_path / "after"
        place.mkdir()
        disk.lose_power(chance, place)
        there = place / "hub.db"
        assert rows(there, "PRAGMA integrity_check") == [("ok",)]
        ((now,),) = rows(there, "SELECT version_num FROM alembic_version")
        found.append(now)
        assert now in ("0001", engine.head()) if at < len(calls) else now == engine.head()
        assert onhand("init", "--db", there).code == 0
        assert rows(there, "SELECT name FROM accounts") == before
        assert onhand("verify", "--db", there).code == 0
        shutil.rmtree(place)

    cuts(calls, disk, chance, look)
    print(
        f"{len(found)} power cuts in {len(calls)} calls of a migration: {found.count('0001')} left it undone"
    )


def older(db: Path) -> None:
    """A database of the first version, with an account."""
    store = engine.open_store(str(db))
    config = Config()
    config.set_main_option("script_location", str(engine.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with store.writer.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("INSERT INTO accounts (id, name, created_at) VALUES (1, 'me', 1)")
    store.close()
