"""Answers that nobody asked for, names with several addresses, and what goes out unasked."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest

from onhand.addresses import Refused
from onhand.connectors.flow import Response
from onhand.transport import AGENT, NOT_SENT, ChannelTransport, Dial
from outward.listener import Channel, Serve, visit, wire

BOMB = gzip.compress(bytes(10_000_000), 9)
"""Ten kilobytes that would be ten million."""


def answered(answer: bytes | Serve, **headers: str) -> Response:
    return visit(Channel(answer), lambda way, url: way.send(wire(url, "GET", b"", **headers), timeout=5))


def reply(status: str, body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (f"Content-Length: {len(body)}", *headers))
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def test_an_answer_is_not_unpacked() -> None:
    """We ask for nothing that is packed, and what comes so all the same is as large as it came."""
    found = answered(reply("200 OK", BOMB, "Content-Encoding: gzip", "Content-Type: application/json"))
    assert (found.status, found.body, found.json()) == (200, BOMB, None)
    assert len(found.words) < 700


async def _cut_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"results":[')


async def _no_last_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")


async def _many_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 40_000 + b"\r\n")


async def _wrong_length(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}")


@pytest.mark.parametrize("how", [_cut_chunk, _no_last_chunk, _many_headers, _wrong_length])
def test_half_an_answer_is_none(how: Serve) -> None:
    """It was sent, and nobody knows what came of it."""
    found = answered(how)
    assert found.silent and NOT_SENT not in found.headers
    assert found.words.startswith("the connection broke: ")


@pytest.mark.parametrize(
    "body", [b"", b"slow down", b"<html>busy</html>", b"\xff\xfe\x00", b'{"errors":', b"[" * 100_000]
)
def test_a_refusal_may_have_any_body(body: bytes) -> None:
    found = answered(reply("429 Too Many Requests", body, "Retry-After: 7"))
    assert (found.status, found.headers["retry-after"], found.json()) == (429, "7", None)
    assert found.words.startswith("429") and "\0" not in found.words


@pytest.mark.parametrize(
    ("status", "secret", "shown"),
    [
        ("400 Bad", "s3cr3t", "no ***"),
        ("400 Bad", "short", "no short"),
        ("200 OK", "s3cr3t", "no s3cr3t"),
    ],
)
def test_what_is_refused_does_not_show_a_secret(status: str, secret: str, shown: str) -> None:
    assert answered(reply(status, f"no {secret}".encode()), x_token=secret).body.decode() == shown


@pytest.mark.parametrize(
    ("method", "own", "lines"),
    [
        ("GET", "", [f"User-Agent: {AGENT}"]),
        ("GET", "a shop's own", ["User-Agent: a shop's own"]),
        ("POST", "", [f"User-Agent: {AGENT}", "Content-Length: 0"]),
    ],
)
def test_what_a_request_says_of_itself(method: str, own: str, lines: list[str]) -> None:
    channel = Channel()
    given = {"User_Agent": own} if own else {}
    visit(channel, lambda way, url: way.send(wire(url, method, b"", **given), timeout=5))
    told = channel.heads[0].split("\r\n")
    assert [line for line in told if line.startswith(("User-Agent", "Content-Length"))] == lines


def names(*found: str, error: Exception | None = None) -> Callable[[str, int], Awaitable[list[str]]]:
    """A resolver that knows these addresses of every name."""

    async def resolve(host: str, port: int) -> list[str]:
        if error is not None:
            raise error
        return list(found)

    return resolve


@pytest.mark.parametrize(
    ("way", "status", "words"),
    [
        pytest.param(names("127.0.0.2", "127.0.0.1"), 200, "200 {}", id="the second one answers"),
        pytest.param(names("127.0.0.2", "127.0.0.3"), 0, "no connection: ", id="none does"),
        pytest.param(names(), 0, "no connection: the name shop.test has no address", id="there is none"),
        pytest.param(names(error=UnicodeError("label too long")), 0, "no connection: the name", id="no name"),
        pytest.param(names(error=OSError("no such name")), 0, "no connection: the name", id="an unknown one"),
    ],
)
def test_a_name_with_several_addresses(
    way: Callable[[str, int], Awaitable[list[str]]], status: int, words: str
) -> None:
    transport = ChannelTransport(private=True, names=way)

    async def ask(way: ChannelTransport, url: str) -> Response:
        return await way.send(wire(url.replace("127.0.0.1", "shop.test")), timeout=5)

    found = visit(Channel(), ask, transport)
    assert (found.status, found.words[: len(words)]) == (status, words)
    assert (NOT_SENT in found.headers) is (status == 0)


def test_a_name_that_is_not_resolved_in_time_was_not_sent() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    async def go() -> None:
        dialled = Dial(private=True, names=never)
        with pytest.raises(Exception, match="cannot be resolved"):
            await dialled.connect_tcp("shop.test", 443, timeout=0.01)
        with pytest.raises(Refused):
            await dialled.connect_unix_socket("/run/docker.sock")

    asyncio.run(go())


def test_a_closed_way_can_be_used_again() -> None:
    async def ask(way: ChannelTransport, url: str) -> list[int]:
        first = (await way.send(wire(url), timeout=5)).status
        await way.close()
        await way.close()
        return [first, (await way.send(wire(url), timeout=5)).status]

    channel = Channel()
    assert visit(channel, ask) == [200, 200]
    assert channel.callers == 2
