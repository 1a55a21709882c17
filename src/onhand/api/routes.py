"""The table of our paths, each with its method and scope, as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from onhand import asgi, wire
from onhand.api import (
    calls,
    cataloguing,
    changes,
    checks,
    items,
    keys,
    leveling,
    levels,
    listings,
    movements,
    places,
    planned,
    problems,
    reservations,
)
from onhand.api.calls import SLASH, Endpoint, answer, refusal
from onhand.api.problems import BY_STATUS, SORTS, Problem
from onhand.auth import ADMIN, READ, WRITE
from onhand.inventory import Inventory
from onhand.settings import Settings
from onhand.wire import BODY_LIMIT, BULK_LIMIT
from onhand.work import Answer

BULK_PATHS = ("/changes", "/items")
"""Paths below the mount whose bodies may have `wire.BULK_LIMIT` bytes."""


class Way(NamedTuple):
    """A method on a path, the scope that its caller needs, and who answers."""

    method: str
    path: str
    scope: str
    endpoint: Endpoint


WAYS = (
    Way("GET", "/items", READ, items.listed),
    Way("POST", "/items", WRITE, cataloguing.created),
    Way("GET", "/items/{item}", READ, items.shown),
    Way("PATCH", "/items/{item}", WRITE, cataloguing.changed),
    Way("GET", "/sellers", READ, places.sellers),
    Way("POST", "/sellers", ADMIN, places.add_seller),
    Way("GET", "/sellers/{seller}", READ, places.seller),
    Way("PATCH", "/sellers/{seller}", ADMIN, places.change_seller),
    Way("GET", "/locations", READ, places.locations),
    Way("POST", "/locations", ADMIN, places.add_location),
    Way("GET", "/locations/{location}", READ, places.location),
    Way("PATCH", "/locations/{location}", ADMIN, places.change_location),
    Way("GET", "/connections", READ, listings.connections),
    Way("GET", "/listings", READ, listings.listed),
    Way("POST", "/listings", WRITE, listings.created),
    Way("GET", "/listings/{listing}", READ, listings.shown),
    Way("PATCH", "/listings/{listing}", WRITE, listings.changed),
    Way("GET", "/keys", ADMIN, keys.listed),
    Way("POST", "/keys", ADMIN, keys.created),
    Way("DELETE", "/keys/{key}", ADMIN, keys.revoked),
    Way("GET", "/levels", READ, levels.listed),
    Way("POST", "/levels/query", READ, levels.queried),
    Way("GET", "/levels/{item}/{location}", READ, levels.shown),
    Way("PUT", "/levels/{item}/{location}", WRITE, leveling.put),
    Way("DELETE", "/levels/{item}/{location}", WRITE, leveling.forgotten),
    Way("GET", "/levels/{item}/{location}/movements", READ, movements.history),
    Way("POST", "/changes", WRITE, changes.made),
    Way("POST", "/transfers", WRITE, changes.transferred),
    Way("GET", "/reservations", READ, reservations.listed),
    Way("POST", "/reservations", WRITE, reservations.created),
    Way("GET", "/reservations/{reference}", READ, reservations.shown),
    Way("POST", "/reservations/{reference}/extend", WRITE, reservations.extended),
    Way("POST", "/reservations/{reference}/confirm", WRITE, reservations.confirmed),
    Way("POST", "/reservations/{reference}/release", WRITE, reservations.released),
    Way("POST", "/reservations/{reference}/ship", WRITE, reservations.shipped),
    Way("POST", "/reservations/{reference}/return", WRITE, reservations.returned),
    Way("GET", "/movements", READ, movements.listed),
    Way("GET", "/planned-changes", READ, planned.listed),
    Way("POST", "/planned-changes", WRITE, planned.created),
    Way("GET", "/planned-changes/{plan}", READ, planned.shown),
    Way("DELETE", "/planned-changes/{plan}", WRITE, planned.cancelled),
    Way("GET", "/verify", ADMIN, checks.verified),
)


def app(inventory: Inventory, settings: Settings) -> ASGIApp:
    """The API, for paths below its mount."""
    routes = [Route(way.path, _endpoint(inventory, way), methods=[way.method]) for way in WAYS]
    routes.append(Route("/problems", _problems, methods=["GET"]))
    routes.append(Route("/problems/{code}", _problem, methods=["GET"]))
    inner = asgi.application(routes, shape)

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(_kept_slashes(scope), receive, send)

    return outer


def _endpoint(inventory: Inventory, way: Way) -> Callable[[Request], Awaitable[Response]]:
    limit = BULK_LIMIT if way.path in BULK_PATHS else BODY_LIMIT
    return partial(calls.run, inventory, way.scope, limit, way.endpoint)


def shape(status: int, message: str) -> Response:
    """What is refused outside the handlers, as a problem."""
    code = BY_STATUS.get(status, "internal_error" if status >= 500 else "malformed_request")
    body = problems.document(code, message) | {"status": status}
    return calls.response(Answer(status, wire.encode(body).decode()))


def _kept_slashes(scope: Scope) -> Scope:
    """A path whose escaped slashes stay inside their segment: a reference or SKU may have some."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" not in raw.lower():
        return scope
    escaped = raw.partition(b"?")[0].decode("latin-1").replace("%2f", "%2F")
    marked = unquote(escaped.replace("%2F", SLASH))
    path = marked[len(marked) - len(scope["path"]) :]
    return {**scope, "path": path} if path.replace(SLASH, "/") == scope["path"] else scope


async def _problems(request: Request) -> Response:
    rows = [{"code": code, **sort._asdict()} for code, sort in SORTS.items()]
    return calls.response(answer(200, {"data": rows}))


async def _problem(request: Request) -> Response:
    code = request.path_params["code"]
    sort = SORTS.get(code)
    if sort is None:
        return calls.response(refusal(Problem("unknown_problem", "There is no problem of this code")))
    return calls.response(answer(200, {"code": code, **sort._asdict()}))
