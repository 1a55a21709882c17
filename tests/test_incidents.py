"""Oversold levels on both databases: they end by themselves, say by what, and open again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from market import FAST, Market, line, market, open_market, order
from onhand.appliers import APPLIERS
from onhand.stock.model import Adjust, SetInfinite, SetOnHand
from onhand.store import incidents, oversold
from onhand.store.incidents import Incident
from side_by_side import behind
from ticking import clock_of, ticking

DAY = 24 * 3600 * 1_000_000


async def only(here: Market) -> Incident:
    """The one incident there is."""
    (found,) = [one for one in await here.incidents() if one.kind == incidents.OVERSOLD]
    return found


async def ended(here: Market) -> Incident:
    """The one incident there is, when it has ended."""

    async def good() -> bool:
        return (await only(here)).resolved_at is not None

    await here.until(good)
    return await only(here)


async def opened_again(here: Market, times: int) -> Incident:
    """The one incident there is, when it is open for another time."""

    async def bad() -> bool:
        found = await only(here)
        return found.resolved_at is None and len(found.earlier) == times

    await here.until(bad)
    return await only(here)


async def sold_too_much(here: Market) -> None:
    """Thirteen of B are promised, ten are there."""
    await here.take(order("P", 1, line(2, 7)))
    await here.take(order("Q", 2, line(2, 6)))


async def receipt(here: Market) -> None:
    await here.record(Adjust(2, 1, 3, reason="delivery"))


async def cancelled(here: Market) -> None:
    await here.take(order("P", 3, line(2, 7, c=4)))


async def unlimited(here: Market) -> None:
    await here.record(SetInfinite(2, 1, True))


@pytest.mark.parametrize(
    ("good", "cause"),
    [
        (receipt, {"kind": "adjusted", "on_hand": 3, "reason": "delivery", "caller": "test"}),
        (cancelled, {"kind": "released", "reserved": -4, "reference": "order:1:P"}),
        (unlimited, {"kind": "infinite"}),
    ],
)
def test_it_ends_when_the_level_is_good_again(
    migrated_url: str, good: Callable[[Market], Awaitable[None]], cause: dict[str, Any]
) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await sold_too_much(here)
            assert (await only(here)).resolved_at is None
            await good(here)
            found = await ended(here)
            assert found.resolution is not None and found.resolution["by"] == incidents.STOCK
            movement = found.resolution["movement"]
            assert cause.items() <= movement.items()
            text = f"SELECT recorded_at FROM movements WHERE seq = {movement['seq']}"
            assert [(found.resolved_at,)] == await here.rows(text)

    asyncio.run(go())


def test_less_is_not_enough_and_a_look_later_knows_when_it_was(migrated_url: str) -> None:
    async def go() -> None:
        async with market(migrated_url) as here:
            async with ticking(here, dict(APPLIERS), FAST):
                await here.record(SetOnHand(2, 1, 10))
                await sold_too_much(here)
                await here.record(Adjust(2, 1, 2))
                await asyncio.sleep(0.2)
                assert (await only(here)).resolved_at is None
            # Nobody looks while the level is good for the first time, and moves on.
            await here.record(Adjust(2, 1, 1, reason="the one"))
            await here.record(Adjust(2, 1, 5, reason="and more"))
            async with ticking(here, dict(APPLIERS), FAST):
                found = await ended(here)
                assert found.resolution is not None
                assert found.resolution["movement"]["reason"] == "the one"

    asyncio.run(go())


def test_it_opens_again_by_an_order_and_by_a_count(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await sold_too_much(here)
            first = await only(here)
            await receipt(here)
            end = await ended(here)
            await here.take(order("R", 9, line(2, 2)))
            again = await opened_again(here, 1)
            assert again.id == first.id and again.opened_at > (end.resolved_at or 0)
            assert (again.body["missing"], len(again.body["orders"])) == (2, 3)
            assert again.earlier[0]["opened_at"] == first.opened_at
            assert again.earlier[0]["resolution"] == end.resolution
            await here.record(SetOnHand(2, 1, 15))
            await ended(here)
            await here.record(SetOnHand(2, 1, 4))
            third = await opened_again(here, 2)
            assert (third.body["missing"], third.body["on_hand"]) == (11, 4)
            assert third.body["losers"][0]["reference"] == "order:1:R"

    asyncio.run(go())


def test_an_open_one_is_brought_up_to_date(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await sold_too_much(here)
            opened = (await only(here)).opened_at
            await here.take(order("R", 9, line(2, 2)))
            found = await only(here)
            assert (found.opened_at, found.body["missing"], found.earlier) == (opened, 5, [])

    asyncio.run(go())


def test_what_a_person_has_closed_is_left_alone(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await sold_too_much(here)
            number = (await only(here)).id
            told = (here.account, number, "they wait", "native:1", 77)
            assert await here.inventory.write(here.account, lambda c: incidents.close(c, *told))
            assert not await here.inventory.write(here.account, lambda c: incidents.close(c, *told))
            found = await only(here)
            assert found.resolved_at == 77
            assert found.resolution == {"by": "person", "note": "they wait", "caller": "native:1"}
            await receipt(here)
            await asyncio.sleep(0.2)
            assert await only(here) == found
            await here.take(order("R", 9, line(2, 2)))
            assert [one.resolved_at for one in await here.incidents()] == [77, None]

    asyncio.run(go())


def test_what_a_person_is_about_to_close_is_left_alone(postgres_url: str) -> None:
    """By another process, while an order brings it up to date."""

    async def go() -> None:
        async with open_market(postgres_url) as here, market(postgres_url) as beside:
            await sold_too_much(here)
            number = (await only(here)).id
            close = partial(
                incidents.close,
                account=here.account,
                number=number,
                note="they wait",
                caller="native:1",
                now=77,
            )
            more = order("R", 9, line(2, 2))
            await behind(beside.inventory, here.account, close, partial(here.take, more))
            assert [one.resolved_at for one in await here.incidents()] == [77, None]
            await here.record(SetOnHand(2, 1, 100))

            async def good() -> bool:
                return all(one.resolved_at for one in await here.incidents())

            await here.until(good)

    asyncio.run(go())


def test_after_a_week_it_is_another_one(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await sold_too_much(here)
            await receipt(here)
            await ended(here)
            for later, watched in ((6 * DAY, True), (8 * DAY, False)):
                now = clock_of(here)() + later
                await here.inventory.write(here.account, lambda c: oversold.let_go(c, here.account, now))  # noqa: B023
                read = await here.inventory.read(here.account, lambda c: oversold.watched(c, here.account))
                assert read is watched
            await here.take(order("R", 9, line(2, 2)))
            assert [bool(one.resolved_at) for one in await here.incidents()] == [True, False]

    asyncio.run(go())
