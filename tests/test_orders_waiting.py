"""Orders that wait for something to stand on: when a poll looks at them again, and when it need not."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sqlalchemy import Connection

from market import LATER, Market, line, open_market, order
from onhand import orders_in
from onhand.stock.ordering import Footing
from onhand.store import channels
from onhand.store.channels import Listing

KNOWN = [("item", Footing.UNTRACKED), ("listing", Footing.TAKEN), ("renamed", Footing.TAKEN)]


@pytest.mark.parametrize(("how", "footing"), KNOWN)
def test_a_poll_looks_at_unknown_lines_when_something_may_have_become_known(
    migrated_url: str, how: str, footing: Footing
) -> None:
    """And at no other time, but for lines that wait for more than that."""

    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.take(order("X", 1, line(9, 3, sku="NEW-9")), order("Y", 1, line(4, 2)))
            _, first = here.looked(None)
            assert first is not None
            assert first.others == ("Y",)
            assert here.looked(first) == ([], first)
            await here.set(1, 1, 10)
            assert here.looked(first) == ([], first), "stock of others makes nothing known"
            await here.inventory.write(1, partial(BECOMES[how], here), quiet=how == "item")
            assert here.looked(first)[0] == ["X"]
            await here.look_again()
            kept = await here.kept("X")
            assert kept is not None
            assert [one.ground.footing for one in orders_in.state_of(kept).lines] == [footing]
            _, then = here.looked(first)
            assert then is not None
            await here.set(4, 1, 5)
            assert here.looked(then)[0] == ["Y"], "its stock was counted"

    asyncio.run(go())


def _item(here: Market, connection: Connection) -> None:
    here.add_item(connection, 9)


def _listing(here: Market, connection: Connection) -> None:
    channels.add_listing(connection, here.account, Listing(0, 1, "v9", 1, 1), LATER)


def _renamed(here: Market, connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE items SET sku = 'NEW-9' WHERE id = 2")


BECOMES = {"item": _item, "listing": _listing, "renamed": _renamed}


def test_a_look_that_found_nothing_reads_no_order_again(migrated_url: str) -> None:
    """Only whether one of the items has been counted, until something changes that orders stand on."""

    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.run("UPDATE locations SET kind = 'held' WHERE id = 2")
            await here.take(
                order("COUNT", 1, line(4, 2)), order("PLACE", 1, line(1, 2, id="p", location="east"))
            )
            _, first = here.looked(None)
            assert first is not None
            assert (first.others, first.items) == (("COUNT",), frozenset({4}))
            await here.set(1, 1, 9)
            assert here.looked(first) == ([], first)
            assert here.looked(first)[1] is first, "the orders were read again"
            await here.run("UPDATE locations SET kind = 'stock' WHERE id = 2")
            assert here.looked(first)[0] == ["PLACE"]
            await here.set(4, 1, 5)
            assert sorted(here.looked(first)[0]) == ["COUNT", "PLACE"]
            await here.look_again()
            assert (await here.rows("SELECT COUNT(*) FROM orders WHERE waiting = 1"))[0][0] == 0

    asyncio.run(go())
