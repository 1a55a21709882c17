"""Wix: orders as snapshots, and the connector against a site of either catalogue that keeps state."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.account import Account
from connectors.driver import NOW, answer, run, settings_of, talk, target
from fakes.wix import (
    APP,
    APP_SECRET,
    EXAMPLE,
    INSTANCE,
    LOCATIONS,
    SIMPLE,
    STORES,
    Fake,
    Item,
    ids,
    webhook,
)
from onhand.connectors import wix
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Rejected,
    Seen,
    Slot,
    Stale,
    Target,
)

SETTINGS = settings_of(wix, **EXAMPLE.settings)
ACCOUNT = Account(wix, SETTINGS)
push, pulled, orders = ACCOUNT.push, ACCOUNT.pulled, ACCOUNT.polled
PUBLIC_KEY = EXAMPLE.settings["public_key"]


def line(quantity: int, restocked: int = 0, app: str = STORES, **more: Any) -> dict[str, Any]:
    reference = {"catalogItemId": "p-1", "appId": app, "options": {"variantId": "v-1"}}
    known = {"id": "l-1", "quantity": quantity, "restockQuantity": restocked, "catalogReference": reference}
    return {**known, "physicalProperties": {"sku": "A"}, **more}


def order(
    *lines: dict[str, Any], status: str = "APPROVED", sent: str = "NOT_FULFILLED", **more: Any
) -> dict[str, Any]:
    known = {"id": "o-1", "number": "10001", "status": status, "fulfillmentStatus": sent}
    return {**known, "updatedDate": "2026-11-21T10:00:00.5Z", "lineItems": list(lines), **more}


def polled(*rows: dict[str, Any], more: list[Any] | None = None, cursor: str = "2026-11-20T00:00:00Z") -> Any:
    return run(wix.orders(SETTINGS, cursor), [answer({"orders": list(rows)}), *(more or []), NO_PLACES])


NO_PLACES = answer({"details": {"applicationError": {"code": "CATALOG_V1_SITE_CALLING_CATALOG_V3_API"}}}, 428)


PARTLY = answer(
    {
        "ordersWithFulfillments": [
            {"orderId": "o-1", "fulfillments": [{"lineItems": [{"id": "l-1", "quantity": 2}]}]}
        ]
    }
)


@pytest.mark.parametrize(
    ("row", "more", "counts"),
    [
        (order(line(3)), [], (3, 0, 0, 0)),
        (order(line(3), status="CANCELED"), [], (3, 3, 0, 0)),
        (order(line(3), status="REJECTED"), [], (3, 3, 0, 0)),
        (order(line(3), sent="FULFILLED"), [PARTLY], (3, 0, 3, 0)),
        (order(line(3), sent="PARTIALLY_FULFILLED"), [PARTLY], (3, 0, 2, 0)),
        (order(line(3, 1)), [], (3, 1, 0, 0)),
        (order(line(3, 2), sent="FULFILLED"), [answer({"ordersWithFulfillments": []})], (3, 0, 3, 2)),
        (order(line(3, 1), sent="FULFILLED"), [PARTLY], (3, 1, 2, 0)),
        (order(line(3, 2), sent="FULFILLED"), [PARTLY], (3, 1, 2, 1)),
        (order(line(3, 3), sent="PARTIALLY_FULFILLED"), [PARTLY], (3, 1, 2, 2)),
        (order(line(3, refundQuantity=3)), [], (3, 0, 0, 0)),
        (order(line(3, 3), status="CANCELED"), [], (3, 3, 0, 0)),
        (order(line(3, 1), status="CANCELED", sent="PARTIALLY_FULFILLED"), [PARTLY], (3, 1, 2, 0)),
        (order(line(3, 3), status="CANCELED", sent="PARTIALLY_FULFILLED"), [PARTLY], (3, 1, 2, 2)),
    ],
    ids=[
        "new",
        "cancelled",
        "rejected",
        "fulfilled",
        "in part",
        "restocked before sending",
        "returned",
        "the rest fulfilled",
        "the rest fulfilled, of which one came back",
        "both",
        "refund without restocking",
        "cancelled and restocked",
        "the rest cancelled",
        "the rest cancelled, what was sent came back",
    ],
)
def test_orders_are_counts_by_line(
    row: dict[str, Any], more: list[Any], counts: tuple[int, int, int, int]
) -> None:
    _, found = polled(row, more=more)
    (only,) = found.orders
    assert (only.id, only.name, only.updated) == ("o-1", "10001", 1_795_255_200_500_000)
    (each,) = only.lines
    assert (each.ordered, each.cancelled, each.shipped, each.returned) == counts
    assert (each.sku, each.ids) == ("A", {"product": "p-1", "variant": "v-1"})


@pytest.mark.parametrize(
    ("days", "sent"),
    [(["2026-11-02", "2026-11-01"], 1_793_577_600_000_000), (["2026-11-02", None], None), ([], None)],
)
def test_when_the_last_parcel_left(days: list[str | None], sent: int | None) -> None:
    parcels: list[Any] = [{"createdDate": day and f"{day}T00:00:00Z", "lineItems": []} for day in days]
    said = answer({"ordersWithFulfillments": [{"orderId": "o-1", "fulfillments": parcels}]})
    _, found = polled(order(line(3), sent="FULFILLED"), more=[said])
    assert [one.sent for one in found.orders] == [sent]


def test_only_products_of_the_store_count_and_a_simple_one_has_the_zero_variant() -> None:
    plain = line(1) | {"catalogReference": {"catalogItemId": "p-2", "appId": STORES}}
    _, found = polled(order(line(1, app="bookings"), plain))
    assert [each.ids for each in found.orders[0].lines] == [{"product": "p-2", "variant": SIMPLE}]


@pytest.mark.parametrize(
    ("status", "holds"),
    [
        ("INITIALIZED", False),
        ("PENDING", True),
        ("APPROVED", True),
        ("CANCELED", True),
        ("REJECTED", False),
    ],
)
def test_an_order_holds_once_it_is_placed(status: str, holds: bool) -> None:
    _, found = polled(order(line(1), status=status))
    assert found.orders[0].holds is holds


def test_a_first_look_takes_what_is_still_to_be_sent() -> None:
    rows = [order(line(3, 3)), order(line(3, 1), id="o-2")]
    requests, found = run(wix.orders(SETTINGS, None), [answer({"orders": rows}, date=DATE), NO_PLACES])
    states = {"fulfillmentStatus": {"$in": ["NOT_FULFILLED", "PARTIALLY_FULFILLED"]}}
    assert requests[0].json["search"]["filter"] == states
    assert [each.id for each in found.orders] == ["o-2"]
    assert found.cursor == "2026-11-22T00:00:10Z"


def test_a_poll_asks_by_time_of_change_and_a_cursor_is_told_alone() -> None:
    reply = answer({"orders": [order(line(1))], "metadata": {"cursors": {"next": "c-2"}}}, date=DATE)
    requests, first = run(wix.orders(SETTINGS, "2026-11-20T00:02:00Z"), [reply, NO_PLACES])
    assert requests[0].json == {
        "search": {
            "filter": {"updatedDate": {"$gte": "2026-11-20T00:00:00Z"}},
            "sort": [{"fieldName": "updatedDate", "order": "ASC"}],
            "cursorPaging": {"limit": 100},
        }
    }
    requests, last = run(wix.orders(SETTINGS, first.cursor), [answer({"orders": []})])
    assert requests[0].json == {"search": {"cursorPaging": {"limit": 100, "cursor": "c-2"}}}
    assert (first.more, last.more, last.cursor) == (True, False, "2026-11-22T00:00:10Z")


DATE = "Sun, 22 Nov 2026 00:00:10 GMT"


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ([], "loc-1"),
        ([{"id": "site-2"}], "loc-2"),
        ([{"id": "loc-2"}], "loc-2"),
        ([{"id": "elsewhere"}], "elsewhere"),
        ([{"id": "site-1"}, {"id": "site-2"}], None),
    ],
    ids=["none", "by the site's id", "by the store's id", "not of the store", "several"],
)
def test_a_line_is_told_of_where_its_stock_is_kept(named: list[Any], place: str | None) -> None:
    """Orders name locations by another id than stock does, or take from the default one."""
    told = [answer({"orders": [order(line(1, locations=named))]}), answer({"locations": LOCATIONS})]
    _, found = run(wix.orders(SETTINGS, "2026-11-20T00:00:00Z"), told)
    assert found.orders[0].lines[0].location == place


def test_a_poll_without_orders_asks_for_no_locations_and_one_that_may_not_goes_on() -> None:
    run(wix.orders(SETTINGS, "2026-11-20T00:00:00Z"), [answer({"orders": []})])
    told = [answer({"orders": [order(line(1))]}), answer(b"", 403)]
    _, found = run(wix.orders(SETTINGS, "2026-11-20T00:00:00Z"), told)
    assert found.orders[0].lines[0].location is None
    with pytest.raises(Failed):
        run(wix.orders(SETTINGS, "2026-11-20T00:00:00Z"), [told[0], answer(b"", 503)])


def test_a_cursor_that_died_begins_the_round_again() -> None:
    cursor = "2026-11-20T00:02:00Z|2026-11-22T00:00:10Z|2026-11-21T00:00:10Z|c-2"
    told = [answer({"message": "cursor"}, 400), answer({"orders": []})]
    requests, found = run(wix.orders(SETTINGS, cursor), told)
    assert requests[0].json == {"search": {"cursorPaging": {"limit": 100, "cursor": "c-2"}}}
    assert requests[1].json["search"]["filter"] == {"updatedDate": {"$gte": "2026-11-20T00:00:00Z"}}
    assert found.cursor == "2026-11-22T00:00:10Z"
    with pytest.raises(Failed):
        run(wix.orders(SETTINGS, cursor), [told[0], answer(b"", 400)])
    fresh = cursor.replace("21T00", "22T00")
    with pytest.raises(Failed):
        run(wix.orders(SETTINGS, fresh), [answer({"message": "cursor"}, 400, date=DATE)])


# --- against a site that keeps state --------------------------------------------------------------------


def aim(seen: Seen, *offers: int) -> Target:
    """A target made from what was seen."""
    slots = [
        Slot(offer, shown.location, observed=shown.quantity, token=shown.token)
        for offer, shown in zip(offers, seen.shown, strict=True)
    ]
    return Target(1, seen.ids, tuple(slots), "k", sku=seen.sku)


def test_a_sale_between_looking_and_telling_is_not_run_over() -> None:
    fake = Fake()
    item = fake.add(1, 5)
    (seen,) = pulled(fake)
    assert (seen.sku, seen.ids) == ("SKU-1", ids(1))
    fake.sell(item, 1)
    (stale,) = push(fake, aim(seen, 8))
    assert isinstance(stale, Stale)
    assert (item.quantity, stale.observed) == (4, {"loc-1": 4})
    again = Target(1, ids(1), (Slot(7, "loc-1", observed=4, token=stale.tokens["loc-1"]),), "k")
    (verdict,) = push(fake, again)
    assert isinstance(verdict, Accepted)
    assert (item.quantity, verdict.tokens) == (7, {"loc-1": str(item.revision)})
    after = Target(1, ids(1), (Slot(6, "loc-1", acknowledged=7, token=verdict.tokens["loc-1"]),), "k")
    assert isinstance(push(fake, after)[0], Accepted)


def test_what_was_done_and_not_answered_is_found_out() -> None:
    fake = Fake()
    item = fake.add(1, 5)
    (seen,) = pulled(fake)
    fake.faults.lose = 1
    assert type(push(fake, aim(seen, 8))[0]).__name__ == "Unsure"
    (again,) = push(fake, aim(seen, 8))
    assert isinstance(again, Stale)
    assert again.observed == {"loc-1": 8} == {"loc-1": item.quantity}


def test_unlimited_and_back() -> None:
    fake = Fake()
    item = fake.add(1, 5)
    (seen,) = pulled(fake)
    free = Target(1, seen.ids, (Slot(999, "loc-1", infinite=True, token=seen.shown[0].token),), "k")
    (verdict,) = push(fake, free)
    assert isinstance(verdict, Accepted)
    assert not item.tracked
    (seen,) = pulled(fake)
    assert seen.shown[0].quantity is None
    assert isinstance(push(fake, aim(seen, 3))[0], Accepted)
    assert (item.tracked, item.quantity) == (True, 3)


def test_all_locations_of_all_products_come_in_pages() -> None:
    fake = Fake()
    for number in range(1, 231):
        fake.add(number, number)
        fake.add(number, 1, "loc-2")
    found = pulled(fake)
    assert [seen.sku for seen in found] == [f"SKU-{number}" for number in range(1, 231)]
    assert [(s.location, s.quantity) for s in found[6].shown] == [("loc-1", 7), ("loc-2", 1)]
    places = talk(wix.places(SETTINGS), wix, SETTINGS, fake)
    assert [(place.id, place.default) for place in places] == [("loc-1", True), ("loc-2", False)]


def test_catalogue_v1_end_to_end() -> None:
    fake = Fake("V1_CATALOG")
    first: Item = fake.add(1, 5, variant="a")
    second = fake.add(1, 6, variant="b")
    for number in range(2, 131):
        fake.add(number, number)
    found = pulled(fake)
    assert len(found) == 131
    assert found[0].ids == {"catalog": "V1", "product": "p-1", "variant": "a"}
    assert talk(wix.places(SETTINGS), wix, SETTINGS, fake) == []
    assert [type(v) for v in push(fake, aim(found[0], 2), aim(found[130], 9))] == [Accepted, Accepted]
    assert (first.quantity, second.quantity, first.tracked) == (2, 6, True)
    fake.edit(first, 44)
    assert pulled(fake)[0].shown[0].quantity == 44
    fake.version = "V3_CATALOG"
    (verdict,) = push(fake, aim(found[0], 2))
    assert isinstance(verdict, Rejected)
    assert "import its listings again" in verdict.words


def test_faults_leave_a_verdict_that_fits() -> None:
    fake = Fake()
    item = fake.add(1, 5)
    (seen,) = pulled(fake)
    fake.faults.throttle = 1
    assert isinstance(push(fake, aim(seen, 8))[0], Later)
    fake.faults.fail = 1
    assert isinstance(push(fake, aim(seen, 8))[0], Later)
    assert item.quantity == 5
    gone = target(9, 1, ids(9), "loc-1", token="1")
    assert isinstance(push(fake, gone)[0], Rejected)


def test_an_expired_token_is_renewed() -> None:
    app = {
        "client_id": APP,
        "client_secret": APP_SECRET,
        "instance_id": INSTANCE,
        "access_token": "expired-1",
    }
    fake, old = Fake(), settings_of(wix, **app)
    with pytest.raises(Failed) as raised:
        talk(wix.check(old), wix, old, fake)
    assert raised.value.login
    fresh = talk(wix.tokens(old), wix, old, fake)
    renewed = settings_of(wix, **{**app, "access_token": fresh["access_token"]})
    assert talk(wix.check(renewed), wix, renewed, fake) == "Wix Stores, catalogue V3"


def test_a_new_connection_reads_what_is_open_and_then_what_changed() -> None:
    fake = Fake()
    item = fake.add(1, 500)
    names = [fake.sell(item, 1) for _ in range(205)]
    fake.change(names[0], fulfillmentStatus="FULFILLED")
    fake.change(names[1], fulfillmentStatus="PARTIALLY_FULFILLED")
    fake.sent[names[1]] = {"l-1": 1}
    found, cursor = orders(fake)
    assert {each.id for each in found} == set(names[2:]), "what is sent already is not ours to count"
    fake.change(names[5], status="CANCELED")
    found, _ = orders(fake, cursor)
    assert next(each for each in found if each.id == names[5]).lines[0].cancelled == 1
    raw = webhook("wix.ecom.v1.order_canceled", {"id": "e-1"}, NOW // 1_000_000 + 60)
    heard = wix.hear(settings_of(wix, **EXAMPLE.settings), {}, raw, NOW)
    assert heard.poll_orders


def test_an_order_is_not_missed_when_the_site_forgets_its_cursors() -> None:
    fake = Fake()
    north = fake.add(1, 500, "loc-2")
    _, cursor = orders(fake)
    names = [fake.sell(north, 1) for _ in range(150)]
    first = talk(wix.orders(SETTINGS, cursor), wix, SETTINGS, fake)
    assert first.more
    fake.forgetful = True
    again = talk(wix.orders(SETTINGS, first.cursor), wix, SETTINGS, fake)
    assert {each.id for each in again.orders} == set(names[:100]), "from the beginning of the round"
    fake.forgetful = False
    found, _ = orders(fake, again.cursor)
    assert {each.id for each in found} == set(names[100:])
    assert {each.lines[0].location for each in found} == {"loc-2"}
