"""A pooler in transaction mode, as PgBouncer is one: each transaction goes to any one of few sessions.

It speaks PostgreSQL's wire protocol as far as a client needs that trusts and is trusted, and it is meaner
than a real one: it never gives a client the session that it had before if there is another. `pgbouncer`
starts the real one, where it is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

SESSIONS = 3
PROTOCOL, SSL, GSS = 196_608, 80_877_103, 80_877_104
KEY = b"K\0\0\0\x0c"
"""How the server tells a session's number and the secret to cancel it with."""
ROLLBACK = b"Q\0\0\0\x0dROLLBACK\0"
"""What a pooler says for a client that has left in the middle of a transaction."""
ENDS_REQUEST = (b"Q", b"S")
"""Messages of a client that the server answers with one ReadyForQuery."""
START_SECONDS = 10


class Session:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, greeting: bytes) -> None:
        self.reader = reader
        self.writer = writer
        self.greeting = greeting
        """What the server said at its start, which every client is told."""


class Pooler:
    """Clients on one side, `SESSIONS` sessions for each (user, database) on the other."""

    def __init__(self, port: int, *, own_keys: bool = True) -> None:
        self._server_port = port
        self._own_keys = own_keys
        self._free: dict[bytes, asyncio.Queue[Session]] = {}
        self._open: list[asyncio.StreamWriter] = []
        self.moved = 0
        """How often a client's next transaction ran in another session."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its start to its end."""
        self._open.append(writer)
        try:
            free = await self._greeted(reader, writer)
            await self._relay(reader, writer, free)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _greeted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> asyncio.Queue[Session]:
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            rest = await reader.readexactly(length - 8)
            if code == PROTOCOL:
                break
            assert code in (SSL, GSS), code
            writer.write(b"N")
        fields = rest.rstrip(b"\0").split(b"\0")
        known = dict(zip(fields[::2], fields[1::2], strict=True))
        # Only who and where: a pooler gives a session to clients with other options, too.
        start = b"".join(name + b"\0" + known[name] + b"\0" for name in (b"user", b"database")) + b"\0"
        if start not in self._free:
            queue: asyncio.Queue[Session] = asyncio.Queue()
            self._free[start] = queue
            for _ in range(SESSIONS):
                queue.put_nowait(await self._session(start))
        session = await self._free[start].get()
        self._free[start].put_nowait(session)
        writer.write(_own_key(session.greeting) if self._own_keys else session.greeting)
        return self._free[start]

    async def _session(self, start: bytes) -> Session:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._open.append(writer)
        writer.write(struct.pack("!ii", len(start) + 8, PROTOCOL) + start)
        greeting = b""
        while not greeting.endswith(b"Z\0\0\0\x05I"):
            message = await _message(reader)
            assert message[:1] != b"E", message
            greeting += message
        return Session(reader, writer, greeting)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, free: asyncio.Queue[Session]
    ) -> None:
        session: Session | None = None
        before: Session | None = None
        try:
            while True:
                request = await _message(reader)
                while request[:1] != b"X" and not _complete(request):
                    request += await _message(reader)
                if request[:1] == b"X":
                    break
                if session is None:
                    session = await self._other(free, before)
                session.writer.write(request)
                while (answer := await _message(session.reader))[:1] != b"Z":
                    writer.write(answer)
                writer.write(answer)
                if answer[-1:] == b"I":
                    free.put_nowait(session)
                    session, before = None, session
        finally:
            if session is not None:
                session.writer.write(ROLLBACK)
                while (await _message(session.reader))[:1] != b"Z":
                    pass
                free.put_nowait(session)

    async def _other(self, free: asyncio.Queue[Session], before: Session | None) -> Session:
        found = await free.get()
        if found is before and not free.empty():
            again, found = found, free.get_nowait()
            free.put_nowait(again)
        self.moved += before is not None and found is not before
        return found

    async def end(self) -> None:
        """Let go of both sides."""
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in self._open:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._open), return_exceptions=True)


def _own_key(greeting: bytes) -> bytes:
    """A greeting with a key of the pooler's own, by which it would know whose request is to be cancelled."""
    at = greeting.index(KEY)
    return greeting[: at + len(KEY)] + os.urandom(8) + greeting[at + len(KEY) + 8 :]


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


def _complete(request: bytes) -> bool:
    """Whether the last of these messages is one that the server answers with ReadyForQuery."""
    at = 0
    kind = b""
    while at < len(request):
        kind = request[at : at + 1]
        at += 1 + struct.unpack("!i", request[at + 1 : at + 5])[0]
    return kind in ENDS_REQUEST


@contextlib.contextmanager
def pooler(port: int, *, own_keys: bool = True) -> Iterator[tuple[int, Pooler]]:
    """A pooler before the server on ``port``, in a thread; its own port. Without ``own_keys`` it passes off
    the server's numbers of sessions as its own, which no real one does."""
    made = Pooler(port, own_keys=own_keys)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    starting = asyncio.start_server(made.serve, "127.0.0.1", 0)
    server = asyncio.run_coroutine_threadsafe(starting, loop).result(START_SECONDS)
    try:
        yield server.sockets[0].getsockname()[1], made
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(made.end(), loop).result(START_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_SECONDS)
        loop.close()


BOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
server_reset_query =
"""


@contextlib.contextmanager
def pgbouncer(port: int, folder: Path, user: str) -> Iterator[int]:
    """The real one before the server on ``port``, which every client enters as ``user``; its own port."""
    assert BOUNCER is not None
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        own = int(found.getsockname()[1])
    words = SETTINGS.format(server=f"{port} user={user}", port=own, sessions=SESSIONS)
    file = folder / "pgbouncer.ini"
    file.write_text(words, encoding="utf-8")
    # It reads the file and only then becomes somebody else, as it must when root starts it.
    other = ["-u", "nobody"] if os.geteuid() == 0 else []
    with subprocess.Popen([BOUNCER, *other, str(file)]) as process:
        try:
            until = time.monotonic() + START_SECONDS
            while not _listens(own):
                assert time.monotonic() < until, "pgbouncer does not start"
                time.sleep(0.05)
            yield own
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
