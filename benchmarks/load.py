"""An HTTP load from a process of its own: closed (a connection sends when it was answered) or at a rate."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple, cast

import uvloop

MARK = "~" * 25
"""Stands in a request for a name that was never sent before; as long as the name, so no length changes."""

PATIENCE_SECONDS = 60


class Load(NamedTuple):
    """What came back: answers per second and latencies in the time that counts, statuses then and in all, how
    long it was from the first request to the last answer, and how much of a processor the load itself took:
    near 1 it is the load that was measured."""

    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]
    total: dict[str, int]
    took: float
    busy: float


class Client(asyncio.Protocol):
    """One connection. It reads as little of an answer as is needed to know where it ends."""

    def __init__(self, requests: list[bytes], run: Run) -> None:
        self._requests = requests
        self._run = run
        self._marked = MARK.encode() in requests[0]
        self._name = secrets.token_hex(8).encode()
        self._next = 0
        self._buffer = b""
        self._since = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or wait to be asked."""
        self._transport = cast(asyncio.Transport, transport)
        self._run.ready(self, time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up, or the time is over."""
        self._run.gone()

    def close(self) -> None:
        """The time is over."""
        assert self._transport is not None
        self._transport.close()

    def send(self, since: float) -> None:
        """Send the next request; its latency counts from ``since``."""
        assert self._transport is not None
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        if self._marked:
            request = request.replace(MARK.encode(), b"%s-%08d" % (self._name, self._next), 1)
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; when the answer is whole, count it and go on."""
        if self._buffer:
            data = self._buffer + data
        head = data.find(b"\r\n\r\n")
        at = data[:head].lower().find(b"content-length:") if head >= 0 else -1
        length = int(data[at + 15 : data.find(b"\r\n", at)]) if at >= 0 else 0
        if head < 0 or len(data) < head + 4 + length:
            self._buffer = data
            return
        self._buffer = data[head + 4 + length :]
        now = time.perf_counter()
        self._run.count(data[9:12], now, now - self._since)
        self._run.ready(self, now)


class Run:
    """The clock and the counters that all connections share; with a ``rate``, when requests arrive."""

    def __init__(self, connections: int, warm_up: float, seconds: float, rate: float | None) -> None:
        self._began = time.perf_counter()
        self.start = self._began + warm_up
        self.until = self.start + seconds
        self.ended = asyncio.Event()
        self._seconds = seconds
        self._rate = rate
        self._left = connections
        self._latencies: list[float] = []
        self._statuses: Counter[bytes] = Counter()
        self._total: Counter[bytes] = Counter()
        self._idle: deque[Client] = deque()
        self._late: deque[float] = deque()
        self._used = time.process_time()

    def ready(self, client: Client, now: float) -> None:
        """A connection can take a request."""
        if now >= self.until and not self._late:
            client.close()
        elif self._rate is None:
            client.send(now)
        elif self._late:
            client.send(self._late.popleft())
        else:
            self._idle.append(client)

    async def arrive(self) -> None:
        """Let requests arrive at random, so many a second on average, whether or not any is answered."""
        assert self._rate is not None
        due = time.perf_counter()
        while (now := time.perf_counter()) < self.until:
            while due <= now:
                due += random.expovariate(self._rate)
                if self._idle:
                    self._idle.popleft().send(now)
                else:
                    self._late.append(now)
            await asyncio.sleep(due - now)
        while self._idle:
            self._idle.popleft().close()

    def count(self, status: bytes, now: float, latency: float) -> None:
        """One answer."""
        self._total[status] += 1
        if now >= self.start:
            self._latencies.append(latency)
            if now <= self.until:
                self._statuses[status] += 1

    def gone(self) -> None:
        """One connection less."""
        self._left -= 1
        if not self._left:
            self.ended.set()

    def load(self) -> Load:
        """What came of it."""
        ordered = sorted(self._latencies)
        if not ordered:
            raise SystemExit(f"no answer was counted: {self._total}")
        took = time.perf_counter() - self._began
        return Load(
            sum(self._statuses.values()) / self._seconds,
            statistics.median(ordered) * 1000,
            ordered[int(len(ordered) * 0.99)] * 1000,
            {status.decode(): count for status, count in self._statuses.items()},
            {status.decode(): count for status, count in self._total.items()},
            took,
            (time.process_time() - self._used) / took,
        )


class Asked(NamedTuple):
    """What to do: which servers, for how long, what each connection sends again and again, and how often
    requests arrive (None: whenever a connection is free)."""

    targets: list[tuple[str, int]]
    warm_up: float
    seconds: float
    rate: float | None
    requests: list[list[str]]


async def press(asked: Asked) -> Load:
    """Put the load on; connections are dealt out to the servers in turn."""
    loop = asyncio.get_running_loop()
    requests = [[one.encode() for one in mine] for mine in asked.requests]
    run = Run(len(requests), asked.warm_up, asked.seconds, asked.rate)
    for number, mine in enumerate(requests):
        host, port = asked.targets[number % len(asked.targets)]
        await loop.create_connection(_client(mine, run), host, port)
    if asked.rate is not None:
        await run.arrive()
    await asyncio.wait_for(run.ended.wait(), asked.warm_up + asked.seconds + PATIENCE_SECONDS)
    return run.load()


def _client(requests: list[bytes], run: Run) -> Callable[[], Client]:
    return lambda: Client(requests, run)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(press(Asked(**json.load(sys.stdin))))._asdict()))
