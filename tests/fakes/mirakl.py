"""Mirakl's HTTP side for one shop: stock imports that take their time, offers, orders, and the shop's key."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.common import Clock, Example, Faults, Refused, header, iso, page, query, reply, unknown
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

EXAMPLE = Example(
    settings={"url": "https://shop-prod.mirakl.net", "api_key": "mirakl-key-77aa10", "shop_id": "2000"},
    ids=lambda n: {"sku": f"SKU-{n}", "offer_id": str(9_000 + n)},
    location=None,
)
COLUMNS = ["offer-sku", "quantity", "warehouse-code", "update-delete"]
IMPORTS = "/api/offers/stock/imports"


@dataclass
class Import:
    """A file that was taken: what becomes of it is seen after so many looks."""

    rows: list[list[str]]
    looks: int
    errors: list[tuple[int, str]] = field(default_factory=list)
    status: str = "WAITING"


@dataclass
class Fake:
    """A shop: offers by SKU, orders as OR11 shows them, imports by id. Error reports name ``report_limit``
    lines at most."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    url: str = EXAMPLE.settings["url"]
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    offers: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    imports: dict[str, Import] = field(default_factory=dict)
    warehouses: tuple[str, ...] = ()
    slowness: int = 2
    head_counts: bool = True
    report_limit: int | None = None
    fails: bool = False
    has_imports: bool = True
    requests: list[Wire] = field(default_factory=list)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int, **more: Any) -> dict[str, Any]:
        """An offer with SKU ``SKU-number``; by warehouse where the shop has some."""
        offer = {"offer_id": 9_000 + number, "shop_sku": f"SKU-{number}", "quantity": quantity}
        parts = [{"code": code, "quantity": 0} for code in self.warehouses]
        if parts:
            parts[0]["quantity"] = quantity
        row = {**offer, "active": True, "product_title": f"Thing {number}", "warehouses": parts, **more}
        self.offers[f"SKU-{number}"] = row
        return row

    def edit(self, sku: str, quantity: int) -> None:
        """Somebody sets a quantity by hand."""
        self.offers[sku]["quantity"] = quantity

    def shown(self, sku: str) -> int:
        """What buyers see."""
        return int(self.offers[sku]["quantity"])

    def sell(self, sku: str, units: int) -> str:
        """A customer buys; the marketplace lowers its number."""
        self.offers[sku]["quantity"] -= units
        name = f"order-{len(self.orders) + 1}-A"
        line = {
            "order_line_id": f"{name}-1",
            "offer_sku": sku,
            "offer_id": self.offers[sku]["offer_id"],
            "quantity": units,
            "order_line_state": "WAITING_ACCEPTANCE",
            "cancelations": [],
        }
        state = {"order_state": "WAITING_ACCEPTANCE", "last_updated_date": iso(self.clock.tick())}
        self.orders.append({"order_id": name, "commercial_id": name[:-2], **state, "order_lines": [line]})
        return name

    def change(self, order: str, state: str) -> None:
        """All lines of an order move on; refused and cancelled ones give their units back."""
        row = next(row for row in self.orders if row["order_id"] == order)
        row |= {"order_state": state, "last_updated_date": iso(self.clock.tick())}
        for line in row["order_lines"]:
            line["order_line_state"] = state
            if state in ("REFUSED", "CANCELED"):
                self.offers[line["offer_sku"]]["quantity"] += line["quantity"]

    # --- the API ----------------------------------------------------------------------------------------

    def __call__(self, wire: Wire) -> Response:
        self.requests.append(wire)
        throttled = reply(429, {"message": "too many"}, {"retry-after": "30"})
        answer = self.faults.meet(throttled, lambda: self._handle(wire))
        dated = {"date": self.clock.tick().strftime("%a, %d %b %Y %H:%M:%S GMT"), **answer.headers}
        return Response(answer.status, dated, answer.body) if answer.status else answer

    def _handle(self, wire: Wire) -> Response:
        assert wire.url.startswith(self.url + "/")
        if header(wire, "authorization") != self.settings["api_key"]:
            return reply(401, {"message": "Unauthorized", "status": 401})
        if query(wire).get("shop_id", "") != self.settings.get("shop_id", ""):
            return reply(404, {"message": "shop not found", "status": 404})
        match wire.method, wire.path.split("/")[2:]:
            case "POST", ["offers", "stock", "imports"] if self.has_imports:
                return self._take(wire)
            case "GET", ["offers", "stock", "imports", name, "status"] if name in self.imports:
                return self._status(name)
            case "GET", ["offers", "stock", "imports", name, "error_report"] if name in self.imports:
                return self._report(name)
            case "GET", ["offers"]:
                return self._page(wire, "offers", list(self.offers.values()), {"sku"})
            case "GET", ["orders"]:
                return self._orders(wire)
            case "GET", ["account"]:
                return reply(200, {"shop_id": 2000, "shop_name": "Mugs & More"})
            case "GET", ["platform", "configuration"]:
                return reply(200, {"features": {"warehouses": bool(self.warehouses)}})
            case _:
                return reply(404, {"message": "Not Found", "status": 404})

    def _take(self, wire: Wire) -> Response:
        rows = list(csv.reader(file_of(wire).splitlines(), delimiter=";", strict=True))
        if rows[0] != COLUMNS:
            return reply(400, {"message": f"unknown columns {rows[0]}", "status": 400})
        name = f"import-{len(self.imports) + 1}"
        self.imports[name] = Import(rows[1:], self.slowness)
        return reply(201, {"import_id": name}, {"location": f"{self.url}{IMPORTS}/{name}/status"})

    def _status(self, name: str) -> Response:
        job = self.imports[name]
        job.looks -= 1
        if job.looks <= 0 and job.status in ("WAITING", "RUNNING"):
            self._apply(job)
        elif job.status == "WAITING":
            job.status = "RUNNING"
        done = job.status == "COMPLETE"
        told = {"lines_in_error": len(job.errors), "lines_in_success": len(job.rows) - len(job.errors)}
        return reply(
            200,
            {
                "import_id": name,
                "status": job.status,
                "reason_status": "the file cannot be read" if job.status == "FAILED" else "",
                "has_error_report": bool(job.errors),
                **(told if done else {}),
            },
        )

    def _apply(self, job: Import) -> None:
        job.status = "FAILED" if self.fails else "COMPLETE"
        for number, (sku, quantity, code, flag) in enumerate([] if self.fails else job.rows):
            codes = [part["code"] for part in self.offers.get(sku, {}).get("warehouses", [])]
            line = number + 1 + self.head_counts
            if sku not in self.offers:
                job.errors.append((line, "The offer does not exist"))
            elif (code and code not in codes) or flag not in ("", "update"):
                job.errors.append((line, f"The warehouse {code} does not exist"))
            elif not quantity.isdigit():
                job.errors.append((line, "The quantity is invalid"))
            else:
                self._set(sku, int(quantity), code)

    def _set(self, sku: str, quantity: int, code: str) -> None:
        offer = self.offers[sku]
        for part in offer["warehouses"]:
            if part["code"] == code:
                part["quantity"] = quantity
        offer["quantity"] = sum(part["quantity"] for part in offer["warehouses"]) if code else quantity

    def _report(self, name: str) -> Response:
        lines = ['"line-number";"error-message"']
        lines += [f'"{line}";"{words}"' for line, words in self.imports[name].errors[: self.report_limit]]
        return Response(200, {"content-type": "text/csv"}, "\n".join(lines).encode())

    def _orders(self, wire: Wire) -> Response:
        asked = query(wire)
        found = [row for row in self.orders if row["last_updated_date"] >= asked.get("start_update_date", "")]
        if states := asked.get("order_state_codes"):
            found = [row for row in found if row["order_state"] in states.split(",")]
        return self._page(wire, "orders", found, {"start_update_date", "order_state_codes"})

    def _page(self, wire: Wire, name: str, rows: list[dict[str, Any]], known: set[str]) -> Response:
        asked = query(wire)
        size, start = int(asked.get("max", "10")), int(asked.get("offset", "0"))
        if size > 100 or unknown(asked, known | {"max", "offset", "shop_id"}):
            raise Refused(reply(400, {"message": f"bad query {asked}", "status": 400}))
        return reply(200, {name: list(page(rows, start, size)[0]), "total_count": len(rows)})


def file_of(wire: Wire) -> str:
    """The one file of a multipart body, taken apart by its boundary."""
    kind = header(wire, "content-type")
    assert kind.startswith("multipart/form-data; boundary="), kind
    boundary = kind.partition("boundary=")[2].encode()
    assert len(boundary) <= 70
    head, *parts, tail = wire.body.split(b"--" + boundary)
    assert (head, tail, len(parts)) == (b"", b"--\r\n", 1)
    about, _, content = parts[0].partition(b"\r\n\r\n")
    assert b'name="file"; filename="' in about
    return content.removesuffix(b"\r\n").decode()
