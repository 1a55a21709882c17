"""Many listings, many connections: flat memory, one failing channel alone, and a cost that quiet ones do not
raise."""

import asyncio
import gc
import json
import tracemalloc
import weakref
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from courier.stall import Stall
from courier.town import QUICK, Like, Streets, Town, connect, play, until
from onhand.connectors.auth import Wire
from onhand.connectors.channel import Limit
from onhand.connectors.flow import Response
from onhand.courier.pacing import Pace
from onhand.courier.tally import Tally
from onhand.orders_in import Polls
from onhand.settings import Settings
from onhand.store import accounts, drives, feeding, schema, unlinking
from onhand.store.engine import reading, set_account

MANY = 10_000
OFTEN = Settings(poll_seconds=1, sweep_seconds=86_400)


def crowd(connection: Connection, count: int) -> None:
    """So many items, each counted as 0 and listed on connection 1."""
    items = [
        {"account": 1, "id": n, "sku": f"X{n}", "created_at": 1, "updated_at": 1}
        for n in range(1_000, 1_000 + count)
    ]
    connection.execute(insert(schema.items), items)
    zero = {
        "account": 1,
        "location": 1,
        "on_hand": 0,
        "reserved": 0,
        "infinite": 0,
        "present": 1,
        "version": 1,
    }
    connection.execute(insert(schema.levels), [zero | {"item": one["id"]} for one in items])
    rows: list[dict[str, Any]] = [
        {
            "account": 1,
            "id": one["id"],
            "connection": 1,
            "external_id": f"1-{one['id']}",
            "item": one["id"],
            "ids": json.dumps({"id": f"1-{one['id']}"}),
            "created_at": 1,
            "updated_at": 1,
        }
        for one in items
    ]
    connection.execute(insert(schema.listings), rows)
    feeding.refeed(connection, 1, [row["id"] for row in rows])


def test_ten_thousand_flow_in_batches_with_flat_memory(town: Town) -> None:
    async def story(town: Town) -> None:
        await town.inventory.write(1, lambda c: crowd(c, MANY))
        everyone = range(1_000, 1_000 + MANY)
        sizes: list[int] = []
        kept: list[int] = []

        async def measure(wire: Any) -> None:
            sizes.append(len(json.loads(wire.body)))
            town.stall.said.clear()
            town.stall.pushes.clear()
            if len(sizes) % 4 == 0:
                gc.collect()
                kept.append(tracemalloc.get_traced_memory()[0] - 120 * len(town.stall.stock))

        await town.inventory.write(1, lambda c: feeding.mark(c, 1, everyone, town.inventory.now()))
        town.stall.during = measure
        tracemalloc.start()
        try:
            async with town.driven(Like(batch=250)):
                await until(lambda: town.waiting() == 0, 60)
        finally:
            tracemalloc.stop()
        assert len(town.stall.stock) == MANY
        assert sum(sizes) == MANY
        assert len(sizes) == MANY // 250
        assert max(kept[3:]) - min(kept[3:]) < 4_000_000

    play(town, story)


def test_a_channel_that_fails_does_not_slow_the_others(town: Town) -> None:
    async def story(town: Town) -> None:
        stalls = {name: Stall() for name in ("good", "bad", "slow")}
        names = {1: "good", 2: "bad", 3: "slow"}

        def kinds() -> list[Any]:
            return [
                Like(name=name, base_url=lambda settings, name=name: f"https://{name}.test")
                for name in stalls
            ]

        def others(connection: Connection) -> None:
            for link in (2, 3):
                assert connect(connection, 20, names[link], names[link]) == link

        await town.inventory.write(1, others)
        await town.change("connections", 1, channel="good")
        stalls["bad"].down, stalls["slow"].latency = True, 30.0
        courier = town.courier(modules=kinds(), transport=Streets(stalls))
        await courier.start()
        try:
            for units in range(1, 20):
                await asyncio.gather(*(town.stock(item, units) for item in range(1, 6)))
            await until(lambda: stalls["good"].stock == {f"1-{n}": 19 for n in range(1, 6)}, 20.0)
            assert town.status(1).backlog <= 5
            assert town.status(2).backlog == 5
        finally:
            courier.kill()
            await asyncio.sleep(0.05)

    play(town, story)


def test_a_change_costs_the_same_with_many_quiet_listings(town: Town) -> None:
    async def story(town: Town) -> None:
        await town.inventory.write(1, lambda c: crowd(c, 3_000))
        sqlite = town.store.sqlite
        if not sqlite:
            with town.store.writer.begin() as connection:
                set_account(connection, 1)
                connection.exec_driver_sql("ANALYZE")
        mark = (
            "SELECT f.listing FROM feeds f JOIN listings g ON g.account = f.account AND g.id = f.listing"
            " WHERE f.account = 1 AND f.item = 1000 AND f.location = 1"
        )
        due = (
            "SELECT o.listing FROM outbox o WHERE o.account = 1 AND o.connection = 1 AND o.due <= 5"
            " ORDER BY o.due"
        )
        for query in (mark, due + " LIMIT 50"):
            plan = plan_of(town, query)
            assert "SCAN" not in plan.upper().replace("INDEX SCAN", "").replace(
                "INDEX ONLY SCAN", ""
            ).replace("BITMAP HEAP SCAN", ""), plan

    play(town, story)


