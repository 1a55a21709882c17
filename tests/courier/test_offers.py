"""What a channel is told follows the rules: buffers, caps, kits, whose stock, which location feeds which."""

import json
from typing import Any

import pytest

from courier import bazaar
from courier.town import Like, Town, play, until
from onhand.connectors.flow import Future
from onhand.courier import aiming
from onhand.stock.model import Adjust, Line, Reserve, SetOnHand
from onhand.store import catalog, outgoing, requests
from onhand.store.engine import reading
from onhand.work import Group, Plan, Work


async def told(town: Town, listing: int = 1) -> int | None:
    """What the stall shows for a listing when all is told."""
    async with town.driven():
        await town.refeed(listing)
        await town.calm()
    return town.stall.stock.get(f"1-{listing}")


@pytest.mark.parametrize(
    ("link", "listing", "shown"),
    [
        ({}, {}, 10),
        ({"buffer": 2}, {}, 8),
        ({"buffer": 2}, {"buffer": 0}, 10),
        ({"percent": 25}, {}, 7),
        ({"cap": 3}, {}, 3),
        ({"cap": 3}, {"buffer": 9}, 1),
        ({"minimum": 11}, {}, 0),
        ({}, {"locations": [1, 2]}, 17),
        ({"locations": [1, 2]}, {}, 17),
        ({"locations": [1, 2]}, {"locations": [2]}, 7),
        ({}, {"locations": [1, 3]}, 10),
        ({"mirrored": True}, {"locations": [1, 3]}, 40),
        ({}, {"locations": [1, 4]}, 10),
    ],
)
def test_rules_stack(town: Town, link: Any, listing: Any, shown: int) -> None:
    async def story(town: Town) -> None:
        await town.stock(1, 10)
        await town.stock(1, 7, location=2)
        await town.stock(1, 5, location=4)
        await town.stock(1, 30, location=3)
        await town.change("connections", 1, rules=link)
        await town.change("listings", 1, rules=listing)
        assert await told(town) == shown

    play(town, story)


def test_each_place_of_a_channel_has_a_number_of_its_own(town: Town) -> None:
    async def story(town: Town) -> None:
        await town.change("connections", 1, rules={"places": {"north": [1], "south": [2]}})
        await town.refeed(1)
        async with town.driven():
            await town.stock(1, 3)
            await town.stock(1, 4, location=2)
            await town.calm()
            assert town.stall.said[-1]["where"] == {"north": 3, "south": 4}
        assert town.sql("SELECT place, acknowledged FROM slots WHERE listing = 1 ORDER BY place") == [
            ("north", 3),
            ("south", 4),
        ]

    play(town, story)


def test_a_kit_is_what_its_components_allow(town: Town) -> None:
    async def story(town: Town) -> None:
        await town.inventory.write(1, lambda c: catalog.set_kit(c, 1, 1, {2: 2, 3: 1}, 1))
        async with town.driven():
            await town.stock(2, 9)
            await town.stock(3, 30)
            await town.calm()
            assert town.stall.stock["1-1"] == 4
            await town.stock(3, 1)
            await town.calm()
            assert town.stall.stock["1-1"] == 1

    play(town, story)


def test_a_closed_listing_offers_nothing(town: Town) -> None:
    async def story(town: Town) -> None:
        await town.stock(1, 9)
        await town.change("listings", 1, status="closed")
        assert await told(town) == 0

    play(town, story)


def test_every_term_is_explained(town: Town) -> None:
    async def story(town: Town) -> None:
        await town.stock(1, 10)
        work = Work(1, (Group((Reserve("order", (Line(1, 3, (1,)),)),)),), "test")
        await town.inventory.record(work)
        await town.change("connections", 1, rules={"buffer": 2, "cap": 4})
        with reading(town.store, 1) as connection:
            (listed,) = outgoing.listed(connection, 1, [1], town.inventory.now())
            rules = outgoing.rules_of(connection, 1, 1)
        (made,) = aiming.offers(listed, rules)
        assert [(term.name, term.change, term.after) for term in made.terms] == [
            ("available", 7, 7),
            ("buffer", -2, 5),
            ("cap", -1, 4),
        ]
        assert made.units == 4
        assert "3 reserved" in made.terms[0].why

    play(town, story)


def test_the_reason_of_a_single_change_travels_with_it(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven():
            await town.stock(1, 9, reason="recount")
            await town.calm()
            assert town.stall.said[-1]["reason"] == "recount"
        await town.stock(1, 8, reason="damaged")
        await town.stock(1, 7, reason="sold")
        async with town.driven():
            await town.calm()
        assert town.stall.said[-1]["reason"] is None
        assert json.loads(town.sql("SELECT notes FROM listings WHERE id = 1")[0][0])["last"]

    play(town, story)


def test_planned_changes_are_told_ahead_where_a_channel_can(town: Town) -> None:
    told: list[tuple[Future, ...]] = []

    def push(settings: Any, targets: Any) -> Any:
        told.extend(one.futures for one in targets)
        return (yield from bazaar.push(settings, targets))

    async def story(town: Town) -> None:
        due, now = 1_900_000_000_000_000, town.inventory.now
        async with town.driven(Like(futures=True, push=push)):
            await town.stock(1, 10)
            await town.calm()
            plan = Plan(due, (Adjust(1, 1, 5), Adjust(2, 1, 9)))
            later = Plan(due + 86_400_000_000, (SetOnHand(1, 1, 12), Adjust(1, 1, 5)))
            await town.inventory.record(Work(1, (Group((), also=(plan, later)),), "test"))
            await until(lambda: len(told) >= 2)
            await town.calm()
            assert (Future("2030-03-17", 5), Future("2030-03-18", 2)) in told
            await town.inventory.write(1, lambda c: requests.end_plan(c, 1, 1, "cancelled", now()))
            await until(lambda: (Future("2030-03-18", 7),) in told)

    play(town, story)


def test_a_planned_change_that_is_refused_is_taken_back(town: Town) -> None:
    told: list[tuple[Future, ...]] = []

    def push(settings: Any, targets: Any) -> Any:
        told.extend(one.futures for one in targets if one.listing == 1)
        return (yield from bazaar.push(settings, targets))

    async def story(town: Town) -> None:
        commands = (Adjust(1, 1, 5), Adjust(2, 1, -999))
        async with town.driven(Like(futures=True, push=push)):
            await town.stock(1, 10)
            plan = Plan(1_900_000_000_000_000, commands)
            await town.inventory.record(Work(1, (Group((), also=(plan,)),), "test"))
            await until(lambda: (Future("2030-03-17", 5),) in told)
            await town.calm()
            await town.inventory.record(Work(1, (Group(commands),), "test", plan=1))
            await until(lambda: told[-1] == ())

    play(town, story)
