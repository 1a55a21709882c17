"""A seeded world: a ledger, channels, trade, bad weather, crashes; and what is true after it.

Everything that happens is drawn from the seed. When the storm is over, channels behave, and a courier runs:
then every listing must show its offer, the ledger must verify, and every order must count exactly once.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection

from courier.town import PlainSeals
from onhand import connectors, orders_in
from onhand.appliers import APPLIERS
from onhand.clockwork import Beats as Ticks
from onhand.clockwork import Clockwork
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Order, Response
from onhand.connectors.kind import Kind
from onhand.courier.courier import Courier
from onhand.courier.office import Beats
from onhand.courier.ports import POINTS, Crash
from onhand.outward import connecting
from onhand.outward.equipment import Equipment
from onhand.settings import Settings
from onhand.stock.model import Adjust, SetOnHand
from onhand.store import accounts, catalog, drives, feeding, linking
from onhand.store.catalog import Item, Location, Seller
from onhand.store.engine import migrate, open_store, reading, set_account
from onhand.store.verify import verify
from onhand.work import Accepted, Group, Work
from stores import Databases
from world.loop import Ledger, Time, VirtualLoop, play
from world.mart import SHAPES
from world.shop import Shop
from world.stand import Stand
from world.trades import HOSTS, OTHERS, TRADES
from world.truth import ITEMS, KIT, PARTS, Outlet, shown_faults, stock_faults

OPENING = 120
STORM_SECONDS = 45.0
OFF_SECONDS = 5
"""The clock of a channel is off by so much at most."""
PACE = 1.7
"""What happens in a second."""
CALM_SECONDS = 3_600.0
STILL_SECONDS = 60.0
BEATS = Beats(look=2.0, lease=15.0, linger=5.0, rest=0.1, gather=0.03, again=20.0, grace=5.0)
CALM_BEATS = BEATS._replace(look=10.0, lease=60.0)
NEVER = 10**9
WEATHER = ("fine", "fine", "slow", "down", "throttled", "failing", "lossy", "lying")
NAMES = tuple(sorted(TRADES))
MODULES = {one.CHANNEL.name: one for one in (*connectors.ALL, *SHAPES)}


def drawn(seed: int) -> list[str]:
    """The channels of a seed's world: of the sixteen in turn and at random, and sometimes shapes of ours."""
    lots = random.Random(f"channels {seed}")
    names = [NAMES[seed % len(NAMES)], SHAPES[lots.randrange(len(SHAPES))].CHANNEL.name]
    if lots.random() < 0.4:
        names.append(lots.choice([name for name in NAMES if name not in names]))
    return names


