"""Requests to a hub's Marketplacer dialect; every answer is checked against the contract."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from contracts import contract
from hubs import Hub

CONTRACT = contract("onhand.dialects.marketplacer")
BASE = "/marketplacer/api/v2/client"
PREFIX = "/api/v2/client"
MEDIA_TYPE = "application/vnd.api+json"
RECORDS = f"{PREFIX}/variants/{{variant}}/inventories"
RECORD = f"{RECORDS}/{{inventory}}"
VARIANTS, VARIANT = f"{PREFIX}/variants", f"{PREFIX}/variants/{{variant}}"
MEMBERS, STOCK = f"{PREFIX}/multi_store_memberships", f"{PREFIX}/variants/stock_on_hand"
LAMP, SHADE, BULB, FIG, SINGLE = 1, 2, 3, 4, 6
"""Variants of the demo; the last one has one seller only."""

SKUS = {1: "LAMP-BRASS-40", 2: "LAMP-PAPER-60", 3: "BULB-E27-4W", 4: "CANDLE-FIG-220", 6: "TIMER-COPPER"}


def key(hub: Hub, seller: int | None = None) -> str:
    """The parent's key, or a member's."""
    section = hub.section
    if seller is None:
        return str(section["parent_key"])
    return next(str(one["key"]) for one in section["members"] if one["seller_id"] == seller)


def bearer(secret: str, media: str | None = MEDIA_TYPE) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} | ({"Content-Type": media} if media else {})


def call(
    hub: Hub,
    method: str,
    template: str,
    body: Any = None,
    *,
    seller: int | None = None,
    headers: dict[str, Any] | None = None,
    query: str = "",
    **names: object,
) -> httpx2.Response:
    """One request by the parent, or by a seller's key; ``body`` is JSON, or bytes as they are."""
    sent = bearer(key(hub, seller)) if headers is None else headers
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    path = "/marketplacer" + template.format(**names) + query
    answer = hub.client.request(method, path, headers=sent, content=content)
    return CONTRACT.check(method, template, answer)


def put(hub: Hub, variant: object, body: Any, seller: int | None = None) -> httpx2.Response:
    return call(hub, "put", RECORDS, body, seller=seller, variant=variant)


def get(hub: Hub, variant: object, seller: int | None = None) -> httpx2.Response:
    return call(hub, "get", RECORDS, seller=seller, variant=variant)


def delete(hub: Hub, variant: object, record: object, seller: int | None = None) -> httpx2.Response:
    return call(hub, "delete", RECORD, seller=seller, variant=variant, inventory=record)


def records(*attributes: dict[str, Any]) -> dict[str, Any]:
    """The body of a PUT."""
    return {"data": [{"type": "inventories", "attributes": one} for one in attributes]}


def shown(answer: httpx2.Response) -> dict[int, dict[str, Any]]:
    """Seller to attributes, of an answer of 200."""
    assert answer.status_code == 200, answer.text
    return {one["attributes"]["seller_id"]: one["attributes"] for one in answer.json()["data"]}


def error(answer: httpx2.Response) -> tuple[int, str | None, str]:
    """(status, source, title) of an error, whose parts agree."""
    (one,) = answer.json()["errors"]
    assert list(one) == ["title", "detail", "id", "href", "code", "source", "links", "status"]
    assert one["code"] == answer.status_code
    assert answer.headers["content-type"] == MEDIA_TYPE
    return answer.status_code, one["source"], one["title"]
