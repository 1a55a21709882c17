"""Sixty-four clients of three APIs race over HTTP for the last units of one item: exactly those are sold."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from commands import onhand
from onhand.sample import SHARED
from servers import demo_server

CLIENTS, UNITS = 64, 100
PATIENCE_SECONDS = 60
CART = "shopify"


class Sale(NamedTuple):
    """A request that takes one unit, and the status that says that there is none left."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    sold_out: int


Seller = Callable[[dict[str, Any], str], Sale]


def adjusting(demo: dict[str, Any], name: str) -> Sale:
    """Our own API, with a key."""
    change = {"op": "adjust", "item": SHARED, "location": "MAIN", "delta": -1, "reference": name}
    headers = _bearer(demo) | {"Idempotency-Key": name}
    return Sale("POST", "/api/v1/changes", headers, {"changes": [change]}, 409)


def reserving(demo: dict[str, Any], name: str) -> Sale:
    """Our own API, as an order."""
    line = {"item": SHARED, "location": "MAIN", "quantity": 1}
    body = {"reference": name, "confirmed": True, "lines": [line]}
    return Sale("POST", "/api/v1/reservations", _bearer(demo), body, 409)


def decreasing(demo: dict[str, Any], name: str) -> Sale:
    """Trackstar."""
    section = demo["trackstar"]
    link = next(one for one in section["connections"] if one["integration"] == CART)
    product = next(one for one in link["products"] if one["id"] == f"{CART}-{SHARED}")
    headers = {"x-trackstar-api-key": section["api_key"], "x-trackstar-access-token": link["access_token"]}
    body = {
        "adjustment_type": "decrease",
        "quantity": 1,
        "warehouse_id": product["warehouse_ids"][0],
        "reason": "other",
    }
    return Sale("PUT", f"/trackstar/cart/products/{product['id']}/adjust-inventory", headers, body, 422)


def listing(demo: dict[str, Any], name: str) -> Sale:
    """Treet."""
    section = demo["treet"]
    sku = next(one["sku"] for one in demo["trackstar"]["connections"][0]["products"] if is_shared(one))
    found = next(one["id"] for one in section["listings"] if one["sku"] == sku)
    body = {"action": "ADJUST_INVENTORY", "inventoryAdjustment": -1}
    return Sale("PUT", f"/treet/v1/listings/{found}/inventory", section["headers"], body, 400)


def is_shared(product: dict[str, Any]) -> bool:
    """Whether a product is the item that every API offers."""
    return str(product["id"]).endswith(f"-{SHARED}")


def _bearer(demo: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {demo['native']['api_key']}"}


SELLERS: list[Seller] = [adjusting, reserving, decreasing, listing]


@pytest.mark.parametrize("sellers", [[adjusting], SELLERS], ids=["one API", "three APIs"])
def test_exactly_the_last_units_are_sold(tmp_path: Path, sellers: list[Seller]) -> None:
    with demo_server(tmp_path) as (server, demo):
        change = {"op": "set_on_hand", "item": SHARED, "location": "MAIN", "quantity": UNITS}
        made = httpx2.post(f"{server.url}/api/v1/changes", headers=_bearer(demo), json={"changes": [change]})
        assert made.status_code == 200, made.text
        sold = asyncio.run(asyncio.wait_for(race(server.url, demo, sellers), PATIENCE_SECONDS))
        assert sum(sold.values()) == UNITS
        assert len(sold) == len(sellers), f"not everybody had a chance: {sold}"
        path = f"{server.url}/api/v1/levels/{SHARED}/name:MAIN"
        level = httpx2.get(path, headers=_bearer(demo)).json()
        reserved = sold.get("reserving", 0)
        assert (level["on_hand"], level["reserved"], level["available"]) == (reserved, reserved, 0)
        assert server.stop() == 0
    verified = onhand("verify", "--db", tmp_path / "hub.db")
    assert verified.code == 0, verified.out


async def race(url: str, demo: dict[str, Any], sellers: list[Seller]) -> Counter[str]:
    """Every client sells until there is nothing left; how many units each kind of client sold."""
    start = asyncio.Event()
    sold: Counter[str] = Counter()

    async def client(number: int) -> None:
        seller = sellers[number % len(sellers)]
        async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as http:
            await http.get("/livez")
            await start.wait()
            for turn in itertools.count():
                sale = seller(demo, f"sale-{number}-{turn}")
                answer = await http.request(sale.method, sale.path, headers=sale.headers, json=sale.body)
                if answer.status_code == sale.sold_out:
                    return
                assert answer.is_success, answer.text
                sold[seller.__name__] += 1

    running = [asyncio.ensure_future(client(number)) for number in range(CLIENTS)]
    await asyncio.sleep(0)
    start.set()
    await asyncio.gather(*running)
    return sold
