"""Applies channels' orders to the ledger: each difference once, however often and however late they come.

An order is state (`stock.ordering`). Its messages are applied in order of arrival, each in one commit with
the commands, the kept order, what the channel did to its own slots, and incidents; so an order that comes by
webhook and by poll, twice and out of order reserves once, ships once and cancels once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
import structlog
from msgspec.structs import replace
from sqlalchemy import Connection

from onhand.grounding import grounds
from onhand.inbox import Applier
from onhand.inventory import Inventory
from onhand.orders_in import (
    CALLER,
    ORDERS_AT_ONCE,
    SOURCE,
    Notice,
    message_text,
    reference,
    state_of,
    waits,
)
from onhand.stock import ordering
from onhand.stock.ledger import Refused
from onhand.stock.model import AnyCommand, Reservation, Reserve
from onhand.stock.ordering import Footing, State, Told
from onhand.stock.swapping import parted
from onhand.store import books, channels, incidents, orders, oversold
from onhand.store.channels import Link
from onhand.store.requests import Message
from onhand.work import Group, PutOrder, Recorded, Work

LONG_READ = 20
"""Orders that are read on the event loop itself at most."""
ATTEMPTS = 2
"""How often an order is tried that the ledger refuses: what its lines stand on may have changed meanwhile."""

log = structlog.get_logger(__name__)


class Change(NamedTuple):
    """An order before and after the messages of a commit, and what its reservation holds."""

    connection: Link
    id: str
    name: str
    gross: bool
    old: State | None
    new: State
    hold: Reservation | None
    gone: bool = False
    """Whether the channel does not have it any more."""
    off: int = 0
    """By how many microseconds the channel's clock is ahead of ours."""

    @property
    def reference(self) -> str:
        """What its reservation is called."""
        return reference(self.connection.id, self.id)

    @property
    def commands(self) -> tuple[AnyCommand, ...]:
        """What the order asks of the ledger."""
        return ordering.commands(self.reference, self.new, self.hold)


def applier(loses: str = oversold.NEWEST) -> Applier:
    """The `onhand.inbox.Applier` of `SOURCE`; ``loses`` is the policy for what cannot be kept."""
    return partial(_apply, loses=loses)


async def _apply(
    inventory: Inventory, account: int, messages: Sequence[Message], loses: str = oversold.NEWEST
) -> None:
    left = [(message.id, msgspec.json.decode(message.body, type=Notice)) for message in messages]
    at_once = ORDERS_AT_ONCE
    while left:
        run = _run(left, at_once)
        numbers, notices = zip(*run, strict=True)
        changes = await _changes(inventory, account, notices)
        recorded = await inventory.record(_work(account, numbers, changes, loses))
        if recorded.done_before:
            # Another process has the oldest of these messages: what we read is old. Only who has the oldest
            # message commits, so that nobody ever writes on what somebody else is about to change.
            return
        if recorded.outdated:
            # Another hand has moved units of one of these orders, which is to be decided on, too. Of fewer
            # orders fewer change before the commit.
            at_once = 1
            continue
        await _once_more(inventory, account, notices, changes, recorded)
        left = left[len(run) :]


def _run(left: Sequence[tuple[int, Notice]], at_once: int) -> Sequence[tuple[int, Notice]]:
    """The first of the messages, as many as make a commit: one, or more with no more than so many orders."""
    sizes = accumulate(_size(notice) for _, notice in left)
    return left[: max(1, sum(1 for size in sizes if size <= at_once))]


async def _changes(inventory: Inventory, account: int, notices: Sequence[Notice]) -> list[Change]:
    query = partial(_look, account=account, notices=notices)
    long = sum(_size(notice) for notice in notices) > LONG_READ
    return await inventory.read(account, query, long=long)


def _work(account: int, messages: tuple[int, ...], changes: Sequence[Change], loses: str) -> Work:
    """What ends these messages, on the holds that it was made from."""
    groups = tuple(_group(change, loses) for change in changes)
    pairs = zip(changes, groups, strict=True)
    seen = tuple((change.reference, change.hold) for change, group in pairs if group.commands)
    context = f"orders in message {messages[0]}"
    return Work(account, groups, CALLER, consume=messages, context=context, seen=seen)


def _size(notice: Notice) -> int:
    return len(notice.orders) + len(notice.again) + len(notice.gone)


def _look(connection: Connection, account: int, notices: Sequence[Notice]) -> list[Change]:
    """What the orders of these messages come to, in one snapshot: each order once."""
    links = {number: channels.link(connection, account, number) for number in _links(notices)}
    names = {(n.connection, one.id) for n in notices for one in n.orders}
    lost = {(n.connection, one) for n in notices for one in n.gone}
    names |= lost | {(n.connection, one) for n in notices for one in n.again}
    rows = orders.kept(connection, account, names)
    old = {name: state_of(row) for name, row in rows.items()}
    new, called = _folded(notices, links, old)
    called = {name: row.name for name, row in rows.items()} | called
    holds = books.reservations(connection, [(account, reference(*name)) for name in new], lock=False)
    gross = {n.connection: n.gross for n in notices}
    off = {n.connection: n.off for n in notices if n.off}
    changes = []
    for number, link in links.items():
        mine = {name: state for name, state in new.items() if name[0] == number}
        if link is None or not mine:
            continue
        lines = [line.told for state in mine.values() for line in waits(state)]
        ground = grounds(connection, account, link, lines)
        for name, state in mine.items():
            on = {line.told.id: ground[_place(line.told)] for line in waits(state)}
            made = ordering.grounded(state, on)
            if name in rows:
                made = _counted_since(connection, account, rows[name], old[name], made)
            hold = holds.get((account, reference(*name)))
            gone = name in lost and not made.holds
            before = old.get(name)
            change = Change(
                link, name[1], called[name], gross[number], before, made, hold, gone, off.get(number, 0)
            )
            if change.new != change.old or change.commands:
                changes.append(change)
    return changes


