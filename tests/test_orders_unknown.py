"""Lines of orders of which nobody knows what they sold, or has counted any; on both databases."""

from __future__ import annotations

import asyncio

import pytest

from market import add_listings, line, open_market, order
from onhand import orders_in
from onhand.connectors.flow import OrderLine
from onhand.store import channels, feeding, incidents
from onhand.store.channels import Listing
from stores import Databases


def test_an_unknown_line_is_told_once_and_taken_when_listed(databases: Databases, migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            for moment in (1, 2):
                await here.take(order("X", moment, line(1, 1), line(9, 3)))
            (told,) = await here.of_kind(incidents.ORDER)
            assert told["order"] == "X"
            assert (told["connection"], told["channel"], told["name"]) == (1, "sandbox", "#X")
            assert told["lines"] == [{"line": "line-9", "listing": "v9", "sku": None, "units": 3}]
            assert await here.ready() == []

            def unit(connection):  # type: ignore[no-untyped-def]
                here.add_item(connection, 9)
                add_listings(connection, here.account, 1, [9])

            await here.inventory.write(here.account, unit)
            # It is listed, but nobody has counted it yet: that is a new footing, and no new incident.
            assert await here.ready() == ["X"]
            await here.look_again()
            await here.set(9, 1, 7)
            await here.look_again()
            assert await here.stock() == "1@1 10/1, 1@2 10/0, 2@1 10/0, 9@1 7/3"
            assert await here.ready() == []
            assert len(await here.of_kind(incidents.ORDER)) == 1

    asyncio.run(go())


def test_an_incident_tells_news_of_an_order_and_nothing_twice(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:

            async def told() -> list[list[str]]:
                await here.until(here.empty)
                return [
                    [one["line"] for one in body["lines"]] for body in await here.of_kind(incidents.ORDER)
                ]

            async def gone(*names: str) -> None:
                body = orders_in.message_text(orders_in.Notice(1, gone=names))
                await here.inventory.accept(here.account, orders_in.SOURCE, orders_in.CALLER, body)

            unknown = ["line-8"], ["line-8", "line-9"]
            await here.take(order("X", 1, line(1, 1), line(8, 1)))
            assert await told() == [*unknown[:1]]
            await here.take(order("X", 2, line(1, 1), line(8, 1), line(9, 1)))
            assert await told() == [*unknown]
            # It is cancelled, and only then forgotten by the channel: that is no news.
            await here.take(order("X", 3, line(1, 1), line(8, 1), line(9, 1), holds=False))
            await gone("X")
            assert await told() == [*unknown]
            assert await here.stock() == "1@1 10/0, 1@2 10/0, 2@1 10/0"
            await here.take(order("Y", 1, line(1, 2), line(2, 1, s=1)))
            await gone("Y", "nobody's")
            assert await told() == [*unknown, ["line-1"]]
            assert await here.stock() == "1@1 10/0, 1@2 10/0, 2@1 9/0"
            await gone("Y")
            assert await told() == [*unknown, ["line-1"]]

    asyncio.run(go())


def test_a_line_that_names_nothing_waits_for_nothing(migrated_url: str) -> None:
    """Unless it named something before: what it holds stays held when its product is deleted there."""

    async def go() -> None:
        async with open_market(migrated_url) as here:
            tip = OrderLine("tip", {}, None, 1)
            await here.take(order("X", 1, line(1, 2), tip), order("Y", 1, tip))
            assert (await here.incidents(), await here.ready()) == ([], [])
            _, looked = here.looked(None)
            assert looked is not None
            assert looked.others == ()
            await here.take(order("X", 2, OrderLine("line-1", {}, None, 2), tip))
            assert await here.stock() == "1@1 10/2, 1@2 10/0, 2@1 10/0"
            await here.take(order("X", 3, OrderLine("line-1", {}, None, 2, shipped=2), tip))
            assert await here.stock() == "1@1 8/0, 1@2 10/0, 2@1 10/0"

    asyncio.run(go())


@pytest.mark.parametrize("between", [False, True], ids=["at once", "looked at in between"])
def test_what_left_before_an_item_was_counted_is_not_in_the_count(migrated_url: str, between: bool) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.take(order("X", 1, line(9, 5, s=3, r=1)))

            def unit(connection):  # type: ignore[no-untyped-def]
                here.add_item(connection, 9)
                add_listings(connection, here.account, 1, [9])

            await here.inventory.write(here.account, unit)
            if between:
                await here.look_again()
            await here.set(9, 1, 7)
            await here.look_again()
            assert (await here.stock()).endswith("9@1 7/2")
            await here.take(order("X", 2, line(9, 5, s=4, r=1)))
            assert (await here.stock()).endswith("9@1 6/1")

    asyncio.run(go())


def test_what_left_unknown_of_an_item_that_was_counted_is_taken_off(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.set(4, 1, 7)
            await here.take(order("X", 1, line(9, 3, s=2)))

            def unit(connection):  # type: ignore[no-untyped-def]
                listed = channels.add_listing(connection, here.account, Listing(0, 1, "v9", 4), 1)
                feeding.refeed(connection, here.account, [listed.id])

            await here.inventory.write(here.account, unit)
            await here.look_again()
            assert (await here.stock()).endswith("4@1 5/1")

    asyncio.run(go())
