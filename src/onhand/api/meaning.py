"""From the names in a request to the commands of the ledger: what to look up, and what it then means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from msgspec import UNSET, Struct, UnsetType

from onhand.api.asked import (
    Adjust,
    AnyChange,
    Confirm,
    Extend,
    Forget,
    HoldChange,
    Line,
    PartsBody,
    Release,
    Reserve,
    ReserveBody,
    Return,
    Sellable,
    SetAvailable,
    SetInfinite,
    SetOnHand,
    Ship,
    Transfer,
    Until,
)
from onhand.api.params import whole
from onhand.api.problems import Problem, invalid
from onhand.api.schema import SECOND, Where, ahead, missing
from onhand.stock import model
from onhand.stock.model import AnyCommand


class Names(Struct, frozen=True):
    """What names in a request stand for: SKU to item, name to location. ``allowed`` are the locations
    a bound key may touch (None: all), ``usual`` those a line without any draws on, ``holds`` the
    reservations it may touch (None: all)."""

    items: Mapping[str, int]
    locations: Mapping[str, int]
    allowed: frozenset[int] | None = None
    usual: tuple[int, ...] = ()
    holds: frozenset[str] | None = None


class Wanted(Struct, frozen=True):
    """What a request names and must be looked up."""

    skus: set[str]
    locations: set[str]
    references: set[str]

    def sellable(self, one: Sellable) -> None:
        """Note the SKU of an item."""
        if one.sku is not None:
            self.skus.add(one.sku)

    def places(self, *named: Where | None) -> None:
        """Note the names of locations."""
        self.locations.update(name for name in named if isinstance(name, str))


def wanted(changes: Iterable[AnyChange]) -> Wanted:
    """Everything that ``changes`` name, for one look-up of all."""
    found = Wanted(set(), set(), set())
    for change in changes:
        match change:
            case Adjust() | SetOnHand() | SetAvailable() | SetInfinite() | Forget():
                found.sellable(change)
                found.places(change.location)
            case Transfer():
                found.sellable(change)
                found.places(change.source, change.destination)
            case Reserve() | Extend() | Confirm() | Release() | Ship() | Return():
                found.references.add(change.reference)
                if isinstance(change, Extend | Confirm):
                    continue
                for line in change.lines or ():
                    found.sellable(line)
                    found.places(line.location, *((line.locations or ()) if isinstance(line, Line) else ()))
            case _:
                assert_never(change)
    return found


# --- from the wire to commands ------------------------------------------------------------------------------


def item_of(one: Sellable, names: Names, at: str) -> int:
    """The id of an item. Raises Problem: unknown_item, invalid_body."""
    if one.sku is not None and one.item is None:
        found = names.items.get(one.sku)
        if found is None:
            raise missing("unknown_item", f"item with the SKU {one.sku!r}", f"{at}/sku")
        return found
    if one.item is None or one.sku is not None:
        raise invalid(at, "Name the item by sku or by item, one of the two")
    return one.item


def location_of(named: Where, names: Names, at: str, field: str = "") -> int:
    """The id of a location, named at ``at`` and ``field``. Raises Problem: unknown_location."""
    found = names.locations.get(named) if isinstance(named, str) else named
    if found is None or (names.allowed is not None and found not in names.allowed):
        raise missing("unknown_location", f"location {named!r}", at + field)
    return found


def command(change: AnyChange, names: Names, now: int, at: str = "") -> AnyCommand:
    """The ledger's command for ``change``. Raises Problem with pointers that begin with ``at``."""
    match change:
        case Adjust():
            item = item_of(change, names, at)
            location = location_of(change.location, names, at, "/location")
            return model.Adjust(item, location, change.delta, change.floor, change.reason, change.reference)
        case SetOnHand() | SetAvailable() | SetInfinite() | Forget():
            return _level(change, names, at)
        case Transfer():
            item = item_of(change, names, at)
            source = location_of(change.source, names, at, "/from")
            target = location_of(change.destination, names, at, "/to")
            return model.Transfer(item, source, target, change.quantity, change.reason, change.reference)
        case _:
            return _hold(change, names, now, at)


def _level(change: SetOnHand | SetAvailable | SetInfinite | Forget, names: Names, at: str) -> AnyCommand:
    item = item_of(change, names, at)
    location = location_of(change.location, names, at, "/location")
    why, reference = change.reason, change.reference
    match change:
        case SetOnHand():
            return model.SetOnHand(item, location, change.quantity, why, reference)
        case SetAvailable():
            return model.SetAvailable(item, location, change.quantity, change.expected, why, reference)
        case SetInfinite():
            return model.SetInfinite(item, location, change.infinite, why, reference)
        case Forget():
            return model.Forget(item, location, why, reference)
        case _:
            assert_never(change)


