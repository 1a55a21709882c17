"""Random batches on a database give what one command after the other gives in memory."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deals import expire, group
from onhand.stock.ledger import Draft
from onhand.stock.model import ABSENT, AnyCommand
from onhand.work import Work
from shops import Shop, said, shape
from transcript import hold_text, say

Groups = list[tuple[int, str, list[AnyCommand]]]
batches = st.lists(st.tuples(st.integers(0, 120), st.lists(group, min_size=1, max_size=6)), max_size=8)
SAME_SHOP = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=2500, deadline=None, suppress_health_check=SAME_SHOP)
@given(batches)
def test_batches(shop: Shop, given_batches: list[tuple[int, Groups]]) -> None:
    shop.reset()
    model, now = Draft({}, {}), 0
    for passed, groups in given_batches:
        now += passed
        shop.now = now
        expire(model, now)
        expected = [say(model, *commands, by=caller, now=now) for _, caller, commands in groups]
        works = [shop.work(*commands, caller=caller) for _, caller, commands in groups]
        assert said(shop.batch(*works)) == expected
        shop.check()
    # A last look at every level writes off what has expired, in one batch; then all is the same.
    shop.commit(Work(shop.account, (), "onhand:clock", watch=tuple(sorted(model.levels))))
    for place, level in model.levels.items():
        stored = shop.level(place) or ABSENT
        assert shape(stored)[:2] == shape(level)[:2]
    for reference, hold in model.reservations.items():
        assert hold_text(shop.hold(reference)) == hold_text(hold)
    shop.check()
