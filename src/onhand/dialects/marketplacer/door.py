"""What stands before every route: the caller's key, the published pace, the media type, exact JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from onhand import auth, wire
from onhand.auth import Caller
from onhand.dialects.marketplacer import errors, prices
from onhand.dialects.marketplacer.errors import MEDIA_TYPE, Problem
from onhand.dialects.marketplacer.schema import DIALECT
from onhand.inventory import Inventory
from onhand.pace import Pace, Window
from onhand.settings import Settings
from onhand.wire import Headers

CALLS_A_SECOND = 50
KEY_HEADER = b"marketplacer-api-key"


class Front(NamedTuple):
    """What every request is handled with."""

    inventory: Inventory
    settings: Settings
    pace: Pace | None


Handler = Callable[[Front, Caller, Request], Awaitable[Response]]


def front(inventory: Inventory, settings: Settings) -> Front:
    """What the routes of one application share."""
    pace = Pace(Window(CALLS_A_SECOND, 1.0)) if settings.limit_marketplacer else None
    return Front(inventory, settings, pace)


def respond(status: int, body: object) -> Response:
    """An answer in this API's media type."""
    return wire.respond(status, body, media_type=MEDIA_TYPE)


def shape(status: int, sentence: str) -> Response:
    """An error of the surroundings; a wrong verb is answered like a wrong path, as it is published."""
    if status == 405:
        status, sentence = 404, "Not found"
    return respond(status, errors.body(status, sentence))


def guarded(front: Front, scope: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """``handler`` behind the checks that all routes have; ``scope`` is what the key must allow."""

    async def endpoint(request: Request) -> Response:
        try:
            key = _key(request.scope["headers"])
            caller = await auth.identify(front.inventory, DIALECT, auth.digest(key)) if key else None
            if caller is None:
                return _unauthorized()
            if front.pace is not None:
                ruling = front.pace.allow(caller.principal, front.inventory.now() / 1e6)
                if not ruling.allowed:
                    return _too_many(ruling.retry_after)
            if not caller.may(scope):
                raise Problem(403, "This API key may not change anything.")
            return await handler(front, caller, request)
        except Problem as problem:
            body = errors.body(problem.status, problem.detail, problem.source)
            return respond(problem.status, body)

    return endpoint


def _key(headers: Headers) -> str:
    """The API key: its own header first, because Authorization may be the site's Basic then."""
    own = wire.header(headers, KEY_HEADER).strip()
    if own:
        return own
    scheme, _, rest = wire.header(headers, b"authorization").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


def _unauthorized() -> Response:
    body = errors.body(401, "An API key is required, and the one given is not valid.")
    return wire.respond(401, body, media_type=MEDIA_TYPE, headers={"WWW-Authenticate": "Bearer"})


def _too_many(after: int) -> Response:
    body = errors.body(429, f"At most {CALLS_A_SECOND} requests a second are allowed.")
    return wire.respond(429, body, media_type=MEDIA_TYPE, headers={"Retry-After": str(after)})


async def read_body(front: Front, request: Request) -> object:
    """The body as strict JSON with exact numbers. Raises Problem 400 or 415."""
    media = wire.media_type(request.scope)
    if media != MEDIA_TYPE and not (front.settings.lenient_marketplacer and media == wire.JSON):
        raise errors.media(media)
    raw = await wire.body(request, wire.BODY_LIMIT)
    try:
        wire.decode(raw)
    except wire.BadBody as bad:
        raise Problem(400, bad.message) from None
    return prices.decode(raw)
