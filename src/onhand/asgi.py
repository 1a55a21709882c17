"""Turns a table of routes into an ASGI application whose every error has the dialect's own shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import structlog
from starlette.convertors import PathConvertor, StringConvertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from onhand.doorman import RETRY_AFTER_SECONDS
from onhand.transact import Busy, StoreFull, Unknowable
from onhand.wire import TooLong

Shape = Callable[[int, str], Response]
"""(status, sentence) to the dialect's error response. Statuses: 400 broken off, 404 no such path, 405 wrong
method, 413 too long, 500 a fault of ours, 503 try again (the Retry-After header is added here)."""

SLASH = "\ufdd0"
"""Stands for an escaped slash inside a segment of a path: no text may hold this code point."""

_PERCENT = ord("%")

log = structlog.get_logger(__name__)


class _Pattern(NamedTuple):
    """A path with parameters."""

    beginning: str
    """What is before the first of them."""

    whole: re.Pattern[str]
    methods: Collection[str]
    route: Route
    converted: Sequence[tuple[str, Callable[[str], Any]]]
    """Parameters that are no text, and what makes them what they are."""

    @property
    def first(self) -> str | None:
        """The first segment; None where that has a parameter."""
        return self.beginning.split("/")[1] if self.beginning.count("/") > 1 else None


class _Table:
    """Routes by their path: plain ones are found at once; of those with parameters, the ones with the same
    first segment are tried in turn."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.plain: dict[str, dict[str, Route]] = {}
        """Routes without parameters, by path and method."""
        for route in routes:
            if not route.param_convertors:
                for method in route.methods or ():
                    self.plain.setdefault(route.path, {}).setdefault(method, route)
        self._patterns = [_pattern(route) for route in routes if route.param_convertors]
        methods = {method for one in self._patterns for method in one.methods}
        self._tried: dict[tuple[str, str | None], Sequence[_Pattern]] = {
            (method, first): [
                one for one in self._patterns if method in one.methods and one.first in (first, None)
            ]
            for first in {None, *[one.first for one in self._patterns]}
            for method in methods
        }
        """Those that a path may be of, by method and first segment; None for any other segment."""

    def find(self, path: str, method: str) -> tuple[Route | None, dict[str, Any], Collection[str]]:
        """The route and its parameters, for what is not in `plain`; without one, the methods that the path
        has."""
        tried = self._tried.get((method, path[1:].partition("/")[0])) or self._tried.get((method, None), ())
        for beginning, whole, _, route, converted in tried:
            if path.startswith(beginning) and (found := whole.fullmatch(path)) is not None:
                given: dict[str, Any] = found.groupdict()
                for name, convert in converted:
                    given[name] = convert(given[name])
                return route, given, ()
        allowed: set[str] = set(self.plain.get(path, ()))
        for one in self._patterns:
            if one.whole.fullmatch(path) is not None:
                allowed.update(one.methods)
        return None, {}, allowed


def _pattern(route: Route) -> _Pattern:
    # What others have named may hold the end of a line, too.
    whole = re.compile(route.path_regex.pattern, re.DOTALL)
    converted = [
        (name, one.convert)
        for name, one in route.param_convertors.items()
        if not isinstance(one, StringConvertor | PathConvertor)
    ]
    return _Pattern(route.path.partition("{")[0], whole, route.methods or (), route, converted)


def kept_slashes(scope: Scope) -> Scope:
    """A path whose escaped slashes stay inside their segment, for `application`: a reference, a SKU or an id
    that others gave may have some. Between the segments of a route only plain ones count."""
    raw: bytes = scope.get("raw_path") or b""
    if _PERCENT not in raw or b"%2f" not in raw.lower():
        return scope
    escaped = raw.partition(b"?")[0].decode("latin-1").replace("%2f", "%2F")
    marked = unquote(escaped.replace("%2F", SLASH))
    path = marked[len(marked) - len(scope["path"]) :]
    return {**scope, "path": path} if path.replace(SLASH, "/") == scope["path"] else scope


def _never(_error: Exception) -> Response | None:
    """Of handlers that raise nothing to be answered."""
    return None


def application(
    routes: Sequence[Route],
    shape: Shape,
    aimed: Callable[[Scope], Scope] | None = None,
    asked: Callable[[Scope, Receive], Any] = Request,
    refused: Callable[[Exception], Response | None] = _never,
) -> ASGIApp:
    """An application of ``routes``, whose handlers answer with whole responses: none streams or goes on
    afterwards. What no route or handler answers is answered by ``shape``.

    ``aimed`` may give a request another path before a route is looked for, where there is something escaped
    in it, and ``asked`` makes of it what the handlers take. ``refused`` answers what they raise, as far as it
    knows it: around each of them that would be a coroutine more for every request.
    """
    table = _Table(routes)
    plain = table.plain

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            given = scope
            parameters: dict[str, Any] = {}
            allowed: Collection[str] = ()
            if aimed is not None and _PERCENT in (scope.get("raw_path") or b""):
                scope = aimed(scope)
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            methods = plain.get(path)
            route = None if methods is None else methods.get(scope["method"])
            if route is None:
                route, parameters, allowed = table.find(path, scope["method"])
            if route is not None:
                if scope is not given:
                    parameters = {name: str(text).replace(SLASH, "/") for name, text in parameters.items()}
                scope["path_params"] = parameters
                response = await route.endpoint(asked(scope, receive))
            elif allowed:
                response = shape(405, "Method not allowed")
                response.headers["Allow"] = ", ".join(sorted(allowed))
            else:
                response = shape(404, "Not found")
        except Exception as error:  # noqa: BLE001 - the edge: every fault must leave in the dialect's shape
            response = refused(error) or _fault(error, shape, scope)
        # A response is whole here: its own way of sending would be a coroutine more for these two messages.
        status, headers = response.status_code, response.raw_headers
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    return app


def _fault(error: Exception, shape: Shape, scope: Scope) -> Response:
    match error:
        case TooLong():
            return shape(413, f"The request body may have at most {error.limit} bytes")
        case ClientDisconnect():
            # Nobody reads this, and nothing was done: that is no fault of ours to be logged as one.
            return shape(400, "The client went away")
        case Busy() | StoreFull() | Unknowable():
            words = {
                Busy: "The hub is busy, nothing was done: try again",
                StoreFull: "The disk is full, nothing was done: try again later",
                Unknowable: "It is not known whether this was done: look, or ask again with the same key",
            }[type(error)]
            response = shape(503, words)
            response.headers["Retry-After"] = RETRY_AFTER_SECONDS
            return response
        case _:
            log.error("request failed", path=scope.get("path"), exc_info=error)
            return shape(500, "Internal error")
