"""Mirakl: the stock import and what became of it, offers, orders, and a fake shop from end to end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.account import Account
from connectors.driver import SILENCE, answer, run, settings_of, talk, target, wire
from fakes.mirakl import EXAMPLE, Fake, file_of
from onhand.connectors import mirakl
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Order,
    OrderLine,
    Rejected,
    Response,
    Shown,
    Slot,
    Target,
    Unsure,
    Verdict,
    Whole,
)
from onhand.connectors.mirakl_import import LOOKS

SETTINGS = settings_of(mirakl, **EXAMPLE.settings)
TAKEN = answer({"import_id": "i-1"}, 201)
DATE = "Sun, 22 Nov 2026 10:00:00 GMT"


def done(wrong: int = 0, **more: Any) -> Response:
    return answer({"status": "COMPLETE", "lines_in_error": wrong, "lines_in_success": 1, **more})


def told(number: int, offer: int, location: str | None = None, **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), location, **slot)


def said(*answers: Response, targets: int = 2) -> list[Verdict]:
    flow = mirakl.push(SETTINGS, [told(n, n) for n in range(1, targets + 1)])
    return run(flow, answers)[1]


def kinds(verdicts: list[Verdict]) -> list[str]:
    return [type(verdict).__name__ for verdict in verdicts]


def test_the_request_as_it_goes_out() -> None:
    targets = [
        told(1, 42),
        msgspec.structs.replace(told(2, 0), slots=(Slot(5, "WH1"), Slot(7, "WH2"))),
        msgspec.structs.replace(told(3, 999, infinite=True), ids={"sku": 'M"UG;1'}),
    ]
    waits: list[float] = []
    requests, verdicts = run(mirakl.push(SETTINGS, targets), [TAKEN, done()], waits)
    assert verdicts == [Accepted(each) for each in targets]
    out = wire(mirakl, SETTINGS, requests[0])
    assert out.method == "POST"
    assert out.target == "https://shop-prod.mirakl.net/api/offers/stock/imports?shop_id=2000"
    assert out.headers["Authorization"] == "mirakl-key-77aa10"
    assert file_of(out) == (
        '"offer-sku";"quantity";"warehouse-code";"update-delete"\n'
        '"SKU-1";"42";"";""\n'
        '"SKU-2";"5";"WH1";""\n'
        '"SKU-2";"7";"WH2";""\n'
        '"M""UG;1";"999";"";""\n'
    )
    assert requests[1].url == "/api/offers/stock/imports/i-1/status"
    assert waits == [15]


def test_lines_of_one_offer_stay_together() -> None:
    same = [told(1, 3, "WH1"), told(2, 4), msgspec.structs.replace(told(3, 5, "WH2"), ids={"sku": "SKU-1"})]
    requests, verdicts = run(mirakl.push(SETTINGS, same), [TAKEN, done()])
    lines = file_of(wire(mirakl, SETTINGS, requests[0])).splitlines()[1:]
    assert [line.split(";")[0] for line in lines] == ['"SKU-1"', '"SKU-1"', '"SKU-2"']
    assert kinds(verdicts) == ["Accepted"] * 3


@pytest.mark.parametrize("sku", ["", "a\nb", "a\x00", "\ud800"])
def test_a_sku_that_cannot_stand_in_a_file_is_refused_alone(sku: str) -> None:
    odd = msgspec.structs.replace(told(1, 3), ids={"sku": sku}, sku=None)
    requests, verdicts = run(mirakl.push(SETTINGS, [odd, told(2, 4)]), [TAKEN, done()])
    assert kinds(verdicts) == ["Rejected", "Accepted"]
    assert kinds(run(mirakl.push(SETTINGS, [told(1, 3, "W\n")]), [])[1]) == ["Rejected"]
    assert len(file_of(wire(mirakl, SETTINGS, requests[0])).splitlines()) == 2


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([SILENCE], "Unsure"),
        ([answer("slow down", 429, retry_after="60")], "Later"),
        ([answer("", 401)], "Later"),
        ([answer("<html>", 502)], "Later"),
        ([answer({"message": "bad file"}, 400)], "Whole"),
        ([answer("too large", 413)], "Whole"),
        ([answer({"message": "Not Found"}, 404)], "Rejected"),
        ([answer("<html>", 404)], "Later"),
        ([answer("<html>", 201)], "Unsure"),
        ([answer({"import_id": None}, 201)], "Unsure"),
        ([TAKEN, answer({"status": "WAITING"}), answer({"status": "RUNNING"}), done()], "Accepted"),
        ([TAKEN, answer("busy", 429, retry_after="7"), SILENCE, answer("", 500), done()], "Accepted"),
        ([TAKEN, answer("", 401)], "Unsure"),
        ([TAKEN, answer({"status": "FAILED", "reason_status": "no header"})], "Whole"),
        ([TAKEN, answer({"status": "COMPLETE"})], "Unsure"),
        ([TAKEN, *[answer({"status": "RUNNING"})] * LOOKS], "Unsure"),
        ([TAKEN, *[answer("<html>")] * LOOKS], "Unsure"),
        ([TAKEN, done(1), answer("", 404)], "Whole"),
        ([TAKEN, done(1), answer("nothing of use")], "Whole"),
    ],
)
def test_what_an_answer_means_for_all(answers: list[Response], expected: str) -> None:
    assert kinds(said(*answers)) == [expected, expected]


def test_retry_after_is_waited_for_between_looks() -> None:
    waits: list[float] = []
    flow = mirakl.push(SETTINGS, [told(1, 1)])
    run(flow, [TAKEN, answer("busy", 429, retry_after="70"), done()], waits)
    assert waits == [15, 70, 15]


def test_a_missing_stock_import_is_said_in_words() -> None:
    verdict = said(answer("", 404), targets=1)[0]
    assert isinstance(verdict, Rejected)
    assert "STO01" in verdict.words


def test_a_failed_import_of_one_target_is_its_refusal() -> None:
    verdict = said(TAKEN, answer({"status": "FAILED", "reason_status": "no"}), targets=1)[0]
    assert isinstance(verdict, Rejected)
    assert verdict.words == "import i-1 failed: no"


def test_page_after_page_of_offers() -> None:
    off = {"active": False}
    offers = [
        {"offer_id": 7, "shop_sku": "A", "quantity": 3, "active": True, "product_title": "Mug"},
        {
            "offer_id": 8,
            "shop_sku": "B",
            "quantity": 0,
            "active": False,
            "inactivity_reasons": ["ZERO_QUANTITY"],
        },
        {"offer_id": 9, "shop_sku": "C", **off, "inactivity_reasons": ["SHOP_NOT_OPEN"]},
        {"offer_id": 10, "shop_sku": "D", "quantity": 9, "fulfillment": {"center": {"code": "MFN"}}},
        {"offer_id": 11, "shop_sku": "E", "quantity": 9, "warehouses": [{"code": "W", "quantity": 9}]},
    ]
    requests, page = run(mirakl.pull(SETTINGS, None), [answer({"offers": offers, "total_count": 7})])
    assert dict(requests[0].query) == {"shop_id": "2000", "max": "100", "offset": "0"}
    assert page.cursor == "5"
    assert [seen.shown[0].quantity for seen in page.seen] == [3, 0, None, 9, 9]
    assert [seen.active for seen in page.seen] == [True, True, False, True, True]
    assert [seen.writable for seen in page.seen] == [True, True, True, False, True]
    assert page.seen[4].shown == (Shown(9, "W"),)
    assert page.seen[0].ids == {"sku": "A", "offer_id": "7"}
    assert run(mirakl.pull(SETTINGS, "5"), [answer({"offers": [], "total_count": 7})])[1].cursor is None


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("STAGING", "STAGING"), (False, 0, 0)),
        (("WAITING_ACCEPTANCE", "WAITING_ACCEPTANCE"), (True, 0, 0)),
        (("WAITING_DEBIT_PAYMENT", None), (True, 0, 0)),
        (("SHIPPING", "SHIPPING"), (True, 0, 0)),
        (("SHIPPING", "SHIPPED"), (True, 0, 3)),
        (("CLOSED", "CLOSED"), (True, 0, 3)),
        (("SHIPPING", "CANCELED"), (True, 3, 0)),
        (("REFUSED", "REFUSED"), (True, 3, 0)),
        (("REFUSED", None), (True, 3, 0)),
        (("SOMETHING_NEW", "SOMETHING_NEW"), (True, 0, 0)),
        (("SHIPPED", "INCIDENT_OPEN"), (True, 0, 3)),
        (("CLOSED", "REFUNDED"), (True, 0, 3)),
        (("SHIPPING", "INCIDENT_OPEN"), (True, 0, 0)),
        (("SHIPPED", "SHIPPING"), (True, 0, 0)),
        (("CLOSED", "CANCELED"), (True, 3, 0)),
    ],
)
def test_orders_by_state(states: tuple[str, str | None], expected: tuple[bool, int, int]) -> None:
    order = mapped(states[0], {"order_line_state": states[1]})
    line = order.lines[0]
    assert (order.holds, line.cancelled, line.shipped) == expected
    assert (line.id, line.ordered, line.sku) == ("l-1", 3, "A")


def mapped(state: str, line: dict[str, Any], **more: Any) -> Order:
    row = {"order_line_id": "l-1", "offer_sku": "A", "offer_id": 7, "quantity": 3, **line}
    order = {"order_id": "o-1", "order_state": state, "last_updated_date": "2026-11-22T10:00:00Z"}
    said = answer({"orders": [{**order, **more, "order_lines": [row]}], "total_count": 1})
    found: Order = run(mirakl.orders(SETTINGS, "2026-11-22T09:00:00Z"), [said])[1].orders[0]
    return found


def test_partial_cancellation_warehouse_and_foreign_fulfilment() -> None:
    order = mapped(
        "SHIPPING",
        {"cancelations": [{"quantity": 1}], "shipping_from": {"warehouse": {"code": "W"}}},
    )
    assert order.lines == (OrderLine("l-1", {"sku": "A", "offer_id": "7"}, "A", 3, 1, 0, location="W"),)
    assert mapped("SHIPPED", {"cancelations": [{"quantity": 1}]}).lines[0].shipped == 2
    row = {"order_id": "o-2", "last_updated_date": "2026-11-22T10:00:00Z", "order_lines": [{}]}
    foreign = answer({"orders": [{**row, "fulfillment": {"center": {"code": "MIRAKL"}}}]})
    assert run(mirakl.orders(SETTINGS, "2026-11-22T09:00:00Z"), [foreign])[1].orders == ()


def test_orders_are_first_the_open_ones_and_then_what_changed() -> None:
    empty = answer({"orders": [], "total_count": 0}, date=DATE)
    requests, first = run(mirakl.orders(SETTINGS, None), [empty])
    assert "WAITING_ACCEPTANCE," in str(dict(requests[0].query)["order_state_codes"])
    assert (first.cursor, first.more) == ("2026-11-22T10:00:00Z", False)
    requests, later = run(mirakl.orders(SETTINGS, first.cursor), [empty])
    assert dict(requests[0].query)["start_update_date"] == "2026-11-22T09:55:00Z"
    assert later.cursor == first.cursor


def test_without_a_date_there_is_no_beginning() -> None:
    with pytest.raises(Failed, match="no date"):
        run(mirakl.orders(SETTINGS, None), [answer({"orders": [], "total_count": 0})])


def test_places_come_from_the_settings_or_the_offers() -> None:
    on = answer({"features": {"warehouses": True}})
    off = answer({"features": {"warehouses": False}})
    page = answer({"offers": [{"shop_sku": "A", "warehouses": [{"code": "W2"}]}], "total_count": 1})
    typed = settings_of(mirakl, **EXAMPLE.settings, warehouses=["W1", "W2"])
    assert run(mirakl.places(SETTINGS), [off])[1] == []
    assert [place.id for place in run(mirakl.places(SETTINGS), [on, page])[1]] == ["W2"]
    assert [(place.id, place.default) for place in run(mirakl.places(typed), [on])[1]] == [
        ("W1", True),
        ("W2", False),
    ]


@pytest.mark.parametrize(
    "url", ["http://a.mirakl.net", "https://a", "https://a.net/api", "https://u:p@a.net"]
)
def test_a_host_is_https_and_nothing_else(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings_of(mirakl, **{**EXAMPLE.settings, "url": url})


# --- end to end -----------------------------------------------------------------------------------------


def push(fake: Fake, *targets: Target) -> list[Verdict]:
    return talk(mirakl.push(SETTINGS, targets), mirakl, SETTINGS, fake)


@pytest.mark.parametrize("head_counts", [True, False])
def test_a_shop_from_end_to_end(head_counts: bool) -> None:
    fake = Fake(head_counts=head_counts)
    for number in (1, 2, 3):
        fake.stock(number, 1)
    assert kinds(push(fake, told(1, 10), told(2, 20), told(3, 30))) == ["Accepted"] * 3
    verdicts = push(fake, told(1, 11), told(9, 5), told(2, 21), told(3, 31))
    assert isinstance(verdicts[1], Rejected | Whole)
    while again := [verdict.target for verdict in verdicts if isinstance(verdict, Whole)]:
        verdicts = [verdict for each in again for verdict in push(fake, each)]
    assert [verdict.target.listing for verdict in verdicts if isinstance(verdict, Rejected)] == [9]
    assert [fake.shown(f"SKU-{n}") for n in (1, 2, 3)] == [11, 21, 31]
    fake.edit("SKU-1", 77)
    page = talk(mirakl.pull(SETTINGS, None), mirakl, SETTINGS, fake)
    assert [seen.shown[0].quantity for seen in page.seen] == [77, 21, 31]


def test_orders_of_a_shop_from_end_to_end() -> None:
    fake = Fake()
    fake.stock(1, 10)
    before = fake.sell("SKU-1", 2)
    first = talk(mirakl.orders(SETTINGS, None), mirakl, SETTINGS, fake)
    assert [order.id for order in first.orders] == [before]
    fake.change(before, "SHIPPED")
    after = fake.sell("SKU-1", 3)
    second = talk(mirakl.orders(SETTINGS, first.cursor), mirakl, SETTINGS, fake)
    assert {order.id: order.lines[0].shipped for order in second.orders} == {before: 2, after: 0}
    fake.change(after, "CANCELED")
    third = talk(mirakl.orders(SETTINGS, second.cursor), mirakl, SETTINGS, fake)
    assert {order.id: order.lines[0].cancelled for order in third.orders}[after] == 3
    assert fake.shown("SKU-1") == 8


def test_many_open_orders_are_all_found_while_some_are_shipped() -> None:
    fake = Fake()
    fake.stock(1, 1_000)
    names = {fake.sell("SKU-1", 1) for _ in range(230)}
    found: set[str] = set()
    cursor, more = None, True
    while more:
        orders = talk(mirakl.orders(SETTINGS, cursor), mirakl, SETTINGS, fake)
        found |= {order.id for order in orders.orders}
        cursor, more = orders.cursor, orders.more
        for row in fake.orders[:10]:
            fake.change(row["order_id"], "SHIPPED")
    assert found == names


def test_what_changes_while_many_pages_are_read_comes_with_the_next_round() -> None:
    """Orders are sorted by when they were made, and pages are a minute apart."""
    fake = Fake()
    fake.stock(1, 1_000)
    polled = Account(mirakl, SETTINGS).polled
    _, cursor = polled(fake)
    names = [fake.sell("SKU-1", 1) for _ in range(150)]
    first = talk(mirakl.orders(SETTINGS, cursor), mirakl, SETTINGS, fake)
    assert first.more
    fake.change(names[0], "CANCELED")
    fake.clock.seconds += 3_600
    fake.change(names[149], "SHIPPING")
    found, cursor = polled(fake, first.cursor)
    assert found[-1].id == names[149]
    found, _ = polled(fake, cursor)
    assert next(order for order in found if order.id == names[0]).lines[0].cancelled == 1


def test_faults_of_a_shop() -> None:
    fake = Fake()
    fake.stock(1, 1)
    fake.faults.throttle = 1
    throttled = push(fake, told(1, 5))[0]
    assert isinstance(throttled, Later)
    assert throttled.seconds == 30
    fake.faults.lose = 1
    assert isinstance(push(fake, told(1, 6))[0], Unsure)
    fake.has_imports = False
    assert isinstance(push(fake, told(1, 7))[0], Rejected)
    wrong = settings_of(mirakl, **{**EXAMPLE.settings, "api_key": "not-the-key-1"})
    assert isinstance(talk(mirakl.push(wrong, [told(1, 7)]), mirakl, wrong, fake)[0], Later)
    with pytest.raises(Failed) as raised:
        talk(mirakl.check(wrong), mirakl, wrong, fake)
    assert raised.value.login
    assert talk(mirakl.check(SETTINGS), mirakl, SETTINGS, fake) == "Mugs & More (2000)"


@pytest.mark.parametrize("cursor", ["", "nonsense", "a|b", "2026-11-22T10:00:00Z|x|y|z", "||"])
def test_a_cursor_that_is_none_begins_anew(cursor: str) -> None:
    empty = answer({"orders": [], "total_count": 0}, date=DATE)
    assert run(mirakl.orders(SETTINGS, cursor), [empty])[1].cursor == "2026-11-22T10:00:00Z"


def test_warehouses_are_not_searched_for_without_end() -> None:
    page = answer({"offers": [{"shop_sku": "A"}] * 100, "total_count": 10**6})
    on = answer({"features": {"warehouses": True}})
    assert len(run(mirakl.places(SETTINGS), [on, *[page] * 10])[0]) == 11
