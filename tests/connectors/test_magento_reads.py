"""Magento: products with what can be sold of them, sources, orders and their lines, the check."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.driver import NOW, answer, run, settings_of
from fakes.magento import EXAMPLE
from onhand.connectors import magento
from onhand.connectors.flow import Failed, OrderLine, Response, Seen, Shown

SETTINGS = settings_of(magento, **EXAMPLE.settings)
LEGACY = settings_of(magento, **EXAMPLE.settings, stock="stock_item")


def products(*skus: str) -> Response:
    rows = [
        {"id": n, "sku": sku, "name": f"Mug {n}", "type_id": "simple", "status": 1}
        for n, sku in enumerate(skus, 1)
    ]
    return answer({"items": rows, "total_count": len(rows)})


def items(*rows: tuple[str, str, float, int]) -> Response:
    names = ("sku", "source_code", "quantity", "status")
    return answer({"items": [dict(zip(names, row, strict=True)) for row in rows], "total_count": len(rows)})


def salable(**quantities: float) -> Response:
    return answer({"items": [{"sku": sku, "qty": qty} for sku, qty in quantities.items()]})


NO_STOCKS = answer({"message": "Request does not match any route."}, 404)
"""What makes all sources count as of one stock."""


@pytest.mark.parametrize(
    ("hands", "sold", "shown"),
    [
        ([("A", "s1", 9, 1)], 7, (Shown(7, "s1", committed=2),)),
        ([("A", "s1", 9.0, 1)], 9, (Shown(9, "s1"),)),
        ([("A", "s1", 9, 1)], 12, (Shown(9, "s1"),)),
        ([("A", "s1", 2, 1)], -1, (Shown(-1, "s1", committed=3),)),
        # A source item that is marked out of stock sells nothing, whatever it holds.
        ([("A", "s1", 9, 0)], 0, (Shown(0, "s1"),)),
        # The fullest source bears what is reserved.
        ([("A", "s1", 3, 1), ("A", "s2", 9, 1)], 10, (Shown(7, "s2", committed=2), Shown(3, "s1"))),
        (
            [("A", "s1", 3, 1), ("A", "s2", 4, 1)],
            2,
            (Shown(0, "s2", committed=4), Shown(2, "s1", committed=1)),
        ),
    ],
)
def test_what_is_shown_is_net_of_reservations(hands: list[Any], sold: int, shown: tuple[Shown, ...]) -> None:
    answers = [products("A"), items(*hands), NO_STOCKS, salable(A=sold)]
    requests, page = run(magento.pull(SETTINGS, None), answers)
    assert requests[3].url == "/V1/inventory/export-stock-salable-qty/website/base"
    assert page.seen == (Seen({"product_id": "1", "sku": "A"}, "A", shown, "Mug 1"),)
    assert page.cursor is None
    assert page.behind >= 10 * 60, "the index that knows what is salable is brought up to date later"


def test_pages_go_by_product_id() -> None:
    many = products(*(f"S{n}" for n in range(50)))
    requests, page = run(magento.pull(SETTINGS, "700"), [many, items()])
    assert ("searchCriteria[filter_groups][1][filters][0][field]", "entity_id") in requests[0].query
    assert ("searchCriteria[filter_groups][1][filters][0][value]", "700") in requests[0].query
    assert page.cursor == "50"


def test_source_items_are_read_until_all_are_there() -> None:
    first = answer(
        {"items": [{"sku": "A", "source_code": "s1", "quantity": 1, "status": 1}], "total_count": 2}
    )
    second = answer(
        {"items": [{"sku": "A", "source_code": "s2", "quantity": 2, "status": 1}], "total_count": 2}
    )
    answers = [products("A"), first, second, NO_STOCKS, salable(A=3)]
    requests, page = run(magento.pull(SETTINGS, None), answers)
    assert ("searchCriteria[currentPage]", "2") in requests[2].query
    assert {shown.location for shown in page.seen[0].shown} == {"s1", "s2"}


def stocks(**websites: int) -> Response:
    """Stocks by the website that sells from each, besides one that none does and one that is no website's."""
    rows = [
        {"stock_id": n, "extension_attributes": {"sales_channels": [{"type": "website", "code": code}]}}
        for code, n in websites.items()
    ]
    other = {"stock_id": 8, "extension_attributes": {"sales_channels": [{"type": "shop", "code": "x"}]}}
    return answer({"items": [{"stock_id": 9}, other, *rows]})


def assigned(**sources: bool) -> Response:
    return answer([{"source_code": code, "enabled": enabled} for code, enabled in sources.items()])


