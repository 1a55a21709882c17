"""What a webhook or a refused comparison hints at: a look at once, and orders before the next number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from courier.town import FakeTime, Like, PlainSeals, Town, play, until
from onhand import hooks, orders_in
from onhand.appliers import APPLIERS
from onhand.clockwork import Clockwork
from onhand.connectors.auth import Wire
from onhand.connectors.channel import Guard
from onhand.connectors.flow import Flow, Heard, Request, Response, Seen, Shown, expect
from onhand.connectors.reading import ask, need_rows, whole
from onhand.courier import errands
from onhand.courier.office import Beats
from onhand.store import drives

SLOW = Beats(look=0.5, lease=3600.0, linger=100_000.0, rest=0.01, gather=0.01, again=1.0, grace=1.0)


def hear(settings: Any, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """What somebody wrote into the body, word by word."""
    return Heard(headers["name"], "stock", look_at=tuple(body.decode().split()))


def look(settings: Any, names: Any) -> Flow[list[Seen]]:
    """The stall's listings of these names, one request for all."""
    query = (("after", ""), ("limit", "100"), ("only", ",".join(names)))
    found = expect((yield from ask(Request("GET", "/stock", query=query, repeatable=True))))
    return [
        Seen({"id": str(row["id"])}, None, (Shown(whole(row, "quantity")),))
        for row in need_rows(found, "rows")
        if row["id"] in names
    ]


PEEKING = Like(webhooks=True, hear=hear, look=look)
BLUNT = Like(webhooks=True, hear=hear)


async def told(town: Town, module: Like, name: str, words: str) -> None:
    """A webhook as the hub hears it."""
    app = hooks.app(town.inventory, PlainSeals(), [module])

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(dict(scope) | {"root_path": hooks.PREFIX}, receive, send)

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(mounted), base_url="http://testserver"
    ) as channel:
        answer = await channel.post("/hooks/1-1", content=words.encode(), headers={"name": name})
    assert answer.status_code == 200


def hints(town: Town) -> str | None:
    """What is still to be looked at."""
    found: str | None = town.sql("SELECT hints FROM drives WHERE connection = 1")[0][0]
    return found


