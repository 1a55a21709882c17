"""The Flipkart dialect over HTTP: who asks, what they may, look-ups, the ledger, the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from onhand import asgi, auth, wire
from onhand.auth import READ, WRITE, Caller, Gate
from onhand.dialects.flipkart import oauth, rendering, schema, tokens
from onhand.dialects.flipkart.codes import BadRequest, Code, Fault, whole, with_lists
from onhand.dialects.flipkart.schema import Offer
from onhand.inventory import Inventory
from onhand.pace import Pace, Window
from onhand.settings import Settings
from onhand.stock.model import Place
from onhand.store import catalog, channels, levels
from onhand.store.channels import Link, Listing
from onhand.wire import Incoming
from onhand.work import Group, Recorded, Work

DIALECT = schema.DIALECT
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

_LINKS, _LOCATIONS = "flipkart link", "flipkart location"
"""What is remembered: connections by their ids, and our locations by Flipkart's."""

Looked = tuple[dict[str, Offer], dict[str, int]]
"""Listings by SKU, as the rules see them, and our locations by Flipkart's ids."""


class Front(NamedTuple):
    """What every request but those for tokens is handled with."""

    inventory: Inventory
    gate: Gate
    pace: Pace | None
    empty_lists: bool


class TooOften(Exception):
    """A connection has used up its requests; ``after`` is how many seconds to wait."""

    def __init__(self, after: int) -> None:
        super().__init__(after)
        self.after = after


_respond = partial(wire.respond, media_type=MEDIA_TYPE)


def app(inventory: Inventory, settings: Settings) -> ASGIApp:
    """The dialect's application; its paths are relative to where it is mounted."""
    calls = settings.limit_flipkart
    pace = Pace(Window(calls, 1.0)) if calls else None
    front = Front(inventory, Gate(inventory, DIALECT), pace, settings.flipkart_empty_lists)
    update, listings = partial(_update, front), partial(_listings, front)
    routes = [Route(TOKEN_PATH, partial(_token, inventory, settings), methods=["GET", "POST"])]
    for prefix in PREFIXES:
        routes += [
            Route(prefix + UPDATE_PATH, update, methods=["POST"]),
            # Below, a SKU may hold a slash; this path is none.
            Route(prefix + UPDATE_PATH, _only_post, methods=OTHER_METHODS),
            Route(prefix + LISTINGS_PATH + "{skus:path}", listings, methods=["GET"]),
            Route(prefix + LISTINGS_PATH + "{skus:path}", _only_get, methods=WRITING_METHODS),
        ]
    return asgi.application(routes, shape, asked=wire.incoming, refused=_refused)


def shape(status: int, sentence: str) -> Response:
    """What is refused before or beside an endpoint; the code is ten times the status."""
    return _respond(status, whole(Fault(status * 10, sentence)))


def _refused(error: Exception) -> Response | None:
    match error:
        case BadRequest():
            return _respond(400, whole(error.fault))
        case oauth.Denied():
            return _respond(error.status, error.body, headers=error.headers | NO_STORE)
        case TooOften():
            body = whole(Fault(4290, "Too many requests"))
            return _respond(429, body, headers={"Retry-After": str(error.after)})
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
    app = oauth.basic(request.headers.get(b"authorization", b"").decode("latin-1"))
    now, seconds = inventory.now(), settings.flipkart_token_seconds
    account, found = await inventory.read(0, lambda c: tokens.look_up(c, app, now, seconds))
    query = request.scope["query_string"].decode("latin-1")
    fields = dict(parse_qsl(query, keep_blank_values=True)) | await _form(request)
    oauth.check_request(fields.get("grant_type"), fields.get("scope"))
    if found is None:
        found = await inventory.write(account, lambda c: tokens.grant(c, app, now, seconds))
    granted = oauth.granted(found.token, (found.expires_at - now) // 1_000_000)
    return _respond(200, granted, headers=NO_STORE)


async def _form(request: Incoming) -> dict[str, str]:
    if request.scope["method"] != "POST" or wire.media_type(request.scope) != FORM:
        return {}
    text = (await wire.body(request, FORM_LIMIT)).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_LIMIT))
    except ValueError:
        raise oauth.Denied(400, "invalid_request", "The form has too many fields") from None


async def _caller(front: Front, request: Incoming, scope: str) -> Caller:
    said, gate = request.headers.get(b"authorization", b""), front.gate
    caller = gate.at_once(said)
    if caller is None:
        token = oauth.bearer(said.decode("latin-1"))
        caller = await gate.identify(said, auth.digest(token))
        if caller is None:
            raise oauth.invalid_token(token)
    if front.pace is not None:
        name = f"{caller.account} {caller.principal}"
        ruling = front.pace.allow(name, front.inventory.now() / 1_000_000)
        if not ruling.allowed:
            raise TooOften(ruling.retry_after)
    if not caller.may(scope):
        raise oauth.not_allowed(scope)
    return caller


