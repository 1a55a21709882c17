"""The usual batch, decided in one pass: nothing but numbers set and changed, of levels that are as they seem.

What `batch` does in general takes a desk for every account, drafts, kits and holds. Of a thousand works
hardly one needs any of that. Both come to the same, which the tests hold them to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TypeAlias, cast

from sqlalchemy import Connection

from onhand import companions
from onhand.guards import Guards
from onhand.stock import ledger
from onhand.stock.ledger import Entry, PlainCommand, Refused
from onhand.stock.model import Closed, Level, Movement, Place, Stale
from onhand.store import books, listed, posting
from onhand.store.books import Marked, Spot
from onhand.store.sql import Row
from onhand.work import Accepted, Companion, Group, PutOrder, Recorded, SetStatus, Work

Fresh = Sequence[tuple[int, Work]]
"""Works with their places in the batch, in order of arrival."""

Commands: TypeAlias = Sequence[PlainCommand]
"""What the groups of such works hold."""

Done: TypeAlias = tuple[tuple[Entry, ...], int, tuple[int, ...]]
"""A group that was done: its entries, how many there were before them, and its `Accepted.ends`."""


class Sheet:
    """What the works of one account have done so far: who moved what, in order."""

    __slots__ = ("callers", "entries", "guards", "recorded_at", "seq")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.callers: list[tuple[str, str | None]] = []
        self.guards = Guards()
        self.seq = 0
        """The number before the first entry."""
        self.recorded_at = 0


def fits(works: Fresh) -> bool:
    """Whether every work is of the usual kind, as far as can be told without the database."""
    for _, work in works:
        if work.holds or work.mirror:
            return False
        for group in work.groups:
            for companion in group.also:
                if type(companion) is PutOrder:  # it looks at reservations
                    return False
            for command in group.commands:
                if type(command) not in ledger.PLAIN:
                    return False
    return True


def record(
    connection: Connection, works: Fresh, recorded: list[Recorded | None], now: int
) -> set[Marked] | None:
    """Decide ``works`` that `fits` lets pass, write what they do, and put what became of each into its place
    in ``recorded``; what became stale. None, and nothing was written, where a level is not as it seems: of a
    kit, of something unknown, mirrored, or with holds that are due."""
    spots, listings = _named(works)
    loaded = _load(connection, spots, now)
    if loaded is None:
        return None
    levels = dict(loaded)
    sheets = {account: Sheet() for account in {work.account for _, work in works}}
    if listings:
        for (account, listing), guard in listed.guards(connection, listings).items():
            sheets[account].guards.watch(listing, guard)
    decided = [(at, work, *_decide(work, levels, sheets[work.account])) for at, work in works]
    counts = {account: len(sheet.entries) for account, sheet in sheets.items()}
    for account, (last, recorded_at) in posting.advance_each(connection, counts, now).items():
        sheets[account].seq, sheets[account].recorded_at = last - counts[account], recorded_at
    said: list[tuple[int, str, Companion]] = []
    for at, work, outcomes, touched, upto in decided:
        sheet = sheets[work.account]
        seq = sheet.seq
        numbered = tuple(
            [
                one if isinstance(one, Refused) else Accepted(one[0], seq + 1 + one[1], one[2])
                for one in outcomes
            ]
        )
        recorded[at] = Recorded(numbered, touched, seq + upto, sheet.recorded_at)
        for group in work.groups:
            if group.also:
                said += sheet.guards.said(work, numbered)
                break
    marked = _write(connection, levels, loaded, sheets, now)
    if said:
        companions.write(connection, said, now)
    return marked


def _named(works: Fresh) -> tuple[set[Spot], set[tuple[int, int]]]:
    """The levels that works name, and the listings that they come through, open or close."""
    spots: set[Spot] = set()
    listings: set[tuple[int, int]] = set()
    for _, work in works:
        account = work.account
        for group in work.groups:
            for command in cast(Commands, group.commands):
                spots.add((account, command.item, command.location))
            for place, _ in group.expect:
                spots.add((account, *place))
            if group.listing is not None:
                listings.add((account, group.listing))
            for companion in group.also:
                if isinstance(companion, SetStatus):
                    listings.add((account, companion.listing))
        for item, at in work.watch:
            spots.add((account, item, at))
    return spots, listings


def _load(connection: Connection, spots: set[Spot], now: int) -> dict[Spot, Level] | None:
    """The levels, locked; None where one of them is not as it seems."""
    levels: dict[Spot, Level] = {}
    for spot, (level, kit, kind) in books.lock_levels(connection, spots).items():
        due = level.next_expiry is not None and level.next_expiry <= now
        if kit != 0 or kind is None or kind == "mirrored" or due:
            return None
        levels[spot] = level
    return levels


def _decide(
    work: Work, levels: dict[Spot, Level], sheet: Sheet
) -> tuple[list[Done | Refused], dict[Place, Level], int]:
    """What became of each group, the levels as they left them, and how many entries there were then."""
    account = work.account
    outcomes: list[Done | Refused] = []
    touched: dict[Place, Level] = {}
    for group in work.groups:
        outcome = _group(account, group, levels, sheet)
        outcomes.append(outcome)
        if isinstance(outcome, Refused):
            if group.commands:
                command = cast(Commands, group.commands)[outcome.index]
                place = (command.item, command.location)
                touched.setdefault(place, levels[account, *place])
            continue
        for movement, _ in outcome[0]:
            touched[movement.item, movement.location] = levels[account, movement.item, movement.location]
        sheet.callers += [(group.caller or work.caller, work.context)] * len(outcome[0])
    for item, at in work.watch:
        touched[item, at] = levels[account, item, at]
    return outcomes, touched, len(sheet.entries)


def _group(account: int, group: Group, levels: dict[Spot, Level], sheet: Sheet) -> Done | Refused:
    """All commands of a group, or none and why."""
    guard = None
    if group.listing is not None:
        guard = sheet.guards.get(group.listing)
        if guard is None or guard.status != "open":
            return Refused(0, Closed(group.listing))
    if group.expect or group.existing is not None:
        refused = _unexpected(account, group, levels)
        if refused is not None:
            return refused
    entries = sheet.entries
    start = len(entries)
    ends: list[int] = []
    before: list[tuple[Spot, Level]] = []
    for index, command in enumerate(cast(Commands, group.commands)):
        spot = (account, command.item, command.location)
        level = levels[spot]
        found = ledger.shift(level, command)
        if found is not None:
            if not isinstance(found, Movement):
                for old, was in reversed(before):
                    levels[old] = was
                del entries[start:]
                return Refused(index, found)
            before.append((spot, level))
            levels[spot] = level = ledger.apply(level, found)
            entries.append(Entry(found, level))
        ends.append(len(entries) - start)
    for spot, _ in before:
        if levels[spot].shown == 0:
            sheet.guards.close(spot[1:])
    if guard is not None and guard.place is not None:
        level_there = levels.get((account, *guard.place))
        if level_there is not None and level_there.shown == 0:
            sheet.guards.close(guard.place)
    for companion in group.also:
        if isinstance(companion, SetStatus):
            sheet.guards.set_status(companion.listing, companion.status)
    return tuple(entries[start:]), start, tuple(ends)


def _unexpected(account: int, group: Group, levels: Mapping[Spot, Level]) -> Refused | None:
    """Why a group may not begin: a level has another version, is there or is not there."""
    for place, version in group.expect:
        level = levels[account, *place]
        if level.version != version:
            return Refused(0, Stale(*place, version, level.version))
    if group.existing is not None:
        for index, command in enumerate(cast(Commands, group.commands)):
            place = (command.item, command.location)
            refusal = ledger.presence(place, levels[account, *place], group.existing)
            if refusal is not None:
                return Refused(index, refusal)
    return None


def _write(
    connection: Connection,
    levels: Mapping[Spot, Level],
    loaded: Mapping[Spot, Level],
    sheets: Mapping[int, Sheet],
    now: int,
) -> set[Marked]:
    rows: list[Row] = []
    moved: dict[Spot, tuple[int, int]] = {}
    closing: set[Spot] = set()
    for account, sheet in sorted(sheets.items(), key=itemgetter(0)):
        seq = sheet.seq
        for (movement, level), (caller, context) in zip(sheet.entries, sheet.callers, strict=True):
            seq += 1
            rows.append(
                posting.movement_row(account, seq, movement, level, caller, context, sheet.recorded_at)
            )
            spot = (account, movement.item, movement.location)
            moved[spot] = (moved[spot][0] if spot in moved else seq, seq)
        closing.update((account, *place) for place in sheet.guards.closing)
    # A level that a refused group has changed is the one again that was loaded.
    changed = {spot: level for spot, level in levels.items() if level is not loaded[spot]}
    posting.write_levels(connection, changed, loaded)
    posting.append(connection, rows)
    listed.close_listings(connection, closing, now)
    return listed.mark_stale(connection, moved, now)
