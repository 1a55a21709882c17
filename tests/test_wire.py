"""Strict JSON, media types, responses and bounded bodies."""

import asyncio
import json
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from onhand.wire import (
    INT_CHARACTERS_LIMIT,
    NESTING_LIMIT,
    BadBody,
    Incoming,
    TooLong,
    body,
    decode,
    encode,
    incoming,
    is_int,
    is_json,
    media_type,
    respond,
)

ACCEPTED: list[tuple[bytes, object]] = [
    (b'{"a":1,"b":[1.5,true,false,null,"x"]}', {"a": 1, "b": [1.5, True, False, None, "x"]}),
    (b" \r\n\t7 ", 7),
    (b"-0", 0),
    (b'"\\ud83d\\ude00"', "\U0001f600"),
    ('{"ключ":"値"}'.encode(), {"ключ": "値"}),
    (b'"\\\\u0000"', "\\u0000"),
    (b'"\\\\ud800"', "\\ud800"),
    (b'[{"a":1},{"a":2}]', [{"a": 1}, {"a": 2}]),
    (b'{"a":{"a":{"a":1}}}', {"a": {"a": {"a": 1}}}),
    (b"9" * INT_CHARACTERS_LIMIT, int("9" * INT_CHARACTERS_LIMIT)),
    (b"[" * 3 + b"]" * 3, [[[]]]),
    (b"[" + b"[]," * 99 + b"{}]", [*([[]] * 99), {}]),
]

REFUSED = [
    ("empty", b""),
    ("empty", b" \r\n\t"),
    ("encoding", b'"\xff"'),
    ("encoding", b'"\xc0\x80"'),
    ("encoding", b'"\xed\xa0\x80"'),
    ("encoding", '"a"'.encode("utf-16")),
    ("encoding", b"\xef\xbb\xbf{}"),
    ("encoding", b'"\\ud800"'),
    ("encoding", b'{"a":"\\uDC00x","b":1}'),
    ("encoding", b'{"\\ud83d":1}'),
    ("malformed", b"NaN"),
    ("malformed", b"[Infinity]"),
    ("malformed", b"-Infinity"),
    ("malformed", b"1e400"),
    ("malformed", b"9" * (INT_CHARACTERS_LIMIT + 1)),
    ("malformed", b"-" + b"9" * 100_000),
    ("malformed", b"01"),
    ("malformed", b"1_000"),
    ("malformed", b"+1"),
    ("malformed", b'{"a":1'),
    ("malformed", b"[1,]"),
    ("malformed", b"{'a':1}"),
    ("malformed", b"{} {}"),
    ("malformed", b"{}x"),
    ("malformed", b'"a\nb"'),
    ("malformed", b'"a\x00b"'),
    ("malformed", b"\x00"),
    ("malformed", b'["\\u0000"]'),
    ("malformed", b'{"a\\\\\\u0000":1}'),
    ("malformed", b"sku=1"),
    ("duplicate", b'{"a":1,"a":1}'),
    ("duplicate", b'[{"b":{"x":1,"y":2,"\\u0078":3}}]'),
    ("duplicate", b'{"":1,"" :2}'),
    ("nesting", b"[" * (NESTING_LIMIT + 1) + b"]" * (NESTING_LIMIT + 1)),
    ("nesting", b'{"a":' * (NESTING_LIMIT + 1) + b"1" + b"}" * (NESTING_LIMIT + 1)),
    ("nesting", b"[" * 200_000),
]


@pytest.mark.parametrize(("raw", "value"), ACCEPTED)
def test_decode_reads_plain_values(raw: bytes, value: object) -> None:
    assert decode(raw) == value


@pytest.mark.parametrize(("kind", "raw"), REFUSED, ids=range(len(REFUSED)))
def test_decode_refuses(kind: str, raw: bytes) -> None:
    with pytest.raises(BadBody) as caught:
        decode(raw)
    assert caught.value.kind == kind
    assert caught.value.message[0].isupper()
    assert not caught.value.message.endswith(".")
    assert len(caught.value.message) < 200


def test_the_deepest_level_that_is_allowed() -> None:
    assert decode(b"[" * NESTING_LIMIT + b"]" * NESTING_LIMIT) != []


def test_a_duplicate_is_named_and_cut_short() -> None:
    key = "k" * 5_000
    with pytest.raises(BadBody, match="The key ") as caught:
        decode(f'{{"{key}":1,"{key}":2}}'.encode())
    assert len(caught.value.message) < 200


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0d8eE+-. ', max_size=40).map(str.encode))
def test_decode_agrees_with_the_standard_library_or_refuses(raw: bytes) -> None:
    try:
        value = decode(raw)
    except BadBody:
        return
    assert encode(value) == encode(json.loads(raw))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), inner)
    ),
    max_leaves=20,
)


@given(_JSON)
def test_encode_then_decode_changes_nothing(value: object) -> None:
    assert decode(encode(value)) == value
    assert decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (-(2**80), True), (True, False), (1.0, False), ("1", False), (None, False)],
)
def test_is_int(value: object, expected: bool) -> None:
    assert is_int(value) is expected


@pytest.mark.parametrize(
    ("header", "media", "expected"),
    [
        (None, "", False),
        ("application/json", "application/json", True),
        ("Application/JSON ; charset=utf-8", "application/json", True),
        ("application/vnd.api+json", "application/vnd.api+json", True),
        ("+json", "+json", False),
        ("text/json", "text/json", False),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded", False),
    ],
)
def test_media_types(header: str | None, media: str, expected: bool) -> None:
    found = media_type({"headers": [] if header is None else [(b"content-type", header.encode())]})
    assert (found, is_json(found)) == (media, expected)


@pytest.mark.parametrize(
    ("status", "value", "content", "kind"),
    [
        (200, {"a": 1}, b'{"a":1}', "application/json"),
        (200, None, b"null", "application/json"),
        (422, b"as it is", b"as it is", "application/json"),
        (204, None, b"", None),
    ],
)
def test_respond(status: int, value: object, content: bytes, kind: str | None) -> None:
    answer = respond(status, value, headers={"X-Extra": "1"})
    assert (answer.status_code, bytes(answer.body)) == (status, content)
    assert answer.headers.get("content-type") == kind
    assert answer.headers["x-extra"] == "1"


def test_respond_with_another_media_type() -> None:
    answer = respond(403, b"Rate Limit Exceeded", media_type="text/plain")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_encode_refuses_what_is_not_json() -> None:
    with pytest.raises((TypeError, msgspec.MsgspecError)):
        encode(object())


def _request(parts: Iterable[bytes], headers: list[tuple[bytes, bytes]]) -> Incoming:
    chunks = list(parts)
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": number + 1 < len(chunks)}
        for number, part in enumerate(chunks)
    ]

    async def receive() -> Message:
        return messages.pop(0)

    return incoming({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


@pytest.mark.parametrize(
    ("parts", "length", "expected"),
    [
        ([b""], None, b""),
        ([b"abc"], b"3", b"abc"),
        ([b"ab", b"cd", b"e"], None, b"abcde"),
        ([b"abcdef"], None, None),
        ([b"abc", b"def"], None, None),
        ([b""], b"6", None),
        ([b""], b"9" * 5_000, None),
    ],
)
def test_body(parts: list[bytes], length: bytes | None, expected: bytes | None) -> None:
    headers = [] if length is None else [(b"content-length", length)]
    reading = body(_request(parts, headers), 5)
    if expected is not None:
        assert asyncio.run(reading) == expected
        return
    with pytest.raises(TooLong) as caught:
        asyncio.run(reading)
    assert caught.value.limit == 5
