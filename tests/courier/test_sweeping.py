"""Looking at what a channel shows: drift is found, its cause said, and healed when the connection allows."""

import json
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from courier import bazaar
from courier.town import QUIET, START, Like, Town, play, until
from onhand.connectors.auth import Wire
from onhand.connectors.channel import Meaning
from onhand.connectors.flow import OFF_SALE, Failed, Page, Seen, Shown
from onhand.courier.courier import Courier
from onhand.courier.judging import cause
from onhand.courier.sweeping import Sweep
from onhand.stock.model import SetInfinite
from onhand.store import drives
from onhand.store.observing import CHANGED_THERE, LATE, LOST_THERE, NEVER_SENT, REFUSED, Known
from onhand.work import Group, Work

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("known", "shown", "offered", "why"),
    [
        # wanted, acknowledged, acknowledged_at, observed, observed_at, marked_at, parked
        ((5, 5, 10, None, None, None, False), 5, 5, None),
        ((5, 5, 10, None, None, None, False), 7, 5, CHANGED_THERE),
        ((5, 5, 10, 7, 5, None, False), 7, 5, LOST_THERE),
        ((5, 5, 10, 7, 15, None, False), 7, 5, CHANGED_THERE),
        ((5, 5, 10, 7, 10, None, False), 7, 5, CHANGED_THERE),
        ((5, 5, 10, 8, 5, None, False), 7, 5, CHANGED_THERE),
        ((5, 5, 10, 7, 5, None, False), None, 5, LOST_THERE),
        ((5, 5, 20, None, None, None, False), 7, 5, CHANGED_THERE),
        ((5, 5, 30, 7, 5, None, False), 7, 5, None),
        ((None, None, None, None, None, None, False), 7, 5, NEVER_SENT),
        ((5, None, 10, 7, 5, None, False), 7, 5, NEVER_SENT),
        ((5, 5, None, 7, 5, None, False), 7, 5, NEVER_SENT),
        ((5, None, None, None, None, None, True), 7, 5, REFUSED),
        ((5, 5, 10, None, None, None, True), 5, 9, REFUSED),
        ((5, 5, 10, None, None, 15, False), 5, 9, None),
        ((5, 5, 10, None, None, 21 - 300, False), 5, 9, None),
        ((5, 5, 10, None, None, 21 - 301, False), 5, 9, LATE),
    ],
)
def test_causes(known: tuple[Any, ...], shown: int | None, offered: int, why: str | None) -> None:
    wanted, told, told_at, seen, seen_at, marked_at, parked = known
    times = [None if one is None else one * SECOND for one in (told_at, seen_at, marked_at)]
    slot = Known(1, "", wanted, told, times[0], seen, times[1], times[2], parked)
    assert cause(slot, shown, offered, at=20 * SECOND, now=21 * SECOND) == why


async def sweep(town: Town, courier: Courier, module: Any = bazaar, **options: Any) -> None:
    """One whole look, by whoever holds the lease."""
    await until(lambda: town.status().owner == "")
    until_ = town.inventory.now() + 60 * SECOND
    await town.inventory.write(1, lambda c: drives.take(c, 1, 1, "me", until_, town.inventory.now()))
    session = await courier.session(1, 1)
    await Sweep(town.inventory, session, 1, 1, "me", **options).run(module.pull, None)
    await town.inventory.write(1, lambda c: drives.release(c, 1, 1, "me"))


