"""Asks a running sandbox for what its operator can do: the client side of its admin paths."""

from __future__ import annotations

from typing import Any

from onhand.connectors.auth import Wire
from onhand.sandbox.card import Card
from onhand.transport import ChannelTransport, NoAnswer
from onhand.wire import encode

TIMEOUT_SECONDS = 10.0


class Declined(Exception):
    """The sandbox would not, in its own words."""


async def ask(card: Card, path: str, value: object = None, *, method: str = "POST") -> Any:
    """The answer to a request to ``/admin/<path>``. Raises NoAnswer, Declined."""
    transport = ChannelTransport(private=True)
    headers = {"Authorization": f"Bearer {card.admin_key}", "Content-Type": "application/json"}
    content = encode({} if value is None else value) if method == "POST" else b""
    try:
        wire = Wire(method, f"{card.url}/admin/{path}", (), headers, content)
        answer = await transport.send(wire, timeout=TIMEOUT_SECONDS)
    finally:
        await transport.close()
    if answer.silent:
        raise NoAnswer(f"{card.url}: {answer.words}")
    found = answer.json()
    if not answer.ok:
        error = found.get("error") if isinstance(found, dict) else None
        raise Declined(str(error["message"]) if isinstance(error, dict) else answer.words)
    return found
