"""Requests to a hub's Trackstar dialect; every answer is checked against the contract."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import httpx2

from contracts import contract
from hubs import Call, Hub
from onhand.dialects.trackstar.rules import RULES

CONTRACT = contract("onhand.dialects.trackstar")
ADJUST = "/cart/products/{product_id}/adjust-inventory"
BATCH = "/cart/products/batch-adjust-inventory"
TEMPLATES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path)
    for path in sorted(CONTRACT.document["paths"], key=lambda path: path.count("{"))
]
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


class Shop(NamedTuple):
    """A connection of the demo: what its requests carry, and its first product."""

    name: str
    headers: dict[str, str]
    product: str
    sku: str
    warehouses: list[str]
    shop_id: str | None

    def body(self, mode: str = "increase", quantity: Any = 1, **more: Any) -> dict[str, Any]:
        """A valid adjustment of this connection's integration."""
        rule = RULES[self.name]
        found = {
            "adjustment_type": mode,
            "quantity": quantity,
            "warehouse_id": self.warehouses[0],
            "reason": next(iter(rule.reasons), None),
            "shop_id": self.shop_id,
        }
        return {name: found[name] for name in rule.required} | more


def shop(hub: Hub, name: str, section: dict[str, Any] | None = None, product: int = 0) -> Shop:
    own = hub.section if section is None else section
    link = next(one for one in own["connections"] if one["integration"] == name)
    chosen = link["products"][product]
    headers = {"x-trackstar-api-key": own["api_key"], "x-trackstar-access-token": link["access_token"]}
    return Shop(name, headers, chosen["id"], chosen["sku"], chosen["warehouse_ids"], link.get("shop_id"))


def template(path: str) -> str:
    bare = path.partition("?")[0]
    return next(found for pattern, found in TEMPLATES if pattern.fullmatch(bare))


def checked(method: str, path: str, answer: httpx2.Response) -> httpx2.Response:
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    return CONTRACT.check(method, template(path), answer)


def put(
    hub: Hub,
    at: Shop,
    body: Any,
    *,
    product: str | None = None,
    key: str | None = None,
    path: str | None = None,
    headers: dict[str, str] | None = None,
) -> httpx2.Response:
    where = path or f"/cart/products/{product or at.product}/adjust-inventory"
    sent = dict(at.headers if headers is None else headers)
    if key is not None:
        sent["Idempotency-Key"] = key
    options: dict[str, Any] = {"json": body}
    if isinstance(body, bytes):
        options = {"content": body}
        sent.setdefault("Content-Type", "application/json")
    return checked("put", where, hub.client.put(f"/trackstar{where}", headers=sent, **options))


def get(hub: Hub, at: Shop, path: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    sent = at.headers if headers is None else headers
    return checked("get", path, hub.client.get(f"/trackstar{path}", headers=sent))


def call(at: Shop, body: Any, key: str | None = None) -> Call:
    """The request of `put`, for `Hub.together`."""
    more = {} if key is None else {"Idempotency-Key": key}
    path = f"/trackstar/cart/products/{at.product}/adjust-inventory"
    return Call("PUT", path, {"json": body, "headers": at.headers | more})


def product(hub: Hub, at: Shop, name: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = get(hub, at, f"/cart/products/{name or at.product}").json()["data"]
    return found


def faults(answer: httpx2.Response, place: str = "json") -> dict[str, list[str]]:
    """What a 422 of the API itself says is wrong, by field."""
    body = answer.json()
    assert (answer.status_code, body["error"], body["origin"]) == (422, "Validation error", "trackstar")
    found: dict[str, list[str]] = body["detail"][place]
    return found
