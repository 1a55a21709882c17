"""Two processes on one PostgreSQL change a connection, its listings or kits at once: both changes stand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy import Connection, text

from market import make
from onhand import seals
from onhand.connectors import sandbox
from onhand.courier.stored import Vault
from onhand.inventory import Inventory
from onhand.outward import steering
from onhand.outward.equipment import Equipment
from onhand.store import catalog, channels, drives, feeding, linking, told
from onhand.store.channels import Listing
from onhand.store.engine import open_store
from ticking import Clock

WAIT_SECONDS = 10
OLD, NEW = seals.Key(bytes(32)), seals.Key(bytes([1] * 32))
BEFORE, AFTER = seals.Seals(lambda: [OLD, NEW]), seals.Seals(lambda: [NEW, OLD])
"""The keys while one is put in place of the other: before and after what is sealed follows."""

TOKENS = {"access_token": "new", "client_secret": "new, too"}
HOOK = {"webhook_secret": "a person's"}

Job = Callable[[Inventory], Awaitable[object]]


class Desk:
    """What `steering` asks of its equipment here."""

    seals = BEFORE

    def __init__(self, inventory: Inventory) -> None:
        self.inventory, self.now = inventory, inventory.now

    def module(self, _channel: str) -> Any:
        """Every connection is one to a sandbox."""
        return sandbox

    def forget(self, *_which: object) -> None:
        """Nobody remembers anything."""


class Pair:
    """Two inventories on one database, as of two processes."""

    def __init__(self, url: str) -> None:
        self.one, self.two = (Inventory(open_store(url), Clock()) for _ in range(2))

    async def both(self, first: Job, second: Job) -> None:
        """Do both; the second begins when the first has done all but commit."""
        wrote, may_end = threading.Event(), threading.Event()
        write = self.one.write

        def slow(account: int, unit: Callable[[Connection], Any], **options: Any) -> Any:
            def whole(connection: Connection) -> Any:
                found = unit(connection)
                wrote.set()
                assert may_end.wait(WAIT_SECONDS)
                return found

            return write(account, whole, **options)

        self.one.write = slow  # type: ignore[method-assign, assignment]
        doing = asyncio.ensure_future(first(self.one))
        assert await asyncio.to_thread(wrote.wait, WAIT_SECONDS)
        beside = asyncio.ensure_future(second(self.two))
        await asyncio.sleep(0.3)
        may_end.set()
        await asyncio.gather(doing, beside)
        self.one.write = write  # type: ignore[method-assign]


@pytest.fixture
def play(postgres_url: str) -> Iterator[Callable[[Callable[[Pair, int], Awaitable[None]]], None]]:
    """Plays a story in a shop with two connections."""
    pair = Pair(postgres_url)

    def run(story: Callable[[Pair, int], Awaitable[None]]) -> None:
        async def whole() -> None:
            pair.one.start()
            pair.two.start()
            try:
                await story(pair, await pair.one.write(0, make))
            finally:
                await pair.one.stop()
                await pair.two.stop()

        asyncio.run(whole())

    yield run
    pair.one.store.close()
    pair.two.store.close()


def refreshed(account: int) -> Job:
    """Fresh tokens of connection 1 are stored."""
    return lambda inventory: Vault(inventory, BEFORE, account, 1).keep(TOKENS)


def changed(account: int, **settings: Any) -> Job:
    """A person changes settings of connection 1."""

    def job(inventory: Inventory) -> Awaitable[object]:
        desk = cast(Equipment, Desk(inventory))
        return steering.change(desk, account, 1, settings=settings)

    return job


def resealed(account: int) -> Job:
    """The key is rotated."""
    return lambda inventory: inventory.write(account, lambda c: seals.reseal(c, AFTER, account))


PAIRS = [(refreshed, changed), (changed, refreshed), (resealed, refreshed), (resealed, changed)]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_secrets_that_are_changed_at_once(play: Any, first: Any, second: Any) -> None:
    async def story(pair: Pair, account: int) -> None:
        jobs = [job(account, **(HOOK if job is changed else {})) for job in (first, second)]
        await pair.both(*jobs)
        envelope = await pair.one.read(account, lambda c: drives.secrets(c, account, 1))
        kept = BEFORE.open(account, 1, envelope or "")
        if refreshed in (first, second):
            assert TOKENS.items() <= kept.items()
        if changed in (first, second):
            assert HOOK.items() <= kept.items()

    play(story)


def test_settings_that_are_changed_at_once(play: Any) -> None:
    async def story(pair: Pair, account: int) -> None:
        await pair.both(changed(account, rate=5), changed(account, burst=7))
        (found,) = await pair.one.read(account, lambda c: linking.links(c, account, 1))
        assert (found.settings["rate"], found.settings["burst"]) == (5, 7)

    play(story)


@pytest.mark.parametrize("before", [[], ["v0"]])
def test_hints_that_come_at_once(play: Any, before: list[str]) -> None:
    """Whether anything was noted of the connection before or not."""

    async def story(pair: Pair, account: int) -> None:
        def hinted(*names: str) -> Job:
            return lambda inventory: inventory.write(
                account, lambda c: drives.hint(c, account, 1, names), quiet=True
            )

        await hinted(*before)(pair.one)
        await pair.both(hinted("v1"), hinted("v2"))
        found = await pair.one.read(account, lambda c: drives.driven(c, account, 1))
        assert found is not None and found.wanted == [*before, "v1", "v2"]

    play(story)


def imported(account: int) -> Job:
    """An import finds listing 1 under another offer."""
    found = linking.Found("v1", 1, {"variant": "v1", "offer": "new"}, "A", True)
    return lambda inventory: inventory.write(
        account, lambda c: linking.keep_listings(c, account, 1, [found], 7)
    )


def learned(account: int) -> Job:
    """The channel calls listing 1 something, too, in its answer to a number."""

    def unit(connection: Connection) -> None:
        drives.take(connection, account, 1, "me", 1000, 1)
        one = told.Told(1, 1, 1, 1, (), accepted=True, ids={"called": "x", "variant": ""})
        told.settle(connection, account, 1, "me", [one], 7)

    return lambda inventory: inventory.write(account, unit, quiet=True)


def test_what_is_learned_beside_an_import_joins_what_that_found(play: Any) -> None:
    async def story(pair: Pair, account: int) -> None:
        await pair.both(imported(account), learned(account))
        ids = text("SELECT ids FROM listings WHERE account = :account AND id = 1").bindparams(account=account)
        (found,) = await pair.one.read(account, lambda c: c.execute(ids).scalars().all())
        assert msgspec.json.decode(found) == {"offer": "new", "called": "x"}

    play(story)


def ruled(account: int, **rules: Any) -> Job:
    """Connection 1 is given rules: that place 1 alone feeds it, if none are said."""
    values = rules or {"locations": [1]}
    return lambda inventory: steering.change(cast(Equipment, Desk(inventory)), account, 1, rules=values)


def ruled_alone(account: int, **rules: Any) -> Job:
    """Listing 1, of item 1, is given rules: that place 2 alone feeds it, if none are said."""
    values = rules or {"locations": [2]}
    return lambda inventory: steering.listing_rules(cast(Equipment, Desk(inventory)), account, 1, values)


@pytest.mark.parametrize(("job", "table"), [(ruled, "connections"), (ruled_alone, "listings")])
def test_rules_that_are_changed_at_once(play: Any, job: Any, table: str) -> None:
    async def story(pair: Pair, account: int) -> None:
        await pair.both(job(account, buffer=2), job(account, cap=5))
        query = text(f"SELECT rules FROM {table} WHERE account = :account AND id = 1")
        (found,) = await pair.one.read(
            account, lambda c: c.execute(query.bindparams(account=account)).scalars().all()
        )
        assert msgspec.json.decode(found) == {"buffer": 2, "cap": 5}

    play(story)


def listed(account: int) -> Job:
    """A listing is made of item 4, which makes it the ninth."""

    def unit(connection: Connection) -> None:
        made = channels.add_listing(connection, account, Listing(0, 1, "new", 4), 1)
        feeding.refeed(connection, account, [made.id])

    return lambda inventory: inventory.write(account, unit)


def kitted(item: int, part: int) -> Callable[[int], Job]:
    """A kit is made of one unit of another item."""
    return lambda account: (
        lambda inventory: inventory.write(account, lambda c: catalog.set_kit(c, account, item, {part: 1}, 1))
    )


FED = [
    (ruled_alone, ruled, 1, {(1, 2)}),
    (ruled, ruled_alone, 1, {(1, 2)}),
    (listed, ruled, 9, {(4, 1)}),
    (ruled, listed, 9, {(4, 1)}),
    (ruled_alone, kitted(1, 4), 1, {(4, 2)}),
    (kitted(1, 4), ruled_alone, 1, {(4, 2)}),
    (listed, kitted(4, 1), 9, {(1, 1), (1, 2)}),
    (kitted(4, 1), listed, 9, {(1, 1), (1, 2)}),
]
"""What is done first and beside it, and the (item, location) that must feed a listing then."""


@pytest.mark.parametrize(("first", "second", "listing", "feeds"), FED)
def test_what_feeds_a_listing_that_is_changed_at_once(
    play: Any, first: Any, second: Any, listing: int, feeds: set[tuple[int, int]]
) -> None:
    async def story(pair: Pair, account: int) -> None:
        await pair.both(first(account), second(account))
        query = text("SELECT item, location FROM feeds WHERE account = :account AND listing = :listing")
        bound = query.bindparams(account=account, listing=listing)
        assert set(await pair.one.read(account, lambda c: [tuple(row) for row in c.execute(bound)])) == feeds

    play(story)


def test_kits_are_made_one_after_the_other(play: Any) -> None:
    """Whoever comes second sees what the first has made."""

    async def story(pair: Pair, account: int) -> None:
        seen: list[bool] = []

        def makes(inventory: Inventory) -> Awaitable[object]:
            def unit(connection: Connection) -> None:
                catalog.hold_kits(connection, account)
                seen.append(catalog.items(connection, account, [4])[4].kit)
                catalog.set_kit(connection, account, 4, {1: 1}, 1)

            return inventory.write(account, unit)

        await pair.both(makes, makes)
        assert seen == [False, True]

    play(story)
