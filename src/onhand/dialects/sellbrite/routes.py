"""Sellbrite over HTTP: who is calling and how often, inventory and warehouses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from onhand import asgi, wire
from onhand.auth import READ, WRITE, Caller, Gate
from onhand.dialects.sellbrite import queue, schema, warehouses
from onhand.dialects.sellbrite.backlog import Backlog
from onhand.dialects.sellbrite.query import BadQuery, Query, pages, query
from onhand.dialects.sellbrite.rendering import Record, rendered
from onhand.dialects.sellbrite.schema import Change, Invalid, Malformed
from onhand.dialects.sellbrite.warehouses import InvalidFields
from onhand.inventory import Inventory
from onhand.pace import Pace, Window
from onhand.settings import Settings
from onhand.stock.ledger import Refused
from onhand.store import catalog, channels, levels, sheets
from onhand.unheard import explain
from onhand.wire import BODY_LIMIT, BadBody, Incoming
from onhand.work import Group, Work

NAME = "sellbrite"
LIMITS = (Window(2, 1.0), Window(40, 60.0))
DENIED = "HTTP Basic: Access denied."
TOO_OFTEN = "Rate Limit Exceeded"
REALM = {"WWW-Authenticate": 'Basic realm="Application"'}

Handler: TypeAlias = Callable[[Inventory, Caller, Incoming], Awaitable[Response]]


class _Denied(Exception):
    """No credentials, wrong ones, or ones that may not do this: 401."""


class _TooOften(Exception):
    """More requests than the published limits allow: 403."""


def shape(status: int, message: str) -> Response:
    """An error as Sellbrite prints it."""
    return wire.respond(status, {"error": message})


def app(inventory: Inventory, settings: Settings) -> ASGIApp:
    """Sellbrite's API, for paths below its mount, with and without the version in front."""
    paces = Pace(*LIMITS) if settings.limit_sellbrite else None
    backlog, gate = Backlog(), Gate(inventory, NAME)

    def route(path: str, method: str, scope: str, handler: Handler) -> list[Route]:
        endpoint = partial(_answer, inventory, gate, paces, scope, handler)
        spelled = [prefix + path + tail for prefix in ("/v1", "") for tail in ("", "/")]
        return [Route(one, endpoint, methods=[method]) for one in spelled]

    return asgi.application(
        [
            *route("/inventory", "PUT", WRITE, partial(_queue, backlog, True)),
            *route("/inventory", "PATCH", WRITE, partial(_queue, backlog, False)),
            *route("/inventory", "GET", READ, _list),
            *route("/inventory", "POST", WRITE, _create),
            *route("/warehouses", "GET", READ, _warehouses),
            *route("/warehouses", "POST", WRITE, _add_warehouse),
            *route("/warehouses/{uuid}", "PUT", WRITE, _change_warehouse),
        ],
        shape,
        asked=wire.incoming,
        refused=_refused,
    )


async def _answer(
    inventory: Inventory, gate: Gate, paces: Pace | None, scope: str, handler: Handler, request: Incoming
) -> Response:
    said = request.headers.get(b"authorization", b"")
    caller = gate.at_once(said) or await gate.identify(said, *_credentials(said.decode("latin-1")))
    if caller is None or not caller.may(scope):
        raise _Denied
    if paces is not None:
        key = f"{caller.account} {caller.principal}"
        if not paces.allow(key, inventory.now() / 1_000_000).allowed:
            raise _TooOften
    return await handler(inventory, caller, request)


def _refused(error: Exception) -> Response | None:
    match error:
        case _Denied():
            return Response(DENIED, 401, REALM, "text/html")
        case _TooOften():
            return Response(TOO_OFTEN, 403, media_type="text/plain")
        case BadQuery():
            return wire.respond(400, {})
        case BadBody():
            return shape(400, error.message)
        case Malformed():
            return shape(400, str(error))
        case Invalid():
            return shape(422, str(error))
        case InvalidFields():
            return wire.respond(422, {"error": error.faults})
        case _:
            return None