# --- updating inventory -------------------------------------------------------------------------------


async def _update(front: Front, request: Incoming) -> Response:
    caller, inventory = await _caller(front, request, WRITE), front.inventory
    if not wire.says_json(request.headers):
        raise BadRequest(Code.MEDIA_TYPE, "The Content-Type must be application/json")
    asked = schema.envelope(_json(await wire.body(request, wire.BODY_LIMIT)))
    offers, places = _remembered(inventory, caller, asked) or await _look_up(inventory, caller, asked)
    settled: list[schema.Change | tuple[Fault, ...]] = []
    groups: list[Group] = []
    watch: list[Place] = []
    for one in asked:
        result = schema.settle(one, offers.get(one.sku), places)
        settled.append(result)
        if isinstance(result, schema.Change):
            groups.append(result.group)
            watch += result.places
    recorded = Recorded()
    if groups:
        work = Work(caller.account, tuple(groups), caller.principal, watch=tuple(watch))
        recorded = await inventory.record(work)
    outcomes = iter(recorded.outcomes)
    answer: dict[str, Any] = {}
    for one, result in zip(asked, settled, strict=True):
        if isinstance(result, schema.Change):
            answer[one.sku] = schema.answered(result, next(outcomes), recorded.levels)
        else:
            answer[one.sku] = schema.failed(result)
    if front.empty_lists:
        answer = {sku: with_lists(change) for sku, change in answer.items()}
    return _respond(200, answer)


def _json(raw: bytes) -> object:
    try:
        return wire.decode(raw)
    except wire.BadBody as bad:
        code = Code.DUPLICATE_KEY if bad.kind == "duplicate" else Code.MALFORMED
        raise BadRequest(code, bad.message) from None


def _remembered(inventory: Inventory, caller: Caller, asked: Sequence[schema.Asked]) -> Looked | None:
    """What `_look_up` finds, if all of it is remembered and no status is to be read."""
    kinds = inventory.remembered(caller.account)
    link: Link | None = kinds.get(_LINKS, {}).get(caller.connection)
    if link is None or not inventory.store.sqlite:
        return None
    listed, names = kinds.get(_listings_of(link.id), {}), kinds.get(_LOCATIONS, {})
    offers: dict[str, Offer] = {}
    places: dict[str, int] = {}
    for one in asked:
        offer: Offer | None = listed.get(one.sku)
        if offer is None or offer.closes or not offer.open:
            return None
        offers[one.sku] = offer
        for spot in one.spots:
            if spot.id not in names:
                return None
            number = int(names[spot.id])
            if number in link.locations:
                places[spot.id] = number
    return offers, places


async def _look_up(inventory: Inventory, caller: Caller, asked: Sequence[schema.Asked]) -> Looked:
    """By what is remembered, but for the status of the listings."""
    account, connection = caller.account, caller.connection
    if connection is None:
        return {}, {}
    links = await inventory.recall_many(
        account, _LINKS, [connection], lambda c, some: _links(c, account, some), alone=False
    )
    if connection not in links:
        return {}, {}
    link = links[connection]
    skus, number = [one.sku for one in asked], link.id
    names = {spot.id for one in asked for spot in one.spots}
    known = await inventory.recall_many(
        account, _LOCATIONS, names, lambda c, some: channels.internals(c, account, SPACE, LOCATION, some)
    )
    mine = {name: int(number) for name, number in known.items()}
    offered = await inventory.recall_many(
        account, _listings_of(number), skus, lambda c, some: _offers(c, account, number, some)
    )
    offers = await _as_they_are(inventory, account, offered)
    return offers, {name: number for name, number in mine.items() if number in link.locations}


def _listings_of(link: int) -> str:
    """What is remembered, too: a connection's listings by SKU."""
    return f"flipkart listing of {link}"


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


def _links(connection: Connection, account: int, numbers: Sequence[int]) -> dict[int, Link]:
    found = {number: channels.link(connection, account, number) for number in numbers}
    return {number: link for number, link in found.items() if link is not None}


def _link(connection: Connection, caller: Caller) -> Link | None:
    if caller.connection is None:
        return None
    return channels.link(connection, caller.account, caller.connection)


# --- showing listings -----------------------------------------------------------------------------------


async def _listings(front: Front, request: Incoming) -> Response:
    raw = _segment(request)
    if b"/" in raw or not raw:
        return shape(404, "Not found")
    caller, inventory = await _caller(front, request, READ), front.inventory
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
    ids = [listing.id for listing in found.values()]
    places = [(item, location) for item in items for location in link.locations]
    names = channels.externals(connection, account, SPACE, LOCATION, map(str, link.locations))
    return rendering.Shelf(
        link,
        catalog.items(connection, account, items),
        levels.at(connection, account, places, now),
        channels.details(connection, account, DIALECT, schema.STATUS_DETAIL, ids),
        channels.details(connection, account, DIALECT, schema.PENDING_DETAIL, ids),
        {int(number): name for number, name in names.items()},
    )
