"""Who is calling, how often, with which body and key: what every endpoint of this API begins with."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Mapping
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onhand import auth, wire
from onhand.auth import WRITE, Caller, Gate
from onhand.dialects.trackstar import schema
from onhand.dialects.trackstar.rules import RULES, Rule
from onhand.dialects.trackstar.schema import KEY_LIMIT, Problem, Site, problem
from onhand.inventory import Inventory
from onhand.pace import Pace, Window
from onhand.settings import Settings
from onhand.store import channels, requests
from onhand.store.channels import Link
from onhand.wire import BODY_LIMIT, BadBody, Incoming
from onhand.work import Answer, Conflict, Key

NAME = "trackstar"
REQUEST_ID_HEADER = "x-request-id"
_REQUEST_ID, _REQUEST_ID_BYTES = REQUEST_ID_HEADER.encode(), 16
KEY_HEADER, TOKEN_HEADER = "x-trackstar-api-key", "x-trackstar-access-token"
_KEY, _TOKEN = KEY_HEADER.encode(), TOKEN_HEADER.encode()
IDEMPOTENCY_HEADER, REPLAYED_HEADER = b"idempotency-key", "Idempotent-Replayed"

READS = Window(10, 1.0)
WRITES = Window(50, 1.0)
"""What an access token may do in a second."""

MICROS = 1_000_000
_EXTRA = "onhand.trackstar.headers"

_WRONG_KEY, _WRONG_TOKEN = "Invalid API key", "Invalid access token"
KEY_MISUSED = "The Idempotency-Key was used before for another endpoint or body"
KEY_RUNNING = "A request with this Idempotency-Key is still running"
ANSWER_GONE = "The request with this Idempotency-Key was done, and its answer is no longer kept"


class Turned(Exception):
    """A request that is turned away with this answer."""

    def __init__(self, answer: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.headers = headers


class Visit(msgspec.Struct, frozen=True):
    """A caller with a connection: the principal is the connection's, whatever token it uses."""

    account: int
    principal: str
    connection: int


class Place(NamedTuple):
    """A connection as its requests see it."""

    link: Link
    rule: Rule
    site: Site


