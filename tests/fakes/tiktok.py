"""A TikTok shop that keeps stock and orders, and refuses what the real one refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.common import Clock, Example, Faults, Refused, body, header, hmac_hex, micros, query, reply, whole
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

KEY = "app-key-1"
SECRET = "app-secret-a1b2c3d4e5f6"
ACCESS = "access-token-0001"
REFRESH = "refresh-token-0001"
CIPHER = "cipher-of-shop-1"
SHOP = "7495001"
EXPIRES = 1_796_000_000
ORDER_FIELDS = {"order_status", "update_time_ge", "update_time_lt", "create_time_ge", "create_time_lt"}
TO_SHIP = {"UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION"}


def ids(number: int) -> dict[str, str]:
    """The ids of the n-th listing."""
    return {"product": f"1729{number:015}", "sku": f"1730{number:015}"}


EXAMPLE = Example(
    {
        "app_key": KEY,
        "app_secret": SECRET,
        "access_token": ACCESS,
        "refresh_token": REFRESH,
        "shop_id": SHOP,
        "shop_cipher": CIPHER,
    },
    ids,
    "7068517275539719942",
)


def ok(data: Any, headers: Mapping[str, str] = {}) -> Response:
    """A success in TikTok's envelope."""
    return reply(200, {"code": 0, "message": "Success", "data": data, "request_id": "r-1"}, headers)


def refused(code: int, message: str, status: int = 200) -> Refused:
    """A refusal in TikTok's envelope."""
    return Refused(reply(status, {"code": code, "message": message, "request_id": "r-1"}))


@dataclass
class Sku:
    """A SKU: units that can be sold and units in open orders, by warehouse."""

    id: str
    seller_sku: str
    stock: dict[str, int]
    committed: dict[str, int] = field(default_factory=dict)


