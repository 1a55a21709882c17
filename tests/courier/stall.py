"""The Bazaar's other side: keeps stock in memory and answers as its API says, or as a fault has it.

POST /stock   [{id, quantity, from, key, reason, where}] sets numbers. With ``compare``, ``from`` must be
              what is shown. 422 for the whole when a row is poisoned, without saying which.
GET  /stock   ?after=&limit=   {rows: [{id, quantity, place}], next}
GET  /orders  ?after=          {orders: [{n, id, units}]}
POST /token   {refresh}        {token, refresh, expires_in}; the old pair is void at once
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

Hook = Callable[[Wire], Awaitable[None]]


class Stall:
    """A transport whose every request ends here. ``during`` is awaited while a request is under way,
    before it is applied; ``after`` when it was applied and is not yet answered."""

    def __init__(self) -> None:
        self.stock: dict[str, int] = {}
        self.places: dict[str, str] = {}
        self.sold: list[dict[str, Any]] = []
        self.said: list[dict[str, Any]] = []
        """Every row that was set, in order."""
        self.pushes: list[list[dict[str, Any]]] = []
        self.calls: list[str] = []
        self.times: list[float] = []
        self.token = "t0"
        self.refresh = "r0"
        self.refreshed = 0
        self.compare = False
        self.poisoned: set[str] = set()
        self.refused: dict[str, str] = {}
        self.ignored: set[str] = set()
        self.faults: list[Response] = []
        """Answers that are given instead, in this order, without doing anything."""
        self.lost = 0
        """So many next pushes are applied and never answered."""
        self.down = False
        self.during: Hook | None = None
        self.after: Hook | None = None
        self.clock: Callable[[], int] = lambda: 0
        self.latency = 0.0

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """Answer a request."""
        self.calls.append(f"{wire.method} {wire.path}")
        self.times.append(self.clock() / 1_000_000)
        if self.during is not None:
            await self.during(wire)
        await asyncio.sleep(self.latency)
        if self.down:
            return Response(0)
        if self.faults and wire.path != "/token":
            return self.faults.pop(0)
        answer = self._answer(wire)
        if self.after is not None:
            await self.after(wire)
        if wire.method == "POST" and wire.path == "/stock" and self.lost:
            self.lost -= 1
            return Response(0)
        return answer

    def _answer(self, wire: Wire) -> Response:
        if wire.path == "/token":
            return self._renew(json.loads(wire.body))
        if wire.headers.get("Authorization") != f"Bearer {self.token}":
            return reply(401, {"words": "who are you"})
        match wire.method, wire.path:
            case "POST", "/stock":
                return self._set(json.loads(wire.body))
            case "GET", "/stock":
                return self._page(dict(wire.query))
            case "GET", "/orders":
                after = int(dict(wire.query)["after"])
                return reply(200, {"orders": [one for one in self.sold if one["n"] > after]})
            case _:
                return reply(200, {"name": "stall"})

    def _set(self, body: list[dict[str, Any]]) -> Response:
        if any(row["id"] in self.poisoned for row in body):
            return reply(422, {"words": "something is wrong"})
        self.pushes.append(body)
        return reply(200, {"results": [self._one(row) for row in body]})

    def _one(self, row: dict[str, Any]) -> dict[str, Any]:
        name = row["id"]
        if name in self.refused:
            return {"id": name, "code": "refused", "words": self.refused[name]}
        if self.compare and row["from"] is not None and row["from"] != self.stock.get(name):
            return {"id": name, "code": "stale", "shown": self.stock.get(name)}
        self.said.append(row)
        if name not in self.ignored:
            self.stock[name] = row["quantity"]
        return {"id": name, "key": row["key"]}

    def _page(self, query: dict[str, str]) -> Response:
        limit = int(query["limit"])
        names = sorted(name for name in self.stock if name > query["after"])
        rows = [{"id": n, "quantity": self.stock[n], "place": self.places.get(n)} for n in names[:limit]]
        return reply(200, {"rows": rows, "next": names[limit - 1] if len(names) > limit else None})

    def _renew(self, body: dict[str, str]) -> Response:
        if body["refresh"] != self.refresh:
            return reply(401, {"words": "this pair is void"})
        self.refreshed += 1
        self.token, self.refresh = f"t{self.refreshed}", f"r{self.refreshed}"
        return reply(200, {"token": self.token, "refresh": self.refresh, "expires_in": 3600})

    def sell(self, name: str, units: int) -> None:
        """A customer buys there: the channel lowers its own number."""
        self.stock[name] -= units
        self.sold.append({"n": len(self.sold) + 1, "id": name, "units": units})


def reply(status: int, body: Any, **headers: str) -> Response:
    """An answer; ``retry_after="5"`` is the header retry-after."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, json.dumps(body).encode())
