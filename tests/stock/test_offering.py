"""What a slot shows: available at its locations, less what is held back, capped, at least 0."""

import msgspec
import pytest

from onhand.stock.offering import Part, Rules, Source, feeding, offer, stacked, units
from transcript import level


def sources(*texts: str) -> list[Source]:
    """One location a text: ``10/3``, or of a kit ``10/3x2+2/0x1``; ``held:`` and ``mirrored:`` go before."""
    found = []
    for number, text in enumerate(texts, 1):
        kind, _, rest = text.rpartition(":")
        parts = [
            Part(at, level(one.partition("x")[0]), int(one.partition("x")[2] or 1))
            for at, one in enumerate(rest.split("+"), 1)
        ]
        found.append(Source(number, kind or "stock", parts))
    return found


OFFERS = [
    # locations, rules, shown, names of the terms
    (["10/3"], {}, 7, "available"),
    (["10/3", "5/0"], {}, 12, "available available"),
    (["10/3"], {"buffer": 2}, 5, "available buffer"),
    (["10/3"], {"buffer": 9}, 0, "available buffer floor"),
    (["10/0"], {"percent": 15}, 8, "available buffer"),
    (["10/0"], {"percent": 15, "buffer": 3}, 7, "available buffer"),
    (["1000/0"], {"percent": 100}, 0, "available buffer"),
    (["10/0"], {"percent": 50, "buffer": 3}, 5, "available buffer"),
    (["3/10"], {"percent": 50}, 0, "available floor"),
    (["1/0"], {"minimum": 5}, 0, "available minimum"),
    (["3/3"], {"minimum": 5}, 0, "available"),
    (["4/0"], {"cap": 4}, 4, "available"),
    (["10/3"], {"cap": 4}, 4, "available cap"),
    (["10/3"], {"cap": 4, "buffer": 5}, 2, "available buffer"),
    (["10/3"], {"minimum": 7}, 7, "available"),
    (["10/3"], {"minimum": 8}, 0, "available minimum"),
    (["10/3"], {"minimum": 6, "buffer": 2}, 0, "available buffer minimum"),
    (["3/10"], {}, 0, "available floor"),
    (["3/10", "9/0"], {}, 2, "available available"),
    (["~0/0"], {}, 999, "infinite"),
    (["3/10", "~0/0"], {"buffer": 2, "cap": 40}, 40, "available infinite"),
    (["~0/0", "3/0"], {}, 999, "available infinite"),
    (["~0/0"], {"cap": 1}, 1, "infinite"),
    (["~0/0", "3/0"], {"cap": 0}, 0, "available infinite"),
    ([], {}, 0, ""),
    (["held:10/0", "2/0"], {}, 2, "held available"),
    (["mirrored:10/0", "2/0"], {}, 2, "mirrored available"),
    (["mirrored:10/0", "2/0"], {"mirrored": True}, 12, "available available"),
    (["10/3x2"], {}, 3, "kit"),
    (["10/3x2+2/0"], {}, 2, "kit"),
    (["10/3x2+~0/0x5"], {}, 3, "kit"),
    (["3/10x2"], {}, 0, "kit floor"),
    (["~0/0+~0/0x2"], {}, 999, "infinite"),
    (["2/0+0/0", "0/0+2/0"], {}, 0, "kit kit"),
]


@pytest.mark.parametrize(("texts", "rules", "shown", "names"), OFFERS)
def test_offer(texts: list[str], rules: dict[str, int], shown: int, names: str) -> None:
    made = offer(sources(*texts), Rules(**rules))  # type: ignore[arg-type]
    assert made.units == shown
    assert " ".join(term.name for term in made.terms) == names
    assert sum(term.change for term in made.terms) == shown
    assert made.infinite is ("infinite" in names and shown > 0)
    for closed in (False, True):
        whole = offer(sources(*texts), Rules(**rules), closed=closed)  # type: ignore[arg-type]
        number = units(sources(*texts), Rules(**rules), closed=closed)  # type: ignore[arg-type]
        assert number == (whole.units, whole.infinite)


def test_a_closed_listing_offers_nothing() -> None:
    assert offer(sources("10/3"), closed=True).units == 0
    assert offer(sources("~0/0"), closed=True).infinite is False


TERMS = [
    # locations, rules, what is said of it: the location, the change, what is then left, and why
    (
        ["held:9/0", "mirrored:9/0", "10/3"],
        {"buffer": 2},
        [
            ("held", 1, 0, 0, "stock at this location is held and not offered"),
            ("mirrored", 2, 0, 0, "a channel owns this stock; no rule lets others offer it"),
            ("available", 3, 7, 7, "10 on hand, 3 reserved"),
            ("buffer", None, -2, 5, "2 units are held back"),
        ],
    ),
    (
        ["2/0", "9/0x1+7/1x2"],
        {"percent": 30, "cap": 1},
        [
            ("available", 1, 2, 2, "2 on hand, 0 reserved"),
            ("kit", 2, 3, 5, "item 2 is the scarcest: 7 on hand, 1 reserved, 2 for each"),
            ("buffer", None, -2, 3, "30 % of 5 are held back"),
            ("cap", None, -2, 1, "at most 1 are shown"),
        ],
    ),
    (
        ["4/1"],
        {"minimum": 5},
        [
            ("available", 1, 3, 3, "4 on hand, 1 reserved"),
            ("minimum", None, -3, 0, "less than the minimum of 5 is left"),
        ],
    ),
]


@pytest.mark.parametrize(("texts", "rules", "said"), TERMS)
def test_every_term_says_why(texts: list[str], rules: dict[str, int], said: list[object]) -> None:
    made = offer(sources(*texts), Rules(**rules))  # type: ignore[arg-type]
    assert [(one.name, one.location, one.change, one.after, one.why) for one in made.terms] == said


STACKS = [
    # connection, listing, field, value
    ({"buffer": 2}, {}, "buffer", 2),
    ({"buffer": 2}, {"buffer": 0}, "buffer", 0),
    ({"cap": 9}, {"buffer": 1}, "cap", 9),
    ({"places": {"a": [1]}}, {"buffer": 1}, "places", {"a": (1,)}),
    ({"places": {"a": [1]}}, {}, "places", {"a": (1,)}),
    ({"places": {"a": [1]}}, {"locations": [2]}, "places", None),
    ({"places": {"a": [1]}}, {"places": {"a": [2]}, "locations": [3]}, "places", {"a": (2,)}),
]


@pytest.mark.parametrize(("above", "below", "field", "value"), STACKS)
def test_stacked(above: object, below: object, field: str, value: object) -> None:
    made = stacked(msgspec.convert(above, Rules), msgspec.convert(below, Rules))
    assert getattr(made, field) == value


@pytest.mark.parametrize(
    ("rules", "slots"),
    [
        ({}, {"": (7, 8)}),
        ({"locations": [1]}, {"": (1,)}),
        ({"locations": []}, {"": ()}),
        ({"places": {"a": [1], "b": []}}, {"a": (1,), "b": ()}),
    ],
)
def test_feeding(rules: object, slots: object) -> None:
    assert feeding(msgspec.convert(rules, Rules), [7, 8]) == slots


@pytest.mark.parametrize(
    "rules", [{"buffer": -1}, {"percent": 101}, {"cap": 1.5}, {"bufer": 1}, {"cap": True}, {"sweep": 0}]
)
def test_rules_that_cannot_be(rules: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(rules, Rules)