@dataclass
class Fake:
    """The shop's HTTP side."""

    products: dict[str, dict[str, Sku]] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    access: str = ACCESS
    refresh: str = REFRESH
    shops: tuple[tuple[str, str], ...] = ((SHOP, CIPHER),)
    smallest: int = 0
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    punctual: bool = False
    """Whether a signature of more than five minutes ago, or ahead, is refused."""
    calls: list[str] = field(default_factory=list)

    def add(self, number: int, seller_sku: str, stock: dict[str, int], product: str | None = None) -> Sku:
        """A SKU on sale, of its own product or of a given one."""
        known = ids(number)
        sku = Sku(known["sku"], seller_sku, dict(stock))
        self.products.setdefault(product or known["product"], {})[sku.id] = sku
        self.status.setdefault(product or known["product"], "ACTIVATE")
        return sku

    def edit(self, sku: Sku, warehouse: str, units: int) -> None:
        """Somebody changes a number in Seller Center."""
        sku.stock[warehouse] = units

    def sell(self, sku: Sku, warehouse: str, units: int, **more: Any) -> str:
        """A buyer orders: TikTok lowers its own number; a line for each unit."""
        name = f"5768{len(self.orders) + 1:014}"
        product = next(p for p, skus in self.products.items() if sku.id in skus)
        sku.stock[warehouse] -= units
        line = {"product_id": product, "sku_id": sku.id, "seller_sku": sku.seller_sku}
        lines = [
            {"id": f"{name}{n}", **line, "display_status": "AWAITING_SHIPMENT"} for n in range(1, units + 1)
        ]
        self.orders[name] = {
            "id": name,
            "status": "AWAITING_SHIPMENT",
            "warehouse_id": warehouse,
            "fulfillment_type": "FULFILLMENT_BY_SELLER",
            "line_items": lines,
            "update_time": int(self.clock.tick().timestamp()),
            **more,
        }
        return name

    def move(self, name: str, status: str, lines: int | None = None) -> None:
        """The order, or its first lines, go to another status; cancelled units come back."""
        order = self.orders[name]
        some = order["line_items"][:lines]
        for line in some:
            line["display_status"] = status
            if status == "CANCELLED":
                self.products[line["product_id"]][line["sku_id"]].stock[order["warehouse_id"]] += 1
        if lines is None:
            order["status"] = status
        order["update_time"] = int(self.clock.tick().timestamp())
        if status == "IN_TRANSIT":
            order["collection_time"] = order["update_time"]

    # --- the HTTP side ----------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.calls.append(f"{wire.method} {wire.path}")
        throttled = reply(429, {"code": 36009002, "message": "Too many requests", "request_id": "r-1"})
        answer = self.faults.meet(throttled, lambda: self._answer(wire))
        dated = {"date": self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT")} if self.punctual else {}
        return Response(answer.status, {**dated, **answer.headers}, answer.body) if answer.status else answer

    def _answer(self, wire: Wire) -> Response:
        if wire.url.startswith("https://auth.tiktok-shops.com/"):
            return self._tokens(wire)
        self._checked(wire)
        match wire.method, wire.path.strip("/").split("/"):
            case "GET", ["authorization", _, "shops"]:
                return ok({"shops": [self._shop(*shop) for shop in self.shops]})
            case "GET", ["logistics", _, "warehouses"]:
                return ok({"warehouses": WAREHOUSES})
            case "POST", ["product", "202309", "inventory", "search"]:
                return self._inventory(wire)
            case "POST", ["product", "202309", "products", product, "inventory", "update"]:
                return self._update(product, wire)
            case "POST", ["product", "202309", "products", "activate" | "deactivate" as verb]:
                return self._switch(verb, wire)
            case "POST", ["product", "202502", "products", "search"]:
                return self._listings(wire)
            case "POST", ["order", "202309", "orders", "search"]:
                return self._search(wire)
            case "GET", ["order", "202507", "orders"]:
                return self._details(wire)
            case _:
                pass
        raise refused(40006, "no such path", 404)

    def _checked(self, wire: Wire) -> None:
        given = query(wire)
        said = "".join(f"{k}{v}" for k, v in sorted(given.items()) if k not in ("sign", "access_token"))
        text = SECRET + wire.path + said + wire.body.decode() + SECRET
        if given.get("app_key") != KEY or not given.get("timestamp", "").isdigit():
            raise refused(106001, "app_key or timestamp is missing", 401)
        if self.punctual and abs(int(given["timestamp"]) - self.clock.tick().timestamp()) > 300:
            raise refused(
                36009004, "Invalid timestamp. It is more than 5 minutes from the current time.", 400
            )
        if given.get("sign") != hmac_hex(SECRET.encode(), text.encode()):
            raise refused(106001, "Invalid credentials. The 'sign' query parameter is invalid.", 401)
        if not header(wire, "x-tts-access-token"):
            raise refused(36009004, "Invalid credentials. The `x-tts-access-token` header is invalid.", 400)
        if header(wire, "x-tts-access-token") != self.access:
            raise refused(105002, "Expired credentials", 401)
        if header(wire, "content-type") != "application/json":
            raise refused(36009004, "Invalid content type", 400)
        about_seller = wire.path.startswith("/authorization/")
        if about_seller == ("shop_cipher" in given):
            raise refused(36009004, "shop_cipher is wrong for this path", 400)
        if not about_seller and given["shop_cipher"] not in {cipher for _, cipher in self.shops}:
            raise refused(36009005, "unknown shop_cipher", 400)

    def _tokens(self, wire: Wire) -> Response:
        given = query(wire)
        if given.get("app_key") != KEY or given.get("app_secret") != SECRET:
            raise refused(36004004, "app is unknown")
        match wire.path.rsplit("/", 1)[-1], given.get("grant_type"):
            case "refresh", "refresh_token" if given.get("refresh_token") == self.refresh:
                pass
            case "get", "authorized_code" if given.get("auth_code") == "consent-code-0001":
                pass
            case _:
                raise refused(36004004, "refresh token or code is invalid")
        self.access, self.refresh = self.access + "+", self.refresh + "+"
        data = {"access_token": self.access, "refresh_token": self.refresh}
        return ok(data | {"access_token_expire_in": EXPIRES, "refresh_token_expire_in": EXPIRES + 9})

    def _shop(self, name: str, cipher: str) -> dict[str, Any]:
        return {"id": name, "cipher": cipher, "name": f"Shop {name}", "region": "GB", "seller_type": "LOCAL"}

    def _fields(self, wire: Wire, known: set[str]) -> dict[str, Any]:
        given = body(wire)
        if not isinstance(given, dict) or set(given) - known:
            raise refused(36009004, f"unknown fields in {given}", 400)
        return given

    def _inventory(self, wire: Wire) -> Response:
        given = self._fields(wire, {"product_ids", "sku_ids"})
        wanted = given.get("product_ids", [])
        if not 0 < len(wanted) <= 100:
            raise refused(12019001, "1 to 100 product_ids")
        found = [
            {"product_id": p, "skus": [_shown(sku) for sku in self.products[p].values()]}
            for p in wanted
            if p in self.products
        ]
        return ok({"inventory": found})

    def _update(self, product: str, wire: Wire) -> Response:
        given = self._fields(wire, {"skus"})
        if self.status.get(product) not in ("ACTIVATE", "SELLER_DEACTIVATED", "DRAFT", "PENDING", "FAILED"):
            raise refused(12019113, "product status is invalid")
        errors = []
        for row in given["skus"]:
            sku = self.products[product].get(row["id"])
            if sku is None or set(row) != {"id", "inventory"}:
                raise refused(12019022, "sku ID is invalid")
            if extra := self._bad_rows(sku, row["inventory"]):
                detail = {"sku_id": sku.id, "extra_errors": extra}
                errors.append({"code": 12019001, "message": "inventory is invalid", "detail": detail})
                continue
            sku.stock = {entry["warehouse_id"]: entry["quantity"] for entry in row["inventory"]}
        return ok({"errors": errors} if errors else {})

    def _bad_rows(self, sku: Sku, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What is wrong with the inventory of a SKU: each of its warehouses once, none else, in range."""
        if sorted(row.get("warehouse_id", "") for row in rows) != sorted(sku.stock):
            return [{"warehouse_id": "", "code": 12019002, "message": "every warehouse of the SKU is needed"}]
        return [
            {"warehouse_id": row["warehouse_id"], "code": 12019003, "message": "quantity is out of range"}
            for row in rows
            if not whole(row["quantity"]) or not self.smallest <= row["quantity"] <= 99_999
        ]

    def _switch(self, verb: str, wire: Wire) -> Response:
        for product in self._fields(wire, {"product_ids"})["product_ids"]:
            self.status[product] = "ACTIVATE" if verb == "activate" else "SELLER_DEACTIVATED"
        return ok({})

    def _listings(self, wire: Wire) -> Response:
        self._fields(wire, {"status"})
        found = [
            {
                "id": product,
                "title": f"Product {product}",
                "status": self.status[product],
                "skus": [
                    {"id": sku.id, "seller_sku": sku.seller_sku, "inventory": _inventory(sku)}
                    for sku in skus.values()
                ],
            }
            for product, skus in self.products.items()
        ]
        return self._page("products", found, wire)

    def _page(self, name: str, found: list[Any], wire: Wire) -> Response:
        given = query(wire)
        size, start = int(given["page_size"]), int(given.get("page_token") or 0)
        if not 1 <= size <= 100:
            raise refused(36009004, "page_size", 400)
        end = start + size
        token = str(end) if end < len(found) else ""
        data = {name: found[start:end], "next_page_token": token, "total_count": len(found)}
        return ok(data, {"date": self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT")})

    def _search(self, wire: Wire) -> Response:
        given = self._fields(wire, ORDER_FIELDS)
        since = given.get("update_time_ge", 0)
        found = [
            {"id": order["id"], "status": order["status"], "update_time": order["update_time"]}
            for order in sorted(self.orders.values(), key=lambda order: order["update_time"])
            if order["update_time"] >= since and order["status"] == given.get("order_status", order["status"])
        ]
        return self._page("orders", found, wire)

    def _details(self, wire: Wire) -> Response:
        wanted = query(wire)["ids"].split(",")
        if len(wanted) > 50:
            raise refused(36009004, "at most 50 ids", 400)
        return ok({"orders": [json.loads(json.dumps(self.orders[name])) for name in wanted]})


WAREHOUSES: list[dict[str, Any]] = [
    {"id": "w-1", "name": "Home", "type": "SALES_WAREHOUSE", "effect_status": "ENABLED", "is_default": True},
    {"id": "w-2", "name": "North", "type": "SALES_WAREHOUSE", "effect_status": "ENABLED"},
    {"id": "w-3", "name": "Closed", "type": "SALES_WAREHOUSE", "effect_status": "DISABLED"},
    {"id": "w-4", "name": "Theirs", "type": "SALES_WAREHOUSE", "sub_type": "FBT", "effect_status": "ENABLED"},
    {"id": "w-9", "name": "Returns", "type": "RETURN_WAREHOUSE", "effect_status": "ENABLED"},
]


def _inventory(sku: Sku) -> list[dict[str, Any]]:
    return [{"warehouse_id": name, "quantity": units} for name, units in sku.stock.items()]


def _shown(sku: Sku) -> dict[str, Any]:
    return {
        "id": sku.id,
        "seller_sku": sku.seller_sku,
        "total_available_quantity": sum(sku.stock.values()),
        "warehouse_inventory": [
            {
                "warehouse_id": name,
                "available_quantity": units,
                "committed_quantity": sku.committed.get(name, 0),
            }
            for name, units in sku.stock.items()
        ],
    }


def webhook(fake: Fake, kind: int, data: dict[str, Any], number: int = 1) -> tuple[dict[str, str], bytes]:
    """A webhook as TikTok sends it: headers and body."""
    moment = micros(fake.clock.tick()) // 1_000_000
    said = {"type": kind, "tts_notification_id": f"n-{number}", "shop_id": SHOP, "timestamp": moment}
    raw = json.dumps({**said, "data": data}).encode()
    return {"authorization": hmac_hex(SECRET.encode(), KEY.encode() + raw)}, raw
