"""A channel's order as kept state: what a newer snapshot makes of it, and the commands that follow. Pure.

A snapshot says how an order stands; the commands are the difference between that and what the ledger has
under its reference. So the same snapshot twice, an old one late, or units that somebody here released or
shipped lead to the same end. Counts of a line never go down; what an edit takes off counts as cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from msgspec.structs import replace

from onhand.stock.model import (
    AnyCommand,
    HoldLine,
    Line,
    Part,
    Release,
    Reservation,
    Reserve,
    Return,
    Ship,
    Value,
)
from onhand.stock.reserving import as_left


class Footing(StrEnum):
    """What a line of an order stands on."""

    TAKEN = "taken"
    """An item of ours, counted in the ledger."""
    UNKNOWN = "unknown"
    """No listing and no item of ours: nothing is held until there is one."""
    UNTRACKED = "untracked"
    """An item of which no stock is kept anywhere: nothing is held until some is."""
    THEIRS = "theirs"
    """Stock that the channel owns: its own numbers tell of the sale."""
    NOWHERE = "nowhere"
    """No location of ours feeds the listing or the connection: nothing is held until one does."""
    NOTHING = "nothing"
    """It names neither a listing nor a SKU: a tip, a charge, an article made up for this order."""
    EARLY = "early"
    """The connection's listings are still being imported: what was sold is looked up when they are here."""


WAITING = frozenset({Footing.UNKNOWN, Footing.UNTRACKED, Footing.NOWHERE, Footing.EARLY})
"""Lines that are looked at again when there is something new to stand on."""


class Told(Value, frozen=True):
    """A line as told, in units. ``name`` is its listing's external id, ``place`` the channel's location."""

    id: str
    ordered: int
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0
    name: str = ""
    sku: str | None = None
    place: str = ""


class Snapshot(Value, frozen=True):
    """An order as the channel showed it; ``updated`` is when it changed, by its own clock, and ``sent`` when
    the last of its units left, where it says so: microseconds UTC."""

    updated: int
    lines: tuple[Told, ...]
    holds: bool = True
    sent: int | None = None


class Ground(Value, frozen=True):
    """What a line was found to stand on: our item, the listing with the slot that shows it (None where
    none can be told), and where it reserves, in order."""

    footing: Footing
    item: int = 0
    locations: tuple[int, ...] = ()
    listing: int | None = None
    slot: str | None = None


class Kept(Value, frozen=True):
    """A line as it is kept. ``past_shipped`` and ``past_returned`` are units that had left and come back
    before the ledger began to follow the line: they move nothing."""

    told: Told
    ground: Ground = Ground(Footing.UNKNOWN)
    past_shipped: int = 0
    past_returned: int = 0

    @property
    def net(self) -> int:
        """Units that are wanted or were, less the cancelled ones."""
        return max(0, self.told.ordered - self.told.cancelled)

    @property
    def open(self) -> int:
        """Units that are still to be shipped."""
        return max(0, self.net - self.told.shipped)

    @property
    def shipped(self) -> int:
        """Units that left the ledger."""
        return max(0, self.told.shipped - self.past_shipped)

    @property
    def returned(self) -> int:
        """Units that came back to the ledger, of those that left it."""
        return min(self.shipped, max(0, self.told.returned - self.past_returned))


class State(Value, frozen=True):
    """An order as it is kept."""

    updated: int
    lines: tuple[Kept, ...]
    holds: bool = True

    @property
    def waiting(self) -> bool:
        """Whether a line waits for something to stand on."""
        return any(line.ground.footing in WAITING for line in self.lines)


class Took(NamedTuple):
    """What the channel did to its own number at a slot (None: at one of several, nobody knows which): units
    ``sold`` (below 0: given up again), and the change in the units that its open orders hold."""

    listing: int
    slot: str | None
    sold: int
    committed: int


# --- snapshots ----------------------------------------------------------------------------------------


def merged(kept: State | None, seen: Snapshot, since: int = 0) -> State | None:
    """The order after a snapshot; None when the snapshot is older than what is kept.

    Of an order that is seen first, and that was sent or last changed before ``since`` (microseconds UTC: when
    the connection was made), what had shipped and come back is the past: also when it is delivered later.
    """
    if kept is None:
        past = min(seen.updated, seen.updated if seen.sent is None else seen.sent) < since
        return State(seen.updated, tuple(_first(line, past) for line in _by_id(seen)), seen.holds)
    if seen.updated < kept.updated:
        return None
    again = seen.updated == kept.updated
    told = {line.id: line for line in _by_id(seen)}
    lines = []
    for line in kept.lines:
        new = told.pop(line.told.id, None)
        if again:
            lines.append(line if new is None else replace(line, told=_most(line.told, new)))
        else:
            lines.append(replace(line, told=_later(line.told, new)))
    lines += [_first(line, False) for line in told.values()]
    holds = (kept.holds or seen.holds) if again else seen.holds
    return State(seen.updated, tuple(lines), holds)


