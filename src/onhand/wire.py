"""What every HTTP face of the hub shares: strict JSON in, JSON out, media types and bounded bodies."""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeAlias, TypeGuard

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
"""As they came: names in lower case, values in latin-1."""

BODY_LIMIT = 256 * 1024
BULK_LIMIT = 4 * 1024 * 1024
NESTING_LIMIT = 64
INT_CHARACTERS_LIMIT = 256
KEY_SHOWN_LIMIT = 80

JSON = "application/json"
_JSON = JSON.encode()
_BODILESS = frozenset({204, 205, 304})

_CONTAINERS = frozenset({dict, list})
_LEAST_DEEP = 2 * NESTING_LIMIT
"""What is nested deeper has more bytes than this."""

# A byte that is given as a number is found at once; what is given as bytes, Python first takes for a number.
_BACKSLASH = ord("\\")
_BOM = b"\xef\xbb\xbf"
# Only an odd run of backslashes makes the last one an escape; an even run is text that merely looks like one.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_LONG = b"0" * (INT_CHARACTERS_LIMIT + 1)
_DIGITS = bytes(ord("0") if chr(byte).isdecimal() else ord(" ") for byte in range(128)) + b" " * 128
_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")


class Incoming(msgspec.Struct, frozen=True):
    """A request as the server gives it. Who needs no more spares Starlette's, which has ways for all.
    ``headers`` has the first of each name."""

    scope: Scope
    receive: Receive
    headers: Mapping[bytes, bytes]

    def path(self, name: str) -> str:
        """A parameter of the path."""
        found: str = self.scope["path_params"][name]
        return found

    def query(self) -> QueryParams:
        """The parameters behind the path."""
        return QueryParams(self.scope["query_string"])


def incoming(scope: Scope, receive: Receive) -> Incoming:
    """A request as the server gives it."""
    # Of several with one name the first is the last here, and stays.
    return Incoming(scope, receive, dict(reversed(scope["headers"])))


class BadBody(Exception):
    """A request body that is not the JSON we accept.

    `message` is a sentence for the client without its full stop; `kind` is one of "empty", "encoding",
    "malformed", "duplicate" and "nesting".
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class TooLong(Exception):
    """A request body of more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is longer than {limit} bytes")
        self.limit = limit


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) == len(pairs):
        return
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            shown = json.dumps(key[:KEY_SHOWN_LIMIT], ensure_ascii=False)
            raise BadBody("duplicate", f"The key {shown} appears twice in one object")
        seen.add(key)


def _short(digits: str) -> None:
    if len(digits) > INT_CHARACTERS_LIMIT:
        raise BadBody("malformed", f"A number has more than {INT_CHARACTERS_LIMIT} digits")


encode = msgspec.json.Encoder().encode
_parse = msgspec.json.Decoder().decode
# msgspec keeps the last of two equal keys without a word, so a second reader looks at the pairs only:
# it builds nothing, and what it returns is thrown away.
_inspect = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_short).decode


def decode(raw: bytes) -> object:
    """Reads `raw` as strict JSON into plain Python (dict, list, str, int, float, bool, None).

    Raises BadBody for: nothing at all, anything but UTF-8 (a byte order mark included), lone surrogates,
    U+0000, NaN and Infinity, numbers out of range, a key twice in one object at any depth, more than
    NESTING_LIMIT levels, and anything after the value.
    """
    try:
        text = raw.decode()
        value: object = _parse(raw)
        if len(raw) > _LEAST_DEEP and raw.count(b"[") + raw.count(b"{") > NESTING_LIMIT:
            _refuse_deep(value)
        if not _whole(raw, value):
            _inspect(text)
    except UnicodeDecodeError:
        raise BadBody("encoding", "The body is not UTF-8 text") from None
    except RecursionError:
        raise _too_deep() from None
    except msgspec.DecodeError as error:
        _explain(raw, str(error))
    if _BACKSLASH in raw and b"\\u0000" in raw and _NUL.search(raw):
        raise BadBody("malformed", "The body holds the character U+0000, which no value may hold")
    return value


