"""The only place that sends HTTP requests: to channels, and to the hub that holds a database."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, cast
from urllib.parse import parse_qsl, quote

import httpcore2
import httpx2

from onhand import __version__
from onhand.addresses import ALLOWING, Refused, origin, public
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response
from onhand.kept import IDLE_SECONDS, Kept
from onhand.wire import BadBody, decode, encode

TIMEOUT_SECONDS = 600.0
CONNECT_SECONDS = 5.0
ANSWER_LIMIT = 8 * 1024 * 1024
"""Bytes of a channel's answer; a longer one is not read."""

SECRET_LENGTH = 6
"""Shorter values are not looked for in answers: they would be found by chance."""

NOT_SENT = "not-sent"
"""A header of a Response of status 0 when nothing had been sent: asking again then does no harm."""

AGENT = f"onhand/{__version__}"
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_TELLING = re.compile(r"auth|token|secret|key|sign|hmac|password|cookie|code|session", re.IGNORECASE)
_BEFORE = (
    httpcore2.ConnectError,
    httpcore2.ConnectTimeout,
    httpcore2.PoolTimeout,
    httpcore2.LocalProtocolError,
    httpcore2.UnsupportedProtocol,
)

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NoAnswer(Exception):
    """The other side could not be reached or did not answer, in words."""


class NotReached(NoAnswer):
    """Nothing had been sent: nothing was done."""


async def post(url: str, token: str, value: object) -> tuple[int, object]:
    """POST ``value`` as JSON with a bearer token: the status and the decoded answer, None if it is no JSON.

    Follows no redirect and uses no proxy. Raises NoAnswer, and NotReached.
    """
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as client:
            answer = await client.post(url, content=encode(value), headers=headers)
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise NotReached(f"{url}: {str(error) or type(error).__name__}") from error
    except httpx2.HTTPError as error:
        raise NoAnswer(f"{url}: {str(error) or type(error).__name__}") from error
    try:
        return answer.status_code, decode(answer.content)
    except BadBody:
        return answer.status_code, None


# --- channels -----------------------------------------------------------------------------------------


async def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a name, or of an address in any notation that the system reads as one."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Dial:
    """Opens connections: names are resolved once, every address is looked at, and the one that was looked
    at is the one that is called. The name stays what TLS checks and what the Host header says.

    A network backend of httpcore2, which asks for every new connection, so that a name that begins to
    lead elsewhere is noticed."""

    def __init__(self, *, private: bool, names: Resolve = resolve) -> None:
        self._private, self._names = private, names
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to ``host``. Raises Refused, and ConnectError where nobody answers."""
        try:
            # Not `wait_for`: up to Python 3.11 who is cut off as the names come in is not told.
            async with asyncio.timeout(timeout):
                addresses = await self._names(host, port)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise httpcore2.ConnectError(f"the name {host} cannot be resolved") from error
        if not self._private and not (addresses and all(public(one) for one in addresses)):
            raise Refused(f"{host} is not a public address ({ALLOWING})")
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            seconds = None if timeout is None else timeout / left
            try:
                return await self._network.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if left == 1:
                    raise
        raise httpcore2.ConnectError(f"the name {host} has no address")

    async def connect_unix_socket(self, path: str, **_: Any) -> httpcore2.AsyncNetworkStream:
        """Never: a channel is not on this machine's file system."""
        raise Refused(f"{path} is no network address")

    async def sleep(self, seconds: float) -> None:
        """Wait between two tries."""
        await asyncio.sleep(seconds)


