"""A server of a test's own, to which the transport is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from onhand.connectors.auth import Wire
from onhand.transport import ChannelTransport

T = TypeVar("T")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Left: 7\r\n\r\n{}"


class Channel:
    """A server on this machine that answers as a test says, and keeps what it was sent."""

    def __init__(self, answer: bytes | Serve = OK) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.callers = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers += 1
        try:
            while head := await self._head(reader):
                self.heads.append(head)
                if callable(self.answer):
                    await self.answer(reader, writer)
                    return
                writer.write(self.answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> str:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return ""
        for line in head.lower().split("\r\n"):
            if line.startswith("content-length:"):
                self.bodies.append(await reader.readexactly(int(line[15:])))
        return head


def wire(url: str, method: str = "GET", body: bytes = b"", **headers: str) -> Wire:
    return Wire(method, url, (), {name.replace("_", "-"): value for name, value in headers.items()}, body)


def visit(
    channel: Channel,
    ask: Callable[[ChannelTransport, str], Awaitable[T]],
    way: ChannelTransport | None = None,
) -> T:
    """Run ``ask`` with a transport and the channel's address."""

    async def run() -> T:
        server = await asyncio.start_server(channel, "127.0.0.1", 0)
        transport = way or ChannelTransport(private=True)
        try:
            return await ask(transport, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            await transport.close()
            server.close()

    return asyncio.run(run())
