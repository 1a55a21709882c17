"""The edge of every API: what a client brings about is not logged as a fault of the hub."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message
from structlog.testing import capture_logs

from onhand import asgi, wire
from onhand.faces import FACES, Face

GONE: Message = {"type": "http.disconnect"}
WHOLE: Message = {"type": "http.request", "body": b"{}"}


async def broken(request: wire.Incoming) -> Response:
    """Reads the body, and fails."""
    await wire.body(request, 10)
    raise RuntimeError("a fault of ours")


def sent_by(app: ASGIApp, method: str, path: str, message: Message = WHOLE) -> list[Message]:
    """What an application answers to a request of which the server says ``message``."""
    sent: list[Message] = []

    async def receive() -> Message:
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    async def main() -> None:
        await app({"type": "http", "method": method, "path": path, "headers": []}, receive, send)

    asyncio.run(main())
    return sent


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
@pytest.mark.parametrize(("message", "status", "logged"), [(GONE, 400, 0), (WHOLE, 500, 1)])
def test_who_goes_away_is_no_fault(face: Face, message: Message, status: int, logged: int) -> None:
    app = asgi.application([Route("/x", broken, methods=["POST"])], face.routes.shape, asked=wire.incoming)
    with capture_logs() as found:
        sent = sent_by(app, "POST", "/x", message)
    assert (sent[0]["status"], len(found)) == (status, logged)


async def named(request: Request) -> Response:
    """Says which parameters the path has."""
    return wire.respond(200, dict(request.path_params))


@pytest.mark.parametrize(
    ("method", "path", "status", "found"),
    [
        ("GET", "/a/1", 200, {"one": "1"}),
        ("PUT", "/a/1", 405, {"Allow": "GET, HEAD"}),
        ("GET", "/a/b/c", 200, {"any": "a", "other": "c"}),
        ("GET", "/z/b/c", 200, {"any": "z", "other": "c"}),
        ("GET", "/a/1/x", 200, {"two": "1"}),
        ("GET", "/a1", 200, {"rest": "1"}),
        ("GET", "/b1", 404, {}),
        ("GET", "", 404, {}),
    ],
)
def test_paths_with_parameters(method: str, path: str, status: int, found: dict[str, str]) -> None:
    paths = ("/a/{one}", "/{any}/b/{other}", "/a/{two}/x", "/a{rest}")
    routes = [Route(one, named, methods=["GET"]) for one in paths]
    app = asgi.application(routes, lambda status, message: Response(status_code=status))
    sent = sent_by(app, method, path)
    assert sent[0]["status"] == status
    if status == 200:
        assert json.loads(sent[1]["body"]) == found
    if status == 405:
        assert (b"allow", found["Allow"].encode()) in sent[0]["headers"]


async def refusing(request: Request) -> Response:
    """Raises what an API answers in its own way."""
    raise LookupError("nothing there")


@pytest.mark.parametrize(("path", "status", "logged"), [("/x", 418, 0), ("/y", 500, 1)])
def test_an_api_answers_what_its_handlers_raise(path: str, status: int, logged: int) -> None:
    def refused(error: Exception) -> Response | None:
        return Response(status_code=418) if isinstance(error, LookupError) else None

    routes = [Route("/x", refusing, methods=["GET"]), Route("/y", broken, methods=["GET"])]
    app = asgi.application(routes, FACES[0].routes.shape, refused=refused)
    with capture_logs() as found:
        sent = sent_by(app, "GET", path)
    assert (sent[0]["status"], len(found)) == (status, logged)
