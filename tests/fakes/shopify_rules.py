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


def by_change(rows: list[dict[str, Any]], variables: Mapping[str, Any], era: int) -> dict[str, Any] | None:
    """Orders by their last change. A cursor names an order and its change, and goes on behind both; None
    where it is void, after the era that it was given in."""
    given, *key = (variables.get("after") or f"{era}  ").split(" ")
    if given != str(era):
        return None
    ordered = sorted(rows, key=lambda row: [row["updatedAt"], row["id"]])
    some, more = page([row for row in ordered if [row["updatedAt"], row["id"]] > key], 0, variables["first"])
    last = f"{era} {some[-1]['updatedAt']} {some[-1]['id']}" if some else None
    info = {"hasNextPage": more is not None, "endCursor": last}
    return {"nodes": [order_row(row) for row in some], "pageInfo": info}


def error(code: str, field_: list[str] | None) -> dict[str, Any]:
    return {"code": code, "field": field_, "message": f"refused: {code.lower()}"}


def refusal(errors: list[dict[str, Any]]) -> dict[str, Any]:
    return {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": errors}}


def top(code: str, message: str) -> Response:
    return reply(200, {"errors": [{"message": message, "extensions": {"code": code}}]})
