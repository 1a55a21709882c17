"""BigCommerce: exact requests, refusals that name what they refuse, orders, webhooks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from connectors.driver import NOW, SILENCE, answer, run, settings_of, target, wire
from fakes.bigcommerce import EXAMPLE, problem
from fakes.common import hmac_base64
from onhand.connectors import bigcommerce
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    OrderLine,
    Rejected,
    Request,
    Response,
    Seen,
    Shown,
    Slot,
    Target,
    Unheard,
    Unsure,
    Verdict,
    Whole,
)

SETTINGS = settings_of(bigcommerce, **EXAMPLE.settings)
DONE = answer({"transaction_id": "t-1"})
ABSOLUTE = "/v3/inventory/adjustments/absolute"


def told(number: int, offer: int, place: str = "1", **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), place, **slot)


def push(targets: Sequence[Target], *answers: Response) -> tuple[list[Request], list[Verdict]]:
    return run(bigcommerce.push(SETTINGS, targets), answers)


def kinds(verdicts: Sequence[Verdict]) -> list[type]:
    return [type(verdict) for verdict in verdicts]


def item(place: int, quantity: int, **identity: Any) -> dict[str, Any]:
    return {"location_id": place, **identity, "quantity": quantity}


def test_a_push_is_one_absolute_call_grouped_by_location() -> None:
    both = Target(3, EXAMPLE.ids(3), (Slot(5, "2"), Slot(6, "1")), "key-3", reason="stock update")
    requests, verdicts = push([told(1, 4, "2"), told(2, 0), both], DONE)
    items = [
        item(1, 0, variant_id=2),
        item(1, 6, variant_id=3),
        item(2, 4, variant_id=1),
        item(2, 5, variant_id=3),
    ]
    assert requests == [Request("PUT", ABSOLUTE, json={"reason": "stock update", "items": items})]
    assert kinds(verdicts) == [Accepted] * 3


def test_the_wire() -> None:
    sent = wire(bigcommerce, SETTINGS, Request("PUT", ABSOLUTE, json={}))
    assert sent.target == "https://api.bigcommerce.com/stores/abc123/v3/inventory/adjustments/absolute"
    assert sent.headers == {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "X-Auth-Token": "bc-token-4471d0",
    }


def test_a_reason_is_passed_on_in_a_call_of_its_own() -> None:
    damaged = Target(2, EXAMPLE.ids(2), (Slot(1, "1"),), "key-2", reason="damaged")
    requests, verdicts = push([told(1, 4), damaged], DONE, DONE)
    assert [request.json["reason"] for request in requests] == ["stock update", "damaged"]
    assert kinds(verdicts) == [Accepted, Accepted]


@pytest.mark.parametrize(
    ("ids", "sku", "identity"),
    [
        ({"variant_id": "7", "product_id": "9", "sku": "A"}, "B", {"variant_id": 7}),
        ({"sku": "A"}, "B", {"sku": "A"}),
        ({}, "B", {"sku": "B"}),
        ({"variant_id": "x"}, "B", {"sku": "B"}),
    ],
)
def test_an_item_has_exactly_one_identity(ids: dict[str, str], sku: str, identity: dict[str, Any]) -> None:
    requests, _ = push([Target(1, ids, (Slot(3, "1"),), "key", sku=sku)], DONE)
    assert requests[0].json["items"] == [item(1, 3, **identity)]


@pytest.mark.parametrize(
    "bad",
    [
        Target(1, {"variant_id": "7"}, (Slot(3, None),), "key"),
        Target(1, {"variant_id": "7"}, (Slot(3, "main"),), "key"),
        Target(1, {}, (Slot(3, "1"),), "key"),
        Target(1, {}, (Slot(3, "1"),), "key", sku="\ud800"),
        Target(1, {"variant_id": "7"}, (), "key"),
    ],
)
def test_what_cannot_be_said_is_refused_without_a_call(bad: Target) -> None:
    requests, verdicts = push([bad])
    assert not requests
    assert kinds(verdicts) == [Rejected]


@pytest.mark.parametrize(
    ("slot", "quantity"),
    [
        (Slot(10**12, "1"), 2_147_483_647),
        (Slot(999, "1", infinite=True), 999),
        (Slot(10, "1", token="held=3"), 13),
        (Slot(10, "1", token="3"), 10),
    ],
)
def test_numbers_are_clamped_and_the_safety_stock_is_put_on_top(slot: Slot, quantity: int) -> None:
    requests, verdicts = push([Target(1, EXAMPLE.ids(1), (slot,), "key")], DONE)
    assert requests[0].json["items"] == [item(1, quantity, variant_id=1)]
    assert verdicts[0] == Accepted(verdicts[0].target, {"1": slot.token} if slot.token else {})


def test_two_thousand_numbers_go_in_one_call_and_the_next_waits() -> None:
    slots = tuple(Slot(1, str(place)) for place in range(1, 4))
    targets = [Target(n, EXAMPLE.ids(n), slots, f"key-{n}") for n in range(1, 1001)]
    requests, verdicts = push(targets, DONE, answer("", status=500))
    assert [len(request.json["items"]) for request in requests] == [2000, 1000]
    assert {type(verdict) for verdict in verdicts} == {Later}


# --- refusals -------------------------------------------------------------------------------------------

BY_PRODUCT = problem("[Item with variant_id 1 is tracked by product, please update stock by product id]")


def test_stock_that_is_kept_by_product_is_said_by_product() -> None:
    requests, verdicts = push([told(1, 4), told(2, 5)], BY_PRODUCT, DONE)
    again = [item(1, 4, product_id=1001), item(1, 5, variant_id=2)]
    assert requests[1].json["items"] == again
    assert verdicts[0] == Accepted(verdicts[0].target, notes={"tracked_by": "product"})
    assert verdicts[1] == Accepted(verdicts[1].target)
    known = Target(1, EXAMPLE.ids(1), (Slot(4, "1"),), "key", notes={"tracked_by": "product"})
    assert push([known], DONE)[0][0].json["items"] == [item(1, 4, product_id=1001)]


def test_a_variant_without_its_product_is_refused() -> None:
    requests, verdicts = push(
        [Target(1, {"variant_id": "1"}, (Slot(4, "1"),), "key"), told(2, 5)], BY_PRODUCT, DONE
    )
    assert kinds(verdicts) == [Rejected, Accepted]
    assert len(requests) == 2


@pytest.mark.parametrize(("other", "kind"), [(4, Accepted), (5, Rejected)])
def test_variants_of_a_product_share_its_stock(other: int, kind: type) -> None:
    notes = {"tracked_by": "product"}
    targets = [
        Target(n, {"variant_id": str(n), "product_id": "9"}, (Slot(offer, "1"),), f"key-{n}", notes=notes)
        for n, offer in ((1, 4), (2, other))
    ]
    requests, verdicts = push(targets, DONE)
    assert requests[0].json["items"] == [item(1, 4, product_id=9)]
    assert kinds(verdicts) == [Accepted, kind]


@pytest.mark.parametrize(
    ("title", "refused"),
    [
        ("Location not found, identities: [3,2]", [2]),
        ("Items with identity: [variant_id 2] not found", [1]),
        ("Items with identity: [sku SKU-4] not found", [3]),
    ],
)
def test_a_refusal_that_names_what_is_wrong_spares_the_rest(title: str, refused: list[int]) -> None:
    by_sku = Target(4, {}, (Slot(1, "1"),), "key-4", sku="SKU-4")
    requests, verdicts = push([told(1, 1), told(2, 1), told(3, 1, "3"), by_sku], problem(title), DONE)
    assert [n for n, verdict in enumerate(verdicts) if isinstance(verdict, Rejected)] == refused
    assert len(requests[1].json["items"]) == 3
    assert all(title == verdict.words for verdict in verdicts if isinstance(verdict, Rejected))


def test_a_call_of_which_nothing_is_left_is_not_said_again() -> None:
    words = "Items with identity: [variant_id 1] not found"
    requests, verdicts = push([told(1, 1)], problem(words))
    assert len(requests) == 1
    assert verdicts == [Rejected(told(1, 1), words, "422")]


def test_a_refusal_that_names_nothing_is_of_the_whole() -> None:
    _, verdicts = push([told(1, 1), told(2, 1)], problem("Something is wrong"))
    assert verdicts == [Whole(told(n, 1), "Something is wrong", "422") for n in (1, 2)]


def test_a_refusal_that_never_ends_is_of_the_whole() -> None:
    targets = [told(n, 1) for n in range(1, 31)]
    names = iter(range(1, 100))

    def refuse(_: Request) -> Response:
        return problem(f"Items with identity: [variant_id {next(names)}] not found")

    requests, verdicts = run(bigcommerce.push(SETTINGS, targets), refuse)
    assert len(requests) == 12
    assert kinds(verdicts) == [Rejected] * 12 + [Whole] * 18


@pytest.mark.parametrize(
    ("said", "kind", "seconds"),
    [
        (SILENCE, Unsure, None),
        (answer("", status=500), Later, None),
        (answer("", status=401), Later, None),
        (answer("", status=404), Later, None),
        (answer("", status=409), Later, None),
        (answer({}, status=429, x_rate_limit_time_reset_ms="2500"), Later, 2.5),
        (answer({}, status=429), Later, None),
        (answer({}, status=413), Whole, None),
        (answer("<html>", status=200), Unsure, None),
        (answer("", status=204), Unsure, None),
        (answer({"data": {}}), Unsure, None),
    ],
)
def test_answers_about_the_whole(said: Response, kind: type, seconds: float | None) -> None:
    _, verdicts = push([told(1, 1), told(2, 1)], said)
    assert kinds(verdicts) == [kind, kind]
    assert [getattr(verdict, "seconds", None) for verdict in verdicts] == [seconds] * 2


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (answer({}, x_rate_limit_requests_left="0", x_rate_limit_time_reset_ms="1500"), 1.5),
        (answer({}, x_rate_limit_requests_left="9", x_rate_limit_time_reset_ms="1500"), None),
        (answer({}, status=429, x_rate_limit_time_reset_ms="x"), None),
        (answer({}, status=503, retry_after="4"), 4.0),
    ],
)
def test_pace(said: Response, seconds: float | None) -> None:
    assert bigcommerce.pace(said) == seconds


# --- looking --------------------------------------------------------------------------------------------


def test_a_page_of_items_shows_what_can_be_sold_and_remembers_the_safety_stock() -> None:
    levels = [
        {
            "location_id": 1,
            "available_to_sell": 7,
            "total_inventory_onhand": 9,
            "settings": {"safety_stock": 2},
        },
        {"location_id": 2, "total_inventory_onhand": 9, "settings": {"safety_stock": 2}},
        {"location_id": 3},
    ]
    row = {"identity": {"sku": "", "variant_id": 7, "product_id": 8}, "locations": levels}
    said = answer({"data": [row], "meta": {"pagination": {"total_pages": 2, "current_page": 1}}})
    requests, page = run(bigcommerce.pull(SETTINGS, None), [said])
    assert requests[0].query == (("page", "1"), ("limit", "250"))
    shown = (Shown(7, "1", "held=2"), Shown(7, "2", "held=2"), Shown(None, "3"))
    assert page.seen == (Seen({"variant_id": "7", "product_id": "8"}, None, shown),)
    assert page.cursor == "2"
    assert run(bigcommerce.pull(SETTINGS, "2"), [said])[1].cursor is None


def line(**change: Any) -> dict[str, Any]:
    return {"id": 5, "variant_id": 7, "product_id": 8, "sku": "A", "quantity": 5, **change}


@pytest.mark.parametrize(
    ("status", "change", "counts"),
    [
        (11, {}, (0, 0)),
        (0, {}, (0, 0)),
        (3, {"quantity_shipped": 2}, (0, 2)),
        (14, {"quantity_refunded": 1}, (1, 0)),
        (14, {"quantity_refunded": 1, "quantity_shipped": 5}, (0, 5)),
        (2, {"quantity_shipped": 5}, (0, 5)),
        (10, {}, (0, 5)),
        (10, {"quantity_refunded": 2}, (2, 3)),
        (5, {}, (5, 0)),
        (5, {"quantity_shipped": 2}, (3, 2)),
        (4, {"quantity_refunded": 5}, (5, 0)),
        (6, {}, (5, 0)),
    ],
)
def test_an_order_line(status: int, change: dict[str, Any], counts: tuple[int, int]) -> None:
    row = {
        "id": 100,
        "status_id": status,
        "date_modified": "Sun, 22 Nov 2026 00:00:05 +0000",
        "consignments": [{"pickups": [{"location": {"id": 2}, "line_items": [line(**change)]}]}],
    }
    _, orders = run(bigcommerce.orders(SETTINGS, "2026-11-22T00:00:00Z"), [answer([row])])
    (order,) = orders.orders
    ids = {"variant_id": "7", "product_id": "8"}
    assert order.lines == (OrderLine("5", ids, "A", 5, *counts, location="2"),)
    assert order.holds == (status != 0)
    assert order.updated == NOW + 5_000_000
    assert (orders.cursor, orders.more) == ("2026-11-22T00:00:05Z", False)


def test_orders_are_asked_for_by_their_change_with_an_overlap() -> None:
    requests, orders = run(bigcommerce.orders(SETTINGS, "2026-11-22T00:10:00Z"), [answer("", status=204)])
    assert requests[0].query == (
        ("sort", "date_modified:asc"),
        ("page", "1"),
        ("limit", "100"),
        ("include", "consignments.line_items"),
        ("consignment_structure", "object"),
        ("min_date_modified", "2026-11-22T00:07:59Z"),
    )
    assert orders.cursor == "2026-11-22T00:10:00Z"


@pytest.mark.parametrize("said", [answer({"orders": []}), answer("<html>"), answer([{"id": 3}])])
def test_orders_that_are_not_as_documented_fail(said: Response) -> None:
    with pytest.raises(Failed):
        run(bigcommerce.orders(SETTINGS, None), lambda _: said)


# --- webhooks -------------------------------------------------------------------------------------------

MESSAGE = {"scope": "store/order/created", "data": {"type": "order", "id": 250}, "producer": "stores/abc123"}


def signed(
    message: Any, at: int = NOW, secret: str = "bc-client-secret-99e1", hook: str = "bc-hook-5ad2c8"
) -> tuple[dict[str, str], bytes]:
    body = json.dumps(message).encode()
    stamp = str(at // 1_000_000)
    proof = hmac_base64(secret.encode(), f"m-1.{stamp}.".encode() + body)
    headers = {"webhook-id": "m-1", "webhook-timestamp": stamp, "webhook-signature": f"v1,{proof}"}
    return {**headers, "x-hub-secret": hook}, body


def test_a_webhook_about_an_order() -> None:
    heard = bigcommerce.hear(SETTINGS, *signed(MESSAGE), NOW)
    assert (heard.id, heard.topic, heard.poll_orders, heard.look_at) == ("m-1", MESSAGE["scope"], True, ())


def test_a_webhook_about_an_order_that_was_archived() -> None:
    message = {**MESSAGE, "scope": "store/order/archived", "data": {"type": "order", "id": 250}}
    heard = bigcommerce.hear(SETTINGS, *signed(message), NOW)
    assert (heard.poll_orders, heard.reread) == (True, ("250",))


def test_a_webhook_about_stock() -> None:
    scope = "store/channel/1/inventory/product/stock_changed"
    message = {**MESSAGE, "scope": scope, "data": {"variant_id": 7, "product_id": 8}}
    heard = bigcommerce.hear(SETTINGS, *signed(message), NOW)
    assert (heard.poll_orders, heard.look_at) == (False, ("7",))


@pytest.mark.parametrize(
    "message",
    [
        signed(MESSAGE, secret="another"),
        signed(MESSAGE, at=NOW - 600_000_000),
        signed({**MESSAGE, "producer": "stores/other"}),
        signed({"producer": "stores/abc123"}),
        signed([]),
        signed(MESSAGE, hook="wrong"),
        ({}, b"{}"),
    ],
)
def test_what_is_not_heard(message: tuple[dict[str, str], bytes]) -> None:
    with pytest.raises(Unheard):
        bigcommerce.hear(SETTINGS, *message, NOW)


def test_without_a_client_secret_nothing_is_heard() -> None:
    bare = settings_of(bigcommerce, store_hash="abc123", token="bc-token-4471d0")
    with pytest.raises(Unheard):
        bigcommerce.hear(bare, *signed(MESSAGE), NOW)
