"""Servers that answer the hub's own bytes with no ledger behind them, each with one layer less."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.scene import READY
from onhand import frontdoor
from onhand.asgi import application
from onhand.hub import SWITCH_SECONDS, YOUNG_LIMIT
from onhand.wire import BODY_LIMIT, Incoming, body, incoming, respond

FRAMEWORK, ASGI, UVICORN = "framework", "asgi", "uvicorn"
"""The hub's front door and route table; a bare function behind the front door; the same on plain uvicorn."""


def framework(answers: dict[str, str]) -> ASGIApp:
    """The route table of the hub: below each path the same bytes for every request."""

    def endpoint(answer: bytes) -> Any:
        async def same(request: Incoming) -> Response:
            await body(request, BODY_LIMIT)
            return Response(answer, media_type="application/json")

        return same

    routes = [
        Route(path if path.endswith("changes") else path + "{rest:path}", endpoint(answer.encode()), methods=[
            "GET", "POST", "PUT",
        ])
        for path, answer in answers.items()
    ]  # fmt: skip
    return application(routes, respond, asked=incoming)


def function(answers: dict[str, str]) -> ASGIApp:
    """One function: the first of the answers, once the request was read."""
    (answer, *_) = (text.encode() for text in answers.values())
    length = str(len(answer)).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", length)]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer})

    return app


def ready(port: int) -> None:
    """Say where, in the words of the hub."""
    print(f"the limit {READY}http://127.0.0.1:{port}", flush=True)


async def serve(kind: str, answers: dict[str, str]) -> None:
    """Serve until SIGINT, with the hub's own settings of the interpreter."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_LIMIT)
    app = framework(answers) if kind == FRAMEWORK else function(answers)
    if kind != UVICORN:
        await frontdoor.serve(app, "127.0.0.1", 0, bulk=lambda _: False, on_ready=ready)
        return
    config: dict[str, Any] = {"http": "httptools", "log_level": "warning", "access_log": False}
    with socket.create_server(("127.0.0.1", 0), backlog=frontdoor.BACKLOG) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", **config))
        ready(listener.getsockname()[1])
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))))
