"""The usual batch, decided in one pass: nothing but numbers set and changed, of levels that are as they seem.

What `batch` does in general takes a desk for every account, drafts, guards, kits, holds and companions. Of a
thousand works hardly one needs any of it. Both come to the same, which the tests hold them to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TypeAlias, cast

from sqlalchemy import Connection

from onhand.stock import ledger
from onhand.stock.ledger import Entry, PlainCommand, Refused
from onhand.stock.model import Level, Movement, Place
from onhand.store import books, listed, posting
from onhand.store.books import Marked, Spot
from onhand.store.sql import Row
from onhand.work import Accepted, Group, Recorded, Work

Fresh = Sequence[tuple[int, Work]]
"""Works with their places in the batch, in order of arrival."""

Commands: TypeAlias = Sequence[PlainCommand]
"""What the groups of such works hold."""

Done: TypeAlias = tuple[tuple[Entry, ...], int, tuple[int, ...]]
"""A group that was done: its entries, how many there were before them, and its `Accepted.ends`."""


class Sheet:
    """What the works of one account have done so far: who moved what, in order."""

    __slots__ = ("callers", "closing", "entries", "recorded_at", "seq")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.callers: list[tuple[str, str | None]] = []
        self.closing: set[Spot] = set()
        """Levels that a group left showing nothing."""
        self.seq = 0
        """The number before the first entry."""
        self.recorded_at = 0


def fits(works: Fresh) -> bool:
    """Whether every work is of the usual kind, as far as can be told without the database."""
    for _, work in works:
        if work.holds or work.consume or work.plan is not None or work.mirror:
            return False
        for group in work.groups:
            if group.also or group.listing is not None or group.existing is not None or group.expect:
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
    loaded = _load(connection, works, now)
    if loaded is None:
        return None
    levels = dict(loaded)
    sheets = {account: Sheet() for account in {work.account for _, work in works}}
    decided = [(at, work, *_decide(work, levels, sheets[work.account])) for at, work in works]
    counts = {account: len(sheet.entries) for account, sheet in sheets.items()}
    for account, (last, recorded_at) in posting.advance_each(connection, counts, now).items():
        sheets[account].seq, sheets[account].recorded_at = last - counts[account], recorded_at
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
    return _write(connection, levels, loaded, sheets, now)


def _load(connection: Connection, works: Fresh, now: int) -> dict[Spot, Level] | None:
    """The levels that the works name, locked; None where one of them is not as it seems."""
    spots: set[Spot] = set()
    for _, work in works:
        account = work.account
        for group in work.groups:
            for command in cast(Commands, group.commands):
                spots.add((account, command.item, command.location))
        for item, at in work.watch:
            spots.add((account, item, at))
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
            command = cast(Commands, group.commands)[outcome.index]
            touched.setdefault(
                (command.item, command.location), levels[account, command.item, command.location]
            )
            continue
        for movement, _ in outcome[0]:
            touched[movement.item, movement.location] = levels[account, movement.item, movement.location]
        sheet.callers += [(group.caller or work.caller, work.context)] * len(outcome[0])
    for item, at in work.watch:
        touched[item, at] = levels[account, item, at]
    return outcomes, touched, len(sheet.entries)


def _group(account: int, group: Group, levels: dict[Spot, Level], sheet: Sheet) -> Done | Refused:
    """All commands of a group, or none and why."""
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
            sheet.closing.add(spot)
    return tuple(entries[start:]), start, tuple(ends)


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
        closing |= sheet.closing
    # A level that a refused group has changed is the one again that was loaded.
    changed = {spot: level for spot, level in levels.items() if level is not loaded[spot]}
    posting.write_levels(connection, changed, loaded)
    posting.append(connection, rows)
    listed.close_listings(connection, closing, now)
    return listed.mark_stale(connection, moved, now)
