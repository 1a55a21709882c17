"""A Faire brand's HTTP side: on hand less its own open orders, tracked or not, cursors that stand alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fakes.common import Clock, Example, Faults, Refused, body, header, iso, reply, unknown, whole
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

EXAMPLE = Example(
    settings={"token": "faire-token-83c1f0"},
    ids=lambda n: {"variant_id": f"po_{n}", "product_id": f"p_{n}"},
)

BASE = "https://www.faire.com/external-api/v2"
THROTTLED = Response(429, {"retry-after": "5"}, b'{"message": "Too many requests"}')
DOORMAN = Response(403, {"content-type": "text/html"}, b"<html>Attention Required</html>")
MOST = 200


def refuse(message: str, status: int = 400) -> Refused:
    return Refused(reply(status, {"message": message}))


@dataclass
class Variant:
    name: str
    sku: str
    hand: int | None
    committed: int = 0


@dataclass
class Fake:
    """Variants with what is on hand (None: not tracked) and what open orders have committed."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    variants: list[Variant] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    bare: bool = False
    cursors: dict[str, tuple[str, int, str]] = field(default_factory=dict)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int | None, sku: str = "") -> Variant:
        """A product with one variant ``po_<number>`` and SKU ``SKU-<number>``."""
        self.variants.append(Variant(f"po_{number}", sku or f"SKU-{number}", quantity))
        return self.variants[-1]

    def _variant(self, sku: str) -> Variant:
        return next(variant for variant in self.variants if variant.sku == sku)

    def edit(self, sku: str, quantity: int) -> None:
        """Somebody sets what is on hand."""
        self._variant(sku).hand = quantity

    def shown(self, sku: str) -> int | None:
        """What a retailer can order; None when anything."""
        variant = self._variant(sku)
        return None if variant.hand is None else variant.hand - variant.committed

    def sell(self, sku: str, units: int) -> str:
        """A retailer orders: on hand stays, and the units are committed."""
        variant = self._variant(sku)
        variant.committed += units
        number = f"bo_{len(self.orders) + 1}"
        line: dict[str, Any] = {
            "id": f"oi_{len(self.orders) + 1}",
            "product_id": "p",
            "variant_id": variant.name,
        }
        line |= {"sku": sku, "quantity": units}
        self.orders.append({"id": number, "display_id": number.upper(), "state": "NEW", "items": [line]})
        self.touch(number)
        return number

    def ship(self, name: str) -> None:
        """The order leaves: on hand and committed go down together."""
        order = self.touch(name, state="IN_TRANSIT")
        for line in order["items"]:
            variant = self._variant(line["sku"])
            variant.committed -= line["quantity"]
            variant.hand = None if variant.hand is None else variant.hand - line["quantity"]

    def touch(self, name: str, **change: Any) -> dict[str, Any]:
        """An order changes."""
        order = next(order for order in self.orders if order["id"] == name)
        order.update(change, updated_at=iso(self.clock.tick()))
        return order

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        return self.faults.meet(THROTTLED, lambda: self._answer(wire))

    def _answer(self, wire: Wire) -> Response:
        if "Mozilla" not in header(wire, "user-agent"):
            return DOORMAN
        if header(wire, "x-faire-access-token") != self.settings["token"]:
            raise refuse("Unauthorized", 401)
        if wire.method == "GET" and header(wire, "content-type"):
            raise refuse("Unsupported Media Type", 415)
        path = wire.url.removeprefix(BASE)
        match wire.method, path:
            case "GET", "/brands/profile":
                return reply(200, {"id": "b_1", "name": "Acme Pottery"})
            case "GET", "/products":
                rows = [self._product(variant) for variant in self.variants]
                return self._paged(wire, "products", rows, (10, 250))
            case "GET", "/orders":
                return self._paged(wire, "orders", self.orders, (10, 50))
            case "GET", "/product-inventory/by-product-variant-ids":
                return self._levels("name", [value for name, value in wire.query if name == "ids"])
            case "GET", "/product-inventory/by-skus":
                return self._levels("sku", [value for name, value in wire.query if name == "skus"])
            case "PATCH", "/product-inventory/by-product-variant-ids":
                return self._write(body(wire), "product_variant_id")
            case "PATCH", "/product-inventory/by-skus":
                return self._write(body(wire), "sku")
            case _:
                raise refuse("Not found", 404)

    def _product(self, variant: Variant) -> dict[str, Any]:
        state = self.states.get(variant.sku, "PUBLISHED")
        inner = {"id": variant.name, "sku": variant.sku, "name": "Blue"}
        product = f"p_{variant.name.removeprefix('po_')}"
        return {"id": product, "name": "Mug", "lifecycle_state": state, "variants": [inner]}

    def _paged(self, wire: Wire, key: str, rows: list[dict[str, Any]], bounds: tuple[int, int]) -> Response:
        asked = dict(wire.query)
        if "cursor" in asked:
            if len(asked) > 1 or asked["cursor"] not in self.cursors:
                raise refuse("Invalid cursor")
            since, limit, after = self.cursors[asked["cursor"]]
            start = int(after)
        else:
            since, limit, start = asked.get("updated_at_min", ""), int(asked.get("limit", 50)), 0
        if not bounds[0] <= limit <= bounds[1] or unknown(asked, ("limit", "cursor", "updated_at_min")):
            raise refuse("Invalid limit")
        if key == "orders":
            rows = sorted(rows, key=lambda row: str(row["updated_at"]))
            rows = [row for row in rows if not since or _when(row["updated_at"]) >= _when(since)]
        end = start + limit
        told: dict[str, Any] = {key: rows[start:end]}
        if end < len(rows):
            told["cursor"] = f"cursor-{len(self.cursors) + 1}"
            self.cursors[told["cursor"]] = (since, limit, str(end))
        return reply(200, told)

    def _levels(self, key: str, names: list[str]) -> Response:
        asked = [variant for variant in self.variants if getattr(variant, key) in names]
        return self._shaped({getattr(variant, key): self._level(variant) for variant in asked})

    def _shaped(self, found: dict[str, Any]) -> Response:
        return reply(200, found if self.bare else {"inventories": found})

    def _level(self, variant: Variant) -> dict[str, Any]:
        if variant.hand is None:
            return {"sku": variant.sku, "on_hand_quantity": {"type": "UNTRACKED"}}
        counts = {"on_hand": variant.hand, "committed": variant.committed}
        counts["available"] = variant.hand - variant.committed
        return {f"{name}_quantity": {"type": "QUANTITY", "quantity": n} for name, n in counts.items()}

    def _write(self, told: Any, key: str) -> Response:
        rows = told.get("inventories") if isinstance(told, dict) else None
        if not isinstance(rows, list) or unknown(told, ("inventories",)) or not 1 <= len(rows) <= MOST:
            raise refuse("Invalid inventories")
        todo = []
        for row in rows:
            if set(row) != {key, "on_hand_quantity"} or not whole(row["on_hand_quantity"]):
                raise refuse("Invalid inventory")
            attribute = "sku" if key == "sku" else "name"
            found = [variant for variant in self.variants if getattr(variant, attribute) == row[key]]
            if len(found) > 1:
                raise refuse(f"Skus match multiple product variations: {row[key]}")
            if not found:
                raise refuse("Inventory tracking is off")
            todo.append((found[0], row))
        for variant, row in todo:
            variant.hand = row["on_hand_quantity"]
        return self._shaped({row[key]: self._level(variant) for variant, row in todo})


def _when(told: str) -> datetime:
    return datetime.fromisoformat(told)
