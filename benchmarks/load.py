"""A closed-loop HTTP load: so many connections, each sending its next request when the last is answered."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, cast

import uvloop


class Load(NamedTuple):
    """What came back: answered requests per second, latencies in milliseconds, and the statuses."""

    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]


class Client(asyncio.Protocol):
    """One connection. It reads as little of an answer as is needed to know where it ends.

    An idempotency key of ``{}`` is replaced by a fresh one in each request.
    """

    def __init__(self, requests: list[bytes], run: Run) -> None:
        self._requests = requests
        self._run = run
        self._keyed = b"Idempotency-Key: {}" in requests[0]
        self._name = secrets.token_hex(8).encode()
        self._next = 0
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up, or the time is over."""
        self._run.gone()

    def _send(self) -> None:
        assert self._transport is not None
        if time.perf_counter() >= self._run.until:
            self._transport.close()
            return
        request = self._requests[self._next % len(self._requests)]
        if self._keyed:
            request = request.replace(b"{}", b"%s-%d" % (self._name, self._next), 1)
        self._next += 1
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; when the answer is whole, count it and go on."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.lower().find(b"content-length:", 0, head)
        length = int(self._buffer[at + 15 : self._buffer.find(b"\r\n", at)]) if at >= 0 else 0
        end = head + 4 + length
        if len(self._buffer) < end:
            return
        self._run.count(self._buffer[9:12], time.perf_counter() - self._sent)
        self._buffer = self._buffer[end:]
        self._send()


class Run:
    """The clock and the counters that all connections share."""

    def __init__(self, connections: int, warm_up: float, seconds: float) -> None:
        now = time.perf_counter()
        self.start = now + warm_up
        self.until = self.start + seconds
        self.seconds = seconds
        self.latencies: list[float] = []
        self.statuses: Counter[bytes] = Counter()
        self._left = connections
        self.ended = asyncio.Event()

    def count(self, status: bytes, latency: float) -> None:
        """One answer; those of the warm-up are not counted."""
        now = time.perf_counter()
        if self.start <= now <= self.until:
            self.latencies.append(latency)
            self.statuses[status] += 1

    def gone(self) -> None:
        """One connection less."""
        self._left -= 1
        if not self._left:
            self.ended.set()

    def load(self) -> Load:
        """What came of it."""
        ordered = sorted(self.latencies)
        if not ordered:
            raise SystemExit("no answer was counted")
        return Load(
            len(ordered) / self.seconds,
            statistics.median(ordered) * 1000,
            ordered[int(len(ordered) * 0.99)] * 1000,
            {status.decode(): count for status, count in self.statuses.items()},
        )


async def press(host: str, port: int, requests: list[list[bytes]], warm_up: float, seconds: float) -> Load:
    """Send ``requests`` (a list for each connection, again and again) for so many seconds."""
    loop = asyncio.get_running_loop()
    run = Run(len(requests), warm_up, seconds)
    for mine in requests:
        await loop.create_connection(_client(mine, run), host, port)
    await asyncio.wait_for(run.ended.wait(), warm_up + seconds + 30)
    return run.load()


def _client(requests: list[bytes], run: Run) -> Callable[[], Client]:
    return lambda: Client(requests, run)


def main() -> None:
    """Read {"host", "port", "warm_up", "seconds", "requests": [[text]]} from standard input; print a Load."""
    asked = json.load(sys.stdin)
    requests = [[one.encode() for one in mine] for mine in asked["requests"]]
    load = uvloop.run(press(asked["host"], asked["port"], requests, asked["warm_up"], asked["seconds"]))
    print(json.dumps(load._asdict()))


if __name__ == "__main__":
    main()
