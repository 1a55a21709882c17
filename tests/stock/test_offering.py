"""What a slot shows: available less the buffer, capped, at least 0."""

import pytest

from onhand.stock import offering
from transcript import level

OFFERS = [
    # levels, buffer, cap, shown
    (["10/3"], 0, None, 7),
    (["10/3", "5/0"], 0, None, 12),
    (["10/3"], 2, None, 5),
    (["10/3"], 9, None, 0),
    (["10/3"], 0, 4, 4),
    (["10/3"], 5, 4, 2),
    (["3/10"], 0, None, 0),
    (["3/10", "9/0"], 0, None, 2),
    (["3/10"], 0, 5, 0),
    (["~0/0"], 0, None, 999),
    (["3/10", "~0/0"], 2, 40, 40),
    ([], 0, None, 0),
    ([], 0, 5, 0),
]


@pytest.mark.parametrize(("texts", "buffer", "cap", "shown"), OFFERS)
def test_offer(texts: list[str], buffer: int, cap: int | None, shown: int) -> None:
    assert offering.offer(map(level, texts), buffer, cap) == shown


KITS = [
    # component and units per kit, how many kits
    ([("10/3", 2)], 3),
    ([("10/3", 2), ("2/0", 1)], 2),
    ([("10/3", 2), ("~0/0", 5)], 3),
    ([("3/10", 2)], 0),
    ([("~0/0", 1)], 999),
]


@pytest.mark.parametrize(("components", "count"), KITS)
def test_kits(components: list[tuple[str, int]], count: int) -> None:
    assert offering.kits((level(text), per) for text, per in components) == count