def test_a_source_of_another_stock_or_one_that_is_off_holds_no_open_orders() -> None:
    hands = items(("A", "s1", 9, 1), ("A", "uk", 20, 1), ("A", "off", 30, 1), ("A", "none", 40, 1))
    answers = [products("A"), hands, stocks(base=2, uk=3), assigned(s1=True, off=False), assigned(uk=True)]
    requests, page = run(magento.pull(SETTINGS, None), [*answers, salable(A=7), salable(A=15)])
    assert set(page.seen[0].shown) == {
        Shown(7, "s1", committed=2),
        Shown(15, "uk", committed=5),
        Shown(30, "off"),
        Shown(40, "none"),
    }
    assert [request.url.removeprefix("/V1/inventory/") for request in requests[2:]] == [
        "stocks",
        "get-sources-assigned-to-stock-ordered-by-priority/2",
        "get-sources-assigned-to-stock-ordered-by-priority/3",
        "export-stock-salable-qty/website/base",
        "export-stock-salable-qty/website/uk",
    ]


def test_a_source_of_two_stocks_bears_what_both_have_promised() -> None:
    answers = [
        products("A"),
        items(("A", "s1", 9, 1)),
        stocks(uk=3, base=2),
        assigned(s1=True),
        assigned(s1=True),
    ]
    _, page = run(magento.pull(SETTINGS, None), [*answers, salable(A=7), salable(A=5)])
    assert page.seen[0].shown == (Shown(3, "s1", committed=6),)


def test_stocks_are_asked_for_once_and_only_those_of_a_page() -> None:
    many = products(*(f"S{n}" for n in range(50)))
    answers = [many, items(("S1", "s1", 9, 1)), stocks(base=2, uk=3), assigned(s1=True), assigned(uk=True)]
    _, page = run(magento.pull(SETTINGS, None), [*answers, salable(S1=9)])
    assert page.cursor is not None
    answers = [products("T"), items(("T", "uk", 4, 1)), salable(T=3)]
    requests, last = run(magento.pull(SETTINGS, page.cursor), answers)
    assert ("searchCriteria[filter_groups][1][filters][0][value]", "50") in requests[0].query
    assert requests[2].url == "/V1/inventory/export-stock-salable-qty/website/uk"
    assert last.seen[0].shown == (Shown(3, "uk", committed=1),)
    assert last.cursor is None


@pytest.mark.parametrize(
    "more", [[answer({"items": []})], [stocks(base=2), answer("", status=404)], [answer("", status=400)]]
)
def test_a_shop_that_does_not_tell_its_stocks_has_one(more: list[Response]) -> None:
    answers = [products("A"), items(("A", "s1", 9, 1)), *more, salable(A=7)]
    requests, page = run(magento.pull(SETTINGS, None), answers)
    assert requests[-1].url == "/V1/inventory/export-stock-salable-qty/website/base"
    assert page.seen[0].shown == (Shown(7, "s1", committed=2),)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_stocks_that_may_not_be_read_are_no_stocks_that_are_not_there(status: int) -> None:
    with pytest.raises(Failed):
        run(magento.pull(SETTINGS, None), [products("A"), items(("A", "s1", 9, 1)), answer("", status)])


@pytest.mark.parametrize(
    "cursor", ["7|", "7|x", '7|[{"id": 1}]', '7|[{"website": "base", "id": "2"}]', "7|\ud800"]
)
def test_a_cursor_that_is_not_understood_asks_for_the_stocks_again(cursor: str) -> None:
    answers = [products("A"), items(("A", "s1", 9, 1)), NO_STOCKS, salable(A=7)]
    requests, _ = run(magento.pull(SETTINGS, cursor), answers)
    assert ("searchCriteria[filter_groups][1][filters][0][value]", "7") in requests[0].query


def test_without_the_list_each_sku_is_asked() -> None:
    answers = [products("A/B"), items(("A/B", "s1", 9, 1)), NO_STOCKS, answer("", status=404), answer(7)]
    requests, page = run(magento.pull(SETTINGS, None), answers)
    assert requests[4].url == "/V1/inventory/get-product-salable-quantity/A%2FB/1"
    assert page.seen[0].shown == (Shown(7, "s1", committed=2),)


def test_a_shop_without_sources() -> None:
    answers = [
        products("A", "B"),
        answer({"item_id": 7, "qty": 4.0}),
        answer({"qty": 4, "manage_stock": False}),
    ]
    _, page = run(magento.pull(LEGACY, None), answers)
    assert [seen.shown for seen in page.seen] == [(Shown(4),), (Shown(None),)]
    assert page.behind == 0
    assert run(magento.places(LEGACY), [])[1] == []


# --- orders ---------------------------------------------------------------------------------------------


def line(**more: Any) -> dict[str, Any]:
    return {"item_id": 1, "sku": "A", "product_id": 7, "product_type": "simple", "qty_ordered": 5.0, **more}


