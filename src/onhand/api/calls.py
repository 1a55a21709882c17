"""One request from its head to its answer: who calls, what it may, what it asks, and once only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.responses import Response

from onhand import auth, wire
from onhand.api import params, reading, replies, schema
from onhand.api.asked import Sellable
from onhand.api.meaning import Names, Wanted, place_at_once, place_of, wanted_of
from onhand.api.problems import Problem, bad_header, bad_parameter
from onhand.api.rendered import Renderings
from onhand.api.replies import Reply, refusal, response
from onhand.api.schema import Where
from onhand.api.told import Labels
from onhand.auth import Caller, Gate
from onhand.batch import replay
from onhand.inventory import Inventory
from onhand.stock.model import Place, Reservation
from onhand.store import books, lookup, requests
from onhand.store.books import Named
from onhand.wire import Incoming
from onhand.work import Answer, Conflict, Group, Key, Recorded, Work

NAME = "native"
KEY_LIMIT = 255
BEARER = "bearer "
REPLAYED = "Idempotency-Replayed"
LOCATIONS_USUAL = 100

_ITEMS, _LOCATIONS, _USUAL, _ALLOWED = "item of", "location of", "usual of", "allowed to"
"""What is remembered: SKU to item, name to location, and a seller's locations, that lines draw on and all."""

_NAMES = "names"
"""And the first two of them as `Names`."""

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Endpoint: TypeAlias = Callable[["Call"], Awaitable[Response]]

_KEY = re.compile(rf"[!-~](?:[ -~]{{0,{KEY_LIMIT - 2}}}[!-~])?")


class House(NamedTuple):
    """What all calls share: the ledger, levels as they were answered, and who is known at the gate."""

    inventory: Inventory
    rendered: Renderings
    gate: Gate


async def run(
    house: House,
    scope: str,
    limit: int | None,
    endpoint: Endpoint,
    request: Incoming,
) -> Response:
    """Answer ``request`` by ``endpoint`` if its caller has ``scope``; every Problem becomes its body.
    ``limit`` is the most bytes that are read; None where only a head counts, and no key, as in reads."""
    call = None
    try:
        inventory, rendered, gate = house
        headers = request.headers
        said = headers.get(b"authorization", b"")
        now = inventory.now()
        caller = gate.at_once(said) or await gate.identify(said, auth.digest(_secret(said)))
        if caller is None:
            raise Problem("unauthorized", "This key is unknown, revoked or expired")
        if scope not in caller.scopes:
            raise Problem("insufficient_scope", f"This needs a key with the scope {scope}")
        raw, key = b"", None
        if limit is not None:
            raw = await wire.body(request, limit)
            if b"idempotency-key" in headers:
                key = _key(request, raw, caller.principal)
        call = Call(inventory, rendered, request, headers, caller, caller.account, raw, now, key)
        return await endpoint(call)
    except Problem as problem:
        # What was done under a key is answered alike, whatever has changed since it was done.
        again = None if call is None else await call.before()
        return again or response(refusal(problem))


def _secret(said: bytes) -> str:
    given = said.decode("latin-1")
    if given[: len(BEARER)].lower() != BEARER:
        raise Problem("unauthorized", "Send Authorization: Bearer and a key")
    return given[len(BEARER) :].strip()


def _key(request: Incoming, raw: bytes, principal: str) -> Key:
    scope, headers = request.scope, request.headers
    name, given = headers[b"idempotency-key"].decode("latin-1"), scope["headers"]
    twice = len(headers) < len(given) and len(wire.every(given, b"idempotency-key")) > 1
    if twice or not _KEY.fullmatch(name):
        words = f"expected one key of 1 to {KEY_LIMIT} printable ASCII characters, bare or in quotes"
        raise bad_header("Idempotency-Key", words)
    if name[0] == '"' and name[-1] == '"' and len(name) > 2:
        name = name[1:-1]
    query = scope["query_string"].decode("latin-1")
    match = headers.get(b"if-match", b"").decode("latin-1")
    head = f"\0{scope['method']} {scope['path']}?{query}\0{match}"
    asked = hashlib.sha256(raw + head.encode("utf-8", "surrogatepass"))
    return Key(principal, name, asked.hexdigest())


