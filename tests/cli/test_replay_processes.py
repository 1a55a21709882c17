"""onhand replay as a process: killed in the middle, interrupted, and through a hub that holds the file."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import numbers, onhand, started, write
from onhand.cli import progress

INVOICES = 3_000
PATIENCE_SECONDS = 60


@pytest.fixture
def shop(sqlite_url: str) -> str:
    """A SQLite database with one account."""
    assert onhand("accounts", "create", "shop", "--db", sqlite_url).code == 0
    return sqlite_url


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many invoices over few SKUs, so that some do not fit."""
    chance = random.Random(7)
    rows = ["InvoiceNo,StockCode,Quantity"]
    for invoice in range(INVOICES):
        returned = chance.random() < 0.05
        for _ in range(chance.randint(1, 6)):
            units = -chance.randint(1, 5) if returned or chance.random() < 0.02 else chance.randint(1, 9)
            rows.append(f"{'C' * returned}{invoice},{10_000 + chance.randrange(200)},{units}")
    return write(tmp_path_factory.mktemp("orders") / "orders.csv", *rows)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, orders: Path) -> dict[str, Any]:
    """What a run that nobody disturbs tells."""
    db = str(tmp_path_factory.mktemp("whole") / "whole.db")
    onhand("accounts", "create", "shop", "--db", db)
    told = run(db, orders)
    assert told["refused"] and told["orders_shipped"] and told["lost"] and told["returned"]
    return told


def run(db: str, orders: Path) -> dict[str, Any]:
    ran = onhand("replay", orders, "--db", db, "--stock", "200", "--json")
    assert ran.code == 0, ran.err
    told: dict[str, Any] = ran.json
    return told


def table(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in ("seconds", "done_before")}


def movements(db: str) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as raw:
        return int(raw.execute("SELECT COUNT(*) FROM movements").fetchone()[0])


def until(db: str, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until the ledger has this many movements."""
    end = time.monotonic() + PATIENCE_SECONDS
    while movements(db) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def test_killed_in_the_middle_it_goes_on_where_it_stopped(
    shop: str, orders: Path, whole: dict[str, Any]
) -> None:
    seen = 0
    for count in (100, 2_000, 5_000):
        process = started("replay", orders, "--db", shop, "--stock", "200")
        until(shop, count, process)
        process.kill()
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        process.communicate()
        assert seen <= movements(shop)
        seen = movements(shop)
    told = run(shop, orders)
    assert told["done_before"] > 0
    assert table(told) == table(whole)
    assert onhand("verify", "--db", shop).code == 0


def test_ctrl_c_ends_it_cleanly(shop: str, orders: Path, whole: dict[str, Any]) -> None:
    process = started("replay", orders, "--db", shop, "--stock", "200")
    until(shop, 1_000, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, err
    assert "interrupted; run the same command again" in err
    assert "Traceback" not in err
    assert "holds for each of" in out
    assert table(run(shop, orders)) == table(whole)


@contextlib.contextmanager
def hub(db: str) -> Iterator[subprocess.Popen[str]]:
    """A hub that serves the file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = started("serve", "--db", db, "--port", port)
    try:
        assert process.stdout is not None
        assert "is ready on" in process.stdout.readline(), process.communicate()
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def test_through_a_hub_that_holds_the_file(
    shop: str, orders: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    with hub(shop) as process:
        both = [started("replay", orders, "--db", shop, "--stock", "200", "--json") for _ in range(2)]
        for one in both:
            out, err = one.communicate(timeout=PATIENCE_SECONDS)
            assert one.returncode == 0, err
            assert table(json.loads(out)) == table(whole)
        stock = write(tmp_path / "s.csv", "sku,location,on_hand", "10001,main,77")
        assert onhand("import", stock, "--db", shop).out.startswith("1 lines: 1 changed")
        assert process.poll() is None
    assert numbers(shop)["10001", "main"] == 77
    assert onhand("verify", "--db", shop).code == 0


def test_a_hub_that_dies_in_the_middle(shop: str, orders: Path, whole: dict[str, Any]) -> None:
    with hub(shop) as process:
        replay = started("replay", orders, "--db", shop, "--stock", "200")
        until(shop, 1_000, process)
        os.kill(process.pid, signal.SIGKILL)
        _, err = replay.communicate(timeout=PATIENCE_SECONDS)
        assert replay.returncode == 1
        why, then = err.splitlines()
        assert why.startswith(("onhand: the hub stopped answering: ", "onhand: the hub cannot be reached: "))
        assert then == f"onhand: {progress.KEPT}"
        assert "Traceback" not in err
    assert table(run(shop, orders)) == table(whole)
    assert onhand("verify", "--db", shop).code == 0
