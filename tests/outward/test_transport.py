"""The way to channels: what is called, what is kept from view, and what each kind of silence means."""

from __future__ import annotations

import asyncio
import base64

import pytest

from onhand.addresses import Refused, origin, public
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response
from onhand.transport import ANSWER_LIMIT, NOT_SENT, ChannelTransport
from outward.listener import Channel, Serve, visit, wire


def test_a_request_and_its_answer_as_they_are() -> None:
    channel = Channel()

    async def ask(way: ChannelTransport, url: str) -> Response:
        asked = Wire("POST", f"{url}/a%2Fb/ü", (("q", "x y"),), {"X-Shop-Token": "t0k3n"}, b'{"n":1}')
        return await way.send(asked, timeout=5)

    answer = visit(channel, ask)
    assert (answer.status, answer.headers["x-left"], answer.body) == (200, "7", b"{}")
    assert channel.heads[0].startswith("POST /a%2Fb/%C3%BC?q=x%20y HTTP/1.1\r\n")
    assert "X-Shop-Token: t0k3n" in channel.heads[0]
    assert channel.bodies == [b'{"n":1}']


def test_connections_are_used_again() -> None:
    channel = Channel()

    async def ask(way: ChannelTransport, url: str) -> list[int]:
        return [(await way.send(wire(url), timeout=5)).status for _ in range(20)]

    assert visit(channel, ask) == [200] * 20
    assert channel.callers == 1


def test_redirects_are_answers() -> None:
    channel = Channel(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n")
    answer = visit(channel, lambda way, url: way.send(wire(url), timeout=5))
    assert (answer.status, len(channel.heads)) == (302, 1)


async def _nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(100):
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(ANSWER_LIMIT // 65536 + 8):
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (_nothing, "no answer within"),
        (_reset, "the connection broke"),
        (_half, "the connection broke"),
        (_drip, "no answer within"),
        (_endless, "longer than"),
        (b"this is not HTTP\r\n\r\n", "the connection broke"),
    ],
)
def test_silence_after_sending(how: bytes | Serve, words: str) -> None:
    answer = visit(Channel(how), lambda way, url: way.send(wire(url, "POST", b"{}"), timeout=0.6))
    assert answer.silent and NOT_SENT not in answer.headers
    assert words in answer.words


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/", "no connection"),
        ("http://nowhere.invalid/", "cannot be resolved"),
        ("ftp://127.0.0.1/", "no https"),
        ("http://user:pass@127.0.0.1/", "user or a password"),
    ],
)
def test_nothing_was_sent(url: str, words: str) -> None:
    answer = visit(Channel(), lambda way, _: way.send(wire(url), timeout=3))
    assert answer.silent and answer.headers == {NOT_SENT: "1"}
    assert words in answer.words


def test_a_header_that_cannot_be_sent_is_not_sent() -> None:
    answer = visit(Channel(), lambda way, url: way.send(wire(url, X_A="a\r\nX-B: c"), timeout=3))
    assert answer.silent and NOT_SENT in answer.headers


def test_private_addresses_are_refused_even_behind_a_public_name() -> None:
    channel = Channel()

    async def names(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "127.0.0.1"]

    guarded = ChannelTransport(names=names)
    answer = visit(channel, lambda way, _: way.send(wire("https://shop.example/"), timeout=3), guarded)
    assert (answer.headers, channel.heads) == ({NOT_SENT: "1"}, [])
    assert "not a public address (ONHAND_ALLOW_PRIVATE_CHANNELS=true allows it" in answer.words


def test_the_address_that_was_looked_at_is_called_by_its_name() -> None:
    channel = Channel()
    asked: list[str] = []

    async def names(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async def ask(way: ChannelTransport, url: str) -> Response:
        return await way.send(wire(url.replace("127.0.0.1", "shop.example")), timeout=3)

    assert visit(channel, ask, ChannelTransport(private=True, names=names)).status == 200
    assert asked == ["shop.example"]
    assert "host: shop.example:" in channel.heads[0].lower()


SECRETS = ("5ecret-token", "pa55word", "form5ecret", "json5ecret", "query5ecret")


def test_who_is_cut_off_as_the_name_is_resolved_hears_of_it() -> None:
    channel = Channel()
    asking: list[asyncio.Task[Response]] = []

    async def names(host: str, port: int) -> list[str]:
        asking[0].cancel()
        return ["127.0.0.1"]

    async def ask(way: ChannelTransport, url: str) -> bool:
        named = wire(url.replace("127.0.0.1", "shop.example"))
        asking.append(asyncio.ensure_future(way.send(named, timeout=3)))
        await asyncio.wait(asking)
        return asking[0].cancelled()

    assert visit(channel, ask, ChannelTransport(private=True, names=names))
    assert channel.heads == []


def test_a_refusal_does_not_repeat_what_is_secret() -> None:
    told = " ".join(SECRETS).encode()
    refusal = b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(told) + told
    user = base64.b64encode(b"shop:pa55word").decode()

    async def ask(way: ChannelTransport, url: str) -> list[str]:
        wires = [
            wire(url, X_Api_Key="5ecret-token"),
            wire(url, Authorization=f"Basic {user}"),
            wire(url, "POST", b"grant=x&client_secret=form5ecret"),
            wire(url, "POST", b'{"clientSecret":"json5ecret"}'),
            Wire("GET", url, (("access_token", "query5ecret"),), {}, b""),
        ]
        return [(await way.send(one, timeout=3)).words for one in wires]

    for secret, words in zip(SECRETS, visit(Channel(refusal), ask), strict=True):
        assert secret not in words and "***" in words


PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "192.88.99.1",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2001:0:808:808::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "word",
    "1.2.3",
    "999.1.1.1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.167.0.1",
    "168.63.129.17",
    "2606:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_public_address(address: str) -> None:
    assert not public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert public(address)


# Notations that the system reads as 127.0.0.1; the guard sees what they are resolved to.
@pytest.mark.parametrize(
    "host",
    ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "①②⑦.0.0.1"],
)
def test_addresses_in_disguise(host: str) -> None:
    async def ask() -> Response:
        way = ChannelTransport()
        try:
            return await way.send(wire(f"https://{host}/"), timeout=3)
        finally:
            await way.close()

    answer = asyncio.run(ask())
    assert answer.headers == {NOT_SENT: "1"}


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/", "https://shop.example:22/", "https://u:p@shop.example/", "file:///etc/passwd",
        "gopher://shop.example/", "https:///x", "https://shop.example:99999/", "https://shop.example/a b",
        "https://shop.example\\@127.0.0.1/", "https://" + "a" * 9000, "//shop.example/", "",
        "https://shop.example/\r\nX: y", "https://[::1/", "https://a..b/",
    ],
)  # fmt: skip
def test_addresses_that_are_refused_unseen(url: str) -> None:
    with pytest.raises(Refused):
        origin(url)


def test_parts_of_an_address() -> None:
    assert origin("https://Bücher.example/p?q=1#f") == ("https", "xn--bcher-kva.example", 443, "/p?q=1")
    assert origin("http://127.0.0.1:8080", private=True) == ("http", "127.0.0.1", 8080, "/")
