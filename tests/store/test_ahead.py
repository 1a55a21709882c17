"""Planned changes as they are told ahead: never more than there will be."""

import pytest

from onhand.stock.model import Adjust, AnyCommand, SetAvailable, SetInfinite, SetOnHand
from onhand.store import ahead, levels
from onhand.work import Plan
from shops import START, Shop
from transcript import hold, want

DAY = 86_400_000_000
HERE = (1, 1)
TEN = (SetOnHand(1, 1, 10),)

PLANNED: list[tuple[str, tuple[AnyCommand, ...], list[tuple[AnyCommand, ...]], list[int]]] = [
    # what is there, what is planned for one day after the other, units more on each day
    ("deliveries", TEN, [(Adjust(1, 1, 5),), (Adjust(1, 1, 7),)], [5, 7]),
    ("counts go on from one another", TEN, [(SetOnHand(1, 1, 50),), (SetOnHand(1, 1, 80),)], [40, 30]),
    ("the same count again", TEN, [(SetAvailable(1, 1, 50),), (SetAvailable(1, 1, 50),)], [40, 0]),
    ("a plan is done at once", TEN, [(Adjust(1, 1, 5), SetOnHand(1, 1, 12), Adjust(1, 1, -3))], [0]),
    ("a loss is made up for first", TEN, [(Adjust(1, 1, -8),), (Adjust(1, 1, 9),)], [0, 1]),
    (
        "a loss in between",
        TEN,
        [(Adjust(1, 1, 40),), (SetOnHand(1, 1, 20),), (Adjust(1, 1, 35),)],
        [40, 0, 5],
    ),
    (
        "what is owed comes first",
        (SetOnHand(1, 1, 2), hold("a", want(1, 10), force=True)),
        [(Adjust(1, 1, 10),), (SetOnHand(1, 1, 15),)],
        [2, 3],
    ),
    ("stock without end", (SetInfinite(1, 1, True),), [(Adjust(1, 1, 5),)], [0]),
    ("elsewhere", TEN, [(Adjust(1, 2, 5), Adjust(2, 1, 5))], [0]),
]


@pytest.mark.parametrize(
    ("there", "plans", "units"), [row[1:] for row in PLANNED], ids=[row[0] for row in PLANNED]
)
def test_planned_units(
    shop: Shop, there: tuple[AnyCommand, ...], plans: list[tuple[AnyCommand, ...]], units: list[int]
) -> None:
    shop.say(*there)
    shop.say(also=tuple(Plan(START + day * DAY, plan) for day, plan in enumerate(plans, 1)))
    with shop.reading() as connection:
        now = levels.at(connection, 1, [HERE], START)
        found = ahead.changes(connection, 1, now)
    days = [f"1970-01-{day + 1:02}" for day in range(1, len(plans) + 1)]
    assert found == [(HERE, day, more) for day, more in zip(days, units, strict=True) if more]
