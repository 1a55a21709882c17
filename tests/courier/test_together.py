"""Many lanes of a connection: what they have to write goes together, and a limit that changes is kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from courier import bazaar
from courier.stall import Stall
from courier.town import ITEMS, Like, Town, play, until
from onhand.connectors.channel import Limit, Secret
from onhand.connectors.flow import Accepted, Flow, Target, Verdict
from onhand.courier.flows import Session, Way
from onhand.courier.office import Clock
from onhand.courier.pacing import Pace
from onhand.inventory import clock

BROKEN = 3


def push(settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """As the bazaar's, but one listing's answer cannot be written: a lone surrogate is no text."""
    verdicts = yield from bazaar.push(settings, targets)
    return [
        Accepted(one.target, {None: "\ud800"}) if one.target.listing == BROKEN else one for one in verdicts
    ]


def test_what_cannot_be_written_does_not_hold_up_what_others_have_to_write(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.latency = 0.01
        async with town.driven(Like(batch=1, push=push)):
            await asyncio.gather(*(town.stock(item, item) for item in range(1, ITEMS + 1)))
            await until(lambda: town.sql("SELECT listing FROM outbox") == [(BROKEN,)])
            for item in range(1, ITEMS + 1):
                assert town.slot(item)[1] == (None if item == BROKEN else item)

    play(town, story)


def test_a_batch_at_a_time_is_told_of_what_was_stale_at_one_look(town: Town) -> None:
    async def story(town: Town) -> None:
        await asyncio.gather(*(town.stock(item, 1) for item in range(1, ITEMS + 1)))

        async def moves(_: Any) -> None:
            # After the look that found the last item stale, and before it is told.
            town.stall.during = None
            await town.stock(ITEMS, 9)

        town.stall.during = moves
        async with town.driven(Like(batch=2)):
            await town.calm()
        assert all(len(one) <= 2 for one in town.stall.pushes)
        assert [row["quantity"] for row in town.stall.said if row["id"] == f"1-{ITEMS}"][-1] == 9
        assert town.slot(ITEMS) == (9, 9, None)
        assert town.slot(1) == (1, 1, None)

    play(town, story)


def test_a_session_goes_by_the_limits_that_its_settings_say() -> None:
    def limits(settings: bazaar.Settings) -> tuple[Limit, ...]:
        return (Limit("slow", calls=1, seconds=1),) if settings.expires_at else ()

    async def story() -> None:
        way = Way(Stall(), Clock(clock), asyncio.Event(), random.Random(1))
        pace = Pace()
        session = Session(Like(limits=limits), bazaar.Settings(Secret("t0")), way, pace=pace)
        assert session.bucket == "default"
        assert [pace.take("slow", 100.0) for _ in range(3)] == [0, 0, 0]
        session.use(bazaar.Settings(Secret("t0"), expires_at=2**60))
        assert session.bucket == "slow"
        assert pace.take("slow", 100.0) == 0
        assert pace.take("slow", 100.0) > 0
        session.use(bazaar.Settings(Secret("t0")))
        assert pace.take("slow", 100.0) == 0

    asyncio.run(story())
