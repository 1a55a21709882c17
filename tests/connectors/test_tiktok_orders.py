"""TikTok Shop: orders as snapshots, and the connector against a shop that keeps state."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.account import Account
from connectors.driver import answer, run, settings_of, talk, target
from fakes.tiktok import CIPHER, EXAMPLE, Fake, ids, webhook
from onhand.connectors import tiktok
from onhand.connectors.flow import Accepted, Failed, Later, Order, Rejected, Seen, Target, Unsure, Verdict

SETTINGS = settings_of(tiktok, **EXAMPLE.settings)
ACCOUNT = Account(tiktok, SETTINGS)
push, everything = ACCOUNT.push, ACCOUNT.polled


def ok(data: Any, date: str = "") -> Any:
    return answer({"code": 0, "message": "Success", "data": data}, date=date)


def line(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "1", "product_id": "P", "sku_id": "S", "seller_sku": "A", "display_status": status, **more}


def order(*lines: dict[str, Any], status: str = "AWAITING_SHIPMENT", **more: Any) -> dict[str, Any]:
    known = {"id": "576", "status": status, "update_time": 1_795_000_000, "warehouse_id": "w-1"}
    return {**known, "line_items": list(lines), **more}


BUNDLE = [
    {"sku_id": "S", "seller_sku": "A", "sku_count": 2},
    {"sku_id": "T", "seller_sku": "B", "sku_count": 1},
]


@pytest.mark.parametrize(
    ("row", "lines"),
    [
        (order(line("AWAITING_SHIPMENT"), line("AWAITING_SHIPMENT")), [("S", 2, 0, 0)]),
        (order(line("CANCELLED"), line("AWAITING_SHIPMENT")), [("S", 2, 1, 0)]),
        (order(line("CANCELLED"), line("CANCELLED"), status="CANCELLED"), [("S", 2, 2, 0)]),
        (order(line("IN_TRANSIT"), line("AWAITING_COLLECTION")), [("S", 2, 0, 1)]),
        (order(line("DELIVERED"), line("COMPLETED")), [("S", 2, 0, 2)]),
        (order(line("UNPAID"), status="UNPAID"), [("S", 1, 0, 0)]),
        (order({"id": "1", "sku_id": "S"}, status="IN_TRANSIT"), [("S", 1, 0, 1)]),
        (
            order(line("AWAITING_SHIPMENT", combined_listing_skus=BUNDLE), line("AWAITING_SHIPMENT")),
            [("S", 3, 0, 0), ("T", 1, 0, 0)],
        ),
        (order(line("AWAITING_SHIPMENT"), is_sample_order=True), [("S", 1, 0, 0)]),
    ],
    ids=[
        "a line is a unit",
        "one cancelled",
        "cancelled",
        "one on its way",
        "delivered",
        "unpaid is held by TikTok",
        "status of the order",
        "bundle",
        "sample",
    ],
)
def test_orders_are_counts_by_sku(row: dict[str, Any], lines: list[tuple[str, int, int, int]]) -> None:
    requests, found = run(
        tiktok.orders(SETTINGS, "1700000000|0|0|0|"), [ok({"orders": [row]}), ok({"orders": [row]})]
    )
    assert requests[0].query[1:] == (
        ("page_size", "50"),
        ("sort_field", "update_time"),
        ("sort_order", "ASC"),
    )
    assert requests[0].json == {"update_time_ge": 1_700_000_000 - 120}
    assert requests[1].url == "/order/202507/orders"
    assert requests[1].query == (("shop_cipher", CIPHER), ("ids", "576"))
    (only,) = found.orders
    assert isinstance(only, Order)
    assert only.updated == 1_795_000_000_000_000
    assert [(each.id, each.ordered, each.cancelled, each.shipped) for each in only.lines] == lines
    assert {each.location for each in only.lines} == {"w-1"}


def test_what_tiktok_ships_from_its_own_stock_is_not_ours() -> None:
    row = order(line("AWAITING_SHIPMENT"), fulfillment_type="FULFILLMENT_BY_TIKTOK")
    _, found = run(tiktok.orders(SETTINGS, "1|0|0|0|"), [ok({"orders": [row]}), ok({"orders": [row]})])
    assert found.orders == ()


def test_the_cursor_goes_on_from_the_channels_own_clock() -> None:
    date = "Sun, 22 Nov 2026 00:00:10 GMT"
    _, first = run(tiktok.orders(SETTINGS, "500"), [ok({"orders": [], "next_page_token": "t"}, date)])
    assert (first.more, first.cursor) == (True, "500|1795305610|0|380|2026-11-22T00:00:10Z|t")
    requests, last = run(tiktok.orders(SETTINGS, first.cursor), [ok({"orders": []})])
    assert dict(requests[0].query)["page_token"] == "t"
    assert (last.more, last.cursor) == (False, "1795305610|0|0|0||")


def test_a_first_look_takes_what_is_still_to_be_shipped() -> None:
    rows = [
        order(line("AWAITING_SHIPMENT")),
        order(line("CANCELLED"), id="577"),
        order(line("IN_TRANSIT"), id="578"),
    ]
    page = ok(
        {"orders": [{"id": row["id"], "update_time": 1} for row in rows]}, "Sun, 22 Nov 2026 00:00:10 GMT"
    )
    requests, found = run(tiktok.orders(SETTINGS, None), [page, ok({"orders": rows})])
    assert requests[0].json["order_status"] == "UNPAID"
    assert [each.id for each in found.orders] == ["576"]
    assert found.more


def test_a_page_that_tiktok_has_forgotten_is_not_asked_for_again() -> None:
    bad = answer({"code": 36009004, "message": "Invalid page_token"}, 400)
    lost = run(tiktok.orders(SETTINGS, "500|900|0|600||t"), [bad])[1]
    assert (lost.orders, lost.more, lost.cursor) == ((), False, "500|900|0|600||")
    requests, _ = run(tiktok.orders(SETTINGS, lost.cursor), [ok({"orders": []})])
    assert requests[0].json == {"update_time_ge": 600}
    for cursor, said in [
        (lost.cursor, bad),
        ("500|900|0|600||t", answer({"code": 105002, "message": "Expired credentials"}, 401)),
        ("500|900|0|600||t", answer({"code": 36009003, "message": "Internal error"})),
        ("500|900|0|600||t", answer("", 503)),
    ]:
        with pytest.raises(Failed):
            run(tiktok.orders(SETTINGS, cursor), [said])


def test_a_page_that_is_refused_fresh_was_never_good() -> None:
    refused = {"code": 36009004, "message": "Invalid page_token"}
    cursor = "500|900|0|600|2026-11-22T00:00:10Z|t"
    with pytest.raises(Failed, match="Invalid page_token"):
        run(tiktok.orders(SETTINGS, cursor), [answer(refused, 400, date="Sun, 22 Nov 2026 00:10:10 GMT")])
    late = answer(refused, 400, date="Sun, 22 Nov 2026 00:10:11 GMT")
    assert run(tiktok.orders(SETTINGS, cursor), [late])[1].cursor == "500|900|0|600||"


def test_an_order_without_a_time_is_no_order() -> None:
    row = order(line("AWAITING_SHIPMENT"), update_time=None)
    with pytest.raises(Failed, match="time of change"):
        run(tiktok.orders(SETTINGS, "1|0|0|0|"), [ok({"orders": [row]}), ok({"orders": [row]})])


def test_pages_go_on_by_time_so_that_a_change_in_between_hides_no_order() -> None:
    listed = [order(line("AWAITING_SHIPMENT"), update_time=600)]
    _, first = run(
        tiktok.orders(SETTINGS, "500"),
        [ok({"orders": listed, "next_page_token": "t"}), ok({"orders": listed})],
    )
    requests, _ = run(tiktok.orders(SETTINGS, first.cursor), [ok({"orders": []})])
    assert requests[0].json == {"update_time_ge": 600}
    assert "page_token" not in dict(requests[0].query)


# --- against a shop that keeps state --------------------------------------------------------------------


def fake_with(stock: dict[str, int]) -> tuple[Fake, Any]:
    fake = Fake()
    return fake, fake.add(1, "CUP", stock)


def test_a_number_is_told_and_seen_again() -> None:
    fake, sku = fake_with({"w-1": 4, "w-2": 6})
    assert push(fake, target(1, 9, ids(1), "w-1")) == [Accepted(target(1, 9, ids(1), "w-1"))]
    assert sku.stock == {"w-1": 9, "w-2": 6}
    page = talk(tiktok.pull(SETTINGS, None), tiktok, SETTINGS, fake)
    assert [(s.location, s.quantity) for s in page.seen[0].shown] == [("w-1", 9), ("w-2", 6)]
    fake.edit(sku, "w-1", 3)
    page = talk(tiktok.pull(SETTINGS, None), tiktok, SETTINGS, fake)
    assert page.seen[0].shown[0].quantity == 3
    assert page.seen[0].sku == "CUP"


def test_pages_of_listings_follow_one_another() -> None:
    fake = Fake()
    for number in range(1, 206):
        fake.add(number, f"S{number}", {"w-1": number})
    seen: list[Seen] = []
    cursor: str | None = None
    for _ in range(3):
        page = talk(tiktok.pull(SETTINGS, cursor), tiktok, SETTINGS, fake)
        seen += page.seen
        cursor = page.cursor
    assert cursor is None
    assert [each.sku for each in seen] == [f"S{number}" for number in range(1, 206)]


def test_only_warehouses_that_sell_and_are_ours_can_be_written() -> None:
    found = talk(tiktok.places(SETTINGS), tiktok, SETTINGS, Fake())
    assert [(place.id, place.ours, place.default) for place in found] == [
        ("w-1", True, True),
        ("w-2", True, False),
        ("w-3", False, False),
        ("w-4", False, False),
    ]


def test_a_hundred_products_go_in_one_batch() -> None:
    fake = Fake()
    targets = [target(n, n, ids(n), "w-1") for n in range(1, tiktok.CHANNEL.batch + 1)]
    for n in range(1, tiktok.CHANNEL.batch + 1):
        fake.add(n, f"S{n}", {"w-1": 0})
    assert all(isinstance(verdict, Accepted) for verdict in push(fake, *targets))
    assert fake.products[ids(77)["product"]][ids(77)["sku"]].stock == {"w-1": 77}


def test_faults_leave_a_verdict_that_fits() -> None:
    fake, sku = fake_with({"w-1": 4})
    aim = target(1, 9, ids(1), "w-1")
    fake.faults.throttle = 1
    assert isinstance(push(fake, aim)[0], Later)
    fake.faults.fail = 1
    assert isinstance(push(fake, aim)[0], Later)
    assert sku.stock == {"w-1": 4}
    fake.faults.lose = 2
    assert isinstance(push(fake, aim)[0], Later), "the look was lost"
    fake.faults.lose = 0
    lost = iter((False, True))

    def losing(wire: Any) -> Any:
        fake.faults.lose = int(next(lost))
        return fake(wire)

    assert push_with(losing, aim) == [Unsure(aim)]
    assert sku.stock == {"w-1": 9}, "it was done all the same"
    fake.status[ids(1)["product"]] = "FREEZE"
    assert isinstance(push(fake, aim)[0], Rejected)


def push_with(send: Any, *targets: Target) -> list[Verdict]:
    return talk(tiktok.push(SETTINGS, targets), tiktok, SETTINGS, send)


def test_a_zero_that_is_refused_closes_the_product() -> None:
    fake, sku = fake_with({"w-1": 4})
    fake.smallest = 1
    (closed,) = push(fake, target(1, 0, ids(1), "w-1"))
    assert isinstance(closed, Accepted)
    assert fake.status[ids(1)["product"]] == "SELLER_DEACTIVATED"
    again = Target(1, ids(1), target(1, 2, ids(1), "w-1").slots, "k", notes=closed.notes)
    assert isinstance(push(fake, again)[0], Accepted)
    assert (fake.status[ids(1)["product"]], sku.stock) == ("ACTIVATE", {"w-1": 2})


def test_an_expired_token_is_refused_and_a_new_pair_gets_in() -> None:
    fake, _ = fake_with({"w-1": 4})
    fake.access = "something-else"
    with pytest.raises(Failed) as raised:
        talk(tiktok.check(SETTINGS), tiktok, SETTINGS, fake)
    assert raised.value.login
    fresh = talk(tiktok.tokens(SETTINGS), tiktok, SETTINGS, fake)
    renewed = settings_of(tiktok, **{**EXAMPLE.settings, **fresh})
    assert talk(tiktok.check(renewed), tiktok, renewed, fake) == "Shop 7495001 (7495001, GB)"


def test_a_sale_is_seen_once_by_its_first_look_and_moves_on() -> None:
    fake, sku = fake_with({"w-1": 9})
    old = fake.sell(sku, "w-1", 1)
    fake.move(old, "DELIVERED")
    name = fake.sell(sku, "w-1", 3)
    assert sku.stock == {"w-1": 5}
    first, cursor = everything(fake)
    assert [each.id for each in first] == [name], "what was delivered before we came is not ours to count"
    fake.move(name, "IN_TRANSIT", 1)
    fake.move(name, "CANCELLED", 1)
    changed, cursor = everything(fake, cursor)
    latest = next(each for each in changed if each.id == name)
    assert (latest.lines[0].ordered, latest.lines[0].cancelled) == (3, 1)
    headers, raw = webhook(fake, 1, {"order_id": name})
    assert tiktok.hear(SETTINGS, headers, raw, 0).poll_orders


def test_many_orders_come_in_pages() -> None:
    fake, sku = fake_with({"w-1": 500})
    names = [fake.sell(sku, "w-1", 1) for _ in range(120)]
    for name in names[60:]:
        fake.orders[name]["update_time"] = fake.orders[names[60]]["update_time"]
    found, cursor = everything(fake)
    assert {each.id for each in found} == set(names)
    again, _ = everything(fake, cursor)
    assert {each.id for each in again} <= set(names)