class Call(msgspec.Struct):
    """A request of a proven caller. ``headers`` has the first of each name, ``now`` is microseconds UTC."""

    inventory: Inventory
    rendered: Renderings
    request: Incoming
    headers: Mapping[bytes, bytes]
    caller: Caller
    account: int
    raw: bytes
    now: int
    key: Key | None

    # --- what is asked

    def body(self, kind: type[S], *, empty: S | None = None) -> S:
        """The body as this shape; ``empty`` stands for no body at all where that may be."""
        if not self.raw and empty is not None:
            return empty
        if not wire.says_json(self.headers):
            raise _no_json()
        return reading.read(self.raw, kind)

    def json(self) -> object:
        """The body as plain values."""
        if not wire.says_json(self.headers):
            raise _no_json()
        return schema.decode(self.raw)

    def params(self, *known: str) -> dict[str, list[str]]:
        """The query parameters; one that is not ``known`` is refused."""
        found: dict[str, list[str]] = {}
        query = self.request.scope["query_string"]
        if not query:
            return found
        for name, value in QueryParams(query).multi_items():
            if name not in known:
                raise bad_parameter(name[: schema.NAME_LIMIT], "there is no such parameter here")
            if not value:
                raise bad_parameter(name, "expected a value: leave it out for none")
            if "\0" in value:
                raise bad_parameter(name, "expected a value without U+0000")
            found.setdefault(name, []).append(value)
        return found

    def path(self, name: str) -> str:
        """A parameter of the path."""
        found: str = self.request.scope["path_params"][name]
        if "\0" in found:
            raise Problem("not_found", "No path holds U+0000")
        return found

    def number(self, name: str, unknown: str, hint: str = "") -> int:
        """An id in the path; Problem ``unknown``, with a ``hint``, if nothing can have it."""
        found = params.whole(self.path(name))
        if found is None or found < 1:
            raise Problem(unknown, "Nothing has this id" + hint)
        return found

    def item(self) -> Sellable:
        """The item in the path: an id, or a SKU behind "sku:"."""
        text = self.path("item")
        if text.startswith("sku:"):
            return Sellable(sku=text[4:])
        return Sellable(item=self.number("item", "unknown_item", "; a SKU is written behind sku:"))

    def location(self) -> Where:
        """The location in the path: an id, or a name behind "name:"."""
        text = self.path("location")
        if text.startswith("name:"):
            return text[5:]
        return self.number("location", "unknown_location", "; a name is written behind name:")

    def place(self, connection: Connection) -> Place:
        """The item and location in the path, as far as this caller may see them."""
        item, location = self.item(), self.location()
        return place_of(item, location, self.names(connection, wanted_of(item, location)))

    async def placed(self) -> Place:
        """The same by what is remembered."""
        names, given = self.remembered(), self.request.scope["path_params"]
        found = None if names is None else place_at_once(given["item"], given["location"], names)
        if found is not None:
            return found
        item, location = self.item(), self.location()
        return place_of(item, location, await self.resolved(wanted_of(item, location)))

    async def called(self, place: Place) -> Labels:
        """What the item and location in the path, which are at ``place``, are called."""
        item, location = self.item(), self.location()
        # What was asked for by its name has that name.
        if item.sku is not None and isinstance(location, str):
            return Labels({place[0]: item.sku}, {place[1]: location})
        return await self.labels({place[0]}, {place[1]})

    async def labels(self, items: Set[int], locations: Set[int]) -> Labels:
        """What items and locations are called, by what is remembered; to be looked into at once."""
        tables = self.inventory.remembered(self.account)
        known = Labels(tables.get("sku of", {}), tables.get("name of", {}))
        if items <= known.skus.keys() and locations <= known.locations.keys():
            return known
        recall = self.inventory.recall_many
        skus = await recall(self.account, "sku of", items, lambda c, ids: lookup.skus(c, self.account, ids))
        names = await recall(
            self.account, "name of", locations, lambda c, ids: lookup.names(c, self.account, ids)
        )
        return Labels(skus, names)

    async def parts(self, items: Iterable[int]) -> set[int]:
        """What those of ``items`` that are kits are made of, by what is remembered."""
        found = await self.inventory.recall_many(
            self.account, "parts of", items, lambda c, ids: lookup.components(c, self.account, ids)
        )
        return {one for parts in found.values() for one in parts}

    async def holds(self, references: Iterable[str]) -> dict[Named, Reservation]:
        """The reservations of these names as they are now, whoever may see them."""
        names = [(self.account, one) for one in references]
        found = await self.inventory.look_up(
            self.account, "holds", names, lambda c, some: books.reservations(c, some, lock=False)
        )
        return {name: found[name] for name in names if name in found}

    def account_wide(self) -> None:
        """Refuse a key that is bound to a seller."""
        if self.caller.seller is not None:
            raise Problem("seller_bound", "This concerns the whole account; the key is bound to a seller")

    # --- look-ups

    async def read(self, query: Callable[[Connection], T], *, long: bool = False, alone: bool = False) -> T:
        """Run ``query`` on a snapshot of the account; ``alone`` if it is one statement."""
        return await self.inventory.read(self.account, query, long=long, alone=alone)

    async def before(self) -> Response | None:
        """The answer that was given before under the same key, if there was one."""
        key = self.key
        if key is None:
            return None
        name = (self.account, key.scope, key.key)
        stored = await self.inventory.read(self.account, lambda c: requests.look_up(c, name))
        try:
            return None if stored is None else self._again(stored)
        except Problem as problem:
            return response(refusal(problem))

    def remembered(self) -> Names | None:
        """All that is remembered of what names stand for, to be looked into at once; a name that is not among
        them may stand for something all the same. None for a key that is bound to a seller."""
        if self.caller.seller is not None or (known := self.inventory.memory(self.account)) is None:
            return None
        names: Names | None = known.single.get(_NAMES)
        if names is None:
            tables = known.tables
            names = Names(tables.setdefault(_ITEMS, {}), tables.setdefault(_LOCATIONS, {}))
            known.single[_NAMES] = names
        return names

    async def resolved(self, wanted: Wanted, *, usual: bool = False) -> Names:
        """What the names in a request stand for, as far as this caller may see it; remembered from
        request to request as long as the catalogue stays as it is."""
        account, seller, recall = self.account, self.caller.seller, self.inventory.recall_many
        items = await recall(account, _ITEMS, wanted.skus, lambda c, some: lookup.items(c, account, some))
        places = await recall(account, _LOCATIONS, wanted.locations, self._ids)
        drawn: tuple[int, ...] = ()
        if usual:
            drawn = (await recall(account, _USUAL, [seller], self._usual))[seller]
        if seller is None:
            return Names(items, places, None, drawn)
        allowed = (await recall(account, _ALLOWED, [seller], self._allowed))[seller]
        return Names(items, {name: at for name, at in places.items() if at in allowed}, allowed, drawn)

    def _ids(self, connection: Connection, names: Iterable[str]) -> dict[str, int]:
        return {name: one.id for name, one in lookup.places(connection, self.account, names).items()}

    def _usual(self, connection: Connection, some: Iterable[int | None]) -> dict[int | None, tuple[int, ...]]:
        return {one: lookup.usual(connection, self.account, one, LOCATIONS_USUAL) for one in some}

    def _allowed(self, connection: Connection, some: Iterable[int]) -> dict[int, frozenset[int]]:
        return {one: lookup.of_seller(connection, self.account, one) for one in some}

    async def seen(self) -> frozenset[int] | None:
        """The locations this caller may see, by what is remembered; None for all."""
        if self.caller.seller is None:
            return None
        return (await self.resolved(Wanted(set(), set(), set()))).allowed

    def names(self, connection: Connection, wanted: Wanted) -> Names:
        """The same on an open connection, without the usual locations."""
        seller = self.caller.seller
        places = lookup.places(connection, self.account, wanted.locations)
        return Names(
            lookup.items(connection, self.account, wanted.skus),
            {name: one.id for name, one in places.items() if seller is None or one.seller == seller},
            self.allowed(connection),
        )

    def allowed(self, connection: Connection) -> frozenset[int] | None:
        """The locations this caller may see; None for all."""
        seller = self.caller.seller
        return None if seller is None else lookup.of_seller(connection, self.account, seller)

    # --- writes

    async def record(
        self,
        groups: tuple[Group, ...],
        made: Callable[[Recorded], Reply],
        *,
        watch: tuple[Place, ...] = (),
        holds: tuple[str, ...] = (),
    ) -> Response:
        """Commit ``groups`` and answer what ``made`` makes of it, once for each key."""
        key = self.key
        answer = None if key is None else partial(_answer, made)
        work = Work(self.account, groups, self.caller.principal, key, answer, watch, holds=holds)
        recorded = await self.inventory.record(work)
        if recorded.replay is not None:
            return self._replayed(recorded.replay)
        if recorded.fresh is not None:
            return replies.again(recorded.fresh)
        return response(made(recorded))

    async def write(
        self,
        unit: Callable[[Connection], Reply],
        wakes: tuple[tuple[str, int], ...] = (),
        kept: Callable[[Reply], Reply] = lambda reply: reply,
    ) -> Response:
        """Run ``unit`` on the writer's connection, once for each key; ``kept`` is what a replay shows."""
        key = self.key

        def keyed(connection: Connection) -> Reply | requests.Stored:
            if key is None:
                return unit(connection)
            name = (self.account, key.scope, key.key)
            known = requests.claim(connection, [(*name, key.fingerprint)], self.now)
            if name in known:
                return known[name]
            reply = unit(connection)
            again = replies.kept(kept(reply))
            headers = wire.encode(again.headers).decode()
            row = (*name, key.fingerprint, again.status, again.body, headers, self.now)
            requests.keep(connection, [row])
            return reply

        done = await self.inventory.write(self.account, keyed, wakes)
        return response(done) if isinstance(done, Reply) else self._again(done)

    def _again(self, stored: requests.Stored) -> Response:
        work = Work(self.account, (), self.caller.principal, self.key)
        return self._replayed(replay(stored, work))

    def _replayed(self, found: Answer | Conflict) -> Response:
        if isinstance(found, Conflict):
            words = "This Idempotency-Key was used for another request"
            raise Problem("idempotency_key_reused", words)
        if not found.status or (not found.body and found.status != 204):
            raise Problem("answer_gone", "This was done before, and its answer is no longer kept")
        return replies.again(found, {REPLAYED: "true"})


def _answer(made: Callable[[Recorded], Reply], recorded: Recorded) -> Answer:
    return replies.kept(made(recorded))


def _no_json() -> Problem:
    return Problem("unsupported_media_type", "Send the body as application/json")
