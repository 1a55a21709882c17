"""What is sent: requests of our own API and of every dialect, as they go over the wire."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from benchmarks.load import MARK

CONNECTIONS = 64
PREPARED = 200
"""Different requests that each connection has ready and repeats."""

PLENTY = 900_000
"""Where a number is set, it is a random one above this: nearly never the one that is there."""

PAGE = 250
"""Levels in a large read."""

DAY_SECONDS = 86_400

TREET_ID = "00000000-0000-4000-8000-"
PRODUCT_ID = "BENCH00000001"


class Scene(NamedTuple):
    """A prepared database: its URL, how many items account 1 has, what each API needs to be told (credentials
    and ids, by name), and the keys of the accounts behind the first."""

    db: str
    items: int
    keys: Mapping[str, Mapping[str, Any]]
    others: tuple[str, ...] = ()
    link: int = 0


Make = Callable[[random.Random], str]
"""Draws one request."""


def plan(make: Make, seed: int, connections: int = CONNECTIONS, prepared: int = PREPARED) -> list[list[str]]:
    """What every connection sends."""
    dice = random.Random(seed)
    return [[make(dice) for _ in range(prepared)] for _ in range(connections)]


def http(method: str, path: str, headers: Mapping[str, str], body: object = None) -> str:
    """A request, with its body as compact JSON if it has one."""
    text = "" if body is None else json.dumps(body, separators=(",", ":"))
    fields = {"Host": "bench", **headers}
    if body is not None:
        fields = {"Content-Type": "application/json", **fields, "Content-Length": str(len(text))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n{text}"


# --- our own API --------------------------------------------------------------------------------------


def _native(scene: Scene, key: str | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key or scene.keys['native']['api_key']}"}


def _change(dice: random.Random, items: int) -> dict[str, Any]:
    sku = f"S{dice.randint(1, items)}"
    return {"op": "adjust", "sku": sku, "location": "main", "delta": dice.choice((1, -1))}


def adjust(scene: Scene, *, keyed: bool = False) -> Make:
    """One unit more or less of a random item; ``keyed`` with a fresh idempotency key."""
    headers = _native(scene) | ({"Idempotency-Key": MARK} if keyed else {})
    return lambda dice: http("POST", "/api/v1/changes", headers, {"changes": [_change(dice, scene.items)]})


def adjust_hot(scene: Scene) -> Make:
    """The same, all on one item."""
    one = scene._replace(items=1)
    return adjust(one)


def adjust_others(scene: Scene, items: int) -> Make:
    """The same, each time in a random account of those behind the first."""
    return lambda dice: http(
        "POST",
        "/api/v1/changes",
        _native(scene, dice.choice(scene.others)),
        {"changes": [_change(dice, items)]},
    )


def adjust_own(scene: Scene, items: int, account: int) -> Make:
    """The same in one account of those behind the first."""
    return adjust_others(scene._replace(others=scene.others[account : account + 1]), items)


def bulk(scene: Scene, changes: int) -> Make:
    """So many changes in a request."""
    return lambda dice: http(
        "POST",
        "/api/v1/changes",
        _native(scene),
        {"changes": [_change(dice, scene.items) for _ in range(changes)]},
    )


def reserve(scene: Scene, sku: str | None = None) -> Make:
    """A unit of a random item, or of one, under a reference of its own."""

    def make(dice: random.Random) -> str:
        line = {"sku": sku or f"S{dice.randint(1, scene.items)}", "quantity": 1, "location": "main"}
        body = {"reference": MARK, "confirmed": True, "lines": [line]}
        return http("POST", "/api/v1/reservations", _native(scene), body)

    return make


def hold(scene: Scene, items: int) -> str:
    """A unit of each of the first items, for a day."""
    lines = [{"sku": f"S{item}", "quantity": 1, "location": "main"} for item in range(1, items + 1)]
    body = {"reference": "hold", "ttl_seconds": DAY_SECONDS, "lines": lines}
    return http("POST", "/api/v1/reservations", _native(scene), body)


def level(scene: Scene, sku: str | None = None, rest: str = "") -> Make:
    """One level of a random item, or of one; ``rest`` is put behind it."""

    def make(dice: random.Random) -> str:
        name = sku or f"S{dice.randint(1, scene.items)}"
        return http("GET", f"/api/v1/levels/sku:{name}/name:main{rest}", _native(scene))

    return make


def levels(scene: Scene, cursors: list[str]) -> Make:
    """A page of levels that begins anywhere."""
    return lambda dice: http(
        "GET", f"/api/v1/levels?limit={PAGE}&cursor={dice.choice(cursors)}", _native(scene)
    )


def get(scene: Scene, path: str) -> str:
    """Any read."""
    return http("GET", path, _native(scene))


def put_level(scene: Scene, sku: str, units: int) -> str:
    """Sets what is on hand of an item."""
    return http("PUT", f"/api/v1/levels/sku:{sku}/name:main", _native(scene), {"on_hand": units})


# --- the dialects -------------------------------------------------------------------------------------


def treet(scene: Scene) -> Make:
    """A listing's number, adjusted."""
    headers = scene.keys["treet"]["headers"]

    def make(dice: random.Random) -> str:
        path = f"/treet/v1/listings/{TREET_ID}{100_000_000_000 + dice.randint(1, scene.items)}/inventory"
        body = {"action": "ADJUST_INVENTORY", "inventoryAdjustment": dice.choice((1, -1))}
        return http("PUT", path, headers, body)

    return make


