"""When a message or a planned change is given up, and what is never a reason for that."""

from __future__ import annotations

import pytest

from onhand.strikes import PAUSES, STRIKES, STRIKES_OF_OURS, Strikes
from onhand.transact import Busy, StoreFull

OWN, OURS, FULL = ValueError(), Busy(), StoreFull()
THING = (1, 7)


@pytest.mark.parametrize(
    ("errors", "given_up"),
    [
        ([OWN] * (STRIKES - 1), False),
        ([OWN] * STRIKES, True),
        ([OURS] * (STRIKES_OF_OURS - 1), False),
        ([OURS] * STRIKES_OF_OURS, True),
        ([OURS] * 50 + [OWN], False),
        ([OURS] * 50 + [OWN] * STRIKES, True),
        ([FULL] * (STRIKES_OF_OURS * 2), False),
        ([FULL] * STRIKES_OF_OURS + [OWN], False),
    ],
)
def test_a_thing_is_given_up_for_failures_of_one_kind(errors: list[Exception], given_up: bool) -> None:
    strikes = Strikes()
    assert [strikes.strike(THING, error) for error in errors][-1] is given_up


def test_the_pauses_grow_and_begin_anew() -> None:
    strikes = Strikes()
    found = []
    for error in (OWN, OURS, OWN, OURS, OURS, OURS):
        strikes.strike(THING, error)
        found.append(strikes.pause(THING))
    assert found == [*PAUSES, PAUSES[-1]]
    strikes.forget(THING)
    strikes.strike(THING, OWN)
    assert strikes.pause(THING) == PAUSES[0]
