"""Sends the sandbox's webhooks: signed, in order, and where a fault says so twice or overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from onhand.connectors.auth import Wire, mac
from onhand.connectors.flow import Response
from onhand.sandbox import protocol
from onhand.sandbox.model import State
from onhand.sandbox.shop import Event
from onhand.wire import encode

SECOND = 1_000_000
WAITING_LIMIT = 10_000
TRIES = 3
AGAIN_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0
TIME, PROOF = "sandbox-time", "sandbox-signature"

Post = Callable[[Wire], Awaitable[Response]]

log = structlog.get_logger(__name__)


def message(state: State, event: Event, now: int) -> Wire:
    """A webhook as it goes out, signed over its time and body. It counts."""
    state.hooks += 1
    body: dict[str, Any] = {"id": f"{state.epoch}-{state.hooks}", "topic": event.topic}
    if event.order is not None:
        body["order"] = protocol.order(event.order)
    if event.variant:
        body["variant"] = event.variant
    return signed(state, encode(body), now)


def signed(state: State, body: bytes, now: int) -> Wire:
    """A body with the time and the proof beside it: HMAC-SHA256 over ``time.body``, in hexadecimal."""
    stamp = str(now // SECOND)
    proof = mac(state.keys.webhook_secret.encode(), stamp.encode() + b"." + body).hex()
    headers = {"Content-Type": "application/json", TIME: stamp, PROOF: proof}
    return Wire("POST", state.keys.hook_url, (), headers, body)


class Hooks:
    """The webhooks on their way. `tell` is called by the shop; `run` sends until it is cancelled."""

    def __init__(self, state: Callable[[], State], now: Callable[[], int], post: Post) -> None:
        self._state, self._now, self._post = state, now, post
        self._waiting: asyncio.Queue[Wire] = asyncio.Queue(WAITING_LIMIT)
        self._overtaken: list[Wire] = []

    def tell(self, event: Event) -> None:
        """Something happened. Without an address nobody is told, and too many are forgotten."""
        state = self._state()
        if not state.keys.hook_url:
            return
        wire = message(state, event, self._now())
        if state.faults.reorder:
            state.faults.reorder -= 1
            self._overtaken.append(wire)
            return
        for one in (wire, *reversed(self._overtaken)):
            self._add(one)
        self._overtaken.clear()
        if state.faults.duplicate:
            state.faults.duplicate -= 1
            self._add(wire)

    def _add(self, wire: Wire) -> None:
        if not self._waiting.full():
            self._waiting.put_nowait(wire)

    async def run(self) -> None:
        """Send what waits, one after the other."""
        while True:
            await self._send(await self._waiting.get())

    async def _send(self, wire: Wire) -> None:
        for _ in range(TRIES):
            answer = await self._post(wire)
            if answer.ok or 400 <= answer.status < 500:
                return
            await asyncio.sleep(AGAIN_SECONDS)
        log.warning("a webhook was not taken", url=wire.url, said=answer.words)
