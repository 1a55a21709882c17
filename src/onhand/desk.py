"""The desk a batch is decided on: what it may touch, locked and loaded, with due holds folded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.guards import Guards
from onhand.stock import holds, ledger
from onhand.stock.decision import Decision
from onhand.stock.ledger import Draft
from onhand.stock.model import (
    Adjust,
    AnyCommand,
    Forget,
    Level,
    Line,
    Place,
    Reservation,
    Reserve,
    SetAvailable,
    SetInfinite,
    SetOnHand,
    Transfer,
)
from onhand.store import books, listed
from onhand.store.books import Named, Spot, Spotted
from onhand.store.posting import Caller, Page
from onhand.work import SetStatus, Work

LEVEL_COMMANDS = (SetOnHand, SetAvailable, Adjust, SetInfinite, Forget, Transfer)


class Desk:
    """One account while a batch is decided: the draft, and what is odd about some places."""

    __slots__ = (
        "draft",
        "folded",
        "guards",
        "loaded",
        "odd",
        "old_holds",
        "recorded_at",
        "seq",
    )

    def __init__(self) -> None:
        self.draft = Draft({}, {})
        self.loaded: dict[Place, Level] = {}
        self.old_holds: dict[str, Reservation] = {}
        self.folded: set[str] = set()
        self.odd: dict[Place, str | None] = {}
        self.guards = Guards()
        self.seq = 0
        """The number before the first entry."""
        self.recorded_at = 0

    def page(self, account: int, callers: Sequence[Caller]) -> Page:
        """What is to be posted; ``callers`` has who made each entry."""
        draft = self.draft
        return Page(account, self.seq, self.recorded_at, self.loaded, draft.levels, draft.entries, callers)


class Job(NamedTuple):
    """A work to decide, its commands with kits expanded to their components."""

    at: int
    work: Work
    commands: list[tuple[AnyCommand, ...]]


def expand(connection: Connection, fresh: list[tuple[int, Work]]) -> list[Job]:
    """Replace the kits in lines to reserve by their components, before anything is locked."""
    wanted = {
        (work.account, line.item)
        for _, work in fresh
        for group in work.groups
        for command in group.commands
        if isinstance(command, Reserve)
        for line in command.lines
    }
    kits = books.components(connection, wanted)
    jobs = []
    for at, work in fresh:
        if kits:
            expanded = [tuple(_unkit(work.account, c, kits) for c in g.commands) for g in work.groups]
        else:
            expanded = [group.commands for group in work.groups]
        jobs.append(Job(at, work, expanded))
    return jobs


def _unkit(
    account: int, command: AnyCommand, kits: dict[tuple[int, int], list[tuple[int, int]]]
) -> AnyCommand:
    if not isinstance(command, Reserve):
        return command
    lines: list[Line] = []
    for line in command.lines:
        parts = kits.get((account, line.item))
        if parts is None:
            lines.append(line)
        else:
            lines += [
                Line(component, line.quantity * per, line.locations, line.item, per)
                for component, per in parts
            ]
    return msgspec.structs.replace(command, lines=tuple(lines))


def misses_a_kit(desk: Desk, job: Job) -> bool:
    """Whether an item to reserve has become a kit since it was asked for its components: by another process,
    which was waited for at its level."""
    if "kit" not in desk.odd.values():
        return False
    return any(
        desk.odd.get((line.item, at)) == "kit"
        for command in chain.from_iterable(job.commands)
        if isinstance(command, Reserve)
        for line in command.lines
        for at in line.locations
    )


class Needs(NamedTuple):
    """What jobs name: the levels that they touch whatever reservations hold, reservations, listings."""

    spots: set[Spot]
    names: set[Named]
    listings: set[tuple[int, int]]


def _needs(jobs: list[Job]) -> Needs:
    spots, names, listings = set[Spot](), set[Named](), set[tuple[int, int]]()
    for _, work, commands in jobs:
        account = work.account
        for group in work.groups:
            if group.listing is not None:
                listings.add((account, group.listing))
            listings.update((account, one.listing) for one in group.also if isinstance(one, SetStatus))
            spots.update((account, *place) for place, _ in group.expect)
        for command in chain.from_iterable(commands):
            for item, at in ledger.places(command, {}):
                spots.add((account, item, at))
            if not isinstance(command, LEVEL_COMMANDS):
                names.add((account, command.reference))
        spots.update([(account, item, at) for item, at in work.watch])
        names.update([(account, reference) for reference, _ in work.seen])
    return Needs(spots, names, listings)


def load(connection: Connection, jobs: list[Job], now: int) -> dict[int, Desk]:
    """Lock and load all that the jobs may touch, and fold the holds that are due there."""
    needs = _needs(jobs)
    held, spotted = _lock(connection, needs)
    desks = {account: Desk() for account in {job.work.account for job in jobs}}
    due: list[Spot] = []
    for spot, (level, kit, kind) in spotted.items():
        desk, place = desks[spot[0]], spot[1:]
        desk.draft.levels[place] = desk.loaded[place] = level
        if kit is None or kind is None or kit or kind == "mirrored":
            desk.odd[place] = _oddness(kit, kind)
        if level.next_expiry is not None and level.next_expiry <= now:
            due.append(spot)
    for (account, reference), hold in held.items():
        desks[account].draft.reservations[reference] = desks[account].old_holds[reference] = hold
    if due:
        _fold(connection, desks, due, now)
    for (account, listing), guard in listed.guards(connection, needs.listings).items():
        desks[account].guards.watch(listing, guard)
    return desks


def _lock(connection: Connection, needs: Needs) -> tuple[dict[Named, Reservation], dict[Spot, Spotted]]:
    """The reservations that are named and the levels that may be touched, locked.

    While we wait for a level, its reservation may be made, or expire, elsewhere: so look again, and
    go on until no reservation names a level that is not locked.
    """
    held = books.reservations(connection, needs.names)
    spotted: dict[Spot, Spotted] = {}
    more = needs.spots | _held_spots(held)
    while more:
        spotted |= books.lock_levels(connection, more)
        held = books.reservations(connection, needs.names)
        more = _held_spots(held) - spotted.keys()
    return held, spotted


def _held_spots(held: dict[Named, Reservation]) -> set[Spot]:
    return {(account, *line.place) for (account, _), hold in held.items() for line in hold.lines}


def _oddness(kit: int | None, kind: str | None) -> str | None:
    """Why a place is not to be written: None for a mirrored location, which some works may write."""
    if kit is None:
        return "item"
    if kind is None:
        return "location"
    return "kit" if kit else None


def _fold(connection: Connection, desks: dict[int, Desk], due: list[Spot], now: int) -> None:
    """Write off the holds whose time has come at the loaded levels, before anything is decided."""
    names = books.due_references(connection, due, now)
    late = books.reservations(connection, names, lock=False)
    places = set(due)
    for (account, reference), stored in late.items():
        desk = desks[account]
        if reference not in desk.old_holds:
            desk.old_holds[reference] = stored
            desk.folded.add(reference)
        hold = desk.draft.reservations.get(reference, stored)
        for place in dict.fromkeys(line.place for line in hold.lines):
            if (account, *place) in places:
                hold, moved = holds.fold(hold, place)
                level = desk.draft.levels[place]
                moved = tuple(msgspec.structs.replace(m, infinite=level.infinite) for m in moved)
                desk.draft.add(Decision(moved, None), [], [])
        desk.draft.reservations[reference] = hold
    ahead = books.next_expiries(connection, due, now)
    for spot, expiry in ahead.items():
        levels = desks[spot[0]].draft.levels
        levels[spot[1:]] = msgspec.structs.replace(levels[spot[1:]], next_expiry=expiry)
