"""The Flipkart dialect over HTTP: who asks, what they may, look-ups, the ledger, the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from onhand import asgi, auth, wire
from onhand.auth import READ, WRITE, Caller
from onhand.dialects.flipkart import oauth, rendering, schema, tokens
from onhand.dialects.flipkart.codes import BadRequest, Code, Fault, whole
from onhand.dialects.flipkart.schema import Offer
from onhand.inventory import Inventory
from onhand.settings import Settings
from onhand.store import catalog, channels, levels
from onhand.store.channels import Link, Listing
from onhand.wire import Incoming
from onhand.work import Recorded, Work

DIALECT = tokens.DIALECT
SPACE, LOCATION = DIALECT, "location"
"""Where the ids that Flipkart has for locations are kept."""

PREFIXES = ("", "/sellers")
TOKEN_PATH = "/oauth-service/oauth/token"  # noqa: S105 - a path
UPDATE_PATH, LISTINGS_PATH = "/listings/v3/update/inventory", "/listings/v3/"

FORM = "application/x-www-form-urlencoded"
FORM_LIMIT = 8 * 1024
FIELDS_LIMIT = 20

MEDIA_TYPE = "application/json; charset=utf-8"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
OTHER_METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
WRITING_METHODS = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]

Endpoint = Callable[[Incoming], Awaitable[Response]]
Looked = tuple[dict[str, Offer], dict[str, int]]
"""Listings by SKU, as the rules see them, and our locations by Flipkart's ids."""


def app(inventory: Inventory, settings: Settings) -> ASGIApp:
    """The dialect's application; its paths are relative to where it is mounted."""
    update = partial(_update, inventory)
    listings = partial(_listings, inventory)
    routes = [Route(TOKEN_PATH, partial(_token, inventory, settings), methods=["GET", "POST"])]
    for prefix in PREFIXES:
        routes += [
            Route(prefix + UPDATE_PATH, update, methods=["POST"]),
            # Below, a SKU may hold a slash; this path is none.
            Route(prefix + UPDATE_PATH, _only_post, methods=OTHER_METHODS),
            Route(prefix + LISTINGS_PATH + "{skus:path}", listings, methods=["GET"]),
            Route(prefix + LISTINGS_PATH + "{skus:path}", _only_get, methods=WRITING_METHODS),
        ]
    return asgi.application(routes, shape, asked=Incoming, refused=_refused)


def shape(status: int, sentence: str) -> Response:
    """What is refused before or beside an endpoint; the code is ten times the status."""
    return _respond(status, whole(Fault(status * 10, sentence)))


