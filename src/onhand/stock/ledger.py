"""The rules of the ledger: what a command does to the levels, or why it is refused. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, assert_never

import msgspec

from onhand.stock import holds, reserving
from onhand.stock.decision import NOTHING, Books, Decision
from onhand.stock.model import (
    ABSENT,
    QUANTITY_LIMIT,
    Adjust,
    AnyCommand,
    AnyRefusal,
    Confirm,
    Expire,
    Extend,
    Floor,
    Forbidden,
    Forget,
    Insufficient,
    Kind,
    Level,
    Movement,
    Place,
    Release,
    Reservation,
    Reserve,
    Return,
    SetAvailable,
    SetInfinite,
    SetOnHand,
    Ship,
    Stale,
    TooLarge,
    Transfer,
    Unknown,
    Value,
)

Outcome = Decision | AnyRefusal
PlainCommand: TypeAlias = Adjust | SetOnHand | SetAvailable
"""A command that names one level and a number."""

# Asking an enumeration for a member takes as long as making a level.
_COUNTED, _ADJUSTED, _AVAILABLE = Kind.COUNTED, Kind.ADJUSTED, Floor.AVAILABLE


def decide(books: Books, command: AnyCommand, now: int, caller: str = "") -> Outcome:
    """What ``command`` does to ``books`` at ``now`` (microseconds UTC), or why it cannot be done.

    Nothing is changed: the decision's movements are for `apply`. Holds that are due must have been
    folded before (`holds.fold`). ``caller`` owns the reservations it makes.
    """
    match command:
        case Adjust() | SetOnHand() | SetAvailable():
            return _shifted(books, command)
        case Transfer():
            return _transfer(books, command)
        case SetInfinite():
            return _set_infinite(books, command)
        case Forget():
            return _forget(books, command)
        case Reserve():
            return bounded(books, reserving.reserve(books, command, now, caller))
        case Extend():
            return holds.extend(books, command, now)
        case Confirm():
            return holds.confirm(books, command, now)
        case Release() | Expire():
            return holds.release(books, command, now)
        case Ship():
            return bounded(books, holds.ship(books, command))
        case Return():
            return bounded(books, holds.give_back(books, command))
        case _:
            assert_never(command)


def apply(level: Level, movement: Movement) -> Level:
    """The level after ``movement``; its version is one higher."""
    return Level(
        level.on_hand + movement.on_hand,
        level.reserved + movement.reserved,
        movement.infinite,
        movement.present,
        level.version + 1,
        level.next_expiry,
    )


NO_STOCK_OF_A_KIT = Forbidden("a kit has no stock of its own: set its components")
"""The refusal of a command that names the level of a kit."""


def places(command: AnyCommand, books: Mapping[str, Reservation]) -> tuple[Place, ...]:
    """Every level that ``command`` may touch, given the reservations it names."""
    match command:
        case Adjust() | SetOnHand() | SetAvailable() | SetInfinite() | Forget():
            return ((command.item, command.location),)
        case Transfer():
            return ((command.item, command.source), (command.item, command.destination))
        case Reserve():
            wanted = tuple((line.item, at) for line in command.lines for at in line.locations)
            return wanted + _held_at(command.reference, books)
        case Extend() | Confirm() | Release() | Ship() | Return() | Expire():
            return _held_at(command.reference, books)
        case _:
            assert_never(command)


def _held_at(reference: str, books: Mapping[str, Reservation]) -> tuple[Place, ...]:
    found = books.get(reference)
    return tuple(line.place for line in found.lines) if found else ()


def too_large(value: int) -> bool:
    """Whether a number is outside what the ledger keeps."""
    return not -QUANTITY_LIMIT <= value <= QUANTITY_LIMIT


def bounded(books: Books, outcome: Outcome) -> Outcome:
    """``outcome``, unless one of its movements would take a level out of bounds."""
    if not isinstance(outcome, Decision):
        return outcome
    seen: dict[Place, Level] = {}
    for movement in outcome.movements:
        place = movement.place
        level = apply(seen.get(place) or books.levels.get(place, ABSENT), movement)
        seen[place] = level
        for value in (level.on_hand, level.reserved, level.available):
            if too_large(value):
                return TooLarge(value)
    return outcome


def presence(books: Books, commands: Sequence[AnyCommand], wanted: bool) -> Refused | None:
    """Why ``commands`` may not be done, where their group asks for levels that are there, or are not."""
    for index, command in enumerate(commands):
        for item, location in places(command, books.reservations):
            if books.level((item, location)).present is not wanted:
                name = f"{item} at {location}"
                there = Forbidden(f"there is a level of {name} already")
                return Refused(index, Unknown("level", name) if wanted else there)
    return None


def _shifted(books: Books, command: PlainCommand) -> Outcome:
    found = SHIFTS[type(command)](books.levels.get((command.item, command.location), ABSENT), command)
    if found is None:
        return NOTHING
    return Decision((found.movement,)) if isinstance(found, Entry) else found


def _set_on_hand(level: Level, command: SetOnHand) -> Entry | AnyRefusal | None:
    if command.only_absent and level.present:
        return None
    return _set(level, command, command.quantity)


def _set(level: Level, command: SetOnHand | SetAvailable, on_hand: int) -> Entry | AnyRefusal | None:
    if too_large(on_hand):
        return TooLarge(on_hand)
    if command.quantity < 0:
        return Forbidden("a level is set to at least 0 units")
    if level.present and level.on_hand == on_hand:
        return None
    return _moved(level, command, _COUNTED, on_hand - level.on_hand)


def _set_available(level: Level, command: SetAvailable) -> Entry | AnyRefusal | None:
    if too_large(command.quantity):
        return TooLarge(command.quantity)
    if command.expected is not None and command.expected != level.shown:
        return Stale(command.item, command.location, command.expected, level.shown)
    # The number is the caller's claim about what can still be sold; the promised units are on top of it.
    return _set(level, command, command.quantity + level.reserved)


def _adjust(level: Level, command: Adjust) -> Entry | AnyRefusal | None:
    delta = command.delta
    if not -QUANTITY_LIMIT <= delta <= QUANTITY_LIMIT:
        return TooLarge(delta)
    if delta == 0:
        return None
    if level.infinite:
        # Sales do not take from an endless pile, so what comes back may not add to the number below it:
        # that would be stock from nowhere once there is an end again.
        return None
    on_hand = level.on_hand
    if delta < 0:
        floor = on_hand - level.reserved if command.floor is _AVAILABLE else on_hand
        if floor + delta < 0:
            return short(level, command.item, command.location, -delta, floor)
    if not -QUANTITY_LIMIT <= on_hand + delta <= QUANTITY_LIMIT:
        return TooLarge(on_hand + delta)
    return _moved(level, command, _ADJUSTED, delta)


SHIFTS: dict[type, Callable[[Level, Any], Entry | AnyRefusal | None]] = {
    Adjust: _adjust,
    SetOnHand: _set_on_hand,
    SetAvailable: _set_available,
}
"""By the type of a `PlainCommand`, what it does to the level that it names; None where nothing has to move.