def _by_id(seen: Snapshot) -> Iterable[Told]:
    """The lines of a snapshot, each once: should an id come twice, its counts belong together."""
    lines: dict[str, Told] = {}
    for line in seen.lines:
        sums = _sum(lines[line.id], line) if line.id in lines else line
        lines[line.id] = replace(sums, returned=min(sums.returned, sums.shipped))
    return lines.values()


def _sum(one: Told, other: Told) -> Told:
    return replace(
        one,
        ordered=one.ordered + other.ordered,
        cancelled=one.cancelled + other.cancelled,
        shipped=one.shipped + other.shipped,
        returned=one.returned + other.returned,
    )


def _first(line: Told, past: bool) -> Kept:
    return Kept(line, past_shipped=line.shipped if past else 0, past_returned=line.returned if past else 0)


def _most(old: Told, new: Told) -> Told:
    """Two snapshots of one moment: what either tells has happened, in whichever order they come."""
    return replace(
        old,
        ordered=max(old.ordered, new.ordered),
        cancelled=max(old.cancelled, new.cancelled),
        shipped=max(old.shipped, new.shipped),
        returned=max(old.returned, new.returned),
    )


def _later(old: Told, new: Told | None) -> Told:
    """A newer word on a line; None when the line is gone, which leaves what had shipped."""
    if new is None:
        new = replace(old, ordered=old.shipped, cancelled=0)
    net = max(0, new.ordered - new.cancelled)
    ordered = max(old.ordered, new.ordered, old.cancelled + net)
    return replace(
        new,
        ordered=ordered,
        cancelled=ordered - net,
        shipped=max(old.shipped, new.shipped),
        returned=max(old.returned, new.returned),
    )


def grounded(state: State, grounds: Mapping[str, Ground]) -> State:
    """The order with the lines of these ids on their grounds. A line that is taken stays where it is: its
    item does not change when a listing does. What of an untracked item had shipped when its first stock
    was counted is the past."""
    return replace(
        state,
        lines=tuple(
            _ground(line, grounds[line.told.id]) if line.told.id in grounds else line for line in state.lines
        ),
    )


def _ground(line: Kept, ground: Ground) -> Kept:
    if line.ground.footing not in WAITING:
        return line
    if ground.footing is Footing.TAKEN and line.ground.footing is Footing.UNTRACKED:
        line = _past(line, line)
    return replace(line, ground=ground)


def past(state: State, before: Mapping[str, Kept]) -> State:
    """The order with all that had left and come back on these lines, as they stood before, as past."""
    return replace(state, lines=tuple(_past(line, before.get(line.told.id)) for line in state.lines))


def _past(line: Kept, then: Kept | None) -> Kept:
    if then is None:
        return line
    return replace(line, past_shipped=then.told.shipped, past_returned=then.told.returned)


# --- the difference -----------------------------------------------------------------------------------


def took(old: State | None, new: State) -> list[Took]:
    """What the channel did to its own numbers between two states of an order: it took what was added, and
    is taken to have put back what was cancelled. If it has not, it shows too little until the next look at
    it; the other way round it would show too much."""
    before = {line.told.id: line for line in old.lines} if old else {}
    sums: dict[tuple[int, str | None], tuple[int, int]] = {}
    for line in new.lines:
        listing, slot = line.ground.listing, line.ground.slot
        if listing is None or line.ground.footing is not Footing.TAKEN:
            continue
        had = before.get(line.told.id)
        counted = bool(old and old.holds)
        sold = (line.net if new.holds else 0) - (had.net if had and counted else 0)
        committed = (line.open if new.holds else 0) - (had.open if had and counted else 0)
        here = sums.get((listing, slot), (0, 0))
        sums[listing, slot] = (here[0] + sold, here[1] + committed)
    return [Took(*place, *units) for place, units in sums.items() if any(units)]


