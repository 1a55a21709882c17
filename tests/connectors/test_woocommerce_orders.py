"""WooCommerce: what an order says in each of its states, and where polls of orders go on."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.driver import answer, run, settings_of
from fakes.woocommerce import EXAMPLE
from onhand.connectors import woocommerce
from onhand.connectors.flow import Order, Request

SETTINGS = settings_of(woocommerce, **EXAMPLE.settings)
SINCE = "2026-11-22T00:00:00Z"
DATE = "Sun, 22 Nov 2026 10:00:00 GMT"


def order(status: str, **more: Any) -> dict[str, Any]:
    line = {"id": 1, "product_id": 5, "variation_id": 0, "sku": "A", "quantity": 3}
    known = {"id": 7, "number": "1007", "status": status, "date_modified_gmt": "2026-11-22T09:00:00"}
    return {**known, "line_items": [line], **more}


def refund(units: int, line: str = "1", **more: Any) -> dict[str, Any]:
    row = {"quantity": units, "meta_data": [{"key": "_refunded_item_id", "value": line}]}
    return {"line_items": [row], **more}


def read(row: dict[str, Any], *refunds: dict[str, Any]) -> tuple[list[Request], Order]:
    answers = [answer([row]), *([answer(list(refunds))] if refunds else [])]
    requests, found = run(woocommerce.orders(SETTINGS, SINCE), answers)
    (only,) = found.orders
    return requests, only


@pytest.mark.parametrize(
    ("status", "holds", "cancelled", "shipped"),
    [
        ("pending", False, 0, 0),
        ("failed", False, 0, 0),
        ("checkout-draft", False, 0, 0),
        ("auto-draft", False, 0, 0),
        ("processing", True, 0, 0),
        ("on-hold", True, 0, 0),
        ("a-plugins-own", True, 0, 0),
        ("completed", True, 0, 3),
        ("cancelled", True, 3, 0),
        ("refunded", True, 3, 0),
        ("trash", True, 3, 0),
    ],
)
def test_what_a_state_means(status: str, holds: bool, cancelled: int, shipped: int) -> None:
    requests, found = read(order(status))
    assert len(requests) == 1
    (line,) = found.lines
    assert (found.id, found.name, found.holds) == ("7", "1007", holds)
    assert (line.ids, line.sku) == ({"product": "5"}, "A")
    assert (line.ordered, line.cancelled, line.shipped) == (3, cancelled, shipped)


@pytest.mark.parametrize("status", ["completed", "refunded", "processing", "trash"])
@pytest.mark.parametrize(
    ("made", "off"),
    [
        ({"date_created_gmt": day}, off)
        for day, off in (("2026-11-20T23:59:59", 1), ("2026-11-21T00:00:00", 0))
    ]
    + [({}, 0)],
    ids=["refunded before it left", "refunded after it left", "nobody knows when"],
)
def test_what_was_completed_has_left_whatever_its_state_is_now(status: str, made: Any, off: int) -> None:
    row = order(status, date_completed_gmt="2026-11-21T00:00:00", refunds=[{"id": 1}])
    _, found = read(row, refund(-1, **made))
    assert [(line.ordered, line.cancelled, line.shipped) for line in found.lines] == [(3, off, 3 - off)]


@pytest.mark.parametrize(
    ("status", "restocked", "refunds", "counts"),
    [
        # ordered, cancelled, shipped, returned
        ("completed", "2", [("2026-11-21T09:00:00", -2)], (3, 0, 3, 2)),
        ("refunded", 3, [("2026-11-21T09:00:00", -3)], (3, 0, 3, 3)),
        ("completed", "1", [("2026-11-21T09:00:00", -3)], (3, 0, 3, 1)),
        ("completed", "2", [("2026-11-20T09:00:00", -1), ("2026-11-21T09:00:00", -1)], (3, 1, 2, 1)),
        ("completed", "1", [("2026-11-20T09:00:00", -1)], (3, 1, 2, 0)),
        ("completed", "9", [("2026-11-21T09:00:00", -2)], (3, 0, 3, 3)),
        ("completed", "two", [("2026-11-21T09:00:00", -2)], (3, 0, 3, 0)),
    ],
    ids=["came back", "all", "one of three", "one before, one after", "before", "too many", "no number"],
)
def test_what_a_refund_puts_back_came_back(
    status: str, restocked: Any, refunds: list[tuple[str, int]], counts: tuple[int, int, int, int]
) -> None:
    row = order(status, date_completed_gmt="2026-11-21T00:00:00", refunds=[{"id": 1}])
    row["line_items"][0]["meta_data"] = [{"id": 4, "key": "_restock_refunded_items", "value": restocked}]
    _, found = read(row, *(refund(units, date_created_gmt=made) for made, units in refunds))
    (line,) = found.lines
    assert (line.ordered, line.cancelled, line.shipped, line.returned) == counts


def test_what_was_completed_at_an_unknown_time_has_left() -> None:
    requests, found = read(order("completed", refunds=[{"id": 1}]))
    assert len(requests) == 1, "its refunds cannot be told apart"
    assert [(line.cancelled, line.shipped) for line in found.lines] == [(0, 3)]


@pytest.mark.parametrize(
    ("refunds", "cancelled"),
    [
        ([refund(-1)], 1),
        ([refund(-1), refund(-1)], 2),
        ([refund(-9)], 3),
        ([refund(-2, "8")], 0),
        ([{"line_items": [{"quantity": -1, "meta_data": []}]}], 0),
    ],
    ids=["one", "twice", "more than there are", "of another line", "of no line"],
)
def test_units_that_are_refunded_before_they_leave_will_not(refunds: list[Any], cancelled: int) -> None:
    requests, found = read(order("processing", refunds=[{"id": 1}]), *refunds)
    assert requests[1].url == "/orders/7/refunds"
    assert [(line.ordered, line.cancelled) for line in found.lines] == [(3, cancelled)]


def test_a_first_look_takes_what_waits_and_goes_on_from_its_beginning() -> None:
    requests, found = run(woocommerce.orders(SETTINGS, None), [answer([order("processing")], date=DATE)])
    assert dict(requests[0].query)["status"] == "pending,processing,on-hold"
    assert "modified_after" not in dict(requests[0].query)
    assert (found.more, found.cursor) == (False, "2026-11-22T09:00:00Z"), "an hour for a clock that is off"


def test_a_poll_reads_both_lists_and_goes_on_from_the_newest_change() -> None:
    requests, found = run(woocommerce.orders(SETTINGS, SINCE), [answer([order("processing")], date=DATE)])
    assert dict(requests[0].query)["modified_after"] == "2026-11-21T23:59:00Z"
    assert dict(requests[0].query)["status"] == "any"
    assert found.more
    requests, found = run(woocommerce.orders(SETTINGS, found.cursor), [answer([], date=DATE)])
    assert dict(requests[0].query)["status"] == "trash"
    assert (found.more, found.cursor) == (False, "2026-11-22T09:00:00Z")
