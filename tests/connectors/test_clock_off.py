"""A machine whose clock is wrong still speaks to a channel that refuses what is signed at another time."""

from __future__ import annotations

import asyncio
import random

import pytest

from connectors.driver import NOW, settings_of
from fakes.tiktok import EXAMPLE, Fake
from onhand.connectors import tiktok
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Failed, Response
from onhand.courier.flows import Session, Way

MINUTE = 60_000_000


class Clock:
    """A clock that is off by so many microseconds, and waits for nothing."""

    def __init__(self, off: int) -> None:
        self.off = off

    def now(self) -> int:
        """Microseconds UTC."""
        return NOW + self.off

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """At once."""
        return event.is_set()


class Line:
    """A transport that ends at a fake; ``undated`` takes the Date off its answers."""

    def __init__(self, *, undated: bool = False, cached: bool = False) -> None:
        self.fake = Fake(punctual=True)
        self.statuses: list[int] = []
        self._undated = undated
        self._age = {"age": "7200"} if cached else {}

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """The fake's answer."""
        answer = self.fake(wire)
        self.statuses.append(answer.status)
        headers = {} if self._undated else {**answer.headers, **self._age}
        return Response(answer.status, headers, answer.body)


async def check(session: Session) -> str:
    words: str = await session.run(tiktok.check)
    return words


@pytest.mark.parametrize("minutes", [0, 4, -4, 6, -6, 600, -60 * 24 * 300])
def test_what_is_refused_for_its_time_is_signed_with_the_channels(minutes: int) -> None:
    async def story() -> None:
        line, clock = Line(), Clock(minutes * MINUTE)
        way = Way(line, clock, asyncio.Event(), random.Random(1))
        session = Session(tiktok, settings_of(tiktok, **EXAMPLE.settings), way)
        if abs(minutes) > 5:
            with pytest.raises(Failed, match="Invalid timestamp"):
                await check(session)
        assert await check(session), "it has learned what time it is there"
        clock.off = 0
        if abs(minutes) > 5:
            with pytest.raises(Failed, match="Invalid timestamp"):
                await check(session)
        assert await check(session), "and that our clock was set right meanwhile"

    asyncio.run(story())


@pytest.mark.parametrize("kind", ["undated", "cached"])
def test_where_the_channel_does_not_tell_its_time_its_words_are_told(kind: str) -> None:
    async def story() -> None:
        line = Line(**{kind: True})
        way = Way(line, Clock(10 * MINUTE), asyncio.Event(), random.Random(1))
        session = Session(tiktok, settings_of(tiktok, **EXAMPLE.settings), way)
        for _ in range(2):
            with pytest.raises(Failed, match="Invalid timestamp"):
                await check(session)
        assert line.statuses == [400, 400]

    asyncio.run(story())
