"""Load for a hub that is killed: clients of five APIs that keep a log of what was acknowledged.

Every client has one request under way. It notes the request before it is sent, and afterwards what came
of it; a request without an answer is sent again, with its own key, until there is one. So when a client
has ended, it knows of each request whether it was done, but for the queued ones of Sellbrite, which have
no key.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

IMPOSSIBLE = 900_000_000_000
EVERY_REFUSED, EVERY_REPEATED = 7, 11
"""One request in so many is one that must be refused; one answer in so many is asked for again."""

UNSURE = (500, 503)
PATIENCE_SECONDS = 60
AGAIN_SECONDS = 0.01


class Done(NamedTuple):
    """An acknowledged request: whose, its number at that client, and what it did."""

    client: str
    name: str
    value: int


class World:
    """Where the hub is now, and the log of acknowledgements."""

    def __init__(self, demo: dict[str, Any], log: Path, seed: int) -> None:
        self.demo = demo
        self.random = random.Random(seed)
        self.stopping = False
        self.unsure: Counter[str] = Counter()
        self.done: list[Done] = []
        self.refused: list[Done] = []
        self.sent: list[Done] = []
        self._url = ""
        self._up = asyncio.Event()
        self._answered = asyncio.Event()
        self._log = log.open("a", encoding="utf-8")
        self._http = httpx2.AsyncClient(timeout=PATIENCE_SECONDS)

    async def close(self) -> None:
        """Let go of connections and of the log."""
        await self._http.aclose()
        self._log.close()

    def moved(self, url: str) -> None:
        """The hub answers at ``url``."""
        self._url = url
        self._up.set()

    def gone(self) -> None:
        """The hub has ended."""
        self._up.clear()

    async def progress(self) -> None:
        """Wait for the next answer."""
        self._answered.clear()
        await self._answered.wait()

    async def ask(self, done: Done, method: str, path: str, **options: Any) -> httpx2.Response | None:
        """Send a request once; None where it is not known what became of it."""
        await self._up.wait()
        self._note("invoke", done)
        try:
            answer = await self._http.request(method, self._url + path, **options)
        except httpx2.ConnectError:
            self._note("not sent", done)
            await asyncio.sleep(AGAIN_SECONDS)
            return None
        except httpx2.TransportError:
            answer = None
        if answer is None or answer.status_code in UNSURE:
            self.unsure[done.client] += 1
            self._note("unknown", done)
            await asyncio.sleep(AGAIN_SECONDS)
            return None
        self._note(f"answered {answer.status_code}", done)
        self._answered.set()
        return answer

    async def insist(self, done: Done, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request that has a key, or that may be repeated, until it is known what became of it."""
        while True:
            answer = await self.ask(done, method, path, **options)
            if answer is not None:
                return answer

    async def keyed(self, done: Done, method: str, path: str, **options: Any) -> httpx2.Response:
        """Insist, and now and then ask again for an answer that came: it must be the same."""
        answer = await self.insist(done, method, path, **options)
        if answer.is_success and self.random.randrange(EVERY_REPEATED) == 0:
            again = await self.insist(done, method, path, **options)
            assert (again.status_code, again.content) == (answer.status_code, answer.content), done
        return answer

    def _note(self, what: str, done: Done) -> None:
        self._log.write(json.dumps([what, *done]) + "\n")


Run = Callable[[World, str, int], Awaitable[None]]


async def changes(world: World, me: str, at: int) -> None:
    """Our own API: adjustments of one item that all clients share, each under its own reference and key."""
    for number in itertools.count(1):
        if world.stopping:
            return
        refused = number % EVERY_REFUSED == 0
        delta = -IMPOSSIBLE if refused else world.random.choice((-2, -1, 1, 2, 3))
        done = Done(me, f"{me}-{number}", delta)
        change = {"op": "adjust", "item": 40, "location": "MAIN", "delta": delta, "reference": done.name}
        answer = await world.keyed(
            done, "POST", "/api/v1/changes", headers=_native(world, done.name), json={"changes": [change]}
        )
        assert answer.status_code == (409 if refused else 200), answer.text
        (world.refused if refused else world.done).append(done)


async def orders(world: World, me: str, at: int) -> None:
    """Our own API: one unit reserved and then shipped, both under the order's reference."""
    for number in itertools.count(1):
        if world.stopping:
            return
        done = Done(me, f"{me}-{number}", 1)
        body: dict[str, Any] = {
            "reference": done.name,
            "confirmed": True,
            "lines": [{"item": at, "location": "MAIN", "quantity": 1}],
        }
        headers = _native(world, f"{done.name}-reserve")
        held = await world.keyed(done, "POST", "/api/v1/reservations", headers=headers, json=body)
        assert held.status_code == 201, held.text
        headers = _native(world, f"{done.name}-ship")
        path = f"/api/v1/reservations/{done.name}/ship"
        shipped = await world.keyed(done, "POST", path, headers=headers, json={})
        assert shipped.status_code == 200, shipped.text
        world.done.append(done)


