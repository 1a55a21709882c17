"""A Wix site with either catalogue: it keeps stock, revisions and orders, and refuses what Wix refuses."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fakes.common import Clock, Example, Faults, Refused, body, header, iso, page, reply, unknown, whole
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

KEY = "api-key-a1b2c3d4e5f6"
SITE = "5f0c0000-0000-0000-0000-00000000517e"
APP, APP_SECRET, INSTANCE = "aaaa0000-app", "app-secret-a1b2c3d4", "aaaa0000-0001"
STORES = "215238eb-22a5-4c36-9e7b-e7c08025e04e"
SIMPLE = "00000000-0000-0000-0000-000000000000"
FIRST_NUMBER = 1_598_904_314_932_014
"""Wix numbers products by the microsecond."""
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def ids(number: int) -> dict[str, str]:
    """The ids of the n-th listing."""
    known = {"catalog": "V3", "product": f"p-{number}", "variant": f"v-{number}"}
    return {**known, "item:loc-1": f"i-{number}-loc-1"}


EXAMPLE = Example({"api_key": KEY, "site_id": SITE, "public_key": PUBLIC}, ids, "loc-1")


def refused(status: int, code: str, description: str = "") -> Refused:
    """A refusal in Wix's envelope."""
    error = {"code": code, "description": description}
    return Refused(reply(status, {"message": description, "details": {"applicationError": error}}))


@dataclass
class Item:
    """A stock record: of a variant at a location; V1 has one location without a name."""

    product: str
    variant: str
    location: str
    quantity: int = 0
    revision: int = 1
    tracked: bool = True
    sku: str = ""

    @property
    def id(self) -> str:
        """Its id."""
        return f"i-{self.product.removeprefix('p-')}-{self.location}"