def _whole(raw: bytes, value: object) -> bool:
    """Whether ``value`` says all that ``raw`` did. Every key has its colon, so where none is missing no key
    was dropped for an equal one. False where that cannot be told, and where a number has too many digits."""
    if _BACKSLASH in raw and b"\\u" in raw:
        return False
    if len(raw) > INT_CHARACTERS_LIMIT and _LONG in raw.translate(_DIGITS):
        return False
    return encode(value).count(b":") == raw.count(b":")


def _refuse_deep(value: object) -> None:
    level: list[Any] = [value]
    for _ in range(NESTING_LIMIT):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) in _CONTAINERS
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> BadBody:
    return BadBody("nesting", f"The body is nested more than {NESTING_LIMIT} levels deep")


def _explain(raw: bytes, complaint: str) -> NoReturn:
    if not raw.strip(b" \t\r\n"):
        raise BadBody("empty", "The body is empty; JSON is expected") from None
    if raw.startswith(_BOM):
        raise BadBody("encoding", "The body begins with a byte order mark") from None
    if _SURROGATE.search(raw):
        raise BadBody("encoding", "The body holds half of a surrogate pair") from None
    reason = complaint.removeprefix("JSON is malformed: ")
    raise BadBody("malformed", f"The body is not valid JSON: {reason[:1].lower()}{reason[1:]}") from None


@functools.cache
def _content_type(media_type: str) -> tuple[bytes, bytes]:
    charset = "; charset=utf-8" if media_type.startswith("text/") else ""
    return b"content-type", (media_type + charset).encode("latin-1")


_JSON_TYPE = _content_type(JSON)


class _Made(Response):
    """A response whose headers are all given. Starlette finds out which are missing, and makes them, in three
    times as many steps, and there is one for every request."""

    background = None

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
        self.status_code = status
        self.raw_headers = headers
        self.body = content


def respond(
    status: int, body: object, *, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """A response with `body` as JSON, or as it is when it is bytes; 204, 205 and 304 carry nothing. `headers`
    are those besides the type and the length."""
    if status in _BODILESS:
        return Response(status_code=status, headers=headers)
    content = body if isinstance(body, bytes) else encode(body)
    fields = [(b"content-length", b"%d" % len(content)), _content_type(media_type)]
    if headers:
        given = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        fields = given + fields
    return _Made(status, fields, content)


def tagged(content: bytes, etag: bytes) -> Response:
    """A response with a body that is JSON already, and its entity tag."""
    return _Made(200, [(b"etag", etag), (b"content-length", b"%d" % len(content)), _JSON_TYPE], content)


def media_type(scope: Scope) -> str:
    """The media type of a request in lower case and without its parameters; "" when none is given."""
    return media(header(scope["headers"], b"content-type"))


def media(value: str) -> str:
    """The same of a Content-Type."""
    return value if value == JSON else value.partition(";")[0].strip().lower()


def says_json(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body comes as JSON, by its headers."""
    given = headers.get(b"content-type", b"")
    return given == _JSON or is_json(media(given.decode("latin-1")))


def is_json(media: str) -> bool:
    """True for application/json and for any type with the +json suffix."""
    return media == JSON or (media.endswith("+json") and "/" in media)


def is_int(value: object) -> TypeGuard[int]:
    """True for a JSON integer: `true` is an int to Python, and 3.0 is a float."""
    return type(value) is int


async def body(request: Incoming, limit: int) -> bytes:
    """The whole body of `request`; TooLong as soon as more than `limit` bytes are announced or seen."""
    message = await request.receive()
    whole: bytes = message.get("body", b"")
    # Behind the reception there is one part.
    if not whole or message.get("more_body", False):
        whole = await _parts(request, message, limit)
    if len(whole) > limit:
        raise TooLong(limit)
    return whole


async def _parts(request: Incoming, message: Message, limit: int) -> bytes:
    """A body that has more parts than the one of ``message``, or nothing in that."""
    length = request.headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > limit:
        raise TooLong(limit)
    whole = b""
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        whole += part
        if len(whole) > limit or not message.get("more_body", False):
            return whole
        message = await request.receive()


def header(headers: Headers, name: bytes) -> str:
    """The first header of this lower-case name; "" when there is none. Faster than Starlette's mapping."""
    for found, value in headers:
        if found == name:
            return value.decode("latin-1")
    return ""


def every(headers: Headers, name: bytes) -> list[str]:
    """All headers of this lower-case name."""
    return [value.decode("latin-1") for found, value in headers if found == name]
