"""The primary of two PostgreSQLs is killed under load, the standby takes over: nothing acknowledged is lost.

`make failover ROUNDS=20` does it twenty times. With an asynchronous standby something may be lost, and how
much is counted and printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from pathlib import Path
from statistics import median

import httpx2
import pytest

from commands import onhand
from failover.pair import RUNTIME, Pair, pair
from killed_load import CLIENTS, World
from servers import Server, demo_server, start
from test_kill import SETTLE_SECONDS, Case, prepared, told

ROUNDS = int(os.environ.get("ROUNDS", "1"))
LIFE_SECONDS = (0.2, 0.8)
TRADERS = 8
CUTS = (0.0, 0.1)
"""Seconds for which nothing reaches the standby before the primary dies."""

AWAY = ("onhand.transact.Busy:", "onhand.transact.Unknowable:", "sqlalchemy.exc.OperationalError:")


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    with pair(synchronous=True) as two:
        case = prepared(two.url(RUNTIME), tmp_path)

        async def main() -> tuple[World, list[float]]:
            world = World(case.demo, tmp_path / "acknowledged.jsonl", seed=ROUNDS)
            return world, await loaded(case, world, two)

        world, gaps = asyncio.run(main())
        told(case, world)
    print(
        f"{ROUNDS} failovers, synchronous: {len(world.done)} acknowledged, none lost, none twice;"
        f" {len(world.refused)} refused, {world.unsure.total()} without an answer ({dict(world.unsure)});"
        f" writes again after {median(gaps):.2f} s, at most {max(gaps):.2f} s"
    )


async def loaded(case: Case, world: World, two: Pair) -> list[float]:
    """Run the clients while the servers change places; how long no change was acknowledged, each time."""
    hub = await asyncio.to_thread(case.start)
    clients = [asyncio.ensure_future(one.run(world, one.name, one.at)) for one in CLIENTS]
    gaps = []
    try:
        world.moved(hub.url)
        for _ in range(ROUNDS):
            await asyncio.wait_for(world.progress(), SETTLE_SECONDS)
            await asyncio.sleep(world.random.uniform(*LIFE_SECONDS))
            began, before = time.monotonic(), len(world.done)
            await asyncio.to_thread(two.fail_over)
            # The promoted server acknowledges nothing before it has a standby of its own.
            await asyncio.to_thread(two.heal)
            while len(world.done) <= before + len(CLIENTS):
                assert time.monotonic() < began + SETTLE_SECONDS, "nothing is acknowledged any more"
                await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - began)
            for client in clients:
                assert not client.done(), client.exception()
            await asyncio.to_thread(two.ready)
        world.stopping = True
        await asyncio.wait_for(asyncio.gather(*clients), SETTLE_SECONDS)
        assert await asyncio.to_thread(hub.stop) == 0
        assert surprises(hub) == []
    finally:
        hub.kill()
        for client in clients:
            client.cancel()
        await world.close()
    return gaps


def surprises(hub: Server) -> list[str]:
    """Exceptions in the hub's log that say another thing than that the database was away."""
    lines = [json.loads(line) for line in hub.err.read_text(encoding="utf-8").splitlines()]
    last = [line["exception"].strip().splitlines()[-1] for line in lines if "exception" in line]
    return [words for words in last if not words.startswith(AWAY)]


# --- an asynchronous standby --------------------------------------------------------------------------


@pytest.mark.skipif("ROUNDS" not in os.environ, reason="measures, and takes a minute: make failover")
def test_what_an_asynchronous_standby_loses(tmp_path: Path) -> None:
    """Acknowledged changes may be gone; what is left is whole, and what was refused is not there."""
    with pair(synchronous=False) as two:
        url = two.url(RUNTIME)
        with demo_server(tmp_path, url) as (server, demo):
            assert server.stop() == 0
        two.ready()
        for cut in CUTS:
            hub = start(url, folder=tmp_path)
            acknowledged = asyncio.run(traded(hub, demo["native"]["api_key"], two, cut))
            hub.kill()
            assert acknowledged
            kept = references(url, tmp_path)
            lost = acknowledged - kept
            assert onhand("verify", "--db", url).code == 0
            print(
                f"asynchronous, link cut {cut * 1000:.0f} ms before the primary dies:"
                f" {len(lost)} of {len(acknowledged)} acknowledged changes lost"
            )
            two.heal()
            two.ready()


async def traded(hub: Server, key: str, two: Pair, cut: float) -> set[str]:
    """Acknowledged references, of clients that change stock until the primary dies."""
    acknowledged: set[str] = set()
    stopping = asyncio.Event()
    name = random.randbytes(4).hex()

    async def trade(http: httpx2.AsyncClient, me: int) -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            reference = f"{name}-{me}-{number}"
            change = {"op": "adjust", "item": 40, "location": "MAIN", "delta": 1, "reference": reference}
            answer = await http.post("/api/v1/changes", json={"changes": [change]})
            if answer.status_code == 200:
                acknowledged.add(reference)
            else:
                return

    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=hub.url, headers=headers, timeout=SETTLE_SECONDS) as http:
        traders = [asyncio.ensure_future(trade(http, me)) for me in range(TRADERS)]
        await asyncio.sleep(max(LIFE_SECONDS))
        if cut:
            await asyncio.to_thread(two.cut)
            await asyncio.sleep(cut)
        await asyncio.to_thread(two.fail_over)
        stopping.set()
        await asyncio.gather(*traders)
    return acknowledged


def references(url: str, folder: Path) -> set[str]:
    """The references in the journal."""
    file = folder / "journal.jsonl"
    ran = onhand("export", "--movements", "--json", file, "--db", url)
    assert ran.code == 0, ran.err
    lines = file.read_text(encoding="utf-8").splitlines()
    return {line.partition('"reference": "')[2].partition('"')[0] for line in lines}
