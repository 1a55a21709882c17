"""Levels as they are answered, remembered as bytes until they move: on SQLite, where nobody else writes.

What is answered of a level is its row and two names. A row in which nothing is reserved changes by movements
alone, and these are numbered without gaps: so what was rendered at one number is good at a later one, but for
the levels that moved in between. A level of which units are reserved is read anew each time: its next expiry
is about now, and a hold is extended without a movement.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple, cast

from sqlalchemy import Connection

from onhand.api.told import joined
from onhand.inventory import Inventory
from onhand.stock.model import Place
from onhand.store import levels
from onhand.store.levels import Standing

LIMIT = 60_000
"""Levels, and places on pages, remembered at most, in some fifteen megabytes: then it begins anew."""

PAGES_LIMIT = 512
"""Pages of an account, and of those that were asked for once."""

PUT_OFF = 50
"""How often a page that did not pay is read before it is tried again."""

FOLLOWED_LIMIT = 256
"""Movements that are followed at most: as many as take a fifth of the time of a page that is read."""

Asked = tuple[str | None, Place, int]
"""A page: of which location, behind which place, how many levels."""

NOWHERE = (2**63, 0)
"""Behind every place."""


_PLACE = itemgetter(0, 1)


class Page(NamedTuple):
    """The places on a page, for who may see all; all there are up to ``end``; and whether more follow."""

    location: int | None
    after: Place
    end: Place
    places: list[Place]
    more: bool

    def holds(self, place: Place) -> bool:
        """Whether it is another page once a level begins or ceases to be at ``place``."""
        return self.after < place <= self.end and self.location in (None, place[1])


class Rendered:
    """What is remembered of an account, as its movement number ``seq`` left it.

    A place is in ``rows`` only while there is a level, and then every page that it belongs to has it; without
    a text it must be read. All of this is for the event loop. Whoever lets it do anything else between a look
    at the file and `keep` says which number the look has seen.
    """

    __slots__ = ("_later", "_once", "catalogue", "listed", "pages", "rows", "seq")

    def __init__(self, catalogue: object) -> None:
        self.catalogue = catalogue
        """What the names were looked up in: see `Inventory.catalogue`."""
        self._once: set[Asked] = set()
        self._later: dict[Asked, int] = {}
        """Pages that did not pay, and how often they are still to be read as if they were asked for once."""
        self._clear()

    def again(self, asked: Asked) -> bool:
        """Whether a page was asked for before. From the second time on it is remembered: who walks through
        all levels once would have each kept for nobody."""
        if left := self._later.get(asked):
            self._later[asked] = left - 1
            return False
        if asked in self._once:
            return True
        if len(self._once) >= PAGES_LIMIT:
            self._once.clear()
        self._once.add(asked)
        return False

    def put_off(self, asked: Asked) -> None:
        """Much of a page is read anew each time, because units of it are reserved: remember it no more."""
        if (page := self.pages.pop(asked, None)) is not None:
            self.listed -= len(page.places)
        if len(self._later) >= PAGES_LIMIT:
            self._later.clear()
        self._later[asked] = PUT_OFF

    def _clear(self) -> None:
        self.seq: int | None = None
        self.rows: dict[Place, bytes | None] = {}
        self.pages: dict[Asked, Page] = {}
        self.listed = 0

    def follow(self, connection: Connection, account: int) -> int:
        """Take in what has moved since, or begin anew where that is much; the account's last movement."""
        if self.seq is not None:
            moved = levels.moved(connection, account, self.seq, FOLLOWED_LIMIT + 1)
            if len(moved) <= FOLLOWED_LIMIT:
                for item, location, present in moved:
                    self._moved((item, location), present == 1)
                self.seq += len(moved)
                return self.seq
        self._clear()
        self.seq = seq = levels.last_seq(connection, account)
        return seq

    def _moved(self, place: Place, present: bool) -> None:
        if not present or place not in self.rows:
            for asked in [asked for asked, page in self.pages.items() if page.holds(place)]:
                self.listed -= len(self.pages.pop(asked).places)
        if present:
            self.rows[place] = None
        else:
            self.rows.pop(place, None)

    def cut(self, asked: Asked, location: int | None, rows: list[Standing]) -> Page:
        """The page that ``rows`` are, one more than was asked for where there are more, read at `seq`."""
        _, after, limit = asked
        places: list[Place] = list(map(_PLACE, rows))
        more = len(places) > limit
        page = Page(location, after, places[-1] if more else NOWHERE, places[:limit], more)
        if len(self.pages) >= PAGES_LIMIT:
            self.pages, self.listed = {}, 0
        self.pages[asked] = page
        self.listed += len(page.places)
        return page

    def texts(self, places: Iterable[Place]) -> list[bytes | None]:
        """What is answered of places on a page; None of those that must be read."""
        text = self.rows.get
        return list(map(text, places))

    def whole(self, page: Page) -> bytes | None:
        """The rows of a page as they are answered; None where something must be read."""
        rows = self.rows
        try:
            return joined(cast(list[bytes], [rows[place] for place in page.places]))
        except (KeyError, TypeError):  # a place without a text: to look for one takes as long as all else
            return None

    def keep(self, seq: int, texts: Iterable[tuple[Place, bytes]], reserved: Iterable[Place] = ()) -> None:
        """Remember what was rendered of levels that were there at ``seq``, but for the ``reserved`` ones."""
        if seq == self.seq:
            self.rows.update(texts)
            for place in reserved:
                self.rows[place] = None


class Renderings:
    """What is remembered, by account."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._accounts: dict[int, Rendered] = {}
        self._count = 0

    def of(self, account: int) -> Rendered | None:
        """What is remembered of an account; None on PostgreSQL. To be asked for before any name is looked up
        that goes into what is then remembered."""
        catalogue = self._inventory.catalogue(account)
        if catalogue is None:
            return None
        known = self._accounts.get(account)
        if known is None or known.catalogue is not catalogue:
            known = self._accounts[account] = Rendered(catalogue)
        return known

    def grown(self, count: int) -> None:
        """So many more are remembered: begin anew where that is too much."""
        self._count += count
        if self._count > LIMIT:
            self._count = sum(len(one.rows) + one.listed for one in self._accounts.values())
            if self._count > LIMIT:
                self._accounts, self._count = {}, 0
