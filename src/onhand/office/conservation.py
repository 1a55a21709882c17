"""Proves from the ledger's own movements that a replay lost no unit and made none up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from onhand.office import replay
from onhand.office.orderfile import Ask, What
from onhand.office.replay import DONE, Told
from onhand.stock.model import Kind
from onhand.store import catalog, levels, tallies
from onhand.store.tallies import Move

Name: TypeAlias = tuple[What, str]
"""What was asked, and the reference it has in the ledger."""

_ADJUSTED = {replay.RETURNED: What.RETURN, replay.LOST: What.LOSS}


class Sums(msgspec.Struct):
    """One SKU's units in the ledger: opening + received - shipped + returned - lost + other + endless
    must be closing. ``other`` is what others did at the same level meanwhile, ``endless`` what was
    shipped of infinite stock, which leaves on_hand alone; ``last`` is on_hand after the last movement."""

    opening: int = 0
    received: int = 0
    shipped: int = 0
    returned: int = 0
    lost: int = 0
    other: int = 0
    endless: int = 0
    closing: int = 0
    last: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the sum comes out, and the last movement agrees with the level."""
        left = self.opening + self.received - self.shipped + self.returned - self.lost
        return left + self.other + self.endless == self.closing and self.last in (None, self.closing)


class Run(NamedTuple):
    """What a replay asked and was told. ``items`` is SKU to item id, ``receipts`` SKU to answer."""

    location: int
    digest: str
    items: Mapping[str, int]
    receipts: Mapping[str, Told]
    asks: Sequence[Ask]
    answers: Sequence[Told]

    @property
    def start(self) -> int:
        """The account's last movement before the first of this file's: where to count from."""
        told = [*self.receipts.values(), *self.answers]
        firsts = [one.seq for one in told if one.status == DONE and one.seq != 0]
        if not firsts:
            return 2**62
        return 0 if None in firsts else min(first for first in firsts if first is not None) - 1


class Proof(NamedTuple):
    """What the ledger says: the units of each SKU (an item id where it has none), and every fault."""

    sums: dict[str, Sums]
    faults: list[str]

    def total(self, name: str) -> int:
        """One column of the sums over all SKUs."""
        return sum(int(getattr(one, name)) for one in self.sums.values())


class Count:
    """The movements of one run as they are read."""

    def __init__(self, run: Run) -> None:
        self._invoices = {replay.reference(ask.invoice) for ask in run.asks}
        self._stock = replay.stock_reference(run.digest)
        self.sums: dict[int, Sums] = {}
        self.mine: set[int] = set()
        self.units: dict[Name, int] = {}
        self.faults: list[str] = []

    def add(self, move: Move, opening: int) -> None:
        """Take in one movement; ``opening`` is where its SKU began."""
        sums = self.sums.setdefault(move.item, Sums(last=opening))
        if (sums.last or 0) + move.on_hand != move.on_hand_after:
            self.faults.append(f"movement {move.seq} does not follow from the one before it")
        sums.last = move.on_hand_after
        if move.caller == replay.CALLER and self._own(move, sums):
            self.mine.add(move.item)
        else:
            sums.other += move.on_hand

    def _own(self, move: Move, sums: Sums) -> bool:
        """Whether the movement belongs to this file; it is then counted."""
        name = move.reference or ""
        if name == self._stock and move.reason == replay.RECEIVED:
            sums.received += move.on_hand
            return True
        if name not in self._invoices:
            return False
        if move.kind == Kind.SHIPPED:
            sums.shipped -= move.reserved
            sums.endless += move.on_hand - move.reserved
            self._found(What.ORDER, name, -move.reserved)
        elif move.kind == Kind.ADJUSTED and move.reason in _ADJUSTED:
            what = _ADJUSTED[move.reason]
            if what is What.RETURN:
                sums.returned += move.on_hand
            else:
                sums.lost -= move.on_hand
            self._found(what, name, abs(move.on_hand))
        else:
            return move.kind == Kind.RESERVED
        return True

    def _found(self, what: What, name: str, units: int) -> None:
        self.units[what, name] = self.units.get((what, name), 0) + units


def prove(connection: Connection, account: int, run: Run, now: int) -> Proof:
    """Add up every movement at the run's location since its first, in one snapshot of the ledger.

    Three things must hold: each SKU's sum; that every order, loss and return that was answered as
    done is in the ledger with all its units, once; and that each movement follows from the last.
    """
    start = min(run.start, levels.last_seq(connection, account))
    count = Count(run)
    known = dict(tallies.on_hand_at(connection, account, run.location, run.items.values(), start))
    for move in tallies.moves(connection, account, run.location, start):
        if move.item not in known:
            known |= tallies.on_hand_at(connection, account, run.location, [move.item], start)
        count.add(move, known[move.item])
    names = {item: sku for sku, item in run.items.items()}
    # Kits ship as their components: those belong to the proof although the file does not name them.
    names |= {item: f"item {item}" for item in count.mine if item not in names}
    places = [(item, run.location) for item in names]
    closing = levels.at(connection, account, places, now)
    found: dict[str, Sums] = {}
    for item, name in names.items():
        sums = found[name] = count.sums.get(item) or Sums()
        sums.opening = known[item]
        level = closing.get((item, run.location))
        sums.closing = level.on_hand if level else 0
    kits = {one.id for one in catalog.items(connection, account, run.items.values()).values() if one.kit}
    return Proof(found, [*count.faults, *_wrong_sums(found), *_missing(run, count, kits)])


def _wrong_sums(found: Mapping[str, Sums]) -> list[str]:
    return [
        f"{name}: {one.opening} + {one.received} received - {one.shipped} shipped + {one.returned} returned"
        f" - {one.lost} lost + {one.other + one.endless} other is not {one.closing}"
        for name, one in found.items()
        if not one.holds
    ]


def _missing(run: Run, count: Count, kits: set[int]) -> list[str]:
    """Asks that were answered as done and are not in the ledger as they should be, or the reverse."""
    expected: dict[Name, int] = {}
    unsure: set[Name] = set()
    for ask, told in zip(run.asks, chain(run.answers, repeat(None)), strict=False):
        name = (ask.what, replay.reference(ask.invoice))
        expected.setdefault(name, 0)
        if told is None or _unsure(run, ask, told, kits):
            unsure.add(name)
        elif told.status == DONE and told.seq != 0:
            expected[name] += ask.units
    return [
        f"{name[0]} of {name[1]}: {units} units were answered for, the ledger has {count.units.get(name, 0)}"
        for name, units in expected.items()
        if name not in unsure and count.units.get(name, 0) != units
    ]


def _unsure(run: Run, ask: Ask, told: Told, kits: set[int]) -> bool:
    """Whether the units in the ledger may rightly differ: another file's invoice of this number, a
    kit that shipped as its components, a loss that may have been taken from infinite stock."""
    return (
        told.status == replay.CONFLICT
        or any(run.items[sku] in kits for sku, _ in ask.lines)
        or (ask.what is What.LOSS and told.status == DONE and told.seq is None)
    )
