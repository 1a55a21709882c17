"""What the front door takes for the value of a header field."""

from collections.abc import Iterator

import pytest

from doors import Door, running

HEADER = b"GET /header HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with running() as door:
        yield door


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (b"X: a b", b"a b"),
        (b"X:a b", b"a b"),
        (b"X: \t a b \t ", b"a b"),
        (b"X:  ", b""),
        (b"X: \xa0a\xa0", b"\xa0a\xa0"),
    ],
)
def test_white_space_around_a_value_is_no_part_of_it(door: Door, sent: bytes, value: bytes) -> None:
    (answer,) = door.talk(HEADER + sent + b"\r\n\r\n")
    assert (answer.status, answer.body) == (200, value)


def test_white_space_behind_what_the_door_itself_reads(door: Door) -> None:
    asked, answer = door.talk(
        b"POST /fine HTTP/1.1\r\nHost: hub \r\nConnection: close \r\nContent-Encoding: identity \r\n",
        b"Expect: 100-continue \r\nTransfer-Encoding: chunked \r\n\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
    )
    assert (asked.status, answer.status, answer.body) == (100, 200, b"POST /fine 5 3")
