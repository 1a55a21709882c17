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
from onhand.outward import beginning, connecting, leaving, sameness, steering
from onhand.outward.equipment import Refusal
from onhand.stock.offering import Rules
from onhand.store import drives, linking, unlinking
from onhand.store.linking import Found, Linked
from side_by_side import behind

crossings = importlib.import_module("outward.crossing")

HERE = dict(EXAMPLE.settings)


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


# --- begun twice ----------------------------------------------------------------------------------------


def test_what_another_request_has_finished_is_not_taken_back(migrated_url: str) -> None:
    """The first one's answer is late, and bad; its client has asked again meanwhile."""

    async def go() -> None:
        async with crossings.crossing(migrated_url) as one:
            held = one.channel.hold("/v1/shop")
            first = asyncio.create_task(one.begin())
            await held.reached.wait()
            second = await one.begin()
            assert (second.connection, second.resumed) == (3, True)
            await steering.change(one.equipment, 1, 3, paused=False)
            held.answer(403)
            with pytest.raises(Refusal) as refused:
                await first
            assert refused.value.code == "channel_refused"
            (link,) = await one.links()
            assert (link.id, link.paused, link.unfinished) == (3, False, False)

    asyncio.run(go())


@pytest.mark.parametrize("status", [403, 200])
def test_two_processes_begin_one_connection(postgres_url: str, status: int) -> None:
    async def go() -> None:
        async with (
            crossings.crossing(postgres_url) as one,
            crossings.crossing(postgres_url, one.channel) as other,
        ):
            held, other_held = (one.channel.hold("/v1/shop") for _ in range(2))
            first = asyncio.create_task(one.begin())
            await held.reached.wait()
            second = asyncio.create_task(other.begin(name="Second"))
            await other_held.reached.wait()
            held.answer(status)
            with pytest.raises(Refusal):
                await first
            other_held.answer()
            assert (await second).resumed
            (link,) = await one.links()
            assert (link.name, link.unfinished) == ("Second", True)

    asyncio.run(go())


def test_a_late_answer_changes_nothing_of_what_another_request_has_finished(migrated_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(migrated_url) as one:
            held = one.channel.hold("/v1/locations")
            first = asyncio.create_task(one.begin(rules=Rules(buffer=1)))
            await held.reached.wait()
            await one.begin(rules=Rules(buffer=2))
            await one.start(3)
            (before,) = await one.links()
            held.answer()
            with pytest.raises(Refusal) as refused:
                await first
            assert refused.value.words == beginning.OVERTAKEN.format(3, "Sandbox")
            assert await one.links() == [before]
            assert before.rules.buffer == 2

    asyncio.run(go())


def test_what_fails_to_be_gone_on_with_keeps_its_rules(migrated_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(migrated_url) as one:
            await one.begin(rules=Rules(buffer=1))
            before = await one.links()
            with pytest.raises(Refusal):
                await one.begin(rules=Rules(buffer=2), feeds={"nowhere": ["place 1"]})
            assert await one.links() == before

    asyncio.run(go())


def test_listings_that_are_in_are_fed_as_who_goes_on_says(migrated_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(migrated_url) as one:
            await one.begin(feeds={"Main": ["place 1"]})
            await connecting.page(one.equipment, 1, 3)
            await one.begin(feeds={"Outlet": ["place 2"]})
            assert await one.here.rows("SELECT place, locations FROM slots WHERE listing = 9") == [
                ("outlet", "[2]")
            ]

    asyncio.run(go())


@pytest.mark.parametrize("path", ["/v1/shop", "/v1/locations"])
def test_what_fails_alone_leaves_nothing(migrated_url: str, path: str) -> None:
    """Also where fresh tokens have been stored meanwhile."""

    async def go() -> None:
        async with crossings.crossing(migrated_url) as one:
            tokenless = {name: text for name, text in HERE.items() if not name.endswith("_token")}
            held = one.channel.hold(path)
            first = asyncio.create_task(
                connecting.begin(one.equipment, 1, "sandbox", tokenless, rules=Rules(buffer=1))
            )
            await held.reached.wait()
            (status,) = await one.here.inventory.read(1, lambda c: drives.status(c, 1, 3))
            assert (status.owner, status.until) == ("", 0)
            held.answer(403)
            with pytest.raises(Refusal):
                await first
            assert await one.links() == []
            assert await one.here.rows("SELECT connection FROM drives") == []

    asyncio.run(go())


@pytest.mark.parametrize(
    ("writes", "stays"),
    [
        pytest.param(1, False, id="behind the commit that makes it"),
        pytest.param(2, True, id="behind the commit that writes its places"),
    ],
)
def test_who_is_cut_off_before_he_hears_of_a_commit(migrated_url: str, writes: int, stays: bool) -> None:
    async def go() -> None:
        async with crossings.crossing(migrated_url) as one:
            inventory, left = one.here.inventory, [writes]
            write = inventory.write

            async def cut_off(*given: Any, **options: Any) -> Any:
                found = await write(*given, **options)
                left[0] -= 1
                if left[0] == 0:
                    raise asyncio.CancelledError
                return found

            inventory.write = cut_off
            with pytest.raises(asyncio.CancelledError):
                await one.begin()
            assert [(link.id, link.unfinished) for link in await one.links()] == [(3, True)] * stays
            again = await one.begin()
            assert (again.connection, again.resumed) == ((3, True) if stays else (4, False))

    asyncio.run(go())


def test_what_is_removed_before_its_first_orders_are_in(migrated_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(migrated_url) as one:
            held = one.channel.hold("/v1/orders")
            first = asyncio.create_task(one.begin())
            await held.reached.wait()
            assert (await leaving.leave(one.equipment, 1, 3)).done
            held.answer()
            await first
            assert await one.links() == []

    asyncio.run(go())


# --- finished and paused --------------------------------------------------------------------------------


def test_who_finishes_leaves_what_was_paused_meanwhile(migrated_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(migrated_url) as one:
            await one.begin()
            await one.start(3)
            await steering.change(one.equipment, 1, 3, paused=True)
            done = await connecting.finish(one.equipment, 1, 3)
            assert (done.backlog, done.paused) == (1, True)
            (link,) = await one.links()
            assert (link.paused, link.unfinished) == (True, False)

    asyncio.run(go())


def test_who_finishes_beside_a_pause_elsewhere(postgres_url: str) -> None:
    async def go() -> None:
        async with crossings.crossing(postgres_url) as one, crossings.crossing(postgres_url) as other:
            await one.begin()
            pausing = partial(linking.change, account=1, link=3, values={"paused": True, "unfinished": False})
            done = await behind(
                other.here.inventory, 1, pausing, partial(connecting.finish, one.equipment, 1, 3)
            )
            assert done.paused

    asyncio.run(go())


# --- one shop, two connections --------------------------------------------------------------------------

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
                assert (refusal.words, unfinished) == (sameness.TWICE.format(3, "Made elsewhere"), False)
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
            assert refused.value.words == sameness.TWICE.format(4, "Made elsewhere")

    asyncio.run(go())