class ChannelTransport:
    """The way to all channels, shared by a process; see `courier.ports.Transport`.

    Connections are kept and used again. No redirect is followed and no proxy of the environment is used.
    Only public addresses are called, by https, unless ``private``.
    """

    def __init__(self, *, private: bool = False, names: Resolve = resolve) -> None:
        self._private = private
        self._dial = Dial(private=private, names=names)
        self._certificates: ssl.SSLContext | None = None
        self._kept = Kept(self._connection)

    async def send(self, wire: Wire, *, timeout: float = 30.0) -> Response:
        """The answer, header names in lower case. Status 0 when none came within ``timeout`` seconds; its
        body then says why, and its header `NOT_SENT` is there when nothing had been sent."""
        try:
            async with asyncio.timeout(timeout):
                return await self._send(wire, timeout)
        except Refused as refused:
            return _silence(str(refused), sent=False)
        except TimeoutError:
            return _silence(f"no answer within {timeout:g} seconds", sent=True)
        except _BEFORE as error:
            return _silence(f"no connection: {_said(error)}", sent=False)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            return _silence(f"the connection broke: {_said(error)}", sent=True)

    async def close(self) -> None:
        """Close every connection."""
        await self._kept.close()

    async def _send(self, wire: Wire, timeout: float) -> Response:
        there = origin(wire.target, private=self._private)
        target = quote(there.target, safe="/%:@!$&'()*+,;=~?-._[]|").encode("ascii")
        url = httpcore2.URL(
            scheme=there.scheme.encode(), host=there.host.encode(), port=there.port, target=target
        )
        headers = [
            (name.encode("ascii", "replace"), value.encode("utf-8")) for name, value in wire.headers.items()
        ]
        if not any(name.lower() == b"user-agent" for name, _ in headers):
            headers.append((b"User-Agent", AGENT.encode()))
        if ":" in there.host:  # an IPv6 address, whose brackets the client would leave out
            headers.append((b"Host", f"[{there.host}]:{there.port}".encode()))
        content = wire.body if wire.body or wire.method.upper() not in _BODILESS else None
        limits = {
            "connect": min(CONNECT_SECONDS, timeout),
            "read": timeout,
            "write": timeout,
        }
        async with (
            self._kept.one((there.scheme, there.host, there.port), timeout / 2) as connection,
            connection.stream(
                wire.method, url, headers=headers, content=content, extensions={"timeout": limits}
            ) as answer,
        ):
            return await _read(wire, answer)

    def _connection(self) -> httpcore2.AsyncConnectionPool:
        # Not before it is needed: loading the certificates of all authorities takes a while.
        if self._certificates is None:
            self._certificates = httpx2.create_ssl_context(trust_env=False)
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._certificates,
            max_connections=1,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=cast(httpcore2.AsyncNetworkBackend, self._dial),
        )


async def _read(wire: Wire, answer: httpcore2.Response) -> Response:
    parts = bytearray()
    async for part in answer.aiter_stream():
        parts += part
        if len(parts) > ANSWER_LIMIT:
            return _silence(f"the answer is longer than {ANSWER_LIMIT} bytes", sent=True)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
    body = bytes(parts)
    if answer.status >= 400:
        # What is refused is shown to people and logged, and some channels repeat what they were sent.
        body = scrubbed(wire, body)
    return Response(answer.status, headers, body)


def _silence(words: str, *, sent: bool) -> Response:
    return Response(0, {} if sent else {NOT_SENT: "1"}, words.encode())


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def scrubbed(wire: Wire, text: bytes) -> bytes:
    """``text`` without the secrets that ``wire`` carried."""
    for secret in sorted(set(_secrets(wire)), key=len, reverse=True):
        if len(secret) >= SECRET_LENGTH:
            text = text.replace(secret.encode("utf-8", "replace"), b"***")
    return text


def _secrets(wire: Wire) -> Iterator[str]:
    for name, value in wire.headers.items():
        if _TELLING.search(name):
            yield value
            scheme, _, rest = value.partition(" ")
            yield rest
            if scheme.lower() == "basic":
                yield from _pair(rest)
    for name, value in wire.query:
        if _TELLING.search(name):
            yield value
    for name, value in _fields(wire.body):
        if _TELLING.search(name):
            yield value


def _fields(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form, or of the outermost JSON object."""
    if body.startswith(b"{"):
        try:
            found = cast(dict[str, object], decode(body))
        except BadBody:
            return []
        return [(name, value) for name, value in found.items() if isinstance(value, str)]
    if body.startswith((b"[", b"<")) or b"=" not in body:
        return []
    return parse_qsl(body.decode("utf-8", "replace"))


def _pair(text: str) -> Iterator[str]:
    try:
        user, _, password = base64.b64decode(text, validate=True).decode("utf-8", "replace").partition(":")
    except (ValueError, binascii.Error):
        return
    yield from (user, password)
