"""The edge of every API: what a client brings about is not logged as a fault of the hub."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Scope
from structlog.testing import capture_logs

from onhand import asgi, wire
from onhand.faces import FACES, Face

GONE: Message = {"type": "http.disconnect"}
WHOLE: Message = {"type": "http.request", "body": b"{}"}


async def broken(request: Request) -> Response:
    """Reads the body, and fails."""
    await wire.body(request, 10)
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
@pytest.mark.parametrize(("message", "status", "logged"), [(GONE, 400, 0), (WHOLE, 500, 1)])
def test_who_goes_away_is_no_fault(face: Face, message: Message, status: int, logged: int) -> None:
    app = asgi.application([Route("/x", broken, methods=["POST"])], face.routes.shape)
    scope: Scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
    sent: list[Message] = []

    async def receive() -> Message:
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    async def main() -> None:
        await app(scope, receive, send)

    with capture_logs() as found:
        asyncio.run(main())
    assert (sent[0]["status"], len(found)) == (status, logged)
