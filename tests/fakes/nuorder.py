"""A NuORDER portal that keeps replenishments, flags and orders, and refuses what the real one refuses."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fakes.common import (
    Clock,
    Example,
    Faults,
    Refused,
    body,
    header,
    hmac_base64,
    iso,
    reply,
    unknown,
    whole,
)
from onhand.connectors.auth import Wire, percent
from onhand.connectors.flow import Response

KEYS = {"consumer_key": "consumer-key-1", "token": "token-1"}
SECRETS = {"consumer_secret": "consumer-secret-a1b2", "token_secret": "token-secret-c3d4"}
ROW = (
    "warehouse_id",
    "sku_id",
    "display_name",
    "prebook",
    "period_start",
    "period_end",
    "quantity",
    "active",
)

OURS = ("immediate", "future")


def ids(number: int) -> dict[str, str]:
    """The ids of the n-th listing."""
    return {"product": f"60{number:022}", "sku": f"61{number:022}", "size": "M"}


EXAMPLE = Example({**KEYS, **SECRETS, "warehouses": ("wh-1",)}, ids, "wh-1")


def refused(status: int, message: str) -> Refused:
    """A refusal as NuORDER writes it."""
    return Refused(reply(status, {"code": status, "message": message}))


@dataclass
class Fake:
    """The portal's HTTP side. ``rows`` are what is stored, ``shown`` what the shop front shows.

    What is published leaves open how rows are kept, so there are portals of each kind: one that ``adds`` a
    row beside that of the same place, one that ``renews`` the id of a row it replaces, one that ``hides``
    sizes without rows behind a 404, one that has no read path (not ``readable``). ``zone`` is the hours by
    which its midnight is ahead of that in UTC.
    """

    rows: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    warehouses: tuple[str, ...] = ("wh-1", "wh-2")
    legacy: bool = False
    readable: bool = True
    adds: bool = False
    renews: bool = False
    hides: bool = False
    zone: int = 0
    made: int = 0
    nonces: set[str] = field(default_factory=set)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    calls: list[str] = field(default_factory=list)

    def add(self, number: int, upc: str = "", season: str = "spring") -> dict[str, str]:
        """A product of one size; its ids."""
        known = ids(number)
        size = {"_id": known["sku"], "size": known["size"], "upc": upc or f"UPC-{number}"}
        self.products[known["product"]] = {
            "_id": known["product"],
            "name": f"Style {number}",
            "season": season,
            "active": True,
            "sizes": [size],
        }
        return known

    def edit(self, warehouse: str, sku: str, quantity: int) -> None:
        """Somebody changes a number in the portal."""
        self.rows[(warehouse, sku)][0]["quantity"] = quantity

    def drop(self, known: dict[str, str], quantity: int | None = 500, **more: Any) -> dict[str, Any]:
        """The brand keeps a row of its own."""
        self.made += 1
        row: dict[str, Any] = {"warehouse_id": "wh-1", "sku_id": known["sku"], "display_name": "spring drop"}
        row |= {"prebook": True, "period_start": "02/01/2027", "period_end": "03/01/2027"}
        row |= {"quantity": quantity, "active": True, "id": f"row-{self.made}", **more}
        self.rows.setdefault(("wh-1", known["sku"]), []).append(row)
        return row

    def brand(self, known: dict[str, str]) -> list[dict[str, Any]]:
        """The brand's rows of a size, without their ids."""
        rows = self.rows.get(("wh-1", known["sku"]), [])
        bare = [{name: row[name] for name in ROW} for row in rows if row["display_name"] not in OURS]
        return sorted(bare, key=repr)

    def sell(self, known: dict[str, str], units: int, status: str = "approved") -> str:
        """A retailer orders; the id tells when."""
        made = int(self.clock.tick().timestamp())
        name = f"{made:08x}{len(self.orders):016x}"
        size = {"size": known["size"], "upc": "UPC-1", "quantity": units}
        line = {"id": "line-1", "product": {"_id": known["product"]}, "warehouse": "wh-1", "sizes": [size]}
        self.orders[name] = {"_id": name, "order_number": f"N{len(self.orders)}", "line_items": [line]}
        self.move(name, status)
        return name

    def move(self, name: str, status: str) -> None:
        """The order goes to another status."""
        self.orders[name] |= {"status": status, "modified_on": iso(self.clock.tick())}

    # --- the HTTP side ----------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.calls.append(f"{wire.method} {wire.path}")
        answer = self.faults.meet(
            reply(429, {"code": 429, "message": "slow down"}), lambda: self._answer(wire)
        )
        dated = {"date": self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT"), **answer.headers}
        return Response(answer.status, dated, answer.body) if answer.status else answer

    def _answer(self, wire: Wire) -> Response:
        self._signed(wire)
        match wire.method, wire.path.strip("/").split("/")[1:]:
            case "GET", ["v3.0", "warehouse", warehouse, "sku", sku, "replenishments"] if self.readable:
                if self.hides and not self.rows.get((warehouse, sku)):
                    raise refused(404, "no replenishments")
                return reply(200, [self._stored(row) for row in self.rows.get((warehouse, sku), [])])
            case "DELETE", ["v3.0", "warehouse", warehouse, "sku", sku, "replenishments"]:
                self.rows.pop((warehouse, sku), None)
                return reply(200, {"success": True})
            case "PUT", ["v3.0", "warehouse", warehouse, "replenishments"]:
                return self._put(warehouse, wire)
            case "PUT", ["inventory", "flags"]:
                return self._flags(wire)
            case "GET", ["products", "season", season, "list"]:
                return reply(200, [p["_id"] for p in self.products.values() if p["season"] == season])
            case "GET", ["product", name] if name in self.products:
                return reply(200, self.products[name])
            case "GET", ["orders", status, "list"]:
                return reply(200, [o["_id"] for o in self.orders.values() if o["status"] == status])
            case "GET", ["orders", status, "detail"]:
                return reply(200, [o for o in self.orders.values() if o["status"] == status])
            case "GET", ["order", name] if name in self.orders:
                return reply(200, self.orders[name])
            case _:
                raise refused(404, "not found")

    def _signed(self, wire: Wire) -> None:
        """OAuth 1.0a, or the portal's older way; a nonce is good once."""
        scheme, _, rest = header(wire, "authorization").partition(" ")
        given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        wrong = {name for name, value in KEYS.items() if given.get(f"oauth_{name}") != value}
        if (
            scheme != "OAuth"
            or given.get("oauth_signature_method") != "HMAC-SHA1"
            or wrong - {"consumer_key"}
        ):
            raise refused(401, "OAuth header is wrong")
        proof = given.pop("oauth_signature")
        expected = self._older(wire, given) if self.legacy else self._standard(wire, given)
        if proof != expected or given["oauth_nonce"] in self.nonces:
            raise refused(401, "signature is wrong, or the nonce was used")
        self.nonces.add(given["oauth_nonce"])

    def _standard(self, wire: Wire, given: dict[str, str]) -> str:
        pairs = "&".join(f"{percent(name)}={percent(value)}" for name, value in sorted(given.items()))
        said = "&".join((wire.method, percent(wire.url), percent(pairs)))
        return percent(hmac_base64("&".join(SECRETS.values()).encode(), said.encode(), "sha1"))

    def _older(self, wire: Wire, given: dict[str, str]) -> str:
        names = ("consumer_key", "token", "timestamp", "nonce", "version", "signature_method")
        pairs = "&".join(f"oauth_{name}={given[f'oauth_{name}']}" for name in names)
        key = "&".join(SECRETS.values()).encode()
        return hmac.new(key, f"{wire.method}{wire.url}?{pairs}".encode(), "sha1").hexdigest()

    def _stored(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row as it comes back: the day as an epoch number."""
        start = datetime.strptime(row["period_start"], "%m/%d/%Y").replace(tzinfo=UTC)
        day = int(start.timestamp() - self.zone * 3600) * 1000
        return {**row, "period_start": day, "display_quantity": "?"}

    def _put(self, warehouse: str, wire: Wire) -> Response:
        given = body(wire)
        if warehouse not in self.warehouses or unknown(given, ("replenishments",)):
            raise refused(400, "bad arguments")
        for row in given["replenishments"]:
            quantity = row["quantity"]
            if set(row) != set(ROW) or row["warehouse_id"] != warehouse:
                raise refused(400, "bad arguments")
            if quantity is not None and not (whole(quantity) and quantity >= 0):
                raise refused(400, "bad quantity")
        stored = []
        for row in given["replenishments"]:
            kept = self.rows.setdefault((warehouse, row["sku_id"]), [])
            same = ("display_name", "period_start", "prebook")
            # A row of the same day is replaced, any other stays beside the new one.
            olds = [old for old in kept if all(old[name] == row[name] for name in same)]
            if olds and not self.adds:
                kept[:] = [old for old in kept if old not in olds]
            self.made += 1
            name = f"row-{self.made}" if self.adds or self.renews or not olds else olds[0]["id"]
            kept.append({**row, "id": name})
            stored.append(self._stored(kept[-1]))
        return reply(200, stored)

    def _flags(self, wire: Wire) -> Response:
        given = body(wire)
        if unknown(given, ("product_ids",)) or not given["product_ids"]:
            raise refused(400, "bad arguments")
        if unknown(dict.fromkeys(given["product_ids"]), self.products):
            raise refused(404, "product is unknown")
        for name in given["product_ids"]:
            skus = {size["_id"] for size in self.products.get(name, {"sizes": []})["sizes"]}
            self.shown[name] = sum(
                row["quantity"]
                for (_, sku), kept in self.rows.items()
                for row in kept
                if sku in skus and row["display_name"] == "immediate" and row["quantity"] is not None
            )
        return reply(200, {"success": True})