def _respond(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    return wire.respond(status, body, media_type=MEDIA_TYPE, headers=headers)


def _refused(error: Exception) -> Response | None:
    match error:
        case BadRequest():
            return _respond(400, whole(error.fault))
        case oauth.Denied():
            return _respond(error.status, error.body, error.headers | NO_STORE)
        case _:
            return None


async def _only_post(request: Incoming) -> Response:
    response = shape(405, "Method not allowed")
    response.headers["Allow"] = "POST"
    return response


async def _only_get(request: Incoming) -> Response:
    """Another method on a list of SKUs; what can be none, as an update that we do not speak, is no path."""
    raw = _segment(request)
    if b"/" in raw or not raw:
        return shape(404, "Not found")
    response = shape(405, "Method not allowed")
    response.headers["Allow"] = "GET, HEAD"
    return response


# --- the token endpoint -------------------------------------------------------------------------------


async def _token(inventory: Inventory, settings: Settings, request: Incoming) -> Response:
    app = oauth.basic(_authorization(request))
    now, seconds = inventory.now(), settings.flipkart_token_seconds
    account, found = await inventory.read(0, lambda c: tokens.look_up(c, app, now, seconds))
    query = request.scope["query_string"].decode("latin-1")
    fields = dict(parse_qsl(query, keep_blank_values=True)) | await _form(request)
    oauth.check_request(fields.get("grant_type"), fields.get("scope"))
    if found is None:
        found = await inventory.write(account, lambda c: tokens.grant(c, app, now, seconds))
    return _respond(200, oauth.granted(found.token, (found.expires_at - now) // 1_000_000), NO_STORE)


async def _form(request: Incoming) -> dict[str, str]:
    if request.scope["method"] != "POST" or wire.media_type(request.scope) != FORM:
        return {}
    text = (await wire.body(request, FORM_LIMIT)).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_LIMIT))
    except ValueError:
        raise oauth.Denied(400, "invalid_request", "The form has too many fields") from None


def _authorization(request: Incoming) -> str:
    return wire.header(request.scope["headers"], b"authorization")


async def _caller(inventory: Inventory, request: Incoming, scope: str) -> Caller:
    token = oauth.bearer(_authorization(request))
    caller = await auth.identify(inventory, DIALECT, auth.digest(token))
    if caller is None:
        raise oauth.invalid_token(token)
    if not caller.may(scope):
        raise oauth.not_allowed(scope)
    return caller


# --- updating inventory -------------------------------------------------------------------------------


async def _update(inventory: Inventory, request: Incoming) -> Response:
    caller = await _caller(inventory, request, WRITE)
    body = await _json(request)
    asked = schema.envelope(body)
    offers, places = await _look_up(inventory, caller, asked)
    settled = [schema.settle(one, offers.get(one.sku), places) for one in asked]
    changes = [one for one in settled if isinstance(one, schema.Change)]
    recorded = Recorded()
    if changes:
        groups = tuple([change.group for change in changes])
        watch = tuple([place for change in changes for place in change.places])
        recorded = await inventory.record(Work(caller.account, groups, caller.principal, watch=watch))
    outcomes = iter(recorded.outcomes)
    answer: dict[str, Any] = {}
    for one, result in zip(asked, settled, strict=True):
        if isinstance(result, schema.Change):
            answer[one.sku] = schema.answered(result, next(outcomes), recorded.levels)
        else:
            answer[one.sku] = schema.failed(result)
    return _respond(200, answer)


async def _json(request: Incoming) -> object:
    media = wire.media_type(request.scope)
    if not wire.is_json(media):
        raise BadRequest(Code.MEDIA_TYPE, "The Content-Type must be application/json")
    try:
        return wire.decode(await wire.body(request, wire.BODY_LIMIT))
    except wire.BadBody as bad:
        code = Code.DUPLICATE_KEY if bad.kind == "duplicate" else Code.MALFORMED
        raise BadRequest(code, bad.message) from None


async def _look_up(inventory: Inventory, caller: Caller, asked: Sequence[schema.Asked]) -> Looked:
    """By what is remembered, but for the status of the listings."""
    account = caller.account
    link = await inventory.recall(account, (DIALECT, "link", caller.connection), lambda c: _link(c, caller))
    if link is None:
        return {}, {}
    skus, number = [one.sku for one in asked], link.id
    names = {spot.id for one in asked for spot in one.spots}
    known = await inventory.recall_many(
        account,
        "flipkart location",
        names,
        lambda c, some: channels.internals(c, account, SPACE, LOCATION, some),
    )
    mine = {name: int(number) for name, number in known.items()}
    offered = await inventory.recall_many(
        account, f"flipkart listing of {number}", skus, lambda c, some: _offers(c, account, number, some)
    )
    offers = await _as_they_are(inventory, account, offered)
    return offers, {name: number for name, number in mine.items() if number in link.locations}


async def _as_they_are(inventory: Inventory, account: int, offered: Mapping[str, Offer]) -> dict[str, Offer]:
    """Those of remembered offers that are there, inactive where they are not open now."""
    status = {one.listing: "open" if one.open else "closed" for one in offered.values()}
    # What no commit closes is closed by a change of the catalogue, after which nothing is remembered here.
    unsure = [one.listing for one in offered.values() if one.closes or not inventory.store.sqlite]
    if unsure:
        found = await inventory.read(account, lambda c: channels.statuses(c, account, unsure), alone=True)
        status = {name: said for name, said in status.items() if name not in unsure} | found
    return {
        sku: one if status[one.listing] == "open" else one._replace(inactive=True)
        for sku, one in offered.items()
        if one.listing in status
    }


def _offers(connection: Connection, account: int, link: int, skus: Sequence[str]) -> dict[str, Offer]:
    found = channels.listings_by_external(connection, account, link, skus)
    return {sku: rendering.offer(listing) for sku, listing in found.items()}


def _link(connection: Connection, caller: Caller) -> Link | None:
    if caller.connection is None:
        return None
    return channels.link(connection, caller.account, caller.connection)


# --- showing listings -----------------------------------------------------------------------------------


async def _listings(inventory: Inventory, request: Incoming) -> Response:
    raw = _segment(request)
    if b"/" in raw or not raw:
        return shape(404, "Not found")
    caller = await _caller(inventory, request, READ)
    asked, now = rendering.asked(raw), inventory.now()

    def query(connection: Connection) -> dict[str, Any]:
        link = _link(connection, caller)
        if link is None:
            return rendering.answer(asked, {}, None)
        found = channels.listings_by_external(connection, caller.account, link.id, asked.skus)
        return rendering.answer(asked, found, _shelf(connection, caller.account, link, found, now))

    return _respond(200, await inventory.read(caller.account, query))


def _segment(request: Incoming) -> bytes:
    """The SKUs of the path, still encoded: a slash that was encoded belongs to a SKU."""
    raw: bytes = request.scope.get("raw_path") or b""
    _, found, segment = raw.partition(LISTINGS_PATH.encode())
    return segment if found else b""


def _shelf(
    connection: Connection, account: int, link: Link, found: dict[str, Listing], now: int
) -> rendering.Shelf:
    items = {listing.item for listing in found.values()}
    space = rendering.space(link.id)
    places = [(item, location) for item in items for location in link.locations]
    names = channels.externals(connection, account, SPACE, LOCATION, map(str, link.locations))
    return rendering.Shelf(
        link,
        catalog.items(connection, account, items),
        levels.at(connection, account, places, now),
        channels.details(connection, account, space, schema.STATUS_DETAIL, items),
        channels.details(connection, account, space, schema.PENDING_DETAIL, items),
        {int(number): name for number, name in names.items()},
    )
