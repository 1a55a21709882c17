"""The judgement on a request's head, without a server."""

import json

import pytest

from onhand.doorman import Limits, Refusal, judge, path_of, problem

HOST = (b"host", b"hub.example:8080")
LIMITS = Limits(head_bytes=200, headers=4)

LET_IN: list[tuple[list[tuple[bytes, bytes]], str, int | None]] = [
    ([HOST], "1.1", 0),
    ([], "1.0", 0),
    ([(b"host", b"")], "1.1", 0),
    ([(b"host", b"[::1]:80")], "1.1", 0),
    ([HOST, (b"content-length", b"17")], "1.1", 17),
    ([HOST, (b"transfer-encoding", b"Chunked")], "1.1", None),
    ([HOST, (b"content-encoding", b"identity")], "1.1", 0),
    ([HOST, (b"x", b"y" * 150)], "1.1", 0),
    ([HOST, *[(b"x", b"y")] * 3], "1.1", 0),
]

TURNED_AWAY: list[tuple[list[tuple[bytes, bytes]], str, int]] = [
    ([], "1.1", 400),
    ([HOST, HOST], "1.1", 400),
    ([HOST, HOST], "1.0", 400),
    ([(b"host", b"a b")], "1.1", 400),
    ([(b"host", b"a/b")], "1.1", 400),
    ([(b"host", b"[::1")], "1.1", 400),
    ([(b"host", b"a:123456")], "1.1", 400),
    ([(b"host", b"user@a")], "1.1", 400),
    ([HOST], "2.0", 400),
    ([HOST], "0.9", 400),
    ([HOST, (b"content-length", b"1"), (b"transfer-encoding", b"chunked")], "1.1", 400),
    ([HOST, (b"transfer-encoding", b"gzip, chunked")], "1.1", 400),
    ([HOST, (b"transfer-encoding", b"identity")], "1.1", 400),
    ([(b"transfer-encoding", b"chunked")], "1.0", 400),
    ([HOST, (b"content-encoding", b"gzip")], "1.1", 415),
    ([HOST, (b"content-encoding", b"identity"), (b"content-encoding", b"br")], "1.1", 415),
    ([HOST, (b"x", b"y" * 200)], "1.1", 431),
    ([HOST, *[(b"x", b"y")] * 4], "1.1", 431),
]


@pytest.mark.parametrize(("headers", "version", "length"), LET_IN)
def test_let_in(headers: list[tuple[bytes, bytes]], version: str, length: int | None) -> None:
    assert judge(b"/", headers, version, LIMITS) == length


@pytest.mark.parametrize(("headers", "version", "status"), TURNED_AWAY)
def test_turned_away(headers: list[tuple[bytes, bytes]], version: str, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        judge(b"/", headers, version, LIMITS)
    assert caught.value.status == status
    assert not caught.value.message.endswith(".")


def test_the_request_line_counts() -> None:
    with pytest.raises(Refusal) as caught:
        judge(b"/" + b"a" * 200, [HOST], "1.1", LIMITS)
    assert caught.value.status == 431


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (b"/treet/v1?x=/y", "/treet/v1"),
        (b"/a%2Fb%20c", "/a/b c"),
        (b"http://hub/treet", "/treet"),
        (b"*", "*"),
        (b"", ""),
        (b"http://hub", ""),
        (b"/caf\xe9", ""),
    ],
)
def test_path_of(url: bytes, path: str) -> None:
    assert path_of(url) == path


@pytest.mark.parametrize("status", [400, 408, 413, 415, 431, 503])
def test_problem(status: int) -> None:
    raw, fields = problem("/any", status, "Words")
    assert fields == [(b"content-type", b"application/problem+json")]
    body = json.loads(raw)
    assert (body["type"], body["status"], body["detail"]) == ("about:blank", status, "Words")
    assert body["title"]
