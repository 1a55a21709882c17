"""What is measured: prepared databases, the hub that serves them, the limits beside it, and the load."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.load import Asked, Load
from benchmarks.traffic import Make, plan
from onhand.store.engine import is_postgresql

READY = "is ready on "
"""What a server says before its address."""

START_SECONDS = 60
STOP_SECONDS = 30
ASK_SECONDS = 30


class Server(NamedTuple):
    """A running server: where it is, and how long it took until it could answer."""

    host: str
    port: int
    process: subprocess.Popen[bytes]
    ready_seconds: float

    def resident_mb(self) -> float:
        """Memory of it that is in RAM, in MB."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="utf-8").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE") / 1e6

    def highest_mb(self) -> float:
        """The most that it ever had in RAM, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6


@contextlib.contextmanager
def hub(db: str) -> Iterator[Server]:
    """`onhand serve` on a free port, in a process of its own."""
    with _running([sys.executable, "-m", "onhand", "serve", "--db", db, "--port", "0"]) as server:
        yield server


@contextlib.contextmanager
def hubs(db: str, count: int) -> Iterator[list[Server]]:
    """Several hubs on one PostgreSQL."""
    assert is_postgresql(db)
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(hub(db)) for _ in range(count)]


@contextlib.contextmanager
def limit(kind: str, answers: Mapping[str, str]) -> Iterator[Server]:
    """A server of `benchmarks.limits` that gives these answers, by the beginning of the path."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as file:
        json.dump(answers, file)
        file.flush()
        with _running([sys.executable, "-m", "benchmarks.limits", kind, file.name]) as server:
            yield server


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[Server]:
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdout=said,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
            cwd=Path(__file__).parent.parent,
        )
        try:
            while not (words := _said(said)).partition(READY)[2].partition("\n")[1]:
                if process.poll() is not None or time.perf_counter() > start + START_SECONDS:
                    raise SystemExit(f"the server did not start: {words}")
                time.sleep(0.005)
            url = words.partition(READY)[2].split()[0]
            host, _, port = url.removeprefix("http://").partition(":")
            yield Server(host, int(port), process, time.perf_counter() - start)
        finally:
            _end(process)


def _said(file: IO[bytes]) -> str:
    return os.pread(file.fileno(), 65_536, 0).decode()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def press(
    servers: Server | Sequence[Server],
    requests: list[list[str]],
    seconds: float,
    *,
    warm_up: float = 0.4,
    rate: float | None = None,
    statuses: Sequence[str] = ("200",),
) -> Load:
    """Load one server, or several, from a process of its own: one connection for each list of requests.

    A status that is not among ``statuses`` ends the run: what is refused fast must not count.
    """
    several = [servers] if isinstance(servers, Server) else servers
    asked = Asked([(one.host, one.port) for one in several], warm_up, seconds, rate, requests)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asked._asdict()).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + warm_up + 120,
    )
    load = Load(**json.loads(done.stdout))
    if not set(load.total) <= set(statuses):
        raise SystemExit(f"not only {statuses} but {load.total} for {requests[0][0][:300]}")
    return load


ACQUAINTING = -1
ACQUAINTING_SECONDS = 2.0


def acquaint(server: Server, *makes: Make) -> None:
    """Send each of these loads once before it is measured: a hub that has been running remembers what most
    SKUs, keys and locations stand for, and a new one looks each of them up."""
    for make in makes:
        statuses = ("200", "201")
        press(server, plan(make, ACQUAINTING), ACQUAINTING_SECONDS, statuses=statuses)


def ask(server: Server, request: str, statuses: Sequence[str] = ("200",)) -> str:
    """The body of the answer to one request."""
    with socket.create_connection((server.host, server.port), timeout=ASK_SECONDS) as line:
        line.sendall(request.encode())
        answer = b""
        while not _whole(answer):
            more = line.recv(1 << 20)
            if not more:
                break
            answer += more
    head, _, text = answer.decode().partition("\r\n\r\n")
    if head[9:12] not in statuses:
        raise SystemExit(f"the hub answers {head} {text} to {request[:500]}")
    return text


def _whole(answer: bytes) -> bool:
    head, found, rest = answer.partition(b"\r\n\r\n")
    at = head.lower().find(b"content-length:")
    return bool(found) and (at < 0 or len(rest) >= int(head[at + 15 :].split(b"\r\n")[0]))
