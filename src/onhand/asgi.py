"""Turns a table of routes into an ASGI application whose every error has the dialect's own shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from onhand.transact import Busy, StoreFull, Unknowable
from onhand.wire import TooLong

Shape = Callable[[int, str], Response]
"""(status, sentence) to the dialect's error response. Statuses: 404 no such path, 405 wrong method,
413 too long, 500 a fault of ours, 503 try again (the Retry-After header is added here)."""

RETRY_AFTER_SECONDS = "1"

log = structlog.get_logger(__name__)


def application(routes: Sequence[Route], shape: Shape) -> ASGIApp:
    """An application of ``routes``; what no route or handler answers is answered by ``shape``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        response = None
        try:
            route, child, status = _match(routes, scope)
            if route is None:
                response = shape(status, "Not found" if status == 404 else "Method not allowed")
            else:
                scope.update(child)
                response = await route.endpoint(Request(scope, receive))
        except Exception as error:  # noqa: BLE001 - the edge: every fault must leave in the dialect's shape
            response = _fault(error, shape, scope)
        await response(scope, receive, send)

    return app


def _match(routes: Sequence[Route], scope: Scope) -> tuple[Route | None, Scope, int]:
    status = 404
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            return route, child, 200
        if match is Match.PARTIAL:
            status = 405
    return None, {}, status


def _fault(error: Exception, shape: Shape, scope: Scope) -> Response:
    match error:
        case TooLong():
            return shape(413, f"The request body may have at most {error.limit} bytes")
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
