"""eBay: what it shows, orders, tokens, and its signed notifications."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from connectors.account import Account
from connectors.driver import NOW, SILENCE, answer, run, settings_of, talk, wire
from fakes.ebay import EXAMPLE, Fake
from onhand.connectors import ebay
from onhand.connectors.ebay_hearing import key_text
from onhand.connectors.flow import Failed, Order, Response, Shown, Unheard

SETTINGS = settings_of(ebay, **EXAMPLE.settings)
ACCOUNT = Account(ebay, SETTINGS)
pulled, polled = ACCOUNT.pulled, ACCOUNT.counted

DATE = "Sun, 22 Nov 2026 10:00:00 GMT"
SINCE = "2026-11-22T09:00:00Z"
SENT = "2026-11-22T00:00:10.000Z"


def test_offsets_of_items_count_pages() -> None:
    fake = Fake()
    for number in range(1, 121):
        fake.stock(number, number)
    assert [seen.shown[0].quantity for seen in pulled(fake)] == list(range(1, 121))
    pages = [dict(each.query) for each in fake.requests if each.url.endswith("/inventory_item")]
    assert pages == [{"limit": "50", "offset": str(n)} for n in (0, 1, 2)]


def test_what_an_item_shows() -> None:
    fake = Fake()
    fake.stock(1, 10, offer=4)
    fake.stock(2, 10, offer=None)
    fake.stock(3, 0, WH1=3, WH2=9)
    fake.stock(4, 5)
    fake.offers["8004"]["status"] = "UNPUBLISHED"
    fake.stock(5, 5)
    del fake.offers["8005"]
    fake.stock(6, 0)
    fake.offers["8006"]["listing"]["listingStatus"] = "OUT_OF_STOCK"
    one, two, three, four, five, six = pulled(fake)
    assert (one.shown, one.ids) == ((Shown(4),), {"sku": "SKU-1", "offers": "8001"})
    assert (two.shown, two.ids["offers"]) == ((Shown(10),), "-")
    assert three.shown == (Shown(3, "WH1"), Shown(9, "WH2"))
    assert [seen.active for seen in (one, four, five, six)] == [True, False, False, True]
    assert (five.ids, five.shown) == ({"sku": "SKU-5", "offers": "-"}, (Shown(5),))


def test_of_several_offers_the_largest_number_is_shown_and_an_unknown_one_is_not_0() -> None:
    item = {"sku": "A", "availability": {}}
    offers = [{"offerId": str(n), "status": "PUBLISHED", "availableQuantity": n} for n in (3, 8)]
    said = [answer({"total": 1, "inventoryItems": [item]}), answer({"offers": offers})]
    assert run(ebay.pull(SETTINGS, None), said)[1].seen[0].shown == (Shown(8),)
    said[1] = answer("", 404)
    assert run(ebay.pull(SETTINGS, None), said)[1].seen[0].shown == (Shown(None),)


@pytest.mark.parametrize(
    "said", [answer({}), answer({"total": 5}), answer("<html>"), answer("", 503), SILENCE]
)
def test_a_missing_list_is_not_an_empty_one(said: Response) -> None:
    with pytest.raises(Failed):
        run(ebay.pull(SETTINGS, None), [said])
    with pytest.raises(Failed):
        run(ebay.orders(SETTINGS, SINCE), [said])


def test_an_empty_account() -> None:
    assert run(ebay.pull(SETTINGS, None), [answer({"total": 0})])[1].seen == ()
    assert talk(ebay.check(SETTINGS), ebay, SETTINGS, Fake()) == "eBay account with 0 inventory items"


def test_places_only_where_stock_is_counted_by_them() -> None:
    by_place = settings_of(ebay, **EXAMPLE.settings, by_location=True)
    assert run(ebay.places(SETTINGS), [])[1] == []
    found = talk(ebay.places(by_place), ebay, by_place, Fake())
    assert [(place.id, place.name, place.default) for place in found] == [
        ("WH1", "wh1", True),
        ("WH2", "wh2", False),
    ]


# --- orders ---------------------------------------------------------------------------------------------


def mapped(line: dict[str, Any], *parcels: Any, **more: Any) -> Order:
    row = {"lineItemId": "1", "sku": "A", "quantity": 5, "legacyItemId": "9", **line}
    order = {"orderId": "o/1", "lastModifiedDate": "2026-11-22T10:00:00.000Z", "lineItems": [row], **more}
    said = [answer({"total": 1, "orders": [order]}, date=DATE), *parcels]
    requests, found = run(ebay.orders(SETTINGS, SINCE), said)
    if parcels:
        assert requests[1].url.endswith("/order/o%2F1/shipping_fulfillment")
    first: Order = found.orders[0]
    return first


PARCELS = answer({"fulfillments": [{"lineItems": [{"lineItemId": "1", "quantity": 2}]}]})
CANCELLED = {"cancelStatus": {"cancelState": "CANCELED"}}


@pytest.mark.parametrize(
    ("line", "parcels", "more", "expected"),
    [
        ({"lineItemFulfillmentStatus": "NOT_STARTED"}, [], {}, (True, 0, 0)),
        ({"lineItemFulfillmentStatus": "IN_PROGRESS"}, [PARCELS], {}, (True, 0, 2)),
        ({"lineItemFulfillmentStatus": "FULFILLED"}, [], {}, (True, 0, 5)),
        ({"lineItemFulfillmentStatus": "NOT_STARTED"}, [], CANCELLED, (True, 5, 0)),
        ({"lineItemFulfillmentStatus": "IN_PROGRESS"}, [PARCELS], CANCELLED, (True, 3, 2)),
        ({}, [], {"cancelStatus": {"cancelState": "IN_PROGRESS"}}, (True, 0, 0)),
        ({}, [], {"orderPaymentStatus": "PENDING"}, (True, 0, 0)),
        ({}, [], {"orderPaymentStatus": "FAILED"}, (False, 0, 0)),
        ({}, [], {"orderPaymentStatus": "FULLY_REFUNDED"}, (True, 5, 0)),
        ({}, [], {"orderPaymentStatus": "PARTIALLY_REFUNDED"}, (True, 0, 0)),
        ({"lineItemFulfillmentStatus": "NEW_WORD"}, [], {"cancelStatus": "?"}, (True, 0, 0)),
    ],
)
def test_orders_by_status(
    line: dict[str, Any], parcels: list[Response], more: dict[str, Any], expected: tuple[bool, int, int]
) -> None:
    order = mapped(line, *parcels, **more)
    first = order.lines[0]
    assert (order.holds, first.cancelled, first.shipped) == expected
    assert (first.id, first.ids, first.sku, first.ordered) == ("1", {"sku": "A"}, "A", 5)


def test_one_line_that_is_partly_sent_is_read_beside_others_that_are_not() -> None:
    row = {"orderId": "1", "lastModifiedDate": "2026-11-22T09:30:00Z", "orderPaymentStatus": "PAID"}
    states = {"0": "FULFILLED", "1": "IN_PROGRESS", "2": "NOT_STARTED"}
    lines = [
        {"lineItemId": n, "quantity": 5, "lineItemFulfillmentStatus": state} for n, state in states.items()
    ]
    said = [answer({"orders": [{**row, "lineItems": lines}], "total": 1}, date=DATE), PARCELS]
    order = run(ebay.orders(SETTINGS, SINCE), said)[1].orders[0]
    assert [(line.ordered, line.shipped) for line in order.lines] == [(5, 5), (5, 2), (5, 0)]


@pytest.mark.parametrize(
    ("line", "ids"),
    [
        ({}, {"item_id": "9"}),
        ({"legacyVariationId": "0"}, {"item_id": "9"}),
        ({"legacyVariationId": "77"}, {"item_id": "9", "variation": "A"}),
        ({"legacyVariationId": "77", "sku": None}, {"item_id": "9"}),
    ],
)
def test_lines_of_older_listings_have_their_ids(line: dict[str, Any], ids: dict[str, str]) -> None:
    trading = settings_of(ebay, **EXAMPLE.settings, listings="trading")
    row = {"lineItemId": "1", "sku": "A", "quantity": 5, "legacyItemId": "9", **line}
    order = {"orderId": "o", "lastModifiedDate": SINCE, "lineItems": [row]}
    found = run(ebay.orders(trading, SINCE), [answer({"total": 1, "orders": [order]}, date=DATE)])[1]
    assert found.orders[0].lines[0].ids == ids


def test_the_order_search_as_it_goes_out() -> None:
    empty = answer({"total": 0, "orders": []}, date=DATE)
    requests, found = run(ebay.orders(SETTINGS, SINCE), [empty])
    assert dict(requests[0].query) == {
        "filter": "lastmodifieddate:[2026-11-22T08:55:00.000Z..]",
        "limit": "200",
        "offset": "0",
    }
    assert (found.cursor, found.more) == ("2026-11-22T10:00:00Z", False)
    requests, found = run(ebay.orders(SETTINGS, None), [empty])
    assert dict(requests[0].query)["filter"] == "orderfulfillmentstatus:{NOT_STARTED|IN_PROGRESS}"
    assert found.cursor == "2026-11-22T10:00:00Z"


def test_orders_from_end_to_end() -> None:
    fake = Fake()
    fake.stock(1, 500)
    names = [fake.sell("SKU-1", 2) for _ in range(130)]
    fake.ship(names[0], 2)
    found, cursor = polled(fake, None)
    assert found == dict.fromkeys(names[1:], (2, 0, 0))
    fake.ship(names[1], 1)
    fake.cancel(names[2])
    late = fake.sell("SKU-1", 3)
    found, cursor = polled(fake, cursor)
    assert (found[names[1]], found[names[2]], found[late]) == ((2, 0, 1), (2, 2, 0), (3, 0, 0))
    fake.ship(names[1], 1)
    assert polled(fake, cursor)[0][names[1]] == (2, 0, 2)
    assert fake.shown("SKU-1") == 237


def test_orders_that_another_connection_takes_in_are_left_to_it() -> None:
    second = settings_of(ebay, **EXAMPLE.settings, orders=False)
    for cursor in (None, "", SINCE):
        requests, found = run(ebay.orders(second, cursor), [])
        assert (requests, found.orders, found.more, found.cursor) == ([], (), False, "")
    # Turned on later, it begins with those that wait to be shipped.
    requests, _ = run(ebay.orders(SETTINGS, ""), [answer({"total": 0, "orders": []}, date=DATE)])
    assert "NOT_STARTED" in str(dict(requests[0].query)["filter"])


def test_a_round_without_a_clock_cannot_say_where_the_next_begins() -> None:
    with pytest.raises(Failed, match="no date"):
        run(ebay.orders(SETTINGS, SINCE), [answer({"total": 0, "orders": []})])


@pytest.mark.parametrize("by_change", [True, False])
def test_no_order_is_passed_over_while_others_change(by_change: bool) -> None:
    """Fifty orders make a page here. More change again after the first than a page repeats: sorted by change
    they leave their places to others, sorted by id they lie behind the latest change that is seen."""
    fake = Fake(by_change=by_change)
    fake.stock(1, 500)
    names = [fake.sell("SKU-1", 1) for _ in range(130)]
    _, cursor = polled(fake, None)
    fake.clock.seconds += 3_600
    for name in names:
        fake.ship(name, 1)
    page = talk(ebay.orders(SETTINGS, cursor), ebay, SETTINGS, fake)
    found = {order.id for order in page.orders}
    assert (len(found), page.more) == (50, True)
    for name in names[:40]:
        fake.cancel(name)
    fake.clock.seconds += 3_600
    late = fake.sell("SKU-1", 1)
    rest, cursor = polled(fake, page.cursor)
    assert found | set(rest) == set(names)
    rest, _ = polled(fake, cursor)
    assert {*names[:40], late} <= set(rest)


def test_many_open_orders_are_found_while_many_are_shipped() -> None:
    fake = Fake()
    fake.stock(1, 500)
    names = [fake.sell("SKU-1", 1) for _ in range(130)]
    page = talk(ebay.orders(SETTINGS, None), ebay, SETTINGS, fake)
    for name in names[:45]:
        fake.ship(name, 1)
    rest, cursor = polled(fake, page.cursor)
    assert {order.id for order in page.orders} | set(rest) == set(names)
    assert set(polled(fake, cursor)[0]) >= set(names[:45])


# --- tokens ---------------------------------------------------------------------------------------------


def test_a_token_as_it_is_asked_for() -> None:
    requests, fresh = run(ebay.tokens(SETTINGS), [answer({"access_token": "new", "expires_in": 7200})])
    assert fresh == {"access_token": "new", "expires_in": 7200}
    out = wire(ebay, SETTINGS, requests[0])
    assert out.target == "https://api.ebay.com/identity/v1/oauth2/token"
    assert out.headers["Authorization"] == "Basic " + base64.b64encode(b"app-9:ebay-secret-5c1f").decode()
    assert out.body == b"grant_type=refresh_token&refresh_token=v%5E1.1%23refresh-20aa"
    assert "5c1f" not in repr(requests)
    assert "20aa" not in repr(requests)


def test_a_token_is_renewed_and_a_withdrawn_one_needs_the_user() -> None:
    fake = Fake(tokens=set())
    fresh = talk(ebay.tokens(SETTINGS), ebay, SETTINGS, fake)
    renewed = settings_of(ebay, **{**EXAMPLE.settings, "access_token": fresh["access_token"]})
    assert talk(ebay.check(renewed), ebay, renewed, fake)
    old = settings_of(ebay, **{**EXAMPLE.settings, "refresh_token": "withdrawn"})
    with pytest.raises(Failed, match="invalid") as raised:
        talk(ebay.tokens(old), ebay, old, fake)
    assert raised.value.login


def test_sandbox_language_and_pace() -> None:
    box = settings_of(ebay, **EXAMPLE.settings, sandbox=True, language="de-DE")
    assert ebay.base_url(box) == "https://api.sandbox.ebay.com"
    requests, _ = run(ebay.check(box), [answer({"total": 1})])
    assert wire(ebay, box, requests[0]).headers["Content-Language"] == "de-DE"
    assert ebay.pace(answer("", 200)) is None
    assert ebay.pace(answer("", 429)) == 600
    assert ebay.pace(answer("", 429, retry_after="5")) == 5


# --- notifications --------------------------------------------------------------------------------------


def knowing(fake: Fake) -> Any:
    changed = talk(ebay.keys(SETTINGS, "key-1"), ebay, SETTINGS, fake)
    assert list(changed) == ["public_keys"]
    return msgspec.structs.replace(SETTINGS, **changed)


def test_a_key_that_is_not_known_yet_is_fetched_and_then_the_message_is_heard() -> None:
    fake = Fake()
    headers, body = fake.webhook(SENT)
    with pytest.raises(Unheard) as raised:
        ebay.hear(SETTINGS, headers, body, NOW)
    assert (raised.value.status, raised.value.wants) == (412, "key-1")
    settings = knowing(fake)
    heard = ebay.hear(settings, headers, body, NOW)
    assert (heard.id, heard.topic, heard.poll_orders, heard.orders) == (
        "note-1",
        "ORDER_CONFIRMATION",
        True,
        (),
    )
    other = fake.webhook(SENT, "MARKETPLACE_ACCOUNT_DELETION")
    assert not ebay.hear(settings, *other, NOW).poll_orders


@pytest.mark.parametrize(
    ("tamper", "status"),
    [
        (lambda headers, body: (headers, body.replace(b'"1"', b'"2"')), 412),
        (lambda headers, body: ({}, body), 412),
        (lambda headers, body: ({"x-ebay-signature": "not base64!"}, body), 412),
        (lambda headers, body: ({"x-ebay-signature": base64.b64encode(b"[]").decode()}, body), 412),
        (lambda headers, body: (resigned(headers, signature="AAAA"), body), 412),
        (lambda headers, body: (resigned(headers, signature="?"), body), 412),
        (lambda headers, body: (resigned(headers, kid="key-2"), body), 412),
        (lambda headers, body: (headers, b""), 412),
    ],
)
def test_a_message_that_is_not_ebays(tamper: Any, status: int) -> None:
    fake = Fake()
    settings = knowing(fake)
    headers, body = tamper(*fake.webhook(SENT))
    with pytest.raises(Unheard) as raised:
        ebay.hear(settings, headers, body, NOW)
    assert raised.value.status == status


def resigned(headers: dict[str, str], **fields: str) -> dict[str, str]:
    proof = json.loads(base64.b64decode(headers["x-ebay-signature"])) | fields
    return {"x-ebay-signature": base64.b64encode(json.dumps(proof).encode()).decode()}


@pytest.mark.parametrize("sent", ["2026-11-21T23:50:00.000Z", "2026-11-22T00:10:00.000Z", "soon"])
def test_an_old_message_is_refused(sent: str) -> None:
    fake = Fake()
    with pytest.raises(Unheard):
        ebay.hear(knowing(fake), *fake.webhook(sent), NOW)


def test_a_message_of_another_key_is_refused() -> None:
    ours, theirs = Fake(), Fake()
    with pytest.raises(Unheard, match="wrong"):
        ebay.hear(knowing(ours), *theirs.webhook(SENT), NOW)


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"digest": "SHA1", "key": "AAAA"},
        {"digest": "MD5", "key": "x"},
        {"digest": "SHA1", "key": "-----BEGIN PUBLIC KEY-----!-----END PUBLIC KEY-----"},
        None,
    ],
)
def test_a_public_key_that_is_none(found: Any) -> None:
    with pytest.raises(ValueError, match="public key"):
        key_text(found)
    token = answer({"access_token": "app", "expires_in": 7200})
    with pytest.raises(Failed):
        run(ebay.keys(SETTINGS, "key-9"), [token, answer(found)])


def test_few_public_keys_are_kept() -> None:
    fake = Fake()
    many = msgspec.structs.replace(SETTINGS, public_keys={f"old-{n}": "SHA1 x" for n in range(9)})
    changed = talk(ebay.keys(many, "key-1"), ebay, many, fake)
    assert list(changed["public_keys"]) == ["old-6", "old-7", "old-8", "key-1"]


def test_the_challenge_of_an_endpoint() -> None:
    said = msgspec.json.decode(ebay.challenge(SETTINGS, "a8628072-3d33-45ee-9004-bee86830a22d"))
    digest = "a31a5057f95b69534b03804e1b5af7d44c18a4be24e50c44496b140ac4d6d78b"
    assert said == {"challengeResponse": digest}
    bare = msgspec.structs.replace(SETTINGS, verification_token=None)
    with pytest.raises(Unheard):
        ebay.challenge(bare, "code")