def plan_of(town: Town, query: str) -> str:
    """How the database finds the rows."""
    with reading(town.store, 1) as connection:
        if town.store.sqlite:
            rows = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query).fetchall()
            return "\n".join(str(row[-1]) for row in rows)
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return "\n".join(row[0] for row in connection.exec_driver_sql("EXPLAIN " + query).fetchall())


def test_a_channels_limit_is_used_and_kept_from_many_lanes(town: Town) -> None:
    async def story(town: Town) -> None:
        for item in range(1, 21):
            await town.stock(item, item)
        limits = (Limit("default", calls=40, seconds=1, burst=1),)
        town.stall.latency = 0.3
        async with town.driven(Like(batch=1, limits=limits)):
            await town.calm()
        gaps = [b - a for a, b in zip(town.stall.times, town.stall.times[1:], strict=False)]
        assert sum(gaps) < 20 * 0.3 / 2  # one after the other it would take twice that and more
        assert sum(gaps) > 19 / 40 * 0.95

    play(town, story)


def test_a_token_is_seen_when_every_channel_has_acknowledged_it(town: Town) -> None:
    async def story(town: Town) -> None:
        def seen(seq: int) -> bool:
            with reading(town.store, 1) as connection:
                return drives.seen(connection, 1, seq, [1])

        before = await town.stock(1, 3)
        assert not seen(before)
        async with town.driven():
            await town.calm()
            assert seen(before)
            town.stall.down = True
            after = await town.stock(2, 3)
            await until(lambda: len(town.stall.calls) > 1)
            assert seen(before)
            assert not seen(after)

    play(town, story)


def test_how_a_connection_goes_is_kept(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven():
            await town.stock(1, 3)
            await town.calm()
            town.stall.faults = [Response(500), Response(500)]
            await town.stock(1, 4)
            await until(lambda: town.status().owner == "")
        stats = town.status().stats
        assert stats["told"] == 1
        assert 0 < stats["p50"] <= stats["p99"] < 5_000_000
        assert stats["errors"] >= 1
        assert 0 < stats["error_rate"] <= 1

    play(town, story)


def test_how_it_went_outlasts_a_drive_with_nothing_to_tell(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven(settings=Settings(sweep_seconds=1, poll_seconds=86_400_000)):
            await town.stock(1, 3)
            await town.calm()
            looked = town.stall.calls.count("GET /stock")
            await until(lambda: town.stall.calls.count("GET /stock") > looked + 1)
            await until(lambda: town.status().owner == "")
        stats = town.status().stats
        assert (stats["told"], stats["p50"] is None) == (1, False)

    play(town, story)


def test_trouble_with_orders_is_not_forgotten_because_a_look_went_well(town: Town) -> None:
    async def story(town: Town) -> None:
        async def refused(wire: Wire) -> None:
            if wire.path == "/orders":
                town.stall.faults = [Response(403, {}, b"this scope was not granted")]

        town.stall.during = refused
        unit = partial(drives.note, account=1, link=1, values={"polled_at": 0, "swept_at": 0})
        await town.inventory.write(1, unit)
        async with town.driven(beats=QUICK._replace(again=60.0), orders=Polls(town.inventory)):
            await until(lambda: {"GET /stock", "GET /orders"} <= set(town.stall.calls))
            await until(lambda: town.status().owner == "")
        assert "not granted" in str(town.status().stats["trouble"])

    play(town, story)


def test_an_account_that_cannot_be_looked_at_does_not_keep_the_others(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone, due = accounts.accounts, drives.due

    def fails(connection: Connection, owner: str, now: int, account: int | None = None) -> list[drives.Due]:
        if account == 2:
            raise OSError("its rows are damaged")
        return due(connection, owner, now, account)

    async def story(town: Town) -> None:
        await town.inventory.write(0, lambda c: accounts.add(c, "damaged", 1))
        monkeypatch.setattr(accounts, "accounts", lambda connection: everyone(connection)[::-1])
        monkeypatch.setattr(drives, "due", fails)
        await town.stock(1, 7)
        async with town.driven():
            await until(lambda: town.stall.stock == {"1-1": 7}, 5.0)

    play(town, story)


def test_nothing_is_kept_of_connections_that_are_gone(town: Town) -> None:
    async def story(town: Town) -> None:
        links = [await town.inventory.write(1, lambda c: connect(c, 2)) for _ in range(5)]
        town.inventory.marked({(1, link) for link in links})
        orders = Polls(town.inventory)
        async with town.driven(beats=QUICK._replace(forget=0.05), orders=orders, settings=OFTEN):
            await town.stock(1, 7)
            await town.calm()
            kept = [weakref.ref(one) for one in gc.get_objects() if isinstance(one, (Pace, Tally))]
            assert len(kept) >= 2 * len(links) + 2
            for link in links:
                await town.change("connections", link, paused=1)
            await until(lambda: not any(town.status(link).owner for link in links))
            for link in links:
                await town.inventory.write(1, partial(disconnect, link=link))
            await until(lambda: gc.collect() >= 0 and sum(one() is None for one in kept) >= 2 * len(links))
            await town.stock(1, 8)
            await until(lambda: town.slot(1)[1] == 8)

    play(town, story)


def disconnect(connection: Connection, link: int) -> None:
    """Delete a connection with all that is known of it."""
    unlinking.drop_listings(connection, 1, link, 100)
    unlinking.drop_orders(connection, 1, link, 100)
    unlinking.drop_link(connection, 1, link)