def _credentials(header: str) -> tuple[str, str]:
    """Account token and secret key of an Authorization header. Raises _Denied."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise _Denied
    try:
        token, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise _Denied from None
    if not colon:
        raise _Denied
    return token, secret


async def _body(request: Incoming) -> object:
    return wire.decode(await wire.body(request, BODY_LIMIT))


# --- inventory ----------------------------------------------------------------------------------------


async def _queue(
    backlog: Backlog, create: bool, inventory: Inventory, caller: Caller, request: Incoming
) -> Response:
    changes = schema.changes(wire.decode(await wire.body(request, BODY_LIMIT)))
    locations = _remembered(inventory, caller, changes) or await _locations(inventory, caller, changes)
    if locations is None:
        return shape(404, schema.WAREHOUSE_MISSING)
    body = schema.queued(create, changes, locations)
    await backlog.take(inventory, caller.account, NAME, caller.principal, body, len(changes))
    return wire.respond(200, {"body": schema.RECEIVED})


def _remembered(inventory: Inventory, caller: Caller, changes: list[Change]) -> dict[str, int] | None:
    """The location behind each warehouse that is named, where all of them are remembered."""
    known = inventory.remembered(caller.account).get(_warehouses_of(caller), {})
    found: dict[str, int] = {}
    for change in changes:
        location = known.get(change.warehouse)
        if location is None:
            return None
        found[change.warehouse] = location
    return found


def _warehouses_of(caller: Caller) -> str:
    return f"sellbrite warehouse of {caller.seller}"


async def _locations(inventory: Inventory, caller: Caller, changes: list[Change]) -> dict[str, int] | None:
    """The same, looked up where need be; None if one is not there."""
    account, seller = caller.account, caller.seller
    names = {change.warehouse for change in changes}
    found = await inventory.recall_many(
        account,
        _warehouses_of(caller),
        names,
        lambda c, some: warehouses.ids(c, account, seller, some),
        alone=False,
    )
    return found if len(found) == len(names) else None


async def _create(inventory: Inventory, caller: Caller, request: Incoming) -> Response:
    changes = schema.creations(await _body(request))
    locations = await _locations(inventory, caller, changes)
    if locations is None:
        return shape(404, schema.WAREHOUSE_MISSING)
    await queue.settled(inventory, caller.account)
    account, now, skus = caller.account, inventory.now(), {change.sku for change in changes}

    def look(connection: Connection) -> tuple[dict[str, int], bool]:
        ids = catalog.item_ids(connection, account, skus)
        places = [(ids[one.sku], locations[one.warehouse]) for one in changes if one.sku in ids]
        return ids, bool(levels.at(connection, account, places, now))

    ids, exists = await inventory.read(account, look)
    if exists:
        return wire.respond(409, {"body": schema.EXISTS})
    if skus - ids.keys():
        ids = await inventory.write(
            account, lambda c: catalog.ensure_items(c, account, skus, now), quiet=True
        )
    groups = [queue.group(one, ids[one.sku], locations[one.warehouse], existing=False) for one in changes]
    return await _record(inventory, caller, groups)


async def _record(inventory: Inventory, caller: Caller, groups: list[Group]) -> Response:
    whole = Group(
        tuple(command for one in groups for command in one.commands),
        also=tuple(companion for one in groups for companion in one.also),
        existing=False,
    )
    recorded = await inventory.record(Work(caller.account, (whole,), caller.principal))
    outcome = recorded.outcomes[0]
    if not isinstance(outcome, Refused):
        return wire.respond(201, {"body": schema.CREATED})
    if any(level.present for level in recorded.levels.values()):
        return wire.respond(409, {"body": schema.EXISTS})
    return shape(422, explain(outcome.refusal))


async def _list(inventory: Inventory, caller: Caller, request: Incoming) -> Response:
    asked = query(request.query().multi_items())
    await queue.settled(inventory, caller.account)
    now = inventory.now()
    records, count = await inventory.read(
        caller.account, lambda c: entries(c, caller.account, caller.seller, asked, now), long=True
    )
    return _page([rendered(record) for record in records], count, asked.limit)


def _page(found: list[dict[str, Any]], count: int, limit: int) -> Response:
    return wire.respond(200, found, headers={"Total-Pages": str(pages(count, limit))})


def entries(
    connection: Connection, account: int, seller: int | None, asked: Query, now: int
) -> tuple[list[Record], int]:
    """The records of a page, and how many there are on all pages."""
    here = {one.id: name for name, one in warehouses.by_uuid(connection, account, seller).items()}
    if asked.warehouse is not None:
        here = {number: name for number, name in here.items() if name == asked.warehouse}
    some: list[int] | None = None
    if asked.skus:
        known = [sku for sku in asked.skus if "\0" not in sku]
        some = list(catalog.item_ids(connection, account, known).values())
    wanted = sheets.Wanted(list(here), some, asked.created, asked.updated)
    found, count = sheets.page(connection, account, wanted, asked.offset, asked.limit, now)
    ids = {place[0] for place in found}
    items = catalog.items(connection, account, ids)
    details = channels.details(connection, account, queue.NAME, queue.KIND, ids)
    # What a product costs the account is not for the sellers in it, here as in our own API.
    costs = {} if seller is not None else {item.id: item.cost for item in items.values()}
    return [
        Record(items[place[0]], here[place[1]], level, details.get(place, {}), costs.get(place[0]))
        for place, level in found.items()
    ], count


# --- warehouses ---------------------------------------------------------------------------------------


async def _warehouses(inventory: Inventory, caller: Caller, request: Incoming) -> Response:
    asked = query(request.query().multi_items())
    found = await inventory.read(
        caller.account, lambda c: warehouses.by_uuid(c, caller.account, caller.seller)
    )
    part = list(found.items())[asked.offset : asked.offset + asked.limit]
    return _page([warehouses.rendered(name, one) for name, one in part], len(found), asked.limit)


async def _add_warehouse(inventory: Inventory, caller: Caller, request: Incoming) -> Response:
    sent = warehouses.fields(await _body(request), create=True)
    account, now = caller.account, inventory.now()
    name = await inventory.write(account, lambda c: warehouses.create(c, account, caller.seller, sent, now))
    return wire.respond(200, {"message": "Warehouse successfully created.", "warehouse_uuid": name})


async def _change_warehouse(inventory: Inventory, caller: Caller, request: Incoming) -> Response:
    sent = warehouses.fields(await _body(request), create=False)
    account, name = caller.account, request.path("uuid")
    found = await inventory.write(account, lambda c: warehouses.update(c, account, caller.seller, name, sent))
    if not found:
        return shape(404, schema.WAREHOUSE_MISSING)
    return wire.respond(200, {"message": "Warehouse successfully updated."})
