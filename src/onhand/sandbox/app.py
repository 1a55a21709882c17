"""The sandbox as an ASGI application: reads requests, lets faults take their time, keeps a file."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response as Said
from onhand.sandbox import catalogue
from onhand.sandbox.admin import PATH, Admin
from onhand.sandbox.hooks import TIMEOUT_SECONDS, Hooks
from onhand.sandbox.model import Keys, Product, State
from onhand.sandbox.page import POLICY, page
from onhand.sandbox.protocol import Answer, Call, Protocol, problem
from onhand.sandbox.shop import Event, Shop
from onhand.transport import ChannelTransport
from onhand.wire import BULK_LIMIT, TooLong, body, incoming

SEED = 1
CLIENT = "sandbox-client"


def now() -> int:
    """Microseconds UTC."""
    return time.time_ns() // 1000


def fresh(products: Sequence[Product]) -> State:
    """A new life with keys of its own."""
    keys = Keys(CLIENT, *(f"sandbox_{secrets.token_urlsafe(18)}" for _ in range(3)))
    return State(secrets.token_hex(3), keys, list(products), catalogue.PLACES)


def load(file: Path) -> State | None:
    """The state that a file holds; None when there is none. Raises OSError, msgspec.DecodeError."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=State)
    except FileNotFoundError:
        return None


class Sandbox:
    """A channel. With a ``file`` every change is in it before it is answered, so that a killed one goes on
    where it was. Until the first change, or `keep`, nothing is written: the file may be another process's."""

    def __init__(self, state: State, file: Path | None = None) -> None:
        self._file = file
        self._transport = ChannelTransport(private=True)
        self._hooks = Hooks(lambda: self.state, now, self._post)
        self._begin(state)
        self._admin = Admin(lambda: self.shop, self.use, lambda: self._protocol.counts)

    def use(self, state: State) -> None:
        """Go on with another state."""
        self._begin(state)
        self.keep()

    def _begin(self, state: State) -> None:
        self.shop = Shop(state, now, self._tell)
        self._protocol = Protocol(self.shop, now)

    @property
    def state(self) -> State:
        """What it holds now."""
        return self.shop.state

    def keep(self) -> None:
        """Write the state to its file, never half, readable by its owner only."""
        if self._file is None:
            return
        draft = self._file.with_name(self._file.name + ".new")
        draft.touch(mode=0o600)
        draft.write_bytes(msgspec.json.encode(self.state))
        draft.replace(self._file)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Webhooks are sent while the block runs."""
        sender = asyncio.ensure_future(self._hooks.run())
        try:
            yield
        finally:
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender
            await self._transport.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        answer = await self._answer(Request(scope, receive))
        seconds = answer.delay + (self.state.faults.lose_seconds if answer.lost else 0.0)
        if seconds and await _left(receive, seconds):
            return
        await Response(answer.body, answer.status, dict(answer.headers))(scope, receive, send)

    async def _answer(self, request: Request) -> Answer:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if path in ("", "/") and request.method in ("GET", "HEAD"):
            headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": POLICY}
            held = "hold" in request.query_params
            return Answer(200, page(self.state, held=held), headers)
        try:
            call = await _call(request, path)
        except TooLong as error:
            return problem(413, "too_long", f"the body may have at most {error.limit} bytes")
        if path.startswith(PATH):
            answer = self._admin.answer(call)
        else:
            answer = self._protocol.answer(call)
        if request.method != "GET":
            self.keep()
        return answer

    def _tell(self, event: Event) -> None:
        self._hooks.tell(event)

    async def _post(self, wire: Wire) -> Said:
        return await self._transport.send(wire, timeout=TIMEOUT_SECONDS)


async def _call(request: Request, path: str) -> Call:
    headers = {name.lower(): value for name, value in request.headers.items()}
    raw = await body(incoming(request.scope, request.receive), BULK_LIMIT)
    return Call(request.method, path, dict(request.query_params), headers, raw)


async def _left(receive: Receive, seconds: float) -> bool:
    """Wait; True when the client has gone before."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
