"""A BigCommerce store's HTTP side: stock by location and by variant or product, V2 orders, its quota."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from fakes.common import Clock, Example, Faults, Refused, body, header, query, reply, unknown, whole
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

EXAMPLE = Example(
    settings={
        "store_hash": "abc123",
        "token": "bc-token-4471d0",
        "client_secret": "bc-client-secret-99e1",
        "hook_secret": "bc-hook-5ad2c8",
    },
    ids=lambda n: {"variant_id": str(n), "product_id": str(n + 1000)},
    location="1",
)

MOST = 2_147_483_647
MOST_ITEMS = 2_000
IDENTITY = ("sku", "variant_id", "product_id")
THROTTLED = Response(429, {"x-rate-limit-requests-left": "0", "x-rate-limit-time-reset-ms": "1500"}, b"{}")


def problem(title: str, status: int = 422) -> Response:
    told = {"status": status, "title": title, "type": "https://example.com/status-codes", "errors": {}}
    return reply(status, told, {"content-type": "application/problem+json"})


@dataclass
class Item:
    variant: int
    product: int
    sku: str
    by_product: bool = False
    hand: dict[int, int] = field(default_factory=dict)
    safety: dict[int, int] = field(default_factory=dict)


@dataclass
class Fake:
    """Items have what is on hand by location; a sale lowers it. ``orders`` are rows as V2 gives them."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    items: list[Item] = field(default_factory=list)
    places: dict[int, bool] = field(default_factory=lambda: {1: True, 2: True, 3: False})
    orders: list[dict[str, Any]] = field(default_factory=list)
    products_apart: bool = False
    exclusive: bool = False
    reasons: list[str] = field(default_factory=list)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int, place: int = 1, **more: Any) -> Item:
        """An item with SKU ``SKU-number``, variant ``number`` and product ``number + 1000``."""
        item = next((item for item in self.items if item.variant == number), None)
        if item is None:
            item = Item(number, more.pop("product", number + 1000), f"SKU-{number}", **more)
            self.items.append(item)
        item.hand[place] = quantity
        return item

    def _item(self, sku: str) -> Item:
        return next(item for item in self.items if item.sku == sku)

    def edit(self, sku: str, quantity: int, place: int = 1) -> None:
        """Somebody sets a quantity in the control panel."""
        self._item(sku).hand[place] = quantity

    def shown(self, sku: str, place: int = 1) -> int:
        """What a customer can buy."""
        item = self._item(sku)
        return max(0, item.hand.get(place, 0) - item.safety.get(place, 0))

    def sell(self, sku: str, units: int, place: int = 1) -> str:
        """A customer buys: the store lowers its own number."""
        item = self._item(sku)
        item.hand[place] -= units
        number = len(self.orders) + 100
        line = {
            "id": number * 10,
            "order_id": number,
            "product_id": item.product,
            "variant_id": item.variant,
            "sku": item.sku,
            "quantity": units,
            "quantity_shipped": 0,
            "quantity_refunded": 0,
        }
        order = {"id": number, "status_id": 11, "date_created": "", "lines": [line]}
        self.orders.append(order)
        self.touch(str(number))
        return str(number)

    def touch(self, name: str, **change: Any) -> dict[str, Any]:
        """An order changes; ``line`` changes its line."""
        order = next(order for order in self.orders if str(order["id"]) == name)
        order["lines"][0].update(change.pop("line", {}))
        order.update(change)
        order["modified"] = self.clock.tick()
        if "status_id" in change:
            order["date_shipped"] = format_datetime(order["modified"]) if change["status_id"] == 2 else ""
        return order

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        return self.faults.meet(THROTTLED, lambda: self._answer(wire))

    def _answer(self, wire: Wire) -> Response:
        if header(wire, "x-auth-token") != self.settings["token"]:
            return reply(401, {"status": 401, "title": "X-Auth-Token header is required"})
        if "application/json" not in header(wire, "accept"):
            return reply(406, {"status": 406, "title": "Not Acceptable"})
        start = f"https://api.bigcommerce.com/stores/{self.settings['store_hash']}"
        path = wire.url.removeprefix(start)
        match wire.method, path:
            case "PUT", "/v3/inventory/adjustments/absolute":
                return self._absolute(body(wire))
            case "GET", "/v3/inventory/items":
                rows = [self._row(item) for item in self.items]
                return self._listed(wire, rows, 1000)
            case "GET", "/v3/inventory/locations":
                rows = [
                    {"id": place, "code": f"L{place}", "label": f"Place {place}", "enabled": enabled}
                    for place, enabled in self.places.items()
                ]
                return self._listed(wire, rows, 1000)
            case "GET", "/v2/orders":
                return self._orders(query(wire))
            case _:
                pass
        if found := re.fullmatch(r"/v2/orders/(\d+)/products", path):
            order = next(order for order in self.orders if str(order["id"]) == found[1])
            return reply(200, order["lines"])
        if found := re.fullmatch(r"/v2/orders/(\d+)", path):
            one = next((order for order in self.orders if str(order["id"]) == found[1]), None)
            missing = [{"status": 404, "message": "The requested resource was not found."}]
            return reply(404, missing) if one is None else reply(200, self._order(one))
        return problem("Not found", 404)

    def _listed(self, wire: Wire, rows: list[dict[str, Any]], most: int) -> Response:
        asked = query(wire)
        page, limit = int(asked.get("page", 1)), int(asked.get("limit", 50))
        if limit > most:
            raise Refused(problem("limit too large", 413))
        total = -(-len(rows) // limit)
        paging = {"total": len(rows), "per_page": limit, "current_page": page, "total_pages": total}
        data = rows[(page - 1) * limit : page * limit]
        return reply(200, {"data": data, "meta": {"pagination": paging}})

    def _row(self, item: Item) -> dict[str, Any]:
        identity = {"sku": item.sku, "variant_id": item.variant, "product_id": item.product}
        levels = [
            {
                "location_id": place,
                "location_code": f"L{place}",
                "available_to_sell": self.shown(item.sku, place),
                "total_inventory_onhand": hand,
                "location_enabled": self.places[place],
                "settings": {"safety_stock": item.safety.get(place, 0), "is_in_stock": hand > 0},
            }
            for place, hand in item.hand.items()
        ]
        return {"identity": identity, "locations": levels}

    def _absolute(self, told: Any) -> Response:
        if not isinstance(told, dict) or unknown(told, ("reason", "items")):
            return problem("JSON data is missing or invalid")
        items = told.get("items")
        if not isinstance(items, list) or not 1 <= len(items) <= MOST_ITEMS:
            return problem("items: wrong number of entries")
        places = [row.get("location_id") for row in items]
        if places != sorted(places):
            return problem("items are not grouped by location")
        todo = [self._checked(row) for row in items]
        if missing := sorted({place for place in places if place not in self.places}):
            return problem(f"Location not found, identities: [{','.join(map(str, missing))}]")
        for item, row in todo:
            for each in self.items if "product_id" in row else [item]:
                if each is item or ("product_id" in row and each.product == item.product):
                    each.hand[row["location_id"]] = row["quantity"]
        self.reasons.append(told.get("reason", ""))
        return reply(200, {"transaction_id": f"t-{len(self.reasons)}"})

    def _checked(self, row: Any) -> tuple[Item, dict[str, Any]]:
        names = [name for name in IDENTITY if name in row]
        extra = unknown(row, ("location_id", "quantity", *IDENTITY))
        if extra or len(names) != 1 or not whole(row.get("location_id")) or not whole(row.get("quantity")):
            raise Refused(problem("an item needs location_id, quantity and one identity"))
        if not 0 <= row["quantity"] <= MOST:
            raise Refused(problem("quantity is out of range"))
        name, value = names[0], row[names[0]]
        attribute = {"sku": "sku", "variant_id": "variant", "product_id": "product"}[name]
        item = next((item for item in self.items if getattr(item, attribute) == value), None)
        if item is None:
            raise Refused(problem(f"Items with identity: [{name} {value}] not found"))
        if item.by_product and name == "variant_id":
            words = f"[Item with variant_id {value} is tracked by product, please update stock by product id]"
            raise Refused(problem(words))
        return item, row

    def _orders(self, asked: dict[str, str]) -> Response:
        known = ("min_date_modified", "min_id", "max_id", "sort", "page", "limit", "include")
        if unknown(asked, (*known, "consignment_structure")) or int(asked.get("limit", 50)) > 250:
            return reply(400, [{"status": 400, "message": "Invalid query"}])
        since = asked.get("min_date_modified")
        at = datetime.fromisoformat(since) + timedelta(seconds=self.exclusive) if since else None
        rows = sorted(self.orders, key=lambda order: order["modified"])
        rows = [order for order in rows if at is None or order["modified"] >= at]
        if "sort" not in asked:
            rows.sort(key=lambda order: order["id"])
        ids = range(int(asked.get("min_id", 0)), int(asked.get("max_id", 10**9)) + 1)
        rows = [order for order in rows if order["id"] in ids and not order.get("is_deleted")]
        page, limit = int(asked.get("page", 1)), int(asked.get("limit", 50))
        rows = rows[(page - 1) * limit : page * limit]
        return reply(200, [self._order(order) for order in rows]) if rows else Response(204)

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        told = {"id": order["id"], "status_id": order["status_id"], "is_deleted": False}
        told |= {"is_deleted": True} if order.get("is_deleted") else {}
        told["date_modified"] = format_datetime(order["modified"])
        told["date_shipped"] = order.get("date_shipped", "")
        if not self.products_apart:
            told["consignments"] = {"shipping": [{"id": 1, "line_items": order["lines"]}], "downloads": []}
        return told