def test_a_webhook_about_stock_leads_to_a_look_at_that_listing(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven(PEEKING):
            await town.stock(1, 10)
            await town.stock(2, 20)
            await town.calm()
            town.stall.stock |= {"1-1": 3, "1-2": 4}
            await told(town, PEEKING, "one", "1-2")
            await until(lambda: town.stall.stock["1-2"] == 20)
            await until(lambda: hints(town) is None)
            await until(lambda: town.drifts() == [(2, "changed_there", True)])
            assert town.stall.stock["1-1"] == 3, "nobody said anything of it"
            assert town.stall.calls.count("GET /stock") == 1

    play(town, story)


def test_a_channel_that_shows_all_or_nothing_is_swept_soon_but_not_for_every_word(
    slow_town: tuple[Town, FakeTime], monkeypatch: pytest.MonkeyPatch
) -> None:
    town, time = slow_town
    monkeypatch.setattr(errands, "HINTED_SWEEP_SECONDS", 60.0)

    async def story(town: Town) -> None:
        async with town.driven(BLUNT, clock=time, beats=SLOW):
            await town.stock(2, 20)
            await town.calm()
            for n in range(10):
                town.stall.stock["1-2"] = 4
                await told(town, BLUNT, f"word {n}", f"1-2 1-{n + 3}")
                await time.ahead(10, step=1)
            assert 1 <= town.stall.calls.count("GET /stock") <= 2
            await time.ahead(70, step=2)
            await until(lambda: hints(town) is None)
            assert town.stall.calls.count("GET /stock") <= 3
            assert town.stall.stock["1-2"] == 20

    play(town, story)


def test_each_word_is_looked_at_and_many_at_once_by_one_look(slow_town: tuple[Town, FakeTime]) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        async with town.driven(PEEKING, clock=time, beats=SLOW):
            await town.stock(2, 20)
            await town.calm()
            for looks in (1, 2):
                await time.ahead(errands.LOOK_SECONDS + 1)
                for n in range(5):
                    town.stall.stock["1-2"] = 4
                    await told(town, PEEKING, f"word {looks} {n}", "1-2")
                await time.ahead(errands.LOOK_SECONDS + 1)
                await until(lambda: town.stall.stock["1-2"] == 20 and hints(town) is None)
                assert looks <= town.stall.calls.count("GET /stock") <= 2 * looks

    play(town, story)


def test_very_many_words_are_one(town: Town) -> None:
    async def story(town: Town) -> None:
        many = " ".join(f"9-{n}" for n in range(drives.HINTS_LIMIT + 1))
        await told(town, PEEKING, "many", many)
        assert hints(town) == f'["{drives.EVERYTHING}"]'
        await told(town, PEEKING, "one more", "1-1")
        assert hints(town) == f'["{drives.EVERYTHING}"]'
        await town.stock(1, 10)
        async with town.driven(PEEKING):
            await until(lambda: hints(town) is None)
        assert town.status().swept_at is not None

    play(town, story)


@pytest.mark.parametrize(
    ("module", "meanwhile", "wanted"),
    [
        (PEEKING, "1-3", ["1-2", "1-2,1-3"]),
        (PEEKING, "1-2", ["1-2", "1-2"]),
        (BLUNT, "1-2", [None, None]),
    ],
    ids=["another", "the same", "the same in a sweep"],
)
def test_what_is_said_while_somebody_looks_is_looked_at_after(
    town: Town, monkeypatch: pytest.MonkeyPatch, module: Like, meanwhile: str, wanted: list[str | None]
) -> None:
    monkeypatch.setattr(errands, "HINTED_SWEEP_SECONDS", 0.0)

    async def story(town: Town) -> None:
        async def during(wire: Wire) -> None:
            if wire.method == "GET" and len(asked) < 2:
                asked.append(dict(wire.query).get("only"))
                if len(asked) == 1:
                    await told(town, module, "second", meanwhile)

        asked: list[str | None] = []
        town.stall.during = during
        await told(town, module, "first", "1-2")
        async with town.driven(module):
            await until(lambda: hints(town) is None)
        assert asked == wanted

    play(town, story)


@pytest.mark.parametrize("guard", [Guard.COMPARE, Guard.REVISION])
def test_a_channel_that_has_moved_is_asked_for_orders_before_it_is_told_again(
    town: Town, guard: Guard
) -> None:
    """It has sold a unit that we do not know of: told again at once, it would be given back."""

    async def story(town: Town) -> None:
        clockwork = Clockwork(town.inventory, APPLIERS)
        await clockwork.start()
        town.stall.compare = True
        async with town.driven(Like(guard=guard), orders=orders_in.Polls(town.inventory)):
            await town.stock(1, 10)
            await town.calm()
            town.stall.calls.clear()
            town.stall.stock["1-1"] -= 2
            when = town.inventory.now()
            town.stall.sold.append({"n": when, "id": "1-1", "units": 2})
            await town.stock(1, 15)
            await town.calm()
        await clockwork.stop()
        assert [row["quantity"] for row in town.stall.said] == [10, 13]
        assert town.stall.stock["1-1"] == 13
        pushes = [n for n, call in enumerate(town.stall.calls) if call == "POST /stock"]
        assert "GET /orders" in town.stall.calls[pushes[0] : pushes[1]]
        assert town.sql("SELECT on_hand, reserved FROM levels WHERE item = 1") == [(15, 2)]

    play(town, story)


def test_orders_are_asked_for_once_though_many_numbers_have_moved(town: Town) -> None:
    """Each lane that was overtaken wants them: what is asked for after all of it serves all of them."""

    async def story(town: Town) -> None:
        overtaken = ["1-1", "1-2", "1-3", "1-4"]
        for listing in range(1, 5):
            await town.stock(listing, 10)
        async with town.driven(Like(guard=Guard.COMPARE, batch=1), orders=orders_in.Polls(town.inventory)):
            await town.calm()
        town.stall.compare = True
        town.stall.stock.update(dict.fromkeys(overtaken, 9))
        heard: set[str] = set()
        asked = 0

        async def after(wire: Wire) -> None:
            if wire.path == "/stock" and wire.method == "POST":
                heard.update(row["id"] for row in json.loads(wire.body))

        async def during(wire: Wire) -> None:
            nonlocal asked
            if wire.path == "/orders":
                asked += 1
                await until(lambda: len(heard) == 4)
                await asyncio.sleep(0.1)

        town.stall.after, town.stall.during = after, during
        for listing in range(1, 5):
            await town.stock(listing, 15)
        way = town.driven(Like(guard=Guard.COMPARE, batch=1), orders=orders_in.Polls(town.inventory))
        async with way:
            await town.calm()
        assert [town.stall.stock[name] for name in overtaken] == [15] * 4
        assert asked <= 2

    play(town, story)


def test_a_channel_that_has_moved_and_does_not_tell_its_orders_is_told_all_the_same(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.compare = True

        async def during(wire: Wire) -> None:
            if wire.path == "/orders":
                town.stall.faults.append(Response(403))

        town.stall.during = during
        async with town.driven(Like(guard=Guard.COMPARE), orders=orders_in.Polls(town.inventory)):
            await town.stock(1, 10)
            await town.calm()
            town.stall.stock["1-1"] = 8
            await town.stock(1, 15)
            await town.calm()
        assert town.stall.stock["1-1"] == 15

    play(town, story)


def test_a_poll_that_is_asked_for_while_one_is_under_way_is_not_lost(town: Town) -> None:
    async def story(town: Town) -> None:
        polls = 0

        async def during(wire: Wire) -> None:
            nonlocal polls
            if wire.path == "/orders":
                polls += 1
                if polls == 1:
                    await town.inventory.write(1, lambda c: drives.note(c, 1, 1, {"polled_at": 0}))

        town.stall.during = during
        await town.inventory.write(1, lambda c: drives.note(c, 1, 1, {"polled_at": 0}))
        async with town.driven(orders=orders_in.Polls(town.inventory)):
            await until(lambda: polls == 2)
            await asyncio.sleep(0.2)
        assert polls == 2

    play(town, story)