class _Want:
    """What the ledger should have of one item of an order, and what it has.

    Where every line names its one location, each location is seen to by itself (``split``); else units of
    the item are alike wherever they lie, and so are kits, whose components may lie apart.
    """

    def __init__(self, lines: Sequence[Kept], hold: Reservation | None, holds: bool) -> None:
        self.item = lines[0].ground.item
        held = [line for line in hold.lines if self.item == _named(line)] if hold else []
        whole = all(line.kit is None for line in held)
        self.split = whole and all(len(line.ground.locations) == 1 for line in lines)
        self.places = {line.location for line in held if line.held}
        has = self._sums([(line, line.held) for line in held])
        out = self._sums([(line, line.shipped) for line in held])
        back = self._sums([(line, line.returned) for line in held])
        early = _early(lines, out)
        gone = _given(lines, [line.shipped for line in lines], dict(out), self.split)
        came = _given(lines, [line.returned for line in lines], dict(back), self.split)
        self.lines: list[Line] = []
        self.change = {at: -units for at, units in has.items()}
        self.ship: dict[int | None, int] = {}
        self.back: dict[int | None, int] = {}
        for line, left, returned in zip(lines, gone, came, strict=True):
            at = self._at(line)
            still = line.open if holds else 0
            less = min(early, still)
            early -= less
            wanted = still - less + line.shipped - left
            _add(self.change, at, wanted)
            _add(self.ship, at, line.shipped - left)
            _add(self.back, at, line.returned - returned)
            if wanted:
                self.lines.append(Line(self.item, wanted, line.ground.locations))

    def _sums(self, parts: Sequence[tuple[HoldLine, int]]) -> dict[int | None, int]:
        if not self.split:
            return {None: _units([(line.item, units, line.per) for line, units in parts])}
        sums: dict[int | None, int] = {}
        for line, units in parts:
            _add(sums, line.location, units)
        return sums

    def _at(self, line: Kept) -> int | None:
        return line.ground.locations[0] if self.split else None

    @property
    def changes(self) -> bool:
        """Whether more or fewer units are to be held somewhere."""
        return any(self.change.values())

    @property
    def less(self) -> bool:
        """Whether fewer are, and nowhere more, and it is plain where."""
        return max(self.change.values()) <= 0 and (self.split or len(self.places) == 1)

    def parts(self, units: Mapping[int | None, int]) -> Iterator[Part]:
        """Units by location as parts of the reservation."""
        return (Part(self.item, many, at) for at, many in units.items() if many > 0)


def _add(sums: dict[int | None, int], at: int | None, units: int) -> None:
    sums[at] = sums.get(at, 0) + units


def _early(lines: Sequence[Kept], out: Mapping[int | None, int]) -> int:
    """Units that left by another hand before the channel says so: they will not leave again."""
    return max(0, sum(out.values()) - sum(line.shipped for line in lines))


def _given(lines: Sequence[Kept], told: Sequence[int], done: dict[int | None, int], split: bool) -> list[int]:
    """How many of the units that lines tell of are done already: those at a line's own location first,
    then what was done anywhere."""
    given = [0] * len(lines)
    for own in (True, False) if split else (False,):
        for index, line in enumerate(lines):
            for at in [line.ground.locations[0]] if own else list(done):
                units = min(told[index] - given[index], done.get(at, 0))
                if units > 0:
                    given[index] += units
                    done[at] -= units
    return given


def _named(line: HoldLine) -> int:
    """The item that was ordered, of which this may be a component."""
    return line.item if line.kit is None else line.kit


def _units(parts: Sequence[tuple[int, int, int]]) -> int:
    """Units of what was ordered, of (component, units, units for each): all its components have them. A
    component may be split over locations without regard to whole kits: it is summed before it is divided."""
    sums: dict[tuple[int, int], int] = {}
    for item, units, per in parts:
        sums[item, per] = sums.get((item, per), 0) + units
    return min((units // per for (_, per), units in sums.items()), default=0)


def commands(reference: str, state: State, hold: Reservation | None) -> tuple[AnyCommand, ...]:
    """What brings the ledger from ``hold``, the order's reservation as it is, to what the order says."""
    by_item: dict[int, list[Kept]] = {}
    for line in state.lines:
        if line.ground.footing is Footing.TAKEN:
            by_item.setdefault(line.ground.item, []).append(line)
    wants = [_Want(lines, hold, state.holds) for lines in by_item.values()]
    made: list[AnyCommand] = [*_holding(reference, wants, hold)]
    if ship := tuple(part for want in wants for part in want.parts(want.ship)):
        made.append(Ship(reference, ship, force=True))
    if back := tuple(part for want in wants for part in want.parts(want.back)):
        made.append(Return(reference, back))
    return tuple(made)


def _holding(reference: str, wants: Sequence[_Want], hold: Reservation | None) -> list[AnyCommand]:
    """Reserve, or release a part, until as much is held as is open or about to be shipped. Fewer units where
    it is plain which are a release; all else reserves anew, where it would lie had the order come like this.
    Items that do not change stay where they are."""
    other = [want for want in wants if want.changes]
    if not other:
        return []
    if all(want.less for want in other):
        fewer = (want.parts({at: -units for at, units in want.change.items()}) for want in other)
        return [Release(reference, tuple(part for parts in fewer for part in parts))]
    changed = {want.item for want in other}
    stays = [line for line in hold.lines if line.held and _named(line) not in changed] if hold else []
    pinned = [Line(line.item, line.held, (line.location,), line.kit, line.per) for line in stays]
    lines = (*pinned, *(part for want in other for line in want.lines for part in as_left(line, hold)))
    if not lines:
        return [Release(reference)]
    return [Reserve(reference, lines, confirmed=True, force=True)]
