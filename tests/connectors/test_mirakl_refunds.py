"""Mirakl lines that are refunded, or have an incident, before they are shipped and after."""

from __future__ import annotations

import pytest

from connectors.driver import answer, run, settings_of
from fakes.mirakl import EXAMPLE
from onhand.connectors import mirakl

SETTINGS = settings_of(mirakl, **EXAMPLE.settings)
SHIPPED = "2026-11-21T10:00:00Z"


@pytest.mark.parametrize(
    ("order_state", "line_state", "shipped_at", "expected"),
    [
        # Cancelled after its buyer had paid, alone or beside lines that are sent.
        ("SHIPPING", "REFUNDED", None, (3, 0)),
        ("SHIPPED", "REFUNDED", None, (3, 0)),
        ("CLOSED", "REFUNDED", None, (3, 0)),
        ("CLOSED", "REFUNDED", SHIPPED, (0, 3)),
        ("SHIPPING", "REFUNDED", SHIPPED, (0, 3)),
        ("SHIPPING", "INCIDENT_OPEN", SHIPPED, (0, 3)),
        ("SHIPPING", "INCIDENT_OPEN", None, (0, 0)),
        ("SHIPPED", "INCIDENT_OPEN", None, (0, 3)),
        ("SHIPPING", "SHIPPING", None, (0, 0)),
    ],
)
def test_the_time_of_shipping_says_whether_a_line_has_left(
    order_state: str, line_state: str, shipped_at: str | None, expected: tuple[int, int]
) -> None:
    line = {"order_line_id": "l-1", "offer_sku": "A", "quantity": 3, "order_line_state": line_state}
    order = {"order_id": "o-1", "order_state": order_state, "last_updated_date": "2026-11-22T10:00:00Z"}
    listed = [{**order, "order_lines": [{**line, "shipped_date": shipped_at}]}]
    said = answer({"orders": listed, "total_count": 1})
    found = run(mirakl.orders(SETTINGS, "2026-11-22T09:00:00Z"), [said])[1].orders[0].lines[0]
    assert (found.cancelled, found.shipped) == expected
