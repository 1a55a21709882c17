"""Lets channels' orders in: from a poll or a webhook into the inbox, where `orders_applied` takes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.connectors import kind
from onhand.connectors.channel import Channel, Meaning
from onhand.connectors.flow import Failed, Flow, Order, OrderLine, Orders, Reread
from onhand.courier.flows import CLOCK_OFF, Session
from onhand.grounding import grounds, tracked
from onhand.inventory import Inventory
from onhand.stock import ordering
from onhand.stock.ordering import Footing, Kept, Snapshot, State, Told
from onhand.store import channels, counters, drives, linking, orders, requests, wakeups
from onhand.store.requests import Message

SOURCE = "orders"
CALLER = "onhand:orders"
"""The owner of the reservations of orders."""

LOOK_SECONDS = 600
"""Waiting orders are all looked at after so long, also where nothing seems to have changed: somebody may have
changed rows with SQL of their own."""

ORDERS_IN_MESSAGE = 50
ORDERS_AT_ONCE = 200
"""Orders in one commit: the work of others goes between two."""
MANY_GONE = 20
"""So many orders are not gone at once, with none that is left."""
PATIENCE_SECONDS, STEP_SECONDS = 2.0, 0.005
CLOCK_OFF_LIMIT = 3_600_000_000
"""Microseconds by which a channel's clock may be off; a date that is further off is not believed."""
NUMBER_LIMIT = 10**15
TIME_LIMIT = 2**62


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order as a message carries it."""

    id: str
    snapshot: Snapshot
    name: str = ""


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message: orders of a connection, kept ones (by id) to be looked at ``again``, and kept ones that the
    channel does not have any more (``gone``). Its clock was ahead of ours by ``off``, in microseconds."""

    connection: int
    orders: tuple[Seen, ...] = ()
    again: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    gross: bool = False
    attempt: int = 1
    off: int = 0


def reference(connection: int, order: str) -> str:
    """What the reservation of a channel's order is called."""
    return f"order:{connection}:{order}"


# --- into the inbox -----------------------------------------------------------------------------------


async def take(
    inventory: Inventory, account: int, connection: int, found: Sequence[Order], channel: Channel
) -> None:
    """Accept orders that a channel told of; they are applied soon, and are safe when this returns."""
    await _accept(inventory, account, told(connection, found, channel))


async def look_again(inventory: Inventory, account: int, connection: int, channel: Channel) -> None:
    """Look at a connection's waiting orders anew: after listings were made, or stock was first counted.
    Every poll does so, too."""
    await _accept(inventory, account, await _again(inventory, account, connection, channel))


async def _accept(inventory: Inventory, account: int, bodies: Sequence[str]) -> None:
    if bodies:
        now = inventory.now()
        unit = partial(arrive, account=account, bodies=bodies, now=now)
        await inventory.write(account, unit, waking(now), quiet=True)
        inventory.arrived(account)


def told(connection: int, found: Sequence[Order], channel: Channel, off: int = 0) -> list[str]:
    """Orders as messages for the inbox; ``off`` is by how much the channel's clock is ahead of ours, in
    microseconds. Test orders are left out."""
    real = [_seen(order, channel) for order in found if not order.test]
    gross = channel.meaning is Meaning.GROSS
    parts = (real[at : at + ORDERS_IN_MESSAGE] for at in range(0, len(real), ORDERS_IN_MESSAGE))
    return [message_text(Notice(connection, tuple(part), gross=gross, off=off)) for part in parts]


def _off(session: Session) -> int:
    """By how much a channel's clock is off, where that is no mere delay, and can be believed."""
    return session.off if CLOCK_OFF < abs(session.off) <= CLOCK_OFF_LIMIT else 0


def arrive(connection: Connection, account: int, bodies: Sequence[str], now: int) -> int:
    """Put messages into the inbox; the number of the last. For a unit of `inventory.write` that wakes by
    `waking`; `Inventory.arrived` is called after it."""
    first = counters.take(connection, account, "inbox", len(bodies))
    made = [Message(first + at, SOURCE, CALLER, body, now) for at, body in enumerate(bodies)]
    requests.receive(connection, account, *made)
    return made[-1].id


def waking(now: int) -> tuple[tuple[str, int], ...]:
    """When the account must be looked at because of a message that arrives ``now``."""
    return ((wakeups.INBOX, now),)


def message_text(notice: Notice) -> str:
    """A message as the inbox keeps it."""
    return msgspec.json.encode(notice).decode()


def _seen(order: Order, channel: Channel) -> Seen:
    lines = tuple(_told(line, channel) for line in order.lines)
    updated = max(0, min(order.updated, TIME_LIMIT))
    sent = None if order.sent is None else max(0, min(order.sent, TIME_LIMIT))
    return Seen(_clean(order.id), Snapshot(updated, lines, order.holds, sent), _clean(order.name))


