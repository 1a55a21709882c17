"""Levels as they are answered, remembered as bytes until they move: on SQLite, where nobody else writes.

What is answered of a level is its row and two names. A row changes by movements, and these are numbered
without gaps: so what was rendered at one number is good at a later one, but for the levels that moved in
between. Where units are reserved, the next expiry changes without a movement, too, and the writer says where;
and what is answered changes when that moment has come.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple, TypeAlias, cast

from sqlalchemy import Connection

from onhand.api.schema import cursor
from onhand.api.told import joined
from onhand.inventory import Inventory
from onhand.stock.model import Place
from onhand.store import levels
from onhand.store.levels import Standing
from onhand.store.shelf import NOTHING, Altered
from onhand.wire import encode

LIMIT = 60_000
"""Levels, and places on pages, remembered at most, in some fifteen megabytes: then it begins anew."""

PAGES_LIMIT = 512
"""Pages of an account, and of those that were asked for once."""

FOLLOWED_LIMIT = 256
"""Movements that are followed at most: as many as take a fifth of the time of a page that is read."""

Filters: TypeAlias = tuple[object, ...]
"""By what a page was filtered, as its cursor knows it."""

Asked = tuple[str | None, Place, int]
"""A page: of which location, behind which place, how many levels."""

NOWHERE = (2**63, 0)
"""Behind every place."""


_PLACE = itemgetter(0, 1)


class Page(NamedTuple):
    """The places on a page, for who may see all; all there are up to ``end``; and its cursor as JSON."""

    location: int | None
    after: Place
    end: Place
    places: list[Place]
    onward: bytes

    def holds(self, place: Place) -> bool:
        """Whether it is another page once a level begins or ceases to be at ``place``."""
        return self.after < place <= self.end and self.location in (None, place[1])


class Rendered:
    """What is remembered of an account, as its movement number ``seq`` left it.

    A place is in ``rows`` only while there is a level, and then every page that it belongs to has it; without
    a text it must be read. All of this is for the event loop. Whoever lets it do anything else between a look
    at the file and `keep` says which number the look has seen.
    """

    __slots__ = (
        *("_account", "_altered", "_answers", "_ends", "_kept_at", "_last", "_once", "_until"),
        *("asked", "catalogue", "listed", "named", "pages", "rows", "seq"),
    )

    def __init__(self, account: int, catalogue: object) -> None:
        self._account = account
        self.catalogue = catalogue
        """What the names were looked up in: see `Inventory.catalogue`."""
        self.asked: dict[bytes, Asked] = {}
        """What queries ask for."""
        self.named: dict[tuple[str, str], Place] = {}
        """What the two names in a path stand for."""
        self._once: set[Asked] = set()
        self._altered = NOTHING
        """All that was altered by then is committed and taken in."""
        self._last: object = None
        self._clear()

    def again(self, asked: Asked) -> bool:
        """Whether a page was asked for before. From the second time on it is remembered: who walks through
        all levels once would have each kept for nobody."""
        if asked in self._once:
            return True
        if len(self._once) >= PAGES_LIMIT:
            self._once.clear()
        self._once.add(asked)
        return False

    def _clear(self, seq: int | None = None) -> None:
        self.seq = seq
        self.rows: dict[Place, bytes | None] = {}
        self.pages: dict[Asked, Page] = {}
        self.listed = 0
        self._answers: dict[Asked, bytes] = {}
        """Whole pages, until the next level of any is forgotten."""
        self._until: dict[Place, int] = {}
        """When what is remembered of a level with reserved units ends, in microseconds UTC, where it does."""
        self._ends: list[tuple[int, Place]] = []
        """The same as a heap; what is not in `_until` any more does not count."""
        self._kept_at = 0
        """When the newest was read: before it, should the clock be set back, it was different."""

    def untouched(self, last: object, now: int) -> bool:
        """Whether nothing was changed, and nothing has ended, since `rest`: ``last`` is what was settled."""
        return last is self._last and now >= self._kept_at and not (self._ends and self._ends[0][0] <= now)

    def answered(self, asked: Asked) -> bytes | None:
        """The answer to a page, while all is `untouched`."""
        return self._answers.get(asked)

    def answer(self, asked: Asked, body: bytes, last: object) -> None:
        """Remember it, if it is what there was when ``last`` was settled and nothing else has been since."""
        if last is self._last and asked in self.pages:
            self._answers[asked] = body

    def ask(self, query: bytes, asked: Asked) -> None:
        """Remember what a query asks for."""
        if len(self.asked) >= PAGES_LIMIT:
            self.asked.clear()
        self.asked[query] = asked

    def take_in(self, altered: Altered, now: int) -> None:
        """Forget what is not good at ``now`` though it has not moved. ``altered`` is asked for behind the
        look at the file whose movements were followed: what else that look has seen is among it."""
        while self._ends and self._ends[0][0] <= now:
            end, place = heapq.heappop(self._ends)
            if self._until.get(place) == end:
                del self._until[place]
                self._drop(place)
        places = [] if altered is self._altered else altered.since(self._altered.number, self._account)
        if places is None or now < self._kept_at:
            self._clear(self.seq)
        else:
            for place in places:
                self._drop(place)

    def rest(self, last: object, altered: Altered) -> None:
        """``last`` was settled behind ``altered``, and both are taken in. What is altered later is taken in
        until the next time: a commit may be under way that a look has not seen."""
        self._last, self._altered = last, altered

    def _drop(self, place: Place) -> None:
        self._answers = {}
        if place in self.rows:
            self.rows[place] = None

    def follow(self, connection: Connection) -> int:
        """Take in what has moved since, or begin anew where that is much; the account's last movement."""
        account = self._account
        if self.seq is not None:
            moved = levels.moved(connection, account, self.seq, FOLLOWED_LIMIT + 1)
            if len(moved) <= FOLLOWED_LIMIT:
                for item, location, present in moved:
                    self._moved((item, location), present == 1)
                self.seq += len(moved)
                return self.seq
        seq = levels.last_seq(connection, account)
        self._clear(seq)
        return seq

    @property
    def size(self) -> int:
        """How much is remembered."""
        answers = sum(len(self.pages[asked].places) for asked in self._answers)
        return len(self.rows) + self.listed + answers + len(self._ends) + len(self.named)

    def _moved(self, place: Place, present: bool) -> None:
        self._answers = {}
        if not present or place not in self.rows:
            for asked in [asked for asked, page in self.pages.items() if page.holds(place)]:
                self.listed -= len(self.pages.pop(asked).places)
        if present:
            self.rows[place] = None
        else:
            self.rows.pop(place, None)

    def cut(self, asked: Asked, filters: Filters, location: int | None, rows: list[Standing]) -> Page:
        """The page that ``rows`` are, one more than was asked for where there are more, read at `seq`."""
        _, after, limit = asked
        places: list[Place] = list(map(_PLACE, rows))
        more = len(places) > limit
        onward = encode(cursor("levels", filters, *places[limit - 1]) if more else None)
        page = Page(location, after, places[-1] if more else NOWHERE, places[:limit], onward)
        if len(self.pages) >= PAGES_LIMIT:
            self.pages, self.listed, self._answers = {}, 0, {}
        self.pages[asked] = page
        self.listed += len(page.places)
        return page

    def texts(self, places: Iterable[Place]) -> list[bytes | None]:
        """What is answered of places on a page; None of those that must be read."""
        text = self.rows.get
        return list(map(text, places))

    def whole(self, page: Page) -> bytes | None:
        """The rows of a page as they are answered; None where something must be read."""
        try:
            return joined(cast(Iterable[bytes], map(self.rows.__getitem__, page.places)))
        except (KeyError, TypeError):  # a place without a text: to look for one takes as long as all else
            return None

    def keep(
        self,
        seq: int,
        texts: Iterable[tuple[Place, bytes]],
        expiries: Iterable[tuple[Place, int]],
        now: int,
    ) -> None:
        """Remember what was rendered of levels that were there at ``seq`` and were read by ``now``; those
        with ``expiries`` until then."""
        if seq != self.seq:
            return
        self.rows.update(texts)
        self._kept_at = now
        for place, end in expiries:
            if self._until.get(place) != end:
                self._until[place] = end
                heapq.heappush(self._ends, (end, place))


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
            known = self._accounts[account] = Rendered(account, catalogue)
        return known

    def grown(self, count: int) -> None:
        """So many more are remembered: begin anew where that is too much."""
        self._count += count
        if self._count > LIMIT:
            self._count = sum(one.size for one in self._accounts.values())
            if self._count > LIMIT:
                self._accounts, self._count = {}, 0
