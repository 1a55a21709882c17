"""A Magento shop's HTTP side: sources, reservations, orders, a message queue, or one stock item a product."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from fakes.common import Clock, Example, Faults, Refused, bearer_of, body, form, query, reply, unknown, whole
from fakes.magento_rules import fault, search, signed_well
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

EXAMPLE = Example(
    settings={
        "url": "https://shop.example",
        "consumer_key": "consumer-1",
        "consumer_secret": "mage-consumer-4cc0",
        "access_token": "mage-token-97d2e1",
        "access_secret": "mage-access-18b7",
    },
    ids=lambda n: {"product_id": str(n), "sku": f"SKU-{n}"},
    location="default",
)
THROTTLED = Response(429, {"retry-after": "2"}, b"<html>Too Many Requests</html>")
IMS = "https://ims-na1.adobelogin.com/ims/token/v3"
BULK = ("/default/async/bulk/V1/inventory/source-items", "/V1/async/bulk/inventory/source-items")


@dataclass
class Fake:
    """Source items by (SKU, source) as [quantity, status]; a sale reserves and only shipping takes away."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    products: list[dict[str, Any]] = field(default_factory=list)
    sources: dict[str, bool] = field(default_factory=lambda: {"default": True, "north": True, "old": False})
    items: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    stocks: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"base": ("default", "north", "old")})
    orders: list[dict[str, Any]] = field(default_factory=list)
    placed: int = 0
    most_items: int = 1_000
    legacy: bool = False
    no_export: bool = False
    looks: int = 1
    bulks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    bad_in_queue: dict[str, int] = field(default_factory=dict)
    nonces: set[str] = field(default_factory=set)
    token: str = ""

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int, source: str = "default", sku: str = "", **more: Any) -> None:
        """A product ``number`` with SKU ``SKU-number`` and a quantity at a source."""
        sku = sku or f"SKU-{number}"
        if not any(row["id"] == number for row in self.products):
            row = {"id": number, "sku": sku, "name": f"Mug {number}", "type_id": "simple", "status": 1}
            self.products.append(row | more)
        self.items[sku, source] = [quantity, 1]

    def edit(self, sku: str, quantity: int, source: str = "default") -> None:
        """Somebody sets a source quantity in the admin."""
        self.items[sku, source][0] = quantity

    def shown(self, sku: str, website: str = "base") -> int:
        """What a customer of a website can buy; the sales that are played are of the first one."""
        here = [code for code in self.stocks[website] if self.sources.get(code)]
        hands = sum(
            item[0] for (name, code), item in self.items.items() if name == sku and code in here and item[1]
        )
        return hands - (self.reserved.get(sku, 0) if website == "base" else 0)

    def sell(self, sku: str, units: int) -> str:
        """A customer buys: the source keeps its quantity and the units are reserved; without sources the
        quantity goes down at once."""
        if self.legacy:
            self.items[sku, "default"][0] -= units
        else:
            self.reserved[sku] = self.reserved.get(sku, 0) + units
        self.placed += 1
        number = self.placed
        product = next(row["id"] for row in self.products if row["sku"] == sku)
        line = {"item_id": number * 10, "sku": sku, "product_id": product, "product_type": "simple"}
        counts = dict.fromkeys(("qty_canceled", "qty_refunded", "qty_shipped", "qty_invoiced"), 0)
        line |= counts | {"qty_ordered": units}
        order = {"entity_id": number, "increment_id": f"{number:09}", "state": "new", "items": [line]}
        self.orders.append(order)
        self.touch(str(number))
        return str(number)

    def ship(self, name: str, source: str = "default") -> None:
        """The order leaves a source: its quantity and the reservation go down together."""
        order = self.touch(name, state="complete")
        for line in order["items"]:
            line["qty_shipped"] = line["qty_ordered"]
            self.items[line["sku"], source][0] -= line["qty_ordered"]
            self.reserved[line["sku"]] -= line["qty_ordered"]

    def touch(self, name: str, **change: Any) -> dict[str, Any]:
        """An order changes."""
        order = next(order for order in self.orders if str(order["entity_id"]) == name)
        order.update(change, updated_at=self.clock.tick().strftime("%Y-%m-%d %H:%M:%S"))
        return order

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        return self.faults.meet(THROTTLED, lambda: self._answer(wire))

    def _answer(self, wire: Wire) -> Response:
        if wire.url == IMS:
            return self._ims(form(wire))
        if not self._allowed(wire):
            return fault(401, "The consumer isn't authorized to access %resources.", {"resources": "self"})
        cloud = self.settings.get("auth") == "ims"
        path = wire.url.removeprefix(self.settings["url"] + ("" if cloud else "/rest"))
        if wire.method == "POST":
            return self._post(path, body(wire))
        if wire.method == "PUT":
            return self._put(path, body(wire))
        asked = query(wire)
        match path:
            case "/V1/products":
                return search(self.products, asked)
            case "/V1/orders":
                return search(self.orders, asked)
            case "/V1/modules":
                return reply(200, ["Magento_Store"] + ([] if self.legacy else ["Magento_InventoryApi"]))
            case "/V1/inventory/sources" if not self.legacy:
                rows = [{"source_code": c, "name": c.title(), "enabled": e} for c, e in self.sources.items()]
                return search(rows, asked)
            case "/V1/inventory/source-items" if not self.legacy:
                return search(self._rows(), asked)
            case "/V1/inventory/stocks" if not self.legacy:
                return search([stock(n, website) for n, website in enumerate(self.stocks, 1)], asked)
            case _:
                return self._salable(path, asked) or self._one(path)

    def _salable(self, path: str, asked: dict[str, str]) -> Response | None:
        start = "/V1/inventory/export-stock-salable-qty/website/"
        website = path.removeprefix(start)
        if self.no_export or not path.startswith(start) or website not in self.stocks:
            return None
        return search(
            [{"sku": row["sku"], "qty": self.shown(row["sku"], website)} for row in self.products], asked
        )

    def _one(self, path: str) -> Response:
        if found := re.fullmatch(r"/V1/inventory/get-product-salable-quantity/([^/]+)/1", path):
            return reply(200, self.shown(unquote(found[1])))
        if found := re.fullmatch(r"/V1/orders/(\d+)", path):
            one = next((order for order in self.orders if str(order["entity_id"]) == found[1]), None)
            missing = "The entity that was requested doesn't exist. Verify the entity and try again."
            return fault(404, missing) if one is None else reply(200, one)
        if found := re.fullmatch(r"/V1/bulk/([^/]+)/detailed-status", path):
            return self._outcome(found[1])
        assigned = "/V1/inventory/get-sources-assigned-to-stock-ordered-by-priority/"
        if path.startswith(assigned):
            codes = list(self.stocks.values())[int(path.removeprefix(assigned)) - 1]
            return reply(
                200, [{"source_code": code, "enabled": self.sources.get(code, True)} for code in codes]
            )
        if (found := re.fullmatch(r"/V1/stockItems/([^/]+)", path)) and self.legacy:
            return self._stock_item(unquote(found[1]))
        return fault(404, "Request does not match any route.")

    def _allowed(self, wire: Wire) -> bool:
        if self.settings.get("auth", "oauth") == "oauth":
            return signed_well(wire, self.settings, self.nonces)
        if self.settings["auth"] == "ims":
            extra = wire.headers.get("x-api-key"), wire.headers.get("x-gw-ims-org-id")
            if extra != (self.settings["client_id"], self.settings["organisation"]):
                return False
            return bool(self.token) and bearer_of(wire) == self.token
        return bool(bearer_of(wire) == self.settings["access_token"])

    def _ims(self, told: dict[str, str]) -> Response:
        wanted = {name: self.settings[name] for name in ("client_id", "client_secret")}
        if "commerce.accs" not in told.pop("scope", "") or told != {
            "grant_type": "client_credentials",
            **wanted,
        }:
            return reply(400, {"error": "invalid_client"})
        self.token = "ims-token-1"
        return reply(200, {"access_token": self.token, "token_type": "bearer", "expires_in": 86399})

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "source_item_id": n,
                "sku": sku,
                "source_code": source,
                "quantity": float(item[0]),
                "status": item[1],
            }
            for n, ((sku, source), item) in enumerate(self.items.items())
        ]

    # --- writing ----------------------------------------------------------------------------------------

    def _post(self, path: str, told: Any) -> Response:
        if path == "/V1/inventory/source-items" and not self.legacy:
            self._save(told)
            return reply(200, [])
        cloud = self.settings.get("auth") == "ims"
        if path == BULK[cloud] and not self.legacy:
            return self._enqueue(told)
        return fault(404, "Request does not match any route.")

    def _save(self, told: Any) -> None:
        rows = told.get("sourceItems") if isinstance(told, dict) and set(told) == {"sourceItems"} else None
        if not isinstance(rows, list) or not rows:
            raise Refused(fault(400, '"%fieldName" is required.', {"fieldName": "sourceItems"}))
        if len(rows) > self.most_items:
            words = 'Maximum items of type "%type" is %max'
            raise Refused(fault(400, words, {"type": "SourceItemInterface", "max": self.most_items}))
        for row in rows:
            self._check(row)
        for row in rows:
            # Whether there is such a product is not asked.
            self.items[row["sku"], row["source_code"]] = [row["quantity"], row["status"]]

    def _check(self, row: dict[str, Any]) -> None:
        if unknown(row, ("sku", "source_code", "quantity", "status")):
            raise Refused(fault(400, "Property does not have accessor method"))
        errors = []
        if row["sku"] != row["sku"].strip() or not row["sku"]:
            errors.append(
                {
                    "message": '"%field" can not have leading or trailing spaces.',
                    "parameters": {"field": "sku"},
                }
            )
        if not whole(row.get("quantity")) or row.get("status") not in (0, 1):
            errors.append({"message": '"%field" should be numeric.', "parameters": {"field": "quantity"}})
        if errors:
            raise Refused(reply(400, {"message": "Validation Failed", "errors": errors}))
        if row["source_code"] not in self.sources:
            raise Refused(fault(400, "Could not save Source Item"))

    def _enqueue(self, told: Any) -> Response:
        name = f"bulk-{len(self.bulks) + 1}"
        self.bulks[name] = []
        for n, each in enumerate(told):
            sku = each["sourceItems"][0]["sku"]
            status = self.bad_in_queue.get(sku, 1)
            if status == 1:
                self._save(each)
            said = "Service execution success" if status == 1 else "Deadlock, try again"
            self.bulks[name].append({"id": n, "status": status, "result_message": said, "error_code": None})
        taken = [{"id": n, "data_hash": "x", "status": "accepted"} for n in range(len(told))]
        return reply(202, {"bulk_uuid": name, "request_items": taken, "errors": False})

    def _outcome(self, name: str) -> Response:
        self.looks -= 1
        rows = self.bulks[name] if self.looks < 0 else [{**row, "status": 4} for row in self.bulks[name]]
        return reply(200, {"bulk_id": name, "operations_list": rows})

    def _stock_item(self, sku: str) -> Response:
        item = self.items.get((sku, "default"))
        if item is None:
            return fault(404, "The stock item with the requested ID doesn't exist.")
        told = {"item_id": 7, "product_id": 1, "qty": item[0], "is_in_stock": item[1] == 1}
        return reply(200, told | {"manage_stock": True, "min_qty": 0, "extension_attributes": {}})

    def _put(self, path: str, told: Any) -> Response:
        found = re.fullmatch(r"/V1/products/([^/]+)/stockItems/7", path)
        item = told.get("stockItem", {})
        if not found or not self.legacy or not {"item_id", "qty", "is_in_stock", "min_qty"} <= set(item):
            return fault(404, "Request does not match any route.")
        self.items[unquote(found[1]), "default"] = [item["qty"], int(item["is_in_stock"])]
        return reply(200, 7)


def stock(number: int, website: str) -> dict[str, Any]:
    """A stock that a website sells from."""
    channels = [{"type": "website", "code": website}]
    return {"stock_id": number, "name": website, "extension_attributes": {"sales_channels": channels}}