def test_a_number_that_was_changed_there_is_found_and_healed(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven() as courier:
            await town.stock(1, 5)
            await town.stock(2, 6)
            await town.calm()
            town.stall.stock["1-1"] = 50
            await sweep(town, courier)
            assert [one[:2] for one in town.drifts()] == [(1, "changed_there")]
            await town.calm()
        assert town.stall.stock == {"1-1": 5, "1-2": 6}
        assert town.drifts() == [(1, "changed_there", True)]
        assert town.slot(2) == (6, 6, 6)
        assert town.status().swept_at is not None

    play(town, story)


@pytest.mark.parametrize("absurd", [2**63, 10**30, -(10**30)])
def test_an_absurd_number_is_healed_and_stops_no_other(town: Town, absurd: int) -> None:
    async def story(town: Town) -> None:
        async with town.driven() as courier:
            await town.stock(1, 5)
            await town.stock(2, 6)
            await town.calm()
            town.stall.stock = {"1-1": absurd, "1-2": 50}
            await sweep(town, courier)
            await town.calm()
        assert town.stall.stock == {"1-1": 5, "1-2": 6}

    play(town, story)


def test_what_a_channel_may_not_show_yet_is_no_drift(town: Town) -> None:
    behind = 900.0

    def pull(settings: Any, cursor: str | None) -> Any:
        return replace((yield from bazaar.pull(settings, cursor)), behind=behind)

    async def story(town: Town) -> None:
        nonlocal behind
        asked: list[int] = []

        async def orders() -> None:
            asked.append(town.inventory.now())

        town.stall.stock, town.stall.ignored = {"1-1": 3}, {"1-1"}
        async with town.driven() as courier:
            await town.stock(1, 5)
            await town.stock(2, 6)
            await town.calm()
            await sweep(town, courier, Like(pull=pull), orders=orders)
            assert (town.drifts(), asked) == ([], [])
            town.stall.ignored, behind = set(), 0.0
            await sweep(town, courier, Like(pull=pull), orders=orders)
            assert [one[:2] for one in town.drifts()] == [(1, "changed_there")]
            assert asked
            await town.calm()
        assert town.stall.stock["1-1"] == 5

    play(town, story)


def test_a_connection_that_forbids_it_is_not_healed(town: Town) -> None:
    async def story(town: Town) -> None:
        await town.change("connections", 1, rules={"heal": False})
        async with town.driven() as courier:
            await town.stock(1, 5)
            await town.calm()
            town.stall.stock["1-1"] = 50
            await sweep(town, courier)
            await sweep(town, courier)
            assert town.drifts() == [(1, "changed_there", False)]
            assert town.status().drifting == 1
            town.stall.stock["1-1"] = 5
            await sweep(town, courier)
        assert town.drifts() == [(1, "changed_there", True)]

    play(town, story)


def test_a_number_that_was_confirmed_and_never_shown_is_lost_there(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.stock = {"1-1": 3, "1-9": 4}
        await town.stock(1, 0)
        await town.stock(9, 0)
        await town.inventory.write(1, lambda c: c.execute(text("DELETE FROM outbox")))
        async with town.driven() as courier:
            await sweep(town, courier)
            await town.calm()
            assert sorted(town.drifts()) == [(1, "never_sent", True), (9, "never_sent", True)]
            assert town.stall.stock == {"1-1": 0, "1-9": 0}
            await sweep(town, courier)
            town.stall.ignored = {"1-1"}
            await town.stock(1, 5)
            await town.calm()
            await sweep(town, courier)
            assert (1, "lost_there") in [one[:2] for one in town.drifts()]
            del town.stall.stock["1-9"]
            await sweep(town, courier)
        assert (9, "lost_there") in [one[:2] for one in town.drifts()]

    play(town, story)


def test_a_sale_that_was_not_heard_of_yet_is_no_drift(town: Town) -> None:
    async def story(town: Town) -> None:
        async def orders() -> None:
            await town.stock(1, 8)

        async with town.driven() as courier:
            await town.stock(1, 10)
            await town.calm()
            town.stall.stock["1-1"] = 8
            await sweep(town, courier, orders=orders)
            await town.calm()
        assert town.drifts() == []
        assert town.stall.stock["1-1"] == 8

    play(town, story)


def test_what_the_channel_refuses_is_no_reason_to_ask_for_its_orders(town: Town) -> None:
    async def story(town: Town) -> None:
        asked: list[int] = []

        async def orders() -> None:
            asked.append(town.inventory.now())

        town.stall.stock, town.stall.refused = {"1-1": 3}, {"1-1": "no"}
        async with town.driven() as courier:
            await town.stock(1, 5)
            await until(lambda: town.sql("SELECT parked FROM listings WHERE parked IS NOT NULL"))
            await town.calm()
            await sweep(town, courier, orders=orders)
        assert [one[:2] for one in town.drifts()] == [(1, "refused")]
        assert asked == []

    play(town, story)


def test_a_channel_that_counts_gross_is_told_and_judged_with_its_own_orders(town: Town) -> None:
    def pull(settings: object, cursor: str | None) -> Any:
        yield from ()
        return Page((Seen({"id": "1-1"}, None, (Shown(10, committed=2),)),))

    async def story(town: Town) -> None:
        module = Like(meaning=Meaning.GROSS, pull=pull)
        async with town.driven(module) as courier:
            await town.stock(1, 10)
            await town.calm()
            await sweep(town, courier, module)
            assert town.drifts() == []
            await town.stock(1, 11)
            await town.calm()
        assert town.stall.stock["1-1"] == 13

    play(town, story)


@pytest.mark.parametrize(("behind", "told"), [(0.0, 13), (60.0, 11)])
def test_what_a_late_channel_lacks_of_a_new_number_is_no_open_order(
    town: Town, behind: float, told: int
) -> None:
    def pull(settings: object, cursor: str | None) -> Any:
        yield from ()
        return Page((Seen({"id": "1-1"}, None, (Shown(8, committed=2),)),), behind=behind)

    async def story(town: Town) -> None:
        module = Like(meaning=Meaning.GROSS, pull=pull)
        async with town.driven(module) as courier:
            await town.stock(1, 10)
            await town.calm()
            await sweep(town, courier, module)
            await town.stock(1, 11)
            await town.calm()
        assert town.stall.stock["1-1"] == told

    play(town, story)


def test_sweeps_run_by_the_clock_and_go_on_where_they_stood(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.stock = {f"1-{n}": 0 for n in range(1, 400)}
        await town.inventory.write(1, lambda c: drives.note(c, 1, 1, {"pull_cursor": "1-2"}))
        settings = QUIET.__class__(sweep_seconds=1, poll_seconds=86_400_000)
        async with town.driven(settings=settings):
            await until(lambda: town.status().swept_at != START)
            pages = len(town.stall.calls)
            first = town.status().swept_at
            assert pages == 3
            await until(lambda: town.status().swept_at != first)
        assert len(town.stall.calls) - pages >= 4

    play(town, story)


@pytest.mark.parametrize(("stood", "pages"), [(None, 4 + 4), ("1-2", 3 + 4)], ids=["while", "before"])
def test_who_asks_for_a_sweep_gets_a_whole_one(town: Town, stood: str | None, pages: int) -> None:
    """Pages that were read before it was asked for say nothing of what is there now."""

    async def story(town: Town) -> None:
        async def during(wire: Wire) -> None:
            if len(town.stall.calls) == 2 and stood is None:
                await ask(town)

        town.stall.stock = {f"1-{n}": 0 for n in range(1, 400)}
        town.stall.during = during
        await ask(town, pull_cursor=stood)
        async with town.driven():
            await until(lambda: (town.status().swept_at or 0) > 0)
        assert len(town.stall.calls) == pages

    play(town, story)


async def ask(town: Town, **more: Any) -> None:
    """Ask for a sweep now."""
    values = {"swept_at": -town.inventory.now(), **more}
    await town.inventory.write(1, lambda c: drives.note(c, 1, 1, values))


@pytest.mark.parametrize(("retry", "asked"), [(False, ["dead", None]), (True, ["dead", "dead"])])
def test_a_cursor_that_the_channel_refuses_is_forgotten(
    town: Town, retry: bool, asked: list[str | None]
) -> None:
    """Else no sweep would ever come to its end again; what may pass is no word on the cursor."""
    seen: list[str | None] = []

    def pull(settings: Any, cursor: str | None) -> Any:
        seen.append(cursor)
        yield from ()
        if cursor is not None:
            raise Failed("400 invalid cursor", retry=retry)
        return Page((Seen({"id": "1-1"}, None, (Shown(10),)),))

    async def story(town: Town) -> None:
        await town.inventory.write(1, lambda c: drives.note(c, 1, 1, {"pull_cursor": "dead"}))
        settings = QUIET.__class__(sweep_seconds=1, poll_seconds=86_400_000)
        async with town.driven(Like(pull=pull), settings=settings):
            await until(lambda: len(seen) >= 2)
        assert seen[:2] == asked

    play(town, story)


def test_stock_that_the_channel_owns_is_mirrored_and_never_written(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.stock, town.stall.places = {"1-1": 40}, {"1-1": "FC1"}
        await town.inventory.write(
            1,
            lambda c: c.exec_driver_sql(
                "INSERT INTO external_ids (account, space, kind, external, internal)"
                " VALUES (1, 'connection:1', 'location', 'FC1', '3')"
            ),
        )
        async with town.driven() as courier:
            await sweep(town, courier)
            assert town.sql("SELECT on_hand FROM levels WHERE item = 1 AND location = 3") == [(40,)]
            await town.change("listings", 1, writable=0)
            await town.stock(1, 5)
            await town.calm()
        assert town.stall.pushes == []

    play(town, story)


@pytest.mark.parametrize(("active", "found"), [(False, []), (True, [(1, CHANGED_THERE, False)])])
def test_what_we_switched_off_offers_nothing_whatever_it_shows(
    town: Town, active: bool, found: list[Any]
) -> None:
    """Where a channel takes no 0, an empty listing keeps its last number, and that is no drift until
    somebody switches it on."""

    def pull(settings: Any, cursor: str | None) -> Any:
        yield from ()
        return Page((Seen({"id": "1-1"}, None, (Shown(7),), active=active),))

    async def story(town: Town) -> None:
        async with town.driven() as courier:
            await town.stock(1, 7)
            await town.calm()
            await town.stock(1, 0)
            await town.calm()
            await town.change("listings", 1, notes={OFF_SALE: "yes"})
            await sweep(town, courier, Like(pull=pull, name="none"))
            assert town.drifts() == found

    play(town, story)


@pytest.mark.parametrize(
    ("told", "infinite", "found"),
    [(True, False, [(1, CHANGED_THERE, False)]), (False, False, []), (True, True, [])],
)
def test_what_is_not_counted_there_any_more_sells_without_end(
    town: Town, told: bool, infinite: bool, found: list[Any]
) -> None:
    def pull(settings: Any, cursor: str | None) -> Any:
        yield from ()
        return Page((Seen({"id": "1-1"}, None, (Shown(None),)),))

    async def story(town: Town) -> None:
        await town.stock(1, 5)
        if infinite:
            work = Work(1, (Group((SetInfinite(1, 1, True),)),), "test")
            await town.inventory.record(work)
        if told:
            async with town.driven():
                await town.calm()
        courier = town.courier()
        await sweep(town, courier, Like(pull=pull))
        assert town.drifts() == found
        assert town.waiting() == (1 if found or not told else 0)

    play(town, story)


def test_a_listing_is_known_by_what_the_channel_calls_it_now(town: Town) -> None:
    def pull(settings: Any, cursor: str | None) -> Any:
        yield from ()
        return Page((Seen({"id": "1-1", "offers": "new"}, None, (Shown(5),)),))

    async def story(town: Town) -> None:
        async with town.driven():
            await town.stock(1, 5)
            await town.calm()
        await town.change("listings", 1, ids={"id": "1-1", "offers": "old", "more": "x"})
        await sweep(town, town.courier(), Like(pull=pull))
        kept = town.sql("SELECT ids FROM listings WHERE id = 1")[0][0]
        assert json.loads(kept) == {"id": "1-1", "offers": "new", "more": "x"}

    play(town, story)
