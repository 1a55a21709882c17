"""A Walmart seller's account that keeps nodes, open orders and feeds, and refuses what the real one does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from fakes.common import (
    Clock,
    Example,
    Faults,
    Refused,
    basic_of,
    body,
    form,
    header,
    hmac_base64,
    hmac_hex,
    query,
    reply,
    unknown,
    whole,
)
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

CLIENT = "client-1"
SECRET = "client-secret-a1b2c3d4"
ACCESS = "access-token-0001"
HOOK = "webhook-secret-0001"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OPEN = {"Created", "Acknowledged"}


def ids(number: int) -> dict[str, str]:
    """The ids of the n-th listing."""
    return {"sku": f"SKU-{number}"}


EXAMPLE = Example(
    {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "access_token": ACCESS,
        "webhook_secret": HOOK,
    },
    ids,
    "node-1",
)


def refused(status: int, code: str, description: str) -> Refused:
    """A refusal in the first of Walmart's shapes."""
    return Refused(reply(status, {"errors": [{"code": code, "description": description, "field": "sku"}]}))


@dataclass
class Fake:
    """The account's HTTP side. ``skus`` has what was put in, by node; sales do not lower it."""

    skus: dict[str, dict[str, int]] = field(default_factory=dict)
    nodes: tuple[str, ...] = ("node-1", "node-2")
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    access: str = ACCESS
    slow: int = 2
    wfs: str = "new"
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    calls: list[str] = field(default_factory=list)

    def reserved(self, sku: str, node: str) -> int:
        """Units in open orders."""
        return sum(
            order["units"]
            for order in self.orders.values()
            if order["sku"] == sku and order["node"] == node and order["status"] in OPEN
        )

    def sellable(self, sku: str, node: str) -> int:
        """What buyers see."""
        return self.skus[sku][node] - self.reserved(sku, node)

    def edit(self, sku: str, node: str, units: int) -> None:
        """Somebody changes a number in Seller Center."""
        self.skus[sku][node] = units

    def sell(self, sku: str, units: int, node: str = "node-1") -> str:
        """A buyer orders: what can be sold falls, what was put in does not."""
        name = f"P{len(self.orders) + 1:06}"
        known = {"sku": sku, "units": units, "node": node, "status": "Created"}
        self.orders[name] = known | {"at": self.clock.tick(), "placed": self.clock.tick()}
        return name

    def move(self, name: str, status: str) -> None:
        """The order goes to another state."""
        self.orders[name] |= {"status": status, "at": self.clock.tick()}
        if status == "Shipped":
            self.orders[name]["sent"] = int(self.orders[name]["at"].timestamp() * 1000)

    # --- the HTTP side ----------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.calls.append(f"{wire.method} {wire.path}")
        until = (self.clock.tick() + timedelta(seconds=7)).timestamp()
        empty = {"x-current-token-count": "0", "x-next-replenishment-time": str(int(until * 1000))}
        throttled = reply(429, {"errors": [{"code": "REQUEST_THRESHOLD_VIOLATED"}]}, self._dated(empty))
        return self.faults.meet(throttled, lambda: self._answer(wire))

    def _dated(self, headers: dict[str, str]) -> dict[str, str]:
        return {"date": self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT"), **headers}

    def _answer(self, wire: Wire) -> Response:
        if not UUID.fullmatch(header(wire, "WM_QOS.CORRELATION_ID")) or not header(wire, "WM_SVC.NAME"):
            raise refused(400, "MISSING_REQUEST_HEADER", "WM_QOS.CORRELATION_ID or WM_SVC.NAME")
        parts = [unquote(part) for part in wire.path.strip("/").split("/")]
        if parts == ["v3", "token"]:
            return self._token(wire)
        if not header(wire, "WM_SEC.ACCESS_TOKEN"):
            raise refused(400, "MISSING_REQUEST_HEADER", "WM_SEC.ACCESS_TOKEN")
        if header(wire, "WM_SEC.ACCESS_TOKEN") != self.access:
            raise refused(401, "UNAUTHORIZED.GMP_GATEWAY_API", "token is invalid")
        match wire.method, parts[1:]:
            case "GET", ["token", "detail"]:
                scopes = {"inventory": "full_access", "orders": "full_access"}
                return reply(200, {"is_valid": True, "scopes": scopes})
            case "PUT", ["inventory"]:
                return self._put_default(wire)
            case "PUT", ["inventories", sku]:
                return self._put_nodes(sku, wire)
            case "GET", ["inventories"]:
                return self._inventories(wire)
            case "POST", ["feeds"]:
                return self._feed(wire)
            case "GET", ["feeds", name]:
                return self._feed_state(name, wire)
            case "GET", ["settings", "shipping", "shipnodes"]:
                return reply(200, SHIP_NODES)
            case "GET", ["wfs", "inventory"] if self.wfs == "new":
                return reply(200, _owned(query(wire), _new_row))
            case "GET", ["fulfillment", "inventory"] if self.wfs == "old":
                return reply(200, _owned(query(wire), _old_row))
            case "GET", ["orders"]:
                return self._orders(wire)
            case _:
                raise refused(404, "CONTENT_NOT_FOUND", "no such path")

    def _token(self, wire: Wire) -> Response:
        if basic_of(wire) != (CLIENT, SECRET) or form(wire) != {"grant_type": "client_credentials"}:
            raise refused(401, "UNAUTHORIZED.GMP_GATEWAY_API", "client is unknown")
        self.access += "+"
        return reply(200, {"access_token": self.access, "token_type": "Bearer", "expires_in": 900})

    def _put_default(self, wire: Wire) -> Response:
        given, sku = body(wire), query(wire).get("sku")
        if unknown(given, ("sku", "quantity", "inventoryAvailableDate")) or given["sku"] != sku:
            raise refused(400, "INVALID_REQUEST_CONTENT.GMP_INVENTORY_API", "fields")
        if sku not in self.skus:
            raise refused(404, "CONTENT_NOT_FOUND.GMP_INVENTORY_API", "sku is unknown")
        self.skus[sku][query(wire).get("shipNode", self.nodes[0])] = self._amount(given["quantity"])
        return reply(200, given)

    def _amount(self, given: Any) -> int:
        if unknown(given, ("unit", "amount")) or given["unit"] != "EACH" or not whole(given["amount"]):
            raise refused(400, "INVALID_REQUEST_CONTENT.GMP_INVENTORY_API", "quantity")
        count: int = given["amount"]
        return count

    def _put_nodes(self, sku: str, wire: Wire) -> Response:
        if sku not in self.skus:
            raise refused(404, "CONTENT_NOT_FOUND.GMP_INVENTORY_API", "sku is unknown")
        states = []
        for row in body(wire)["inventories"]["nodes"]:
            if unknown(row, ("shipNode", "inputQty")):
                raise refused(400, "INVALID_REQUEST_CONTENT.GMP_INVENTORY_API", "fields")
            count, node = self._amount(row["inputQty"]), row["shipNode"]
            if node in self.nodes:
                self.skus[sku][node] = count
                states.append({"shipNode": node, "status": "Success", "errors": []})
            else:
                error = {"code": "INVALID_SHIP_NODE", "description": "node is not yours"}
                states.append({"shipNode": node, "status": "Failure", "errors": [error]})
        return reply(200, {"sku": sku, "nodes": states})

    def _inventories(self, wire: Wire) -> Response:
        given = query(wire)
        size, start = int(given["limit"]), int(given.get("nextCursor", "c0").removeprefix("c"))
        if size > 50:
            raise refused(400, "INVALID_REQUEST_PARAM.GMP_INVENTORY_API", "limit")
        found = [
            {"sku": sku, "nodes": [self._node(sku, node) for node in nodes]}
            for sku, nodes in sorted(self.skus.items())
        ]
        meta: dict[str, Any] = {"totalCount": len(found)}
        if start + size < len(found):
            meta["nextCursor"] = f"c{start + size}"
        return reply(200, {"meta": meta, "elements": {"inventories": found[start : start + size]}})

    def _node(self, sku: str, node: str) -> dict[str, Any]:
        counts = (self.skus[sku][node], self.sellable(sku, node), self.reserved(sku, node))
        names = ("inputQty", "availToSellQty", "reservedQty")
        each = {n: {"unit": "EACH", "amount": count} for n, count in zip(names, counts, strict=True)}
        return {"shipNode": node, **each}

    # --- feeds ------------------------------------------------------------------------------------------

    def _feed(self, wire: Wire) -> Response:
        media = header(wire, "content-type")
        assert query(wire) == {"feedType": "MP_INVENTORY"}
        boundary = media.partition("boundary=")[2].encode()
        if not media.startswith("multipart/form-data") or not boundary:
            raise refused(400, "INVALID_REQUEST", "a multipart form is needed")
        head, _, raw = wire.body.split(b"--" + boundary)[1].partition(b"\r\n\r\n")
        assert b'name="file"' in head
        assert wire.body.endswith(b"--" + boundary + b"--\r\n")
        name = f"feed{len(self.feeds) + 1}@ABC"
        self.feeds[name] = {"file": json.loads(raw), "looks": 0, "states": None}
        return reply(200, {"feedId": name})

    def _feed_state(self, name: str, wire: Wire) -> Response:
        feed, given = self.feeds[name], query(wire)
        feed["looks"] += 1
        if feed["looks"] < self.slow:
            empty: dict[str, Any] = {"itemIngestionStatus": []}
            return reply(200, {"feedId": name, "feedStatus": "INPROGRESS", "itemDetails": empty})
        if feed["states"] is None:
            feed["states"] = self._work(feed["file"])
        states, offset, size = feed["states"], int(given["offset"]), int(given["limit"])
        found = {"itemIngestionStatus": states[offset : offset + size]}
        status = "PROCESSED" if states else "ERROR"
        return reply(200, {"feedStatus": status, "itemsReceived": len(states), "itemDetails": found})

    def _work(self, file: Any) -> list[dict[str, Any]]:
        if set(file) != {"inventoryHeader", "inventory"} or file["inventoryHeader"] != {"version": "1.5"}:
            return []
        states = []
        for row in file["inventory"]:
            known = row["sku"] in self.skus
            for node in row["shipNodes"] if known else ():
                self.skus[row["sku"]][node["shipNode"]] = self._amount(node["quantity"])
            error = {"type": "DATA_ERROR", "code": "ERR_PDI_0034", "description": "sku is unknown"}
            wrong = {"ingestionStatus": "DATA_ERROR", "ingestionErrors": {"ingestionError": [error]}}
            states.append({"sku": row["sku"], **({"ingestionStatus": "SUCCESS"} if known else wrong)})
        return states

    # --- orders -----------------------------------------------------------------------------------------

    def _orders(self, wire: Wire) -> Response:
        given = query(wire)
        if unknown(given, ORDER_QUERY):
            raise refused(400, "INVALID_REQUEST_PARAM.GMP_ORDER_API", f"unknown {sorted(given)}")
        size, start = int(given["limit"]), int(given.get("soIndex", 0))
        since, created = _moment(given, "lastModifiedStartDate"), _moment(given, "createdStartDate")
        found = [
            self._order(name, order)
            for name, order in self.orders.items()
            if order["at"] >= since
            and order["placed"] >= created
            and order["status"] == given.get("status", order["status"])
        ]
        if not found or size > 200:
            raise refused(404, "CONTENT_NOT_FOUND.GMP_ORDER_API", "no orders")
        meta: dict[str, Any] = {"totalCount": len(found)}
        if start + size < len(found):
            kept = {name: given[name] for name in ORDER_QUERY if name in given and name != "soIndex"}
            pairs = "&".join(f"{name}={value}" for name, value in kept.items())
            meta["nextCursor"] = f"?{pairs}&soIndex={start + size}"
        listed = {"list": {"meta": meta, "elements": {"order": found[start : start + size]}}}
        return reply(200, listed, self._dated({}))

    def _order(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        count = {"unitOfMeasurement": "EACH", "amount": str(order["units"])}
        state = {"status": order["status"], "statusQuantity": count}
        if "sent" in order:
            state["trackingInfo"] = {"shipDateTime": order["sent"]}
        line = {
            "lineNumber": "1",
            "item": {"sku": order["sku"]},
            "orderLineQuantity": count,
            "statusDate": int(order["at"].timestamp() * 1000),
            "orderLineStatuses": {"orderLineStatus": [state]},
        }
        return {
            "purchaseOrderId": name,
            "customerOrderId": f"C{name}",
            "orderDate": int(order["placed"].timestamp() * 1000),
            "shipNode": {"type": "SellerFulfilled", "id": order["node"]},
            "orderLines": {"orderLine": [line]},
        }


ORDER_QUERY = (
    "limit",
    "soIndex",
    "status",
    "shipNodeType",
    "createdStartDate",
    "lastModifiedStartDate",
)
SHIP_NODES = [
    {"shipNode": "node-1", "shipNodeName": "Home", "nodeType": "PHYSICAL", "status": "ACTIVE"},
    {"shipNode": "node-2", "shipNodeName": "Old", "nodeType": "PHYSICAL", "status": "INACTIVE"},
    {"shipNode": "node-3", "shipNodeName": "Carrier", "nodeType": "3PL", "status": "ACTIVE"},
]
WFS_STOCK = {"WFS-1": 8} | {f"WFS-{n}": n for n in range(2, 252)}
WFS_MOST = 150
"""SKUs of Walmart's own stock in an answer, however many are asked for."""


def _new_row(sku: str, units: int) -> dict[str, Any]:
    told = {"availableUnits": units, "onhandUnits": units + 1, "reservedUnits": 1, "stockStatus": "In Stock"}
    return {"itemInformation": {"sku": sku, "itemName": f"The {sku}"}, "inventoryData": told}


def _old_row(sku: str, units: int) -> dict[str, Any]:
    return {"sku": sku, "shipNodes": [{"shipNodeType": "WFSFulfilled", "availToSellQty": units}]}


def _owned(given: dict[str, str], row: Callable[[str, int], dict[str, Any]]) -> dict[str, Any]:
    """A page of Walmart's own stock; the old list and the new one differ in their rows."""
    begin, size = int(given.get("offset", "0")), min(WFS_MOST, int(given.get("limit", "10")))
    listed = [row(sku, units) for sku, units in list(WFS_STOCK.items())[begin : begin + size]]
    headers = {"totalCount": len(WFS_STOCK), "limit": size, "offset": begin}
    return {"headers": headers, "payload": {"inventory": listed}}


def _moment(given: dict[str, str], name: str) -> datetime:
    return datetime.fromisoformat(given.get(name, "1970-01-01T00:00:00Z"))


def webhook(event: dict[str, Any], letters: str = "base64") -> tuple[dict[str, str], bytes]:
    """A webhook as a subscription in HMAC mode sends it: headers and body."""
    raw = json.dumps(event).encode()
    proof = hmac_hex(HOOK.encode(), raw) if letters == "hex" else hmac_base64(HOOK.encode(), raw)
    return {"x-hub-auth": proof}, raw
