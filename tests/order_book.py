"""An order played snapshot by snapshot on a draft ledger, each with the commands that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from onhand.stock import ordering
from onhand.stock.ledger import Draft
from onhand.stock.ordering import Footing, Ground, Snapshot, State, Told
from transcript import say

REF = "order:1:A"
OWNER = "onhand:orders"
STOCK = "1@1 10/0, 1@2 10/0, 2@1 10/0"


class Book(NamedTuple):
    """A draft ledger and where the order stands in it."""

    draft: Draft
    grounds: dict[str, Ground]


def line(name: str = "a", ordered: int = 1, *, c: int = 0, s: int = 0, r: int = 0) -> Told:
    """A line as a snapshot tells it: ordered, cancelled, shipped, returned."""
    return Told(name, ordered, c, s, r)


def snap(updated: int, *lines: Told, holds: bool = True, sent: int | None = None) -> Snapshot:
    """A snapshot at a moment."""
    return Snapshot(updated, lines, holds, sent)


def on(item: int, *locations: int) -> Ground:
    """An item of ours, at location 1 if none is named; its listing is ten times its number."""
    return Ground(Footing.TAKEN, item, locations or (1,), item * 10, "")


def play(
    book: Book, snapshots: Sequence[Snapshot], state: State | None = None, since: int = 0
) -> State | None:
    """Take snapshots in order, each with what follows from it."""
    for one in snapshots:
        made = ordering.merged(state, one, since)
        if made is None:
            continue
        state = ordering.grounded(made, {n: g for n, g in book.grounds.items() if n in _ids(made)})
        hold = book.draft.reservations.get(REF)
        commands = ordering.commands(REF, state, hold)
        assert isinstance(say(book.draft, *commands, by=OWNER), str), (commands, hold)
        hold = book.draft.reservations.get(REF)
        assert ordering.commands(REF, state, hold) == (), "the difference is gone once it was made"
    return state


def _ids(state: State) -> set[str]:
    return {one.told.id for one in state.lines}
