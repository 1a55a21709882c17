"""The other side of the Mart: numbers, orders and bad weather.

POST /stock    [{id, quantity, key, from?, revision?}]  sets; with ``from`` or ``revision`` only if that is
               what is there. 422 for the whole when a row is poisoned.
POST /changes  [{id, delta, key}]        adds; a key that was heard is not done again
POST /imports  [{id, quantity, key}]     the same, later; GET /imports/N says when
GET  /stock    ?after=&limit= or ?ids=   {rows: [{id, sku, quantity, committed, revision}], next}
GET  /orders   ?since=                   {orders, more}: what changed then or later, oldest change first
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from onhand.connectors.auth import Wire
from onhand.connectors.channel import Guard, Meaning
from onhand.connectors.flow import Order, Response
from world.mart import Mart, order

PAGE = 3


class Shop:
    """A channel. ``weather`` is fine, slow, down, throttled, failing, lossy or lying."""

    def __init__(self, module: Mart, now: Callable[[], int], lots: random.Random) -> None:
        self.module, self.now, self.lots = module, now, lots
        self.values = {"name": module.CHANNEL.name}
        self.place = None
        self.gross = module.CHANNEL.meaning is Meaning.GROSS
        self.stock: dict[str, int] = {}
        self.committed: dict[str, int] = {}
        self.revisions: dict[str, int] = {}
        self.orders: list[dict[str, Any]] = []
        self.imports: list[tuple[int, list[dict[str, Any]]]] = []
        self.imported: list[list[dict[str, Any]]] = []
        self.weather = "fine"
        self.refused: set[str] = set()
        self.poisoned: set[str] = set()
        self._heard: set[str] = set()

    # --- trade ------------------------------------------------------------------------------------

    def put_up(self, items: list[int]) -> None:
        """Put items up for sale."""
        self.stock = {self._name(item): 0 for item in items}

    def shown(self, item: int) -> int:
        """What it shows of an item, less what its open orders hold."""
        name = self._name(item)
        return self.stock.get(name, 0) - self.committed.get(name, 0)

    def sales(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Item, ordered, cancelled, shipped and returned of every line."""
        for line in (line for one in self.orders for line in one["lines"]):
            item = self._item(line["listing"])
            yield item, line["ordered"], line["cancelled"], line["shipped"], line["returned"]

    def message(self, changed: dict[str, Any]) -> Order | None:
        """What a webhook carries: the order as it is now."""
        return order(copy.deepcopy(changed))

    def hint(self) -> list[str]:
        """What a webhook says to look at."""
        return []

    def refuse(self, item: int) -> None:
        """One listing is refused from now on, or not any more."""
        self.refused ^= {self._name(item)}

    def poison(self, item: int) -> None:
        """A listing that makes every batch fail that it is in, or not any more."""
        self.poisoned ^= {self._name(item)}

    def calm(self) -> None:
        """All is well from now on."""
        self.weather = "fine"
        self.refused, self.poisoned = set(), set()

    def _name(self, item: int) -> str:
        return f"{self.module.CHANNEL.name}-{item}"

    def _item(self, name: str) -> int:
        return int(name.rpartition("-")[2])

    def sellable(self, name: str) -> int:
        """What a customer sees."""
        return max(0, self.stock.get(name, 0) - self.committed.get(name, 0))

    def sell(self, basket: list[tuple[int, int]]) -> dict[str, Any] | None:
        """An order of what is there; None when there is nothing of it."""
        lines: list[dict[str, Any]] = []
        for item, units in basket:
            name = self._name(item)
            taken = min(units, self.sellable(name))
            if taken:
                self._take(name, taken)
                counts = {"ordered": taken, "cancelled": 0, "shipped": 0, "returned": 0}
                lines.append({"id": str(len(lines)), "listing": name, **counts})
        if not lines:
            return None
        self.orders.append({"id": f"o{len(self.orders)}", "updated": self.now(), "lines": lines})
        return self.orders[-1]

    def amend(self, order: dict[str, Any]) -> None:
        """Something happens to an order: units are shipped, cancelled, come back, or are added."""
        line = self.lots.choice(order["lines"])
        name = line["listing"]
        still = line["ordered"] - line["cancelled"] - line["shipped"]
        back = line["shipped"] - line["returned"]
        what = self.lots.choice(("shipped", "shipped", "cancelled", "returned", "ordered"))
        if what == "ordered":
            units = min(1, self.sellable(name))
            self._take(name, units)
        else:
            units = self.lots.randint(0, back if what == "returned" else still)
        line[what] += units
        if what == "cancelled":
            self._take(name, -units)
        if what == "shipped" and self.gross:
            self._take(name, -units)
            self._change(name, -units)
        order["updated"] = self.now()

    def edit(self, item: int) -> None:
        """Somebody there sets another number."""
        name = self._name(item)
        self.stock[name] = self.committed.get(name, 0) + self.lots.randint(0, 30)
        self._change(name, 0)

    def _take(self, name: str, units: int) -> None:
        if self.gross:
            self.committed[name] = self.committed.get(name, 0) + units
        else:
            self._change(name, -units)

    def _change(self, name: str, units: int) -> None:
        self.stock[name] = self.stock.get(name, 0) + units
        self.revisions[name] = self.revisions.get(name, 0) + 1

    # --- the wire ---------------------------------------------------------------------------------

    async def send(self, wire: Wire) -> Response:
        """An answer, as the weather is."""
        weather, lots = self.weather, self.lots
        await asyncio.sleep(lots.uniform(5, 25) if weather == "slow" else lots.uniform(0, 0.4))
        if weather == "down":
            return Response(0)
        if weather == "throttled" and lots.random() < 0.6:
            return Response(429, {"retry-after": str(lots.randint(1, 9))} if lots.random() < 0.5 else {})
        if weather == "failing" and lots.random() < 0.6:
            return Response(lots.choice((500, 502, 503)))
        # As it was answered, whatever happens on the way back.
        answer = self._answer(wire)
        await asyncio.sleep(lots.uniform(0, 0.4))
        return Response(0) if weather == "lossy" and lots.random() < 0.5 else answer

    def _answer(self, wire: Wire) -> Response:
        self.catch_up()
        match wire.method, wire.path.strip("/").split("/"):
            case "POST", ["stock"]:
                return self._write(json.loads(wire.body), self._set)
            case "POST", ["changes"]:
                return self._write(json.loads(wire.body), self._add)
            case "POST", ["imports"]:
                last = self.imports[-1][0] if self.imports else 0
                due = max(last, self.now() + self.lots.randint(0, 8_000_000))
                self.imports.append((due, json.loads(wire.body)))
                return _reply({"import": len(self.imports) - 1})
            case "GET", ["imports", number]:
                done = int(number) < len(self.imported)
                return _reply({"done": done, "results": self.imported[int(number)] if done else []})
            case "GET", ["stock"]:
                return self._shown(dict(wire.query))
            case _:
                since = int(dict(wire.query)["since"])
                found = sorted(
                    (one for one in self.orders if one["updated"] >= since), key=lambda one: one["updated"]
                )
                return _reply({"orders": found[:PAGE], "more": len(found) > PAGE})

    def _write(self, body: list[dict[str, Any]], one: Callable[[dict[str, Any]], Any]) -> Response:
        if any(row["id"] in self.poisoned for row in body):
            return Response(422, {}, b'{"words": "something is wrong"}')
        return _reply({"results": [one(row) for row in body]})

    def catch_up(self) -> None:
        """Do the imports whose time has come, in their order."""
        for due, body in self.imports[len(self.imported) :]:
            if due > self.now():
                return
            self.imported.append([self._set(row) for row in body])

    def _set(self, row: dict[str, Any]) -> dict[str, Any]:
        name = row["id"]
        if name in self.refused:
            return {"id": name, "code": "refused"}
        guard = self.module.CHANNEL.guard
        held = guard is Guard.COMPARE and row["from"] not in (None, self.stock.get(name, 0))
        held = held or (guard is Guard.REVISION and row["revision"] not in (None, self._revision(name)))
        if held:
            shown = {"shown": self.stock.get(name, 0), "revision": self._revision(name)}
            return {"id": name, "code": "stale", **shown}
        if not self._lies():
            self.stock[name] = row["quantity"]
            self._change(name, 0)
        return {"id": name, "revision": self._revision(name)}

    def _add(self, row: dict[str, Any]) -> dict[str, Any]:
        name = row["id"]
        if name in self.refused:
            return {"id": name, "code": "refused"}
        if row["key"] not in self._heard and not self._lies():
            self._heard.add(row["key"])
            self._change(name, max(row["delta"], -self.stock.get(name, 0)))
        return {"id": name}

    def _lies(self) -> bool:
        return self.weather == "lying" and self.lots.random() < 0.5

    def _revision(self, name: str) -> str:
        return str(self.revisions.get(name, 0))

    def _shown(self, query: dict[str, str]) -> Response:
        names = sorted(self.stock)
        if "ids" in query:
            names = [name for name in names if name in query["ids"].split(",")]
        else:
            names = [name for name in names if name > query["after"]]
        size = int(query.get("limit", len(names)))
        rows = [
            {
                "id": name,
                "sku": f"SKU-{self._item(name)}",
                "quantity": self.stock[name],
                "committed": self.committed.get(name, 0),
                "revision": self._revision(name) if self.module.CHANNEL.guard is Guard.REVISION else None,
            }
            for name in names[:size]
        ]
        return _reply({"rows": rows, "next": names[size - 1] if len(names) > size else None})


def _reply(body: Any) -> Response:
    return Response(200, {}, json.dumps(copy.deepcopy(body)).encode())
