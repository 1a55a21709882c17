"""Incidents from the command line, with and without a hub."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from commands import onhand
from onhand.inventory import Inventory
from onhand.store import incidents
from onhand.store.engine import open_store
from servers import start

OVERSOLD = {
    "item": 1,
    "sku": "SHIRT [red]",
    "location": 1,
    "place": "main",
    "on_hand": 4,
    "reserved": 7,
    "missing": 3,
    "orders": [{"reference": "order:1:X", "units": 7, "since": 2_000_000, "lag": 1_234_567}],
    "policy": "newest",
    "losers": [{"reference": "order:1:X", "units": 3}],
}


def said(*words: object, code: int = 0) -> str:
    """What a command said."""
    done = onhand(*words)
    assert done.code == code, (words, done.out, done.err)
    return done.out + done.err


def told(*words: object) -> Any:
    """What a command said to programs."""
    return json.loads(said(*words, "--json"))


@pytest.fixture
def shop(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("ONHAND_DB", sqlite_url)
    monkeypatch.chdir(tmp_path)
    said("accounts", "create", "shop")
    refused = {"why": "There is no item [/9]"}
    found: list[tuple[str, dict[str, Any]]] = [(incidents.OVERSOLD, OVERSOLD), (incidents.REFUSED, refused)]

    async def report() -> None:
        store = open_store(sqlite_url)
        inventory = Inventory(store)
        inventory.start()
        await inventory.write(1, lambda c: incidents.report(c, 1, found, 1_700_000_000_000_000))
        await inventory.stop()
        store.close()

    asyncio.run(report())
    return sqlite_url


def test_listed_shown_and_closed(shop: str) -> None:
    why = "3 of SHIRT [red] at main are promised and not there (4 on hand, 7 reserved)"
    words = said("incidents")
    assert why in words and "There is no item [/9]" in words
    assert told("incidents") == told("incidents", "list")
    assert [one["kind"] for one in told("incidents", "list", "--kind", "refused")] == ["refused"]
    shown = said("incidents", "show", 1)
    assert "order:1:X" in shown and "1.2 s" in shown
    assert told("incidents", "show", 1)["details"]["orders"][0]["lag"] == 1_234_567
    done = told("incidents", "close", 1, "--note", "they wait")
    assert done["resolution"]["note"] == "they wait"
    assert done == told("incidents", "show", 1)
    assert "by onhand:command line: they wait" in said("incidents", "show", 1)
    assert [one["id"] for one in told("incidents", "list", "--open")] == [2]
    assert [one["id"] for one in told("incidents", "--all")] == [1, 2]
    assert "was closed" in said("incidents", "close", 1, code=1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", 9), 1),
        (("close", 9), 1),
        (("show", 0), 2),
        (("close", 1, "--note", "x" * 513), 1),
        (("list", "--kind", "other"), 2),
        (("--all", "show", 1), 2),
    ],
)
def test_what_is_refused(shop: str, words: tuple[object, ...], code: int) -> None:
    assert said("incidents", *words, code=code)
    assert len(told("incidents")) == 2


def test_through_the_hub_that_serves(shop: str) -> None:
    running = start(Path(shop))
    try:
        assert "closed incident 2" in said("incidents", "close", 2)
        assert [one["id"] for one in told("incidents")] == [1]
    finally:
        running.stop()