@dataclass
class Fake:
    """The site's HTTP side. A ``forgetful`` one does not know its cursors any more."""

    version: str = "V3_CATALOG"
    items: list[Item] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: dict[str, dict[str, int]] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    token: str = "token-0001"
    forgetful: bool = False
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    calls: list[str] = field(default_factory=list)

    def add(self, number: int, quantity: int, location: str = "loc-1", variant: str = "") -> Item:
        """A variant with stock."""
        name = variant or (f"v-{number}" if self.version == "V3_CATALOG" else SIMPLE)
        item = Item(f"p-{number}", name, location, quantity, sku=f"SKU-{number}")
        self.items.append(item)
        return item

    def edit(self, item: Item, quantity: int) -> None:
        """Somebody changes a number in the dashboard."""
        item.quantity = quantity
        item.revision += 1

    def sell(self, item: Item, units: int, **more: Any) -> str:
        """A buyer orders: Wix lowers its own number, and the revision moves."""
        self.edit(item, item.quantity - units)
        name = f"o-{len(self.orders) + 1}"
        options = {} if item.variant == SIMPLE else {"variantId": item.variant}
        line: dict[str, Any] = {
            "id": "l-1",
            "quantity": units,
            "catalogReference": {"catalogItemId": item.product, "appId": STORES, "options": options},
            "physicalProperties": {"sku": item.sku},
        }
        if item.location != "loc-1":
            line["locations"] = [{"id": item.location.replace("loc", "site")}]
        self.orders[name] = {
            "id": name,
            "number": str(10_000 + len(self.orders)),
            "status": "APPROVED",
            "fulfillmentStatus": "NOT_FULFILLED",
            "updatedDate": iso(self.clock.tick()),
            "lineItems": [line],
            **more,
        }
        return name

    def change(self, name: str, **more: Any) -> None:
        """Something about an order changes."""
        self.orders[name] |= {**more, "updatedDate": iso(self.clock.tick())}
        if "fulfillmentStatus" in more:
            self.left[name] = self.orders[name]["updatedDate"]

    # --- the HTTP side ----------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.calls.append(f"{wire.method} {wire.path}")
        return self.faults.meet(reply(429, {"message": "too many requests"}), lambda: self._answer(wire))

    def _answer(self, wire: Wire) -> Response:
        if wire.path == "/oauth2/token":
            return self._token(wire)
        owner = header(wire, "authorization") == KEY and header(wire, "wix-site-id") == SITE
        if not owner and header(wire, "authorization") != self.token:
            raise refused(401, "UNAUTHENTICATED")
        self._right_catalog(wire.path)
        match wire.method, wire.path.strip("/").split("/"):
            case "GET", ["stores", "v3", "provision", "version"]:
                return reply(200, {"catalogVersion": self.version})
            case "POST", ["stores", "v3", "inventory-items", "query"]:
                return self._items(wire)
            case "POST", ["stores", "v3", "bulk", "inventory-items", "update"]:
                return self._update(wire)
            case "POST", ["stores", "v3", "products", "query"]:
                return self._products(wire)
            case "POST", ["stores", "v3", "locations", "query"]:
                return reply(200, {"locations": LOCATIONS, "pagingMetadata": {}})
            case "PATCH", ["stores", "v2", "inventoryItems", "product", product]:
                return self._patch(product, wire)
            case "POST", ["stores-reader", "v2", "inventoryItems", "query"]:
                return self._inventory(wire)
            case "POST", ["stores", "v1", "products", "query"]:
                return self._products_v1(wire)
            case "POST", ["ecom", "v1", "orders", "search"]:
                return self._orders(wire)
            case "POST", ["ecom", "v1", "fulfillments", "list-by-ids"]:
                return self._sent(wire)
            case _:
                raise refused(404, "NOT_FOUND", "no such path")

    def _right_catalog(self, path: str) -> None:
        old = path.startswith(("/stores/v1/", "/stores/v2/", "/stores-reader/"))
        new = path.startswith("/stores/v3/") and not path.endswith("/version")
        if old and self.version == "V3_CATALOG":
            raise refused(428, "CATALOG_V3_SITE_CALLING_CATALOG_V1_API")
        if new and self.version == "V1_CATALOG":
            raise refused(428, "CATALOG_V1_SITE_CALLING_CATALOG_V3_API")

    def _token(self, wire: Wire) -> Response:
        wanted = {"client_id": APP, "client_secret": APP_SECRET, "instance_id": INSTANCE}
        if body(wire) != {"grant_type": "client_credentials", **wanted}:
            raise Refused(reply(400, {"error": "invalid_client"}))
        self.token += "+"
        return reply(200, {"access_token": self.token, "token_type": "Bearer", "expires_in": 14400})

    def _query(self, wire: Wire, limit: int) -> tuple[dict[str, Any], int, int]:
        """The filter, where the page begins and its size. A cursor comes without a filter."""
        given = body(wire).get("query") or body(wire).get("search")
        if unknown(given, ("filter", "sort", "cursorPaging")):
            raise refused(400, "INVALID_ARGUMENT", "unknown fields")
        paging = given["cursorPaging"]
        if "cursor" in paging and self.forgetful:
            raise refused(400, "INVALID_CURSOR", "the cursor has expired")
        if paging["limit"] > limit or ("cursor" in paging and len(given) > 1):
            raise refused(400, "INVALID_ARGUMENT", "a cursor and a filter, or a limit too large")
        kept = json.loads(base64.b64decode(paging["cursor"])) if "cursor" in paging else [given, 0]
        return kept[0].get("filter", {}), kept[1], paging["limit"]

    def _paged(self, name: str, rows: list[Any], wanted: Any, start: int, size: int, where: str) -> Response:
        some, following = page(rows, start, size)
        cursors = {}
        if following is not None:
            raw = json.dumps([{"filter": wanted}, following]).encode()
            cursors = {"next": base64.b64encode(raw).decode()}
        dated = {"date": self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT")}
        return reply(200, {name: list(some), where: {"cursors": cursors, "count": len(some)}}, dated)

    # --- catalogue V3 -----------------------------------------------------------------------------------

    def _items(self, wire: Wire) -> Response:
        wanted, start, size = self._query(wire, 1000)
        names = wanted["productId"]["$in"]
        if len(names) > 100:
            raise refused(400, "INVALID_ARGUMENT", "at most 100")
        found = [_shown(item) for item in self.items if item.product in names]
        return self._paged("inventoryItems", found, wanted, start, size, "pagingMetadata")

    def _products(self, wire: Wire) -> Response:
        wanted, start, size = self._query(wire, 100)
        names = list(dict.fromkeys(item.product for item in self.items))
        found = [{"id": name, "name": f"Product {name}", "visible": True} for name in names]
        return self._paged("products", found, wanted, start, size, "pagingMetadata")

    def _update(self, wire: Wire) -> Response:
        given = body(wire)
        entries = given["inventoryItems"]
        if unknown(given, ("inventoryItems", "reason", "returnEntity")) or not 1 <= len(entries) <= 1000:
            raise refused(400, "INVALID_ARGUMENT", "1 to 1000 items")
        results = []
        for index, entry in enumerate(entries):
            meta: dict[str, Any] = {
                "originalIndex": index,
                "success": True,
                "id": entry["inventoryItem"]["id"],
            }
            item = self._one(entry["inventoryItem"], meta)
            results.append({"itemMetadata": meta} | ({"item": _shown(item)} if item else {}))
        failed = sum(not row["itemMetadata"]["success"] for row in results)
        total = {"totalSuccesses": len(results) - failed, "totalFailures": failed}
        return reply(200, {"results": results[::-1], "bulkActionMetadata": total})

    def _one(self, row: dict[str, Any], meta: dict[str, Any]) -> Item | None:
        item = next((item for item in self.items if item.id == row["id"]), None)
        fault = ""
        if unknown(row, ("id", "revision", "quantity", "inStock")) or ("quantity" in row) == (
            "inStock" in row
        ):
            raise refused(400, "INVALID_ARGUMENT", "fields of an item")
        if item is None:
            fault = "NOT_FOUND"
        elif row["revision"] != str(item.revision):
            fault = "INVALID_REVISION"
        elif "quantity" in row and not (whole(row["quantity"]) and -99_999 <= row["quantity"] <= 99_999):
            fault = "MAX_QUANTITY_LIMIT_REACHED"
        if fault or item is None:
            meta |= {"success": False, "error": {"code": fault, "description": "no", "data": {}}}
            return None
        item.tracked = "quantity" in row
        self.edit(item, row.get("quantity", item.quantity))
        return item

    # --- catalogue V1 -----------------------------------------------------------------------------------

    def _patch(self, product: str, wire: Wire) -> Response:
        given = body(wire)["inventoryItem"]
        own = {item.variant: item for item in self.items if item.product == product}
        if not own:
            raise refused(404, "NOT_FOUND", "product is unknown")
        if unknown(given, ("trackQuantity", "variants")):
            raise refused(400, "INVALID_ARGUMENT", "fields")
        for item in own.values():
            item.tracked = given.get("trackQuantity", False)
        for row in given["variants"]:
            if unknown(row, ("variantId", "quantity")) or not whole(row["quantity"]):
                raise refused(400, "INVALID_ARGUMENT", "fields of a variant")
            self.edit(own[row["variantId"]], row["quantity"])
        return reply(200, {})

    def _inventory(self, wire: Wire) -> Response:
        given = body(wire)["query"]
        after = json.loads(given["filter"])["numericId"]["$gt"]
        assert json.loads(given["sort"]) == [{"numericId": "asc"}]
        names = list(dict.fromkeys(item.product for item in self.items))
        numbered = [(number, name) for number, name in enumerate(names, FIRST_NUMBER) if number > after]
        found = []
        for number, name in numbered[: min(100, given["paging"]["limit"])]:
            own = [item for item in self.items if item.product == name]
            variants = [{"variantId": item.variant, "quantity": item.quantity} for item in own]
            row = {"productId": name, "numericId": str(number), "trackQuantity": own[0].tracked}
            found.append({**row, "variants": variants})
        return reply(200, {"inventoryItems": found, "totalResults": len(names)})

    def _products_v1(self, wire: Wire) -> Response:
        given = body(wire)
        names = json.loads(given["query"]["filter"])["id"]["$hasSome"]
        found = []
        for name in names:
            own = [item for item in self.items if item.product == name]
            if name in self.hidden and not given.get("includeHiddenProducts"):
                continue
            variants = [{"id": item.variant, "variant": {"sku": item.sku}} for item in own]
            row = {
                "id": name,
                "name": f"Product {name}",
                "sku": own[0].sku,
                "visible": name not in self.hidden,
            }
            found.append({**row, "variants": variants})
        return reply(200, {"products": found})

    # --- orders -----------------------------------------------------------------------------------------

    def _orders(self, wire: Wire) -> Response:
        wanted, start, size = self._query(wire, 100)
        states = wanted.get("fulfillmentStatus", {}).get("$in")
        since = wanted.get("updatedDate", {}).get("$gte", "1970-01-01T00:00:00Z")
        found = sorted(
            (
                order
                for order in self.orders.values()
                if (states is None or order["fulfillmentStatus"] in states)
                and datetime.fromisoformat(order["updatedDate"]) >= datetime.fromisoformat(since)
            ),
            key=lambda order: str(order["updatedDate"]),
        )
        return self._paged("orders", found, wanted, start, size, "metadata")

    def _sent(self, wire: Wire) -> Response:
        found = [
            {
                "orderId": name,
                "fulfillments": [
                    {"createdDate": self.left[name], "lineItems": [{"id": k, "quantity": v}]}
                    for k, v in own.items()
                ],
            }
            for name in body(wire)["orderIds"]
            for own in [self.sent.get(name, {})]
        ]
        return reply(200, {"ordersWithFulfillments": found})


LOCATIONS = [
    {"id": "loc-1", "wixLocationId": "site-1", "name": "Home", "defaultLocation": True},
    {"id": "loc-2", "wixLocationId": "site-2", "name": "North"},
]
"""Stock is kept under the first of the two ids; orders name the second."""


def _shown(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "revision": str(item.revision),
        "productId": item.product,
        "variantId": item.variant,
        "locationId": item.location,
        "trackQuantity": item.tracked,
        "product": {"variantSku": item.sku, "variantName": "Blue"},
        **({"quantity": item.quantity} if item.tracked else {"inStock": True}),
    }


def _part(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def webhook(
    topic: str, event: dict[str, Any], exp: int, instance: str = INSTANCE, alg: str = "RS256"
) -> bytes:
    """A webhook as Wix sends it: the whole body is a token, and what it says is nested in texts."""
    said = {"eventType": topic, "instanceId": instance, "data": json.dumps(event)}
    signed = _part({"alg": alg, "typ": "JWT"}) + b"." + _part({"data": json.dumps(said), "exp": exp})
    proof = PRIVATE.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return signed + b"." + base64.urlsafe_b64encode(proof).rstrip(b"=")