def _counted_since(
    connection: Connection, account: int, row: orders.KeptOrder, old: State, new: State
) -> State:
    """The order with what had left before its item was first counted as past: the count is without it."""
    left = {line.told.id: line for line in waits(old) if line.told.shipped}
    found = [line for line in new.lines if line.told.id in left and line.ground.footing is Footing.TAKEN]
    if not found:
        return new
    first = orders.first_counted(connection, account, [line.ground.item for line in found])
    since = {line.told.id for line in found if first.get(line.ground.item, 0) > row.seen_at}
    return ordering.past(new, {name: line for name, line in left.items() if name in since})


def _place(line: Told) -> tuple[str, str | None, str]:
    return (line.name, line.sku, line.place)


def _links(notices: Sequence[Notice]) -> list[int]:
    return list(dict.fromkeys(notice.connection for notice in notices))


def _folded(
    notices: Sequence[Notice], links: Mapping[int, Link | None], old: Mapping[tuple[int, str], State]
) -> tuple[dict[tuple[int, str], State], dict[tuple[int, str], str]]:
    """The orders after all snapshots, and their names; older snapshots change nothing."""
    states = dict(old)
    touched: dict[tuple[int, str], State] = {}
    called: dict[tuple[int, str], str] = {}
    for notice in notices:
        link = links[notice.connection]
        if link is None:
            log.warning("orders of a connection that is gone are passed over", connection=notice.connection)
            continue
        for one in notice.orders:
            name = (notice.connection, one.id)
            known = states.get(name)
            made = ordering.merged(known, parted(known, one.snapshot), link.created_at)
            if made is not None:
                states[name] = touched[name] = made
                called[name] = one.name
        for again in notice.again:
            name = (notice.connection, again)
            if name in states:
                touched[name] = states[name]
        for lost in notice.gone:
            name = (notice.connection, lost)
            if name in states:
                # At its old time of change: should the channel have it again after all, it counts again.
                states[name] = touched[name] = replace(states[name], holds=False)
    return touched, called


def _group(change: Change, loses: str) -> Group:
    made = change.commands
    put = PutOrder(
        connection=change.connection.id,
        external_id=change.id,
        reference=change.reference,
        name=change.name,
        updated=change.new.updated,
        holds=change.new.holds,
        lines=msgspec.json.encode(change.new.lines).decode(),
        waiting=change.new.waiting,
        took=tuple(ordering.took(change.old, change.new)),
        gross=change.gross,
        off=change.off,
        news=tuple((incidents.ORDER, body) for body in _news(change)),
        reserves=any(isinstance(one, Reserve) for one in made),
        loses=loses,
    )
    return Group(made, also=(put,))


def _news(change: Change) -> Iterator[dict[str, Any]]:
    """An incident when lines are new that stand on nothing of ours, or when an open order is gone."""
    before = {line.told.id: line.ground.footing for line in change.old.lines} if change.old else {}
    told = []
    for footing, why in WHY.items():
        lines = [line.told for line in change.new.lines if line.ground.footing is footing]
        if any(before.get(line.id) is not footing for line in lines):
            told.append((why, lines))
    if change.gone and change.old and change.old.holds:
        told.append((GONE, [line.told for line in change.new.lines if line.open]))
    for why, lines in told:
        if lines:
            yield {
                "why": why,
                "order": change.id,
                "name": change.name,
                "connection": change.connection.id,
                "channel": change.connection.channel,
                "connection_name": change.connection.name,
                "lines": [
                    {"line": one.id, "listing": one.name, "sku": one.sku, "units": one.ordered}
                    for one in lines
                ],
            }


GONE = "The channel does not have this order any more; what it held here is released"
WHY = {
    Footing.UNKNOWN: "No listing and no item here is what was sold; nothing is held until there is one",
    Footing.NOWHERE: "No location here feeds what was sold; nothing is held until one does",
}


async def _once_more(
    inventory: Inventory,
    account: int,
    notices: Sequence[Notice],
    changes: Sequence[Change],
    recorded: Recorded,
) -> None:
    """Accept the snapshots of refused orders anew: a location or an item of theirs may have been changed
    between our look and the commit. What is refused again stays an incident."""
    outcomes = zip(changes, recorded.outcomes, strict=False)
    refused = {(one.connection.id, one.id) for one, outcome in outcomes if isinstance(outcome, Refused)}
    for notice in notices:
        mine = tuple(one for one in notice.orders if (notice.connection, one.id) in refused)
        if mine and notice.attempt < ATTEMPTS:
            again = replace(notice, orders=mine, again=(), gone=(), attempt=notice.attempt + 1)
            await inventory.accept(account, SOURCE, CALLER, message_text(again))
