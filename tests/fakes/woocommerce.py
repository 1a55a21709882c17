"""A WooCommerce shop's HTTP side: keys, signatures, batches whose rows fail alone, parents, orders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.common import (
    Clock,
    Example,
    Faults,
    basic_of,
    body,
    header,
    hmac_base64,
    iso,
    page,
    query,
    reply,
    unknown,
    whole,
)
from onhand.connectors.auth import Wire, oauth1_signature
from onhand.connectors.channel import (
    Secret,
)
from onhand.connectors.flow import (
    Response,
)

EXAMPLE = Example(
    settings={
        "store": "https://shop.example",
        "consumer_key": "ck_52a0c1f9",
        "consumer_secret": "cs_9d81e07b",
        "webhook_secret": "hook-secret-41aa",
    },
    ids=lambda n: {"product": str(n)},
)
WRITABLE = ("id", "manage_stock", "stock_quantity", "stock_status", "inventory_delta")
COUNTED = {"processing", "on-hold", "completed"}
ORDERS_ASKED = ("_", "consumer_key", "consumer_secret", "dates_are_gmt", "include", "modified_after",
                "offset", "order", "orderby", "page", "per_page", "status")  # fmt: skip


@dataclass
class Thing:
    """A product or, with ``parent``, a variation."""

    id: int
    sku: str
    quantity: int | None
    manage: Any = True
    kind: str = "simple"
    parent: int = 0
    status: str = "publish"
    stubborn: int | None = None


@dataclass
class Fake:
    """Things by id; ``stubborn`` ones are set back by a plugin."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    things: dict[int, Thing] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    refunds: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    restocked: dict[int, int] = field(default_factory=dict)
    limit: int = 100
    read_only: bool = False
    headers: bool = True
    asleep: dict[int, str] = field(default_factory=dict)
    placed: int = 0
    requests: list[Wire] = field(default_factory=list)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int | None, **more: Any) -> Thing:
        """A product (or variation) with id ``number`` and SKU ``SKU-number``."""
        return self.things.setdefault(number, Thing(number, f"SKU-{number}", quantity, **more))

    def _thing(self, sku: str) -> Thing:
        return next(thing for thing in self.things.values() if thing.sku == sku)

    def edit(self, sku: str, quantity: int) -> None:
        """Somebody sets a quantity by hand."""
        self._thing(sku).quantity = quantity

    def shown(self, sku: str) -> int | None:
        """What the shop shows."""
        return self._thing(sku).quantity

    def _move(self, sku: str, units: int) -> None:
        thing = self._thing(sku)
        thing = self.things[thing.parent] if thing.manage == "parent" else thing
        if thing.manage is True and thing.quantity is not None:
            thing.quantity += units

    def sell(self, sku: str, units: int, status: str = "processing") -> int:
        """A customer buys; the shop lowers its number when the order is paid."""
        thing, number = self._thing(sku), 500 + self.placed
        self.placed += 1
        line = {"id": number * 10, "product_id": thing.parent or thing.id, "sku": sku, "quantity": units}
        line["variation_id"] = thing.id if thing.parent else 0
        now = iso(self.clock.tick()).removesuffix("Z")
        row = {"id": number, "number": str(number), "status": "pending", "date_modified_gmt": now}
        self.orders.append({**row, "date_completed_gmt": None, "line_items": [line], "refunds": []})
        if status != "pending":
            self.change(number, status)
        return number

    def change(self, order: int, status: str) -> None:
        """The order goes on; stock follows as WooCommerce lets it."""
        row = self._order(order)
        before, row["status"] = row["status"], status
        row["date_modified_gmt"] = iso(self.clock.tick()).removesuffix("Z")
        if status == "completed":
            row["date_completed_gmt"] = row["date_modified_gmt"]
        for line in row["line_items"]:
            if status in COUNTED and before not in COUNTED:
                self._move(line["sku"], -line["quantity"])
            if status in ("cancelled", "pending") and before in COUNTED:
                self._move(line["sku"], line["quantity"])

    def delete(self, order: int) -> None:
        """The order is deleted for good, past the trash; stock stays as it is."""
        self.orders.remove(self._order(order))

    def refund(self, order: int, units: int) -> None:
        """Units of the first line are paid back and put back."""
        row = self._order(order)
        line = row["line_items"][0]
        note = {"key": "_refunded_item_id", "value": str(line["id"])}
        back: dict[str, Any] = {"line_items": [{"id": 1, "quantity": -units, "meta_data": [note]}]}
        back["date_created_gmt"] = iso(self.clock.tick()).removesuffix("Z")
        self.refunds.setdefault(order, []).append(back)
        row["refunds"].append({"id": len(row["refunds"]) + 1, "total": "-1.00"})
        row["date_modified_gmt"] = iso(self.clock.tick()).removesuffix("Z")
        self._move(line["sku"], units)
        self.restocked[order] = self.restocked.get(order, 0) + units
        line["meta_data"] = [{"id": 1, "key": "_restock_refunded_items", "value": str(self.restocked[order])}]

    def _order(self, order: int) -> dict[str, Any]:
        return next(row for row in self.orders if row["id"] == order)

    def webhook(self, topic: str, value: Any, name: str = "delivery-1") -> tuple[dict[str, str], bytes]:
        """Headers and body of a signed message."""
        raw = json.dumps(value).encode()
        proof = hmac_base64(self.settings["webhook_secret"].encode(), raw)
        names = {"x-wc-webhook-topic": topic, "x-wc-webhook-delivery-id": name}
        return {**names, "x-wc-webhook-signature": proof}, raw

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.requests.append(wire)
        throttled = Response(
            429, {"retry-after": "3", "content-type": "text/html"}, b"<html>slow down</html>"
        )
        return self.faults.meet(throttled, lambda: self._handle(wire))

    def _handle(self, wire: Wire) -> Response:
        if not self._known(wire):
            return _error(401, "woocommerce_rest_authentication_error", "Consumer key is invalid.")
        if wire.body and header(wire, "content-type") != "application/json":
            return _error(400, "rest_missing_callback_param", "Missing parameters")
        asked = query(wire)
        match wire.method, wire.path.partition("/wp-json/wc/v3/")[2].split("/"):
            case "POST", ["products", "batch"]:
                return self._batch(0, body(wire))
            case "POST", ["products", parent, "variations", "batch"]:
                return self._batch(int(parent), body(wire))
            case "GET", ["products"]:
                return self._page([self._row(t) for t in self.things.values() if not t.parent], asked)
            case "GET", ["products", parent, "variations"]:
                own = [t for t in self.things.values() if t.parent == int(parent)]
                return self._page([self._row(t) for t in own], asked)
            case "GET", ["orders"]:
                if wrong := unknown(asked, ORDERS_ASKED):
                    return _error(400, "rest_invalid_param", f"unknown to the fake: {wrong}")
                return self._page(self._orders(asked), asked)
            case "GET", ["orders", order, *more]:
                row = next((row for row in self.orders if str(row["id"]) == order), None)
                if row is None:
                    return _error(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
                return reply(200, self.refunds.get(int(order), []) if more == ["refunds"] else row)
            case "GET", ["webhooks"]:
                return reply(200, [{"id": n, "delivery_url": url} for n, url in self.asleep.items()])
            case "PUT", ["webhooks", number] if body(wire) == {"status": "active"}:
                return reply(200, {"id": int(number), "delivery_url": self.asleep.pop(int(number))})
            case _:
                return _error(404, "rest_no_route", "No route was found matching the URL.")

    def _known(self, wire: Wire) -> bool:
        key, secret = self.settings["consumer_key"], self.settings["consumer_secret"]
        asked = query(wire)
        if wire.url.startswith("http://"):
            fields = {name: value for name, value in asked.items() if name.startswith("oauth_")}
            given = fields.pop("oauth_signature", "")
            plain = Wire(
                wire.method,
                wire.url,
                tuple(pair for pair in wire.query if not pair[0].startswith("oauth_")),
                wire.headers,
                wire.body,
            )
            good = oauth1_signature(plain, fields, Secret(secret), Secret(""), "sha256")
            return given == good and fields["oauth_consumer_key"] == key and "oauth_version" not in fields
        return basic_of(wire) == (key, secret) or (
            asked.get("consumer_key") == key and asked.get("consumer_secret") == secret
        )

    def _batch(self, parent: int, said: Any) -> Response:
        if self.read_only:
            return _error(401, "woocommerce_rest_authentication_error", "The key has no write permissions.")
        if not isinstance(said, dict) or unknown(said, ("create", "update", "delete")):
            return _error(400, "rest_invalid_param", "Invalid parameter(s)")
        rows = said.get("update", [])
        if len(rows) > self.limit:
            words = f"Unable to accept more than {self.limit} items for this request."
            return _error(413, "woocommerce_rest_request_entity_too_large", words)
        return reply(200, {"update": [self._update(parent, row) for row in rows]} if rows else {})

    def _update(self, parent: int, row: Mapping[str, Any]) -> dict[str, Any]:
        thing = self.things.get(row["id"])
        if thing is None or thing.parent != parent:
            return _failed(row["id"], "woocommerce_rest_product_invalid_id", "Invalid ID.")
        if unknown(row, WRITABLE) or ("stock_quantity" in row and not whole(row["stock_quantity"])):
            return _failed(row["id"], "rest_invalid_param", "Invalid parameter(s)")
        thing.manage = row.get("manage_stock", thing.manage)
        if thing.manage is False:
            thing.quantity = None
        elif thing.manage is True and "stock_quantity" in row:
            thing.quantity = row["stock_quantity"] if thing.stubborn is None else thing.stubborn
        answer = self._row(thing)
        if thing.manage == "parent" and "stock_quantity" in row:
            answer["stock_quantity"] = row["stock_quantity"]  # shown and not stored: the shop's own fault
        return answer

    def _row(self, thing: Thing) -> dict[str, Any]:
        kind = {} if thing.parent else {"type": thing.kind}
        return {
            "id": thing.id,
            "name": f"Thing {thing.id}",
            "sku": thing.sku,
            "status": thing.status,
            "manage_stock": thing.manage,
            "stock_quantity": thing.quantity,
            **kind,
        }

    def _orders(self, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        states = set(asked["status"].split(","))
        after = asked.get("modified_after", "").removesuffix("Z")
        return [
            row
            for row in self.orders
            if (row["status"] in states or (states == {"any"} and row["status"] != "trash"))
            and row["date_modified_gmt"] > after
        ]

    def _page(self, rows: list[dict[str, Any]], asked: Mapping[str, str]) -> Response:
        size, number = int(asked.get("per_page", "10")), int(asked.get("page", "1"))
        first = int(asked.get("offset", "0")) or (number - 1) * size
        if asked.get("orderby", "date") == "id":
            rows = sorted(rows, key=lambda row: int(row["id"]))
        if include := asked.get("include"):
            rows = [row for row in rows if str(row["id"]) in include.split(",")]
        if size > 100:
            return _error(400, "rest_invalid_param", "per_page must be between 1 and 100")
        some, _ = page(rows, first, size)
        counted = {"x-wp-total": str(len(rows)), "x-wp-totalpages": str(-(-len(rows) // size))}
        date = self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT")
        return reply(200, list(some), {"date": date, **(counted if self.headers else {})})


def _failed(name: int, code: str, message: str) -> dict[str, Any]:
    return {"id": name, "error": {"code": code, "message": message, "data": {"status": 400}}}


def _error(status: int, code: str, message: str) -> Response:
    return reply(status, {"code": code, "message": message, "data": {"status": status}})
