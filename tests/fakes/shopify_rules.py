"""How Shopify answers: pages of rows, orders, and errors of a mutation or of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fakes.common import page, reply
from onhand.connectors.flow import Response


def order_row(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if name != "lines"}
    return {**shown, "lineItems": connection(row["lines"], {"first": 20})}


def connection(rows: list[Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    start = int(variables.get("after") or 0)
    some, following = page(rows, start, variables["first"])
    return {
        "nodes": list(some),
        "pageInfo": {"hasNextPage": following is not None, "endCursor": str(following)},
    }


def error(code: str, field_: list[str] | None) -> dict[str, Any]:
    return {"code": code, "field": field_, "message": f"refused: {code.lower()}"}


def refusal(errors: list[dict[str, Any]]) -> dict[str, Any]:
    return {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": errors}}


def top(code: str, message: str) -> Response:
    return reply(200, {"errors": [{"message": message, "extensions": {"code": code}}]})
