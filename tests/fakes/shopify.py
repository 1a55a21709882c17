"""A Shopify shop's HTTP side: its GraphQL documents by name, points, idempotency, compare-and-set, orders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.common import (
    Clock,
    Example,
    Faults,
    Refused,
    body,
    form,
    header,
    hmac_base64,
    iso,
    reply,
    unknown,
    whole,
)
from fakes.shopify_rules import by_change, connection, error, order_row, refusal, top
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

EXAMPLE = Example(
    settings={
        "shop": "acme",
        "access_token": "shpat-4f1c9a77e0",
        "client_id": "app-1",
        "client_secret": "shpss-0d2b64aa91",
    },
    ids=lambda n: {"inventory_item": f"gid://shopify/InventoryItem/{n}"},
    location="gid://shopify/Location/1",
)

PATH = "/admin/api/2026-10/graphql.json"
REASONS = {"correction", "received", "restock", "damaged", "shrinkage", "promotion", "other"}
DEAREST = 1000
SCOPES = ("write_inventory", "read_products", "read_locations", "read_orders")


def item_id(number: int) -> str:
    return f"gid://shopify/InventoryItem/{number}"


def variant_id(number: int) -> str:
    return f"gid://shopify/ProductVariant/{number}"


def place_id(number: int) -> str:
    return f"gid://shopify/Location/{number}"


@dataclass
class Item:
    number: int
    sku: str
    levels: dict[str, int]
    tracked: bool = True
    status: str = "ACTIVE"
    changed: str = "2026-11-21T00:00:00Z"
    committed: int = 0


@dataclass
class Fake:
    """Items have a quantity by location; ``orders`` are rows as the API gives them."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    items: dict[str, Item] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    shipments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)
    done: dict[str, tuple[str, Any]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {EXAMPLE.settings["access_token"]})
    refresh: str = "refresh-1"
    dearest_page: int = DEAREST
    placed: int = 0
    scopes: tuple[str, ...] = SCOPES
    hidden: set[str] = field(default_factory=set)
    era: int = 1
    requests: list[Wire] = field(default_factory=list)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int, place: int = 1, **more: Any) -> Item:
        """An item with SKU ``SKU-number`` and a quantity at a location."""
        item = self.items.setdefault(item_id(number), Item(number, f"SKU-{number}", {}, **more))
        item.levels[place_id(place)] = quantity
        return item

    def _item(self, sku: str) -> Item:
        return next(item for item in self.items.values() if item.sku == sku)

    def edit(self, sku: str, quantity: int, place: int = 1) -> None:
        """Somebody sets a quantity in the admin."""
        item = self._item(sku)
        item.levels[place_id(place)] = quantity
        item.changed = iso(self.clock.tick())

    def shown(self, sku: str, place: int = 1) -> int:
        """What the shop shows as available."""
        return self._item(sku).levels[place_id(place)]

    def sell(self, sku: str, units: int, place: int = 1) -> str:
        """A customer buys; Shopify lowers `available` at once."""
        item = self._item(sku)
        item.levels[place_id(place)] -= units
        item.committed += units
        now = iso(self.clock.tick())
        item.changed = now
        self.placed += 1
        number = self.placed + 1000
        line = {
            "id": f"gid://shopify/LineItem/{number}",
            "sku": item.sku,
            "quantity": units,
            "currentQuantity": units,
            "unfulfilledQuantity": units,
            "nonFulfillableQuantity": 0,
            "variant": {
                "id": f"gid://shopify/ProductVariant/{item.number}",
                "inventoryItem": {"id": item_id(item.number)},
            },
        }
        name = f"gid://shopify/Order/{number}"
        self.orders[name] = {
            "id": name,
            "name": f"#{number}",
            "updatedAt": now,
            "cancelledAt": None,
            "confirmed": True,
            "test": False,
            "lines": [line],
        }
        return name

    def ship(self, order: str, units: int) -> None:
        """Units of the order's first line go out."""
        line = self.orders[order]["lines"][0]
        line["unfulfilledQuantity"] -= units
        node = {"quantity": units, "lineItem": {"id": line["id"]}}
        parcels = self.shipments.setdefault(order, [])
        name = f"gid://shopify/Fulfillment/{order.rpartition('/')[2]}{len(parcels)}"
        parcels.append({"id": name, "status": "SUCCESS", "fulfillmentLineItems": [node]})
        now = self.orders[order]["updatedAt"] = iso(self.clock.tick())
        self.orders[order].setdefault("fulfillments", []).append({"createdAt": now})

    def cancel(self, order: str) -> None:
        """The order is cancelled and restocked."""
        row = self.orders[order]
        now = iso(self.clock.tick())
        row |= {"cancelledAt": now, "updatedAt": now}
        for line in row["lines"]:
            open_units = line["unfulfilledQuantity"]
            line["nonFulfillableQuantity"] += open_units
            line["currentQuantity"] -= open_units
            line["unfulfilledQuantity"] = 0
            self._item(line["sku"]).levels[place_id(1)] += open_units

    def refund(self, order: str, units: int, restock: str = "RETURN") -> None:
        """Shipped units of the first line are refunded."""
        line = self.orders[order]["lines"][0]
        line["currentQuantity"] -= units
        node = {"quantity": units, "restockType": restock, "lineItem": {"id": line["id"]}}
        refunds = self.refunds.setdefault(order, [])
        name = f"gid://shopify/Refund/{order.rpartition('/')[2]}{len(refunds)}"
        refunds.append({"id": name, "refundLineItems": [node]})
        self.orders[order]["updatedAt"] = iso(self.clock.tick())

    def webhook(self, topic: str, value: Any, name: str = "hook-1") -> tuple[dict[str, str], bytes]:
        """Headers and body of a signed message."""
        raw = json.dumps(value).encode()
        proof = hmac_base64(self.settings["client_secret"].encode(), raw)
        headers = {"x-shopify-topic": topic, "x-shopify-webhook-id": name, "x-shopify-hmac-sha256": proof}
        return headers, raw

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.requests.append(wire)
        cost = {
            "requestedQueryCost": 500,
            "throttleStatus": {"maximumAvailable": 2000, "currentlyAvailable": 300, "restoreRate": 100},
        }
        error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        throttled = reply(200, {"errors": [error], "extensions": {"cost": cost}})
        return self.faults.meet(throttled, lambda: self._handle(wire))

    def _handle(self, wire: Wire) -> Response:
        if wire.path == "/admin/oauth/access_token":
            return self._token(form(wire))
        if wire.path != PATH or wire.method != "POST":
            return reply(404, {"errors": "Not Found"})
        if header(wire, "x-shopify-access-token") not in self.tokens:
            return reply(401, {"errors": "[API] Invalid API key or access token"})
        said = body(wire)
        if not isinstance(said, dict) or unknown(said, ("query", "variables", "operationName")):
            return reply(400, {"errors": {"query": "Required parameter missing or invalid"}})
        answers: dict[str, Callable[[Any, str], Any]] = {
            "HubSet": self._set,
            "HubTrack": self._track,
            "HubLook": lambda v, _: {"nodes": [self._looked(name) for name in v["ids"]]},
            "HubItems": self._items,
            "HubNamed": self._named,
            "HubLevels": self._levels,
            "HubPlaces": self._places,
            "HubOrders": self._orders,
            "HubNamedOrders": self._named_orders,
            "HubPart": self._part,
            "HubLines": self._lines,
            "HubHistory": self._history,
            "HubCheck": self._check,
        }
        name = said["operationName"]
        if name not in answers or f" {name}" not in said["query"]:
            return top("undefinedField", f"no operation {name}")
        if said["variables"].get("first", 0) > self.dearest_page:
            return top("MAX_COST_EXCEEDED", "Query cost exceeds the single query max cost limit")
        return reply(200, {"data": answers[name](said["variables"], said["query"])}, self._date())

    def _date(self) -> dict[str, str]:
        return {"date": self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT")}

    def _token(self, said: Mapping[str, str]) -> Response:
        known = (self.settings["client_id"], self.settings["client_secret"])
        if (said.get("client_id"), said.get("client_secret")) != known:
            return reply(400, {"error": "invalid_client"})
        token = f"fresh-token-{len(self.tokens)}"
        if said.get("grant_type") == "client_credentials":
            self.tokens.add(token)
            return reply(200, {"access_token": token, "scope": "write_inventory", "expires_in": 86399})
        if said.get("grant_type") != "refresh_token" or said.get("refresh_token") != self.refresh:
            return reply(400, {"error": "invalid_grant"})
        self.refresh = f"{self.refresh}-next"
        self.tokens.add(token)
        pair = {"access_token": token, "refresh_token": self.refresh, "expires_in": 3600}
        return reply(200, {**pair, "refresh_token_expires_in": 7776000})

    def _set(self, variables: Mapping[str, Any], query: str) -> Any:
        key = variables.get("key")
        if "@idempotent(key: $key)" not in query or not key:
            raise Refused(top("BAD_REQUEST", "The @idempotent directive is required for this mutation"))
        said = variables["input"]
        text = json.dumps(said, sort_keys=True)
        if key in self.done:
            before, result = self.done[key]
            if before != text:
                return refusal([error("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", None)])
            return result
        errors = self._set_errors(said)
        if errors:
            return refusal(errors)
        for entry in said["quantities"]:
            item = self.items[entry["inventoryItemId"]]
            if item.levels.get(entry["locationId"]) != entry["quantity"]:
                item.changed = iso(self.clock.tick())
            item.levels[entry["locationId"]] = entry["quantity"]
        done = {"inventoryAdjustmentGroup": {"id": f"gid://g/{len(self.done)}"}, "userErrors": []}
        self.done[key] = (text, {"inventorySetQuantities": done})
        return {"inventorySetQuantities": done}

    def _set_errors(self, said: Mapping[str, Any]) -> list[dict[str, Any]]:
        quantities = said["quantities"]
        if unknown(said, ("name", "reason", "referenceDocumentUri", "quantities")) or len(quantities) > 250:
            raise Refused(top("BAD_REQUEST", "Variable $input was provided invalid value"))
        if said["name"] not in ("available", "on_hand"):
            return [error("INVALID_NAME", ["input", "name"])]
        if said["reason"] not in REASONS:
            return [error("INVALID_REASON", ["input", "reason"])]
        pairs: set[tuple[str, str]] = set()
        errors = []
        for place, entry in enumerate(quantities):
            if "changeFromQuantity" not in entry:
                raise Refused(top("BAD_REQUEST", "changeFromQuantity is required"))
            if code := self._entry_error(entry, pairs):
                errors.append(error(code, ["input", "quantities", str(place), "quantity"]))
            pairs.add((entry["inventoryItemId"], entry["locationId"]))
        return errors

    def _entry_error(self, entry: Mapping[str, Any], pairs: set[tuple[str, str]]) -> str:
        item, place = self.items.get(entry["inventoryItemId"]), entry["locationId"]
        if (entry["inventoryItemId"], place) in pairs:
            return "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR"
        if item is None:
            return "INVALID_INVENTORY_ITEM"
        if not place.startswith("gid://shopify/Location/") or place in self.services:
            return "INVALID_LOCATION"
        if not whole(entry["quantity"]) or entry["quantity"] > 1_000_000_000:
            return "INVALID_QUANTITY_TOO_HIGH"
        expected = entry["changeFromQuantity"]
        return "CHANGE_FROM_QUANTITY_STALE" if expected not in (None, item.levels.get(place, 0)) else ""

    def _track(self, variables: Mapping[str, Any], _: str) -> Any:
        item = self.items[variables["id"]]
        item.tracked = True
        found = {"id": item_id(item.number), "tracked": True}
        return {"inventoryItemUpdate": {"inventoryItem": found, "userErrors": []}}

    def _looked(self, name: str) -> Any:
        item = self.items.get(name)
        return item and {
            "id": name,
            "inventoryLevels": connection([self._level(item, p) for p in item.levels], {"first": 10}),
        }

    def _level(self, item: Item, place: str) -> dict[str, Any]:
        quantities = {"available": item.levels[place], "committed": item.committed}
        rows = [{"name": n, "quantity": q, "updatedAt": item.changed} for n, q in quantities.items()]
        where = {"id": place, "isFulfillmentService": place in self.services}
        return {"location": where, "quantities": rows}

    def _items(self, variables: Mapping[str, Any], _: str) -> Any:
        found = [self._row(item) for item in self.items.values()]
        return {"inventoryItems": connection(found, variables)}

    def _named(self, variables: Mapping[str, Any], _: str) -> Any:
        found = (self.items.get(name) for name in variables["ids"])
        return {"nodes": [item and self._row(item) for item in found]}

    def _row(self, item: Item) -> dict[str, Any]:
        variant = {
            "id": variant_id(item.number),
            "displayName": f"Thing {item.number}",
            "product": {"status": item.status},
        }
        levels = [self._level(item, place) for place in item.levels]
        return {
            "id": item_id(item.number),
            "sku": item.sku,
            "tracked": item.tracked,
            "variants": {"nodes": [variant]},
            "inventoryLevels": connection(levels, {"first": 10}),
        }

    def _levels(self, variables: Mapping[str, Any], _: str) -> Any:
        item = self.items[variables["id"]]
        levels = [self._level(item, place) for place in item.levels]
        return {"inventoryItem": {"inventoryLevels": connection(levels, variables)}}

    def _places(self, variables: Mapping[str, Any], _: str) -> Any:
        names = sorted({place for item in self.items.values() for place in item.levels} | {place_id(1)})
        found = [
            {"id": n, "name": f"Shop {n[-1]}", "isFulfillmentService": n in self.services} for n in names
        ]
        return {"location": {"id": place_id(1)}, "locations": connection(found, variables)}

    def _orders(self, variables: Mapping[str, Any], _: str) -> Any:
        query = variables["query"]
        rows = list(self.orders.values())
        if query == "status:open":
            rows = [row for row in rows if not row["cancelledAt"]]
        else:
            since = query.removeprefix("updated_at:>='").removesuffix("'")
            rows = [row for row in rows if row["updatedAt"] >= since]
        if (found := by_change(rows, variables, self.era)) is None:
            errors = [{"message": "Invalid cursor for current pagination sort."}]
            raise Refused(reply(200, {"errors": errors}, self._date()))
        return {"orders": found}

    def _named_orders(self, variables: Mapping[str, Any], _: str) -> Any:
        if len(variables["ids"]) > self.dearest_page:
            raise Refused(top("MAX_COST_EXCEEDED", "Query cost exceeds the single query max cost limit"))
        visible = {name: order_row(row) for name, row in self.orders.items() if name not in self.hidden}
        return {"nodes": [visible.get(name) for name in variables["ids"]], **self._granted()}

    def _part(self, variables: Mapping[str, Any], _: str) -> Any:
        parts = [part for some in (*self.shipments.values(), *self.refunds.values()) for part in some]
        (part,) = (part for part in parts if part["id"] == variables["id"])
        name = "refundLineItems" if "refundLineItems" in part else "fulfillmentLineItems"
        return {"node": {name: connection(part[name], variables)}}

    def _lines(self, variables: Mapping[str, Any], _: str) -> Any:
        return {"order": {"lineItems": connection(self.orders[variables["id"]]["lines"], variables)}}

    def _history(self, variables: Mapping[str, Any], _: str) -> Any:
        name, first = variables["id"], variables["first"]
        shipped, back = (
            [
                {k: connection(v, {"first": 20}) if isinstance(v, list) else v for k, v in part.items()}
                for part in parts.get(name, [])[:first]
            ]
            for parts in (self.shipments, self.refunds)
        )
        return {"order": {"fulfillments": shipped, "refunds": back} if name in self.orders else None}

    def _check(self, _: Any, __: str) -> Any:
        return {
            "shop": {"name": "Acme", "myshopifyDomain": "acme.myshopify.com"},
            **self._granted(),
        }

    def _granted(self) -> dict[str, Any]:
        return {"currentAppInstallation": {"accessScopes": [{"handle": scope} for scope in self.scopes]}}