def respond(answer: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """An error as a response."""
    return wire.respond(answer.status, answer.body, headers=headers)


def shape(status: int, words: str) -> Response:
    """The errors that no endpoint answers."""
    return respond(problem(status, words))


def refused(status: int, words: str) -> Response:
    """What is refused before an application is asked; it has an X-Request-Id like every answer."""
    return respond(problem(status, words), {REQUEST_ID_HEADER: secrets.token_hex(_REQUEST_ID_BYTES)})


def turned(error: Exception) -> Response | None:
    """The answer of a `Turned`."""
    return respond(error.answer, error.headers) if isinstance(error, Turned) else None


def labelled(app: ASGIApp) -> ASGIApp:
    """An application that gives each response an X-Request-Id, and what its endpoint has left for it."""

    # Awaited by the server itself: here it would be a coroutine more for every request.
    def labelling(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        extra = [(_REQUEST_ID, secrets.token_bytes(_REQUEST_ID_BYTES).hex().encode())]
        scope[_EXTRA] = extra

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] += extra
            return send(message)

        return app(scope, receive, sending)

    return labelling


class Door:
    """Lets requests in, or turns them away."""

    def __init__(self, inventory: Inventory, settings: Settings) -> None:
        self.inventory = inventory
        self._gate = Gate(inventory, NAME)
        self._paces = {False: Pace(READS), True: Pace(WRITES)} if settings.limit_trackstar else {}

    async def organisation(self, request: Incoming) -> Caller:
        """The caller by its API key alone; 401."""
        key = request.headers.get(_KEY, b"")
        return _organisation(self._gate.at_once(key) or await self._identify(key))

    async def visit(self, request: Incoming, *, write: bool = False) -> Visit:
        """The caller by API key and access token; 401, 429, then 403 for a key that only reads."""
        headers, gate = request.headers, self._gate
        key, token = headers.get(_KEY, b""), headers.get(_TOKEN, b"")
        organisation = _organisation(gate.at_once(key) or await self._identify(key))
        caller = gate.at_once(token) or await self._identify(token)
        if caller is None or caller.connection is None or caller.account != organisation.account:
            raise Turned(problem(401, _WRONG_TOKEN))
        self._pace(request, token, write)
        if write and not (organisation.may(WRITE) and caller.may(WRITE)):
            raise Turned(problem(403, "adjust_inventory is disabled: the API key is read only"))
        return Visit(caller.account, caller.principal, caller.connection)

    async def connection_of(self, request: Incoming, organisation: Caller) -> int | None:
        """The connection of an access token that may be left out; 401 when it is wrong."""
        given = request.headers.get(_TOKEN)
        if given is None:
            return None
        caller = await self._identify(given)
        if caller is None or caller.connection is None or caller.account != organisation.account:
            raise Turned(problem(401, _WRONG_TOKEN))
        return caller.connection

    def remembered(self, visit: Visit) -> Place | None:
        """The same as `place`, where it is remembered."""
        return self.inventory.remembered(visit.account).get(NAME, {}).get(visit.connection)

    async def place(self, visit: Visit) -> Place:
        """The same as `place`, by what is remembered."""
        number = visit.connection
        found = await self.inventory.recall_many(
            visit.account, NAME, [number], lambda c, _: {number: place(c, visit)}, alone=False
        )
        return found[number]

    async def _identify(self, secret: bytes) -> Caller | None:
        return await self._gate.identify(secret, auth.digest(secret.decode("latin-1")))

    def _pace(self, request: Incoming, token: bytes, write: bool) -> None:
        pace = self._paces.get(write)
        if pace is None:
            return
        ruling = pace.allow(auth.digest(token.decode("latin-1")), self.inventory.now() / MICROS)
        request.scope[_EXTRA] += [
            (b"x-ratelimit-limit", b"%d" % ruling.limit),
            (b"x-ratelimit-remaining", b"%d" % ruling.remaining),
            (b"x-ratelimit-reset", b"%d" % ruling.reset_epoch),
        ]
        if not ruling.allowed:
            raise Turned(problem(429, "Rate limit exceeded"), {"retry-after": str(ruling.retry_after)})


def _organisation(caller: Caller | None) -> Caller:
    # An access token is no API key, although both are found by a digest.
    if caller is None or caller.connection is not None:
        raise Turned(problem(401, _WRONG_KEY))
    return caller


def place(connection: Connection, visit: Visit) -> Place:
    """The connection of a visit with its warehouses; 401 when it was deleted, 501 when it is no cart."""
    link = channels.link(connection, visit.account, visit.connection)
    if link is None:
        raise Turned(problem(401, _WRONG_TOKEN))
    rule = RULES.get(link.integration or "")
    if rule is None:
        words = f"Endpoint put_cart_adjust_inventory is not implemented for {link.integration}"
        raise Turned(problem(501, words))
    return Place(link, rule, site(connection, visit.account, link))


def site(connection: Connection, account: int, link: Link) -> Site:
    """The connection's warehouses in order, under the ids that it knows them by."""
    space = f"connection:{link.id}"
    known = channels.externals(connection, account, space, "warehouse", [str(one) for one in link.locations])
    shop = link.settings.get("shop_id")
    warehouses = {known.get(str(one), str(one)): one for one in link.locations}
    return Site(warehouses, shop if isinstance(shop, str) else None)


def body(request: Incoming) -> Awaitable[bytes]:
    """The request's body, for `read`; 415 for another media type than JSON's."""
    if not wire.says_json(request.headers):
        raise Turned(problem(415, "The body must be application/json"))
    return wire.body(request, BODY_LIMIT)


def read(raw: bytes) -> object:
    """A body's JSON; 400 for what is none."""
    try:
        return wire.decode(raw)
    except BadBody as bad:
        raise Turned(problem(400, bad.message, detail={"json": {"_schema": [f"{bad.message}."]}})) from bad


def idempotency(request: Incoming, scope: str, asked: object) -> Key | None:
    """The request's idempotency key, which stands for this method, path and body; 422 if it is no key."""
    found = request.headers.get(IDEMPOTENCY_HEADER)
    if found is None:
        return None
    given, words = found.decode("latin-1"), None
    if not given:
        words = "Shorter than minimum length 1."
    elif len(given) > KEY_LIMIT:
        words = f"Longer than maximum length {KEY_LIMIT}."
    elif not (given.isascii() and given.isprintable()):
        words = "Not a valid string."
    if words is not None:
        raise Turned(schema.invalid({"Idempotency-Key": [words]}, "headers"))
    # The order of keys and the white space between them are not part of what was asked.
    canonical = msgspec.json.encode(asked, order="sorted").decode()
    # Where the hub is mounted is not part of it either: the same client may come by host name.
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return Key(scope, given, auth.digest(f"{request.scope['method']} {path}\n{canonical}"))


def known(stored: requests.Stored | None, key: Key | None) -> Response | None:
    """The answer to a key that was used before, None for a fresh one; 400 when it was for another thing."""
    if stored is None or key is None:
        return None
    if stored.fingerprint != key.fingerprint:
        raise Turned(problem(400, KEY_MISUSED))
    if stored.status is None:
        raise Turned(problem(409, KEY_RUNNING))
    return replayed(Answer(stored.status, stored.body or ""))


def replayed(answer: Answer | Conflict) -> Response:
    """An answer that was given before, once more."""
    if isinstance(answer, Conflict):
        raise Turned(problem(400, KEY_MISUSED))
    if not answer.body:
        raise Turned(problem(400, ANSWER_GONE))
    return wire.respond(answer.status, answer.body.encode(), headers={REPLAYED_HEADER: "true"})
