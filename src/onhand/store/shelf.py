"""Levels that the one connection that writes to a SQLite file remembers from commit to commit.

Nobody else writes there, so what was read or written stays as it is until this connection writes again.
Whoever does that by another way than `store.onestep` takes from here what is going to change, before it
does: `drop` levels, `advanced` accounts, `alter` levels that change without a movement, and `forget` where
items, locations or listings change.
What is here is committed. It may be looked at in any thread; all else is for who has the connection.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import Level, Place
from onhand.store import books
from onhand.store.books import PLACES, Spot
from onhand.store.sql import Statement

SHELF_LIMIT = 30_000
"""Levels remembered at most, in some ten megabytes; then it begins anew."""

COUNTED_LIMIT = 20_000
"""And of those of which it is not known who is told of them."""

ALTERED_LIMIT = 1_000
"""Levels that were altered without a movement, remembered at most."""

_SHELF = "shelf"
_SHELVES = itertools.count()

# The joins are not SQLite's to turn round: it would go through all listings of a connection.
_TOLD = (
    ", (SELECT json_group_array(DISTINCT g.connection) FROM feeds f"
    " CROSS JOIN listings g ON g.account = f.account AND g.id = f.listing"
    " WHERE f.account = r.account AND f.item = r.item AND f.location = r.location)"
)
_load = Statement(sqlite=books.packed(_TOLD), rows=PLACES, listed=True)


class Known:
    """What is remembered of an account: levels of ordinary items at locations of ours, the connections that
    are told of them, where there are any, and the number and time of the last movement. Of the ``counted``
    levels, which are others, it is not known who is told."""

    __slots__ = ("counted", "last", "levels", "told")

    def __init__(self) -> None:
        self.levels: dict[Place, Level] = {}
        self.counted: dict[Place, Level] = {}
        self.told: dict[Place, tuple[int, ...]] = {}
        self.last: tuple[int, int] | None = None

    def level(self, place: Place) -> Level | None:
        """A level, whether it is known who is told of it or not."""
        return self.levels.get(place) or self.counted.get(place)


class Altered(NamedTuple):
    """Levels whose next expiry was changed, which is no movement: how many so far, and the last of them."""

    number: int
    spots: tuple[Spot, ...]

    def since(self, number: int, account: int) -> list[Place] | None:
        """Those of an account behind the first ``number``; None where more were altered than are known."""
        new = self.number - number
        if not 0 <= new <= len(self.spots):
            return None
        return [spot[1:] for spot in self.spots[len(self.spots) - new :] if spot[0] == account]


NOTHING = Altered(0, ())


class Shelf:
    """What is remembered, by account."""

    __slots__ = ("_accounts", "_count", "_counted", "_under_way", "age", "altered")

    def __init__(self) -> None:
        self.age = 0
        """Another one once anything was forgotten: what was decided before may rest on what is not so."""
        self._accounts: dict[int, Known] = {}
        self._count = self._counted = 0
        self._under_way: list[tuple[int, Mapping[Place, Level]]] = []
        # No number is one of another shelf.
        self.altered = Altered((next(_SHELVES) + 1) << 40, ())

    def known(self, account: int) -> Known:
        """What is remembered of an account."""
        found = self._accounts.get(account)
        # Two threads may ask at once: both are to have the same.
        return self._accounts.setdefault(account, Known()) if found is None else found

    def load(self, connection: Connection, spots: Iterable[Spot]) -> bool:
        """Look up levels that are not here; False where one of them is of a kit, or of something unknown or
        mirrored, which is never remembered. Not within a transaction that has written."""
        wanted = list(spots)
        self._count += len(wanted)
        if self._count > SHELF_LIMIT:
            self.forget()
            return False
        ordinary = True
        for (text,) in _load.run(connection, wanted):
            rows = msgspec.json.decode(text)
            found = books.by_spot(row[:-1] for row in rows)
            for account, item, at, *_, told in rows:
                level, kit, kind = found[account, item, at]
                if kit == 0 and kind is not None and kind != "mirrored":
                    known = self.known(account)
                    known.levels[item, at] = level
                    self._uncount(known, (item, at))
                    known.told.pop((item, at), None)
                    if told:
                        known.told[item, at] = tuple(told)
                else:
                    ordinary = False
        return ordinary

    def last(self, connection: Connection, account: int) -> tuple[int, int]:
        """The account's last movement number and the time it was recorded; (0, 0) for none."""
        known = self.known(account)
        if known.last is None:
            known.last = books.last(connection, account)
        return known.last

    def drop(self, spots: Iterable[Spot]) -> None:
        """These levels are about to be written."""
        for account, item, at in spots:
            if account in self._accounts:
                known = self._accounts[account]
                known.levels.pop((item, at), None)
                self._uncount(known, (item, at))

    def begin(self) -> None:
        """Nothing is under way: a transaction comes to its works."""
        self._under_way = []

    def count(self, account: int, levels: Mapping[Place, Level]) -> None:
        """The works leave these levels, none of them of a kit, mirrored or of something unknown."""
        self._under_way.append((account, levels))

    def committed(self) -> None:
        """The transaction was committed: what its works left may be remembered."""
        new = sum([len(levels) for _, levels in self._under_way])
        if new > COUNTED_LIMIT:
            return
        if self._counted + new > COUNTED_LIMIT:
            for known in self._accounts.values():
                known.counted = {}
            self._counted = 0
        for account, levels in self._under_way:
            known = self.known(account)
            self._counted -= len(known.counted)
            known.counted.update(
                {place: level for place, level in levels.items() if place not in known.levels}
                if known.levels
                else levels
            )
            self._counted += len(known.counted)

    def _uncount(self, known: Known, place: Place) -> None:
        if known.counted.pop(place, None) is not None:
            self._counted -= 1

    def advanced(self, accounts: Iterable[int]) -> None:
        """These accounts are about to have movements."""
        for account in accounts:
            if account in self._accounts:
                self._accounts[account].last = None

    def alter(self, spots: Collection[Spot]) -> None:
        """The next expiries of these levels are about to be written, and nothing else of them."""
        # First, so that who sees a number behind this one sees no last movement until all is committed.
        self.advanced({spot[0] for spot in spots})
        number, known = self.altered
        self.altered = Altered(number + len(spots), (*known, *spots)[-ALTERED_LIMIT:])

    def forget(self, account: int | None = None) -> None:
        """Anything may change, of this account or of all."""
        self.age += 1
        if account is None:
            gone, self._accounts, self._count, self._counted = self._accounts, {}, 0, 0
        else:
            gone = {account: self._accounts.pop(account, Known())}
            self._counted -= len(gone[account].counted)
        for known in gone.values():
            known.last = None  # for who is looking at this moment


def of(connection: Connection) -> Shelf:
    """The shelf of a connection."""
    info: dict[Any, Any] = connection.info
    shelf: Shelf | None = info.get(_SHELF)
    if shelf is None:
        # Two threads may ask at once: both are to have the same.
        shelf = info.setdefault(_SHELF, Shelf())
    return shelf


def begin(connection: Connection) -> None:
    """A transaction on a connection comes to its works; PostgreSQL's have no shelf."""
    if connection.dialect.name == "sqlite":
        of(connection).begin()


def committed(connection: Connection) -> None:
    """It was committed."""
    if connection.dialect.name == "sqlite":
        of(connection).committed()
