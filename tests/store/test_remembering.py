"""The catalogue as it is remembered: as long as nothing changes, and never for longer than it may."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import Connection

from memories import SECONDS, name_it, play
from onhand import memory, mixed
from onhand.inventory import Inventory
from onhand.stock.model import Adjust
from onhand.store import catalog, counters
from onhand.ticket import Ticket
from onhand.work import Work
from shops import PATIENCE_SECONDS, START, Shop, running, second


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMORY_SECONDS", SECONDS)


class Asked:
    """Asks for the name of item 9, and counts how often the database is asked."""

    def __init__(self) -> None:
        self.times = 0

    def query(self, connection: Connection) -> str | None:
        self.times += 1
        return catalog.items(connection, 1, [9])[9].name

    async def __call__(self, inventory: Inventory) -> str | None:
        return await inventory.recall(1, "nine", self.query)


def number(shop: Shop) -> int:
    with shop.reading() as connection:
        return counters.last(connection, 1, counters.CATALOGUE)


def test_it_is_asked_for_once_while_nothing_changes(shop: Shop) -> None:
    async def story(inventory: Inventory) -> None:
        asked = Asked()
        for _ in range(4):
            assert await asked(inventory) == "first"
            await inventory.record(shop.work(Adjust(1, 1, 1)))
            await inventory.write(1, lambda _: None, quiet=True)
            await asyncio.sleep(SECONDS * 1.2)
        assert asked.times == 1

    play(shop, story)


def test_a_change_of_our_own_counts_at_once(shop: Shop) -> None:
    async def story(inventory: Inventory) -> None:
        asked = Asked()
        for name in ("second", "third"):
            await asked(inventory)
            await inventory.write(1, name_it(name))
            assert await asked(inventory) == name
        assert asked.times == 3

    play(shop, story)


def test_what_was_read_before_a_change_is_not_kept_after_it(shop: Shop) -> None:
    """The look-up has its answer; before it brings it, the catalogue changes."""
    if shop.store.sqlite:
        pytest.skip("there a look-up is done before anything else can happen")
    held, go = threading.Event(), threading.Event()

    def slow(connection: Connection) -> str | None:
        found = catalog.items(connection, 1, [9])[9].name
        held.set()
        assert go.wait(PATIENCE_SECONDS)
        return found

    async def story(inventory: Inventory) -> None:
        early = asyncio.ensure_future(inventory.recall(1, "nine", slow))
        await asyncio.to_thread(held.wait, PATIENCE_SECONDS)
        await inventory.write(1, name_it("second"))
        go.set()
        assert await early == "first"
        assert await Asked()(inventory) == "second"

    play(shop, story)


def test_a_change_elsewhere_counts_after_a_second(shop: Shop) -> None:
    if shop.store.sqlite:
        pytest.skip("there is nobody elsewhere")
    other = second(shop)

    async def story(inventory: Inventory) -> None:
        asked = Asked()
        async with running(other) as elsewhere:
            for name in ("second", "third"):
                await asked(inventory)
                await elsewhere.write(1, name_it(name))
                await asyncio.sleep(SECONDS * 1.2)
                assert await asked(inventory) == name
            with pytest.raises(ZeroDivisionError):
                await elsewhere.write(1, lambda _: 1 / 0)
            await elsewhere.write(2, lambda _: None)
            await asyncio.sleep(SECONDS * 1.2)
            await asked(inventory)
        assert asked.times == 3

    play(shop, story)
    other.close()


def test_only_what_may_change_the_catalogue_is_counted(shop: Shop) -> None:
    async def story(inventory: Inventory) -> None:
        before = number(shop)
        await inventory.write(1, lambda _: None, quiet=True)
        await inventory.record(shop.work(Adjust(1, 1, 1)))
        await inventory.accept(1, "test", "someone", "{}")
        await inventory.write(0, lambda _: None)
        assert number(shop) == before
        await inventory.write(1, lambda _: None)
        assert number(shop) == before + (not shop.store.sqlite)

    play(shop, story)


def broken(connection: Connection) -> None:
    raise LookupError("no such item")


@pytest.mark.parametrize(
    ("kinds_of_work", "counted"),
    [
        ("work", 0),
        ("unit", 1),
        ("work unit", 1),
        ("unit work", 1),
        ("unit unit", 1),
        ("quiet work", 0),
        ("broken", 0),
        ("broken unit", 1),
    ],
)
def test_a_batch_is_counted_once_if_anything_of_it_is(shop: Shop, kinds_of_work: str, counted: int) -> None:
    if shop.store.sqlite:
        pytest.skip("there is nobody elsewhere")
    loop = asyncio.new_event_loop()
    jobs: dict[str, Work | Callable[[Connection], object]]
    jobs = {"work": shop.work(Adjust(1, 1, 1)), "broken": broken}
    tickets = []
    for kind in kinds_of_work.split():
        tickets.append(Ticket(1, jobs.get(kind, name_it(kind)), loop.create_future(), loop))
        tickets[-1].quiet = kind == "quiet"
    before = number(shop)
    with shop.writing() as connection:
        mixed.results(connection, tickets, START, set())
    assert number(shop) - before == counted
    loop.close()


def test_what_was_changed_past_the_hub_counts_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    if shop.store.sqlite:
        pytest.skip("nobody may write to that file")
    monkeypatch.setattr(memory, "MEMORY_LIFE_SECONDS", SECONDS * 3)

    async def story(inventory: Inventory) -> None:
        asked = Asked()
        await asked(inventory)
        with shop.writing() as connection:
            name_it("second")(connection)
        await asyncio.sleep(SECONDS * 1.2)
        assert await asked(inventory) == "first"
        await asyncio.sleep(SECONDS * 3)
        assert await asked(inventory) == "second"

    play(shop, story)


def test_it_has_an_end(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMORY_LIMIT", 5)

    async def story(inventory: Inventory) -> None:
        for name in range(23):
            assert await inventory.recall(1, name, lambda _, name=name: str(name)) == str(name)  # type: ignore[misc]
            rows = await inventory.recall_many(1, "row", [name, -name], lambda _, ids: dict.fromkeys(ids, 7))
            assert rows == {name: 7, -name: 7}
            known = await inventory._memory.of(1)
            assert len(known.single) + sum(len(table) for table in known.tables.values()) <= 5

    play(shop, story)


# --- look-ups that go together --------------------------------------------------------------------------

BAD = "bad"


class Found:
    """Finds of each name the name itself, and keeps which were asked for together."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def query(self, connection: Connection, names: Sequence[str]) -> dict[str, str]:
        connection.exec_driver_sql("SELECT 1")
        self.asked.append(sorted(names))
        if BAD in names:
            raise ValueError(BAD)
        return {name: name for name in names if name != "none"}

    async def ask(self, inventory: Inventory, *names: str) -> dict[str, str]:
        return await inventory.recall_many(1, "name", names, self.query)


