"""Orders on both databases: by webhook and by poll, twice and out of order, each does its difference once."""

from __future__ import annotations

import asyncio
import itertools
import random
from functools import partial

import pytest

from market import FAST, GROSS, LATER, STOCK, line, market, open_market, order
from onhand import orders_in
from onhand.appliers import APPLIERS
from onhand.connectors import sandbox
from onhand.connectors.flow import Order
from onhand.stock.model import Release, Ship
from onhand.store import feeding, incidents
from onhand.work import Group, Work
from ticking import ticking
from transcript import hold_text

LIFE = [
    order("X", 1, line(1, 4), line(2, 1)),
    order("X", 2, line(1, 4, s=1), line(2, 1)),
    order("X", 3, line(1, 4, c=1, s=2), line(2, 1, c=1)),
    order("X", 4, line(1, 4, c=1, s=3, r=1), line(2, 1, c=1)),
]
ENDED = "1@1 8/0, 1@2 10/0, 2@1 10/0"


def test_an_order_is_held_shipped_and_given_back(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            seen = []
            for one in LIFE:
                await here.take(one)
                seen.append(await here.stock())
            assert seen == [
                "1@1 10/4, 1@2 10/0, 2@1 10/1",
                "1@1 9/3, 1@2 10/0, 2@1 10/1",
                "1@1 8/1, 1@2 10/0, 2@1 10/0",
                ENDED,
            ]
            kept = await here.kept("X")
            assert kept is not None
            assert (kept.updated, kept.holds, kept.waiting, kept.name) == (LATER + 4, True, False, "#X")
            assert await here.incidents() == []

    asyncio.run(go())


def test_webhook_and_poll_twice_and_out_of_order(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            heard = [*LIFE, *LIFE, *LIFE]
            random.Random(7).shuffle(heard)
            await asyncio.gather(*(here.take(one) for one in heard))
            assert await here.stock() == ENDED
            kinds = [kind for kind in await here.kinds() if kind not in ("counted", "found")]
            assert kinds.count("returned") == 1
            moved = await here.rows("SELECT SUM(on_hand) FROM movements WHERE kind = 'shipped'")
            assert moved == [(-3,)]
            assert await here.incidents() == []

    asyncio.run(go())


def test_processes_that_share_an_inbox_do_not_double(postgres_url: str) -> None:
    async def go() -> None:
        async with market(postgres_url) as one, market(postgres_url) as two:
            await one.inventory.record(Work(one.account, (Group(STOCK),), "test"))
            async with ticking(one, dict(APPLIERS), FAST), ticking(two, dict(APPLIERS), FAST):
                snapshots: list[Order] = []
                for number in range(40):
                    for moment, counts in enumerate(({}, {"s": 1}, {"s": 1, "r": 1}), 1):
                        snapshots += [order(f"N{number}", moment, line(1, 1, **counts))] * 2
                random.Random(3).shuffle(snapshots)
                sides = itertools.cycle((one, two))
                await asyncio.gather(*(next(sides).accept_orders(snapshot) for snapshot in snapshots))
                await one.until(one.empty)
            assert await one.stock() == "1@1 10/0, 1@2 10/0, 2@1 10/0"
            shipped = await one.rows("SELECT COUNT(*) FROM movements WHERE kind = 'shipped'")
            assert shipped == [(40,)]
            assert [body["why"] for body in await one.of_kind(incidents.REFUSED)] == []

    asyncio.run(go())


def test_a_line_that_becomes_another_products_holds_that_ones_units(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.take(order("X", 1, line(1, 2, sku="A")))
            for moment in (2, 3):
                await here.take(order("X", moment, line(2, 3, id="line-1", sku="B")))
                assert await here.stock() == "1@1 10/0, 1@2 10/0, 2@1 10/3"
            await here.take(order("X", 4, line(2, 3, s=3, id="line-1", sku="B")))
            assert await here.stock() == "1@1 10/0, 1@2 10/0, 2@1 7/0"

    asyncio.run(go())


def test_two_connections_have_orders_of_one_name(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.take(order("X", 1, line(1, 2)))
            await here.take(order("X", 1, line(1, 3)), connection=2)
            assert await here.stock() == "1@1 10/5, 1@2 10/0, 2@1 10/0"

    asyncio.run(go())


def test_orders_of_several_connections_are_applied_in_one_commit(migrated_url: str) -> None:
    """One of which is gone: the others do not wait for it, and nothing is done for it."""

    async def go() -> None:
        async with open_market(migrated_url) as here:
            bodies = [
                body
                for connection, units in ((1, 2), (77, 9), (2, 3))
                for body in orders_in.told(
                    connection, [order("X", 1, line(1, units)), order(f"Y{connection}", 1)], sandbox.CHANNEL
                )
            ]
            now = here.inventory.now()
            unit = partial(orders_in.arrive, account=here.account, bodies=bodies, now=now)
            await here.inventory.write(here.account, unit, orders_in.waking(now), quiet=True)
            here.inventory.arrived(here.account)
            await here.until(here.empty)
            assert [hold_text(await here.hold("X", one)) for one in (1, 2)] == [
                "confirmed: 1@1 2h",
                "confirmed: 1@1 3h",
            ]
            assert await here.rows("SELECT connection, external_id FROM orders ORDER BY 1, 2") == [
                (1, "X"),
                (1, "Y1"),
                (2, "X"),
                (2, "Y2"),
            ]
            assert await here.rows("SELECT DISTINCT context FROM movements WHERE kind = 'reserved'") == [
                ("orders in message 1",)
            ]
            assert await here.incidents() == []

    asyncio.run(go())


def test_test_orders_leave_no_trace(sqlite_url: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.take(order("X", 1, line(1, 3), test=True))
            assert await here.kept("X") is None

    asyncio.run(go())


def test_what_cannot_be_kept_is_an_incident(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            now = here.inventory.now()
            first = Order("P", now - 9_000_000, (line(2, 7),), name="#P")
            second = Order("Q", now - 5_000_000, (line(2, 6),), name="#Q")
            await here.take(first)
            assert await here.of_kind(incidents.OVERSOLD) == []
            await here.take(second, connection=2)
            (told,) = await here.of_kind(incidents.OVERSOLD)
            assert (told["sku"], told["place"], told["on_hand"], told["reserved"], told["missing"]) == (
                "B",
                "place 1",
                10,
                13,
                3,
            )
            assert told["policy"] == "newest"
            assert told["losers"] == [{"reference": "order:2:Q", "units": 3}]
            newest, oldest = told["orders"]
            assert (newest["order"], newest["channel"], newest["connection_name"]) == (
                "Q",
                "sandbox",
                "shop 2",
            )
            assert (oldest["order"], oldest["units"]) == ("P", 7)
            assert 5_000_000 <= newest["lag"] < 60_000_000
            # The same again tells nothing new.
            await here.take(second, connection=2)
            assert len(await here.of_kind(incidents.OVERSOLD)) == 1

    asyncio.run(go())


def test_what_is_missing_is_told_of_an_order_that_has_left_in_part(sqlite_url: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.take(order("P", 1, line(2, 13, s=1)))
            assert await here.stock() == "1@1 10/0, 1@2 10/0, 2@1 9/12"
            (told,) = await here.of_kind(incidents.OVERSOLD)
            assert (told["missing"], told["losers"]) == (3, [{"reference": "order:1:P", "units": 3}])

    asyncio.run(go())


@pytest.mark.parametrize(("policy", "loser"), [("newest", "Q"), ("oldest", "P"), ("largest", "P")])
def test_who_loses(sqlite_url: str, policy: str, loser: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url, oversold_loses=policy) as here:
            await here.take(order("P", 1, line(2, 7)))
            await here.take(order("Q", 2, line(2, 6)))
            (told,) = await here.of_kind(incidents.OVERSOLD)
            assert told["losers"] == [{"reference": f"order:1:{loser}", "units": 3}]

    asyncio.run(go())


def test_the_channel_has_lowered_its_own_number(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.run(
                "UPDATE slots SET acknowledged = 20, acknowledged_at = 5, observed = 20, observed_at = 5",
                "DELETE FROM outbox",
            )
            await here.take(order("X", 1, line(1, 3)))
            text = "SELECT s.acknowledged, s.observed, s.committed FROM slots s JOIN listings g"
            text += " ON g.account = s.account AND g.id = s.listing WHERE g.item = 1 ORDER BY g.connection"
            assert await here.rows(text) == [(17, 17, 0), (20, 20, 0)]
            # Both connections are told the new number, kits included.
            assert await here.rows("SELECT COUNT(*) FROM outbox") == [(4,)]
            await here.take(order("X", 1, line(1, 3)), order("X", 2, line(1, 3, c=1)))
            assert (await here.rows(text))[0] == (18, 18, 0)
            # What was said after the sale has it already.
            await here.run(f"UPDATE slots SET acknowledged_at = {LATER + 9}, acknowledged = 11")
            await here.take(order("Y", 8, line(1, 2)))
            assert (await here.rows(text))[0] == (11, 16, 0)

    asyncio.run(go())


def test_a_channel_that_counts_gross_has_committed_units(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            text = "SELECT s.committed FROM slots s JOIN listings g ON g.account = s.account"
            text += " AND g.id = s.listing WHERE g.item = 1 ORDER BY g.connection"
            seen = []
            for one in LIFE:
                await here.take(one, one, channel=GROSS)
                seen.append((await here.rows(text))[0][0])
            assert seen == [4, 3, 1, 0]

    asyncio.run(go())


def test_a_channel_that_counts_gross_and_says_no_place_has_committed_units_at_any(migrated_url: str) -> None:
    """Told all its places together, it would sell what went out with an order once more for as many units as
    are still said to be in open orders."""

    async def go() -> None:
        async with open_market(migrated_url) as here:
            places = '{"places": {"a": [1], "b": [2]}}'
            await here.run(f"UPDATE connections SET rules = '{places}' WHERE id = 1")
            await here.inventory.write(here.account, lambda c: feeding.refeed(c, here.account, [1]))
            text = "SELECT committed FROM slots WHERE listing = 1 ORDER BY place"
            await here.take(order("X", 1, line(1, 5)), channel=GROSS)
            assert await here.rows(text) == [(5,), (0,)]
            # A look finds them elsewhere, and one of another hand besides.
            found = "CASE place WHEN 'a' THEN 2 ELSE 4 END"
            await here.run(f"UPDATE slots SET committed = {found} WHERE listing = 1")
            await here.take(order("X", 2, line(1, 5, s=5)), channel=GROSS)
            assert await here.rows(text) == [(1,), (0,)]
            await here.take(order("Y", 3, line(1, 1, s=1)), order("Z", 4, line(1, 2)), channel=GROSS)
            await here.take(order("Z", 5, line(1, 2, c=2)), channel=GROSS)
            assert await here.rows(text) == [(1,), (0,)]

    asyncio.run(go())


def test_what_another_hand_did_to_the_hold_is_seen(sqlite_url: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.take(order("X", 1, line(1, 3), line(2, 2)))
            await here.record(Ship("order:1:X", None))
            await here.take(order("X", 2, line(1, 3, s=3), line(2, 2)))
            assert await here.stock() == "1@1 7/0, 1@2 10/0, 2@1 8/0"
            await here.take(order("Y", 1, line(1, 3)))
            await here.record(Release("order:1:Y"))
            await here.take(order("Y", 2, line(1, 3, s=3)))
            assert await here.stock() == "1@1 4/0, 1@2 10/0, 2@1 8/0"
            assert hold_text(await here.hold("Y")) == "shipped: 1@1 3s"

    asyncio.run(go())


def test_an_order_that_the_ledger_refuses_is_an_incident(sqlite_url: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.take(order("X", 1, line(1, 10**14)), order("Y", 1, line(1, 1)))

            async def given_up() -> bool:
                return len(await here.of_kind(incidents.REFUSED)) == 2

            await here.until(given_up)
            await here.take(order("Z", 1, line(2, 1)))
            assert await given_up(), "it is not tried for ever"
            assert await here.stock() == "1@1 10/1, 1@2 10/0, 2@1 10/1"
            assert await here.kept("X") is None

    asyncio.run(go())


def test_hundreds_at_once(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.set(1, 1, 1_000)
            await here.take(*(order(f"N{number}", 1, line(1, 1)) for number in range(430)))
            assert (await here.stock()).startswith("1@1 1000/430")

    asyncio.run(go())


def test_a_connection_that_is_gone_is_passed_over(sqlite_url: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.take(order("X", 1, line(1, 1)), connection=77)
            assert await here.incidents() == []

    asyncio.run(go())
