"""The terms of a number add up to it, however many movements and reservations there are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection

from commands import onhand
from market import Market, market
from onhand.outward import explaining, telling, watching
from onhand.stock.model import Adjust, Line, Reserve, SetOnHand

HOLDS = explaining.HOLDS_SHOWN
SOON, FAR = 10**6, 10**9
"""Microseconds from now at which a hold expires."""


@pytest.mark.parametrize("many", [0, 1, HOLDS, HOLDS + 17])
@pytest.mark.parametrize("lapsed", [0, 2])
def test_the_terms_add_up(migrated_url: str, many: int, lapsed: int) -> None:
    async def scenario() -> None:
        async with market(migrated_url) as here:
            await here.record(SetOnHand(1, 1, 500))
            now = here.inventory.now()
            for at in range(many):
                twice = Line(1, 2, (1,)), Line(1, 1 + at % 3, (1,))
                await here.record(Reserve(f"r{at}", twice, None if at % 2 else now + FAR))
            for at in range(lapsed):
                await here.record(Reserve(f"gone{at}", (Line(1, 4, (1,)),), now + SOON))
            await here.record(Adjust(1, 1, -3))
            part = await explained(here, now + 2 * SOON)
            added_up(part)
            assert (part["on_hand"], len(part["reservations"])) == (497, min(many, HOLDS))
            assert part["more"]["reservations"] == max(0, many - HOLDS)
            assert part["lapsed"] == {"reservations": lapsed, "held": 4 * lapsed}

    asyncio.run(scenario())


def test_a_person_is_told_what_is_not_shown(sqlite_url: str) -> None:
    async def scenario() -> None:
        async with market(sqlite_url) as here:
            await here.record(SetOnHand(1, 1, 500))
            for at in range(HOLDS + 3):
                await here.record(Reserve(f"r{at:02}", (Line(1, 2, (1,)),)))
            await here.record(Reserve("gone", (Line(1, 1, (1,)),), here.inventory.now() + SOON))
            past = "UPDATE levels SET next_expiry = 1", "UPDATE reservation_lines SET expires_at = 1"
            await here.run(past[0], f"{past[1]} WHERE reference = 'gone'")

    asyncio.run(scenario())
    told = onhand("explain", "1", "--db", sqlite_url)
    assert told.code == 0, told.err
    lines = [words.strip() for words in told.out.splitlines()]
    assert "earlier movements (20): on hand +500, reserved +38" in lines
    assert "reservations that have run out (1), still to be written: reserved -1" in lines
    assert lines[-3:-1] == ["reserved 2 for r19", "reserved 6 for more reservations (3)"]


async def explained(here: Market, now: int) -> dict[str, Any]:
    """Item 1 at location 1 as the API tells it of its listing."""

    def query(connection: Connection) -> dict[str, Any]:
        row = watching.listing(connection, here.account, 1)
        return telling.explained(explaining.explain(connection, here.account, row, now))

    found: dict[str, Any] = (await here.inventory.read(here.account, query))["slots"][0]
    part: dict[str, Any] = found["sources"][0]["parts"][0]
    assert part["available"] == found["terms"][0]["change"]
    return part


def added_up(part: dict[str, Any]) -> None:
    """Movements make what is on hand and reserved; reservations make what is reserved."""
    on_hand, reserved = (
        part["earlier"][name] + sum(one[name] for one in part["movements"])
        for name in ("on_hand", "reserved")
    )
    assert (on_hand, reserved - part["lapsed"]["held"]) == (part["on_hand"], part["reserved"])
    assert part["more"]["held"] + sum(one["held"] for one in part["reservations"]) == part["reserved"]
    assert part["available"] == part["on_hand"] - part["reserved"]
    assert len({one["reference"] for one in part["reservations"]}) == len(part["reservations"])


def test_a_level_that_never_was(migrated_url: str) -> None:
    async def scenario() -> None:
        async with market(migrated_url) as here:
            part = await explained(here, here.inventory.now())
            added_up(part)
            assert part["earlier"]["movements"] == part["more"]["reservations"] == 0

    asyncio.run(scenario())
