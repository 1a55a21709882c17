"""The usual batch, decided in one pass: nothing but numbers set and changed, of levels that are as they seem.

What `batch` does in general takes a desk for every account, drafts, kits and holds. Of a thousand works
hardly one needs any of that. Both come to the same, which the tests hold them to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from sqlalchemy import Connection

from onhand import companions
from onhand.guards import Guards
from onhand.stock import ledger
from onhand.stock.decision import Books
from onhand.stock.ledger import SHIFTS, Entry, PlainCommand, Refused
from onhand.stock.model import AnyRefusal, Level, Place
from onhand.store import books, listed, posting, shelf
from onhand.store.books import Marked, Spot, Spotted
from onhand.store.posting import Caller, Page
from onhand.store.shelf import Shelf
from onhand.work import Accepted, Companion, Group, Outcome, PutOrder, Recorded, SetStatus, Work

Fresh = Sequence[tuple[int, Work]]
"""Works with their places in the batch, in order of arrival."""

Commands: TypeAlias = Sequence[PlainCommand]
"""What the groups of such works hold."""

ONE = (1,)
"""How many entries there are after each command, where there is one of both."""


class Sheet:
    """An account while its works are decided: the levels that they name, and who moved what so far, in order.

    Numbers and the time are those that it was given before (`number`). Where others turn out to be right,
    what the works were told is made anew (`renumber`).
    """

    __slots__ = ("callers", "entries", "guards", "levels", "loaded", "places", "recorded_at", "seq")

    def __init__(self) -> None:
        self.places: set[Place] = set()
        self.loaded: dict[Place, Level] = {}
        self.levels: dict[Place, Level] = {}
        self.entries: list[Entry] = []
        self.callers: list[Caller] = []
        self.guards = Guards()
        self.seq = 0
        """The number of the last entry, or else of the last movement before."""
        self.recorded_at = 0

    def number(self, seq: int, recorded_at: int) -> None:
        """Go on after the number ``seq``; all is recorded at ``recorded_at``."""
        self.seq, self.recorded_at = seq, recorded_at

    def page(self, account: int) -> Page:
        """What is to be posted."""
        before = self.seq - len(self.entries)
        return Page(account, before, self.recorded_at, self.loaded, self.levels, self.entries, self.callers)


class Named(NamedTuple):
    """What works name: a sheet for each account, with its places; the listings that they come through, open
    or close; whether they have to do with nothing else but prices and details: no messages or plans; and
    whether any has companions."""

    sheets: Mapping[int, Sheet]
    listings: set[tuple[int, int]]
    alone: bool
    also: bool

    @property
    def size(self) -> int:
        """How many levels that are."""
        return sum([len(sheet.places) for sheet in self.sheets.values()])


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
    sheets = named.sheets
    shelved = shelf.of(connection) if connection.dialect.name == "sqlite" else None
    spots = _missing(sheets, shelved, now)
    if spots is None:
        return False
    # On PostgreSQL the next numbers are known with the levels, where these are all as they seem.
    levels, last = books.lock_usual(connection, spots, now) or (None, None)
    if not _load(connection, spots, sheets, now, levels):
        return False
    watch(connection, sheets, named.listings)
    if last is not None:
        sheets[alone[0].account].number(last[0], max(last[1], now))
    made = decide(alone, sheets)
    counts = {account: len(sheet.entries) for account, sheet in sheets.items()}
    renumber(alone, made, sheets, posting.advance_each(connection, counts, now, last))
    for (place, _), one in zip(works, made, strict=True):
        recorded[place] = one
    pages = [sheet.page(account) for account, sheet in sheets.items()]
    moved = posting.post(connection, pages)
    closing = {(account, *place) for account, sheet in sheets.items() for place in sheet.guards.closing}
    listed.close_listings(connection, closing, now)
    listed.mark_stale(connection, moved, lambda: posting.moved(pages), now, marked)
    if named.also:
        companions.write(connection, said(alone, made, sheets), now)
    if shelved is not None:
        for account, sheet in sheets.items():
            shelved.count(account, sheet.levels)
    return True


def renumber(
    works: Sequence[Work],
    made: list[Recorded],
    sheets: Mapping[int, Sheet],
    numbers: Mapping[int, tuple[int, int]],
) -> None:
    """Have the accounts' last movements at these numbers, recorded at these times. What was ``made`` of the
    works of an account is made anew where it has others."""
    shifts: dict[int, int] = {}
    for account, (seq, recorded_at) in numbers.items():
        sheet = sheets[account]
        if (sheet.seq, sheet.recorded_at) != (seq, recorded_at):
            shifts[account] = seq - sheet.seq
            sheet.number(seq, recorded_at)
    for at, work in enumerate(works) if shifts else ():
        if work.account in shifts:
            made[at] = _shifted(made[at], shifts[work.account], sheets[work.account].recorded_at)


def _shifted(one: Recorded, by: int, recorded_at: int) -> Recorded:
    outcomes = [
        Accepted(found.entries, found.seq + by, found.ends) if isinstance(found, Accepted) else found
        for found in one.outcomes
    ]
    return Recorded(tuple(outcomes), one.levels, one.seq + by, recorded_at)


def said(
    works: Iterable[Work], made: Iterable[Recorded], sheets: Mapping[int, Sheet]
) -> Iterator[tuple[int, str, Companion]]:
    """What goes with the groups that were done, as (account, caller, companion) in order."""
    for work, one in zip(works, made, strict=True):
        yield from sheets[work.account].guards.said(work, one.outcomes)


def watch(connection: Connection, sheets: Mapping[int, Sheet], listings: set[tuple[int, int]]) -> None:
    """Look at the listings that works come through."""
    if listings:
        for (account, listing), guard in listed.guards(connection, listings).items():
            sheets[account].guards.watch(listing, guard)


def look(works: Iterable[Work]) -> Named | None:
    """What ``works`` name; None where one of them is not of the usual kind."""
    sheets: defaultdict[int, Sheet] = defaultdict(Sheet)
    listings: set[tuple[int, int]] = set()
    alone, also = True, False
    usual = SHIFTS
    for work in works:
        if work.holds or work.mirror or work.seen:
            return None
        if work.consume or work.plan is not None:
            alone = False
        account = work.account
        places = sheets[account].places
        places.update(work.watch)
        for group in work.groups:
            for command in group.commands:
                if type(command) not in usual:
                    return None
                places.add((command.item, command.location))  # type: ignore[union-attr]
            if group.expect:
                places.update([place for place, _ in group.expect])
            if group.listing is not None:
                listings.add((account, group.listing))
            if group.also:
                also = True
                for companion in group.also:
                    if type(companion) in companions.PLAIN:
                        continue
                    if type(companion) is PutOrder:  # it looks at reservations
                        return None
                    alone = False
                    if type(companion) is SetStatus:
                        listings.add((account, companion.listing))
    return Named(sheets, listings, alone, also)


def _missing(sheets: Mapping[int, Sheet], shelved: Shelf | None, now: int) -> list[Spot] | None:
    """Put the levels on the sheets that are remembered; those that are not, None where holds are due."""
    if shelved is None:
        return [(account, *place) for account, sheet in sheets.items() for place in sheet.places]
    missing: list[Spot] = []
    for account, sheet in sheets.items():
        level_at, levels, loaded = shelved.known(account).level, sheet.levels, sheet.loaded
        for place in sheet.places:
            level = level_at(place)
            if level is None:
                missing.append((account, *place))
            elif level.next_expiry is not None and level.next_expiry <= now:
                return None
            else:
                levels[place] = loaded[place] = level
    return missing


def _load(
    connection: Connection,
    spots: Sequence[Spot],
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


def decide(works: Iterable[Work], sheets: Mapping[int, Sheet]) -> list[Recorded]:
    """What becomes of works, one after the other; they are told the numbers and times of their sheets."""
    made: list[Recorded] = []
    for work in works:
        sheet = sheets[work.account]
        touched: dict[Place, Level] = {}
        outcomes: tuple[Outcome, ...]
        try:
            (group,) = work.groups  # as nearly always
        except ValueError:
            outcomes = tuple([_group(group, work, sheet, touched) for group in work.groups])
        else:
            outcomes = (_group(group, work, sheet, touched),)
        for place in work.watch:
            touched[place] = sheet.levels[place]
        made.append(Recorded(outcomes, touched, sheet.seq, sheet.recorded_at))
    return made


def _group(group: Group, work: Work, sheet: Sheet, touched: dict[Place, Level]) -> Outcome:
    """All commands of a group, or none and why; the levels that it moved, or failed at, are ``touched``."""
    levels = sheet.levels
    if group.listing is not None or group.expect or group.existing is not None:
        if (barred := _barred(group, sheet)) is not None:
            return _refused(group, barred, levels, touched)
    command: Any
    try:
        (command,) = group.commands
    except ValueError:
        return _all(group, work, sheet, touched)
    place = (command.item, command.location)
    found = SHIFTS[type(command)](levels[place], command)
    if type(found) is not Entry:
        return _all(group, work, sheet, touched)
    levels[place] = touched[place] = level = found.level
    sheet.entries.append(found)
    sheet.callers.append((group.caller or work.caller, work.context))
    made = (found,)
    if level.on_hand <= level.reserved or group.also or group.listing is not None:
        sheet.guards.follow(group, made, levels)
    sheet.seq = seq = sheet.seq + 1
    return Accepted(made, seq, ONE)


def _barred(group: Group, sheet: Sheet) -> Refused | None:
    """Why a group may not begin."""
    levels = sheet.levels
    if (barred := sheet.guards.barred(group, levels)) is not None or group.existing is None:
        return barred
    return ledger.presence(Books(levels, {}), group.commands, group.existing)


def _all(group: Group, work: Work, sheet: Sheet, touched: dict[Place, Level]) -> Outcome:
    """What `_group` does, of any number of commands, whether they move something or not."""
    levels, entries = sheet.levels, sheet.entries
    start = len(entries)
    ends: list[int] = []
    before: dict[Place, Level] = {}
    empty = False
    for index, command in enumerate(cast(Commands, group.commands)):
        place = (command.item, command.location)
        old = levels[place]
        found = SHIFTS[type(command)](old, command)
        if type(found) is Entry:
            if place not in before:
                before[place] = old
            levels[place] = level = found.level
            entries.append(found)
            empty = empty or level.on_hand <= level.reserved
        elif found is not None:
            levels.update(before)
            del entries[start:]
            return _refused(group, Refused(index, cast(AnyRefusal, found)), levels, touched)
        ends.append(len(entries) - start)
    made = tuple(entries[start:])
    sheet.callers += [(group.caller or work.caller, work.context)] * len(made)
    for place in before:
        touched[place] = levels[place]
    if empty or group.also or group.listing is not None:
        sheet.guards.follow(group, made, levels)
    seq = sheet.seq + 1
    sheet.seq += len(made)
    return Accepted(made, seq, tuple(ends))


def _refused(
    group: Group, refused: Refused, levels: Mapping[Place, Level], touched: dict[Place, Level]
) -> Refused:
    """``refused``; the level at which its group failed is ``touched``."""
    if group.commands:
        command = cast(Commands, group.commands)[refused.index]
        place = (command.item, command.location)
        touched.setdefault(place, levels[place])
    return refused
