"""Walmart: orders as snapshots, and the connector against an account that keeps state."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.account import Account
from connectors.driver import answer, run, settings_of, talk, target
from fakes.walmart import EXAMPLE, WFS_STOCK, Fake
from onhand.connectors import walmart
from onhand.connectors.flow import Accepted, Failed, Later, Rejected
from onhand.connectors.walmart_push import FEED_FROM

SETTINGS = settings_of(walmart, **EXAMPLE.settings)
ACCOUNT = Account(walmart, SETTINGS)
push, pulled, polled = ACCOUNT.push, ACCOUNT.pulled, ACCOUNT.polled


SINCE = "2026-11-20T00:00:00Z"


def states(*pairs: tuple[str, str]) -> dict[str, Any]:
    rows = [{"status": s, "statusQuantity": {"unitOfMeasurement": "EACH", "amount": n}} for s, n in pairs]
    return {"orderLineStatuses": {"orderLineStatus": rows}}


def order(amount: str, *pairs: tuple[str, str]) -> dict[str, Any]:
    line = {"lineNumber": "3", "item": {"sku": "A"}, "orderLineQuantity": {"amount": amount}}
    return {
        "purchaseOrderId": "P1",
        "customerOrderId": "C1",
        "orderDate": 1_795_000_000_000,
        "orderLines": {"orderLine": [line | states(*pairs) | {"statusDate": 1_795_000_009_000}]},
    }


def listed(*rows: dict[str, Any], cursor: str | None = None, date: str = "") -> Any:
    meta = {"nextCursor": cursor} if cursor else {}
    return answer({"list": {"meta": meta, "elements": {"order": list(rows)}}}, date=date)


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        (order("2", ("Created", "2")), (2, 0, 0)),
        (order("2", ("Acknowledged", "2")), (2, 0, 0)),
        (order("3", ("Shipped", "1"), ("Acknowledged", "2")), (3, 0, 1)),
        (order("3", ("Shipped", "1"), ("Cancelled", "2")), (3, 2, 1)),
        (order("1", ("Delivered", "1")), (1, 0, 1)),
        (order("2", ("Refund", "2")), (2, 0, 2)),
        (order("2", ("Refunded", "2")), (2, 0, 2)),
        (order("3", ("Shipped", "1"), ("Refund", "2")), (3, 0, 3)),
        (order("2", ("Shipped", "2"), ("Refund", "1")), (2, 0, 2)),
        (order("2", ("Canceled", "2")), (2, 2, 0)),
        (order("2", ("Cancelled", "3"), ("Shipped", "1")), (2, 2, 0)),
    ],
    ids=[
        "created",
        "acknowledged",
        "partly shipped",
        "rest cancelled",
        "delivered",
        "refunded",
        "refunded in the other word",
        "partly refunded",
        "shipped and refunded",
        "the other spelling",
        "more than there are",
    ],
)
def test_orders_are_counts_by_line(row: dict[str, Any], counts: tuple[int, int, int]) -> None:
    _, found = run(walmart.orders(SETTINGS, "2026-11-20T00:00:00Z"), [listed(row)])
    (only,) = found.orders
    assert (only.id, only.name, only.updated) == ("P1", "C1", 1_795_000_009_000_000)
    (line,) = only.lines
    assert (line.id, line.sku, line.ids) == ("3", "A", {"sku": "A"})
    assert (line.ordered, line.cancelled, line.shipped) == counts


def test_a_line_without_a_date_of_its_own_is_as_old_as_its_order() -> None:
    row = order("2", ("Created", "1"), ("Shipped", "1"))
    (line,) = row["orderLines"]["orderLine"]
    plain = line | {"orderLineStatuses": line["orderLineStatuses"]["orderLineStatus"]}
    del plain["statusDate"]
    _, found = run(walmart.orders(SETTINGS, SINCE), [listed(row | {"orderLines": [plain]})])
    (only,) = found.orders
    assert only.updated == 1_795_000_000_000_000
    assert [(each.ordered, each.shipped) for each in only.lines] == [(2, 1)]


def test_a_first_look_takes_what_is_still_to_be_shipped() -> None:
    rows = [order("1", ("Shipped", "1")), order("2", ("Shipped", "1"), ("Created", "1"))]
    requests, found = run(walmart.orders(SETTINGS, None), [listed(date=DATE), listed(*rows, date=DATE)])
    assert dict(requests[1].query)["status"] == "Created"
    assert "lastModifiedStartDate" not in dict(requests[1].query)
    assert [each.lines[0].ordered for each in found.orders] == [2]
    requests, found = run(walmart.orders(SETTINGS, found.cursor), [listed(date=DATE)])
    assert dict(requests[0].query)["status"] == "Acknowledged"
    assert (found.more, found.cursor[:20]) == (False, "2026-11-22T00:00:10Z")


def test_a_poll_asks_for_changes_and_names_how_old_orders_may_be() -> None:
    requests, found = run(
        walmart.orders(SETTINGS, "2026-11-20T00:00:00Z"),
        [listed(order("1", ("Created", "1")), cursor="?limit=200&soIndex=200&a=b%3Ac", date=DATE)],
    )
    assert requests[0].query == (
        ("limit", "200"),
        ("shipNodeType", "SellerFulfilled"),
        ("createdStartDate", "2026-06-23T00:00:00Z"),
        ("lastModifiedStartDate", "2026-11-19T23:45:00Z"),
    )
    assert found.more
    requests, found = run(walmart.orders(SETTINGS, found.cursor), [listed()])
    assert requests[0].query == (("limit", "200"), ("soIndex", "200"), ("a", "b:c"))
    assert (found.more, found.cursor) == (False, "2026-11-22T00:00:10Z||0||")


def test_a_page_that_is_refused_is_not_asked_for_again() -> None:
    opening = [listed(date=DATE), listed(order("1", ("Created", "1")), cursor="?soIndex=200", date=DATE)]
    for start, said in (("2026-11-20T00:00:00Z", opening[1:]), (None, opening)):
        first = run(walmart.orders(SETTINGS, start), said)[1]
        assert first.more
        lost = answer(b"", 400, date="Sun, 22 Nov 2026 00:10:11 GMT")
        requests, _ = run(walmart.orders(SETTINGS, first.cursor), [lost, listed(date=DATE)])
        assert dict(requests[0].query)["soIndex"] == "200"
        assert dict(requests[1].query)["limit"] == "200"
        assert "soIndex" not in dict(requests[1].query)
        with pytest.raises(Failed):
            run(walmart.orders(SETTINGS, first.cursor), [lost, answer(b"", 400)])
        with pytest.raises(Failed):
            # One that is refused fresh was never good: the round would begin again without end.
            fresh = answer(b"", 400, date="Sun, 22 Nov 2026 00:10:10 GMT")
            run(walmart.orders(SETTINGS, first.cursor), [fresh])


DATE = "Sun, 22 Nov 2026 00:00:10 GMT"
NONE = answer({"errors": [{"code": "CONTENT_NOT_FOUND.GMP_ORDER_API"}]}, 404)


def test_no_orders_are_told_with_a_404() -> None:
    _, found = run(walmart.orders(SETTINGS, "2026-11-20T00:00:00Z"), [NONE])
    assert (found.orders, found.more) == ((), False)
    with pytest.raises(Failed):
        run(walmart.orders(SETTINGS, "2026-11-20T00:00:00Z"), [answer(b"", 404)])


# --- against an account that keeps state ----------------------------------------------------------------


def fake_with(**skus: int) -> Fake:
    return Fake(skus={sku: {"node-1": units} for sku, units in skus.items()})


def test_an_offer_is_what_buyers_see_while_an_order_is_open() -> None:
    fake = fake_with(A=9)
    name = fake.sell("A", 2)
    aim = target(1, 5, {"sku": "A"}, "node-1", committed=2)
    assert push(fake, aim) == [Accepted(aim)]
    assert fake.sellable("A", "node-1") == 5
    (seen,) = pulled(fake)
    assert [(s.location, s.quantity, s.committed) for s in seen.shown] == [("node-1", 5, 2)]
    fake.move(name, "Shipped")
    assert fake.sellable("A", "node-1") == 7, "too many until it is told again"
    again = target(1, 5, {"sku": "A"}, "node-1")
    assert push(fake, again) == [Accepted(again)]
    assert fake.sellable("A", "node-1") == 5


def test_pages_of_inventory_follow_one_another_and_wfs_is_only_shown() -> None:
    fake = fake_with(**{f"S{n:03}": n for n in range(120)})
    assert [seen.sku for seen in pulled(fake)] == [f"S{n:03}" for n in range(120)]
    wfs = settings_of(walmart, **EXAMPLE.settings, wfs=True)
    owned = pulled(fake, wfs)[120:]
    assert [(seen.sku, seen.shown[0].quantity) for seen in owned] == list(WFS_STOCK.items())
    assert not any(seen.writable for seen in owned)
    assert isinstance(push(fake, target(1, 5, dict(owned[0].ids), "WFS"))[0], Rejected)


def test_the_old_list_of_walmarts_own_stock_is_read_where_the_new_one_is_not_to_be_had() -> None:
    wfs = settings_of(walmart, **EXAMPLE.settings, wfs=True)
    new, old = ([(seen.ids, seen.shown) for seen in pulled(Fake(wfs=name), wfs)] for name in ("new", "old"))
    assert old == new
    assert len(old) == len(WFS_STOCK)
    with pytest.raises(Failed, match="404"):
        pulled(Fake(wfs="neither"), wfs)


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_the_old_list_is_not_asked_when_the_new_one_is_only_away(status: int) -> None:
    with pytest.raises(Failed) as failed:
        run(walmart.pull(SETTINGS, "wfs|0"), [answer(b"", status)])
    assert failed.value.retry


@pytest.mark.parametrize("status", [400, 403, 404])
def test_the_old_list_is_asked_when_the_new_one_lets_nobody_in(status: int) -> None:
    empty = answer({"payload": {"inventory": []}})
    requests, page = run(walmart.pull(SETTINGS, "wfs|0"), [answer({}, status), empty])
    assert [request.url for request in requests] == ["/v3/wfs/inventory", "/v3/fulfillment/inventory"]
    assert page.cursor is None


@pytest.mark.parametrize(
    ("node", "quantity", "committed"),
    [
        ({"availToSellQty": 4, "inputQty": 9, "reservedQty": 2}, 4, 2),
        ({"inputQty": 9, "reservedQty": 2}, 7, 2),
        ({"inputQty": 9}, 9, 0),
        ({"inputQty": 1, "reservedQty": 2}, 0, 2),
        ({"reservedQty": 2}, None, 2),
    ],
)
def test_what_can_be_sold_is_less_than_what_was_put_in(
    node: dict[str, int], quantity: int | None, committed: int
) -> None:
    told = {name: {"unit": "EACH", "amount": amount} for name, amount in node.items()}
    rows = [{"sku": "A", "nodes": [{"shipNode": "node-1", **told}]}]
    page = answer({"elements": {"inventories": rows}, "meta": {}})
    (seen,) = run(walmart.pull(SETTINGS, None), [page])[1].seen
    assert [(shown.quantity, shown.committed) for shown in seen.shown] == [(quantity, committed)]


def test_a_number_changed_behind_our_back_is_seen() -> None:
    fake = fake_with(A=9)
    fake.edit("A", "node-1", 3)
    assert pulled(fake)[0].shown[0].quantity == 3


def test_only_active_nodes_of_the_seller_are_ours() -> None:
    found = talk(walmart.places(SETTINGS), walmart, SETTINGS, Fake())
    assert [(place.id, place.ours) for place in found] == [
        ("node-1", True),
        ("node-2", False),
        ("node-3", False),
    ]


def test_a_feed_of_many_reaches_the_account() -> None:
    fake = fake_with(**{f"SKU-{n}": 0 for n in range(1, FEED_FROM + 1)})
    del fake.skus["SKU-2"]
    verdicts = push(fake, *(target(n, n, {"sku": f"SKU-{n}"}, "node-1") for n in range(1, FEED_FROM + 1)))
    assert isinstance(verdicts[1], Rejected)
    assert sum(isinstance(verdict, Accepted) for verdict in verdicts) == FEED_FROM - 1
    assert fake.skus["SKU-77"] == {"node-1": 77}


def test_faults_leave_a_verdict_that_fits() -> None:
    fake = fake_with(A=9)
    aim = target(1, 5, {"sku": "A"}, "node-1")
    fake.faults.throttle = 1
    (verdict,) = push(fake, aim)
    assert isinstance(verdict, Later)
    assert verdict.seconds is not None
    assert 0 < verdict.seconds <= 7
    fake.faults.fail = 1
    assert isinstance(push(fake, aim)[0], Later)
    fake.faults.lose = 1
    assert type(push(fake, aim)[0]).__name__ == "Unsure"
    assert fake.skus["A"] == {"node-1": 5}
    assert isinstance(push(fake, target(2, 5, {"sku": "unknown"}, "node-1"))[0], Rejected)
    assert isinstance(push(fake, target(1, 5, {"sku": "A"}, "node-9"))[0], Rejected)


def test_an_expired_token_is_renewed() -> None:
    fake = fake_with(A=9)
    fake.access = "another"
    with pytest.raises(Failed) as raised:
        talk(walmart.check(SETTINGS), walmart, SETTINGS, fake)
    assert raised.value.login
    fresh = talk(walmart.tokens(SETTINGS), walmart, SETTINGS, fake)
    renewed = settings_of(walmart, **{**EXAMPLE.settings, "access_token": fresh["access_token"]})
    assert talk(walmart.check(renewed), walmart, renewed, fake).startswith("Walmart seller")


def test_a_new_connection_reads_what_is_open_and_then_what_changed() -> None:
    fake = fake_with(A=900)
    names = [fake.sell("A", 1) for _ in range(3)]
    fake.move(names[0], "Shipped")
    fake.move(names[1], "Acknowledged")
    found, cursor = polled(fake)
    assert {each.id for each in found} == set(names[1:])
    more = [fake.sell("A", 1) for _ in range(450)]
    fake.move(names[1], "Cancelled")
    found, _ = polled(fake, cursor)
    assert {each.id for each in found} >= {*more, names[1]}
    assert next(each for each in found if each.id == names[1]).lines[0].cancelled == 1


@pytest.mark.parametrize(
    ("shipped", "sent"),
    [
        ([1_795_000_050_000], 1_795_000_050_000_000),
        ([1_795_000_050_000, 1_795_000_060_000], 1_795_000_060_000_000),
        (["2026-11-18T00:00:00Z"], 1_795_000_000_000_000),
        ([], None),
    ],
    ids=["once", "twice", "the day alone, so not before it was placed", "without a word"],
)
def test_when_the_last_parcel_left(shipped: list[Any], sent: int | None) -> None:
    row = order("2", *(("Shipped", "1") for _ in shipped or [0]))
    states_there = row["orderLines"]["orderLine"][0]["orderLineStatuses"]["orderLineStatus"]
    for state, when in zip(states_there, shipped, strict=False):
        state["trackingInfo"] = {"shipDateTime": when}
    found = run(walmart.orders(SETTINGS, SINCE), [listed(row)])[1].orders
    assert [one.sent for one in found] == [sent]
