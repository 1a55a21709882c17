"""A real front door in a thread, and a raw-socket client for it."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from onhand.doorman import Limits
from onhand.frontdoor import serve

# For tests that wait for a limit, and for those that must not run into one on a busy machine.
SHORT = Limits(
    receive_seconds=0.4, send_seconds=0.6, linger_seconds=0.3, keep_alive_seconds=0.4, grace_seconds=2
)
CALM = SHORT._replace(receive_seconds=10.0, send_seconds=10.0)
HOST = b"Host: hub\r\n"
PATIENCE_SECONDS = 30.0
LARGE_ANSWER = 8 * 1024 * 1024


class Answer(NamedTuple):
    """One response: its status, lower-case headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def short(self) -> bool:
        """Whether some of the body is still to come."""
        return len(self.body) < int(self.headers.get("content-length", 0))


class Door(NamedTuple):
    """A running front door, the paths that reached its application, and how to stop it."""

    port: int
    seen: list[str]
    stop: Callable[[], None]

    def connect(self) -> socket.socket:
        """A fresh connection."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def talk(self, *parts: bytes, pause: float = 0.0) -> list[Answer]:
        """Sends `parts` with a pause between them and reads until the server closes."""
        with self.connect() as client:
            for number, part in enumerate(parts):
                if number:
                    time.sleep(pause)
                client.sendall(part)
            return split(read_all(client))


def read_all(client: socket.socket) -> bytes:
    """Everything up to the end of the stream."""
    received = bytearray()
    while part := client.recv(1024 * 1024):
        received += part
    return bytes(received)


def read_one(client: socket.socket) -> Answer:
    """The next response, which carries a Content-Length. A server may write its head and its body apart."""
    received = bytearray()
    while b"\r\n\r\n" not in received or (answer := split(bytes(received))[0]).short:
        part = client.recv(65536)
        assert part, f"the stream ended within {bytes(received)!r}"
        received += part
    return answer


def split(raw: bytes) -> list[Answer]:
    """The responses in `raw`, which all carry a Content-Length; interim ones have an empty body."""
    answers: list[Answer] = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        length = int(headers.get("content-length", 0))
        answers.append(Answer(int(first.split()[1]), headers, raw[:length]))
        raw = raw[length:]
    return answers


def shaped(path: str, status: int, message: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """A dialect's form under /dialect, plain text elsewhere."""
    if path.startswith("/dialect"):
        return f'{{"error":"{message}"}}'.encode(), [
            (b"content-type", b"application/json"),
            (b"x-request-id", b"17"),
        ]
    return f"{status} {message}".encode(), [(b"content-type", b"text/plain")]


def placed(host: str, path: str) -> str:
    """The host dialect.example has /dialect at its root, bulk.example what takes large bodies."""
    return {"dialect.example": "/dialect", "bulk.example": "/bulk"}.get(host, "") + path.rstrip("/")


def echo(seen: list[str]) -> ASGIApp:
    """Answers with method, path, the number of headers and the length of the body; /slow/0.5 in 0.5 s,
    /header with the header X."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        message = await receive()
        assert message["more_body"] is False
        if scope["path"].startswith("/slow/"):
            await asyncio.sleep(float(scope["path"].removeprefix("/slow/")))
        text = f"{scope['method']} {scope['path']} {len(scope['headers'])} {len(message['body'])}".encode()
        if scope["path"] == "/large":
            text = b"x" * LARGE_ANSWER
        if scope["path"] == "/header":
            text = dict(scope["headers"])[b"x"]
        headers = [(b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    return app


@contextlib.contextmanager
def running(limits: Limits = CALM, bulk: Callable[[str], bool] = "/bulk".__eq__) -> Iterator[Door]:
    """A front door on a free port, stopped and checked to have ended cleanly."""
    ready, seen = threading.Event(), list[str]()
    ports: list[int] = []
    stops: list[Callable[[], object]] = []

    def note(port: int) -> None:
        ports.append(port)
        ready.set()

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        await serve(
            echo(seen),
            "127.0.0.1",
            0,
            bulk=bulk,
            shape=shaped,
            placed=placed,
            on_ready=note,
            stop=stop,
            limits=limits,
        )

    thread = threading.Thread(target=lambda: uvloop.run(main()))
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)

    def end() -> None:
        if thread.is_alive():
            stops[0]()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()

    try:
        yield Door(ports[0], seen, end)
    finally:
        end()