def run(seed: int, databases: Databases, *, threads: bool = False) -> None:
    """Play a seed; AssertionError says what was not true after it. ``threads`` leaves to threads what a
    hub leaves to them; else one seed is always the same world."""
    path = databases.copy(built)

    async def story(loop: VirtualLoop) -> None:
        world = World(seed, path, loop)
        try:
            await world.live()
        finally:
            await world.end()

    try:
        play(story, None if threads else random.Random(-seed))
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
        if self.store.sqlite:
            with self.store.writer.connect() as connection:
                # What a power cut may take is tested elsewhere; here a thousand commits shall take no time.
                driver: Any = connection.connection.driver_connection
                driver.execute("PRAGMA synchronous = OFF")
        self.ledger = Ledger(self.store, self.time.now, loop)
        self.shops = [self._shop(name) for name in drawn(seed)]
        self.outlets: dict[int, Outlet] = {}
        self.adjusted: Counter[int] = Counter()
        self.broken: list[str] = []
        self.courier: Courier | None = None
        self.couriers = 0
        self.storming = True
        self.later: set[asyncio.Task[Any]] = set()
        self.clockwork = Clockwork(self.ledger, APPLIERS, Ticks(look=5.0, prune=1e9, first_prune=1e9))

    def _shop(self, name: str) -> Shop | Stand:
        module: Any = MODULES[name]
        if name not in TRADES:
            return Shop(module, self._clock(), self.lots)
        trade = TRADES[name]
        if name in OTHERS and self.lots.random() < 0.5:
            trade = OTHERS[name]
        stand = Stand(module, trade, self._clock(), self.lots)
        stand.swept = not self.blind
        return stand

    def _clock(self) -> Callable[[], int]:
        """A channel's own clock: right, or a little off."""
        off = self.lots.choice((0, 0, self.lots.randint(-OFF_SECONDS, OFF_SECONDS) * 1_000_000))
        return lambda: self.time.now() + off

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """The transport: each channel by its host; what takes too long was silent."""
        host = wire.url.split("://")[1].partition("/")[0]
        name = HOSTS.get(host, host.partition(".")[0])
        shop = next(one for one in self.shops if one.module.CHANNEL.name == name)
        try:
            async with asyncio.timeout(timeout):
                return await shop.send(wire)
        except TimeoutError:
            return Response(0)
        except Exception as error:
            self.broken.append(f"{name} cannot take {wire.method} {wire.path}: {error!r}")
            raise

    async def live(self) -> None:
        """The storm, then the calm, then the truth."""
        self.ledger.start()
        await self.clockwork.start()
        await self._open()
        await self._hire()
        # What left a channel before it was connected, by its own clock, or was asked for orders first is
        # not ours to count.
        await asyncio.sleep(OFF_SECONDS)
        while not self._asked():  # noqa: ASYNC110 - what is true of it rings no bell
            await asyncio.sleep(1)
        end = asyncio.get_running_loop().time() + STORM_SECONDS
        while asyncio.get_running_loop().time() < end:
            await self._happen()
            await asyncio.sleep(self.lots.expovariate(PACE))
        await self._calm()

    async def _open(self) -> None:
        """Stock is counted, and each channel is connected as a person would connect it."""
        for item in range(1, ITEMS + 1):
            await self._record(SetOnHand(item, 1, OPENING))
            self.adjusted[item] += OPENING
        modules: list[Kind] = list(MODULES.values())
        equipment: Any = Equipment(self.ledger, Settings(), modules=modules, transport=self)
        equipment.seals = PlainSeals()
        for number, shop in enumerate(self.shops):
            shop.put_up(list(PARTS))
            places = ("one", "two")[: 1 + number % 2]
            feeds = {shop.place or "": places} if shop.place or not shop.module.CHANNEL.locations else None
            began = await connecting.begin(equipment, 1, shop.module.CHANNEL.name, shop.values, feeds=feeds)
            cursor, seen = None, 0
            while cursor is not None or not seen:
                page = await connecting.page(equipment, 1, began.connection, cursor)
                cursor, seen = page.cursor, seen + page.created
            assert seen == len(PARTS), f"{shop.module.CHANNEL.name} shows {seen} listings"
            await connecting.finish(equipment, 1, began.connection)
            fed = range(1, 1 + (len(places) if feeds else 2))
            self.outlets[began.connection] = Outlet(began.connection, shop, tuple(fed))

    def _asked(self) -> bool:
        """Whether every channel has been asked for its orders once."""
        with reading(self.store, 1) as connection:
            return all(drives.status(connection, 1, link)[0].polled_at for link in self.outlets)

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
        lots, outlet = self.lots, self.lots.choice(list(self.outlets.values()))
        shop: Any = outlet.shop
        what = lots.choices(
            ("sell", "amend", "move", "weather", "edit", "refuse", "poison", "crash", "rule"),
            (30, 25, 20, 9, 3, 2, 2, 3, 2),
        )[0]
        match what:
            case "sell":
                items = [lots.randint(1, KIT) for _ in range(lots.randint(1, 3))]
                self._tell(outlet, shop.sell([(item, lots.randint(1, 4)) for item in items]))
            case "amend" if shop.orders:
                changed = lots.choice(shop.orders)
                shop.amend(changed)
                self._tell(outlet, changed)
            case "move":
                await self._move(lots.randint(1, ITEMS), lots.randint(-8, 12), lots.randint(1, 2))
            case "weather":
                shop.weather = lots.choice(WEATHER[:-1] if self.blind else WEATHER)
            case "edit" if not self.blind:
                shop.edit(lots.randint(1, KIT))
            case "refuse":
                shop.refuse(lots.randint(1, KIT))
            case "poison":
                shop.poison(lots.randint(1, KIT))
            case "crash":
                await self._hire(crashes=True)
            case "rule":
                await self._rule(outlet, lots.randint(0, 5), lots.randint(5, 60))
            case _:
                pass  # there is no order yet, or nobody edits

    def _tell(self, outlet: Outlet, changed: Any) -> None:
        """Webhooks carry the order as it is now, or say that there is one: late, twice, out of order, or
        never."""
        for _ in range(0 if changed is None else self.lots.choice((0, 1, 1, 2))):
            message = outlet.shop.message(changed)
            task = asyncio.create_task(self._hear(outlet, message, self.lots.expovariate(0.2)))
            self.later.add(task)
            task.add_done_callback(self.later.discard)

    async def _hear(self, outlet: Outlet, message: Order | None, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if message is not None:
            await orders_in.take(self.ledger, 1, outlet.link, [message], outlet.shop.module.CHANNEL)
            return
        if hint := outlet.shop.hint():
            await self.ledger.write(1, lambda c: drives.hint(c, 1, outlet.link, hint), quiet=True)
        else:
            await self.ledger.write(1, lambda c: drives.note(c, 1, outlet.link, {"polled_at": 0}), quiet=True)

    async def _move(self, item: int, units: int, location: int) -> None:
        if units and await self._record(Adjust(item, location, units)):
            self.adjusted[item] += units

    async def _record(self, command: Any) -> bool:
        recorded = await self.ledger.record(Work(1, (Group((command,)),), "world"))
        return isinstance(recorded.outcomes[0], Accepted)

    async def _rule(self, outlet: Outlet, buffer: int, cap: int) -> None:
        link = outlet.link

        def unit(connection: Connection) -> Any:
            rules = linking.links(connection, 1, link)[0].rules
            made = msgspec.structs.replace(rules, buffer=buffer, cap=cap)
            linking.change(connection, 1, link, {"rules": made})
            listings = feeding.listings_on(connection, 1, link)
            feeding.refeed(connection, 1, listings)
            return feeding.mark(connection, 1, listings, self.time.now())

        self.ledger.marked(await self.ledger.write(1, unit))
        self.outlets[link] = outlet._replace(buffer=buffer, cap=cap)

    async def _hire(self, *, crashes: bool = False) -> None:
        """A new courier in the old one's place: after it was killed, or where it stops in good order."""
        if self.courier is not None and not self.courier.crashed.is_set():
            if self.lots.random() < 0.5:
                await self.courier.stop()
            else:
                self.courier.kill()
        self.couriers += 1
        # When nothing happens any more, the clock need not be looked at so often.
        beats, sweep, poll = (BEATS, 30, 10) if self.storming else (CALM_BEATS, 60, 40)
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
            list(MODULES.values()),
            Settings(sweep_seconds=NEVER if self.blind else sweep, poll_seconds=poll),
            orders=orders_in.Polls(self.ledger),
            beats=beats,
            lots=self.lots,
            probe=probe,
            owner=f"courier {self.couriers}",
            sole=False,
        )
        await self.courier.start()

    # --- after the storm --------------------------------------------------------------------------

    async def _calm(self) -> None:
        self.storming = False
        for shop in self.shops:
            shop.calm()
        await self._hire()
        await asyncio.sleep(STILL_SECONDS)
        await self._release()
        for shop in self.shops if not self.blind else ():
            # Nothing moves any more: only a look at the channel tells of this.
            shop.edit(self.lots.randint(1, KIT))
        loop = asyncio.get_running_loop()
        end = loop.time() + CALM_SECONDS
        while self._faults() and loop.time() < end:  # noqa: ASYNC110 - what is true of it rings no bell
            await asyncio.sleep(10)
        self._demand(self._faults())
        await asyncio.sleep(STILL_SECONDS)
        self._demand([f"later: {one}" for one in self._faults()])
        with reading(self.store, 1) as connection:
            self._demand([str(one) for one in verify(connection, 1) if one.fault])
        self._demand(self.broken)

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
            return [
                *stock_faults(connection, self.adjusted, self.outlets),
                *shown_faults(connection, self.outlets, self.time.now(), blind=self.blind),
            ]


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
                connection, account, [Item(0, sku=f"SKU-{n}", kit=n == KIT) for n in range(1, KIT + 1)], 1
            )
            catalog.set_kit(connection, account, KIT, PARTS[KIT], 1)
    finally:
        store.close()
