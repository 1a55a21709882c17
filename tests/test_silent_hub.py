"""A hub whose PostgreSQL falls silent under load of all APIs: every answer says so in time, the command line
and a stop end in time, and nothing acknowledged is lost or done twice."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from commands import onhand
from killed_load import CLIENTS, World
from onhand.doorman import RETRY_AFTER_SECONDS
from servers import Server, start
from stalling import Proxy, stalling
from stores import PostgresDatabases
from test_kill import SETTLE_SECONDS, Case, prepared, told

SECONDS = 2
AT_MOST = 4 * SECONDS + 2
"""In line for as long as an answer is waited for, then a try, a connection and a look-up of its own."""
STALLS = [(b"", False), (b"COMMIT", True)]


def asked(demo: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """A question to each API."""
    trackstar, sellbrite = demo["trackstar"], demo["sellbrite"]
    pair = base64.b64encode(f"{sellbrite['account_token']}:{sellbrite['secret_key']}".encode()).decode()
    cart = {
        "x-trackstar-api-key": trackstar["api_key"],
        "x-trackstar-access-token": trackstar["connections"][0]["access_token"],
    }
    flipkart = demo["flipkart"]
    who = base64.b64encode(f"{flipkart['app_id']}:{flipkart['app_secret']}".encode()).decode()
    token = "/flipkart/oauth-service/oauth/token?grant_type=client_credentials&scope=Seller_Api"
    return [
        ("GET", "/api/v1/levels", {"headers": {"Authorization": f"Bearer {demo['native']['api_key']}"}}),
        ("GET", "/trackstar/cart/products", {"headers": cart}),
        ("GET", "/sellbrite/v1/inventory", {"headers": {"Authorization": f"Basic {pair}"}}),
        ("GET", token, {"headers": {"Authorization": f"Basic {who}"}}),
        (
            "PUT",
            f"/treet/v1/listings/{demo['treet']['listings'][0]['id']}/inventory",
            {
                "headers": demo["treet"]["headers"],
                "json": {"action": "SET_INVENTORY", "oldInventory": 999, "newInventory": 0},
            },
        ),
    ]


async def answers(hub: Server, demo: Mapping[str, Any]) -> list[httpx2.Response]:
    """What every API says now."""
    async with httpx2.AsyncClient(base_url=hub.url, timeout=AT_MOST) as http:
        return await asyncio.gather(*(http.request(how, path, **more) for how, path, more in asked(demo)))


async def silent_for_a_while(hub: Server, world: World, proxy: Proxy, word: bytes, heard: bool) -> None:
    """Fall silent, have every API say so, speak again, and see that changes are acknowledged."""
    await asyncio.wait_for(world.progress(), SETTLE_SECONDS)
    proxy.stall(word, heard=heard)
    assert await asyncio.to_thread(proxy.stalled.wait, SETTLE_SECONDS)
    began = time.monotonic()
    for answer in await answers(hub, world.demo):
        assert answer.status_code == 503, (answer.url, answer.text)
        assert answer.headers["Retry-After"] == RETRY_AFTER_SECONDS
        answer.json()
    assert time.monotonic() - began < AT_MOST
    proxy.speak()
    began, before = time.monotonic(), len(world.done)
    while len(world.done) <= before + len(CLIENTS):
        assert time.monotonic() < began + AT_MOST, "nothing is acknowledged any more"
        await asyncio.sleep(0.01)


async def loaded(case: Case, world: World, proxy: Proxy) -> None:
    hub = await asyncio.to_thread(start, case.db, folder=case.folder, ONHAND_DB_SECONDS=str(SECONDS))
    clients = [asyncio.ensure_future(one.run(world, one.name, one.at)) for one in CLIENTS]
    try:
        world.moved(hub.url)
        for word, heard in STALLS:
            await silent_for_a_while(hub, world, proxy, word, heard)
            for client in clients:
                assert not client.done(), client.exception()
        world.stopping = True
        await asyncio.wait_for(asyncio.gather(*clients), SETTLE_SECONDS)
        await asyncio.to_thread(stops_in_silence, hub, proxy)
    finally:
        hub.kill()
        for client in clients:
            client.cancel()
        await world.close()


def stops_in_silence(hub: Server, proxy: Proxy) -> None:
    """The hub is told to stop while nothing is heard."""
    proxy.stall()
    began = time.monotonic()
    assert hub.stop() == 0
    assert time.monotonic() - began < 2 * AT_MOST
    proxy.speak()
    lines = [json.loads(line) for line in hub.err.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if line["event"] == "request failed"] == []


def test_a_hub_goes_on_when_its_database_speaks_again(postgres_url: str, tmp_path: Path) -> None:
    with stalling(postgres_url) as proxy:
        case = prepared(proxy.url, tmp_path)

        async def main() -> World:
            world = World(case.demo, tmp_path / "acknowledged.jsonl", seed=1)
            await loaded(case, world, proxy)
            return world

        told(case, asyncio.run(main()))


COMMANDS = [
    ("levels", b"", False, "connection timeout expired"),
    ("levels", b"levels", False, "has said nothing for 2 s"),
    ("verify", b"movements", False, "has said nothing for 2 s"),
    ("keys create native --scopes read", b"INSERT INTO keys", False, "the database does not answer"),
    ("keys create native --scopes read", b"COMMIT", True, "has said nothing for 2 s"),
    ("serve --port 0", b"", False, "connection timeout expired"),
    ("serve --port 0", b"pg_catalog", False, "has said nothing for 2 s"),
]


@pytest.mark.parametrize(("words", "word", "heard", "said"), COMMANDS)
def test_a_command_ends_in_words(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, words: str, word: bytes, heard: bool, said: str
) -> None:
    assert onhand("accounts", "create", "me", "--db", postgres_url).code == 0
    _ends(postgres_url, monkeypatch, words, word, heard, said)


@pytest.mark.parametrize("word", [b"CREATE TABLE", b"COMMIT"])
def test_a_migration_ends_in_words(
    postgres: PostgresDatabases, monkeypatch: pytest.MonkeyPatch, word: bytes
) -> None:
    url = postgres.empty()
    _ends(url, monkeypatch, "init", word, False, "has said nothing for 2 s")
    ran = onhand("init", "--db", url)
    assert ran.code == 0, ran.err
    postgres.drop(url)


def _ends(url: str, monkeypatch: pytest.MonkeyPatch, words: str, word: bytes, heard: bool, said: str) -> None:
    monkeypatch.setenv("ONHAND_DB_SECONDS", str(SECONDS))
    with stalling(url) as proxy:
        proxy.stall(word, heard=heard)
        began = time.monotonic()
        ran = onhand(*words.split(), "--db", proxy.url)
        assert ran.code == 1
        assert said in ran.err
        assert time.monotonic() - began < AT_MOST
