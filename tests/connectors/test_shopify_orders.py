"""Shopify: what a line of an order says once units were taken off it, told answer by answer."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.driver import answer, run, settings_of
from fakes.shopify import EXAMPLE
from onhand.connectors import shopify
from onhand.connectors.flow import Order

SETTINGS = settings_of(shopify, **EXAMPLE.settings)
LINE = "gid://shopify/LineItem/1"
SINCE = "2026-11-22T00:00:00Z"


def line(ordered: int, current: int, waiting: int, unfit: int = 0) -> dict[str, Any]:
    counts = {"quantity": ordered, "currentQuantity": current, "unfulfilledQuantity": waiting}
    return {"id": LINE, "sku": "A", **counts, "nonFulfillableQuantity": unfit}


def parcel(units: int, status: str = "SUCCESS", name: str = LINE) -> dict[str, Any]:
    nodes = [{"quantity": units, "lineItem": {"id": name}}]
    return {"id": "gid://shopify/Fulfillment/1", "status": status, "fulfillmentLineItems": {"nodes": nodes}}


def refund(units: int, kind: str) -> dict[str, Any]:
    nodes = [{"quantity": units, "restockType": kind, "lineItem": {"id": LINE}}]
    return {"id": "gid://shopify/Refund/1", "refundLineItems": {"nodes": nodes}}


def read(row: dict[str, Any], history: Any = None, **fields: Any) -> Order:
    """The order with this one line; its ``history`` is asked for when there is one."""
    order = {
        "id": "gid://shopify/Order/1",
        "name": "#1001",
        "updatedAt": SINCE,
        "lineItems": {"nodes": [row]},
    }
    answers = [answer({"data": {"orders": {"nodes": [order | fields]}}})]
    answers += [answer({"data": {"order": history}})] if history is not None else []
    _, found = run(shopify.orders(SETTINGS, SINCE), answers)
    (only,) = found.orders
    return only


@pytest.mark.parametrize(
    ("row", "shipments", "refunds", "counts"),
    [
        # ordered, cancelled, shipped, returned
        (line(3, 1, 1), [], [], (3, 2, 0, 0)),
        (line(3, 1, 1), [], [refund(2, "CANCEL")], (3, 2, 0, 0)),
        (line(3, 2, 0), [parcel(3)], [refund(1, "RETURN")], (3, 0, 3, 1)),
        (line(3, 2, 0), [parcel(3)], [refund(1, "LEGACY_RESTOCK")], (3, 0, 3, 1)),
        (line(3, 2, 0), [parcel(3)], [refund(1, "NO_RESTOCK")], (3, 0, 3, 0)),
        (line(3, 2, 0), [parcel(2)], [refund(1, "CANCEL")], (3, 1, 2, 0)),
        (line(3, 1, 1), [parcel(2, "CANCELLED")], [refund(2, "CANCEL")], (3, 2, 0, 0)),
        (line(3, 1, 1), [parcel(2, "ERROR")], [], (3, 2, 0, 0)),
        (line(3, 1, 1), [parcel(2, "FAILURE")], [], (3, 2, 0, 0)),
        (line(3, 1, 1), [parcel(2, name="gid://shopify/LineItem/2")], [], (3, 2, 0, 0)),
        (line(1, 0, -1), [parcel(1)], [refund(1, "RETURN")], (1, 0, 1, 1)),
        (line(2, 0, 0, unfit=2), [], [], (2, 2, 0, 0)),
    ],
    ids=[
        "edited",
        "refunded before it left",
        "came back",
        "came back, said the old way",
        "refunded and kept",
        "one never left",
        "its parcel was called off",
        "its parcel failed at once",
        "its parcel failed",
        "the parcel is another line's",
        "less than none wait",
        "taken off whole",
    ],
)
def test_units_that_were_taken_off_a_line(
    row: dict[str, Any], shipments: list[Any], refunds: list[Any], counts: tuple[int, int, int, int]
) -> None:
    (each,) = read(row, {"fulfillments": shipments, "refunds": refunds}).lines
    assert (each.ordered, each.cancelled, each.shipped, each.returned) == counts


@pytest.mark.parametrize(
    ("days", "sent"),
    [(["02", "01"], 1_793_577_600_000_000), (["02", None], None), ([], None), (["02"] * 5, None)],
    ids=["the last", "one without a date", "none", "perhaps more than were asked for"],
)
def test_when_the_last_shipment_was_made(days: list[str | None], sent: int | None) -> None:
    made = [{"createdAt": day and f"2026-11-{day}T00:00:00Z"} for day in days]
    assert read(line(3, 3, 0), fulfillments=made).sent == sent


def test_without_its_history_nothing_that_may_have_left_is_let_go() -> None:
    """More parcels than can be asked for: the rest of the line may be among them."""
    history = {"fulfillments": [parcel(0) for _ in range(250)], "refunds": []}
    answers = [
        answer(
            {
                "data": {
                    "orders": {
                        "nodes": [{"id": "o", "updatedAt": SINCE, "lineItems": {"nodes": [line(3, 1, 1)]}}]
                    }
                }
            }
        ),
        *[
            answer({"data": {"order": {**history, "fulfillments": history["fulfillments"][:size]}}})
            for size in (10, 50, 250)
        ],
    ]
    _, found = run(shopify.orders(SETTINGS, SINCE), answers)
    (each,) = found.orders[0].lines
    assert (each.ordered, each.cancelled, each.shipped) == (3, 0, 0)


def test_a_cancelled_order_lets_all_go_that_has_not_left() -> None:
    gone = read(line(3, 3, 3), cancelledAt=SINCE)
    assert [(each.cancelled, each.shipped) for each in gone.lines] == [(3, 0)]
    partly = read(line(3, 3, 1), cancelledAt=SINCE)
    assert [(each.cancelled, each.shipped) for each in partly.lines] == [(1, 2)]


def test_a_test_order_and_one_that_is_not_confirmed_are_told_as_such() -> None:
    row = line(1, 1, 1)
    assert [read(row, test=value).test for value in (True, False, None)] == [True, False, False]
    assert [read(row, confirmed=value).holds for value in (True, False, None)] == [True, False, True]
