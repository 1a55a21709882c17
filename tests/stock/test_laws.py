"""What holds after any sequence of commands: the laws of the ledger, on random ones."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from deals import expire, group
from onhand.stock import ledger
from onhand.stock.ledger import Draft, Refused
from onhand.stock.model import (
    ABSENT,
    QUANTITY_LIMIT,
    Adjust,
    AnyCommand,
    Floor,
    Level,
    Place,
    Reserve,
    SetAvailable,
    SetInfinite,
    SetOnHand,
    Ship,
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
    for entry in draft.entries:
        movement, after = entry.movement, entry.level
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
