"""A connection that was given no access token, only what gets one, gets one before it calls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from connectors.driver import settings_of
from fakes import amazon as amazon_fake
from fakes import ebay as ebay_fake
from fakes import tiktok as tiktok_fake
from fakes import walmart as walmart_fake
from onhand.connectors import amazon, ebay, tiktok, walmart
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Failed, Response
from onhand.courier.flows import Session, Way
from onhand.courier.office import Clock
from onhand.inventory import clock


class Line:
    """A transport that ends at a fake and remembers what it answered."""

    def __init__(self, fake: Callable[[Wire], Response]) -> None:
        self.statuses: list[int] = []
        self._fake = fake

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """The fake's answer."""
        answer = self._fake(wire)
        self.statuses.append(answer.status)
        return answer


def checked(module: ModuleType, line: Line, settings: Any) -> str:
    """What the connector's check says, run as the courier runs it."""
    way = Way(line, Clock(clock), asyncio.Event(), random.Random(1))
    words: str = asyncio.run(Session(module, settings, way).run(module.check))
    return words


KINDS = [
    (amazon, amazon_fake, {}),
    (ebay, ebay_fake, {}),
    (ebay, ebay_fake, {"listings": "trading"}),
    (tiktok, tiktok_fake, {}),
    (walmart, walmart_fake, {}),
]


@pytest.mark.parametrize(("module", "faked", "more"), KINDS)
def test_the_first_call_of_all_has_a_token(module: ModuleType, faked: Any, more: dict[str, Any]) -> None:
    line = Line(faked.Fake())
    given = {**faked.EXAMPLE.settings, **more, "access_token": None}
    assert checked(module, line, settings_of(module, **given))
    assert {status for status in line.statuses if not 200 <= status < 300} == set()


@pytest.mark.parametrize("bad", ["Atza|of yesterday", "Atzr|a refresh token by mistake"])
def test_amazon_says_in_words_that_a_token_is_no_good(bad: str) -> None:
    line = Line(amazon_fake.Fake())
    given = {**amazon_fake.EXAMPLE.settings, "access_token": bad}
    assert checked(amazon, line, settings_of(amazon, **given))
    assert line.statuses == [403, 200, 200]


def test_where_no_token_can_be_got_it_is_said_once() -> None:
    line = Line(amazon_fake.Fake())
    given = {**amazon_fake.EXAMPLE.settings, "access_token": None, "refresh_token": "Atzr|withdrawn"}
    with pytest.raises(Failed):
        checked(amazon, line, settings_of(amazon, **given))
    assert line.statuses == [400, 403]