def test_look_ups_go_together(shop: Shop) -> None:
    async def story(inventory: Inventory) -> None:
        found = Found()
        asking = [found.ask(inventory, f"n{at}", f"n{at + 1}", "none") for at in range(20)]
        answers = await asyncio.gather(*asking)
        assert answers == [{f"n{at}": f"n{at}", f"n{at + 1}": f"n{at + 1}"} for at in range(20)]
        if not shop.store.sqlite:
            assert len(found.asked) <= 3

    play(shop, story)


def test_a_look_up_that_fails_harms_nobody_else(shop: Shop) -> None:
    async def story(inventory: Inventory) -> None:
        found = Found()
        names = ["a", "b", BAD, "c"]
        answers = await asyncio.gather(*(found.ask(inventory, one) for one in names), return_exceptions=True)
        assert [one if isinstance(one, dict) else type(one) for one in answers] == [
            {"a": "a"},
            {"b": "b"},
            ValueError,
            {"c": "c"},
        ]
        with pytest.raises(ValueError, match=BAD):
            await found.ask(inventory, BAD)

    play(shop, story)


def test_who_leaves_takes_nothing_away(shop: Shop) -> None:
    async def story(inventory: Inventory) -> None:
        found = Found()
        tasks = [asyncio.ensure_future(found.ask(inventory, name)) for name in "abc"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[0].cancel()
        assert await asyncio.gather(*tasks[1:]) == [{"b": "b"}, {"c": "c"}]

    play(shop, story)
