"""A batch that is refused as a whole: who stands alone in the end, and when there is no use in going on."""

import asyncio
from collections.abc import Collection, Sequence

import pytest

from onhand.connectors.flow import Accepted, Later, Rejected, Target, Unsure, Verdict, Whole
from onhand.courier.bisecting import ALONE_LIMIT, verdicts


def said(count: int, bad: Collection[int], silent: Collection[int] = ()) -> tuple[dict[int, str], int, int]:
    """What becomes of so many targets when a batch with a bad one is refused: the kind of verdict of each,
    how many batches were sent, and how many were halved."""
    targets = [Target(number, {}, (), str(number)) for number in range(1, count + 1)]
    batches, halved = list[int](), list[None]()
    found = dict[int, str]()

    async def push(some: Sequence[Target]) -> Sequence[Verdict]:
        batches.append(len(some))
        if any(one.listing in bad for one in some):
            return [Unsure(one) if one.listing in silent else Whole(one, "no") for one in some]
        return [Accepted(one) for one in some]

    async def go() -> None:
        async for some in verdicts(push, targets, lambda: halved.append(None)):
            for one in some:
                assert one.target.listing not in found, "a target has one verdict"
                found[one.target.listing] = type(one).__name__

    asyncio.run(go())
    assert sorted(found) == list(range(1, count + 1))
    return found, len(batches), len(halved)


@pytest.mark.parametrize(
    ("count", "bad", "silent", "sent", "halved"),
    [
        pytest.param(8, {3}, (), 7, 3, id="one of eight"),
        pytest.param(1, {1}, (), 1, 0, id="alone"),
        pytest.param(2, {1}, {2}, 1, 0, id="the only one that is left"),
        pytest.param(5, (), (), 1, 0, id="none"),
        pytest.param(4, {1, 4}, (), 7, 3, id="the first and the last"),
    ],
)
def test_the_bad_ones_stand_alone(
    count: int, bad: Collection[int], silent: Collection[int], sent: int, halved: int
) -> None:
    found, batches, splits = said(count, bad, silent)
    assert {number for number, what in found.items() if what == Rejected.__name__} == set(bad)
    assert {number for number, what in found.items() if what == Unsure.__name__} == set(silent)
    assert (batches, splits) == (sent, halved)


def test_a_channel_that_refuses_everything_parks_no_more_than_it_must() -> None:
    found, _, _ = said(64, range(1, 65))
    kinds = list(found.values())
    assert kinds.count(Rejected.__name__) == ALONE_LIMIT
    assert kinds.count(Later.__name__) == 64 - ALONE_LIMIT


def test_one_that_was_taken_has_all_others_tried() -> None:
    found, _, _ = said(64, range(2, 65))
    assert found[1] == Accepted.__name__
    assert list(found.values()).count(Rejected.__name__) == 63
