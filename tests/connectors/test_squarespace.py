"""Squarespace: the exact requests, what its answers mean, and a fake site from end to end."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from connectors.account import Account
from connectors.driver import NOW, SILENCE, answer, run, settings_of, talk, target, wire
from fakes.squarespace import EXAMPLE, Fake
from onhand.connectors import squarespace
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Order,
    Rejected,
    Response,
    Seen,
    Slot,
    Target,
    Unheard,
    Unsure,
    Verdict,
    Whole,
)

SETTINGS = settings_of(squarespace, **EXAMPLE.settings)
ACCOUNT = Account(squarespace, SETTINGS)
push, polled = ACCOUNT.push, ACCOUNT.polled
DONE = answer("", 204)


def told(number: int, offer: int, **slot: Any) -> Target:
    return target(number, offer, {"variant": f"variant-{number}"}, **slot)


def refusal(kind: str, subtype: str | None = None) -> dict[str, Any]:
    return {"type": kind, "subtype": subtype, "message": "no", "details": None, "contextId": "c"}


def test_the_request_as_it_goes_out() -> None:
    targets = [told(1, 17), told(2, 999, infinite=True), told(3, 0)]
    requests, verdicts = run(squarespace.push(SETTINGS, targets), [DONE])
    assert verdicts == [Accepted(each) for each in targets]
    out = wire(squarespace, SETTINGS, requests[0])
    assert out.method == "POST"
    assert out.target == "https://api.squarespace.com/1.0/commerce/inventory/adjustments"
    assert out.headers["Authorization"] == "Bearer sq-access-3c11d0"
    assert out.headers["User-Agent"] == "onhand inventory hub"
    assert out.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(out.body) == {
        "setFiniteOperations": [
            {"variantId": "variant-1", "quantity": 17},
            {"variantId": "variant-3", "quantity": 0},
        ],
        "setUnlimitedOperations": ["variant-2"],
    }


def test_an_empty_list_of_operations_is_left_out() -> None:
    requests, _ = run(squarespace.push(SETTINGS, [told(1, 5, infinite=True)]), [DONE])
    assert requests[0].json == {"setUnlimitedOperations": ["variant-1"]}


def test_every_attempt_has_its_own_key_of_allowed_characters() -> None:
    requests, _ = run(squarespace.push(SETTINGS, [told(1, 17)]), [DONE])
    keys = {
        wire(squarespace, SETTINGS, requests[0], now, nonce).headers["Idempotency-Key"]
        for now, nonce in ((NOW, "a"), (NOW, "b"), (NOW + 1, "a"))
    }
    assert len(keys) == 3
    assert all(key.isascii() and key.isalnum() and len(key) <= 64 for key in keys)
    look = run(squarespace.pull(SETTINGS, None), [answer({"inventory": []})])[0][0]
    assert "Idempotency-Key" not in wire(squarespace, SETTINGS, look).headers


@pytest.mark.parametrize(
    ("said", "kind", "seconds"),
    [
        (SILENCE, Unsure, None),
        (answer({"ok": True}), Unsure, None),
        (answer("<html>"), Unsure, None),
        (answer(refusal("INVALID_REQUEST_ERROR", "INVENTORY_ITEM_NOT_FOUND"), 400), Whole, None),
        (answer(refusal("AUTHORIZATION_ERROR"), 401), Later, None),
        (answer(refusal("WEBSITE_EXPIRED"), 402), Later, None),
        (answer(refusal("AUTHORIZATION_ERROR", "MISSING_SCOPE"), 403), Later, None),
        (answer(refusal("CONFLICT", "CONCURRENT_MODIFICATION"), 409), Later, None),
        (answer(refusal("CONFLICT", "STOCK_EXCEEDS_MAX"), 409), Whole, None),
        (answer(refusal("TOO_MANY_REQUESTS"), 429), Later, 60.0),
        (answer(refusal("SERVER_ERROR"), 500), Later, None),
        (answer("[1", 503), Later, None),
    ],
)
def test_an_answer_is_about_the_whole(said: Response, kind: type[Verdict], seconds: float | None) -> None:
    _, verdicts = run(squarespace.push(SETTINGS, [told(1, 1), told(2, 2)]), [said])
    assert [type(verdict) for verdict in verdicts] == [kind, kind]
    assert getattr(verdicts[0], "seconds", None) == seconds
    if isinstance(verdicts[0], Whole):
        assert '"message": "no"' in verdicts[0].words


def test_a_variant_is_named_once() -> None:
    requests, verdicts = run(squarespace.push(SETTINGS, [told(1, 4), told(1, 4), told(1, 5)]), [DONE])
    assert [type(verdict) for verdict in verdicts] == [Accepted, Accepted, Rejected]
    assert requests[0].json == {"setFiniteOperations": [{"variantId": "variant-1", "quantity": 4}]}


def test_what_cannot_be_said_is_refused_here() -> None:
    nameless = Target(1, {}, (Slot(1),), "k")
    two = Target(2, {"variant": "v"}, (Slot(1), Slot(2)), "k")
    requests, verdicts = run(squarespace.push(SETTINGS, [nameless, two]), [])
    assert not requests
    assert [type(verdict) for verdict in verdicts] == [Rejected, Rejected]
    requests, verdicts = run(squarespace.push(SETTINGS, [nameless, told(3, 3), two, told(4, 4)]), [DONE])
    assert [type(verdict) for verdict in verdicts] == [Rejected, Accepted, Rejected, Accepted]
    assert [verdict.target.listing for verdict in verdicts] == [1, 3, 2, 4]


def test_tokens_rotate() -> None:
    fake = Fake()
    fresh = talk(squarespace.tokens(SETTINGS), squarespace, SETTINGS, fake)
    assert fresh == {
        "access_token": "sq-access-2",
        "refresh_token": "sq-refresh-5e7f22-next",
        "expires_in": 1800,
    }
    out = fake.requests[0]
    assert out.url == "https://login.squarespace.com/api/1/login/oauth/provider/tokens"
    proof = base64.b64encode(b"client-9:sq-secret-88ab10").decode()
    assert (out.headers["Authorization"], out.headers["User-Agent"]) == (
        f"Basic {proof}",
        "onhand inventory hub",
    )
    with pytest.raises(Failed):
        talk(squarespace.tokens(SETTINGS), squarespace, SETTINGS, fake)
    key_only = settings_of(squarespace, api_key="key-of-the-site")
    with pytest.raises(Failed) as failed:
        run(squarespace.tokens(key_only), [])
    assert failed.value.login


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"api_key": "k", "webhook_secret": "not hexadecimal"},
        {"api_key": "k", "user_agent": ""},
        {"api_key": "k", "user_agent": "a\nb"},
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings_of(squarespace, **values)


def test_webhooks_are_verified_with_the_decoded_secret() -> None:
    headers, body = Fake().webhook("order-1")
    heard = squarespace.hear(SETTINGS, headers, body, NOW)
    assert (heard.id, heard.topic, heard.poll_orders) == ("note-1", "order.create", True)
    assert squarespace.hear(SETTINGS, headers, body, NOW).id == heard.id
    for bad_headers, bad_body in (({}, body), (headers, body + b" "), ({"squarespace-signature": "ü"}, body)):
        with pytest.raises(Unheard):
            squarespace.hear(SETTINGS, bad_headers, bad_body, NOW)
    with pytest.raises(Unheard):
        squarespace.hear(settings_of(squarespace, api_key="k"), headers, body, NOW)


# --- end to end -----------------------------------------------------------------------------------------


def test_a_push_shows_and_an_unlimited_variant_becomes_finite_again() -> None:
    fake = Fake()
    for number in (1, 2, 3):
        fake.stock(number, 10)
    assert push(fake, told(1, 4), told(2, 9, infinite=True)) == [
        Accepted(told(1, 4)),
        Accepted(told(2, 9, infinite=True)),
    ]
    assert (fake.shown("SKU-1"), fake.variants["variant-2"].unlimited) == (4, True)
    push(fake, told(2, 3), now=NOW + 1)
    assert (fake.shown("SKU-2"), fake.variants["variant-2"].unlimited) == (3, False)


def test_what_somebody_changes_back_is_healed_although_the_same_was_said_before() -> None:
    fake = Fake()
    fake.stock(1, 10)
    for later in range(3):
        push(fake, told(1, 4), now=NOW + later)
        assert fake.shown("SKU-1") == 4
        fake.edit("SKU-1", 9)


def test_faults() -> None:
    fake = Fake()
    fake.stock(1, 10)
    fake.faults.throttle = fake.faults.fail = fake.conflicts = 1
    kinds = [type(push(fake, told(1, 4), now=NOW + later)[0]) for later in range(4)]
    assert kinds == [Later, Later, Later, Accepted]
    fake.faults.lose = 1
    assert isinstance(push(fake, told(1, 3), now=NOW + 9)[0], Unsure)
    assert fake.shown("SKU-1") == 3
    assert isinstance(push(fake, told(1, 3), told(7, 1), now=NOW + 10)[0], Whole)


def test_the_inventory_page_by_page() -> None:
    fake = Fake()
    for number in range(1, 121):
        fake.stock(number, number, unlimited=number == 7)
    seen: list[Seen] = []
    cursor = None
    while True:
        page = talk(squarespace.pull(SETTINGS, cursor), squarespace, SETTINGS, fake)
        seen += page.seen
        cursor = page.cursor
        if cursor is None:
            break
    assert [one.shown[0].quantity for one in seen] == [None if n == 7 else n for n in range(1, 121)]
    assert (seen[0].ids, seen[0].sku, seen[0].title) == ({"variant": "variant-1"}, "SKU-1", "Thing [SKU-1]")
    assert len(fake.requests) == 3


def test_an_empty_site_and_its_check() -> None:
    fake = Fake()
    assert talk(squarespace.pull(SETTINGS, None), squarespace, SETTINGS, fake).seen == ()
    fake.stock(1, 1)
    words = talk(squarespace.check(SETTINGS), squarespace, SETTINGS, fake)
    assert words == "Acme, 1 variants on the first page"
    keyed = settings_of(squarespace, api_key="key-of-the-site")
    words = talk(squarespace.check(keyed), squarespace, keyed, fake)
    assert words == "the Squarespace site, 1 variants on the first page"
    fake.tokens.clear()
    with pytest.raises(Failed) as failed:
        talk(squarespace.check(keyed), squarespace, keyed, fake)
    assert failed.value.login


def test_orders_from_placing_to_cancelling() -> None:
    fake = Fake()
    fake.stock(1, 10)
    old = fake.sell("SKU-1", 1)
    fake.change(old, fulfillmentStatus="FULFILLED")
    waiting = fake.sell("SKU-1", 2)
    ((order,), cursor) = polled(fake, None)
    assert (order.id, order.name, order.test, order.holds) == (waiting, "2", False, True)
    line = order.lines[0]
    assert (line.ids, line.sku, line.ordered, line.cancelled) == ({"variant": "variant-1"}, "SKU-1", 2, 0)
    assert fake.shown("SKU-1") == 7
    fake.change(waiting, fulfillmentStatus="CANCELED")
    found, cursor = polled(fake, cursor)
    assert [(o.id, o.lines[0].cancelled, o.lines[0].shipped) for o in found if o.id == waiting] == [
        (waiting, 2, 0)
    ]
    assert cursor > "2026-11-22T00:00:00Z"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (2, 0, 0, True, False)),
        ({"fulfillmentStatus": "FULFILLED"}, (2, 0, 2, True, False)),
        ({"fulfillmentStatus": "CANCELED"}, (2, 2, 0, True, False)),
        ({"fulfillmentStatus": "CANCELED", "fulfilledOn": "2026-11-22T01:00:00Z"}, (2, 0, 2, True, False)),
        ({"paymentState": "FAILED"}, (2, 0, 0, False, False)),
        ({"paymentState": "PENDING"}, (2, 0, 0, True, False)),
        ({"testmode": True}, (2, 0, 0, True, True)),
    ],
)
def test_what_an_order_says(fields: dict[str, Any], expected: tuple[int, int, int, bool, bool]) -> None:
    fake = Fake()
    fake.stock(1, 10)
    fake.change(fake.sell("SKU-1", 2), **fields)
    ((order,), _) = polled(fake, "2026-11-22T00:00:00Z")
    line = order.lines[0]
    assert (line.ordered, line.cancelled, line.shipped, order.holds, order.test) == expected


def test_lines_that_are_no_stock_are_left_out() -> None:
    fake = Fake()
    fake.stock(1, 10)
    order = fake.sell("SKU-1", 2)
    fake.orders[0]["lineItems"] += [{"quantity": 1, "lineItemType": "DIGITAL"}, {"sku": "X", "quantity": 3}]
    ((found,), _) = polled(fake, None)
    assert [(line.id, line.sku) for line in found.lines] == [(f"{order}-line", "SKU-1"), ("line-2", "X")]


def test_orders_page_by_page_with_both_ends_named() -> None:
    fake = Fake()
    fake.stock(1, 1000)
    names = [fake.sell("SKU-1", 1) for _ in range(110)]
    fake.requests.clear()
    found, cursor = polled(fake, "2026-11-22T00:00:00Z")
    assert list(dict.fromkeys(order.id for order in found)) == names
    boxes = [(dict(out.query)["modifiedAfter"], dict(out.query)["modifiedBefore"]) for out in fake.requests]
    assert boxes == [
        ("2026-11-21T23:59:00Z", "2199-12-31T00:00:00Z"),
        ("2026-11-22T00:00:49.999Z", "2199-12-31T00:00:00Z"),
        ("2026-11-22T00:01:38.999Z", "2199-12-31T00:00:00Z"),
    ]
    assert "|" not in cursor


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("newest_first", [True, False])
def test_what_changes_between_two_pages_hides_nothing(newest_first: bool, first: bool) -> None:
    """An order that changes or is fulfilled leaves its place in the list, and all behind it move up."""
    fake = Fake(newest_first=newest_first)
    fake.stock(1, 1000)
    names = [fake.sell("SKU-1", 1) for _ in range(170)]
    seen: list[Order] = []
    cursor: str | None = None if first else "2026-11-22T00:00:00Z"
    for pages in range(1, 20):
        some = talk(squarespace.orders(SETTINGS, cursor), squarespace, SETTINGS, fake)
        seen += some.orders
        cursor = some.cursor
        if not some.more:
            break
        for order in (names[pages], names[60 + pages], names[-pages]):
            fake.change(order, fulfillmentStatus="FULFILLED")
    assert pages < 10
    changed = {order for page in range(1, pages) for order in (names[page], names[60 + page], names[-page])}
    assert set(names) - changed <= {order.id for order in seen}
    found, _ = polled(fake, cursor)
    assert changed == {order.id for order in (*seen, *found) if order.lines[0].shipped}


def test_orders_of_one_moment_are_paged_by_the_site_s_own_cursor() -> None:
    fake = Fake()
    fake.stock(1, 1000)
    names = [fake.sell("SKU-1", 1) for _ in range(170)]
    for row in fake.orders[20:150]:
        row["modifiedOn"] = "2026-11-22T00:00:21.125Z"
    found, _ = polled(fake, "2026-11-22T00:00:00Z")
    assert {order.id for order in found} == set(names)
    assert len(fake.requests) < 10


@pytest.mark.parametrize(
    "told", ["2026-11-22T00:00:00Z|2026-11-22T00:01:00Z|their|cursor", "||x|y|z", "|b|0|2"]
)
def test_a_cursor_of_another_form_begins_its_poll_anew(told: str) -> None:
    fake = Fake()
    fake.stock(1, 1000)
    names = [fake.sell("SKU-1", 1) for _ in range(60)]
    found, _ = polled(fake, told)
    assert {order.id for order in found} == set(names)


def test_the_pace_after_too_many_requests_is_a_minute() -> None:
    assert squarespace.pace(answer("", 429)) == 60.0
    assert squarespace.pace(answer("", 200)) is None
