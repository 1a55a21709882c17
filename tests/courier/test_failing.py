"""What a channel refuses, throttles or does not answer: parked, paced, put off, told when it is back."""

import asyncio
from functools import partial
from typing import Any

from courier.stall import reply
from courier.town import QUICK, FakeTime, Like, Town, play, rebuilt, until
from onhand.connectors.auth import Wire
from onhand.connectors.channel import (
    Channel,
    Guard,
    Limit,
)
from onhand.connectors.flow import (
    Response,
)
from onhand.courier.office import Beats, Clock
from onhand.courier.pacing import CIRCUIT_FAILURES
from onhand.orders_in import Polls
from onhand.settings import Settings
from onhand.store import drives
from test_disk import let_in

SLOW = Beats(look=0.5, lease=3600.0, linger=100_000.0, rest=0.01, gather=0.01, again=1.0, grace=1.0)


def test_bisecting_parks_exactly_the_bad_one(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.poisoned = {"1-13"}
        for item in range(1, 21):
            await town.stock(item, item)
        async with town.driven():
            await town.calm()
        assert town.stall.stock == {f"1-{n}": n for n in range(1, 21) if n != 13}
        parked = town.sql("SELECT id, parked FROM listings WHERE parked IS NOT NULL")
        assert [row[0] for row in parked] == [13]
        assert "something is wrong" in parked[0][1]
        assert len(town.stall.calls) < 12

    play(town, story)


def test_words_with_a_nul_are_kept_without_it(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.refused = {"1-1": "no \0such thing"}
        async with town.driven():
            await town.stock(1, 1)
            await until(lambda: town.sql("SELECT parked FROM listings WHERE id = 1")[0][0])
            town.stall.faults = [Response(500, {}, b"\0\0 oops")] * 100
            await town.stock(2, 1)
            await until(lambda: town.status().words)
            assert town.status().words == "500 oops"
            town.stall.faults = []
            await town.calm()
        assert town.sql("SELECT parked FROM listings WHERE id = 1") == [("no such thing",)]

    play(town, story)


def test_a_shop_that_has_moved_parks_nothing_and_says_where(town: Town) -> None:
    async def story(town: Town) -> None:
        moved = Response(301, {"location": "https://www.stall.test/stock?token=t0"}, b"<html>Moved")
        town.stall.faults = [moved] * 1_000
        async with town.driven():
            for item in range(1, 21):
                await town.stock(item, item)
            await until(lambda: town.status().open_until)
            assert town.status().words == "502 it answered 301 and sends to https://www.stall.test/stock"
            assert (town.status().parked, town.waiting()) == (0, 20)
            town.stall.faults = []
            await town.calm()
        assert len(town.stall.stock) == 20

    play(town, story)


def test_a_channel_that_refuses_everything_parks_few(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.poisoned = {f"1-{n}" for n in range(1, 21)}
        for item in range(1, 21):
            await town.stock(item, item)
        async with town.driven():
            await until(lambda: town.sql("SELECT 1 FROM listings WHERE parked IS NOT NULL"))
            await until(lambda: town.sql("SELECT 1 FROM outbox WHERE attempts > 0"))
        assert len(town.sql("SELECT 1 FROM listings WHERE parked IS NOT NULL")) <= 14

    play(town, story)


def test_a_parked_listing_is_released_by_its_next_change(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.refused = {"1-2": "no such thing here"}
        async with town.driven():
            await town.stock(2, 5)
            await town.calm()
            assert town.sql("SELECT parked FROM listings WHERE id = 2") == [("no such thing here",)]
            assert town.slot(2) == (5, None, None)
            assert town.status().parked == 1
            town.stall.refused = {}
            await town.stock(2, 6)
            await town.calm()
        assert town.stall.stock == {"1-2": 6}
        assert town.sql("SELECT parked FROM listings WHERE id = 2") == [(None,)]

    play(town, story)


def test_a_parked_listing_is_released_by_a_person(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.refused = {"1-2": "not today"}
        async with town.driven():
            await town.stock(2, 5)
            await town.calm()
            town.stall.refused = {}
            await town.refeed(2)
            await town.calm()
        assert town.stall.stock == {"1-2": 5}

    play(town, story)


def test_a_target_that_was_overtaken_is_told_again_on_what_is_shown(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.compare = True
        async with town.driven(Like(guard=Guard.COMPARE)):
            await town.stock(1, 10)
            await town.calm()
            town.stall.stock["1-1"] = 8
            await town.stock(1, 12)
            await town.calm()
        assert [row["from"] for row in town.stall.said] == [None, 8]
        assert town.slot(1) == (12, 12, 8)

    play(town, story)


def test_silence_after_sending_is_said_again(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.lost = 1
        async with town.driven():
            await town.stock(1, 10)
            await town.calm()
        assert [row["quantity"] for row in town.stall.said] == [10, 10]
        assert town.stall.said[0]["key"] == town.stall.said[1]["key"]

    play(town, story)


def test_a_delta_is_never_said_again_blindly(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven(Like(guard=Guard.DELTA)):
            await town.stock(1, 10)
            await town.calm()
            town.stall.lost = 1
            await town.stock(1, 12)
            await town.calm()
        assert [row["from"] for row in town.stall.said] == [None, 10, None]

    play(town, story)


def test_a_throttled_channel_is_left_alone_as_long_as_it_said(slow_town: tuple[Town, FakeTime]) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        town.stall.faults = [reply(429, {"words": "slow down"}, retry_after="30")]
        async with town.driven(clock=time, beats=SLOW):
            await town.stock(1, 10)
            await until(lambda: len(town.stall.calls) == 1)
            await town.stock(2, 20)
            await time.ahead(29)
            assert len(town.stall.calls) == 1
            await time.ahead(3)
            await town.calm()
        assert town.stall.times[1] - town.stall.times[0] >= 30
        assert town.stall.stock == {"1-1": 10, "1-2": 20}

    play(town, story)


def test_what_is_throttled_inside_a_200_is_left_alone_as_long_as_it_said(
    slow_town: tuple[Town, FakeTime],
) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        town.stall.faults = [reply(200, {"error": "THROTTLED", "wait": 20})]
        async with town.driven(clock=time, beats=SLOW):
            await town.stock(1, 10)
            await until(lambda: len(town.stall.calls) == 1)
            await time.ahead(19)
            assert len(town.stall.calls) == 1
            await time.ahead(10)
            await town.calm()
        assert town.stall.times[1] - town.stall.times[0] >= 20

    play(town, story)


def test_published_limits_are_kept_and_used(slow_town: tuple[Town, FakeTime]) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        for item in range(1, 21):
            await town.stock(item, item)
        limits = (Limit("default", calls=2, seconds=1, burst=2),)
        async with town.driven(Like(batch=1, limits=limits), clock=time, beats=SLOW):
            await time.ahead(12, step=0.05)
            await town.calm()
        span = town.stall.times[-1] - town.stall.times[0]
        assert 9.0 <= span <= 10.0
        assert len(town.stall.calls) == 20

    play(town, story)


def test_the_circuit_opens_says_so_and_closes(slow_town: tuple[Town, FakeTime]) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        town.stall.down = True
        async with town.driven(clock=time, beats=SLOW):
            for item in range(1, 6):
                await town.stock(item, item)
                await time.ahead(1.5)
            await time.ahead(60, step=5)
            calls = len(town.stall.calls)
            status = town.status()
            assert status.open_until is not None
            assert status.words == "no answer"
            assert status.backlog == 5
            await time.ahead(600, step=10)
            assert len(town.stall.calls) - calls <= 10
            town.stall.down = False
            await time.ahead(310, step=10)
            await town.calm()
            await time.ahead(2)
            assert town.status().open_until is None
            assert town.status().words is None
        assert town.stall.stock == {f"1-{n}": n for n in range(1, 6)}

    play(town, story)


def test_a_channel_that_was_down_is_asked_again_though_there_is_nothing_to_tell(town: Town) -> None:
    class Counting(Clock):
        waits = 0

        async def wait(self, event: asyncio.Event, seconds: float) -> bool:
            self.waits += 1
            return await super().wait(event, seconds)

    async def story(town: Town) -> None:
        time = Counting(town.inventory.now)
        town.stall.down = True
        often = Settings(sweep_seconds=1, poll_seconds=86_400_000)
        async with town.driven(clock=time, settings=often):
            await until(lambda: town.status().open_until)
            waits = time.waits
            await asyncio.sleep(3.5)
            assert time.waits - waits < 1_000, "it turns round and round"
            town.stall.down = False
            await until(lambda: town.status().open_until is None, 20)
            assert town.status().words is None

    play(town, story)


def test_a_token_that_may_not_read_orders_takes_nobody_down(town: Town) -> None:
    async def story(town: Town) -> None:
        async def refused(wire: Wire) -> None:
            if wire.path == "/orders":
                town.stall.faults = [Response(403, {}, b"this scope was not granted")]

        town.stall.during = refused
        often = Settings(sweep_seconds=86_400_000, poll_seconds=1)
        async with town.driven(
            settings=often, beats=QUICK._replace(again=0.02), orders=Polls(town.inventory)
        ):
            now = partial(drives.note, account=1, link=1, values={"polled_at": 0})
            await town.inventory.write(1, now)
            await until(lambda: town.stall.calls.count("GET /orders") >= 8)
            await until(lambda: town.status().stats.get("trouble"))
            assert town.status().open_until is None
            assert "not granted" in town.status().stats["trouble"]
            await town.stock(1, 3)
            await town.calm()
        assert town.stall.stock == {"1-1": 3}

    play(town, story)


def test_a_database_that_was_away_is_not_waited_for_any_longer(kept: str) -> None:
    rebuilt(kept)
    town = Town(kept)

    async def story(town: Town) -> None:
        async with town.driven(beats=QUICK._replace(linger=0.2, again=3600.0)):
            await town.stock(1, 1)
            await town.calm()
            let_in(kept, False)
            await asyncio.sleep(0.5)
            let_in(kept, True)
            await town.stock(1, 2)
            await town.calm()
        assert town.stall.stock["1-1"] == 2

    play(town, story)
    town.store.close()


class Broken(Like):
    """A connector that fails at every push."""

    CHANNEL: Channel

    def push(self, settings: Any, targets: Any) -> Any:
        raise RuntimeError("a bug")


def test_a_connector_that_fails_again_and_again_is_left_alone_and_says_why(town: Town) -> None:
    async def story(town: Town) -> None:
        for item in range(1, CIRCUIT_FAILURES + 1):
            await town.stock(item, 1)
        async with town.driven(Broken(batch=1)):
            await until(lambda: town.status().open_until)
            assert town.status().words == "the connector failed: RuntimeError('a bug')"

    play(town, story)


def test_a_connector_that_fails_harms_nobody_else(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven(Broken()):
            await town.stock(1, 1)
            await until(lambda: town.sql("SELECT 1 FROM outbox WHERE attempts > 0"))
        assert town.waiting() == 1
        async with town.driven():
            await town.calm()
        assert town.stall.stock == {"1-1": 1}

    play(town, story)


def test_settings_that_do_not_fit_are_said(town: Town) -> None:
    async def story(town: Town) -> None:
        await town.change("connections", 1, secrets="[[2, 7], {}]")
        async with town.driven():
            await town.stock(1, 1)
            await until(lambda: town.status().words)
        assert "another connection's" in str(town.status().words)
        assert town.stall.calls == []

    play(town, story)


def test_retry_after_may_be_a_date(slow_town: tuple[Town, FakeTime]) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        town.stall.faults = [Response(503, {"retry-after": "Sun, 22 Nov 2026 00:00:40 GMT"})]
        async with town.driven(clock=time, beats=SLOW):
            await town.stock(1, 10)
            await until(lambda: len(town.stall.calls) == 1)
            await time.ahead(50)
            await town.calm()
        assert town.stall.times[1] >= 1_795_305_640

    play(town, story)
