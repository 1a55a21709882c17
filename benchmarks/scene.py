"""What is measured: a database with items and stock, the hub that serves it, and the limit beside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import uvloop
from sqlalchemy import Connection

from benchmarks.load import Load
from onhand.inventory import Inventory
from onhand.lock import holder
from onhand.office import people, trial
from onhand.stock.model import SetOnHand
from onhand.store import catalog
from onhand.store.catalog import Item
from onhand.store.engine import migrate, open_store
from onhand.work import Group, Work

START_SECONDS = 30
OPENING = 1_000_000
CHUNK = 5_000


class Scene(NamedTuple):
    """A prepared database: its URL, and the key of our own API."""

    db: str
    api_key: str
    items: int


class Server(NamedTuple):
    """A running server: where it is, and how long it took until it could answer."""

    host: str
    port: int
    process: subprocess.Popen[bytes]
    ready_seconds: float


def prepare(db: str, items: int) -> Scene:
    """Make an account with ``items`` items named S0, S1 ... and a million units of each."""
    return uvloop.run(_prepare(db, items))


async def _prepare(db: str, items: int) -> Scene:
    store = open_store(db)
    migrate(store)
    inventory = Inventory(store)
    inventory.start()
    account = int((await people.add_account(inventory, name="bench"))["id"])
    key = await trial.add_key(inventory, account=account, dialect="native", scopes="write")
    for start in range(0, items, CHUNK):
        new = [Item(0, sku=f"S{n}") for n in range(start, min(items, start + CHUNK))]

        def unit(connection: Connection, new: list[Item] = new) -> list[Item]:
            return catalog.add_items(connection, account, new, inventory.now())

        made = await inventory.write(account, unit)
        commands = tuple(SetOnHand(item.id, 1, OPENING) for item in made)
        await inventory.record(Work(account, (Group(commands),), "bench"))
    await inventory.stop()
    store.close()
    return Scene(db, str(key["api_key"]), items)


@contextlib.contextmanager
def hub(db: str) -> Iterator[Server]:
    """`onhand serve` on a free port, in a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "onhand", "serve", "--db", db, "--port", "0"],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
    )
    with _ended(process):
        until = start + START_SECONDS
        found = None
        while found is None or found.pid != process.pid:
            _alive(process, until)
            found = holder(Path(db).absolute())
        host, _, port = found.url.removeprefix("http://").partition(":")
        yield Server(host, int(port), process, time.perf_counter() - start)


@contextlib.contextmanager
def same_bytes(folder: Path, answer: str) -> Iterator[Server]:
    """The hub's server and framework, answering ``answer`` to everything, with no ledger."""
    start = time.perf_counter()
    file = folder / "port"
    file.unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.limits", str(file), answer])
    with _ended(process):
        while not (file.exists() and file.read_text(encoding="utf-8")):
            _alive(process, start + START_SECONDS)
        port = int(file.read_text(encoding="utf-8"))
        yield Server("127.0.0.1", port, process, time.perf_counter() - start)


def _alive(process: subprocess.Popen[bytes], until: float) -> None:
    if process.poll() is not None or time.perf_counter() > until:
        raise SystemExit("the server did not start")
    time.sleep(0.005)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def press(server: Server, requests: list[list[str]], seconds: float, warm_up: float = 1.0) -> Load:
    """Load ``server`` from a process of its own: one connection for each list of requests."""
    asked = {
        "host": server.host,
        "port": server.port,
        "warm_up": warm_up,
        "seconds": seconds,
        "requests": requests,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asked).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + warm_up + 120,
    )
    return Load(**json.loads(done.stdout))


def resident_mb(process: subprocess.Popen[bytes]) -> float:
    """Memory of a process that is in RAM, in MB."""
    pages = Path(f"/proc/{process.pid}/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE") / 1e6
