"""eBay's HTTP side for one account: inventory items, offers, locations, orders, tokens, signed messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fakes.common import (
    Clock,
    Example,
    Faults,
    Refused,
    basic_of,
    bearer_of,
    body,
    form,
    header,
    iso,
    page,
    query,
    reply,
    unknown,
    whole,
)
from fakes.ebay_listings import REVISIONS, Listings
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

EXAMPLE = Example(
    settings={
        "client_id": "app-9",
        "client_secret": "ebay-secret-5c1f",
        "refresh_token": "v^1.1#refresh-20aa",
        "access_token": "v^1.1#access-7710",
        "verification_token": "verification-token-of-the-endpoint-1",
        "endpoint": "https://hub.example.com/webhooks/ebay",
    },
    ids=lambda n: {"sku": f"SKU-{n}", "offers": str(8_000 + n)},
)
ENTRY = {"sku", "shipToLocationAvailability", "offers"}


@dataclass
class Fake:
    """An account: items by SKU, offers by id, orders as the API shows them, and a signing key."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    offers: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    parcels: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    locations: tuple[str, ...] = ("WH1", "WH2")
    tokens: set[str] = field(default_factory=lambda: {EXAMPLE.settings["access_token"]})
    busy: set[str] = field(default_factory=set)
    together: int = 25
    by_change: bool = True
    """How orders that changed are sorted; which of the two eBay does it does not say."""
    listings: Listings = field(default_factory=Listings)
    signer: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    requests: list[Wire] = field(default_factory=list)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int, offer: int | None = -1, **places: int) -> None:
        """An item with SKU ``SKU-number``, by location where ``places`` are given, with a live offer: one
        with a number of its own (the item's, or ``offer``), or without one (``offer=None``)."""
        stock: dict[str, Any] = {"quantity": sum(places.values()) or quantity}
        if places:
            parts = [{"merchantLocationKey": key, "quantity": count} for key, count in places.items()]
            stock["availabilityDistributions"] = parts
        sku = f"SKU-{number}"
        availability = {"shipToLocationAvailability": stock}
        self.items[sku] = {"sku": sku, "product": {"title": f"Mug {number}"}, "availability": availability}
        listing = {"listingId": str(110_000 + number), "listingStatus": "ACTIVE"}
        own = {} if offer is None else {"availableQuantity": stock["quantity"] if offer < 0 else offer}
        name = str(8_000 + number)
        self.offers[name] = {"offerId": name, "sku": sku, "status": "PUBLISHED", "listing": listing, **own}

    def _number(self, sku: str) -> tuple[dict[str, Any], str]:
        """Where the number that buyers see is kept."""
        for offer in self.offers.values():
            if offer["sku"] == sku and "availableQuantity" in offer:
                return offer, "availableQuantity"
        stock: dict[str, Any] = self.items[sku]["availability"]["shipToLocationAvailability"]
        return stock, "quantity"

    def edit(self, sku: str, quantity: int) -> None:
        """Somebody sets a quantity by hand."""
        place, name = self._number(sku)
        place[name] = quantity

    def shown(self, sku: str) -> int:
        """What buyers see."""
        place, name = self._number(sku)
        return int(place[name])

    def sell(self, sku: str, units: int) -> str:
        """A customer buys; eBay lowers its number."""
        self.edit(sku, self.shown(sku) - units)
        name = f"10-{len(self.orders) + 1:05}-00001"
        line = {
            "lineItemId": f"{name}-l",
            "sku": sku,
            "quantity": units,
            "legacyItemId": "110001",
            "lineItemFulfillmentStatus": "NOT_STARTED",
        }
        self.orders.append(
            {
                "orderId": name,
                "lastModifiedDate": self._now(),
                "orderFulfillmentStatus": "NOT_STARTED",
                "orderPaymentStatus": "PAID",
                "cancelStatus": {"cancelState": "NONE_REQUESTED"},
                "lineItems": [line],
            }
        )
        return name

    def _now(self) -> str:
        return iso(self.clock.tick()).replace("Z", ".000Z")

    def ship(self, order: str, units: int) -> None:
        """So many more units of an order's line are sent in a parcel."""
        row = next(row for row in self.orders if row["orderId"] == order)
        line = row["lineItems"][0]
        self.parcels.setdefault(order, []).append(
            {"lineItems": [{"lineItemId": line["lineItemId"], "quantity": units}]}
        )
        sent = sum(parcel["lineItems"][0]["quantity"] for parcel in self.parcels[order])
        status = "FULFILLED" if sent >= line["quantity"] else "IN_PROGRESS"
        line["lineItemFulfillmentStatus"] = row["orderFulfillmentStatus"] = status
        row["lastModifiedDate"] = self._now()

    def cancel(self, order: str) -> None:
        """The whole order is cancelled."""
        row = next(row for row in self.orders if row["orderId"] == order)
        row |= {"cancelStatus": {"cancelState": "CANCELED"}, "lastModifiedDate": self._now()}

    def webhook(self, sent: str, topic: str = "ORDER_CONFIRMATION") -> tuple[dict[str, str], bytes]:
        """Headers and body of a signed message."""
        note = {"notificationId": "note-1", "publishDate": sent, "data": {"orderId": "1"}}
        raw = json.dumps({"metadata": {"topic": topic}, "notification": note}).encode()
        signature = self.signer.sign(raw, ec.ECDSA(hashes.SHA1()))
        proof = {"alg": "ecdsa", "kid": "key-1", "signature": base64.b64encode(signature).decode()}
        return {"x-ebay-signature": base64.b64encode(json.dumps(proof).encode()).decode()}, raw

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.requests.append(wire)
        throttled = refusal(429, 2001, "Too many requests. The request limit has been reached.")
        answer = self.faults.meet(throttled, lambda: self._route(wire))
        dated = {"date": self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT"), **answer.headers}
        return Response(answer.status, dated, answer.body) if answer.status else answer

    def _route(self, wire: Wire) -> Response:
        assert wire.url.startswith("https://api.ebay.com/"), wire.url
        if wire.path == "/identity/v1/oauth2/token":
            return self._token(wire)
        if wire.path == "/ws/api.dll":
            return self.listings.answer(wire, self.tokens)
        if bearer_of(wire) not in self.tokens:
            return refusal(401, 1001, "Invalid access token")
        steps = [unquote(step) for step in wire.path.split("/")[1:]]
        match wire.method, steps:
            case "GET", ["commerce", "notification", "v1", "public_key", "key-1"]:
                return reply(200, {"algorithm": "ECDSA", "digest": "SHA1", "key": self.public_key()})
            case "POST", ["sell", "inventory", "v1", "bulk_update_price_quantity"]:
                return self._update(wire)
            case "POST", ["sell", "inventory", "v1", "bulk_get_inventory_item"]:
                found = [self._got(row["sku"]) for row in body(wire)["requests"]]
                return reply(200, {"responses": found})
            case "GET", ["sell", "inventory", "v1", "inventory_item"]:
                return self._items(wire)
            case "GET", ["sell", "inventory", "v1", "offer"]:
                found = [offer for offer in self.offers.values() if offer["sku"] == query(wire)["sku"]]
                gone = refusal(404, 25713, "This Offer is not available.")
                return reply(200, {"total": len(found), "offers": found}) if found else gone
            case "GET", ["sell", "inventory", "v1", "location"]:
                rows = [{"merchantLocationKey": key, "name": key.lower()} for key in self.locations]
                return reply(200, {"total": len(rows), "locations": rows})
            case "GET", ["sell", "fulfillment", "v1", "order"]:
                return self._orders(wire)
            case "GET", ["sell", "fulfillment", "v1", "order", name, "shipping_fulfillment"]:
                return reply(200, {"fulfillments": self.parcels.get(name, [])})
            case _:
                return refusal(404, 2002, "Resource not found")

    def public_key(self) -> str:
        """As eBay gives it: PEM without line ends."""
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = self.signer.public_key().public_bytes(serialization.Encoding.PEM, kind)
        return pem.decode().replace("\n", "")

    def _token(self, wire: Wire) -> Response:
        given = form(wire)
        if basic_of(wire) != (self.settings["client_id"], self.settings["client_secret"]):
            return reply(401, {"error": "invalid_client"})
        refresh = given.get("grant_type") == "refresh_token"
        if refresh and given.get("refresh_token") != self.settings["refresh_token"]:
            return reply(400, {"error": "invalid_grant", "error_description": "the token is invalid"})
        if not refresh and given.get("scope") != "https://api.ebay.com/oauth/api_scope":
            return reply(400, {"error": "invalid_scope"})
        token = f"v^1.1#access-{len(self.tokens) + 1}"
        self.tokens.add(token)
        return reply(200, {"access_token": token, "expires_in": 7200, "token_type": "User Access Token"})

    def _got(self, sku: str) -> dict[str, Any]:
        if sku in self.items:
            return {"sku": sku, "statusCode": 200, "inventoryItem": self.items[sku]}
        return {"sku": sku, "statusCode": 404, "errors": [error(25710, "We didn't find the entity.")]}

    def _update(self, wire: Wire) -> Response:
        given = body(wire)["requests"]
        if not header(wire, "content-language") or len(given) > self.together:
            return refusal(400, 25002, "Any User error.")
        if any(unknown(row, ENTRY) for row in given):
            return refusal(400, 25709, "Invalid value for a field.")
        return reply(207, {"responses": [answer for row in given for answer in self._set(row)]})

    def _set(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Sets an item and its offers; an answer for the item and one for each offer."""
        sku, stock = row["sku"], row["shipToLocationAvailability"]
        parts = stock.get("availabilityDistributions")
        if sku in self.busy:
            return [{"sku": sku, "statusCode": 409, "errors": [error(25025, "Concurrent access.")]}]
        if sku not in self.items:
            return [{"sku": sku, "statusCode": 404, "errors": [error(25710, "We didn't find the entity.")]}]
        total = stock["quantity"]
        places = parts is None or {part["merchantLocationKey"] for part in parts} <= set(self.locations)
        if not whole(total) or total < 0 or not places or (parts and total != sum_of(parts)):
            return [{"sku": sku, "statusCode": 400, "errors": [error(25709, "Invalid value.")]}]
        if self.listings.revised[sku] >= REVISIONS:
            words = f"The maximum of {REVISIONS} revisions a day is reached."
            return [{"sku": sku, "statusCode": 400, "errors": [error(25002, words)]}]
        self.listings.revised[sku] += 1
        self.items[sku]["availability"] = {"shipToLocationAvailability": dict(stock)}
        said = [{"sku": sku, "statusCode": 200}]
        for offer in row.get("offers", ()):
            known = self.offers.get(offer["offerId"])
            if known is None or known["status"] != "PUBLISHED":
                said.append(
                    {
                        "offerId": offer["offerId"],
                        "statusCode": 400,
                        "errors": [error(25713, "This Offer is not available.")],
                    }
                )
                continue
            known["availableQuantity"] = offer["availableQuantity"]
            said.append({"offerId": offer["offerId"], "sku": sku, "statusCode": 200})
        return said

    def _items(self, wire: Wire) -> Response:
        asked = query(wire)
        size = int(asked["limit"])
        assert size <= 200
        start = int(asked.get("offset", "0")) * size  # here eBay's offset counts pages
        rows = list(page(list(self.items.values()), start, size)[0])
        return reply(
            200, {"total": len(self.items), "size": -(-len(self.items) // size), "inventoryItems": rows}
        )

    def _orders(self, wire: Wire) -> Response:
        asked = query(wire)
        wanted = asked.get("filter", "")
        found = self.orders
        if wanted.startswith("lastmodifieddate:["):
            since, end = wanted.removeprefix("lastmodifieddate:[").removesuffix("]").split("..")
            assert all(when.endswith(".000Z") for when in (since, end) if when), "eBay wants milliseconds"
            found = [row for row in found if since <= row["lastModifiedDate"] <= (end or "9")]
            sort = "lastModifiedDate" if self.by_change else "orderId"
            found = sorted(found, key=lambda row: str(row[sort]))
        elif wanted == "orderfulfillmentstatus:{NOT_STARTED|IN_PROGRESS}":
            found = [row for row in found if row["orderFulfillmentStatus"] != "FULFILLED"]
        else:
            raise Refused(refusal(400, 30700, f"Invalid filter {wanted}"))
        assert int(asked["limit"]) <= 200
        rows = list(page(found, int(asked.get("offset", "0")), min(50, int(asked["limit"])))[0])
        return reply(200, {"total": len(found), "orders": rows})


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key to sign messages with."""
    return ec.generate_private_key(ec.SECP256R1())


def sum_of(parts: list[dict[str, Any]]) -> int:
    """Units at all locations."""
    return sum(part["quantity"] for part in parts)


def error(number: int, message: str) -> dict[str, Any]:
    """An error as eBay writes it."""
    return {"errorId": number, "domain": "API_INVENTORY", "category": "REQUEST", "message": message}


def refusal(status: int, number: int, message: str) -> Response:
    """An answer as eBay refuses."""
    return reply(status, {"errors": [error(number, message)]})