def lines_of(state: str, *rows: dict[str, Any]) -> tuple[OrderLine, ...]:
    order = {"entity_id": 1, "increment_id": "1", "state": state, "updated_at": "2026-11-22 00:00:00"}
    said = answer({"items": [{**order, "items": list(rows)}], "total_count": 1})
    found = run(magento.orders(SETTINGS, "2026-11-22T00:00:00Z"), [said])[1]
    assert found.orders[0].updated == NOW
    return found.orders[0].lines


@pytest.mark.parametrize(
    ("state", "more", "counts"),
    [
        ("new", {}, (0, 0, 0)),
        ("pending_payment", {}, (0, 0, 0)),
        ("processing", {"qty_shipped": 2}, (0, 2, 0)),
        ("processing", {"qty_canceled": 2}, (2, 0, 0)),
        ("processing", {"qty_refunded": 2}, (2, 0, 0)),
        ("processing", {"qty_shipped": 5, "qty_refunded": 2}, (0, 5, 0)),
        ("complete", {"qty_shipped": 5}, (0, 5, 0)),
        ("complete", {"qty_shipped": 5, "qty_returned": 1}, (0, 5, 1)),
        ("complete", {"qty_shipped": 4}, (1, 4, 0)),
        ("closed", {"qty_refunded": 5}, (5, 0, 0)),
        ("canceled", {}, (5, 0, 0)),
        ("complete", {"product_type": "virtual", "qty_invoiced": 5}, (0, 5, 0)),
        ("processing", {"is_virtual": 1, "qty_invoiced": 3}, (0, 3, 0)),
    ],
)
def test_a_line(state: str, more: dict[str, Any], counts: tuple[int, int, int]) -> None:
    assert lines_of(state, line(**more)) == (OrderLine("1", {"product_id": "7"}, "A", 5, *counts),)


def test_a_configurable_product_is_counted_once_with_what_became_of_its_parent() -> None:
    parent = line(item_id=1, product_id=6, product_type="configurable", qty_shipped=3, qty_canceled=1)
    child = line(item_id=2, parent_item_id=1, qty_shipped=1)
    assert lines_of("processing", parent, child) == (OrderLine("2", {"product_id": "7"}, "A", 5, 1, 3),)


def test_a_bundle_s_parts_go_with_it_in_proportion() -> None:
    parent = line(item_id=1, product_id=6, sku="SET", product_type="bundle", qty_ordered=2, qty_shipped=1)
    parts = (
        line(item_id=2, parent_item_id=1, qty_ordered=4),
        line(item_id=3, parent_item_id=1, qty_ordered=2),
    )
    assert [(each.ordered, each.shipped) for each in lines_of("processing", parent, *parts)] == [
        (4, 2),
        (2, 1),
    ]


def test_a_part_of_a_unit_takes_a_whole_one() -> None:
    assert lines_of("new", line(qty_ordered=1.5))[0].ordered == 2


def test_orders_are_asked_for_by_their_change_and_without_anybody_s_name() -> None:
    said = answer({"items": [], "total_count": 0})
    requests, orders = run(magento.orders(SETTINGS, "2026-11-22T00:10:00Z"), [said])
    asked = {name: str(value) for name, value in requests[0].query}
    assert asked["searchCriteria[filter_groups][0][filters][0][value]"] == "2026-11-22 00:08:00"
    assert asked["searchCriteria[filter_groups][0][filters][0][condition_type]"] == "gteq"
    assert asked["searchCriteria[sortOrders][0][direction]"] == "ASC"
    assert "customer" not in asked["fields"]
    assert orders.cursor == "2026-11-22T00:10:00Z"


def test_a_new_connection_asks_for_open_orders_and_goes_on_from_the_shop_s_own_clock() -> None:
    said = answer({"items": [], "total_count": 0}, date="Sun, 22 Nov 2026 01:00:30 GMT")
    requests, orders = run(magento.orders(SETTINGS, None), [said])
    value = str(dict(requests[0].query)["searchCriteria[filter_groups][0][filters][0][value]"])
    assert "processing" in value
    assert "complete" not in value
    # An hour less: orders are dated by the database, answers by a web server or a proxy.
    assert orders.cursor == "2026-11-22T00:00:30Z"


@pytest.mark.parametrize("said", [answer("<html>"), answer({"items": [{"entity_id": 1, "items": []}]})])
def test_orders_that_are_not_as_documented_fail(said: Response) -> None:
    with pytest.raises(Failed):
        run(magento.orders(SETTINGS, None), [said])


# --- the check ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said", "words"),
    [
        (SETTINGS, answer("", status=404), "stock_item"),
        (LEGACY, answer(["Magento_InventoryApi"]), "sources"),
        (SETTINGS, answer("", status=401), "401"),
    ],
)
def test_settings_that_do_not_fit_the_shop(settings: Any, said: Response, words: str) -> None:
    with pytest.raises(Failed) as failed:
        run(magento.check(settings), [said])
    assert words in failed.value.words
