"""Puts the hub's HTTP face together: every API by its path or its host name, and the pages around them."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from onhand.doorman import Fields, Placed, host_of, problem
from onhand.faces import FACES, face
from onhand.inventory import Inventory
from onhand.outward.equipment import Equipment
from onhand.pages import Pages
from onhand.settings import PREFIX, BadSetting, Settings

NATIVE = face("native")
BULK_PATHS = ("/api/v1/changes", "/api/v1/items", "/hooks/")


def build(
    inventory: Inventory,
    settings: Settings,
    around: Mapping[str, ASGIApp],
    equipment: Equipment | None = None,
) -> ASGIApp:
    """The whole application. ``around`` adds applications by path prefix, as "/_hub"; ``equipment`` is what
    our own API speaks to channels with.

    Raises BadSetting for a host name that is bound to no API.
    """
    mounts: dict[str, ASGIApp] = {one.prefix: one.routes.app(inventory, settings) for one in FACES}
    if equipment is not None:
        mounts[NATIVE.prefix] = NATIVE.routes.app(inventory, settings, equipment)
    mounts.update(around)
    hosts = {host: mounts[prefix] for host, prefix in _bound(settings).items()}
    # The first segment finds the mount; only our own API has two.
    roots = {"/" + prefix.split("/")[1]: (prefix, f"{prefix}/", app) for prefix, app in mounts.items()}
    pages: ASGIApp = Pages(inventory, FACES)
    other = ("", "", pages)

    # What is mounted is awaited by the server itself: here it would be a coroutine more for every request.
    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return _nothing()
        if hosts:
            bound = hosts.get(host_of(scope["headers"]))
            if bound is not None:
                return bound(scope, receive, send)
        path: str = scope["path"]
        end = path.find("/", 1)
        prefix, below, mounted = roots.get(path if end < 0 else path[:end], other)
        if not path.startswith(below) and path != prefix:
            prefix, _, mounted = other
        scope["root_path"] = prefix
        return mounted(scope, receive, send)

    return app


async def _nothing() -> None:
    """The server's start and end are nothing to the APIs."""


def placing(settings: Settings) -> Placed:
    """Finds the path under which a request would be served here that was sent to a host name of its own.

    Raises BadSetting for a host name that is bound to no API.
    """
    prefixes = _bound(settings)

    def placed(host: str, path: str) -> str:
        return prefixes.get(host, "") + path

    return placed


def bulk(path: str) -> bool:
    """Whether requests to ``path`` may have large bodies."""
    return path.startswith(BULK_PATHS)


def shape(path: str, status: int, message: str) -> tuple[bytes, Fields]:
    """A refusal of the front door in the words of the API that ``path`` belongs to."""
    for one in FACES:
        if path == one.prefix or path.startswith(one.prefix + "/"):
            response = one.routes.shape(status, message)
            return response.body, [field for field in response.raw_headers if field[0] != b"content-length"]
    return problem(path, status, message)


def _bound(settings: Settings) -> dict[str, str]:
    """The prefix of the API that each host name is bound to."""
    try:
        return {host: face(name).prefix for host, name in settings.hosts.items()}
    except ValueError as error:
        raise BadSetting(f"{PREFIX}HOSTS: {error}") from error
