"""The usual batch, decided in one pass: nothing but numbers set and changed, of levels that are as they seem.

What `batch` does in general takes a desk for every account, drafts, kits and holds. Of a thousand works
hardly one needs any of that. Both come to the same, which the tests hold them to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
from sqlalchemy import Connection

from onhand import companions
from onhand.guards import Guards
from onhand.stock import ledger
from onhand.stock.decision import Books
from onhand.stock.ledger import Entry, PlainCommand, Refused
from onhand.stock.model import AnyRefusal, Level, Movement, Place
from onhand.store import books, listed, posting
from onhand.store.books import Marked, Spot, Spotted
from onhand.store.posting import Caller, Page
from onhand.work import Accepted, Companion, Group, PutOrder, Recorded, SetStatus, Work

Fresh = Sequence[tuple[int, Work]]
"""Works with their places in the batch, in order of arrival."""

Commands: TypeAlias = Sequence[PlainCommand]
"""What the groups of such works hold."""

Done: TypeAlias = tuple[tuple[Entry, ...], int, tuple[int, ...]]
"""A group that was done: its entries, how many there were before them, and its `Accepted.ends`."""


ONE = (1,)
"""How many entries there are after each command, where there is one of both."""


class Named(NamedTuple):
    """The levels that works name, the listings that they come through, open or close, whether they have to do
    with nothing else but prices and details: no messages or plans; and whether any has companions."""

    spots: set[Spot]
    listings: set[tuple[int, int]]
    alone: bool
    also: bool


class Decided(msgspec.Struct, frozen=True):
    """A work that was decided: its place in the batch, what became of each group, the levels as they left
    them, and how many entries there were on the sheet then."""

    at: int
    work: Work
    outcomes: Sequence[Done | Refused]
    levels: Mapping[Place, Level]
    upto: int


class Sheet:
    """An account while its works are decided: its levels, and who moved what so far, in order."""

    __slots__ = ("callers", "entries", "guards", "levels", "loaded", "recorded_at", "seq")

    def __init__(self) -> None:
        self.loaded: dict[Place, Level] = {}
        self.levels: dict[Place, Level] = {}
        self.entries: list[Entry] = []
        self.callers: list[Caller] = []
        self.guards = Guards()
        self.seq = 0
        """The number before the first entry."""
        self.recorded_at = 0

    def number(self, seq: int, recorded_at: int) -> None:
        """Give the entries the numbers after ``seq``, and the time of their recording."""
        self.seq, self.recorded_at = seq, recorded_at

    def told(self, one: Decided) -> Recorded:
        """What a work is told, once there are numbers."""
        seq, outcomes = self.seq, one.outcomes
        if len(outcomes) == 1 and type(done := outcomes[0]) is tuple:  # as nearly always
            entries, before, ends = done
            made = (Accepted(entries, seq + 1 + before, ends),)
            return Recorded(made, one.levels, seq + one.upto, self.recorded_at)
        numbered = [
            found if isinstance(found, Refused) else Accepted(found[0], seq + 1 + found[1], found[2])
            for found in outcomes
        ]
        return Recorded(tuple(numbered), one.levels, seq + one.upto, self.recorded_at)

    def page(self, account: int) -> Page:
        """What is to be posted."""
        return Page(account, self.seq, self.recorded_at, self.loaded, self.levels, self.entries, self.callers)


def record(
    connection: Connection, works: Fresh, recorded: list[Recorded | None], now: int, marked: set[Marked]
) -> bool:
    """Decide ``works``, write what they do, and put what became of each into its place in ``recorded``; what
    became stale is in ``marked`` after COMMIT. False, and nothing was written, where a work is not of the
    usual kind, or a level not as it seems: of a kit, unknown, mirrored, or with holds that are due."""
    alone = [work for _, work in works]
    named = look(alone)
    if named is None:
        return False
    sheets = sheets_of(alone)
    # On PostgreSQL the next numbers are known with the levels, where these are all as they seem.
    levels, last = books.lock_usual(connection, named.spots, now) or (None, None)
    if not _load(connection, named.spots, sheets, now, levels):
        return False
    watch(connection, sheets, named.listings)
    decided = [decide(at, work, sheets[work.account]) for at, work in works]
    counts = {account: len(sheet.entries) for account, sheet in sheets.items()}
    for account, (after, recorded_at) in posting.advance_each(connection, counts, now, last).items():
        sheets[account].number(after - counts[account], recorded_at)
    for one in decided:
        recorded[one.at] = sheets[one.work.account].told(one)
    pages = [sheet.page(account) for account, sheet in sheets.items()]
    moved = posting.post(connection, pages)
    closing = {(account, *place) for account, sheet in sheets.items() for place in sheet.guards.closing}
    listed.close_listings(connection, closing, now)
    listed.mark_stale(connection, moved, lambda: posting.moved(pages), now, marked)
    if named.also:
        companions.write(connection, said(decided, recorded, sheets), now)
    return True


def said(
    decided: Sequence[Decided], recorded: Sequence[Recorded | None], sheets: Mapping[int, Sheet]
) -> Iterator[tuple[int, str, Companion]]:
    """What goes with the groups that were done, as (account, caller, companion) in order."""
    for one in decided:
        made = recorded[one.at]
        if made is not None:
            yield from sheets[one.work.account].guards.said(one.work, made.outcomes)


def sheets_of(works: Iterable[Work]) -> dict[int, Sheet]:
    """An empty sheet for each account."""
    return {account: Sheet() for account in {work.account for work in works}}


def watch(connection: Connection, sheets: Mapping[int, Sheet], listings: set[tuple[int, int]]) -> None:
    """Look at the listings that works come through."""
    if listings:
        for (account, listing), guard in listed.guards(connection, listings).items():
            sheets[account].guards.watch(listing, guard)


def look(works: Iterable[Work]) -> Named | None:
    """What ``works`` name; None where one of them is not of the usual kind."""
    spots: set[Spot] = set()
    listings: set[tuple[int, int]] = set()
    alone, also = True, False
    usual = ledger.PLAIN
    for work in works:
        if work.holds or work.mirror:
            return None
        account = work.account
        for group in work.groups:
            for command in group.commands:
                if type(command) not in usual:
                    return None
                spots.add((account, command.item, command.location))  # type: ignore[union-attr]
            if group.expect:
                spots.update([(account, *place) for place, _ in group.expect])
            if group.listing is not None:
                listings.add((account, group.listing))
            if group.also:
                also = True
                for companion in group.also:
                    if type(companion) is PutOrder:  # it looks at reservations
                        return None
                    if type(companion) not in companions.PLAIN:
                        alone = False
                    if type(companion) is SetStatus:
                        listings.add((account, companion.listing))
        for item, at in work.watch:
            spots.add((account, item, at))
        if work.consume or work.plan is not None:
            alone = False
    return Named(spots, listings, alone, also)


def _load(
    connection: Connection,
    spots: set[Spot],
    sheets: Mapping[int, Sheet],
    now: int,
    found: Mapping[Spot, Spotted] | None,
) -> bool:
    """Lock the levels, unless they are, and put them on the sheets; False where one is not as it seems."""
    if found is None:
        found = books.lock_levels(connection, spots)
    for (account, item, at), (level, kit, kind) in found.items():
        due = level.next_expiry is not None and level.next_expiry <= now
        if kit != 0 or kind is None or kind == "mirrored" or due:
            return False
        sheet = sheets[account]
        sheet.levels[item, at] = sheet.loaded[item, at] = level
    return True


def decide(at: int, work: Work, sheet: Sheet) -> Decided:
    """What becomes of a work, after all that is on the sheet."""
    groups = work.groups
    if len(groups) == 1:
        group = groups[0]
        if len(group.commands) == 1 and group.listing is None and not (group.expect or group.also):
            if (decided := _one(at, work, group, sheet)) is not None:
                return decided
    touched: dict[Place, Level] = {}
    outcomes = _each(work, sheet, touched)
    for place in work.watch:
        touched[place] = sheet.levels[place]
    return Decided(at, work, outcomes, touched, len(sheet.entries))


def _one(at: int, work: Work, group: Group, sheet: Sheet) -> Decided | None:
    """The usual work: one command that moves something, and nothing else to look at. It comes to what `_each`
    comes to. None, and nothing was done, where it is not that."""
    command: Any = group.commands[0]
    place = (command.item, command.location)
    levels, entries = sheet.levels, sheet.entries
    found = ledger.shift(levels[place], command)
    if type(found) is not Movement or group.existing is not None:
        return None
    levels[place] = level = ledger.apply(levels[place], found)
    start = len(entries)
    made = (Entry(found, level),)
    entries += made
    sheet.callers.append((group.caller or work.caller, work.context))
    if level.on_hand <= level.reserved:
        sheet.guards.follow(group, made, levels)
    touched = {place: level}
    if work.watch != (place,):
        touched.update((other, levels[other]) for other in work.watch)
    return Decided(at, work, ((made, start, ONE),), touched, start + 1)


def _each(work: Work, sheet: Sheet, touched: dict[Place, Level]) -> list[Done | Refused]:
    levels = sheet.levels
    outcomes: list[Done | Refused] = []
    for group in work.groups:
        outcome = _group(group, sheet, touched)
        outcomes.append(outcome)
        if type(outcome) is tuple:
            made = outcome[0]
            if made:
                sheet.callers += [(group.caller or work.caller, work.context)] * len(made)
        elif group.commands:
            command = cast(Commands, group.commands)[cast(Refused, outcome).index]
            place = (command.item, command.location)
            touched.setdefault(place, levels[place])
    return outcomes


def _group(group: Group, sheet: Sheet, touched: dict[Place, Level]) -> Done | Refused:
    """All commands of a group, or none and why; the levels that it moved are ``touched``."""
    levels, entries = sheet.levels, sheet.entries
    if group.listing is not None or group.expect:
        if (barred := sheet.guards.barred(group, levels)) is not None:
            return barred
    if group.existing is not None:
        if (barred := ledger.presence(Books(levels, {}), group.commands, group.existing)) is not None:
            return barred
    start = len(entries)
    ends: list[int] = []
    before: dict[Place, Level] = {}
    empty = False
    for index, command in enumerate(cast(Commands, group.commands)):
        place = (command.item, command.location)
        level = levels[place]
        found = ledger.shift(level, command)
        if found is not None:
            if type(found) is not Movement:
                levels.update(before)
                del entries[start:]
                return Refused(index, cast(AnyRefusal, found))
            before.setdefault(place, level)
            levels[place] = level = ledger.apply(level, found)
            entries.append(Entry(found, level))
            empty = empty or level.on_hand <= level.reserved
        ends.append(len(entries) - start)
    made = tuple(entries[start:])
    for place in before:
        touched[place] = levels[place]
    if empty or group.also or group.listing is not None:
        sheet.guards.follow(group, made, levels)
    return made, start, tuple(ends)
