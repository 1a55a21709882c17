"""Reserve: units promised under a reference, spread over the locations that have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec.structs import replace

from onhand.stock.decision import NOTHING, Books, Decision
from onhand.stock.model import (
    QUANTITY_LIMIT,
    AnyRefusal,
    Exists,
    Expired,
    Forbidden,
    HoldLine,
    HoldStatus,
    Insufficient,
    Kind,
    Line,
    Movement,
    Place,
    Reservation,
    Reserve,
    TooLarge,
    Unknown,
)

LineKey: TypeAlias = tuple[int, int, int | None]
"""(item, location, kit): what is held for the same of these is one line."""


def reserve(books: Books, command: Reserve, now: int, caller: str) -> Decision | AnyRefusal:
    """Promise the lines of ``command``, after giving back what the same owner held under its name."""
    old = books.reservations.get(command.reference)
    refusal = _may_reserve(old, command, now, caller)
    if refusal is not None:
        return refusal
    before = _held(old.lines) if old else {}
    placed = _place(books, command, before)
    if isinstance(placed, AnyRefusal):
        return placed
    new = Reservation(
        command.reference,
        caller,
        _with_past(placed, old),
        command.confirmed,
        None if command.confirmed else command.expires_at,
    )
    return _changed(books, old, new, before, command.reason)


def as_left(line: Line, hold: Reservation | None) -> tuple[Line, ...]:
    """``line`` as the components of its kit, where units of that have left under ``hold`` before: what the
    kit has been made of since would not add up with them."""
    parts = {one.item: one.per for one in hold.lines if one.kit == line.item and one.shipped} if hold else {}
    if not parts:
        return (line,)
    return tuple(
        Line(item, line.quantity * per, line.locations, line.item, per) for item, per in parts.items()
    )


def _may_reserve(old: Reservation | None, command: Reserve, now: int, caller: str) -> AnyRefusal | None:
    if not command.lines:
        return Forbidden("a reservation needs at least one line")
    for line in command.lines:
        if line.quantity < 1:
            return Forbidden("a reserved quantity is at least 1")
        if line.quantity > QUANTITY_LIMIT:
            return TooLarge(line.quantity)
        if not line.locations:
            return Unknown("location", "")
    if command.expires_at is not None and command.expires_at <= now:
        return Expired(command.reference, command.expires_at)
    if old is None:
        return None
    if old.owner != caller:
        return Exists(command.reference, None)
    shipped = any(line.shipped for line in old.lines)
    gone_further = (shipped or old.status is HoldStatus.CONFIRMED) and not command.force
    return Exists(command.reference, old.status) if gone_further else None


def _with_past(placed: tuple[HoldLine, ...], old: Reservation | None) -> tuple[HoldLine, ...]:
    """``placed``, and what has left under this name before: it can still come back."""
    past = {_key(line): line for line in old.lines if line.shipped} if old else {}
    lines = []
    for line in placed:
        left = past.pop(_key(line), None)
        lines.append(replace(line, shipped=left.shipped, returned=left.returned) if left else line)
    return (*lines, *(replace(line, held=0, released=0, expired=0) for line in past.values()))


def _key(line: HoldLine) -> LineKey:
    return (line.item, line.location, line.kit)


def _place(books: Books, command: Reserve, before: dict[Place, int]) -> tuple[HoldLine, ...] | AnyRefusal:
    """Spread every line over its locations in order, on what is free once ``before`` is back."""
    taken: dict[Place, int] = {}
    placed: dict[LineKey, HoldLine] = {}
    for line in command.lines:
        free = {at: _free(books, (line.item, at), taken, before) for at in line.locations}
        if sum(free.values()) < line.quantity and not command.force:
            return _cannot(books, line, sum(free.values()))
        left = line.quantity
        for at, units in free.items():
            take = min(left, units)
            if take:
                _hold(placed, taken, line, at, take)
                left -= take
        if left:
            _hold(placed, taken, line, line.locations[0], left)
    return tuple(placed.values())


def _free(books: Books, place: Place, taken: dict[Place, int], before: dict[Place, int]) -> int:
    level = books.level(place)
    if level.infinite:
        return QUANTITY_LIMIT
    return max(0, level.available + before.get(place, 0) - taken.get(place, 0))


def _hold(
    placed: dict[LineKey, HoldLine],
    taken: dict[Place, int],
    line: Line,
    at: int,
    quantity: int,
) -> None:
    place = (line.item, at)
    taken[place] = taken.get(place, 0) + quantity
    key = (line.item, at, line.kit)
    found = placed.get(key)
    held = quantity + (found.held if found else 0)
    placed[key] = HoldLine(line.item, at, held, kit=line.kit, per=line.per)


def _cannot(books: Books, line: Line, free: int) -> Insufficient:
    levels = [books.level((line.item, at)) for at in dict.fromkeys(line.locations)]
    on_hand = sum(level.on_hand for level in levels)
    reserved = sum(level.reserved for level in levels)
    return Insufficient(line.item, line.locations[0], line.quantity, free, on_hand, reserved, line.kit)


def _held(lines: Iterable[HoldLine]) -> dict[Place, int]:
    held: dict[Place, int] = {}
    for line in lines:
        held[line.place] = held.get(line.place, 0) + line.held
    return held


def _changed(
    books: Books,
    old: Reservation | None,
    new: Reservation,
    before: dict[Place, int],
    reason: str | None,
) -> Decision:
    if old == new:
        return NOTHING
    after = _held(new.lines)
    movements: list[Movement] = []
    for place in dict.fromkeys([*after, *before]):
        delta = after.get(place, 0) - before.get(place, 0)
        if delta:
            kind = Kind.RESERVED if delta > 0 else Kind.RELEASED
            movements.append(books.move(place, kind, 0, delta, new.reference, reason))
    return Decision(tuple(movements), new)
