"""The usual batch is decided in a way of its own, and comes to what the general way comes to."""

from typing import Any

import pytest
from hypothesis import given, settings

from batches import SAME_SHOP, UNKNOWN, batches, left, opened, opening
from onhand import plain
from onhand.stock.model import Adjust, AnyCommand, SetAvailable, SetInfinite, SetOnHand
from onhand.work import Group, PutOrder, Recorded, Work
from shops import KIT, MIRROR, Shop
from transcript import hold, want


class Ways:
    """Counts the batches that were decided in the usual way, or sends all the general way."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.usual = 0
        self.general = False
        self._record = plain.record
        patch.setattr(plain, "record", self.record)

    def record(self, *given: Any) -> bool:
        usual = not self.general and self._record(*given)
        self.usual += usual
        return usual


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(monkeypatch)


def played(shop: Shop, first: list[AnyCommand], given: list[list[Work]]) -> list[object]:
    """What all the batches came to."""
    opened(shop, first)
    found: list[object] = []
    for some in given:
        shop.now += 1
        found.append(shop.batch(*some))
    return [*found, *left(shop)]


@settings(max_examples=25, deadline=None, suppress_health_check=SAME_SHOP)
@given(opening, batches)
def test_both_ways_come_to_the_same(
    shop: Shop, ways: Ways, first: list[AnyCommand], given_batches: list[list[Work]]
) -> None:
    ways.general = False
    one = played(shop, first, given_batches)
    shop.check()
    ways.general = True
    assert played(shop, first, given_batches) == one


def test_what_is_usual(shop: Shop, ways: Ways) -> None:
    shop.commit(shop.work(SetOnHand(1, 1, 5)), shop.work(Adjust(1, 1, -2)), shop.work(SetAvailable(2, 2, 1)))
    assert ways.usual == 1
    before = len(shop.history())
    held = hold("a", want(1, 1, 1), until=shop.now + 10)
    for command in (
        held,
        SetInfinite(2, 1, True),
        Adjust(KIT, 1, 1),
        Adjust(1, MIRROR, 1),
        Adjust(UNKNOWN, 1, 1),
    ):
        shop.commit(shop.work(command))
        shop.commit(shop.work(Adjust(1, 2, 1)), shop.work(command))
    shop.now += 10  # what is held has run out
    shop.commit(shop.work(Adjust(1, 1, 1)))
    assert ways.usual == 1
    shop.commit(shop.work(Adjust(1, 1, 1)))
    assert ways.usual == 2
    assert len(shop.history()) > before


@pytest.mark.parametrize(
    "work",
    [
        Work(1, (Group((Adjust(1, 1, 1), SetInfinite(1, 1, True))),), "me"),
        Work(1, (Group((), also=(PutOrder(1, "o", "o", "o", 1, False, "[]"),)),), "me"),
        Work(1, (), "me", mirror=True),
        Work(1, (), "me", holds=("a",)),
    ],
)
def test_what_is_not(work: Work) -> None:
    usual = Work(1, (Group((Adjust(1, 1, 1),)),), "me")
    assert plain.look([usual]) is not None
    assert plain.look([usual, work]) is None


def test_several_accounts_in_one_batch(shop: Shop, ways: Ways) -> None:
    if shop.store.writer.dialect.name != "sqlite":
        pytest.skip("there a batch is of one account")
    given = [shop.work(SetOnHand(1, 1, 4)), Work(2, (Group((SetOnHand(1, 1, 7), Adjust(1, 1, 2))),), "you")]
    found: list[Recorded] = []
    for ways.general in (False, True):
        shop.reset()
        found.extend(shop.commit(*given))
    assert ways.usual == 1
    assert found[:2] == found[2:]
    assert [one.seq for one in found[:2]] == [1, 2]
