"""A proxy before PostgreSQL that falls silent on command: it goes on taking bytes, and nothing comes back."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

from psycopg.conninfo import conninfo_to_dict

START_SECONDS = 10
PIECE = 65_536


class Stalling:
    """Passes everything on until `stall`; what it took meanwhile arrives after `speak`."""

    def __init__(self, host: str, port: str) -> None:
        self._there = host, port
        self._open: list[asyncio.StreamWriter] = []
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._word: bytes | None = None
        self._heard = False
        self._deaf: set[asyncio.StreamWriter] = set()
        self.stalled = threading.Event()
        """Set once it has fallen silent."""

    def stall(self, word: bytes = b"", *, heard: bool = False) -> None:
        """Fall silent, now or as soon as a client sends ``word``; ``heard`` says that the server still gets
        what a client sends, and only its answers are lost on the way."""
        self._heard = heard
        self._word = word or None
        if not word:
            self._fall_silent()

    def _fall_silent(self) -> None:
        self._speaks.clear()
        self._word = None
        self.stalled.set()

    def speak_to_others(self) -> None:
        """Speak again, but not on the connections that there are."""
        self._deaf.update(self._open)
        self.speak()

    def speak(self) -> None:
        """Pass on what waits, and all that comes."""
        self.stalled.clear()
        self._word = None
        self._speaks.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its start to its end."""
        self._open.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self._ready(asked=True)
            back, forth = await self._server()
            self._open.append(forth)
            await asyncio.gather(self._pass(reader, forth, asked=True), self._pass(back, writer, asked=False))

    async def _server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._there
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port))

    async def _ready(self, *, asked: bool) -> None:
        if not (asked and self._heard):
            await self._speaks.wait()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asked: bool) -> None:
        try:
            while piece := await source.read(PIECE):
                if asked and self._word is not None and self._word in piece:
                    self._fall_silent()
                await self._ready(asked=asked)
                if sink in self._deaf:
                    continue
                sink.write(piece)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    async def end(self) -> None:
        """Let go of both sides."""
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in self._open:
            writer.close()


class Proxy:
    """The ``url`` of the database by way of the proxy, and what is asked of it from other threads."""

    def __init__(self, url: str, made: Stalling, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.stalled = made.stalled
        self._made = made
        self._loop = loop

    def stall(self, word: bytes = b"", *, heard: bool = False) -> None:
        """See `Stalling.stall`; returns when it is so."""
        self._run(lambda: self._made.stall(word, heard=heard))

    def speak(self) -> None:
        """See `Stalling.speak`."""
        self._run(self._made.speak)

    def speak_to_others(self) -> None:
        """See `Stalling.speak_to_others`."""
        self._run(self._made.speak_to_others)

    def _run(self, what: Callable[[], None]) -> None:
        async def run() -> None:
            what()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(START_SECONDS)


@contextlib.contextmanager
def stalling(url: str) -> Iterator[Proxy]:
    """A proxy before the server of ``url``, in a thread."""
    known = conninfo_to_dict(url)
    host, there = str(known["host"]), str(known.get("port", 5432))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[Stalling, asyncio.Server]:
        made = Stalling(host, there)
        return made, await asyncio.start_server(made.serve, "127.0.0.1", 0)

    made, server = asyncio.run_coroutine_threadsafe(begin(), loop).result(START_SECONDS)
    try:
        port = server.sockets[0].getsockname()[1]
        who = f"{known['user']}:{known.get('password', '')}"
        yield Proxy(f"postgresql://{who}@127.0.0.1:{port}/{known['dbname']}", made, loop)
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(made.end(), loop).result(START_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_SECONDS)
        loop.close()
