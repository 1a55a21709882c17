"""What stands before every route: the caller's key, the published pace, the media type, exact JSON."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from starlette.responses import Response

from onhand import auth, wire
from onhand.auth import Caller, Gate
from onhand.dialects.marketplacer import errors, prices
from onhand.dialects.marketplacer.errors import MEDIA_TYPE, Problem
from onhand.dialects.marketplacer.sayings import Sayings
from onhand.dialects.marketplacer.schema import DIALECT
from onhand.inventory import Inventory
from onhand.pace import Pace, Window
from onhand.settings import Settings
from onhand.wire import Incoming
from onhand.work import Recorded, Work

CALLS_A_SECOND = 50
_MEDIA_TYPE = MEDIA_TYPE.encode()
KEY_HEADER = b"marketplacer-api-key"
_FRACTION = re.compile(rb"[0-9][.eE]")


class Front(NamedTuple):
    """What every request is handled with."""

    inventory: Inventory
    settings: Settings
    gate: Gate
    pace: Pace | None
    sayings: Sayings | None
    """Where this process alone writes what they are about."""

    def record(self, work: Work, item: int) -> Awaitable[Recorded]:
        """Record a work of one group, about one item."""
        if self.sayings is None or not work.groups[0].also:
            return self.inventory.record(work)
        return self.sayings.record(work, item)


Handler = Callable[[Front, Caller, Incoming], Awaitable[Response]]


def front(inventory: Inventory, settings: Settings) -> Front:
    """What the routes of one application share."""
    pace = Pace(Window(CALLS_A_SECOND, 1.0)) if settings.limit_marketplacer else None
    sayings = Sayings(inventory) if inventory.store.sqlite else None
    return Front(inventory, settings, Gate(inventory, DIALECT), pace, sayings)


def respond(status: int, body: object) -> Response:
    """An answer in this API's media type."""
    return wire.respond(status, body, media_type=MEDIA_TYPE)


def shape(status: int, sentence: str) -> Response:
    """An error of the surroundings; a wrong verb is answered like a wrong path, as it is published."""
    if status == 405:
        status, sentence = 404, "Not found"
    return respond(status, errors.body(status, sentence))


def guarded(front: Front, scope: str, handler: Handler) -> Callable[[Incoming], Awaitable[Response]]:
    """``handler`` behind the checks that all routes have; ``scope`` is what the key must allow."""

    async def endpoint(request: Incoming) -> Response:
        headers = request.headers
        said = b"%b\n%b" % (headers.get(KEY_HEADER, b""), headers.get(b"authorization", b""))
        caller = front.gate.at_once(said)
        if caller is None and (key := _key(headers)):
            caller = await front.gate.identify(said, auth.digest(key))
        if caller is None:
            return _unauthorized()
        if front.pace is not None:
            name = f"{caller.account} {caller.principal}"
            ruling = front.pace.allow(name, front.inventory.now() / 1e6)
            if not ruling.allowed:
                return _too_many(ruling.retry_after)
        if not caller.may(scope):
            raise Problem(403, "This API key may not change anything.")
        return await handler(front, caller, request)

    return endpoint


def refused(error: Exception) -> Response | None:
    """The answer of a `Problem`."""
    if not isinstance(error, Problem):
        return None
    return respond(error.status, errors.body(error.status, error.detail, error.source))


def _key(headers: Mapping[bytes, bytes]) -> str:
    """The API key: its own header first, because Authorization may be the site's Basic then."""
    own = headers.get(KEY_HEADER)
    if own is not None and (key := own.decode("latin-1").strip()):
        return key
    scheme, _, rest = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


def _unauthorized() -> Response:
    body = errors.body(401, "An API key is required, and the one given is not valid.")
    return wire.respond(401, body, media_type=MEDIA_TYPE, headers={"WWW-Authenticate": "Bearer"})


def _too_many(after: int) -> Response:
    body = errors.body(429, f"At most {CALLS_A_SECOND} requests a second are allowed.")
    return wire.respond(429, body, media_type=MEDIA_TYPE, headers={"Retry-After": str(after)})


def body(front: Front, request: Incoming) -> Awaitable[bytes]:
    """The body, for `read`. Raises Problem 415."""
    given = request.headers.get(b"content-type", b"")
    if given != _MEDIA_TYPE:
        media = wire.media(given.decode("latin-1"))
        if media != MEDIA_TYPE and not (front.settings.lenient_marketplacer and media == wire.JSON):
            raise errors.media(media)
    return wire.body(request, wire.BODY_LIMIT)


def read(raw: bytes) -> object:
    """A body as strict JSON with exact numbers. Raises Problem 400."""
    try:
        value = wire.decode(raw)
    except wire.BadBody as bad:
        raise Problem(400, bad.message) from None
    # Only what is written so became a float above.
    return prices.decode(raw) if _FRACTION.search(raw) else value