def _told(line: OrderLine, channel: Channel) -> Told:
    return Told(
        _clean(line.id),
        _count(line.ordered),
        _count(line.cancelled),
        _count(line.shipped),
        _count(line.returned),
        _clean(kind.external_id(channel, line.ids)),
        None if line.sku is None else _clean(line.sku),
        _clean(line.location or ""),
    )


def _count(number: int) -> int:
    return max(0, min(number, NUMBER_LIMIT))


def _clean(text: str) -> str:
    # PostgreSQL keeps no U+0000.
    return text.replace("\0", "")


# --- polling ------------------------------------------------------------------------------------------


class Polls:
    """Asks channels for their orders from where it stood last; the `courier.ports.TakesOrders`."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._looked: dict[tuple[int, int], Looked] = {}

    async def poll(self, account: int, connection: int, session: Session) -> bool:
        """One page; True when the channel has more. The cursor moves in the commit that accepts the orders,
        and returns when they are applied, or nearly. The connector itself looks back behind the cursor as
        far as its channel needs. Raises `flow.Failed`."""
        ask = kind.takes_orders(session.module)
        if ask is None:
            return False
        driven = await self._inventory.read(account, partial(drives.driven, account=account, link=connection))
        if driven is None:
            return False
        cursor = driven.orders_cursor
        found: Orders = await session.run(_from(ask, cursor))
        bodies = told(connection, found.orders, session.module.CHANNEL, _off(session))
        if not found.more:
            bodies += await self._again(account, connection, session.module.CHANNEL)
        if bodies or found.cursor != cursor:
            number = await self._keep(account, connection, bodies, found.cursor)
            await self._settled(account, number)
        return found.more and found.cursor != cursor

    async def begin(self, account: int, connection: int, session: Session) -> None:
        """The first page for a connection that is being made: where the cursor begins. From here on no order
        is missed, however long its listings take, and though it has shipped by then. Its lines wait until
        they are imported. Raises `flow.Failed`."""
        ask = kind.takes_orders(session.module)
        driven = await self._inventory.read(account, partial(drives.driven, account=account, link=connection))
        if ask is None or driven is None or driven.orders_cursor is not None:
            return
        found: Orders = await session.run(_from(ask, None))
        bodies = told(connection, found.orders, session.module.CHANNEL, _off(session))
        await self._keep(account, connection, bodies, found.cursor, leased=False)

    async def reread(
        self, account: int, connection: int, session: Session, names: Sequence[str] | None = None
    ) -> None:
        """Ask for orders by their ids: for those named, else for all that hold units here. What the channel
        says it does not have any more is released. Raises `flow.Failed`, also when it has none of many: then
        it is rather another shop than an empty one."""
        ask = kind.rereads(session.module)
        if ask is None:
            return
        after = ""
        while some := await self._holding(account, connection, after) if names is None else names:
            after = some[-1]
            found = await session.run(partial(_named, ask, some))
            if names is None and len(found.gone) == len(some) >= MANY_GONE:
                raise Failed(f"the channel has none of the {len(some)} orders that hold units here")
            bodies = told(connection, found.orders, session.module.CHANNEL, _off(session))
            await _accept(self._inventory, account, [*bodies, *_gone(connection, found, session)])
            if names is not None:
                return

    def forget(self, account: int, connection: int) -> None:
        """A connection is gone: nothing of it need be remembered."""
        self._looked.pop((account, connection), None)

    async def _again(self, account: int, connection: int, channel: Channel) -> list[str]:
        """As `_again`, but for orders of which nothing can have changed since the last poll."""
        key, catalogue = (account, connection), self._inventory.catalogue(account)
        before = self._looked.pop(key, None)

        def query(c: Connection) -> tuple[list[str], Looked | None]:
            return looked(c, account, connection, catalogue, before)

        names, now = await self._inventory.read(account, query, long=True)
        if now is not None:
            self._looked[key] = now
        return _notices(connection, channel, names)

    async def _holding(self, account: int, connection: int, after: str) -> list[str]:
        query = partial(orders.holding, account=account, link=connection, after=after)
        return await self._inventory.read(account, query, long=True)

    async def _keep(
        self, account: int, connection: int, bodies: Sequence[str], cursor: str, *, leased: bool = True
    ) -> int:
        """Accept orders and move the cursor; the number of the last message, 0 for none. Without a lease the
        connection may have been removed meanwhile, and then nothing is kept."""
        now = self._inventory.now()

        def unit(c: Connection) -> int:
            if not leased and linking.held(c, account, connection) is None:
                return 0
            drives.note(c, account, connection, {"orders_cursor": cursor})
            return arrive(c, account, bodies, now) if bodies else 0

        wakes = waking(now) if bodies else ()
        number = await self._inventory.write(account, unit, wakes, quiet=True)
        if number:
            self._inventory.arrived(account)
        return number

    async def _settled(self, account: int, number: int) -> None:
        """Wait until a message is applied, but not for long: a look at the channel's numbers that follows
        would take a sale that is not in the ledger for drift."""
        if not number:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        ends = partial(requests.ends, account=account)
        while loop.time() < deadline:
            left = await self._inventory.read(account, ends)
            if left is None or left[0] > number:
                return
            await asyncio.sleep(STEP_SECONDS)


async def _again(inventory: Inventory, account: int, connection: int, channel: Channel) -> list[str]:
    names = await inventory.read(account, partial(ready, account=account, link=connection), long=True)
    return _notices(connection, channel, names)


def _notices(connection: int, channel: Channel, names: Sequence[str]) -> list[str]:
    gross = channel.meaning is Meaning.GROSS
    return [message_text(Notice(connection, again=tuple(names), gross=gross))] if names else []


def _gone(connection: int, found: Reread, session: Session) -> list[str]:
    names = tuple(map(_clean, found.gone))
    gross = session.module.CHANNEL.meaning is Meaning.GROSS
    return [message_text(Notice(connection, gone=names, gross=gross))] if names else []


def _named(ask: kind.Rereads, names: Sequence[str], settings: Any) -> Flow[Reread]:
    return ask(settings, names)


def _from(ask: kind.TakeOrders, cursor: str | None) -> Any:
    def make(settings: Any) -> Flow[Orders]:
        return ask(settings, cursor)

    return make


# --- orders that wait -----------------------------------------------------------------------------------


class Looked(NamedTuple):
    """A look at a connection's waiting orders that found nothing to do. Their lines have something to stand
    on only once ``mark`` is another one; but for those of ``others``, which wait for the first count of one
    of ``items``."""

    mark: tuple[object, ...]
    until: float
    others: tuple[str, ...]
    items: frozenset[int]


def ready(connection: Connection, account: int, link: int) -> list[str]:
    """The ids of orders with a waiting line that now has something to stand on."""
    return looked(connection, account, link, None, None)[0]


def looked(
    connection: Connection, account: int, link: int, catalogue: object, before: Looked | None
) -> tuple[list[str], Looked | None]:
    """The same, and what the next look need not do again; ``before`` is what the last one said of that, and
    ``catalogue`` what `Inventory.catalogue` said before this one."""
    found = channels.link(connection, account, link)
    if found is None:
        return [], None
    mark = _mark(connection, account, catalogue)
    names, others, items = list[str](), list[str](), set[int]()
    if before is not None and (before.mark != mark or time.monotonic() > before.until):
        before = None
    if before is not None and not tracked(connection, account, before.items):
        return [], before
    for page in _pages(connection, account, link, before):
        lines = {row.external_id: waits(state_of(row)) for row in page}
        below = grounds(connection, account, found, [one.told for some in lines.values() for one in some])
        for name, some in lines.items():
            now = [below[line.told.name, line.told.sku, line.told.place] for line in some]
            if any(one.footing is not line.ground.footing for line, one in zip(some, now, strict=True)):
                names.append(name)
            if uncounted := {one.item for one in now if one.footing is Footing.UNTRACKED}:
                others.append(name)
                items |= uncounted
    if names or mark is None:
        return names[:ORDERS_AT_ONCE], None
    until = before.until if before else time.monotonic() + LOOK_SECONDS
    return [], Looked(mark, until, tuple(others), frozenset(items))


def _mark(connection: Connection, account: int, catalogue: object) -> tuple[object, ...] | None:
    """What changes with whatever could make an item or a listing known, or another order wait. None while
    orders are applied: one that is looked at now may be kept as it was before."""
    if requests.ends(connection, account) is not None:
        return None
    names = (counters.CATALOGUE, "item", "listing", "inbox")
    return catalogue, *(counters.last(connection, account, name) for name in names)


def _pages(
    connection: Connection, account: int, link: int, before: Looked | None
) -> Iterator[list[orders.KeptOrder]]:
    """Orders that wait; after a look that still counts only the ``others``."""
    names = before.others if before else ()
    for at in range(0, len(names), ORDERS_AT_ONCE):
        wanted = [(link, name) for name in names[at : at + ORDERS_AT_ONCE]]
        yield list(orders.kept(connection, account, wanted).values())
    after = ""
    while not before and (page := orders.waiting(connection, account, link, after)):
        after = page[-1].external_id
        yield page


def waits(state: State) -> list[Kept]:
    """The lines of an order that stand on nothing of ours."""
    return [line for line in state.lines if line.ground.footing in ordering.WAITING]


def state_of(row: orders.KeptOrder) -> State:
    """An order as it is kept."""
    lines = msgspec.json.decode(row.lines, type=tuple[Kept, ...])
    return State(row.updated, lines, row.holds)
