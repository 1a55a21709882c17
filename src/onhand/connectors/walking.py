"""Walks orders by their time of change, so that one that changes while we page is not stepped over. Pure.

A page number alone loses orders: whatever changes moves to the end of the list and the rest moves up by one.
So a walk goes on from the last time it saw, and counts pages only among orders of that same second. Where
that takes several pages it reads them twice: one that changed in between has hidden another at most once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from onhand.connectors.flow import Failed, Flow, Request, Response
from onhand.connectors.reading import ask, iso, moment, said_at

OVERLAP = 120_000_000
"""Microseconds that a new round looks back: a change may show later than its own time says."""
SECOND = 1_000_000
FRESH = 600_000_000
"""Microseconds in which no channel forgets a cursor."""
LOST_CURSOR = frozenset({400, 404, 410})
"""Statuses by which channels refuse a cursor that they have forgotten."""
AGAIN = 20
"""Rows that every page of open orders repeats: those that are shipped meanwhile leave the list, new ones hide
that it has become shorter, and the rest moves up."""
APART = 3_600 * SECOND
"""By how much the clock of a web server, or of a proxy before it, may be ahead of that by which a shop on a
machine of its own dates its orders."""


class Walk(NamedTuple):
    """Where a walk stands. ``opening``: the first look of a new connection, which only wants open orders.
    ``since`` is the time to ask from (None: the beginning), ``page`` counts from 1, and ``high`` is where
    the next round begins; ``began`` is when this one did, by the channel's clock, 0 where that is not known.
    ``again``: the pages of this second are read for the second time. Times are in microseconds UTC."""

    opening: bool
    since: int | None
    page: int
    high: int
    began: int = 0
    again: bool = False

    def write(self) -> str:
        """As a cursor."""
        since = "" if self.since is None else self.since
        kind = ("open" if self.opening else "more") + ("+" if self.again else "")
        return f"{kind}|{since}|{self.page}|{self.high}|{self.began}"

    @property
    def asked_from(self) -> int | None:
        """A second before ``since``, for channels that do not say whether what changed at the moment asked
        for is in their answer: a page may have ended in the middle of a second."""
        return None if self.since is None else max(0, self.since - SECOND)

    @property
    def first(self) -> bool:
        """Whether this is the first page of all."""
        return self.since is None and self.page == 1


def read(cursor: str | None) -> Walk:
    """The walk of a cursor: one that is under way, a plain ISO moment (a new round), or the opening."""
    match (cursor or "").split("|"):
        case [("open" | "more" | "open+" | "more+") as kind, since, page, *times] if 1 <= len(
            times
        ) <= 2 and all(map(str.isdecimal, (page, *times))):
            begin = int(since) if since.isdecimal() else None
            high, began = map(int, (*times, "0")[:2])
            return Walk(kind.startswith("open"), begin, int(page), high, began, kind.endswith("+"))
        case [plain] if (when := moment(plain)) is not None:
            return Walk(False, max(0, when - OVERLAP), 1, max(0, when))
        case _:
            return Walk(True, None, 1, 0)


def step(
    walk: Walk, changed: Sequence[int], full: bool, answer: Response, apart: int = 0
) -> tuple[str, bool]:
    """The cursor after a page and whether there is more at once. ``changed`` are the times of its orders as
    they came, ``full`` says that it had as many as were asked for. ``apart`` says by how much the clock that
    dates answers may be ahead of the one that dates orders."""
    began = walk.began or said_at(answer) or 0
    last = max(changed, default=0)
    # On a long way what is shown late lies behind us already: the next round begins where this one did.
    high = max(walk.high, min(last, began or last))
    if walk.opening:
        # What changes while the open orders are read is read again by the first round.
        high = max(0, (said_at(answer) or 0) - apart) if walk.first else walk.high
    ends = not full or not changed
    last = 0 if ends else changed[-1] // SECOND * SECOND
    moved = walk.since is None or last > walk.since
    if walk.page > 1 and not walk.again and (ends or moved):
        following = walk._replace(page=1, again=True)
    elif ends:
        return iso(high), False
    elif moved:
        following = walk._replace(since=last, page=1, again=False)
    else:
        following = walk._replace(page=walk.page + 1)
    return following._replace(high=high, began=began).write(), True


def given_at(answer: Response) -> str:
    """When an answer gave a cursor, by the channel's own clock, for `outlived`; "" if it does not say."""
    said = said_at(answer)
    return "" if said is None else iso(said)


def outlived(given: str, answer: Response) -> bool:
    """Whether a channel's own cursor, ``given`` at a moment of its clock, may have died of age by the time it
    was refused. One that is refused fresh was never good: to begin again would go round without end."""
    then, now = moment(given), said_at(answer)
    return then is None or now is None or now - then > FRESH


def turned(
    call: Callable[[str], Request], page: str, given: str, lost: Collection[int] = LOST_CURSOR
) -> Flow[tuple[Response, str]]:
    """The answer to a request for a page, by the channel's own cursor that was ``given`` at a moment of its
    clock ("" for the first page), and the page that it is: the first one when the channel has forgotten the
    cursor, so that the round begins again."""
    answer = yield from ask(call(page))
    if not page or answer.status not in lost or not outlived(given, answer):
        return answer, page
    return (yield from ask(call(""))), ""


def need_moment(when: int | None) -> int:
    """A time that must be there: without it nobody can say which snapshot is newer. Raises Failed."""
    if when is None:
        raise Failed("the channel's answer is not as documented: an order has no time of change", retry=True)
    return when


def still_open(lines: Sequence[Any]) -> bool:
    """Whether any unit of these order lines is still to be shipped."""
    return any(line.ordered > line.cancelled + line.shipped for line in lines)


# --- by rows --------------------------------------------------------------------------------------------


class Cursor(NamedTuple):
    """Where a walk stands on a channel that counts rows. ``since`` is empty while the open orders of a new
    connection are read; ``high`` is where the next poll goes on; ``offset`` the row of the next page, and
    ``total`` the fewest rows that this round has been told of."""

    since: str
    high: str
    offset: int = 0
    total: int = 0

    def write(self) -> str:
        """As text."""
        return "|".join(map(str, self))

    @property
    def begins(self) -> bool:
        """Whether the next page is the first of its round."""
        return not self.offset and not self.total

    def after(self, count: int, total: int) -> Cursor | None:
        """Where the round goes on after a page of ``count`` rows out of ``total``; None at its end. Rows that
        have left the list have moved others up, past the page: so many are read again. Once for each row
        that is gone, so that it ends."""
        back = min(self.offset, max(0, self.total - total))
        offset = self.offset - back if back else self.offset + count
        if offset >= total or not (back or count):
            return None
        if not self.since and not back and count > AGAIN:
            offset -= AGAIN
        return self._replace(offset=offset, total=min(self.total or total, total))


def read_cursor(told: str | None) -> Cursor:
    """The cursor of `Cursor.write`, a plain moment, or the beginning of a connection."""
    match (told or "").split("|"):
        case [since, high, *rows] if 1 <= len(rows) <= 2 and all(map(str.isdecimal, rows)):
            return Cursor(since, high, *map(int, rows))
        case [since] if moment(since) is not None:
            return Cursor(since, since)
        case _:
            return Cursor("", "")
