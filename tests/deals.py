"""Random commands for hypothesis, and the passing of time, for the laws that they may not break."""

from hypothesis import strategies as st
from msgspec.structs import replace

from onhand.stock import holds
from onhand.stock.decision import Decision
from onhand.stock.ledger import Draft
from onhand.stock.model import (
    QUANTITY_LIMIT,
    Adjust,
    Confirm,
    Expire,
    Extend,
    Floor,
    Forget,
    Line,
    Part,
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