def flipkart_token(scene: Scene) -> str:
    """Asks for the access token that `flipkart` needs."""
    app = scene.keys["flipkart"]
    basic = base64.b64encode(f"{app['app_id']}:{app['app_secret']}".encode()).decode()
    path = "/flipkart/oauth-service/oauth/token?grant_type=client_credentials"
    return http("GET", path, {"Authorization": f"Basic {basic}"})


def flipkart(scene: Scene, token: str) -> Make:
    """One SKU's inventory at one location."""
    place = scene.keys["flipkart"]["location"]

    def make(dice: random.Random) -> str:
        spot = {"id": place, "inventory": dice.randint(PLENTY, PLENTY * 2)}
        body = {f"S{dice.randint(1, scene.items)}": {"product_id": PRODUCT_ID, "locations": [spot]}}
        path = "/flipkart/sellers/listings/v3/update/inventory"
        return http("POST", path, {"Authorization": f"Bearer {token}"}, body)

    return make


def trackstar(scene: Scene) -> Make:
    """One product's inventory, increased or decreased at its warehouse."""
    made = scene.keys["trackstar"]
    headers = {
        "x-trackstar-api-key": made["api_key"],
        "x-trackstar-access-token": made["access_token"],
    }

    def make(dice: random.Random) -> str:
        path = f"/trackstar/cart/products/T{dice.randint(1, scene.items)}/adjust-inventory"
        kind = dice.choice(("increase", "decrease"))
        body = {"adjustment_type": kind, "quantity": 1, "warehouse_id": "1", "reason": "restock"}
        return http("PUT", path, headers, body)

    return make


def marketplacer(scene: Scene) -> Make:
    """What one seller has on hand of a variant."""
    headers = {
        "Authorization": f"Bearer {scene.keys['marketplacer']['api_key']}",
        "Content-Type": "application/vnd.api+json",
    }

    def make(dice: random.Random) -> str:
        path = f"/marketplacer/api/v2/client/variants/{dice.randint(1, scene.items)}/inventories"
        fields = {"count_on_hand": dice.randint(PLENTY, PLENTY * 2), "seller_id": 1}
        return http("PUT", path, headers, {"data": [{"type": "inventories", "attributes": fields}]})

    return make


def sellbrite(scene: Scene) -> Make:
    """What can be sold of one SKU in one warehouse."""
    made = scene.keys["sellbrite"]
    who = base64.b64encode(f"{made['account_token']}:{made['secret_key']}".encode()).decode()

    def make(dice: random.Random) -> str:
        record = {
            "sku": f"S{dice.randint(1, scene.items)}",
            "warehouse_uuid": made["warehouse"],
            "available": dice.randint(PLENTY, PLENTY * 2),
        }
        path = "/sellbrite/v1/inventory"
        return http("PUT", path, {"Authorization": f"Basic {who}"}, {"inventory": [record]})

    return make
