"""Orders that hold units here and that their channel does not have any more: asked for by their ids."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx2
import pytest

from courier.town import Like, PlainSeals, Town, play, until
from onhand import hooks, orders_in
from onhand.appliers import APPLIERS
from onhand.clockwork import Clockwork
from onhand.connectors.flow import Failed, Flow, Heard, Order, OrderLine, Request, Reread, expect
from onhand.connectors.reading import ask, need_rows
from onhand.courier import errands
from onhand.store import drives, orders


def hear(settings: Any, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A message that names orders."""
    return Heard(headers["name"], "orders", reread=tuple(body.decode().split()))


def reread(settings: Any, names: Sequence[str]) -> Flow[Reread]:
    """The stall's orders of these names; what it does not list is gone."""
    query = (("after", "0"),)
    found = expect((yield from ask(Request("GET", "/orders", query=query, repeatable=True))))
    rows = {str(row["n"]): row for row in need_rows(found, "orders")}
    return Reread(
        tuple(
            Order(name, row["n"], (OrderLine("1", {"id": row["id"]}, None, row["units"]),))
            for name, row in rows.items()
            if name in names
        ),
        tuple(name for name in names if name not in rows),
    )


KNOWING = Like(webhooks=True, hear=hear, reread=reread)


@contextlib.asynccontextmanager
async def selling(town: Town, count: int, module: Like = KNOWING) -> AsyncIterator[None]:
    """A town whose stall has sold one unit of item 1 in each of so many orders, all taken in."""
    clockwork = Clockwork(town.inventory, APPLIERS)
    await clockwork.start()
    await town.stock(1, 100)
    town.stall.sold += [{"n": n, "id": "1-1", "units": 1} for n in range(1, count + 1)]
    await now(town, "polled_at")
    async with town.driven(module, orders=orders_in.Polls(town.inventory)):
        await until(lambda: held(town) == count)
        yield
    await clockwork.stop()


async def now(town: Town, what: str) -> None:
    """Ask for a poll or a sweep."""
    await town.inventory.write(1, lambda c: drives.note(c, 1, 1, {what: 0}))


def held(town: Town) -> int:
    """Units that are reserved."""
    return int(town.sql("SELECT COALESCE(SUM(reserved), 0) FROM levels")[0][0])


def swept(town: Town) -> bool:
    """Whether the sweep that was asked for is over."""
    return bool(town.status().swept_at)


def incidents(town: Town) -> list[dict[str, Any]]:
    """The incidents about orders."""
    rows = town.sql("SELECT body FROM incidents WHERE kind = 'order' ORDER BY id")
    return [json.loads(row[0]) if isinstance(row[0], str) else row[0] for row in rows]


async def told(town: Town, name: str, words: str) -> None:
    """A webhook as the hub hears it."""
    app = hooks.app(town.inventory, PlainSeals(), [KNOWING])

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(dict(scope) | {"root_path": hooks.PREFIX}, receive, send)

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(mounted), base_url="http://testserver"
    ) as channel:
        answer = await channel.post("/hooks/1-1", content=words.encode(), headers={"name": name})
    assert answer.status_code == 200


def test_an_order_that_is_gone_is_released_and_told_at_the_next_sweep(town: Town) -> None:
    async def story(town: Town) -> None:
        async with selling(town, 3):
            gone = town.stall.sold.pop(1)
            await now(town, "swept_at")
            await until(lambda: held(town) == 2)
            (told_of,) = incidents(town)
            assert "does not have this order" in told_of["why"]
            assert (told_of["order"], told_of["lines"][0]["units"]) == (str(gone["n"]), 1)
            names = await town.inventory.read(1, lambda c: orders.holding(c, 1, 1))
            assert names == ["1", "3"]
            await town.calm()
            assert town.stall.stock["1-1"] == 98
            # It is not asked for again, and not told again.
            await now(town, "swept_at")
            await until(lambda: swept(town))
            assert len(incidents(town)) == 1

    play(town, story)


def test_a_webhook_that_names_an_order_has_it_read_at_once(town: Town) -> None:
    async def story(town: Town) -> None:
        async with selling(town, 2):
            gone = town.stall.sold.pop(0)
            await told(town, "one", "1")
            await until(lambda: held(town) == 1)
            assert town.sql("SELECT swept_at FROM drives WHERE connection = 1")[0][0] > 0
            assert town.stall.calls.count("GET /stock") == 0, "no sweep was needed"
            # The channel has it after all, as it was: it counts again.
            town.stall.sold.append(gone)
            await told(town, "two", "1 77")
            await until(lambda: held(town) == 2)
            await until(lambda: town.sql("SELECT hints FROM drives WHERE connection = 1") == [(None,)])
            assert len(incidents(town)) == 1, "the one that nobody knows is no news"

    play(town, story)


def test_what_was_said_stays_until_orders_are_read_again_after_the_sweep(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands, "HINTED_SWEEP_SECONDS", 0.0)
    failed: list[Sequence[str]] = []

    def once(settings: Any, names: Sequence[str]) -> Flow[Reread]:
        if not failed:
            failed.append(names)
            raise Failed("not now")
        return (yield from reread(settings, names))

    async def story(town: Town) -> None:
        async with selling(town, 3, Like(webhooks=True, hear=hear, reread=once)):
            town.stall.sold.pop(1)
            many = (f"{drives.ORDER}{n}" for n in range(drives.HINTS_LIMIT + 1))
            await town.inventory.write(1, lambda c: drives.hint(c, 1, 1, many))
            await until(lambda: held(town) == 2)
            assert failed == [["1", "2", "3"]]
            await until(lambda: town.sql("SELECT hints FROM drives WHERE connection = 1") == [(None,)])

    play(town, story)


def test_a_channel_that_has_none_of_many_is_not_believed(town: Town) -> None:
    async def story(town: Town) -> None:
        async with selling(town, orders_in.MANY_GONE):
            sold = list(town.stall.sold)
            town.stall.sold.clear()
            await now(town, "swept_at")
            await until(lambda: "none of the 20 orders" in (town.status().stats.get("trouble") or ""))
            await asyncio.sleep(0.05)
            assert held(town) == orders_in.MANY_GONE
            town.stall.sold += sold[:1]
            await now(town, "swept_at")
            await until(lambda: held(town) == 1)

    play(town, story)
