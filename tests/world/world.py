"""A seeded world: a ledger, channels of every shape, trade, bad weather, crashes; and what is true after it.

Everything that happens is drawn from the seed. When the storm is over, channels behave, and a courier runs:
then every listing must show its offer, the ledger must verify, and every order must count exactly once.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, update

from courier.town import PlainSeals
from onhand import orders_in
from onhand.appliers import APPLIERS
from onhand.clockwork import Beats as Ticks
from onhand.clockwork import Clockwork
from onhand.connectors.auth import Wire
from onhand.connectors.channel import Guard
from onhand.connectors.flow import Response
from onhand.courier.courier import Courier
from onhand.courier.office import Beats
from onhand.courier.ports import POINTS, Crash
from onhand.settings import Settings
from onhand.stock.model import ABSENT, Adjust, SetOnHand
from onhand.store import accounts, catalog, channels, feeding, levels, schema
from onhand.store.catalog import Item, Location, Seller
from onhand.store.channels import Link, Listing
from onhand.store.engine import migrate, open_store, reading, set_account
from onhand.store.verify import verify
from onhand.work import Accepted, Group, Work
from stores import SqliteDatabases
from world.loop import Ledger, Time, VirtualLoop, play
from world.mart import SHAPES, order
from world.shop import Shop

ITEMS, KIT = 4, 5
"""Items 1 to 4, and a kit of two of item 1 and one of item 2."""
PARTS = {1: {1: 1}, 2: {2: 1}, 3: {3: 1}, 4: {4: 1}, KIT: {1: 2, 2: 1}}
OPENING = 120
STORM_SECONDS = 120.0
CALM_SECONDS = 1_200.0
STILL_SECONDS = 60.0
BEATS = Beats(look=2.0, lease=15.0, linger=5.0, rest=0.1, gather=0.03, again=20.0, grace=5.0)
NEVER = 10**9
WEATHER = ("fine", "fine", "slow", "down", "throttled", "failing", "lossy", "lying")


def run(seed: int, folder: Path) -> None:
    """Play a seed; AssertionError says what was not true after it."""
    databases = SqliteDatabases(folder, folder)
    path = databases.copy(built)

    async def story(loop: VirtualLoop) -> None:
        world = World(seed, path, loop)
        try:
            await world.live()
        finally:
            await world.end()

    try:
        play(story)
    except BaseException as error:
        error.add_note(f"the seed of this world is {seed}: make world FROM={seed} SEEDS=1")
        raise
    finally:
        databases.drop(path)


class World:
    """One seed's world."""

    def __init__(self, seed: int, path: str, loop: VirtualLoop) -> None:
        self.lots = random.Random(seed)
        self.blind = seed % 3 == 0
        """Nobody looks, and nobody lies or edits: what is told alone must be right."""
        self.time = Time(loop)
        self.store = open_store(path)
        with self.store.writer.connect() as connection:
            # What a power cut may take is tested elsewhere; here a thousand commits shall take no time.
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA synchronous = OFF")
        self.ledger = Ledger(self.store, self.time.now)
        self.shops = {n: Shop(one, self._clock(), self.lots) for n, one in enumerate(SHAPES, 1)}
        self.adjusted: Counter[int] = Counter()
        self.courier: Courier | None = None
        self.couriers = 0
        self.storming = True
        self.later: set[asyncio.Task[Any]] = set()
        self.clockwork = Clockwork(self.ledger, APPLIERS, Ticks(look=2.0, prune=1e9, first_prune=1e9))

    def _clock(self) -> Callable[[], int]:
        """A channel's own clock: right, or a little off."""
        off = self.lots.choice((0, 0, self.lots.randint(-5_000_000, 5_000_000)))
        return lambda: self.time.now() + off

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """The transport: each channel by its host; what takes too long was silent."""
        name = wire.url.split("://")[1].partition(".")[0]
        shop = next(one for one in self.shops.values() if one.module.CHANNEL.name == name)
        try:
            async with asyncio.timeout(timeout):
                return await shop.send(wire)
        except TimeoutError:
            return Response(0)

    async def live(self) -> None:
        """The storm, then the calm, then the truth."""
        self.ledger.start()
        await self.clockwork.start()
        for item in range(1, ITEMS + 1):
            await self._record(SetOnHand(item, 1, OPENING))
            self.adjusted[item] += OPENING
        await self._hire()
        end = asyncio.get_running_loop().time() + STORM_SECONDS
        while asyncio.get_running_loop().time() < end:
            await self._happen()
            await asyncio.sleep(self.lots.expovariate(1.0))
        await self._calm()

    async def end(self) -> None:
        """Stop everything."""
        for task in self.later:
            task.cancel()
        if self.courier is not None:
            await self.courier.stop()
        await self.clockwork.stop()
        await self.ledger.stop()
        self.store.close()

    # --- what happens -----------------------------------------------------------------------------

    async def _happen(self) -> None:
        lots, shop = self.lots, self.lots.choice(list(self.shops.values()))
        what = lots.choices(
            ("sell", "amend", "move", "weather", "edit", "refuse", "poison", "crash", "rule"),
            (30, 25, 20, 9, 3, 2, 2, 3, 2),
        )[0]
        match what:
            case "sell":
                names = [_name(shop, lots.randint(1, KIT)) for _ in range(lots.randint(1, 3))]
                self._tell(shop, shop.sell([(name, lots.randint(1, 4)) for name in names]))
            case "amend" if shop.orders:
                changed = lots.choice(shop.orders)
                shop.amend(changed)
                self._tell(shop, changed)
            case "move":
                await self._move(lots.randint(1, ITEMS), lots.randint(-8, 12), lots.randint(1, 2))
            case "weather":
                shop.weather = lots.choice(WEATHER[:-1] if self.blind else WEATHER)
            case "edit" if not self.blind:
                shop.edit(_name(shop, lots.randint(1, KIT)))
            case "refuse":
                shop.refused ^= {_name(shop, lots.randint(1, KIT))}
            case "poison":
                shop.poisoned ^= {_name(shop, lots.randint(1, KIT))}
            case "crash":
                await self._hire(crashes=True)
            case "rule":
                await self._rule(shop, {"buffer": lots.randint(0, 5), "cap": lots.randint(5, 60)})
            case _:
                pass  # there is no order yet, or nobody edits

    def _tell(self, shop: Shop, changed: dict[str, Any] | None) -> None:
        """Webhooks carry the order as it is now: late, twice, out of order, or never."""
        for _ in range(0 if changed is None else self.lots.choice((0, 1, 1, 2))):
            snapshot = order(copy.deepcopy(changed or {}))
            task = asyncio.create_task(self._hear(shop, snapshot, self.lots.expovariate(0.2)))
            self.later.add(task)
            task.add_done_callback(self.later.discard)

    async def _hear(self, shop: Shop, snapshot: Any, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await orders_in.take(self.ledger, 1, _link(shop), [snapshot], shop.module.CHANNEL)

    async def _move(self, item: int, units: int, location: int) -> None:
        if units and await self._record(Adjust(item, location, units)):
            self.adjusted[item] += units

    async def _record(self, command: Any) -> bool:
        recorded = await self.ledger.record(Work(1, (Group((command,)),), "world"))
        return isinstance(recorded.outcomes[0], Accepted)

    async def _rule(self, shop: Shop, rules: dict[str, int]) -> None:
        link = _link(shop)

        def unit(connection: Connection) -> Any:
            table = schema.connections
            where = (table.c.account == 1) & (table.c.id == link)
            connection.execute(update(table).where(where).values(rules=json.dumps(rules)))
            listings = feeding.listings_on(connection, 1, link)
            feeding.refeed(connection, 1, listings)
            return feeding.mark(connection, 1, listings, self.time.now())

        self.ledger.marked(await self.ledger.write(1, unit))

    async def _hire(self, *, crashes: bool = False) -> None:
        """A new courier in the old one's place: after it was killed, or where it stops in good order."""
        if self.courier is not None and not self.courier.crashed.is_set():
            if self.lots.random() < 0.5:
                await self.courier.stop()
            else:
                self.courier.kill()
        self.couriers += 1
        left = self.lots.randint(1, 12) if crashes else -1
        point = self.lots.choice(POINTS)

        def probe(here: str) -> None:
            nonlocal left
            left -= here == point
            if left == 0 and here == point and self.storming:
                raise Crash

        self.courier = Courier(
            self.ledger,
            self,
            PlainSeals(),
            SHAPES,
            Settings(sweep_seconds=NEVER if self.blind else 40, poll_seconds=15),
            orders=orders_in.Polls(self.ledger),
            beats=BEATS,
            lots=self.lots,
            probe=probe,
            owner=f"courier {self.couriers}",
            sole=False,
        )
        await self.courier.start()

    # --- after the storm --------------------------------------------------------------------------

    async def _calm(self) -> None:
        self.storming = False
        for shop in self.shops.values():
            shop.weather = "fine"
            shop.refused, shop.poisoned = set(), set()
        await self._hire()
        await asyncio.sleep(STILL_SECONDS)
        await self._release()
        for shop in self.shops.values() if not self.blind else ():
            # Nothing moves any more: only a look at the channel tells of this.
            shop.edit(_name(shop, self.lots.randint(1, KIT)))
        loop = asyncio.get_running_loop()
        end = loop.time() + CALM_SECONDS
        while self._faults() and loop.time() < end:  # noqa: ASYNC110 - what is true of it rings no bell
            await asyncio.sleep(5)
        self._demand(self._faults())
        await asyncio.sleep(STILL_SECONDS)
        self._demand([f"later: {one}" for one in self._faults()])
        with reading(self.store, 1) as connection:
            self._demand([str(one) for one in verify(connection, 1) if one.fault])

    def _demand(self, faults: list[str]) -> None:
        assert not faults, "\n".join(faults)

    async def _release(self) -> None:
        """A person releases what channels refused."""

        def unit(connection: Connection) -> Any:
            parked = [row[0] for row in feeding.parked(connection, 1)]
            return feeding.mark(connection, 1, parked, self.time.now())

        self.ledger.marked(await self.ledger.write(1, unit, quiet=True))

    def _faults(self) -> list[str]:
        """What is not as it must be."""
        with reading(self.store, 1) as connection:
            return [*self._stock_faults(connection), *self._shown_faults(connection)]

    def _stock_faults(self, connection: Connection) -> list[str]:
        """Every order counts exactly once, in the ledger and in what is reserved."""
        hand, held = Counter(self.adjusted), Counter[int]()
        for shop in self.shops.values():
            for line in (line for one in shop.orders for line in one["lines"]):
                for item, per in PARTS[int(line["listing"].rpartition("-")[2])].items():
                    held[item] += per * (line["ordered"] - line["cancelled"] - line["shipped"])
                    hand[item] += per * (line["returned"] - line["shipped"])
        found = connection.exec_driver_sql(
            "SELECT item, SUM(on_hand) FROM movements WHERE kind = 'found' GROUP BY item"
        )
        for item, units in found:
            hand[item] += units
        rows = connection.exec_driver_sql(
            "SELECT item, SUM(on_hand), SUM(reserved) FROM levels GROUP BY item"
        )
        there = {row[0]: (row[1], row[2]) for row in rows}
        return [
            f"item {item} has {there.get(item)}, and should have {(hand[item], held[item])}"
            for item in range(1, ITEMS + 1)
            if there.get(item, (0, 0)) != (hand[item], held[item])
        ]

    def _shown_faults(self, connection: Connection) -> list[str]:
        waiting = connection.exec_driver_sql("SELECT COUNT(*) FROM outbox").scalar_one()
        found = [f"{waiting} listings are stale"] if waiting else []
        drifting = connection.exec_driver_sql(
            "SELECT listing, cause FROM drifts WHERE healed_at IS NULL"
        ).all()
        found += [f"listing {listing} is said to drift: {cause}" for listing, cause in drifting]
        places = {(item, at) for item in range(1, ITEMS + 1) for at in (1, 2)}
        level = levels.at(connection, 1, places, self.time.now())
        for shop in self.shops.values():
            if self.blind and shop.module.CHANNEL.guard is Guard.DELTA:
                # A sale while a change is under way shifts what the change is reckoned from.
                continue
            rules = connection.exec_driver_sql(
                f"SELECT rules FROM connections WHERE id = {_link(shop)}"
            ).scalar_one()
            buffer, cap = (json.loads(rules).get(name) for name in ("buffer", "cap"))
            for item, parts in PARTS.items():
                units = sum(
                    min(level.get((part, at), ABSENT).available // per for part, per in parts.items())
                    for at in _feeds(shop)
                )
                offer = max(0, min(units - (buffer or 0), cap or 10**9))
                shown = shop.stock.get(_name(shop, item), 0) - shop.committed.get(_name(shop, item), 0)
                if shown != offer:
                    found.append(f"{_name(shop, item)} shows {shown}, and should show {offer}")
        return found


def _link(shop: Shop) -> int:
    return 1 + SHAPES.index(shop.module)


def _name(shop: Shop, item: int) -> str:
    return f"{shop.module.CHANNEL.name}-{item}"


def _feeds(shop: Shop) -> tuple[int, ...]:
    """Every other connection is fed from both locations."""
    return (1, 2) if _link(shop) % 2 else (1,)


def built(path: str) -> None:
    """The database that all worlds begin with."""
    store = open_store(path)
    try:
        migrate(store)
        with store.writer.begin() as connection:
            account = accounts.add(connection, "world", 1).id
            set_account(connection, account)
            seller = catalog.add_seller(connection, account, Seller(0, "own", own=True), 1)
            for name in ("one", "two"):
                catalog.add_location(connection, account, Location(0, name, seller.id, "stock"), 1)
            catalog.add_items(
                connection, account, [Item(0, sku=f"S{n}", kit=n == KIT) for n in range(1, KIT + 1)], 1
            )
            catalog.set_kit(connection, account, KIT, PARTS[KIT], 1)
            for number, module in enumerate(SHAPES, 1):
                _connect(connection, number, module.CHANNEL.name)
    finally:
        store.close()


def _connect(connection: Connection, number: int, name: str) -> None:
    places = [1, 2] if number % 2 else [1]
    made = Link(0, name, name, connector=True, locations=places, settings={"name": name})
    link = channels.add_link(connection, 1, made, 1).id
    assert link == number
    made_ones = [
        channels.add_listing(connection, 1, Listing(0, link, f"{name}-{item}", item), 1) for item in PARTS
    ]
    table = schema.listings
    for one in made_ones:
        where = (table.c.account == 1) & (table.c.id == one.id)
        ids = json.dumps({"id": one.external_id})
        connection.execute(update(table).where(where).values(ids=ids))
    feeding.refeed(connection, 1, [one.id for one in made_ones])
