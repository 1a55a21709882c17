"""Refusals of what the parser cannot take the first line of."""

from collections.abc import Iterator

import pytest

from doors import HOST, Door, running


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with running() as door:
        yield door


UNREADABLE = [
    b"GET /dialect/v1?sku=K\xc3\xa4se HTTP/1.1\r\n",
    b"GET /dialect/K\xc3\xa4se HTTP/1.1\r\n",
    b"PUT /dialect/a\0b HTTP/1.1\r\n",
    b"PUT http://hub/dialect/\xff HTTP/1.1\r\n",
    b"FOO /dialect/v1 HTTP/1.1\r\n",
    b"\r\nget /dialect/v1 HTTP/1.1\r\n",
]


@pytest.mark.parametrize("line", UNREADABLE)
def test_the_shape_belongs_to_a_path_that_cannot_be_read(door: Door, line: bytes) -> None:
    for request in (line + HOST, line.replace(b"/dialect", b"") + b"Host: Dialect.Example:80\r\n"):
        (answer,) = door.talk(request + b"\r\n")
        assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
        assert answer.body == b'{"error":"The request is not well-formed HTTP"}'


@pytest.mark.parametrize("junk", [b"\x16\x03\x01", b"FOO", b"FOO \r\n\r\n", b"\xff" * 100, b"GET \xff\xfe"])
def test_what_is_no_request_at_all(door: Door, junk: bytes) -> None:
    (answer,) = door.talk(junk)
    assert (answer.status, answer.headers["content-type"]) == (400, "text/plain")
