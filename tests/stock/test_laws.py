"""What holds after any sequence of commands: the laws of the ledger, on random ones."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from onhand.stock import holds, ledger
from onhand.stock.decision import Decision
from onhand.stock.ledger import Draft, Refused
from onhand.stock.model import (
    ABSENT,
    QUANTITY_LIMIT,
    Adjust,
    AnyCommand,
    Confirm,
    Expire,
    Extend,
    Floor,
    Forget,
    Level,
    Line,
    Part,
    Place,
    Release,
    Reserve,
    Return,
    SetAvailable,
    SetInfinite,
    SetOnHand,
    Ship,
    Transfer,
)

ITEMS, LOCATIONS, REFERENCES, CALLERS = (1, 2), (1, 2, 3), ("a", "b", "c"), ("me", "you")
HUGE = QUANTITY_LIMIT

item, location = st.sampled_from(ITEMS), st.sampled_from(LOCATIONS)
reference = st.sampled_from(REFERENCES)
few = st.integers(1, 9)
some = st.integers(0, 12)
quantity = st.one_of(some, some, some, st.sampled_from([-3, HUGE - 5, HUGE, HUGE + 1]))
lines = st.builds(Line, item, few, st.lists(location, min_size=1, max_size=3).map(tuple))
picked = st.none() | st.lists(st.builds(Part, item, few, st.none() | location), max_size=2).map(tuple)
moment = st.none() | st.integers(0, 400)
LEVEL_COMMANDS = (
    st.builds(SetOnHand, item, location, quantity),
    st.builds(SetAvailable, item, location, quantity, st.none() | some),
    st.builds(Adjust, item, location, st.integers(-9, 9), st.sampled_from(Floor)),
    st.builds(Transfer, item, location, location, quantity),
    st.builds(SetInfinite, item, location, st.sampled_from([False, False, True])),
    st.builds(Forget, item, location),
)
HOLD_COMMANDS = (
    st.builds(
        Reserve, reference, st.lists(lines, max_size=3).map(tuple), moment, st.booleans(), st.booleans()
    ),
    st.builds(Extend, reference, moment),
    st.builds(Confirm, reference),
    st.builds(Release, reference, picked),
    st.builds(Ship, reference, picked, st.booleans()),
    st.builds(Return, reference, picked),
    st.builds(Expire, reference),
)
command = st.one_of(*LEVEL_COMMANDS, *HOLD_COMMANDS, *HOLD_COMMANDS)
group = st.tuples(
    st.integers(0, 60), st.sampled_from(CALLERS[:1] * 4 + CALLERS), st.lists(command, max_size=4)
)


@settings(max_examples=400, deadline=None)
@given(st.lists(group, max_size=25))
def test_laws(groups: list[tuple[int, str, list[AnyCommand]]]) -> None:
    draft = Draft({}, {})
    now = 0
    for passed, caller, commands in groups:
        now += passed
        expire(draft, now)
        levels, reservations, count = dict(draft.levels), dict(draft.reservations), len(draft.entries)
        outcome = draft.group(commands, now, caller)
        if isinstance(outcome, Refused):
            assert (draft.levels, draft.reservations) == (levels, reservations)
            assert len(draft.entries) == count
            continue
        assert outcome == tuple(draft.entries[count:])
        touched(draft, levels, {entry.movement.place for entry in outcome})
        if all(map(polite, commands)):
            never_sells_what_is_not_there(draft.levels, levels)
        for one in commands[-1:]:
            promises_what_was_ordered(draft, one, caller)
        adds_up(draft)


def expire(draft: Draft, now: int) -> None:
    """Fold the holds whose time has come, level by level, as the desk does before it decides."""
    for name, hold in list(draft.reservations.items()):
        if hold.confirmed or hold.expires_at is None or hold.expires_at > now:
            continue
        for place in dict.fromkeys(line.place for line in hold.lines):
            hold, moved = holds.fold(hold, place)
            infinite = draft.levels[place].infinite
            draft.add(Decision(tuple(replace(move, infinite=infinite) for move in moved)), [], [])
        draft.reservations[name] = hold


def touched(draft: Draft, before: dict[Place, Level], moved: set[Place]) -> None:
    """Only a movement changes a level."""
    for place, level in draft.levels.items():
        if place not in moved:
            assert replace(level, next_expiry=None) == replace(before.get(place, ABSENT), next_expiry=None)


def polite(one: AnyCommand) -> bool:
    """Whether a command is checked against what is available: not a count, not a fact of a channel."""
    match one:
        case SetOnHand() | SetInfinite():
            return False
        case SetAvailable(quantity=said):
            return said >= 0
        case Adjust(floor=floor):
            return floor is Floor.AVAILABLE
        case Reserve(force=force) | Ship(force=force):
            return not force
        case _:
            return True


def never_sells_what_is_not_there(levels: dict[Place, Level], before: dict[Place, Level]) -> None:
    """Nobody but a count or a force takes a level below 0, or deeper than it was."""
    for place, level in levels.items():
        if not level.infinite:
            assert level.available >= min(0, before.get(place, ABSENT).available)


def promises_what_was_ordered(draft: Draft, one: AnyCommand, caller: str) -> None:
    """The sum that is held is the sum that was ordered, wherever it is."""
    if isinstance(one, Reserve):
        hold = draft.reservations[one.reference]
        assert hold.owner == caller
        assert sum(line.held for line in hold.lines) == sum(line.quantity for line in one.lines)
        for line in hold.lines:
            assert any(line.item == wanted.item for wanted in one.lines) or line.shipped


def adds_up(draft: Draft) -> None:
    """The levels are the movements, what is reserved is what is held, and nothing is out of bounds."""
    folded: dict[Place, Level] = {}
    for movement, after in draft.entries:
        level = ledger.apply(folded.get(movement.place, ABSENT), movement)
        assert replace(level, next_expiry=None) == replace(after, next_expiry=None)
        folded[movement.place] = level
    held: dict[Place, int] = {}
    for hold in draft.reservations.values():
        for line in hold.lines:
            assert min(line.held, line.shipped, line.released, line.expired, line.returned) >= 0
            assert line.returned <= line.shipped
            held[line.place] = held.get(line.place, 0) + line.held
            if line.held and hold.expires_at is not None:
                due = draft.levels[line.place].next_expiry
                assert due is not None
                assert due <= hold.expires_at
    for place, level in draft.levels.items():
        assert replace(folded.get(place, ABSENT), next_expiry=level.next_expiry) == level
        assert level.reserved == held.get(place, 0)
        assert max(abs(level.on_hand), level.reserved, abs(level.available)) <= QUANTITY_LIMIT
        assert level.present or level.on_hand == level.reserved == 0
