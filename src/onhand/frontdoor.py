"""The HTTP front door: runs an application on uvicorn behind the bounds of the reception."""

import asyncio
import contextlib
import errno
import functools
import os
import resource
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGI3Application

from onhand.doorman import Limits, Placed, Shape, as_asked, problem
from onhand.reception import Arriving, Reception, Terms

BACKLOG = 2048
PORT_MAX = 65_535
OTHER_FILES = 1_000
"""Files that are open beside those of clients: the database's, and connections to channels."""
DEFAULT_LIMITS = Limits()


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handling, which kills the process again once all is closed."""

    on_ready: Callable[[int], None] | None = None
    on_stop: Callable[[], None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.on_ready is not None and sockets:
            self.on_ready(sockets[0].getsockname()[1])

    def ring(self) -> None:
        """Asks for a stop; the second time without waiting for answers that are under way."""
        if self.on_stop is not None:
            self.on_stop()
        self.force_exit = self.should_exit
        self.should_exit = True


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    bulk: Callable[[str], bool],
    shape: Shape = problem,
    placed: Placed = as_asked,
    before: Callable[[int], Awaitable[None]] | None = None,
    on_ready: Callable[[int], None] | None = None,
    on_stop: Callable[[], None] | None = None,
    stop: asyncio.Event | None = None,
    limits: Limits = DEFAULT_LIMITS,
    lifespan: bool = False,
) -> None:
    """Serves `app` on the running event loop until `stop` is set or SIGINT, SIGTERM or SIGHUP arrives.

    `bulk(path)` says which paths may take bodies of `limits.bulk_bytes`; `shape(path, status, message)` gives
    the body and header fields of a refusal, with the path "" when none could be read; both are asked with
    `placed(host, path)`. `before` is awaited with the real port (port 0 takes a free one) while those who
    connect wait for the first answer, `on_ready` is called with it once requests are answered, `on_stop` when
    it is told to stop and requests may still be answered. With `lifespan` the application's own startup and
    shutdown are run, and RuntimeError says that its startup failed. Raises OSError when the address cannot
    be taken (errno EADDRINUSE: the port is in use). Run it with `uvloop.run`.
    """
    limits = limits._replace(connections=_room(limits.connections))
    listener = await _listen(host, port)
    door = functools.partial(Reception, terms=Terms(limits, bulk, shape, placed, Arriving()))
    config = uvicorn.Config(
        cast(ASGI3Application, app),
        http=cast(type[asyncio.Protocol], door),
        ws="none",
        interface="asgi3",
        lifespan="on" if lifespan else "off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=limits.grace_seconds,
    )
    server = _Server(config)
    server.on_ready, server.on_stop = on_ready, on_stop
    with listener, _signals(server.ring):
        if before is not None:
            await before(listener.getsockname()[1])
        await _until(stop, server, listener)


def _room(connections: int) -> int:
    """Let this process have as many files open as its connections may need, if the system allows it: by
    itself it gives 1,024. How many connections there is room for; who comes beyond them is told so, and must
    not leave the database without files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return connections
    return min(connections, soft - min(OTHER_FILES, soft // 2))


async def _listen(host: str, port: int) -> socket.socket:
    # Checked here because the socket module reports it as an OverflowError, and drops an open socket.
    if not 0 <= port <= PORT_MAX:
        raise OSError(errno.EINVAL, f"{port} is not a port")
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(
            errno.EADDRNOTAVAIL, f"{host} is no address of this machine: {error.strerror}"
        ) from error
    family, _, _, _, address = found[0]
    try:
        return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(error.errno, _refused(host, port, error)) from error


def _refused(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is in use by another program: choose another (--port, or PORT= of make)"
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine"
        case errno.EACCES:
            return f"only an administrator may listen on port {port}: choose one from 1024 on"
        case number:
            return os.strerror(number or errno.EIO)


def address(host: str, port: int) -> str:
    """Where a client finds what listens on ``host``: an IPv6 address has brackets in a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _until(stop: asyncio.Event | None, server: _Server, listener: socket.socket) -> None:
    watch = asyncio.ensure_future(_stopped(stop, server)) if stop is not None else None
    try:
        await server.serve(sockets=[listener])
    except SystemExit:
        raise RuntimeError("the application did not start") from None
    finally:
        if watch is not None:
            watch.cancel()
        for connection in list(server.server_state.connections):
            connection.transport.abort()


async def _stopped(stop: asyncio.Event, server: _Server) -> None:
    await stop.wait()
    server.ring()


@contextlib.contextmanager
def _signals(ring: Callable[[], None]) -> Iterator[None]:
    # Python hands signals to the main thread only; elsewhere the owner of that thread sets `stop`.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    if before[signal.SIGHUP] is signal.SIG_IGN:  # as under nohup: it outlives its terminal
        del before[signal.SIGHUP]
    for number in before:
        loop.add_signal_handler(number, ring)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
