"""Requests about one connection that cross one another: its channel takes its time to answer, or another
process is about to commit."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from fakes.sandbox import EXAMPLE
from market import SEALS
from onhand.connectors import sandbox
from onhand.outward import connecting, leaving, steering
from onhand.outward.equipment import Refusal
from onhand.stock.offering import Rules
from onhand.store import linking, unlinking
from onhand.store.linking import Found, Linked
from side_by_side import behind

crossings = importlib.import_module("outward.crossing")


# --- imported and removed -------------------------------------------------------------------------------


def test_an_import_of_a_connection_that_is_removed_meanwhile(migrated_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(migrated_url) as one:
            link = (await one.begin()).connection
            held = one.channel.hold("/v1/products")
            importing = asyncio.create_task(connecting.page(one.equipment, 1, link))
            await held.reached.wait()
            assert (await leaving.leave(one.equipment, 1, link)).done
            held.answer()
            with pytest.raises(Refusal) as refused:
                await importing
            assert refused.value.code == "unknown_connection"
            assert await one.links() == []

    asyncio.run(go())


def test_an_import_beside_the_end_of_a_removal_elsewhere(postgres_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(postgres_url) as one, crossings.crossing(postgres_url) as other:
            link = (await one.begin()).connection
            gone = partial(unlinking.drop_link, account=1, link=link)
            importing = partial(connecting.page, one.equipment, 1, link)
            with pytest.raises(Refusal) as refused:
                await behind(other.here.inventory, 1, gone, importing)
            assert refused.value.code == "unknown_connection"

    asyncio.run(go())


def test_a_removal_beside_the_end_of_another_elsewhere(postgres_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(postgres_url) as one, crossings.crossing(postgres_url) as other:
            link = (await one.begin()).connection
            gone = partial(unlinking.drop_link, account=1, link=link)
            with pytest.raises(Refusal) as refused:
                await behind(other.here.inventory, 1, gone, partial(leaving.leave, one.equipment, 1, link))
            assert refused.value.code == "unknown_connection"

    asyncio.run(go())


def test_the_end_of_a_removal_beside_that_of_an_import_elsewhere(postgres_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(postgres_url) as one, crossings.crossing(postgres_url) as other:
            link = (await one.begin()).connection
            inventory, reached, goes_on = one.here.inventory, asyncio.Event(), asyncio.Event()
            read = inventory.read

            async def slow(account: int, query: Any, **options: Any) -> Any:
                found = await read(account, query, **options)
                reached.set()
                await goes_on.wait()
                return found

            def imports(connection: Connection) -> None:
                linking.hold(connection, 1, link)
                linking.keep_listings(connection, 1, link, [Found("v9", 1, {}, "A", True)], 1)

            async def removed() -> leaving.Left:
                goes_on.set()
                return await removing

            # The last thing that it reads is where its end begins.
            inventory.read = slow
            removing = asyncio.ensure_future(leaving.leave(one.equipment, 1, link))
            await reached.wait()
            left = await behind(other.here.inventory, 1, imports, removed)
            assert (left.done, left.listings) == (True, 1)
            assert await one.links() == []

    asyncio.run(go())


# --- one shop, two connections --------------------------------------------------------------------------

HERE = dict(EXAMPLE.settings)
ELSEWHERE = HERE | {"url": "http://127.0.0.1:8082"}


def makes(settings: dict[str, Any], *, unfinished: bool) -> Callable[[Connection], None]:
    """A unit that makes a connection."""
    shown, hidden = connecting.split(sandbox, settings)

    def unit(connection: Connection) -> None:
        link = linking.number(connection, 1)
        new = Linked(link, "sandbox", "Made elsewhere", (1, 2), shown, Rules(), True, 0)
        linking.add(connection, 1, new, SEALS.seal(1, link, hidden), 1)
        linking.change(connection, 1, link, {"unfinished": unfinished})

    return unit


@pytest.mark.parametrize("unfinished", [True, False])
def test_a_shop_that_is_connected_elsewhere_at_once(postgres_url: str, unfinished: bool) -> None:
    async def go() -> None:
        async with crossings.crossing(postgres_url) as one, crossings.crossing(postgres_url) as other:
            making = makes(HERE, unfinished=unfinished)
            try:
                began = await behind(other.here.inventory, 1, making, one.begin)
                assert (began.connection, began.resumed, unfinished) == (3, True, True)
            except Refusal as refusal:
                assert (refusal.words, unfinished) == (connecting.TWICE.format(3, "Made elsewhere"), False)
            assert len(await one.links()) == 1

    asyncio.run(go())


def test_settings_that_lead_to_a_shop_that_is_connected_elsewhere_at_once(postgres_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(postgres_url) as one, crossings.crossing(postgres_url) as other:
            link = (await one.begin()).connection
            making = makes(ELSEWHERE, unfinished=False)
            changing = partial(steering.change, one.equipment, 1, link, settings=ELSEWHERE)
            with pytest.raises(Refusal) as refused:
                await behind(other.here.inventory, 1, making, changing)
            assert refused.value.words == connecting.TWICE.format(4, "Made elsewhere")

    asyncio.run(go())
