"""The hub is killed under load, again and again: nothing acknowledged is lost, and nothing is done twice.

KILLS=40 kills it forty times. A hub that is asked to stop under load does the same, and ends cleanly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from commands import onhand
from killed_load import CLIENTS, Client, Done, World
from onhand.store import accounts, requests
from onhand.store.engine import is_postgresql, open_store, reading
from servers import Server, demo_server, serving, start

KILLS = int(os.environ.get("KILLS", "5"))
STOPS = 2
LIFE_SECONDS = (0.05, 0.4)
STOCK = 1_000_000_000
SPENT = (5, 22, 23, 40)
"""Items whose units the load takes away, too."""

SETTLE_SECONDS = 30

Movement = dict[str, Any]


class Book(NamedTuple):
    """The ledger as our own API tells it: the movements of the load, in order."""

    movements: list[Movement]

    def at(self, client: Client) -> list[Movement]:
        """Those of the level that a client has for itself."""
        return [one for one in self.movements if one["item"] == client.item and one["location"] == 1]

    def referenced(self, client: Client) -> Counter[tuple[str, int]]:
        """How often a reference of a client is there, with its units."""
        mine = [one for one in self.movements if (one["reference"] or "").startswith(f"{client.name}-")]
        return Counter((one["reference"], one["on_hand"]) for one in mine)


class Case(NamedTuple):
    """A database with a demo that has stock enough; ``last`` is the movement that the load begins after."""

    db: str
    folder: Path
    demo: dict[str, Any]
    last: int

    def start(self) -> Server:
        """Start a hub on it."""
        return start(self.db, folder=self.folder)


def prepared(db: str, folder: Path) -> Case:
    with demo_server(folder, db) as (server, demo):
        headers = {"Authorization": f"Bearer {demo['native']['api_key']}"}
        changes = [
            {"op": "set_on_hand", "item": item, "location": "MAIN", "quantity": STOCK} for item in SPENT
        ]
        answer = httpx2.post(f"{server.url}/api/v1/changes", headers=headers, json={"changes": changes})
        assert answer.status_code == 200, answer.text
        assert server.stop() == 0
    return Case(db, folder, demo, int(answer.json()["as_of_seq"]))


@pytest.mark.parametrize(
    ("engine", "end", "times"),
    [
        ("sqlite", signal.SIGKILL, KILLS),
        ("sqlite", signal.SIGTERM, STOPS),
        ("postgresql", signal.SIGKILL, KILLS // 2),
    ],
    ids=["killed", "stopped", "killed on PostgreSQL"],
)
def test_nothing_acknowledged_is_lost(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, end: signal.Signals, times: int
) -> None:
    db = request.getfixturevalue("postgres_url") if engine == "postgresql" else tmp_path / "hub.db"
    case = prepared(str(db), tmp_path)

    async def main() -> World:
        world = World(case.demo, tmp_path / "acknowledged.jsonl", seed=times)
        code = 0 if end is signal.SIGTERM else -end
        assert await loaded(case, world, [end] * times) == [code] * times
        return world

    began = time.monotonic()
    world = asyncio.run(main())
    told(case, world)
    print(
        f"{engine}, {times} times {end.name} in {time.monotonic() - began:.1f} s: {len(world.done)}"
        f" acknowledged, {len(world.refused)} refused, {world.unsure.total()} without an answer"
    )


async def loaded(case: Case, world: World, ends: list[signal.Signals]) -> list[int]:
    """Run the clients while the hub is started and ended; its exit codes. The last hub answers to the end."""
    clients = [asyncio.ensure_future(one.run(world, one.name, one.at)) for one in CLIENTS]
    codes = []
    server = await asyncio.to_thread(case.start)
    try:
        for end in ends:
            codes.append(await _life(world, server, end))
            for client in clients:
                assert not client.done(), client.exception()
            server = await asyncio.to_thread(case.start)
        world.moved(server.url)
        world.stopping = True
        await asyncio.wait_for(asyncio.gather(*clients), SETTLE_SECONDS)
        assert await asyncio.to_thread(server.stop) == 0
        assert "Traceback" not in server.err.read_text(encoding="utf-8")
    finally:
        server.kill()
        for client in clients:
            client.cancel()
        await world.close()
    return codes


async def _life(world: World, server: Server, end: signal.Signals) -> int:
    world.moved(server.url)
    await asyncio.wait_for(world.progress(), SETTLE_SECONDS)
    await asyncio.sleep(world.random.uniform(*LIFE_SECONDS))
    if end is signal.SIGTERM:
        # The clients go on asking meanwhile.
        code = await asyncio.to_thread(server.stop)
        world.gone()
        return code
    server.kill()
    world.gone()
    return server.process.returncode


def told(case: Case, world: World) -> None:
    """Compare the ledger with the log of acknowledgements, and with a replay of itself."""
    book = Book([one for one in settled(case) if one["seq"] > case.last])
    for client in CLIENTS:
        done = [one for one in world.done if one.client == client.name]
        assert done, f"{client.name} got nothing done"
        CHECKS[client.name.rstrip("0123456789")](book, client, done, world)
    verified = onhand("verify", "--db", case.db)
    assert verified.code == 0, verified.out
    if not is_postgresql(case.db):
        with contextlib.closing(sqlite3.connect(case.db)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def settled(case: Case) -> list[Movement]:
    """All movements, once nothing waits in the queue any more; they lead to the levels that there are."""
    headers = {"Authorization": f"Bearer {case.demo['native']['api_key']}"}
    with (
        serving(case.db, folder=case.folder) as server,
        httpx2.Client(base_url=f"{server.url}/api/v1", headers=headers, timeout=60) as http,
    ):
        until = time.monotonic() + SETTLE_SECONDS
        while waiting(case.db):
            assert time.monotonic() < until, "the queue is not emptied"
            time.sleep(0.05)
        found: list[Movement] = []
        page: dict[str, Any] = {"next_cursor": ""}
        while page["next_cursor"] is not None:
            query = {"limit": 1000} | ({"cursor": page["next_cursor"]} if page["next_cursor"] else {})
            answer = http.get("/movements", params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["data"]
        assert server.stop() == 0
    assert [one["seq"] for one in found] == list(range(1, len(found) + 1))
    shown = onhand("levels", "--db", case.db, "--limit", "0", "--json").json["levels"]
    assert replayed(found) == {
        (one["sku"], one["location"]): (one["on_hand"], one["reserved"], one["version"]) for one in shown
    }
    return found


def waiting(db: str) -> int:
    """Messages in the queue."""
    store = open_store(db, create=False, reads_only=True)
    try:
        with reading(store) as connection:
            account = next(one.id for one in accounts.accounts(connection))
        with reading(store, account) as connection:
            return len(requests.waiting(connection, account))
    finally:
        store.close()


def replayed(movements: list[Movement]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """The levels that the movements lead to; each must say itself what it led to."""
    found: dict[tuple[str, str], tuple[int, int, int]] = {}
    for one in movements:
        place = (one["sku"], one["location_name"])
        on_hand, reserved, version = found.get(place, (0, 0, 0))
        now = (on_hand + one["on_hand"], reserved + one["reserved"], version + 1)
        assert now == (one["on_hand_after"], one["reserved_after"], one["version"]), one
        assert 0 <= now[1] <= now[0], one
        found[place] = now
    return found


def same_references(book: Book, client: Client, done: list[Done], world: World) -> None:
    """Every acknowledged change is there once with its units, and no other one of this client."""
    assert book.referenced(client) == Counter((one.name, one.value) for one in done)


def shipped_once(book: Book, client: Client, done: list[Done], world: World) -> None:
    """Every acknowledged order was reserved once and shipped once."""
    wanted = [(one.name, change) for one in done for change in (0, -1)]
    assert book.referenced(client) == Counter(wanted)


def same_changes(book: Book, client: Client, done: list[Done], world: World) -> None:
    """The acknowledged changes, each once, in the order in which the client made them."""
    assert [one["on_hand"] for one in book.at(client)] == [one.value for one in done]


def same_numbers(book: Book, client: Client, done: list[Done], world: World) -> None:
    """Every acknowledged number was what is available, once, in their order."""
    shown = [one["available_after"] for one in book.at(client)]
    assert shown == [one.value for one in done]


def same_queue(book: Book, client: Client, done: list[Done], world: World) -> None:
    """Every accepted number came to be, once, in their order; of those without an answer some did."""
    found = [one["on_hand_after"] for one in book.at(client)]
    assert found == sorted(set(found))
    assert {one.value for one in done} <= set(found)
    assert set(found) <= {one.value for one in world.sent if one.client == client.name}


CHECKS = {
    "native": same_references,
    "orders": shipped_once,
    "trackstar": same_changes,
    "treet": same_numbers,
    "flipkart": same_numbers,
    "sellbrite": same_queue,
}


def told_of(client: Client, done: list[Done]) -> list[Movement]:
    """The movements of what a client had done, in order."""
    shipped = client.name == "orders"
    changes = [(one, change) for one in done for change in ((0, -1) if shipped else (one.value,))]
    return [
        {"item": client.item, "location": 1, "reference": one.name, "on_hand": change}
        | {"available_after": one.value, "on_hand_after": one.value}
        for one, change in changes
    ]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_what_is_lost_or_doubled_is_found(client: Client, tmp_path: Path) -> None:
    """The checks themselves: each movement that is missing or there twice is told, whoever's it is."""
    done = [Done(client.name, f"{client.name}-{value}", value) for value in (11, 12, 13)]
    world = World({}, tmp_path / "log", seed=1)
    world.sent += done
    check, book = CHECKS[client.name.rstrip("0123456789")], told_of(client, done)
    check(Book(book), client, done, world)
    for at, one in enumerate(book):
        for wrong in ([*book[:at], *book[at + 1 :]], [*book[:at], one, *book[at:]]):
            with pytest.raises(AssertionError):
                check(Book(wrong), client, done, world)
    asyncio.run(world.close())
