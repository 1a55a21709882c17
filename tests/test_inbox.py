"""Messages on both databases: applied in order of arrival, once, and never stuck behind a bad one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from onhand.clockwork import Beats
from onhand.inbox import Applier
from onhand.inventory import Inventory
from onhand.stock.model import Adjust, SetOnHand
from onhand.store import requests
from onhand.store.requests import Message
from onhand.work import Group, Work
from ticking import PLACE, counts, note, ticking, world


def test_messages_are_applied_in_order_at_once_and_once(migrated_url: str) -> None:
    async def go() -> None:
        async with world(migrated_url) as here:
            numbers = list(range(1, 301))
            await here.accept(*numbers[:100])
            async with ticking(here, {"test": note}), ticking(here, {"test": note}):
                await here.accept(*numbers[100:])
                await here.until(here.empty)
            assert await counts(here) == numbers
            assert await here.incidents() == []

    asyncio.run(go())


def test_processes_on_one_database_share_an_inbox(postgres_url: str) -> None:
    """Each with its own connections; together they apply every message once, in order."""

    async def go() -> None:
        numbers = list(range(1, 201))
        async with world(postgres_url) as one, world(postgres_url) as two, world(postgres_url) as three:
            appliers: dict[str, Applier] = {"test": note}
            async with ticking(one, appliers), ticking(two, appliers), ticking(three, appliers):
                for number in numbers:
                    await (one, two, three)[number % 3].accept(number)
                await one.until(one.empty)
            assert await counts(one) == numbers

    asyncio.run(go())


def test_an_idle_hub_applies_a_message_at_once(migrated_url: str) -> None:
    async def go() -> None:
        slow = Beats(look=60, scan=60, prune=60, first_prune=60)
        async with world(migrated_url) as here, ticking(here, {"test": note}, slow):
            await asyncio.sleep(0.05)
            await here.accept(5)
            await here.until(here.empty)
            assert await counts(here) == [5]

    asyncio.run(go())


def test_a_poison_message_is_put_aside_and_the_rest_goes_on(migrated_url: str) -> None:
    async def go() -> None:
        async with world(migrated_url) as here, ticking(here, {"test": note}):
            await here.accept(1, "bad", 2, 3)
            await here.accept(9, source="unheard of")
            await here.accept(4)
            await here.until(here.empty)
            assert await counts(here) == [1, 2, 3, 4]
            found = await here.incidents()
            assert [(one.kind, one.body["body"], one.body["source"]) for one in found] == [
                ("message", '"bad"', "test"),
                ("message", "9", "unheard of"),
            ]
            assert "poison" in found[0].body["why"]

    asyncio.run(go())


def test_an_applier_that_leaves_its_message_does_not_loop_for_ever(sqlite_url: str) -> None:
    async def forgetful(inventory: Inventory, account: int, messages: Sequence[Message]) -> None:
        pass

    async def go() -> None:
        async with world(sqlite_url) as here, ticking(here, {"test": forgetful}):
            await here.accept(1)
            await here.until(here.empty)
            assert "still in the inbox" in (await here.incidents())[0].body["why"]

    asyncio.run(go())


def test_a_refusal_nobody_hears_is_an_incident_of_the_same_commit(migrated_url: str) -> None:
    async def go() -> None:
        async with world(migrated_url) as here, ticking(here, {"test": note}):
            await here.accept(1, "refused", 2)
            await here.until(here.empty)
            assert await counts(here) == [1, 2]
            [incident] = await here.incidents()
            assert (incident.kind, incident.body["refusal"]["type"]) == ("refused", "TooLarge")
            assert incident.body["command"]["quantity"] == 10**13

    asyncio.run(go())


def test_a_work_that_comes_too_late_for_one_message_leaves_the_others(migrated_url: str) -> None:
    async def go() -> None:
        async with world(migrated_url) as here:
            await here.accept(1, 2)
            await here.inventory.write(here.account, lambda c: requests.consume(c, [(here.account, 1)]))
            assert (await here.record(SetOnHand(1, 1, 9), consume=(1, 2))).done_before
            assert (await here.level()).present is False
            twice = await asyncio.gather(*(here.record(Adjust(1, 1, 1), consume=(2,)) for _ in range(5)))
            assert sorted(one.done_before for one in twice) == [False, True, True, True, True]
            assert (await here.level()).on_hand == 1

    asyncio.run(go())


@pytest.mark.parametrize(
    ("existing", "present", "done"),
    [
        (None, False, True),
        (True, False, False),
        (True, True, True),
        (False, False, True),
        (False, True, False),
    ],
)
def test_a_group_may_ask_for_existing_levels_or_for_none(
    sqlite_url: str, existing: bool | None, present: bool, done: bool
) -> None:
    async def go() -> None:
        async with world(sqlite_url) as here:
            if present:
                await here.record(SetOnHand(1, 1, 1))
            group = Group((SetOnHand(1, 1, 8),), existing=existing)
            recorded = await here.inventory.record(Work(here.account, (group,), "test"))
            assert (recorded.levels[PLACE].on_hand == 8) is done

    asyncio.run(go())
