"""Tells many stale listings to sandbox channels: under a published limit, without one, and one at a time."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import uvloop

from benchmarks.mall import Asks, Mall
from benchmarks.scene import Server
from onhand.connectors.auth import Wire
from onhand.sandbox.card import Card
from onhand.sandbox.model import PLACE_MAIN
from onhand.transport import ChannelTransport
from onhand.wire import decode, encode

BATCH = 50
CHANGES = 1_000
"""Changes in a request that makes listings stale."""
WAIT_SECONDS = 180.0
PAUSED_SECONDS = 0.6
"""A driver looks at its connection's row every quarter of a second."""


class Counted(NamedTuple):
    """What all channels have seen until now."""

    requests: int
    throttled: int
    numbers: int


class Paced(NamedTuple):
    """Under a limit: the share of the allowed rate that was used, the share of requests that were throttled,
    and the hub's memory in MB, sample by sample."""

    used: float
    throttled: float
    listings: float
    memory: list[float]


class Market:
    """A running hub and its channels."""

    def __init__(self, hub: Server, made: Mall, cards: Sequence[Card]) -> None:
        self.hub, self.made, self.cards = hub, made, cards
        self.api = Asks(f"http://{hub.host}:{hub.port}/api/v1", made.api_key)
        self.operators = [Asks(one.url, one.admin_key) for one in cards]

    def limit(self, rate: float, burst: int) -> None:
        """Publish a limit on every channel and tell the hub of it; 0 is none."""
        for operator in self.operators:
            operator("POST", "/admin/faults", {"rate": rate, "burst": burst})
        for link in self.made.links:
            self.api("PATCH", f"/connections/{link}", {"settings": {"rate": rate, "burst": burst}})

    def pause(self, *, paused: bool) -> None:
        """Stop telling, or go on."""
        for link in self.made.links:
            self.api("PATCH", f"/connections/{link}", {"paused": paused})

    def stale(self, items: int) -> None:
        """Take a unit of each of the first items while nobody tells, so that all goes stale at once."""
        self.pause(paused=True)
        time.sleep(PAUSED_SECONDS)
        for first in range(1, items + 1, CHANGES):
            some = range(first, min(items + 1, first + CHANGES))
            changes = [
                {"op": "adjust", "sku": f"S{n}", "location": "main", "delta": -1, "reason": "shrinkage"}
                for n in some
            ]
            self.api("POST", "/changes", {"changes": changes})

    def counted(self) -> Counted:
        """Over all channels."""
        found = [operator("GET", "/admin/state")["counts"] for operator in self.operators]
        return Counted(*(sum(one[name] for one in found) for name in Counted._fields))

    def emptied(self, numbers: int) -> float:
        """Wait until the channels have set so many numbers; when that was."""
        until = time.perf_counter() + WAIT_SECONDS
        while self.counted().numbers < numbers:
            if time.perf_counter() > until:
                raise SystemExit(f"the channels have not been told all within {WAIT_SECONDS:g} s")
            time.sleep(0.02)
        return time.perf_counter()


def paced(market: Market, items: int, rate: float, burst: int, seconds: float) -> Paced:
    """All listings of so many items at once, under a limit; looked at for so long after a first moment."""
    before = market.counted()
    market.limit(rate, burst)
    market.stale(items)
    market.pause(paused=False)
    time.sleep(1.0)
    memory = []
    first, start = market.counted(), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        memory.append(market.hub.resident_mb())
        time.sleep(0.25)
    last = market.counted()
    if last.numbers - before.numbers >= items * len(market.made.links):
        raise SystemExit("all was told before the time was over: the limit is too wide to be measured")
    requests = last.requests - first.requests
    turned_away = last.throttled - before.throttled
    used = (requests - (last.throttled - first.throttled)) / (elapsed * rate * len(market.made.links))
    listings = (last.numbers - first.numbers) / elapsed
    # What is left is told without a limit, and not measured.
    market.limit(0, burst)
    market.emptied(before.numbers + items * len(market.made.links))
    return Paced(used, turned_away / (last.requests - before.requests), listings, memory)


def free(market: Market, items: int) -> float:
    """Listings a second that the hub tells where there is no limit, from the first to the last."""
    before = market.counted().numbers
    all_of_them = before + items * len(market.made.links)
    market.stale(items)
    market.pause(paused=False)
    while (begun := market.counted().numbers) == before:
        time.sleep(0.002)
    start = time.perf_counter()
    return (all_of_them - begun) / (market.emptied(all_of_them) - start)


def bare(cards: Sequence[Card], items: int) -> float:
    """Listings a second of a loop that does nothing but post the same batches to the same channels, one after
    the other, by the hub's own transport: each is encoded, and its answer decoded and looked at."""
    return uvloop.run(_bare(cards, items))


async def _bare(cards: Sequence[Card], items: int) -> float:
    transport = ChannelTransport(private=True)
    tokens = [await _token(transport, one) for one in cards]
    lots = random.Random(items)
    start = time.perf_counter()
    for first in range(1, items + 1, BATCH):
        some = range(first, min(items + 1, first + BATCH))
        rows = [{"variant": f"v{n}", "location": PLACE_MAIN, "quantity": 999} for n in some]
        for one, token in zip(cards, tokens, strict=True):
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"{lots.random()}"}
            found = await _post(transport, f"{one.url}/v1/stock", {"items": rows}, headers)
            if any(row["status"] != "ok" for row in found["results"]):
                raise SystemExit("a channel did not take a number of the bare loop")
    took = time.perf_counter() - start
    await transport.close()
    return items * len(cards) / took


async def _token(transport: ChannelTransport, one: Card) -> str:
    body = {"client_id": one.client_id, "client_secret": one.client_secret}
    found = await _post(transport, f"{one.url}/v1/token", body, {})
    return str(found["access_token"])


async def _post(transport: ChannelTransport, url: str, value: object, headers: dict[str, str]) -> Any:
    wire = Wire("POST", url, (), {"Content-Type": "application/json", **headers}, encode(value))
    answer = await transport.send(wire, timeout=30)
    if not answer.ok:
        raise SystemExit(f"{url}: {answer.words}")
    return decode(answer.body)


def seen(market: Market, item: int) -> float:
    """Seconds from the answer to a change, which leaves after its commit, until all channels of the item have
    acknowledged it."""
    changes = [{"op": "adjust", "sku": f"S{item}", "location": "main", "delta": -1, "reason": "shrinkage"}]
    token = market.api("POST", "/changes", {"changes": changes})["token"]
    start = time.perf_counter()
    if not market.api("GET", f"/changes/{token}/seen?wait=10")["seen"]:
        raise SystemExit("the channels have not acknowledged a change within 10 s")
    return time.perf_counter() - start


def own_time(cards: Sequence[Card], times: int) -> float:
    """Seconds that a channel takes for one number, in the middle."""
    return uvloop.run(_own_time(cards[0], times))


async def _own_time(one: Card, times: int) -> float:
    transport = ChannelTransport(private=True)
    headers = {"Authorization": f"Bearer {await _token(transport, one)}"}
    row = {"variant": "v1", "location": PLACE_MAIN, "quantity": 999}
    found = []
    for _ in range(times):
        start = time.perf_counter()
        await _post(transport, f"{one.url}/v1/stock", {"items": [row]}, headers)
        found.append(time.perf_counter() - start)
    await transport.close()
    return statistics.median(found)
