"""Requests to a hub's Sellbrite dialect; every answer is checked against the contract."""

from __future__ import annotations

from typing import Any

import httpx2

from contracts import contract
from hubs import Hub
from onhand.store import incidents, requests

CONTRACT = contract("onhand.dialects.sellbrite")
UNKNOWN = "00000000-0000-4000-8000-000000000000"
RECEIVED = {"body": "Request received"}
NOTEBOOK, PEN = "NOTEBOOK-A5-DOT", "PEN-BRASS-07"
"""The notebook has 3 on hand and 1 reserved at MAIN, the pen 52 at MAIN; both have 10 at EAST."""


def auth(hub: Hub) -> tuple[str, str]:
    return hub.section["account_token"], hub.section["secret_key"]


def warehouse(hub: Hub, at: int = 0) -> str:
    """MAIN, EAST or WEST."""
    found: str = hub.section["warehouses"][at]
    return found


def call(hub: Hub, method: str, path: str, body: Any = None, **options: Any) -> httpx2.Response:
    """A request below the mount; ``body`` is sent as JSON, or as it is when it is bytes."""
    if body is not None:
        options["content" if isinstance(body, bytes) else "json"] = body
    options.setdefault("auth", auth(hub))
    answer = hub.client.request(method, "/sellbrite" + path, **options)
    template = path.removeprefix("/v1").partition("?")[0].rstrip("/")
    if template.startswith("/warehouses/"):
        template = "/warehouses/{uuid}"
    return CONTRACT.check(method, template, answer)


def put(hub: Hub, *records: Any, method: str = "PUT", **options: Any) -> httpx2.Response:
    return call(hub, method, "/inventory", {"inventory": list(records)}, **options)


def record(hub: Hub, sku: str = NOTEBOOK, at: int = 0, **fields: Any) -> dict[str, Any]:
    return {"sku": sku, "warehouse_uuid": warehouse(hub, at), **fields}


def shown(hub: Hub, sku: str = NOTEBOOK, at: int = 0) -> tuple[int, int, int] | None:
    """(on_hand, reserved, available) as the API shows it; None where there is no record."""
    found = row(hub, sku, at)
    return found and (found["on_hand"], found["reserved"], found["available"])


def row(hub: Hub, sku: str = NOTEBOOK, at: int = 0) -> Any:
    found = call(hub, "GET", "/inventory", params={"sku": sku, "warehouse_uuid": warehouse(hub, at)}).json()
    return found[0] if found else None


def waiting(hub: Hub) -> int:
    """Messages that are not applied."""
    found = hub.read(lambda c: requests.waiting(c, hub.account))
    return len(found)


def open_incidents(hub: Hub) -> list[incidents.Incident]:
    return hub.read(lambda c: incidents.page(c, hub.account))
