"""Amazon's HTTP side for a seller in a marketplace: listings, feeds, reports, FBA stock, orders, tokens."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from fakes.amazon_rules import availability_of, part_of, patched_value, wrong_query, wrong_token
from fakes.common import Clock, Example, Faults, Refused, body, form, header, iso, page, query, reply, unknown
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

EXAMPLE = Example(
    settings={
        "region": "na",
        "seller_id": "A1EXAMPLE00",
        "marketplace_id": "ATVPDKIKX0DER",
        "client_id": "amzn1.client.9",
        "client_secret": "amzn1.secret.44c1",
        "refresh_token": "Atzr|refresh-77d2",
        "access_token": "Atza|access-91b3",
    },
    ids=lambda n: {"sku": f"SKU-{n}", "product_type": "MUG", "fulfilled_by": "DEFAULT"},
    location="DEFAULT",
)
LISTINGS = ["listings", "2021-08-01", "items", EXAMPLE.settings["seller_id"]]
STORE = "https://files.example.com"
PAGED = 1_000
TOKEN_LIFE, SETTLED = timedelta(days=1), timedelta(minutes=2)
UNFILTERED = {"paginationToken", "maxResultsPerPage", "includedData"}


@dataclass
class Fake:
    """A seller: listings by SKU (with ``DEFAULT`` or a network of Amazon's), documents, feeds, orders."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    listings: dict[str, dict[str, Any]] = field(default_factory=dict)
    fba: dict[str, int] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    pages: dict[str, tuple[int, datetime, dict[str, str]]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {EXAMPLE.settings["access_token"]})
    documents: dict[str, bytes] = field(default_factory=dict)
    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    fate: str = "DONE"
    slowness: int = 2
    fba_allowed: bool = True
    requests: list[Wire] = field(default_factory=list)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int | None, code: str = "DEFAULT") -> dict[str, Any]:
        """A listing with SKU ``SKU-number``."""
        sku = EXAMPLE.ids(number)["sku"]
        entry = {"fulfillmentChannelCode": code} | ({} if quantity is None else {"quantity": quantity})
        if code != "DEFAULT":
            self.fba[sku], entry = quantity or 0, {"fulfillmentChannelCode": code}
        self.listings[sku] = {
            "sku": sku,
            "summaries": [
                {
                    "marketplaceId": EXAMPLE.settings["marketplace_id"],
                    "asin": f"B00{number}",
                    "productType": "MUG",
                    "itemName": f"Mug {number}",
                    "status": ["BUYABLE", "DISCOVERABLE"],
                }
            ],
            "fulfillmentAvailability": [entry],
            "restock": "2026-12-24",
        }
        return self.listings[sku]

    def edit(self, sku: str, quantity: int) -> None:
        """Somebody sets a quantity by hand."""
        availability_of(self.listings[sku])["quantity"] = quantity

    def shown(self, sku: str) -> int:
        """What buyers see."""
        return int(availability_of(self.listings[sku])["quantity"])

    def sell(self, sku: str, units: int, marketplace: str = "ATVPDKIKX0DER") -> str:
        """A customer buys; Amazon lowers its number, wherever that was."""
        availability_of(self.listings[sku])["quantity"] -= units
        name = f"111-{len(self.orders) + 1:07}-0000001"
        item = {
            "orderItemId": f"{len(self.orders) + 1:014}",
            "quantityOrdered": units,
            "product": {"sellerSku": sku, "asin": "B001"},
            "fulfillment": {"quantityFulfilled": 0, "quantityUnfulfilled": units},
        }
        self.orders.append(
            {
                "orderId": name,
                "salesChannel": {"marketplaceId": marketplace},
                "lastUpdatedTime": iso(self.clock.tick()),
                "fulfillment": {"fulfillmentStatus": "UNSHIPPED", "fulfilledBy": "MERCHANT"},
                "orderItems": [item],
            }
        )
        return name

    def change(self, order: str, status: str, shipped: int = 0) -> None:
        """An order moves on, so many units of its item shipped."""
        row = next(row for row in self.orders if row["orderId"] == order)
        row["lastUpdatedTime"] = iso(self.clock.tick())
        row["fulfillment"]["fulfillmentStatus"] = status
        item = row["orderItems"][0]
        waiting = 0 if status == "CANCELLED" else item["quantityOrdered"] - shipped
        item["fulfillment"] = {"quantityFulfilled": shipped, "quantityUnfulfilled": waiting}

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.requests.append(wire)
        errors = [{"code": "QuotaExceeded", "message": "You exceeded your quota", "details": ""}]
        throttled = reply(429, {"errors": errors}, {"x-amzn-ratelimit-limit": "5.0"})
        answer = self.faults.meet(throttled, lambda: self._route(wire))
        dated = {"date": self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT"), **answer.headers}
        return Response(answer.status, dated, answer.body) if answer.status else answer

    def _route(self, wire: Wire) -> Response:
        if wire.url == "https://api.amazon.com/auth/o2/token":
            return self._token(wire)
        if wire.url.startswith(STORE):
            return self._file(wire)
        assert wire.url.startswith("https://sellingpartnerapi-na.amazon.com/"), wire.url
        assert "authorization" not in {name.lower() for name in wire.headers}, "requests are not signed"
        if not header(wire, "user-agent"):
            return refusal(403, "Unauthorized", "Access to requested resource is denied.")
        if wrong := wrong_token(header(wire, "x-amz-access-token"), self.tokens):
            return refusal(403, "Unauthorized", "Access to requested resource is denied.", wrong)
        steps = [unquote(step) for step in wire.path.split("/")[1:]]
        match wire.method, steps:
            case method, [*start, sku] if start == LISTINGS:
                return self._listing(wire, method, sku)
            case "GET", path if path == LISTINGS:
                return self._search(wire)
            case method, ["feeds", "2021-06-30", *rest]:
                return self._feed(wire, method, rest)
            case method, ["reports", "2021-06-30", *rest]:
                return self._report(wire, method, rest)
            case "GET", ["fba", "inventory", "v1", "summaries"]:
                return self._summaries(wire)
            case "GET", ["orders", "2026-01-01", "orders"]:
                return self._orders(wire)
            case _:
                return refusal(404, "NotFound", "no such operation")

    def _token(self, wire: Wire) -> Response:
        given, known = form(wire), self.settings
        if given.get("grant_type") != "refresh_token" or given.get("client_secret") != known["client_secret"]:
            return reply(
                401, {"error": "invalid_client", "error_description": "Client authentication failed"}
            )
        if given.get("refresh_token") != known["refresh_token"]:
            return reply(400, {"error": "invalid_grant", "error_description": "The grant was revoked"})
        token = f"Atza|access-{len(self.tokens) + 1}"
        self.tokens.add(token)
        fresh = {"access_token": token, "refresh_token": known["refresh_token"], "expires_in": 3600}
        return reply(200, {**fresh, "token_type": "bearer"})

    def _listing(self, wire: Wire, method: str, sku: str) -> Response:
        assert wire.path.endswith("/" + quote(sku, safe="")), "a SKU in a path is percent-encoded"
        allowed = {"marketplaceIds", "issueLocale", "includedData", "mode"}
        if wrong_query(query(wire), allowed, self.settings["marketplace_id"]):
            return refusal(400, "InvalidInput", "bad query")
        if sku not in self.listings:
            return refusal(404, "NOT_FOUND", f"SKU '{sku}' not found in marketplace ATVPDKIKX0DER")
        if method == "GET":
            return reply(200, self.listings[sku])
        issues = self._apply(sku, body(wire))
        status = "INVALID" if issues else "ACCEPTED"
        return reply(200, {"sku": sku, "status": status, "submissionId": "s-1", "issues": issues})

    def _apply(self, sku: str, patch: Any) -> list[dict[str, Any]]:
        """Merge a quantity; the issues when it cannot be."""
        if unknown(patch, ("productType", "patches")):
            raise Refused(refusal(400, "InvalidInput", "unknown fields"))
        value, issues = patched_value(patch)
        if value is not None:
            codes = [row["fulfillmentChannelCode"] for row in self.listings[sku]["fulfillmentAvailability"]]
            assert codes == ["DEFAULT"], "a quantity for FBA stock opens a second offer"
            self.edit(sku, value)
        return issues

    def _search(self, wire: Wire) -> Response:
        asked = query(wire)
        allowed = {"marketplaceIds", "includedData", "pageSize", "pageToken"}
        if wrong_query(asked, allowed, self.settings["marketplace_id"]) or int(asked["pageSize"]) > 20:
            return refusal(400, "InvalidInput", "bad query")
        rows, after = page(list(self.listings.values())[:PAGED], int(asked.get("pageToken", 0)), 20)
        rest = {"pagination": {"nextToken": str(after)}} if after else {}
        return reply(200, {"numberOfResults": len(self.listings), "items": list(rows), **rest})

    def _summaries(self, wire: Wire) -> Response:
        if not self.fba_allowed:
            return refusal(403, "Unauthorized", "Access to requested resource is denied.")
        asked = query(wire)
        assert asked["granularityType"] == "Marketplace"
        wanted = asked["sellerSkus"].split(",") if "sellerSkus" in asked else list(self.fba)
        rows, after = page([sku for sku in wanted if sku in self.fba], int(asked.get("nextToken", 0)), 50)
        found = [
            {"sellerSku": sku, "inventoryDetails": {"fulfillableQuantity": self.fba[sku]}} for sku in rows
        ]
        rest = {"pagination": {"nextToken": str(after)}} if after else {}
        return reply(200, {"payload": {"inventorySummaries": found}, **rest})

    # --- documents, feeds, reports ----------------------------------------------------------------------

    def _file(self, wire: Wire) -> Response:
        name = wire.url.rpartition("/")[2]
        assert query(wire) == {"X-Amz-Signature": f"sig/{name}+="}, "the address was changed on the way"
        assert not header(wire, "x-amz-access-token"), "the store is not Amazon's API"
        if wire.method == "PUT":
            assert header(wire, "content-type") == "application/json; charset=UTF-8"
            self.documents[name] = wire.body
            return Response(200)
        return part_of(self.documents[name], header(wire, "range"))

    def _address(self, name: str) -> str:
        return f"{STORE}/{name}?X-Amz-Signature={quote(f'sig/{name}+=', safe='')}"

    def _feed(self, wire: Wire, method: str, rest: list[str]) -> Response:
        match method, rest:
            case "POST", ["documents"]:
                assert body(wire) == {"contentType": "application/json; charset=UTF-8"}
                name = f"doc-{len(self.documents) + 1}"
                return reply(201, {"feedDocumentId": name, "url": self._address(name)})
            case "POST", ["feeds"]:
                given = body(wire)
                assert set(given) == {"feedType", "marketplaceIds", "inputFeedDocumentId"}
                assert given["feedType"] == "JSON_LISTINGS_FEED"
                name = f"feed-{len(self.feeds) + 1}"
                self.feeds[name] = {"document": given["inputFeedDocumentId"], "looks": self.slowness}
                return reply(202, {"feedId": name})
            case "GET", ["feeds", name] if name in self.feeds:
                return self._looked(name)
            case "DELETE", ["feeds", name] if name in self.feeds:
                if self.fate != "IN_QUEUE":
                    return refusal(400, "InvalidInput", "only a feed in its queue can be cancelled")
                self.fate = "CANCELLED"
                return Response(200)
            case "GET", ["documents", name]:
                packed = {"compressionAlgorithm": "GZIP"} if name.startswith("result-") else {}
                return reply(200, {"feedDocumentId": name, "url": self._address(name), **packed})
            case _:
                return refusal(404, "NotFound", "no such feed")

    def _looked(self, name: str) -> Response:
        feed = self.feeds[name]
        feed["looks"] -= 1
        if feed["looks"] > 0:
            return reply(200, {"feedId": name, "processingStatus": "IN_PROGRESS"})
        told = {"feedId": name, "processingStatus": self.fate}
        if self.fate == "DONE":
            self._process(name, json.loads(self.documents[feed["document"]]))
            told["resultFeedDocumentId"] = f"result-{name}"
        return reply(200, told)

    def _process(self, name: str, given: Any) -> None:
        assert given["header"]["sellerId"] == self.settings["seller_id"]
        assert given["header"]["version"] == "2.0"
        assert len(given["messages"]) <= 25_000
        issues: list[dict[str, Any]] = []
        for message in given["messages"]:
            assert set(message) == {"messageId", "sku", "operationType", "productType", "patches"}
            sku = message["sku"]
            patch = {"productType": message["productType"], "patches": message["patches"]}
            missing = [{"code": "13013", "message": f"unknown SKU {sku}", "severity": "ERROR"}]
            for issue in self._apply(sku, patch) if sku in self.listings else missing:
                issues.append({**issue, "messageId": message["messageId"], "sku": sku})
        wrong = len({issue["messageId"] for issue in issues})
        count = len(given["messages"])
        summary = {"messagesProcessed": count, "messagesAccepted": count - wrong, "messagesInvalid": wrong}
        report = {"header": given["header"], "issues": issues, "summary": summary}
        self.documents[f"result-{name}"] = gzip.compress(json.dumps(report).encode())

    def _report(self, wire: Wire, method: str, rest: list[str]) -> Response:
        match method, rest:
            case "POST", ["reports"]:
                assert body(wire)["reportType"] == "GET_MERCHANT_LISTINGS_ALL_DATA"
                return reply(202, {"reportId": "report-1"})
            case "GET", ["reports", "report-1"]:
                lines = ["item-name\tseller-sku\tquantity\tasin1\tfulfillment-channel\tstatus"]
                for sku, row in self.listings.items():
                    entry = row["fulfillmentAvailability"][0]
                    cells = (sku, str(entry.get("quantity", "")), "B00", entry["fulfillmentChannelCode"])
                    title = row.get("title", f'5" {sku}')
                    lines.append("\t".join((title, *cells, "Active")))
                self.documents["table"] = "\n".join(lines).encode("cp1252")
                return reply(200, {"processingStatus": self.fate, "reportDocumentId": "table"})
            case "GET", ["documents", "table"]:
                return reply(200, {"reportDocumentId": "table", "url": self._address("table")})
            case _:
                return refusal(404, "NotFound", "no such report")

    # --- orders -----------------------------------------------------------------------------------------

    def _orders(self, wire: Wire) -> Response:
        asked = query(wire)
        if ("lastUpdatedAfter" in asked) == ("createdAfter" in asked):
            return refusal(400, "InvalidInput", "exactly one of createdAfter and lastUpdatedAfter")
        now = self.clock.tick()
        filters = {name: said for name, said in asked.items() if name not in UNFILTERED}
        start, given, before = 0, now, filters
        if token := asked.get("paginationToken"):
            start, given, before = self.pages.get(token, (0, now, {}))
        if before != filters or now - given > TOKEN_LIFE:
            return refusal(400, "InvalidInput", "The input you have submitted is not valid.")
        end = asked.get("lastUpdatedBefore", iso(now))
        if "lastUpdatedBefore" in asked and not asked["lastUpdatedAfter"] <= end <= iso(now - SETTLED):
            return refusal(400, "InvalidInput", "lastUpdatedBefore must be two minutes ago")
        states = asked.get("fulfillmentStatuses", "").split(",")
        where = asked["marketplaceIds"].split(",")
        orders = [row for row in self.orders if row["salesChannel"]["marketplaceId"] in where]
        found = [row for row in orders if asked["lastUpdatedAfter"] <= row["lastUpdatedTime"] <= end]
        found = [row for row in found if states == [""] or row["fulfillment"]["fulfillmentStatus"] in states]
        rows, after = page(found, start, min(2, int(asked["maxResultsPerPage"])))
        rest = {}
        if after:
            name = f"page-{len(self.pages)}"
            self.pages[name] = (after, now, filters)
            rest = {"pagination": {"nextToken": name}}
        return reply(200, {"orders": list(rows), "lastUpdatedBefore": end, **rest})


def refusal(status: int, code: str, message: str, details: str = "") -> Response:
    """An answer as Amazon refuses."""
    return reply(status, {"errors": [{"code": code, "message": message, "details": details}]})
