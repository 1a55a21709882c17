"""Every bound of the front door, tried with raw sockets against a real server."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from doors import (
    CALM,
    HOST,
    LARGE_ANSWER,
    SHORT,
    Answer,
    Door,
    read_all,
    read_one,
    running,
    split,
)
from onhand.doorman import SMALL_BODY
from onhand.reception import HELD_UP_SECONDS
from onhand.wire import BODY_LIMIT, BULK_LIMIT

GET = b"GET /fine HTTP/1.1\r\n" + HOST
CLOSE = b"Connection: close\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
"""What clients that would rather speak HTTP/2 send along, Java's own among them, with writes too."""

LAST_H2C = H2C.replace(b"Upgrade,", b"Upgrade, close,", 1)


def post(path: bytes, length: int, extra: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n%b\r\n" % (path, HOST, length, extra)


def chunks(path: bytes, *parts: bytes) -> bytes:
    head = b"POST %b HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (path, HOST)
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with running() as door:
        yield door


@pytest.fixture(scope="module")
def hasty() -> Iterator[Door]:
    with running(SHORT) as door:
        yield door


REFUSED = [
    pytest.param(GET + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n", 431, id="a header of 1 MB"),
    pytest.param(GET + b"X: " + b"a" * 1_000_000, 431, id="a header that does not end"),
    pytest.param(GET + b"X: " + b"a" * 33_000 + b"\r\n\r\n", 431, id="a header just over"),
    pytest.param(b"GET /" + b"a" * 40_000, 431, id="a request line that does not end"),
    pytest.param(b"GET /" + b"a" * 33_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431, id="a long request line"),
    pytest.param(GET + b"X: y\r\n" * 200 + b"\r\n", 431, id="200 headers"),
    pytest.param(b"\r\n" * 20_000, 431, id="nothing but line ends"),
    pytest.param(post(b"/fine", BODY_LIMIT + 1), 413, id="a body announced too long"),
    pytest.param(post(b"/bulk", BULK_LIMIT + 1), 413, id="a bulk body announced too long"),
    pytest.param(post(b"/fine", BODY_LIMIT + 1, b"Expect: 100-continue\r\n"), 413, id="not continued"),
    pytest.param(chunks(b"/fine", b"x" * 200_000, b"x" * 100_000), 413, id="chunks too long together"),
    pytest.param(post(b"/bulk", BULK_LIMIT + 1) + b"x" * (BULK_LIMIT + 1), 413, id="sent all the same"),
    pytest.param(post(b"/fine", 3, b"Content-Encoding: gzip\r\n") + b"abc", 415, id="a coded body"),
    pytest.param(post(b"/fine", 3, b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 400, id="both lengths"),
    pytest.param(post(b"/fine", 3, b"Content-Length: 4\r\n") + b"abcd", 400, id="two lengths"),
    pytest.param(post(b"/fine", -1), 400, id="a negative length"),
    pytest.param(
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400, id="30 digits"
    ),
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
    pytest.param(GET + HOST + b"\r\n", 400, id="two hosts"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, id="an impossible host"),
    pytest.param(chunks(b"/fine", b"abc") + b"zz\r\n", 400, id="a malformed chunk"),
    pytest.param(chunks(b"/fine") + b"1;" + b"e" * 700_000, 431, id="an endless chunk extension"),
    pytest.param(chunks(b"/fine", b"a") + b"0\r\nX: " + b"t" * 700_000, 431, id="an endless trailer"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", 400, id="TLS on a plain port"),
    pytest.param(b"CONNECT hub:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="CONNECT"),
    pytest.param(b"GET /caf\xe9 HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="a path that is not ASCII"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2"),
    pytest.param(post(b"/fine", BODY_LIMIT + 1, H2C), 413, id="upgrade and a body too long"),
    pytest.param(
        chunks(b"/fine", b"x" * BODY_LIMIT, b"y").replace(HOST, HOST + H2C), 413, id="upgrade and long chunks"
    ),
    pytest.param(
        chunks(b"/fine", b"abc").replace(HOST, HOST + H2C) + b"zz\r\n", 400, id="upgrade and a bad chunk"
    ),
]


@pytest.mark.parametrize(("raw", "status"), REFUSED)
def test_refused_at_once_and_closed(door: Door, raw: bytes, status: int) -> None:
    before = len(door.seen)
    (answer,) = door.talk(raw)
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert answer.body.startswith(str(status).encode())
    assert len(door.seen) == before
    assert door.talk(GET + CLOSE + b"\r\n")[0].status == 200


STALLED = {
    "silence": b"",
    "an empty line": b"\r\n",
    "half a request line": b"GET / HT",
    "half a header": GET + b"X-Half",
    "a stalled body": post(b"/fine", 10) + b"abc",
    "stalled chunks": chunks(b"/fine", b"abc"),
    "a stalled body behind an upgrade": post(b"/fine", 10, H2C) + b"abc",
    "a stall after an answer": GET + b"\r\nGET /fine HT",
    "a stalled body after an answer": GET + b"\r\n" + post(b"/fine", 10) + b"abc",
}


@pytest.fixture(scope="module")
def stalled(hasty: Door) -> dict[str, tuple[float, list[Answer]]]:
    """What each stalled request got after how long; all wait at once to save time."""

    def wait(raw: bytes) -> tuple[float, list[Answer]]:
        started = time.monotonic()
        answers = hasty.talk(raw)
        return time.monotonic() - started, answers

    with ThreadPoolExecutor(len(STALLED)) as pool:
        return dict(zip(STALLED, pool.map(wait, STALLED.values()), strict=True))


@pytest.mark.parametrize("name", STALLED)
def test_closed_at_the_deadline(stalled: dict[str, tuple[float, list[Answer]]], name: str) -> None:
    seconds, (*before, last) = stalled[name]
    assert seconds > SHORT.receive_seconds * 0.9
    assert [answer.status for answer in before] == [200] * ("after an answer" in name)
    assert (last.status, last.headers["connection"]) == (408, "close")


def test_an_empty_line_does_not_keep_an_idle_connection(hasty: Door) -> None:
    with hasty.connect() as client:
        client.sendall(GET + b"\r\n")
        assert read_one(client).status == 200
        client.sendall(b"\r\n")
        assert split(read_all(client))[0].status == 408


def test_a_trickle_does_not_move_the_deadline(hasty: Door) -> None:
    started = time.monotonic()
    (answer,) = hasty.talk(*[post(b"/fine", 100), *[b"x"] * 5], pause=SHORT.receive_seconds / 6)
    assert answer.status == 408
    assert time.monotonic() - started < SHORT.receive_seconds * 2


FINE = [
    pytest.param([GET + CLOSE + b"\r\n"], b"GET /fine 2 0", id="plain"),
    pytest.param([b"GET /fine HTTP/1.0\r\n\r\n"], b"GET /fine 0 0", id="HTTP/1.0 without a host"),
    pytest.param([GET[:9], GET[9:30], GET[30:] + CLOSE, b"\r\n"], b"GET /fine 2 0", id="a head in pieces"),
    pytest.param([post(b"/fine", 6, CLOSE), b"ab", b"cd", b"ef"], b"POST /fine 3 6", id="a slow body"),
    pytest.param(
        [post(b"/fine", BODY_LIMIT, CLOSE), b"x" * BODY_LIMIT], b"POST /fine 3 262144", id="longest"
    ),
    pytest.param([post(b"/bulk", BULK_LIMIT, CLOSE), b"x" * BULK_LIMIT], b"POST /bulk 3 4194304", id="bulk"),
    pytest.param(
        [post(b"/bulk?q=1", BULK_LIMIT, CLOSE), b"x" * BULK_LIMIT], b"POST /bulk 3 4194304", id="query"
    ),
    pytest.param([GET + CLOSE + b"X: " + b"a" * 30_000 + b"\r\n\r\n"], b"GET /fine 3 0", id="a long header"),
    pytest.param([GET + b"X: y\r\n" * 120 + CLOSE + b"\r\n"], b"GET /fine 122 0", id="122 headers"),
    pytest.param(
        [GET + CLOSE + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
        b"GET /fine 4 0",
        id="upgrade not taken",
    ),
    pytest.param(
        [post(b"/fine", 6, LAST_H2C) + b"ab", b"cdef" + GET + b"\r\n"],
        b"POST /fine 5 6",
        id="upgrade and close",
    ),
    pytest.param(
        [chunks(b"/fine", b"abc").replace(HOST, HOST + LAST_H2C), b"0\r\n\r\n"],
        b"POST /fine 5 3",
        id="upgrade, chunks and close",
    ),
    pytest.param(
        [chunks(b"/fine", b"abc", b"de").replace(HOST, HOST + CLOSE), b"0\r\nContent-Encoding: br\r\n\r\n"],
        b"POST /fine 3 5",
        id="trailers are not headers",
    ),
]


@pytest.mark.parametrize(("parts", "body"), FINE)
def test_let_in(door: Door, parts: list[bytes], body: bytes) -> None:
    (answer,) = door.talk(*parts, pause=0.02)
    assert (answer.status, answer.body) == (200, body)
    assert "server" not in answer.headers


def test_a_body_is_asked_for_when_the_client_waits(door: Door) -> None:
    with door.connect() as client:
        client.sendall(post(b"/fine", 3, CLOSE + b"Expect: 100-continue\r\n"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        (answer,) = split(read_all(client))
    assert answer.body == b"POST /fine 4 3"


def test_the_shape_belongs_to_the_path(door: Door) -> None:
    (answer,) = door.talk(post(b"/dialect/v1?x=1", BODY_LIMIT + 1))
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "17"
    assert answer.body == b'{"error":"The body is longer than 262144 bytes"}'


def at(host: bytes, request: bytes) -> bytes:
    """``request``, sent to another host."""
    return request.replace(HOST, b"Host: " + host + b"\r\n")


DIALECT = b"dialect.example"
REFUSED_AT_A_HOST = [
    pytest.param(at(DIALECT, post(b"/v1", BODY_LIMIT + 1)), 413, id="announced too long"),
    pytest.param(at(b"Dialect.Example.:8080", post(b"/v1", BODY_LIMIT + 1)), 413, id="case, dot and port"),
    pytest.param(
        at(DIALECT, chunks(b"/v1", b"x" * BODY_LIMIT, b"y")) + b"0\r\nHost: bulk.example\r\n\r\n",
        413,
        id="too long in chunks",
    ),
    pytest.param(at(DIALECT, GET + b"X: " + b"a" * 40_000 + b"\r\n\r\n"), 431, id="a long head"),
    pytest.param(at(DIALECT, GET + b"Content-Encoding: br\r\n\r\n"), 415, id="encoded"),
    pytest.param(at(DIALECT, GET + b"X: y\r\nbad header\r\n\r\n"), 400, id="not HTTP"),
]


@pytest.mark.parametrize(("request_", "status"), REFUSED_AT_A_HOST)
def test_the_shape_belongs_to_the_host(door: Door, request_: bytes, status: int) -> None:
    (answer,) = door.talk(request_)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert answer.body.startswith(b'{"error":')


def test_a_late_request_is_refused_in_the_shape_of_its_host(hasty: Door) -> None:
    for part in (at(DIALECT, post(b"/v1", 3)), at(DIALECT, GET) + b"X: y\r\n"):
        (answer,) = hasty.talk(part)
        assert (answer.status, answer.headers["content-type"]) == (408, "application/json")


def test_another_host_on_the_same_connection(door: Door) -> None:
    first, second = door.talk(at(DIALECT, GET) + b"\r\n" + post(b"/v1", BODY_LIMIT + 1))
    assert (first.status, second.status) == (200, 413)
    assert second.headers["content-type"] == "text/plain"


def test_large_bodies_by_host(door: Door) -> None:
    (answer,) = door.talk(at(b"bulk.example", post(b"/", BULK_LIMIT, CLOSE)), b"x" * BULK_LIMIT)
    assert (answer.status, answer.body) == (200, b"POST / 3 4194304")


def test_a_refused_head_request_has_no_body(door: Door) -> None:
    with door.connect() as client:
        client.sendall(post(b"/fine", BODY_LIMIT + 1).replace(b"POST", b"HEAD"))
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert b" 413 " in head
    assert body == b""


def test_one_connection_serves_many_requests(door: Door) -> None:
    with door.connect() as client:
        for number in range(20):
            client.sendall(post(b"/fine", number) + b"x" * number)
            assert read_one(client).body == b"POST /fine 2 %d" % number


def test_an_idle_connection_is_closed_quietly(hasty: Door) -> None:
    with hasty.connect() as client:
        client.sendall(GET + b"\r\n")
        (answer,) = split(read_all(client))
    assert answer.status == 200


def test_pipelined_requests_are_answered_in_order(door: Door) -> None:
    requests = [post(b"/%d" % number, number) + b"x" * number for number in range(500)]
    answers = door.talk(b"".join(requests) + GET + CLOSE + b"\r\n")
    assert [answer.body for answer in answers[:-1]] == [b"POST /%d 2 %d" % (n, n) for n in range(500)]


def test_it_does_not_matter_where_the_stream_is_cut(door: Door) -> None:
    stream = b"".join(
        [
            post(b"/1", 3) + b"abc",
            chunks(b"/2", b"ab", b"c") + b"0\r\n\r\n",
            b"\r\n" + GET + b"\r\n",
            post(b"/3", 3, H2C) + b"abc",
            chunks(b"/4", b"ab", b"c").replace(HOST, HOST + H2C) + b"0\r\n\r\n",
            GET + H2C + b"\r\n",
            GET + CLOSE + b"\r\n",
        ]
    )
    whole = [answer.body for answer in door.talk(stream)]
    assert whole == [
        b"POST /1 2 3",
        b"POST /2 2 3",
        b"GET /fine 1 0",
        b"POST /3 5 3",
        b"POST /4 5 3",
        b"GET /fine 4 0",
        b"GET /fine 2 0",
    ]
    for cut in range(1, len(stream), 11):
        parts = [stream[:cut], stream[cut : cut + 3], stream[cut + 3 :]]
        assert [answer.body for answer in door.talk(*parts, pause=0.001)] == whole


def test_a_refusal_waits_for_the_answers_before_it(door: Door) -> None:
    bad = post(b"/fine", BODY_LIMIT + 1)
    answers = door.talk(post(b"/slow/0.1", 1) + b"x" + GET + b"\r\n" + bad + GET + b"\r\n")
    assert [answer.status for answer in answers] == [200, 200, 413]


@pytest.mark.parametrize(("more", "fields"), [(CLOSE, 3), (LAST_H2C, 5)])
def test_a_request_behind_a_slow_one_has_its_time(hasty: Door, more: bytes, fields: int) -> None:
    asked = post(b"/fine", 3, more)
    answers = hasty.talk(GET.replace(b"fine", b"slow/0.6") + b"\r\n" + asked + b"a", b"bc", pause=0.5)
    assert [answer.body for answer in answers] == [b"GET /slow/0.6 1 0", b"POST /fine %d 3" % fields]


def test_what_came_while_the_process_stood_still_is_read() -> None:
    def stands_still(_path: str) -> bool:
        time.sleep(SHORT.receive_seconds + HELD_UP_SECONDS + 0.3)
        return False

    with running(SHORT, stands_still) as door, door.connect() as one, door.connect() as other:
        time.sleep(0.1)  # both are let in
        one.sendall(post(b"/fine", BODY_LIMIT + 1))
        time.sleep(0.1)
        other.sendall(GET + CLOSE + b"\r\n")
        assert [answer.status for answer in split(read_all(other))] == [200]
        assert [answer.status for answer in split(read_all(one))] == [413]


def test_a_large_answer_arrives(door: Door) -> None:
    (answer,) = door.talk(GET.replace(b"fine", b"large") + CLOSE + b"\r\n")
    assert len(answer.body) == LARGE_ANSWER


def test_a_client_that_does_not_read_is_dropped(hasty: Door) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", hasty.port))
        client.sendall(GET.replace(b"fine", b"large") + b"\r\n")
        time.sleep(SHORT.send_seconds + 0.2)
        received = read_all(client)
    assert b" 200 " in received[:20]
    assert len(received) < LARGE_ANSWER


def test_too_many_connections() -> None:
    with running(CALM._replace(connections=2)) as door:
        with door.connect(), door.connect():
            time.sleep(0.1)
            (answer,) = door.talk()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        time.sleep(0.1)
        assert door.talk(GET + CLOSE + b"\r\n")[0].status == 200


def test_what_all_are_sending_is_bounded() -> None:
    with running(CALM._replace(arriving_bytes=100_000)) as door:
        with door.connect() as one, door.connect() as other:
            for client in (one, other):
                client.sendall(post(b"/fine", 60_000) + b"x" * 59_999)
            (refused,) = split(read_all(other))
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            time.sleep(CALM.linger_seconds)  # what was refused has gone by then
            small = post(b"/fine", SMALL_BODY, CLOSE) + b"x" * SMALL_BODY
            assert door.talk(small)[0].status == 200
            one.sendall(b"x")
            assert read_one(one).status == 200
            one.sendall(post(b"/fine", 90_000, CLOSE) + b"x" * 90_000)
            assert split(read_all(one))[-1].status == 200
        # Whoever goes away, answered or not, leaves nothing behind.
        assert door.talk(post(b"/fine", 99_000, CLOSE) + b"x" * 99_000)[0].status == 200


def test_a_request_that_no_memory_is_left_for_may_be_sent_again() -> None:
    def starved(path: str) -> bool:
        raise MemoryError(path)

    with running(CALM, bulk=starved) as door:
        (answer,) = door.talk(post(b"/fine", BODY_LIMIT + 1))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert door.talk(GET + CLOSE + b"\r\n")[0].status == 200
