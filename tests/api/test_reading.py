"""Bodies that are read in one step mean what they mean when they are read in several."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.api import reading, routes, schema
from onhand.api.asked import ReserveBody
from onhand.api.changes import Asked, TransferAsked
from onhand.api.leveling import Put
from onhand.api.levels import Query
from onhand.api.problems import Problem

PLAIN = '{"changes":[{"op":"adjust","sku":"A:1","location":"main","delta":-1}]}'

VALUES = (
    *("0", "-0", "1", "-1", "1.0", "1e0", "01", "1" * 30, "1" * 300, "0." + "1" * 300, "1e400", "NaN"),
    *(
        "null",
        "true",
        "false",
        "[]",
        "{}",
        '""',
        '"a"',
        '"a:b"',
        '"a\\n"',
        '"\\u0061"',
        '"\\u0000"',
        '"\\\\u0000"',
    ),
    *(
        '"\\ud800"',
        '"\x00"',
        '"\x1f"',
        '"é"',
        '"' + "x" * 300 + '"',
        '"main"',
        '"adjust"',
        '"atomic"',
        '"partial"',
    ),
    *('"on_hand"', '"available"', "[" * 70 + "]" * 70, '{"a":1,"a":1}'),
)
KEYS = ("op", "sku", "item", "location", "delta", "floor", "reason", "changes", "mode", "more", "s\\u006bu")


def told(raw: bytes, *, short: bool) -> object:
    """What a body is, or what is wrong with it."""
    try:
        return reading.read(raw, Asked) if short else schema.convert(schema.decode(raw), Asked)
    except Problem as problem:
        return problem.body


def pairs(most: int) -> st.SearchStrategy[str]:
    """The inside of an object: a few members in any order, some of them twice."""
    member = st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)).map(lambda one: f'"{one[0]}":{one[1]}')
    usual = st.sampled_from(['"op":"adjust"', '"sku":"A"', '"location":"main"', '"delta":1', '"item":7'])
    return st.lists(st.one_of(usual, usual, member), max_size=most).map(", ".join)


BODIES = st.one_of(
    pairs(4).map(lambda inside: f"{{{inside}}}"),
    st.tuples(pairs(7), pairs(2)).map(
        lambda two: f'{{"changes":[{{"op":"adjust",{two[0]}}}]{"," if two[1] else ""}{two[1]}}}'
    ),
    st.sampled_from(KEYS).flatmap(
        lambda key: st.sampled_from(VALUES).map(lambda value: f'{PLAIN[:-3]},"{key}":{value}}}]}}')
    ),
    st.tuples(st.integers(0, len(PLAIN)), st.characters()).map(
        lambda at: PLAIN[: at[0]] + at[1] + PLAIN[at[0] + 1 :]
    ),
)


@given(BODIES)
def test_both_ways_are_one(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    assert told(raw, short=True) == told(raw, short=False)


@pytest.mark.parametrize("key", ["op", "sku", "location", "delta", "changes", "mode", "reason", "floor"])
@pytest.mark.parametrize("value", VALUES)
def test_each_value_at_each_key(key: str, value: str) -> None:
    outside = key in ("changes", "mode")
    for text in (
        f'{PLAIN[:-1]},"{key}":{value}}}' if outside else f'{PLAIN[:-3]},"{key}":{value}}}]}}',
        f'{{"{key}":{value},{PLAIN[1:]}' if outside else PLAIN.replace('{"op', f'{{"{key}":{value},"op'),
    ):
        assert told(text.encode(), short=True) == told(text.encode(), short=False)


@pytest.mark.parametrize(
    "raw", [b"", b"  ", b"\xef\xbb\xbf{}", b"\xff", b"{}x", b"[" * 100, PLAIN.encode("utf-16")]
)
def test_no_json(raw: bytes) -> None:
    assert told(raw, short=True) == told(raw, short=False)


@pytest.mark.parametrize("kind", [Asked, TransferAsked, ReserveBody, Put, Query])
def test_what_is_asked_for_often_is_read_in_one_step(kind: type[schema.Body]) -> None:
    assert reading.decoder(kind) is not None


def _shapes(kind: type[schema.Body]) -> list[type[schema.Body]]:
    return [one for child in kind.__subclasses__() for one in (child, *_shapes(child))]


@pytest.mark.parametrize("kind", _shapes(schema.Body), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_what_is_written_again_leaves_out_what_was_not_said(kind: type[schema.Body]) -> None:
    assert routes.WAYS, "all shapes are loaded"
    fields = msgspec.structs.fields(kind)
    given = {one.encode_name: None for one in fields if one.required}
    made = kind(**{one.name: None for one in fields if one.required})
    tag = kind.__struct_config__.tag_field
    assert set(msgspec.to_builtins(made)) == {*given, *([tag] if tag else [])}
