"""The life of a reservation: held, extended, confirmed, then released, shipped, returned or expired."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from onhand.stock.decision import NOTHING, Books, Decision
from onhand.stock.model import (
    AnyRefusal,
    Confirm,
    Exists,
    Expire,
    Expired,
    Extend,
    Forbidden,
    HoldLine,
    HoldStatus,
    Insufficient,
    Kind,
    Level,
    Movement,
    Part,
    Place,
    Release,
    Reservation,
    Return,
    Ship,
    Unknown,
)

Held = Reservation | AnyRefusal


# --- extend and confirm --------------------------------------------------------------------------


def _running(books: Books, reference: str, now: int) -> Held:
    """The reservation, if something is still held under it."""
    found = books.reservations.get(reference)
    if found is None:
        return Unknown("reservation", reference)
    if found.status in (HoldStatus.HELD, HoldStatus.CONFIRMED):
        return found
    if found.status is HoldStatus.EXPIRED:
        return Expired(reference, found.expires_at if found.expires_at is not None else now)
    return Exists(reference, found.status)


def extend(books: Books, command: Extend, now: int) -> Decision | AnyRefusal:
    """Move the expiry of a running hold; an expiry in the past is refused."""
    found = _running(books, command.reference, now)
    if not isinstance(found, Reservation):
        return found
    if found.confirmed:
        return Exists(command.reference, HoldStatus.CONFIRMED)
    if command.expires_at is not None and command.expires_at <= now:
        return Expired(command.reference, command.expires_at)
    if found.expires_at == command.expires_at:
        return NOTHING
    return Decision((), replace(found, expires_at=command.expires_at))


def confirm(books: Books, command: Confirm, now: int) -> Decision | AnyRefusal:
    """Make a running hold firm."""
    found = _running(books, command.reference, now)
    if not isinstance(found, Reservation):
        return found
    if found.confirmed:
        return NOTHING
    return Decision((), replace(found, confirmed=True, expires_at=None))


# --- release, ship, return -----------------------------------------------------------------------


def _pick(
    books: Books, hold: Reservation, parts: tuple[Part, ...] | None, stock: Callable[[HoldLine], int]
) -> list[tuple[int, int]] | AnyRefusal:
    """Which line gives how much: (index, units). All that ``stock`` counts when ``parts`` is None."""
    if parts is None:
        return [(index, stock(line)) for index, line in enumerate(hold.lines) if stock(line)]
    picked: dict[int, int] = {}
    for part in parts:
        if part.quantity < 1:
            return Forbidden("a part is at least 1 unit")
        groups = _groups(hold, part)
        if not groups:
            return Unknown("line", str(part.item))
        for wanted, indexes in groups:
            left = _from(hold, wanted, indexes, picked, stock)
            if left:
                return _too_few(books, [hold.lines[one] for one in indexes], wanted, wanted - left)
    return list(picked.items())


def _groups(hold: Reservation, part: Part) -> list[tuple[int, list[int]]]:
    """The lines a part draws on; a kit draws on each of its components, and has none where one is missing."""
    groups: dict[int, tuple[int, list[int]]] = {}
    whole: set[int] = set()
    for index, line in enumerate(hold.lines):
        if part.item == (line.item if line.kit is None else line.kit):
            whole.add(line.item)
            if part.location in (None, line.location):
                wanted = part.quantity * line.per
                groups.setdefault(line.item, (wanted, []))[1].append(index)
    return list(groups.values()) if groups.keys() == whole else []


def _from(
    hold: Reservation,
    wanted: int,
    indexes: list[int],
    picked: dict[int, int],
    stock: Callable[[HoldLine], int],
) -> int:
    """Note in ``picked`` what each line gives of ``wanted``; the units that none of them has."""
    left = wanted
    for index in indexes:
        take = min(left, stock(hold.lines[index]) - picked.get(index, 0))
        if take > 0:
            picked[index] = picked.get(index, 0) + take
            left -= take
    return left


def _too_few(books: Books, lines: list[HoldLine], wanted: int, have: int) -> Insufficient:
    levels = [books.level(place) for place in dict.fromkeys(line.place for line in lines)]
    on_hand = sum(level.on_hand for level in levels)
    reserved = sum(level.reserved for level in levels)
    line = lines[0]
    return Insufficient(line.item, line.location, wanted, have, on_hand, reserved, line.kit)


def release(books: Books, command: Release | Expire, now: int) -> Decision | AnyRefusal:
    """Give held units back to available: released by their owner, or expired when their time is up."""
    found = books.reservations.get(command.reference)
    if found is None:
        return Unknown("reservation", command.reference)
    expire = isinstance(command, Expire)
    if expire and found.status is HoldStatus.CONFIRMED:
        return Exists(found.reference, HoldStatus.CONFIRMED)
    parts = command.parts if isinstance(command, Release) else None
    if parts is not None and found.status is HoldStatus.EXPIRED:
        return Expired(found.reference, found.expires_at if found.expires_at is not None else now)
    picked = _pick(books, found, parts, lambda line: line.held)
    if not isinstance(picked, list):
        return picked
    kind = Kind.EXPIRED if expire else Kind.RELEASED
    lines = list(found.lines)
    movements = []
    for index, units in picked:
        line = lines[index]
        lines[index] = _ended(line, units, expire)
        movements.append(books.move(line.place, kind, 0, -units, found.reference, command.reason))
    return Decision(tuple(movements), replace(found, lines=tuple(lines))) if movements else NOTHING


def _ended(line: HoldLine, units: int, expire: bool) -> HoldLine:
    if expire:
        return replace(line, held=line.held - units, expired=line.expired + units)
    return replace(line, held=line.held - units, released=line.released + units)


def ship(books: Books, command: Ship) -> Decision | AnyRefusal:
    """Promised units leave on_hand. What has expired is taken from available, if it is there."""
    found = books.reservations.get(command.reference)
    if found is None:
        return Unknown("reservation", command.reference)
    picked = _pick(books, found, command.parts, lambda line: line.held + line.expired)
    if not isinstance(picked, list):
        return picked
    if command.parts is None and not picked:
        return NOTHING if found.status is HoldStatus.SHIPPED else Exists(found.reference, found.status)
    lines = list(found.lines)
    moved: list[Movement] = []
    levels: dict[Place, Level] = {}
    for index, units in picked:
        refusal = _leave(books, command, lines, index, units, levels, moved)
        if refusal is not None:
            return refusal
    return Decision(tuple(moved), replace(found, lines=tuple(lines)))


def _leave(
    books: Books,
    command: Ship,
    lines: list[HoldLine],
    index: int,
    units: int,
    levels: dict[Place, Level],
    moved: list[Movement],
) -> Insufficient | None:
    line = lines[index]
    level = levels.get(line.place) or books.level(line.place)
    held = min(units, line.held)
    late = units - held
    if not level.infinite and not command.force:
        if late > max(0, level.available):
            return _lacking(line, late, level, level.available)
        if units > level.on_hand:
            return _lacking(line, units, level, level.on_hand)
    out = 0 if level.infinite else units
    missing = max(0, out - max(0, level.on_hand))
    if missing:
        found = books.move(line.place, Kind.FOUND, missing, 0, command.reference, command.reason)
        moved.append(found)
    shipped = books.move(line.place, Kind.SHIPPED, -out, -held, command.reference, command.reason)
    moved.append(shipped)
    levels[line.place] = replace(level, on_hand=level.on_hand + missing - out, reserved=level.reserved - held)
    lines[index] = replace(
        line, held=line.held - held, expired=line.expired - late, shipped=line.shipped + units
    )
    return None


def _lacking(line: HoldLine, wanted: int, level: Level, have: int) -> Insufficient:
    have = max(0, have)
    return Insufficient(line.item, line.location, wanted, have, level.on_hand, level.reserved, line.kit)


def give_back(books: Books, command: Return) -> Decision | AnyRefusal:
    """Shipped units of a reservation come back to the level they left."""
    found = books.reservations.get(command.reference)
    if found is None:
        return Unknown("reservation", command.reference)
    picked = _pick(books, found, command.parts, lambda line: line.shipped - line.returned)
    if not isinstance(picked, list):
        return picked
    lines = list(found.lines)
    moved = []
    for index, units in picked:
        line = lines[index]
        level = books.level(line.place)
        back = 0 if level.infinite else units
        lines[index] = replace(line, returned=line.returned + units)
        moved.append(books.move(line.place, Kind.RETURNED, back, 0, found.reference, command.reason))
    return Decision(tuple(moved), replace(found, lines=tuple(lines))) if moved else NOTHING


def fold(hold: Reservation, place: Place) -> tuple[Reservation, tuple[Movement, ...]]:
    """Expire what ``hold``, whose time has come, still has at ``place``; one movement a line.

    The movements take effect at the hold's own expiry, however late they are written. Their
    ``infinite`` flag is for the caller to set from the level.
    """
    lines = list(hold.lines)
    moved = []
    for index, line in enumerate(lines):
        if line.place == place and line.held:
            lines[index] = _ended(line, line.held, expire=True)
            movement = Movement(
                *place,
                Kind.EXPIRED,
                0,
                -line.held,
                reference=hold.reference,
                effective_at=hold.expires_at,
            )
            moved.append(movement)
    return replace(hold, lines=tuple(lines)), tuple(moved)