async def products(world: World, me: str, at: int) -> None:
    """Trackstar: more and fewer units of a product, each number once, so that it names its request."""
    section = world.demo["trackstar"]
    link = next(one for one in section["connections"] if one["integration"] == "shopify")
    product = link["products"][at]
    path = f"/trackstar/cart/products/{product['id']}/adjust-inventory"
    for number in itertools.count(1):
        if world.stopping:
            return
        refused = number % EVERY_REFUSED == 0
        mode = "decrease" if refused or number % 2 == 0 else "increase"
        units = IMPOSSIBLE if refused else number
        body = {
            "adjustment_type": mode,
            "quantity": units,
            "warehouse_id": product["warehouse_ids"][0],
            "reason": "restock",
        }
        headers = {
            "x-trackstar-api-key": section["api_key"],
            "x-trackstar-access-token": link["access_token"],
            "Idempotency-Key": f"{me}-{number}",
        }
        done = Done(me, f"{me}-{number}", -units if mode == "decrease" else units)
        answer = await world.keyed(done, "PUT", path, headers=headers, json=body)
        assert answer.status_code == (422 if refused else 200), answer.text
        (world.refused if refused else world.done).append(done)


async def listings(world: World, me: str, at: int) -> None:
    """Treet: a chain of compare-and-set, each link one more than the last."""
    section = world.demo["treet"]
    listing = section["listings"][at]
    path = f"/treet/v1/listings/{listing['id']}/inventory"
    shown = int(listing["availableInventory"])
    for number in itertools.count(1):
        if world.stopping:
            return
        done = Done(me, f"{me}-{number}", shown + 1)
        body = {"action": "SET_INVENTORY", "oldInventory": shown, "newInventory": shown + 1}
        before = world.unsure[me]
        answer = await world.insist(done, "PUT", path, headers=section["headers"], json=body)
        if answer.status_code == 400 and world.unsure[me] > before:
            # The one before this was done after all: then the listing has what that asked for.
            assert answer.json()["error"].endswith(f" {shown + 1}"), answer.text
        else:
            assert answer.status_code == 200, answer.text
        shown += 1
        world.done.append(done)


async def skus(world: World, me: str, at: int) -> None:
    """Flipkart: what is available, set to one number after another."""
    section = world.demo["flipkart"]
    known = section["skus"][at]
    who = (section["app_id"], section["app_secret"])
    path = "/flipkart/oauth-service/oauth/token?grant_type=client_credentials&scope=Seller_Api"
    token = (await world.insist(Done(me, "token", 0), "GET", path, auth=who)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    for number in itertools.count(1_000):
        if world.stopping:
            return
        done = Done(me, f"{me}-{number}", number)
        spots = [{"id": known["locations"][0], "inventory": number}]
        body = {known["sku"]: {"product_id": known["product_id"], "locations": spots}}
        path = "/flipkart/sellers/listings/v3/update/inventory"
        answer = await world.insist(done, "POST", path, headers=headers, json=body)
        assert answer.json()[known["sku"]]["status"] == "SUCCESS", answer.text
        world.done.append(done)


async def queued(world: World, me: str, at: int) -> None:
    """Sellbrite: accepted now and applied soon. Without an answer the number may come to be or not."""
    section = world.demo["sellbrite"]
    pair = f"{section['account_token']}:{section['secret_key']}".encode()
    headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    for number in itertools.count(1_000):
        if world.stopping:
            return
        done = Done(me, f"{me}-{number}", number)
        record = {"sku": section["skus"][at], "warehouse_uuid": section["warehouses"][0], "on_hand": number}
        world.sent.append(done)
        answer = await world.ask(
            done, "PUT", "/sellbrite/v1/inventory", headers=headers, json={"inventory": [record]}
        )
        if answer is not None:
            assert answer.status_code == 200, answer.text
            world.done.append(done)


def _native(world: World, key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.demo['native']['api_key']}", "Idempotency-Key": key}


class Client(NamedTuple):
    """One client: its name, what it does, where, and the item of the demo whose stock it moves."""

    name: str
    run: Run
    at: int
    item: int


CLIENTS = (
    *(Client(f"native{n}", changes, 0, 40) for n in range(4)),
    Client("orders", orders, 5, 5),
    Client("trackstar0", products, 0, 22),
    Client("trackstar1", products, 1, 23),
    Client("treet0", listings, 1, 8),
    Client("treet1", listings, 2, 9),
    Client("flipkart0", skus, 1, 14),
    Client("flipkart1", skus, 2, 15),
    Client("sellbrite0", queued, 1, 32),
    Client("sellbrite1", queued, 2, 33),
)
"""Thirteen clients; those of our own API share an item, every other one has its own."""
