"""Calls of our own API for tests: every answer is checked against the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx2

from contracts import contract
from hubs import Hub

PREFIX = "/api/v1"
CONTRACT = contract("onhand.api")
MAIN, EAST, WEST = 1, 2, 3
"""The demo's locations; seller n owns location n."""

LAMP, SHADE, GIFT = 1, 2, 40
"""Items of the demo: 10, 22 and 50 at MAIN, and 10 of the shade at EAST."""

LAMP_SKU, SHADE_SKU, GIFT_SKU = "LAMP-BRASS-40", "LAMP-PAPER-60", "GIFT-CARD-BOX"


class Api:
    """One caller of a hub's API."""

    def __init__(self, hub: Hub, key: str) -> None:
        self.hub = hub
        self.key = key

    def ask(
        self,
        method: str,
        path: str,
        json: object = None,
        *,
        content: bytes | None = None,
        params: Any = None,
        **headers: str,
    ) -> httpx2.Response:
        """Send a request; ``headers`` are written with underscores. The answer, as the contract has it."""
        sent: dict[str, str] = {"Authorization": f"Bearer {self.key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body: dict[str, Any] = {}
        if content is not None:
            body["content"] = content
            sent.setdefault("Content-Type", "application/json")
        elif json is not None:
            body["json"] = json
        answer = self.hub.client.request(method, PREFIX + path, headers=sent, params=params, **body)
        template = template_of(path)
        if template is not None and method.lower() in CONTRACT.document["paths"][template]:
            CONTRACT.check(method, template, answer)
        return answer

    def get(self, path: str, status: int = 200, **options: Any) -> Any:
        """The body of a GET."""
        answer = self.ask("GET", path, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: object = None, status: int | None = None, **options: Any) -> Any:
        """The body of a POST; without ``status`` any success is good."""
        answer = self.ask("POST", path, body, **options)
        assert answer.status_code == status if status else answer.is_success, answer.text
        return answer.json()

    def change(
        self, *changes: Mapping[str, Any], status: int = 200, mode: str = "atomic", **more: Any
    ) -> Any:
        """The body of POST /changes."""
        return self.post("/changes", {"changes": changes, "mode": mode}, status, **more)

    def level(self, item: int, location: int = MAIN) -> tuple[int, int] | None:
        """(on hand, reserved); None where there is no level."""
        answer = self.ask("GET", f"/levels/{item}/{location}")
        if answer.status_code == 404:
            return None
        body = answer.json()
        return body["on_hand"], body["reserved"]

    def caller(self, **wish: Any) -> Api:
        """Another caller, with a fresh key."""
        return Api(self.hub, self.post("/keys", {"scope": "write"} | wish, 201)["api_key"])


def admin(hub: Hub) -> Api:
    """The demo's own caller."""
    return Api(hub, hub.sections["native"]["api_key"])


@cache
def template_of(path: str) -> str | None:
    """The contract's template of a path; None for a path that it does not have."""
    bare = path.partition("?")[0]
    for template in sorted(CONTRACT.document["paths"], key=lambda one: one.count("{")):
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, bare, re.DOTALL):
            return str(template)
    return None


def escaped(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def adjust(delta: int, item: int | None = GIFT, location: int | str = MAIN, **more: Any) -> dict[str, Any]:
    """A change by ``delta``."""
    return {"op": "adjust", "item": item, "location": location, "delta": delta} | more


def hold(quantity: int, reference: str = "r", item: int = GIFT, **more: Any) -> dict[str, Any]:
    """A change that reserves, without end unless ``more`` says how long."""
    until = {} if "ttl_seconds" in more else {"expires_at": None}
    lines = [{"item": item, "quantity": quantity}]
    return {"op": "reserve", "reference": reference, "lines": lines} | until | more


def codes(answer: httpx2.Response | dict[str, Any]) -> tuple[str, list[str | None]]:
    """(code, pointers) of a problem."""
    body = answer if isinstance(answer, dict) else answer.json()
    return body["code"], [entry.get("pointer") for entry in body.get("errors", [])]
