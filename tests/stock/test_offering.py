"""What a slot shows: available less what is held back, capped, at least 0; with every term of the sum."""

import pytest

from onhand.stock.offering import HELD, MIRRORED, Part, Rules, Source, offer
from transcript import level

OFFERS = [
    # a level at each location, the rules, what is shown
    (["10/3"], Rules(), 7),
    (["10/3", "5/0"], Rules(), 12),
    (["10/3"], Rules(buffer=2), 5),
    (["10/3"], Rules(buffer=9), 0),
    (["10/3"], Rules(percent=10), 6),
    (["10/3"], Rules(buffer=3, percent=10), 4),
    (["10/3"], Rules(minimum=8), 0),
    (["10/3"], Rules(minimum=7), 7),
    (["10/3"], Rules(cap=4), 4),
    (["10/3"], Rules(buffer=5, cap=4), 2),
    (["3/10"], Rules(), 0),
    (["3/10", "9/0"], Rules(), 2),
    (["3/10"], Rules(cap=5), 0),
    (["~0/0"], Rules(), 999),
    (["3/10", "~0/0"], Rules(buffer=2, cap=40), 40),
    ([], Rules(), 0),
    ([], Rules(cap=5), 0),
]


@pytest.mark.parametrize(("texts", "rules", "shown"), OFFERS)
def test_offer(texts: list[str], rules: Rules, shown: int) -> None:
    sources = [Source(at, "stock", [Part(1, level(text))]) for at, text in enumerate(texts, 1)]
    found = offer(sources, rules)
    assert found.units == shown
    assert sum(term.change for term in found.terms) == shown
    assert offer(sources, rules, closed=True).units == 0


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
    parts = [Part(item, level(text), per) for item, (text, per) in enumerate(components, 1)]
    assert offer([Source(1, "stock", parts)]).units == count


@pytest.mark.parametrize(
    ("kind", "mirrored", "shown"),
    [("stock", None, 7), (HELD, None, 0), (HELD, True, 0), (MIRRORED, None, 0), (MIRRORED, True, 7)],
)
def test_kinds_of_location(kind: str, mirrored: bool | None, shown: int) -> None:
    sources = [Source(1, kind, [Part(1, level("10/3"))])]
    assert offer(sources, Rules(mirrored=mirrored)).units == shown