def _hold(change: HoldChange, names: Names, now: int, at: str) -> AnyCommand:
    if isinstance(change, Reserve):
        return reserve(change, names, now, at)
    reference = change.reference
    if names.holds is not None and reference not in names.holds:
        raise missing("unknown_reservation", f"reservation {reference!r}", f"{at}/reference")
    match change:
        case Extend():
            return model.Extend(reference, _until(change, now, at), change.reason)
        case Confirm():
            return model.Confirm(reference, change.reason)
        case Release():
            return model.Release(reference, parts(change, names, at), change.reason)
        case Ship():
            return model.Ship(reference, parts(change, names, at), reason=change.reason)
        case Return():
            return model.Return(reference, parts(change, names, at), change.reason)
        case _:
            assert_never(change)


def reserve(change: ReserveBody, names: Names, now: int, at: str) -> model.Reserve:
    """The command to reserve; `wanted` names what must be looked up for it."""
    lines = tuple(_line(line, names, f"{at}/lines/{index}") for index, line in enumerate(change.lines))
    firm = change.confirmed and change.ttl_seconds is None and change.expires_at is UNSET
    if change.confirmed and not firm:
        raise invalid(at, "A confirmed reservation has no expiry: leave out ttl_seconds and expires_at")
    until = None if firm else _until(change, now, at)
    return model.Reserve(change.reference, lines, until, change.confirmed, reason=change.reason)


def _until(change: Until, now: int, at: str) -> int | None:
    if change.ttl_seconds is not None and change.expires_at is UNSET:
        return now + change.ttl_seconds * SECOND
    if change.ttl_seconds is not None or isinstance(change.expires_at, UnsetType):
        raise invalid(at, "Say how long: ttl_seconds or expires_at, one of the two; null is for ever")
    return None if change.expires_at is None else ahead(change.expires_at, now, f"{at}/expires_at")


def _line(line: Line, names: Names, at: str) -> model.Line:
    item = item_of(line, names, at)
    if line.location is not None and line.locations is not None:
        raise invalid(at, "Name one location or several locations, one of the two")
    if line.location is not None:
        return model.Line(item, line.quantity, (location_of(line.location, names, at, "/location"),))
    if line.locations is not None:
        found = [location_of(one, names, f"{at}/locations/{n}") for n, one in enumerate(line.locations)]
        return model.Line(item, line.quantity, tuple(dict.fromkeys(found)))
    if not names.usual:
        raise missing("unknown_location", "location of your own to reserve at: name one", at)
    return model.Line(item, line.quantity, names.usual)


def parts(change: PartsBody, names: Names, at: str) -> tuple[model.Part, ...] | None:
    """The parts named in a body; None for all."""
    if change.lines is None:
        return None
    return tuple(
        model.Part(
            item_of(part, names, f"{at}/lines/{n}"),
            part.quantity,
            None if part.location is None else location_of(part.location, names, f"{at}/lines/{n}/location"),
        )
        for n, part in enumerate(change.lines)
    )


def wanted_of(item: Sellable, location: Where) -> Wanted:
    """What of a path must be looked up."""
    wanted = Wanted(set(), set(), set())
    wanted.sellable(item)
    wanted.places(location)
    return wanted


def place_of(item: Sellable, location: Where, names: Names) -> model.Place:
    """What a path names. It has no place in the body that a pointer could lead to. Raises Problem."""
    try:
        return item_of(item, names, ""), location_of(location, names, "")
    except Problem as problem:
        raise Problem(problem.code, problem.detail) from None


def place_at_once(item: str, location: str, names: Names) -> model.Place | None:
    """The item and location of a path; None where these names are not enough, or anything is wrong."""
    found = names.items.get(item[4:]) if item.startswith("sku:") else whole(item)
    at = names.locations.get(location[5:]) if location.startswith("name:") else whole(location)
    return (found, at) if found and at else None


def at_once(changes: Sequence[AnyChange], names: Names | None, now: int) -> list[AnyCommand] | None:
    """A command for every change; None where these names are not enough for all, or anything is wrong."""
    if names is None:
        return None
    try:
        return [command(change, names, now) for change in changes]
    except Problem:
        return None


def commands(
    changes: Sequence[AnyChange], names: Names, now: int, at: str = "/changes"
) -> list[AnyCommand | Problem]:
    """A command for every change, or what is wrong with it."""
    made: list[AnyCommand | Problem] = []
    for index, change in enumerate(changes):
        try:
            made.append(command(change, names, now, f"{at}/{index}"))
        except Problem as problem:
            made.append(problem)
    return made
