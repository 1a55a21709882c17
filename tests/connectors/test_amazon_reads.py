"""Amazon: listings by page and by report, stock that Amazon keeps, and orders."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest

from connectors.account import Account
from connectors.driver import answer, run, settings_of, talk, wire
from fakes.amazon import EXAMPLE, Fake
from onhand.connectors import amazon
from onhand.connectors.flow import Failed, Order, Page, Response, Shown

SETTINGS = settings_of(amazon, **EXAMPLE.settings)
ACCOUNT = Account(amazon, SETTINGS)
pulled, polled = ACCOUNT.pulled, ACCOUNT.counted

DATE = "Sun, 22 Nov 2026 10:00:00 GMT"
SINCE = "2026-11-22T09:00:00Z"


def test_the_search_as_it_goes_out() -> None:
    requests, page = run(amazon.pull(SETTINGS, "t 1"), [answer({"items": [], "numberOfResults": 5_000})])
    assert page == Page((), None, 900)
    assert wire(amazon, SETTINGS, requests[0]).target == (
        "https://sellingpartnerapi-na.amazon.com/listings/2021-08-01/items/A1EXAMPLE00"
        "?marketplaceIds=ATVPDKIKX0DER&includedData=summaries%2CfulfillmentAvailability%2CproductTypes"
        "&pageSize=20&pageToken=t%201"
    )


@pytest.mark.parametrize(
    ("entries", "shown", "writable"),
    [
        ([{"fulfillmentChannelCode": "DEFAULT", "quantity": 3}], Shown(3, "DEFAULT"), True),
        ([{"fulfillmentChannelCode": "DEFAULT"}], Shown(None, "DEFAULT"), True),
        ([], Shown(None, "DEFAULT"), True),
        ([{"fulfillmentChannelCode": "AMAZON_NA"}], Shown(9, "FBA"), False),
        (
            [
                {"fulfillmentChannelCode": "AMAZON_NA"},
                {"fulfillmentChannelCode": "DEFAULT", "quantity": 4},
            ],
            Shown(4, "DEFAULT"),
            True,
        ),
    ],
)
def test_what_a_listing_shows(entries: list[dict[str, Any]], shown: Shown, writable: bool) -> None:
    item = {"sku": "A", "fulfillmentAvailability": entries}
    said = [answer({"items": [item], "numberOfResults": 1})]
    if not writable:
        stock = [{"sellerSku": "A", "inventoryDetails": {"fulfillableQuantity": 9}}]
        said.append(answer({"payload": {"inventorySummaries": stock}}))
    seen = run(amazon.pull(SETTINGS, None), said)[1].seen[0]
    assert (seen.shown, seen.writable, bool(seen.why)) == ((shown,), writable, not writable)


@pytest.mark.parametrize(
    ("status", "active"), [(["BUYABLE"], True), (["DISCOVERABLE"], True), ([], False), (None, True)]
)
def test_whether_a_listing_is_active(status: Any, active: bool) -> None:
    summary = {"marketplaceId": "ATVPDKIKX0DER", "asin": "B1", "itemName": "Mug", "status": status}
    foreign = {"marketplaceId": "A1PA6795UKMFR9", "asin": "B2"}
    item = {"sku": "A", "summaries": [foreign, summary]}
    seen = run(amazon.pull(SETTINGS, None), [answer({"items": [item]})])[1].seen[0]
    assert (seen.active, seen.title, seen.ids["asin"]) == (active, "Mug", "B1")


def test_pages_of_listings_with_amazons_own_stock() -> None:
    fake = Fake()
    for number in range(1, 46):
        fake.stock(number, number, "AMAZON_NA" if number % 9 == 0 else "DEFAULT")
    found = pulled(fake)
    assert [seen.shown[0].quantity for seen in found] == list(range(1, 46))
    assert [seen.writable for seen in found].count(False) == 5


@pytest.mark.parametrize("switch", ["setting", "right"])
def test_without_the_right_to_it_amazons_stock_has_no_numbers(switch: str) -> None:
    fake = Fake(fba_allowed=switch != "right")
    fake.stock(1, 5, "AMAZON_NA")
    settings = settings_of(amazon, **EXAMPLE.settings, fba=switch != "setting")
    assert pulled(fake, settings)[0].shown == (Shown(None, "FBA"),)


def test_a_seller_with_too_many_listings_for_pages_is_read_from_a_report() -> None:
    fake = Fake()
    for number in range(1, 1_060):
        fake.stock(number, number, "AMAZON_NA" if number > 1_000 else "DEFAULT")
    found = pulled(fake)
    assert [seen.shown[0].quantity for seen in found] == list(range(1, 1_060))
    assert found[1_000].ids == {"sku": "SKU-1001", "fulfilled_by": "AMAZON_NA", "asin": "B00"}
    assert found[0].title == '5" SKU-1'
    page = talk(amazon.pull(SETTINGS, None), amazon, SETTINGS, fake)
    assert page.behind >= 80 * 60, "its reports have been seen to be so old"
    fake.fate = "FATAL"
    with pytest.raises(Failed, match="FATAL"):
        pulled(fake)


def test_a_report_is_read_in_parts_however_long_it_is() -> None:
    fake = Fake()
    for number in range(1, 1_060):
        fake.stock(number, number)
        fake.listings[f"SKU-{number}"]["title"] = "m" * 9_000
    assert [seen.shown[0].quantity for seen in pulled(fake)] == list(range(1, 1_060))
    parts = [wire.headers["Range"] for wire in fake.requests if wire.url.startswith("https://files.")]
    assert parts == [f"bytes={n * 4_194_304}-{(n + 1) * 4_194_304 - 1}" for n in range(3)]


PLAIN = b"seller-sku\tquantity\tfulfillment-channel\nA\t3\tDEFAULT\n"


def part(content: bytes, where: str) -> Response:
    return Response(206, {"content-range": where}, content)


@pytest.mark.parametrize(
    ("said", "compressed"),
    [
        ([answer(PLAIN)], {"compressionAlgorithm": "GZIP"}),
        ([answer(gzip.compress(PLAIN, mtime=0))], {}),
        ([part(PLAIN[:9], f"bytes 0-8/{len(PLAIN)}"), part(PLAIN[9:], f"bytes 9-99/{len(PLAIN)}")], {}),
    ],
    ids=["said to be packed", "packed and not said to be", "in parts"],
)
def test_a_report_is_read_as_it_is_and_not_as_it_is_said_to_be(
    said: list[Response], compressed: dict[str, str]
) -> None:
    begin = [
        answer({"items": [], "numberOfResults": 1_001}),
        answer({"reportId": "r"}, 202),
        answer({"processingStatus": "DONE", "reportDocumentId": "d"}),
        answer({"url": "https://files.example.com/d?s=1", **compressed}),
    ]
    page = run(amazon.pull(SETTINGS, None), [*begin, *said])[1]
    assert [(seen.sku, seen.shown) for seen in page.seen] == [("A", (Shown(3, "DEFAULT"),))]


@pytest.mark.parametrize(
    "said",
    [
        [Response(416)],
        [part(PLAIN[:9], "bytes 0-8/70"), answer("", 403)],
        [part(PLAIN[:9], "bytes 0-8/70"), answer(PLAIN)],
        [part(PLAIN[:9], "bytes 0-8/70"), part(b"", "bytes 9-9/70")],
        [part(PLAIN, "")],
        [part(PLAIN, "bytes 0-8/*")],
    ],
)
def test_parts_that_make_no_report(said: list[Response]) -> None:
    begin = [
        answer({"items": [], "numberOfResults": 1_001}),
        answer({"reportId": "r"}, 202),
        answer({"processingStatus": "DONE", "reportDocumentId": "d"}),
        answer({"url": "https://files.example.com/d?s=1"}),
    ]
    with pytest.raises(Failed):
        run(amazon.pull(SETTINGS, None), [*begin, *said])


@pytest.mark.parametrize(
    "table", [b"", b"seller-sku\tquantity\n", b"<html>", b"\x00", b"seller-sku\t" + b"x" * 200_000]
)
def test_a_report_that_is_none(table: bytes) -> None:
    said = [
        answer({"items": [], "numberOfResults": 1_001}),
        answer({"reportId": "r"}, 202),
        answer({"processingStatus": "DONE", "reportDocumentId": "d"}),
        answer({"url": "https://files.example.com/d?s=1"}),
        answer(table),
    ]
    with pytest.raises(Failed, match="report"):
        run(amazon.pull(SETTINGS, None), said)


def test_places_and_check() -> None:
    fake = Fake()
    fake.stock(1, 1)
    assert [(place.id, place.ours) for place in talk(amazon.places(SETTINGS), amazon, SETTINGS, fake)] == [
        ("DEFAULT", True),
        ("FBA", False),
    ]
    said = talk(amazon.check(SETTINGS), amazon, SETTINGS, fake)
    assert said == "seller A1EXAMPLE00 in ATVPDKIKX0DER: 1 listings"


@pytest.mark.parametrize(
    ("name", "value"),
    [("region", "us"), ("seller_id", "a/b"), ("marketplace_id", ""), ("feed_from", 0), ("locale", "english")],
)
def test_settings_are_checked(name: str, value: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings_of(amazon, **{**EXAMPLE.settings, name: value})


def test_regions_and_the_sandbox_have_hosts_of_their_own() -> None:
    europe = settings_of(amazon, **{**EXAMPLE.settings, "region": "eu", "sandbox": True})
    assert amazon.base_url(europe) == "https://sandbox.sellingpartnerapi-eu.amazon.com"


# --- orders ---------------------------------------------------------------------------------------------


def mapped(status: str, **item: Any) -> Order:
    row = {"orderItemId": "00000000000001", "quantityOrdered": 5, "product": {"sellerSku": "A"}, **item}
    order = {
        "orderId": "111-1",
        "lastUpdatedTime": "2026-11-22T10:00:00Z",
        "fulfillment": {"fulfillmentStatus": status, "fulfilledBy": "MERCHANT"},
        "orderItems": [row],
    }
    found: Order = run(amazon.orders(SETTINGS, SINCE), [answer({"orders": [order]})])[1].orders[0]
    return found


@pytest.mark.parametrize(
    ("status", "fulfilled", "unfulfilled", "cancelled", "shipped"),
    [
        ("PENDING", 0, 0, 0, 0),
        ("PENDING", None, None, 0, 0),
        ("PENDING_AVAILABILITY", 0, 0, 0, 0),
        ("UNSHIPPED", 0, 5, 0, 0),
        ("UNSHIPPED", None, None, 0, 0),
        ("PARTIALLY_SHIPPED", 2, 3, 0, 2),
        ("PARTIALLY_SHIPPED", 2, 1, 2, 2),
        ("SHIPPED", 5, 0, 0, 5),
        ("SHIPPED", 4, 0, 1, 4),
        ("SHIPPED", None, None, 0, 5),
        ("CANCELLED", 0, 0, 5, 0),
        ("CANCELLED", 2, 0, 3, 2),
        ("CANCELLED", None, None, 5, 0),
    ],
)
def test_orders_by_status(
    status: str, fulfilled: int | None, unfulfilled: int | None, cancelled: int, shipped: int
) -> None:
    order = mapped(status, fulfillment={"quantityFulfilled": fulfilled, "quantityUnfulfilled": unfulfilled})
    line = order.lines[0]
    assert (line.ordered, line.cancelled, line.shipped) == (5, cancelled, shipped)
    assert (line.id, line.sku, line.ids) == ("00000000000001", "A", {"sku": "A"})
    assert order.holds
    assert not mapped("UNFULFILLABLE").holds


def test_orders_that_amazon_ships_are_left_out() -> None:
    row = {"orderId": "1", "fulfillment": {"fulfilledBy": "AMAZON"}}
    found = run(amazon.orders(SETTINGS, SINCE), [answer({"orders": [row]})])[1]
    assert found.orders == ()


def test_the_order_search_as_it_goes_out() -> None:
    end = answer({"orders": [], "lastUpdatedBefore": "2026-11-22T11:58:00Z"})
    requests, found = run(amazon.orders(SETTINGS, SINCE), [end])
    assert requests[0].url == "/orders/2026-01-01/orders"
    assert dict(requests[0].query) == {
        "lastUpdatedAfter": "2026-11-22T08:59:00Z",
        "marketplaceIds": "ATVPDKIKX0DER",
        "fulfilledBy": "MERCHANT",
        "includedData": "FULFILLMENT",
        "maxResultsPerPage": "100",
    }
    assert (found.cursor, found.more) == ("2026-11-22T11:58:00Z", False)


def test_what_sells_in_another_marketplace_from_the_same_quantity_is_known() -> None:
    canada, mexico = "A2EUQ1WTGCTBG2", "A1AM78C64UM0Y8"
    fake = Fake()
    fake.stock(1, 9)
    names = [fake.sell("SKU-1", 1), fake.sell("SKU-1", 2, canada), fake.sell("SKU-1", 4, mexico)]
    assert fake.shown("SKU-1") == 2
    assert [order.id for order in ACCOUNT.polled(fake, None)[0]] == names[:1]
    both = settings_of(amazon, **EXAMPLE.settings, also=(canada, "ATVPDKIKX0DER"))
    found, _ = Account(amazon, both).polled(fake, None)
    assert [(order.id, order.lines[0].ordered) for order in found] == [(names[0], 1), (names[1], 2)]
    requests, _ = run(amazon.orders(both, SINCE), [answer({"orders": []})])
    assert dict(requests[0].query)["marketplaceIds"] == f"ATVPDKIKX0DER,{canada}"


def test_filters_stay_the_same_from_page_to_page() -> None:
    ends = {"lastUpdatedBefore": "2026-11-22T11:00:00Z"}
    first = answer({"orders": [], "pagination": {"nextToken": "a|b"}, **ends})
    then = answer({"orders": [], "lastUpdatedBefore": "2026-11-22T11:30:00Z"})
    one, orders = run(amazon.orders(SETTINGS, SINCE), [first])
    assert orders.more
    two, orders = run(amazon.orders(SETTINGS, orders.cursor), [then])
    assert two[0].query == (*one[0].query, ("paginationToken", "a|b"))
    assert orders.cursor == "2026-11-22T11:00:00Z"


def paged(token: str) -> str:
    """The cursor after a page with this token, which Amazon gave at ten."""
    ends = {"lastUpdatedBefore": "2026-11-22T09:58:00Z"}
    first = answer({"orders": [], "pagination": {"nextToken": token}, **ends}, date=DATE)
    cursor: str = run(amazon.orders(SETTINGS, SINCE), [first])[1].cursor
    return cursor


INVALID = {"errors": [{"code": "InvalidInput"}]}


def test_a_page_token_that_is_too_old_begins_the_poll_again_with_half_the_time() -> None:
    old = answer(INVALID, 400, date="Mon, 23 Nov 2026 10:00:01 GMT")
    again = run(amazon.orders(SETTINGS, paged("old")), [old])[1]
    assert (again.orders, again.more) == ((), True)
    requests, part = run(amazon.orders(SETTINGS, again.cursor), [answer({"orders": []})])
    asked = dict(requests[0].query)
    assert "paginationToken" not in asked
    assert (asked["lastUpdatedAfter"], asked["lastUpdatedBefore"]) == (
        "2026-11-22T08:59:00Z",
        "2026-11-22T09:29:00Z",
    )
    assert (part.cursor, part.more) == ("2026-11-22T09:29:00Z", True)
    with pytest.raises(Failed):
        run(amazon.orders(SETTINGS, again.cursor), [answer("", 400)])


def test_a_token_that_is_refused_fresh_was_never_good() -> None:
    soon = answer(INVALID, 400, date="Sun, 22 Nov 2026 10:05:00 GMT")
    with pytest.raises(Failed, match="InvalidInput"):
        run(amazon.orders(SETTINGS, paged("wrong")), [soon])


def test_a_page_that_names_itself_is_the_last() -> None:
    same = answer({"orders": [], "pagination": {"nextToken": "same"}}, date=DATE)
    found = run(amazon.orders(SETTINGS, paged("same")), [same])[1]
    assert (found.cursor, found.more) == ("2026-11-22T09:58:00Z", False)


def test_a_poll_whose_every_token_dies_comes_to_its_end() -> None:
    """A day goes by between any two calls."""
    fake = Fake()
    fake.stock(1, 50)
    _, cursor = polled(fake, None)
    names = set()
    for _ in range(7):
        fake.clock.seconds += 1_200
        names.add(fake.sell("SKU-1", 1))
    found: set[str] = set()
    for _ in range(200):
        fake.clock.seconds += 90_000
        page = talk(amazon.orders(SETTINGS, cursor), amazon, SETTINGS, fake)
        found |= {order.id for order in page.orders}
        cursor = page.cursor
        if not page.more:
            break
    assert (found, page.more) == (names, False)


def test_a_new_connection_first_reads_the_open_orders() -> None:
    known = answer({"items": [], "numberOfResults": 0}, date=DATE)
    requests, orders = run(amazon.orders(SETTINGS, None), [known, answer({"orders": []})])
    asked = dict(requests[1].query)
    assert asked["lastUpdatedAfter"] == "2025-11-22T10:00:00Z"
    states = str(asked["fulfillmentStatuses"]).split(",")
    assert "UNSHIPPED" in states
    assert "SHIPPED" not in states
    assert orders.cursor == "2026-11-22T10:00:00Z"


def test_an_order_without_a_time_is_no_order() -> None:
    with pytest.raises(Failed):
        run(amazon.orders(SETTINGS, SINCE), [answer({"orders": [{"orderId": "1"}]})])


def test_orders_from_end_to_end() -> None:
    fake = Fake()
    fake.stock(1, 50)
    names = [fake.sell("SKU-1", 2) for _ in range(5)]
    fake.change(names[0], "SHIPPED", 2)
    found, cursor = polled(fake, None)
    assert found == dict.fromkeys(names[1:], (2, 0, 0))
    fake.change(names[1], "PARTIALLY_SHIPPED", 1)
    fake.change(names[2], "CANCELLED")
    late = fake.sell("SKU-1", 3)
    found, cursor = polled(fake, cursor)
    assert (found[names[1]], found[names[2]], found[late]) == ((2, 0, 1), (2, 2, 0), (3, 0, 0))
    assert fake.shown("SKU-1") == 37
    assert isinstance(cursor, str)


def test_a_throttled_poll_can_be_tried_again() -> None:
    with pytest.raises(Failed) as raised:
        run(amazon.orders(SETTINGS, SINCE), [Response(429)])
    assert raised.value.retry
