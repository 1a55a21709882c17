"""The table of our paths, each with its method and scope, as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from onhand import asgi, wire
from onhand.api import (
    calls,
    cataloguing,
    changes,
    checks,
    connections,
    incidents,
    items,
    keys,
    leveling,
    levels,
    listings,
    movements,
    outward,
    places,
    planned,
    problems,
    reservations,
)
from onhand.api.calls import NAME, Call, Endpoint, House
from onhand.api.problems import BY_STATUS, SORTS, Problem
from onhand.api.rendered import Renderings
from onhand.api.replies import Reply, refusal, response
from onhand.auth import ADMIN, READ, WRITE, Gate
from onhand.inventory import Inventory
from onhand.outward.equipment import Equipment, Refusal
from onhand.settings import Settings
from onhand.wire import BODY_LIMIT, BULK_LIMIT, Incoming

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
    Way("GET", "/incidents", READ, incidents.listed),
    Way("GET", "/incidents/{incident}", READ, incidents.shown),
    Way("POST", "/incidents/{incident}/close", WRITE, incidents.closed),
    Way("GET", "/verify", ADMIN, checks.verified),
)


class Outer(NamedTuple):
    """The same for what concerns channels: who answers is given the equipment for speaking to them."""

    method: str
    path: str
    scope: str
    endpoint: Callable[[Equipment, Call], Awaitable[Reply]]


OUTER = (
    Outer("GET", "/channels", READ, connections.kinds),
    Outer("POST", "/connections", ADMIN, connections.created),
    Outer("GET", "/connections/{connection}", READ, connections.shown),
    Outer("PATCH", "/connections/{connection}", ADMIN, connections.changed),
    Outer("DELETE", "/connections/{connection}", ADMIN, connections.removed),
    Outer("GET", "/connections/{connection}/numbers", READ, connections.numbers),
    Outer("POST", "/connections/{connection}/import", ADMIN, connections.imported),
    Outer("POST", "/connections/{connection}/push", WRITE, connections.pushed),
    Outer("POST", "/connections/{connection}/sweep", WRITE, connections.swept),
    Outer("GET", "/listings/{listing}/explain", READ, outward.explained),
    Outer("POST", "/listings/{listing}/push", WRITE, outward.pushed),
    Outer("POST", "/listings/{listing}/release", WRITE, outward.released),
    Outer("PUT", "/listings/{listing}/rules", WRITE, outward.ruled),
    Outer("PATCH", "/listings/{listing}/rules", WRITE, outward.ruled_anew),
    Outer("GET", "/drifts", READ, outward.drifts),
    Outer("GET", "/parked", READ, outward.parked),
    Outer("GET", "/changes/{token}/seen", READ, outward.seen),
)


def app(inventory: Inventory, settings: Settings, equipment: Equipment | None = None) -> ASGIApp:
    """The API, for paths below its mount. Channels are spoken to with ``equipment``, or with its own."""
    outer = equipment or Equipment(inventory, settings)
    ways = [*WAYS, *(_way(outer, one) for one in OUTER)]
    house = House(inventory, Renderings(inventory), Gate(inventory, NAME))
    routes = [Route(way.path, _endpoint(house, way), methods=[way.method]) for way in ways]
    routes.append(Route("/problems", _problems, methods=["GET"]))
    routes.append(Route("/problems/{code}", _problem, methods=["GET"]))
    return asgi.application(routes, shape, asgi.kept_slashes, wire.incoming)


def _way(equipment: Equipment, one: Outer) -> Way:
    async def endpoint(call: Call) -> Response:
        # What speaks to a channel cannot be one commit with its key: the answer is kept when it is done.
        again = None if call.key is None else await call.before()
        if again is not None:
            return again
        try:
            done = await one.endpoint(equipment, call)
        except Refusal as refusal:
            raise connections.problem(refusal) from refusal
        return response(done) if call.key is None else await call.write(lambda _: done)

    return Way(one.method, one.path, one.scope, endpoint)


def _endpoint(house: House, way: Way) -> Callable[[Incoming], Awaitable[Response]]:
    limit = None if way.method == "GET" else BULK_LIMIT if way.path in BULK_PATHS else BODY_LIMIT
    return partial(calls.run, house, way.scope, limit, way.endpoint)


def shape(status: int, message: str) -> Response:
    """What is refused outside the handlers, as a problem."""
    code = BY_STATUS.get(status, "internal_error" if status >= 500 else "malformed_request")
    body = problems.document(code, message) | {"status": status}
    return response(Reply(status, body))


async def _problems(request: Incoming) -> Response:
    rows = [{"code": code, **sort._asdict()} for code, sort in SORTS.items()]
    return response(Reply(200, {"data": rows}))


async def _problem(request: Incoming) -> Response:
    code = request.scope["path_params"]["code"]
    sort = SORTS.get(code)
    if sort is None:
        return response(refusal(Problem("unknown_problem", "There is no problem of this code")))
    return response(Reply(200, {"code": code, **sort._asdict()}))
