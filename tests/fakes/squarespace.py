"""Squarespace's HTTP side: mandatory headers, adjustments all or nothing, pages, time boxes, tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fakes.common import (
    Clock,
    Example,
    Faults,
    Refused,
    basic_of,
    bearer_of,
    body,
    header,
    hmac_hex,
    iso,
    page,
    query,
    reply,
    unknown,
    whole,
)
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

EXAMPLE = Example(
    settings={
        "access_token": "sq-access-3c11d0",
        "client_id": "client-9",
        "client_secret": "sq-secret-88ab10",
        "refresh_token": "sq-refresh-5e7f22",
        "webhook_secret": "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    },
    ids=lambda n: {"variant": f"variant-{n}"},
)
OPERATIONS = ("setFiniteOperations", "setUnlimitedOperations", "incrementOperations", "decrementOperations")
ORDERS_ASKED = (
    "modifiedAfter",
    "modifiedBefore",
    "cursor",
    "fulfillmentStatus",
    "paymentStates",
    "customerId",
)
LARGEST = 2**31 - 1


@dataclass
class Variant:
    sku: str
    quantity: int
    unlimited: bool = False


@dataclass
class Fake:
    """A site: variants by id, orders as the API shows them."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    variants: dict[str, Variant] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=lambda: {EXAMPLE.settings["access_token"], "key-of-the-site"})
    refresh: str = EXAMPLE.settings["refresh_token"]
    keys: dict[str, bytes] = field(default_factory=dict)
    conflicts: int = 0
    newest_first: bool = False
    requests: list[Wire] = field(default_factory=list)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int, unlimited: bool = False) -> Variant:
        """A variant with SKU ``SKU-number``."""
        return self.variants.setdefault(f"variant-{number}", Variant(f"SKU-{number}", quantity, unlimited))

    def _variant(self, sku: str) -> Variant:
        return next(variant for variant in self.variants.values() if variant.sku == sku)

    def edit(self, sku: str, quantity: int) -> None:
        """Somebody sets a quantity by hand."""
        self._variant(sku).quantity = quantity

    def shown(self, sku: str) -> int:
        """What the site shows."""
        return self._variant(sku).quantity

    def sell(self, sku: str, units: int) -> str:
        """A customer buys; the site lowers its number."""
        variant = self._variant(sku)
        if not variant.unlimited:
            variant.quantity -= units
        name = next(name for name, known in self.variants.items() if known is variant)
        order = f"order-{len(self.orders) + 1}"
        line = {"id": f"{order}-line", "variantId": name, "sku": sku, "quantity": units}
        self.orders.append(
            {
                "id": order,
                "orderNumber": str(len(self.orders) + 1),
                "modifiedOn": iso(self.clock.tick()),
                "fulfillmentStatus": "PENDING",
                "paymentState": "PAID",
                "testmode": False,
                "lineItems": [{**line, "lineItemType": "PHYSICAL_PRODUCT"}],
            }
        )
        return order

    def change(self, order: str, **fields: Any) -> None:
        """The order is edited, fulfilled or cancelled; a cancelled one gives its units back."""
        row = next(row for row in self.orders if row["id"] == order)
        row |= {**fields, "modifiedOn": iso(self.clock.tick())}
        if fields.get("fulfillmentStatus") == "FULFILLED":
            row["fulfilledOn"] = row["modifiedOn"]
        if fields.get("fulfillmentStatus") == "CANCELED":
            for line in row["lineItems"]:
                self._variant(line["sku"]).quantity += line["quantity"]

    def webhook(self, order: str, name: str = "note-1") -> tuple[dict[str, str], bytes]:
        """Headers and body of a signed notification."""
        said = {"notificationId": name, "topic": "order.create", "data": {"orderId": order}}
        raw = json.dumps(said).encode()
        key = bytes.fromhex(self.settings["webhook_secret"])
        return {"squarespace-signature": hmac_hex(key, raw)}, raw

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.requests.append(wire)
        throttled = _refusal(429, "TOO_MANY_REQUESTS", "")
        return self.faults.meet(throttled, lambda: self._handle(wire))

    def _handle(self, wire: Wire) -> Response:
        if not header(wire, "user-agent"):
            return _refusal(403, "INVALID_REQUEST_ERROR", "", "User-Agent is missing")
        if wire.body and header(wire, "content-type") != "application/json":
            return _refusal(415, "INVALID_REQUEST_ERROR", "INVALID_CONTENT_TYPE")
        if wire.url.startswith("https://login.squarespace.com/"):
            return self._token(wire)
        if bearer_of(wire) not in self.tokens:
            return _refusal(401, "AUTHORIZATION_ERROR", "")
        match wire.method, wire.path:
            case "POST", "/1.0/commerce/inventory/adjustments":
                return self._adjust(wire)
            case "GET", "/1.0/commerce/inventory":
                return self._inventory(query(wire))
            case "GET", "/1.0/commerce/orders":
                return self._orders(query(wire))
            case "GET", "/1.0/authorization/website":
                return reply(200, {"title": "Acme", "siteId": "site-1"})
            case _:
                return _refusal(404, "INVALID_REQUEST_ERROR", "")

    def _token(self, wire: Wire) -> Response:
        said = body(wire)
        if basic_of(wire) != (self.settings["client_id"], self.settings["client_secret"]):
            return reply(401, {"error": "invalid_client"})
        if said != {"grant_type": "refresh_token", "refresh_token": self.refresh}:
            return reply(400, {"error": "invalid_grant"})
        self.refresh += "-next"
        token = f"sq-access-{len(self.tokens)}"
        self.tokens.add(token)
        now = self.clock.tick()
        ends = str(int(now.timestamp()) + 1800)
        found = {"access_token": token, "access_token_expires_at": ends, "refresh_token": self.refresh}
        return reply(200, found, {"date": now.strftime("%a, %d %b %Y %H:%M:%S GMT")})

    def _adjust(self, wire: Wire) -> Response:
        key, said = header(wire, "idempotency-key"), body(wire)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key):
            return _refusal(400, "INVALID_REQUEST_ERROR", "MISSING_ARGUMENT", "Idempotency-Key")
        if key in self.keys:
            return (
                Response(204) if self.keys[key] == wire.body else _refusal(400, "INVALID_REQUEST_ERROR", "")
            )
        if self.conflicts:
            self.conflicts -= 1
            return _refusal(409, "CONFLICT", "CONCURRENT_MODIFICATION")
        if wrong := self._fault(said):
            return wrong
        for one in said.get("setFiniteOperations", []):
            variant = self.variants[one["variantId"]]
            variant.quantity, variant.unlimited = one["quantity"], False
        for name in said.get("setUnlimitedOperations", []):
            self.variants[name].unlimited = True
        self.keys[key] = wire.body
        return Response(204)

    def _fault(self, said: Any) -> Response | None:
        if not isinstance(said, dict) or unknown(said, OPERATIONS):
            return _refusal(400, "INVALID_REQUEST_ERROR", "INVALID_ARGUMENT")
        finite = said.get("setFiniteOperations", [])
        names = [one.get("variantId") for one in finite] + said.get("setUnlimitedOperations", [])
        if not 1 <= len(names) <= 50 or len(set(names)) != len(names):
            return _refusal(400, "INVALID_REQUEST_ERROR", "INVALID_ARGUMENT")
        if any(unknown(one, ("variantId", "quantity")) for one in finite):
            return _refusal(400, "INVALID_REQUEST_ERROR", "INVALID_ARGUMENT")
        if any(name not in self.variants for name in names):
            return _refusal(400, "INVALID_REQUEST_ERROR", "INVENTORY_ITEM_NOT_FOUND")
        if any(not whole(one.get("quantity")) or one["quantity"] < 0 for one in finite):
            return _refusal(400, "INVALID_REQUEST_ERROR", "INVALID_ARGUMENT")
        if any(one["quantity"] > LARGEST for one in finite):
            return _refusal(409, "CONFLICT", "STOCK_EXCEEDS_MAX")
        return None

    def _inventory(self, asked: Mapping[str, str]) -> Response:
        shown = [
            {
                "variantId": name,
                "sku": variant.sku,
                "descriptor": f"Thing [{variant.sku}]",
                "isUnlimited": variant.unlimited,
                "quantity": variant.quantity,
            }
            for name, variant in self.variants.items()
        ]
        return self._page("inventory", shown, int(asked.get("cursor", "0")), "")

    def _orders(self, asked: Mapping[str, str]) -> Response:
        if "cursor" in asked:
            if len(asked) > 1:
                return _refusal(400, "INVALID_REQUEST_ERROR", "INVALID_ARGUMENT")
            start, kept = asked["cursor"].split(" ", 1)
            return self._page("result", self._filtered(json.loads(kept)), int(start), kept)
        after, before = asked.get("modifiedAfter"), asked.get("modifiedBefore")
        if unknown(asked, ORDERS_ASKED) or (after is None) != (before is None):
            return _refusal(400, "INVALID_REQUEST_ERROR", "INVALID_ARGUMENT")
        if after and before and not (_stamp(after) < _stamp(before)):
            return _refusal(400, "INVALID_REQUEST_ERROR", "INVALID_ARGUMENT")
        return self._page("result", self._filtered(asked), 0, json.dumps(dict(asked)))

    def _filtered(self, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        states = asked.get("paymentStates", "NOT_CHARGED,AUTHORIZED,PAID,REFUNDED").split(",")
        after = _stamp(asked.get("modifiedAfter", "1970-01-01T00:00:00Z"))
        before = _stamp(asked.get("modifiedBefore", "2300-01-01T00:00:00Z"))
        status = asked.get("fulfillmentStatus")
        return [
            row
            for row in sorted(self.orders, key=lambda row: row["modifiedOn"], reverse=self.newest_first)
            if after < _stamp(row["modifiedOn"]) < before
            and row["paymentState"] in states
            and status in (None, row["fulfillmentStatus"])
        ]

    def _page(self, name: str, rows: list[dict[str, Any]], start: int, kept: str) -> Response:
        some, following = page(rows, start, 50)
        cursor = None if following is None else f"{following} {kept}".strip()
        pages = {"hasNextPage": following is not None, "nextPageCursor": cursor, "nextPageUrl": None}
        date = self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT")
        return reply(200, {name: list(some) or None, "pagination": pages}, {"date": date})


def _stamp(told: str) -> datetime:
    """A time as it must be written: in UTC, with the zone as a letter."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", told):
        raise Refused(_refusal(400, "INVALID_REQUEST_ERROR", "INVALID_ARGUMENT", f"{told} is no time"))
    return datetime.fromisoformat(told)


def _refusal(status: int, kind: str, subtype: str, message: str = "no") -> Response:
    said = {"type": kind, "subtype": subtype or None, "message": message, "details": None, "contextId": "c-1"}
    return reply(status, said)
