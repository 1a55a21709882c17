"""An Etsy shop's HTTP side: listings written whole, states with a fee, receipts, rotating tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.common import (
    Clock,
    Example,
    Faults,
    Refused,
    bearer_of,
    body,
    form,
    header,
    micros,
    query,
    reply,
    unknown,
    whole,
)
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

EXAMPLE = Example(
    settings={
        "shop_id": "501",
        "keystring": "key1",
        "shared_secret": "etsy-shared-77ab10",
        "refresh_token": "12.etsy-refresh-0001",
        "access_token": "12.etsy-access-0001",
        "webhook_secret": "whsec_ZXRzeS1ob29rLWtleQ==",
    },
    ids=lambda n: {"listing_id": str(n), "product_id": str(n * 100)},
)

BASE = "https://openapi.etsy.com/v3/application"
THROTTLED = Response(429, {"retry-after": "2"}, b'{"error": "Exceeded rate limit"}')
PRODUCT_KEYS = ("sku", "property_values", "offerings")
VALUE_KEYS = ("property_id", "value_ids", "scale_id", "property_name", "values")
OFFERING_KEYS = ("price", "quantity", "is_enabled", "readiness_state_id")
BY = ("price_on_property", "quantity_on_property", "sku_on_property", "readiness_state_on_property")


def refuse(error: str, status: int = 400) -> Refused:
    return Refused(reply(status, {"error": error}))


@dataclass
class Listing:
    number: int
    products: list[dict[str, Any]]
    by: dict[str, list[int]]
    state: str = "active"
    renewals: int = 0


@dataclass
class Fake:
    """Listings have products with one offering each. Every write gives the products new ids."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    listings: dict[int, Listing] = field(default_factory=dict)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    access: str = "12.etsy-access-0001"
    refresh: str = "12.etsy-refresh-0001"
    pairs: int = 1
    next_id: int = 100_000
    plain_inventory: bool = False
    exclusive: bool = False
    hidden: set[int] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, *quantities: int, shared: bool = False, one_sku: bool = False) -> Listing:
        """A listing with a product for each quantity, called SKU-<number> or SKU-<number>-<n>."""
        several = len(quantities) > 1
        products = []
        for n, quantity in enumerate(quantities):
            sku = f"SKU-{number}-{n}" if several and not one_sku else f"SKU-{number}"
            values = [value(200, n + 1, f"Colour {n}")] if several else []
            products.append(product(number * 100 + n, sku, quantity, values))
        varies = [200] if several and not shared else []
        by = {name: varies if name == "quantity_on_property" else [] for name in BY}
        self.listings[number] = Listing(number, products, by)
        return self.listings[number]

    def _product(self, sku: str) -> tuple[Listing, dict[str, Any]]:
        return next(
            (listing, row)
            for listing in self.listings.values()
            for row in listing.products
            if row["sku"] == sku
        )

    def edit(self, sku: str, quantity: int) -> None:
        """The seller sets a quantity."""
        self._product(sku)[1]["offerings"][0]["quantity"] = quantity

    def shown(self, sku: str) -> int:
        """What a customer can buy."""
        listing, row = self._product(sku)
        offering = row["offerings"][0]
        return offering["quantity"] if listing.state == "active" and offering["is_enabled"] else 0

    def sell(self, sku: str, units: int) -> str:
        """A customer buys; Etsy lowers its own number, and the last unit ends the listing."""
        listing, row = self._product(sku)
        row["offerings"][0]["quantity"] -= units
        if not any(each["offerings"][0]["quantity"] for each in listing.products):
            listing.state = "sold_out"
        number = len(self.receipts) + 9001
        line = {
            "transaction_id": number * 10,
            "listing_id": listing.number,
            "product_id": row["product_id"],
            "sku": sku,
            "quantity": units,
            "shipped_timestamp": None,
            "variations": [
                {"property_id": each["property_id"], "value_id": each["value_ids"][0]}
                for each in row["property_values"]
            ],
        }
        receipt = {"receipt_id": number, "status": "Paid", "is_shipped": False, "transactions": [line]}
        self.receipts.append(receipt)
        self.touch(str(number))
        return str(number)

    def _receipt(self, name: str) -> dict[str, Any] | None:
        return next((receipt for receipt in self.receipts if str(receipt["receipt_id"]) == name), None)

    def cancel(self, name: str) -> None:
        """A receipt is cancelled: it leaves the list of those that changed, if nobody asks for such."""
        self.hidden.add(int(name))
        self.touch(name, status="Canceled")

    def touch(self, name: str, **change: Any) -> None:
        """A receipt changes."""
        receipt = self._receipt(name)
        assert receipt is not None
        receipt.update(change)
        receipt["updated_timestamp"] = micros(self.clock.tick()) // 1_000_000
        for line in receipt["transactions"] if change.get("is_shipped") else ():
            line["shipped_timestamp"] = receipt["updated_timestamp"]

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        return self.faults.meet(THROTTLED, lambda: self._answer(wire))

    def _answer(self, wire: Wire) -> Response:
        if wire.url == "https://openapi.etsy.com/v3/public/oauth/token":
            return self._token(form(wire))
        key = f"{self.settings['keystring']}:{self.settings['shared_secret']}"
        if header(wire, "x-api-key") != key:
            raise refuse("Shared secret is required in x-api-key header.", 403)
        if bearer_of(wire) != self.access:
            raise Refused(reply(401, {"error": "invalid_token"}))
        path = wire.url.removeprefix(BASE)
        self.calls.append(f"{wire.method} {path}")
        shop = f"/shops/{self.settings['shop_id']}"
        match wire.method, path:
            case "GET", "/users/me":
                return reply(200, {"user_id": 12, "shop_id": int(self.settings["shop_id"])})
            case "GET", _ if path == f"{shop}/listings":
                return self._listed(query(wire))
            case "GET", _ if path == f"{shop}/receipts":
                return self._receipts(query(wire))
            case _:
                pass
        if found := re.fullmatch(r"/listings/(\d+)(/inventory)?", path):
            return self._listing(wire, self._known(found[1]), found[2] is not None)
        if found := re.fullmatch(rf"{shop}/receipts/(\d+)", path):
            receipt = self._receipt(found[1])
            words = f"Could not find a Shop Receipt with receipt_id = {found[1]}"
            return reply(404, {"error": words}) if receipt is None else reply(200, receipt)
        if found := re.fullmatch(rf"{shop}/listings/(\d+)", path):
            return self._switch(self._known(found[1]), form(wire))
        return reply(404, {"error": "Resource not found"})

    def _known(self, number: str) -> Listing:
        if int(number) not in self.listings:
            raise refuse("Could not find a listing with that id", 404)
        return self.listings[int(number)]

    def _token(self, told: dict[str, str]) -> Response:
        wanted = {"grant_type": "refresh_token", "client_id": self.settings["keystring"]}
        if told != {**wanted, "refresh_token": self.refresh}:
            return reply(400, {"error": "invalid_grant"})
        self.pairs += 1
        self.access, self.refresh = f"12.etsy-access-{self.pairs:04}", f"12.etsy-refresh-{self.pairs:04}"
        pair = {"access_token": self.access, "refresh_token": self.refresh}
        return reply(200, {**pair, "token_type": "Bearer", "expires_in": 3600})

    def _listing(self, wire: Wire, listing: Listing, inventory: bool) -> Response:
        asked = query(wire)
        if not inventory:
            return reply(200, {"listing_id": listing.number, "state": listing.state})
        if wire.method == "PUT":
            return self._write(listing, body(wire))
        told: dict[str, Any] = {"products": listing.products, **listing.by}
        if asked.get("includes") == "Listing" and not self.plain_inventory:
            told["listing"] = {"listing_id": listing.number, "state": listing.state}
        return reply(200, told)

    def _write(self, listing: Listing, told: Any) -> Response:
        if not isinstance(told, dict) or unknown(told, ("products", *BY)):
            raise refuse("Array contains invalid keys")
        rows = [self._checked(row) for row in told["products"]]
        if not any(row["offerings"][0]["quantity"] for row in rows):
            raise refuse("One offering must have quantity greater than 0")
        numbers = {row["offerings"][0]["quantity"] for row in rows}
        if not told["quantity_on_property"] and len(numbers) > 1:
            raise refuse("quantity must be consistent across all products")
        listing.products = rows
        listing.by = {name: told[name] for name in BY}
        return reply(200, {"products": rows, **listing.by})

    def _checked(self, row: dict[str, Any]) -> dict[str, Any]:
        if unknown(row, PRODUCT_KEYS) or any(unknown(each, VALUE_KEYS) for each in row["property_values"]):
            raise refuse("Array contains invalid keys")
        (offering,) = row["offerings"]
        if set(offering) != set(OFFERING_KEYS):
            raise refuse("Array contains invalid keys")
        if not whole(offering["quantity"]) or not 0 <= offering["quantity"] <= 999:
            raise refuse("quantity must be between 0 and 999")
        if isinstance(offering["price"], bool) or not isinstance(offering["price"], int | float):
            raise refuse("price must be a number")
        self.next_id += 1
        values = [{**each, "scale_name": None} for each in row["property_values"]]
        made = product(self.next_id, row["sku"], offering["quantity"], values)
        made["offerings"][0]["is_enabled"] = offering["is_enabled"]
        made["offerings"][0]["readiness_state_id"] = offering["readiness_state_id"]
        made["offerings"][0]["price"]["amount"] = round(offering["price"] * 100)
        return made

    def _switch(self, listing: Listing, told: dict[str, str]) -> Response:
        state = told.get("state")
        if set(told) != {"state"} or state not in ("active", "inactive"):
            raise refuse("Invalid state")
        if state == "active" and listing.state == "sold_out":
            listing.renewals += 1
            for row in listing.products:
                row["offerings"][0]["quantity"] = 1
        listing.state = state
        return reply(200, {"listing_id": listing.number, "state": state})

    def _listed(self, asked: dict[str, str]) -> Response:
        rows = [listing for listing in self.listings.values() if listing.state == asked["state"]]
        start, limit = int(asked["offset"]), int(asked["limit"])
        if limit > 100:
            raise refuse("limit must be at most 100")
        results = [
            {
                "listing_id": listing.number,
                "title": f"Listing {listing.number}",
                "state": listing.state,
                "inventory": None if self.plain_inventory else {"products": listing.products, **listing.by},
            }
            for listing in rows[start : start + limit]
        ]
        return reply(200, {"count": len(rows), "results": results})

    def _receipts(self, asked: dict[str, str]) -> Response:
        known = ("min_last_modified", "sort_on", "sort_order", "limit", "offset", "was_shipped")
        if unknown(asked, (*known, "was_canceled")) or asked["sort_on"] != "updated":
            raise refuse("Invalid parameter")
        since, down = int(asked.get("min_last_modified", 0)), asked["sort_order"] == "desc"
        rows = sorted(self.receipts, key=lambda row: int(row["updated_timestamp"]), reverse=down)
        if asked.get("was_canceled") == "true":
            rows = [row for row in rows if row["status"] == "Canceled"]
        else:
            rows = [row for row in rows if row["receipt_id"] not in self.hidden]
        rows = [row for row in rows if row["updated_timestamp"] >= since + self.exclusive]
        if asked.get("was_shipped") == "false":
            rows = [row for row in rows if not row["is_shipped"]]
        start, limit = int(asked["offset"]), int(asked["limit"])
        return reply(200, {"count": len(rows), "results": rows[start : start + limit]})


def value(number: int, choice: int, name: str) -> dict[str, Any]:
    """A property value as a reading shows it."""
    return {
        "property_id": number,
        "property_name": "Primary color",
        "scale_id": None,
        "scale_name": None,
        "value_ids": [choice],
        "values": [name],
    }


def product(number: int, sku: str, quantity: int, values: list[dict[str, Any]]) -> dict[str, Any]:
    """A product as a reading shows it."""
    offering = {
        "offering_id": number * 10,
        "quantity": quantity,
        "is_enabled": True,
        "is_deleted": False,
        "price": {"amount": 1850, "divisor": 100, "currency_code": "EUR"},
        "readiness_state_id": 123456,
    }
    return {
        "product_id": number,
        "sku": sku,
        "is_deleted": False,
        "property_values": values,
        "offerings": [offering],
    }
