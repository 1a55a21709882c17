"""Requests to a hub's Treet dialect; every answer is checked against the contract."""

from __future__ import annotations

from typing import Any

import httpx2

from contracts import contract
from hubs import Hub

CONTRACT = contract("onhand.dialects.treet")
UPDATE = "/v1/listings/{id}/inventory"
LIST = "/v1/listings"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
COAT = "COAT-WOOL-CAMEL-M"
"""The item of the first listing, which starts at 5."""


def ids(hub: Hub) -> list[str]:
    return [one["id"] for one in hub.section["listings"]]


def path(listing: str) -> str:
    return f"/treet/v1/listings/{listing}/inventory"


def put(hub: Hub, listing: str, body: Any, headers: dict[str, str] | None = None) -> httpx2.Response:
    options: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
    sent = hub.section["headers"] if headers is None else headers
    answer = hub.client.put(path(listing), headers=sent, **options)
    return CONTRACT.check("put", UPDATE, answer)


def get(hub: Hub, query: str = "", headers: dict[str, str] | None = None) -> httpx2.Response:
    sent = hub.section["headers"] if headers is None else headers
    return CONTRACT.check("get", LIST, hub.client.get(f"/treet/v1/listings{query}", headers=sent))


def swap(old: int, new: int) -> dict[str, Any]:
    return {"action": "SET_INVENTORY", "oldInventory": old, "newInventory": new}


def adjust(by: int) -> dict[str, Any]:
    return {"action": "ADJUST_INVENTORY", "inventoryAdjustment": by}


def state(hub: Hub, listing: str) -> tuple[str, int]:
    found = {one["id"]: one for one in get(hub).json()["listings"]}[listing]
    return found["state"], found["availableInventory"]