The level is the only thing that it looks at: whoever has it need not open any `Books`.
"""


def short(level: Level, item: int, location: int, wanted: int, available: int) -> Insufficient:
    """The refusal for ``wanted`` units where only ``available`` (shown as at least 0) can be had."""
    return Insufficient(item, location, wanted, max(0, available), level.on_hand, level.reserved)


def _moved(level: Level, command: PlainCommand, kind: Kind, delta: int) -> Entry:
    movement = Movement(
        command.item,
        command.location,
        kind,
        delta,
        0,
        level.infinite,
        True,
        command.reason,
        command.reference,
    )
    return Entry(movement, apply(level, movement))


def _transfer(books: Books, command: Transfer) -> Outcome:
    if too_large(command.quantity):
        return TooLarge(command.quantity)
    if command.quantity < 0:
        return Forbidden("a transfer moves at least one unit")
    if command.quantity == 0 or command.source == command.destination:
        return NOTHING
    source = books.levels.get((command.item, command.source), ABSENT)
    target = books.levels.get((command.item, command.destination), ABSENT)
    if source.infinite or target.infinite:
        return Forbidden("infinite stock is not transferred")
    if source.available < command.quantity:
        return short(source, command.item, command.source, command.quantity, source.available)
    legs = ((command.source, -command.quantity), (command.destination, command.quantity))
    movements = tuple(
        Movement(
            command.item, at, Kind.TRANSFERRED, delta, reason=command.reason, reference=command.reference
        )
        for at, delta in legs
    )
    return bounded(books, Decision(movements))


def _set_infinite(books: Books, command: SetInfinite) -> Outcome:
    level = books.levels.get((command.item, command.location), ABSENT)
    if level.present and level.infinite == command.infinite:
        return NOTHING
    kind = Kind.INFINITE if command.infinite else Kind.FINITE
    movement = Movement(
        command.item,
        command.location,
        kind,
        infinite=command.infinite,
        reason=command.reason,
        reference=command.reference,
    )
    return Decision((movement,))


def _forget(books: Books, command: Forget) -> Outcome:
    level = books.levels.get((command.item, command.location), ABSENT)
    if not level.present:
        return Unknown("level", f"{command.item}@{command.location}")
    if level.reserved:
        return Forbidden(f"{level.reserved} units are reserved here")
    movement = Movement(
        command.item,
        command.location,
        Kind.FORGOTTEN,
        -level.on_hand,
        present=False,
        reason=command.reason,
        reference=command.reference,
    )
    return Decision((movement,))


class Entry(Value, frozen=True):
    """A movement and the level that it led to."""

    movement: Movement
    level: Level


class Refused(Value, frozen=True):
    """A group that was dropped: which of its commands could not be done, and why."""

    index: int
    refusal: AnyRefusal


class Draft:
    """The levels and reservations of one account while a batch is decided, and what has happened.

    Commands are decided on it in arrival order. A group that is refused leaves no trace.
    """

    __slots__ = ("books", "ends", "entries", "levels", "reservations")

    def __init__(self, levels: dict[Place, Level], reservations: dict[str, Reservation]) -> None:
        self.levels = levels
        self.reservations = reservations
        self.books = Books(levels, reservations)
        self.entries: list[Entry] = []
        self.ends: list[int] = []

    def group(self, commands: Sequence[AnyCommand], now: int, caller: str) -> tuple[Entry, ...] | Refused:
        """Decide ``commands`` in order, all or nothing; the entries they made, or the refusal.

        ``ends`` then has, for each of these commands, how many entries there were after it.
        """
        start = len(self.entries)
        self.ends = []
        undo: list[tuple[Place, Level | None]] = []
        kept: list[tuple[str, Reservation | None]] = []
        for index, command in enumerate(commands):
            outcome = decide(self.books, command, now, caller)
            if not isinstance(outcome, Decision):
                self._drop(start, undo, kept)
                return Refused(index, outcome)
            if outcome is not NOTHING:
                self.add(outcome, undo, kept)
            self.ends.append(len(self.entries) - start)
        return tuple(self.entries[start:])

    def add(
        self,
        decision: Decision,
        undo: list[tuple[Place, Level | None]],
        kept: list[tuple[str, Reservation | None]],
    ) -> None:
        """Take a decision into the draft; what it replaces is appended to ``undo`` and ``kept``."""
        for movement in decision.movements:
            at = (movement.item, movement.location)
            before = self.levels.get(at)
            level = apply(before or ABSENT, movement)
            undo.append((at, before))
            self.levels[at] = level
            self.entries.append(Entry(movement, level))
        hold = decision.reservation
        if hold is not None:
            kept.append((hold.reference, self.reservations.get(hold.reference)))
            self.reservations[hold.reference] = hold
            if hold.expires_at is not None and not hold.confirmed:
                self._expect(hold, hold.expires_at, undo)

    def _expect(self, hold: Reservation, due: int, undo: list[tuple[Place, Level | None]]) -> None:
        for line in hold.lines:
            before = self.levels.get(line.place)
            level = before or ABSENT
            if line.held and (level.next_expiry is None or level.next_expiry > due):
                undo.append((line.place, before))
                self.levels[line.place] = msgspec.structs.replace(level, next_expiry=due)

    def _drop(
        self,
        start: int,
        undo: list[tuple[Place, Level | None]],
        kept: list[tuple[str, Reservation | None]],
    ) -> None:
        del self.entries[start:]
        for at, level in reversed(undo):
            if level is None:
                del self.levels[at]
            else:
                self.levels[at] = level
        for reference, hold in reversed(kept):
            if hold is None:
                del self.reservations[reference]
            else:
                self.reservations[reference] = hold
