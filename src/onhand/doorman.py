"""What the front door lets in: the bounds of a request and the judgement on a request's head, without I/O."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

import httptools

from onhand.wire import BODY_LIMIT, BULK_LIMIT, Headers, encode, header

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields of an answer, the content type among them; what frames it is added by who sends it."""

Shape = Callable[[str, int, str], tuple[bytes, Fields]]
Placed = Callable[[str, str], str]

SMALL_BODY = 16 * 1024
"""Bytes of a body that is not refused for what others are sending."""


def as_asked(_host: str, path: str) -> str:
    """Where a request belongs if host names mean nothing: the path it names."""
    return path


class Limits(NamedTuple):
    """The bounds on one connection and one request; bytes, seconds or counts as the names say.

    The head is the request line with all header fields. `receive_seconds` runs from a connection's opening,
    or from the first byte of a later request on it, to the last byte of the body. `send_seconds` is how long
    a client may leave an answer unread, `linger_seconds` how long a refused client is read on so that it can
    see why. `keep_alive_seconds` is above the 60 s after which common proxies drop an idle connection.
    `arriving_bytes` is what all bodies that are not whole yet may have together: nobody has shown a key for
    them so far. Small ones are let in all the same.
    """

    head_bytes: int = 32 * 1024
    headers: int = 128
    body_bytes: int = BODY_LIMIT
    bulk_bytes: int = BULK_LIMIT
    receive_seconds: float = 15.0
    send_seconds: float = 60.0
    linger_seconds: float = 2.0
    keep_alive_seconds: float = 75.0
    grace_seconds: int = 10
    connections: int = 10_000
    arriving_bytes: int = 256 * 1024 * 1024


RETRY_AFTER_SECONDS = "1"
"""When to come again after a 503."""


class Refusal(Exception):
    """A request that is not let in: the status and a sentence for the client without its full stop."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


# A name, an IPv4 or a bracketed IPv6 address, and a port: what a URL can be rebuilt from without surprises.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_WATCHED = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-encoding"})
_FIELD_OVERHEAD = len(": \r\n")


def judge(url: bytes, headers: Sequence[tuple[bytes, bytes]], version: str, limits: Limits) -> int | None:
    """The announced length of the body in bytes, None when it is chunked; raises Refusal.

    `headers` have lower-case names, as the parser hands them over.
    """
    size = len(url)
    watched: list[tuple[bytes, bytes]] = []
    for field in headers:
        size += len(field[0]) + len(field[1]) + _FIELD_OVERHEAD
        if field[0] in _WATCHED:
            watched.append(field)
    if size > limits.head_bytes or len(headers) > limits.headers:
        raise oversized_head(limits)
    if version not in ("1.1", "1.0"):
        raise Refusal(400, "HTTP/1.1 and HTTP/1.0 are spoken here")
    return _framing(watched, version)


def _framing(watched: list[tuple[bytes, bytes]], version: str) -> int | None:
    hosts: list[bytes] = []
    length: int | None = None
    chunked = False
    for name, value in watched:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            chunked = True
            if value.lower() != b"chunked" or version == "1.0":
                raise Refusal(400, "The only transfer coding is chunked, over HTTP/1.1")
        elif value.lower() not in (b"identity", b""):
            raise Refusal(415, "A body with a Content-Encoding is not accepted; send it as it is")
    if chunked and length is not None:
        raise Refusal(400, "Content-Length and Transfer-Encoding exclude each other")
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise Refusal(400, "Exactly one Host header is required")
    if hosts and hosts[0] and not _HOST.fullmatch(hosts[0]):
        raise Refusal(400, "The Host header is neither a name nor an address")
    return None if chunked else (length or 0)


def oversized_head(limits: Limits) -> Refusal:
    """The refusal of a head that is over its bounds."""
    return Refusal(
        431, f"The request line and headers are over {limits.head_bytes} bytes or {limits.headers} fields"
    )


def oversized_body(limit: int) -> Refusal:
    """The refusal of a body of more than `limit` bytes."""
    return Refusal(413, f"The body is longer than {limit} bytes")


def path_of(url: bytes) -> str:
    """The decoded path of a request target, as the application sees it; "" when there is none to be read."""
    try:
        path = httptools.parse_url(url).path
    except httptools.HttpParserInvalidURLError:
        return ""
    return unquote(path.decode("latin-1")) if path else ""


def unread(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Target and header fields of a head whose first line no parser takes, for a refusal in the shape of whom
    it was meant for; what no target may have is escaped. `data` is what the parser was given."""
    lines = data.lstrip(b"\r\n").partition(b"\r\n\r\n")[0].split(b"\r\n")
    words = lines[0].split(b" ")
    target = words[1] if len(words) > 1 else b""
    fields = [
        (name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines[1:])
    ]
    return quote(target, safe=":/?&=%").encode(), fields


def host_of(headers: Headers) -> str:
    """The name or address that a request was sent to, in lower case and without its port; "" for none."""
    return header(headers, b"host").lower().partition(":")[0].removesuffix(".")


def crowded() -> Refusal:
    """The refusal of a large body while too many others arrive."""
    return Refusal(503, "Too much is being sent at once; try again shortly")


_TITLES = {
    400: "Bad request",
    408: "Request timeout",
    413: "Body too large",
    415: "Unsupported content encoding",
    431: "Request head too large",
    503: "Too much at once",
}


def problem(path: str, status: int, message: str) -> tuple[bytes, Fields]:
    """The plain form of a refusal: an RFC 9457 problem with the type about:blank, whatever the path."""
    body = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": message}
    return encode(body), [(b"content-type", b"application/problem+json")]
