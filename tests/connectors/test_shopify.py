"""Shopify: the exact requests, and what each of its answers means."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.driver import NOW, SILENCE, answer, run, settings_of, target, wire
from fakes.shopify import EXAMPLE, Fake, item_id, place_id
from onhand.connectors import shopify
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Rejected,
    Request,
    Response,
    Slot,
    Stale,
    Target,
    Unheard,
    Unsure,
    Verdict,
    Whole,
)

SETTINGS = settings_of(shopify, **EXAMPLE.settings)


@pytest.mark.parametrize(("plan", "points"), [("standard", 100), ("advanced", 200), ("enterprise", 2000)])
def test_the_plan_says_how_fast(plan: str, points: int) -> None:
    (limit,) = shopify.limits(settings_of(shopify, **EXAMPLE.settings, plan=plan))
    assert (limit.name, limit.calls, limit.seconds, limit.burst) == ("default", points, 1, 10 * points)


def test_the_usual_plan_is_what_the_channel_says() -> None:
    assert shopify.limits(SETTINGS) == shopify.CHANNEL.limits
    with pytest.raises(msgspec.ValidationError):
        settings_of(shopify, **EXAMPLE.settings, plan="gold")


DONE = answer(
    {"data": {"inventorySetQuantities": {"inventoryAdjustmentGroup": {"id": "g"}, "userErrors": []}}}
)


def told(number: int, offer: int, place: int = 1, **slot: Any) -> Target:
    return target(number, offer, {"inventory_item": item_id(number)}, place_id(place), **slot)


def refused(*errors: tuple[str, int | None]) -> Response:
    rows = [
        {
            "code": code,
            "message": "no",
            "field": n if n is None else ["input", "quantities", str(n), "quantity"],
        }
        for code, n in errors
    ]
    return answer(
        {"data": {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": rows}}}
    )


def top(code: str, **more: Any) -> Response:
    return answer({"errors": [{"message": "no", "extensions": {"code": code}}], **more})


def quantities(request: Request) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = request.json["variables"]["input"]["quantities"]
    return rows


def key(request: Request) -> str:
    return str(request.json["variables"]["key"])


def kinds(verdicts: list[Verdict]) -> list[type[Verdict]]:
    return [type(verdict) for verdict in verdicts]


def test_the_request_as_it_goes_out() -> None:
    requests, verdicts = run(shopify.push(SETTINGS, [told(7, 42, observed=40), told(8, 0)]), [DONE])
    assert kinds(verdicts) == [Accepted, Accepted]
    out = wire(shopify, SETTINGS, requests[0])
    assert (out.method, out.url) == ("POST", "https://acme.myshopify.com/admin/api/2026-10/graphql.json")
    assert out.headers["X-Shopify-Access-Token"] == "shpat-4f1c9a77e0"
    assert out.headers["Content-Type"] == "application/json"
    said = msgspec.json.decode(out.body)
    assert said["operationName"] == "HubSet"
    assert "inventorySetQuantities(input: $input) @idempotent(key: $key)" in said["query"]
    assert said["variables"]["input"] == {
        "name": "available",
        "reason": "correction",
        "quantities": [
            {
                "inventoryItemId": "gid://shopify/InventoryItem/7",
                "locationId": "gid://shopify/Location/1",
                "quantity": 42,
                "changeFromQuantity": 40,
            },
            {
                "inventoryItemId": "gid://shopify/InventoryItem/8",
                "locationId": "gid://shopify/Location/1",
                "quantity": 0,
                "changeFromQuantity": None,
            },
        ],
    }


def test_what_was_seen_is_compared_before_what_was_acknowledged_and_bare_ids_are_taken() -> None:
    bare = Target(1, {"inventory_item": "7"}, (Slot(3, "9", observed=5, acknowledged=6),), "key")
    other = told(8, 3, acknowledged=6)
    requests, _ = run(shopify.push(SETTINGS, [bare, other]), [DONE])
    first, second = quantities(requests[0])
    assert (first["inventoryItemId"], first["locationId"]) == (item_id(7), place_id(9))
    assert [first["changeFromQuantity"], second["changeFromQuantity"]] == [5, 6]


def test_a_number_too_large_is_the_largest() -> None:
    requests, _ = run(shopify.push(SETTINGS, [told(1, 10**12)]), [DONE])
    assert quantities(requests[0])[0]["quantity"] == 1_000_000_000


def test_the_key_is_that_of_what_is_said() -> None:
    def key_of(*targets: Target) -> str:
        return key(run(shopify.push(SETTINGS, targets), [DONE])[0][0])

    one = told(1, 5, observed=4)
    assert key_of(one) == key_of(told(1, 5, observed=4))
    others = [
        told(1, 6, observed=4),
        told(1, 5, observed=3),
        told(1, 5, observed=4, token="2026-11-22T00:00:01Z"),
        told(1, 5, observed=4, acknowledged=5),
        msgspec.structs.replace(one, key="key-later"),
    ]
    assert len({key_of(one), *(key_of(other) for other in others)}) == 1 + len(others)


def test_one_bad_entry_is_taken_out_and_the_rest_said_again_under_another_key() -> None:
    answers = [refused(("INVALID_INVENTORY_ITEM", 1)), DONE]
    requests, verdicts = run(shopify.push(SETTINGS, [told(1, 1), told(2, 2), told(3, 3)]), answers)
    assert kinds(verdicts) == [Accepted, Rejected, Accepted]
    assert verdicts[1] == Rejected(verdicts[1].target, "INVALID_INVENTORY_ITEM no", "INVALID_INVENTORY_ITEM")
    assert [row["inventoryItemId"] for row in quantities(requests[1])] == [item_id(1), item_id(3)]
    assert key(requests[0]) != key(requests[1])


def test_a_number_that_moved_is_stale_with_what_is_there_now() -> None:
    level = {
        "location": {"id": place_id(1), "isFulfillmentService": False},
        "quantities": [{"name": "available", "quantity": 6, "updatedAt": "x"}],
    }
    look = answer({"data": {"nodes": [{"id": item_id(2), "inventoryLevels": {"nodes": [level]}}]}})
    answers = [refused(("CHANGE_FROM_QUANTITY_STALE", 1)), DONE, look]
    requests, verdicts = run(shopify.push(SETTINGS, [told(1, 1), told(2, 2, observed=7)]), answers)
    assert kinds(verdicts) == [Accepted, Stale]
    assert verdicts[1].observed == {place_id(1): 6}  # type: ignore[union-attr]
    assert [request.json["operationName"] for request in requests] == ["HubSet", "HubSet", "HubLook"]


@pytest.mark.parametrize(
    "code", ["IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]
)
def test_a_spent_key_is_replaced_by_another(code: str) -> None:
    requests, verdicts = run(shopify.push(SETTINGS, [told(1, 1)]), [refused((code, None)), DONE])
    assert kinds(verdicts) == [Accepted]
    assert key(requests[0]) != key(requests[1])
    assert quantities(requests[0]) == quantities(requests[1])


def test_an_unknown_reason_falls_back_and_reasons_do_not_mix() -> None:
    odd = msgspec.structs.replace(told(1, 1), reason="payment_canceled")
    answers = [refused(("INVALID_REASON", None)), DONE, DONE]
    requests, verdicts = run(shopify.push(SETTINGS, [odd, told(2, 2)]), answers)
    assert kinds(verdicts) == [Accepted, Accepted]
    reasons = [request.json["variables"]["input"]["reason"] for request in requests]
    assert reasons == ["payment_canceled", "correction", "correction"]
    assert [len(quantities(request)) for request in requests] == [1, 1, 1]


COST = {
    "requestedQueryCost": 500,
    "throttleStatus": {"maximumAvailable": 2000.0, "currentlyAvailable": 300, "restoreRate": 100.0},
}


@pytest.mark.parametrize(
    ("said", "kind", "seconds"),
    [
        (top("THROTTLED", extensions={"cost": COST}), Later, 2.0),
        (top("ACCESS_DENIED"), Later, None),
        (top("INTERNAL_SERVER_ERROR"), Later, None),
        (top("SHOP_INACTIVE"), Later, None),
        (top("BAD_REQUEST"), Whole, None),
        (answer({"errors": "[API] Invalid API key"}, 401), Later, None),
        (answer("", 402), Later, None),
        (answer("", 404), Later, None),
        (answer("", 423), Later, None),
        (answer({"errors": "bad"}, 400), Whole, None),
        (answer("", 429, retry_after="2.0"), Later, 2.0),
        (answer("<html>", 503), Later, None),
        (answer("<html>"), Unsure, None),
        (answer("", 204), Unsure, None),
        (answer({"data": {"inventorySetQuantities": None}}), Unsure, None),
        (SILENCE, Unsure, None),
        (refused(("IDEMPOTENCY_CONCURRENT_REQUEST", None)), Later, None),
        (refused(("SERVICE_UNAVAILABLE", None)), Later, None),
        (refused(("INVALID_NAME", None)), Whole, None),
        (refused(("INVALID_REASON", None)), Whole, None),
        (refused(("SOMETHING_NEW", 99)), Whole, None),
    ],
)
def test_an_answer_about_the_whole(said: Response, kind: type[Verdict], seconds: float | None) -> None:
    requests, verdicts = run(shopify.push(SETTINGS, [told(1, 1), told(2, 2)]), [said])
    assert len(requests) == 1
    assert kinds(verdicts) == [kind, kind]
    assert getattr(verdicts[0], "seconds", None) == seconds


def test_a_refusal_without_end_ends() -> None:
    flow = shopify.push(SETTINGS, [told(1, 1)])
    requests, verdicts = run(flow, lambda _: refused(("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", None)))
    assert kinds(verdicts) == [Stale]
    assert len(requests) <= 8


def test_entries_stay_below_the_limit_of_a_call() -> None:
    wide = [
        Target(n, {"inventory_item": str(n)}, tuple(Slot(1, place_id(p)) for p in range(1, 101)), f"k{n}")
        for n in range(1, 6)
    ]
    requests, verdicts = run(shopify.push(SETTINGS, wide), lambda _: DONE)
    assert [len(quantities(request)) for request in requests] == [200, 200, 100]
    assert kinds(verdicts) == [Accepted] * 5


def test_listings_that_share_an_inventory_item() -> None:
    agree, differ = told(1, 4), told(1, 5)
    requests, verdicts = run(shopify.push(SETTINGS, [told(1, 4), agree, differ]), [DONE])
    assert kinds(verdicts) == [Accepted, Accepted, Rejected]
    assert len(quantities(requests[0])) == 1


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (Target(1, {}, (Slot(1, place_id(1)),), "k"), "no inventory item"),
        (Target(1, {"inventory_item": "1"}, (Slot(1),), "k"), "no location"),
        (Target(1, {"inventory_item": "1"}, (), "k"), "no location"),
        (
            Target(1, {"inventory_item": "1"}, tuple(Slot(1, str(n)) for n in range(1, 252)), "k"),
            "251 locations",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_here(odd: Target, words: str) -> None:
    requests, verdicts = run(shopify.push(SETTINGS, [odd]), [])
    assert not requests
    assert isinstance(verdicts[0], Rejected)
    assert words in verdicts[0].words


def test_an_untracked_item_is_tracked_first() -> None:
    untracked = Target(1, {"inventory_item": item_id(1), "tracked": "false"}, (Slot(2, place_id(1)),), "k")
    tracked = answer(
        {"data": {"inventoryItemUpdate": {"inventoryItem": {"tracked": True}, "userErrors": []}}}
    )
    requests, verdicts = run(shopify.push(SETTINGS, [untracked]), [tracked, DONE])
    assert [request.json["operationName"] for request in requests] == ["HubTrack", "HubSet"]
    assert verdicts == [Accepted(untracked, ids={"tracked": "true"})]
    no = answer(
        {"data": {"inventoryItemUpdate": {"inventoryItem": None, "userErrors": [{"message": "gift card"}]}}}
    )
    assert run(shopify.push(SETTINGS, [untracked]), [no])[1] == [
        Rejected(untracked, "gift card", "not_tracked")
    ]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer({"data": {"inventoryItemUpdate": {"inventoryItem": {"tracked": False}}}}), Unsure),
        (answer({"data": {"inventoryItemUpdate": {"inventoryItem": None, "userErrors": []}}}), Unsure),
        (answer({"data": {"inventoryItemUpdate": None}}), Unsure),
        (top("SHOP_INACTIVE"), Later),
    ],
    ids=["still not", "no item", "nothing", "closed"],
)
def test_a_number_is_not_told_while_the_item_may_not_be_tracked(said: Response, kind: type[Verdict]) -> None:
    untracked = Target(1, {"inventory_item": item_id(1), "tracked": "false"}, (Slot(2, place_id(1)),), "k")
    requests, verdicts = run(shopify.push(SETTINGS, [untracked]), [said])
    assert len(requests) == 1
    assert kinds(verdicts) == [kind]


# --- tokens, webhooks, pace -----------------------------------------------------------------------------


def test_a_token_for_a_day() -> None:
    said = answer({"access_token": "fresh", "scope": "x", "expires_in": 86399})
    requests, fresh = run(shopify.tokens(SETTINGS), [said])
    assert fresh == {"access_token": "fresh", "expires_in": 86399}
    out = wire(shopify, SETTINGS, requests[0])
    assert out.url == "https://acme.myshopify.com/admin/oauth/access_token"
    assert out.body == b"client_id=app-1&client_secret=shpss-0d2b64aa91&grant_type=client_credentials"
    assert "X-Shopify-Access-Token" not in out.headers


def test_a_rotating_pair_comes_back_whole() -> None:
    public = settings_of(shopify, **EXAMPLE.settings, refresh_token="refresh-one")
    said = answer({"access_token": "a", "refresh_token": "refresh-two", "expires_in": 3600})
    requests, fresh = run(shopify.tokens(public), [said])
    assert fresh == {"access_token": "a", "refresh_token": "refresh-two", "expires_in": 3600}
    assert wire(shopify, public, requests[0]).body.endswith(
        b"grant_type=refresh_token&refresh_token=refresh-one"
    )
    assert "refresh-one" not in repr(requests)
    with pytest.raises(Failed) as half:
        run(shopify.tokens(public), [answer({"access_token": "a"})])
    assert half.value.retry


def test_a_permanent_token_cannot_be_refreshed() -> None:
    plain = settings_of(shopify, shop="acme", access_token="shpat-permanent")
    with pytest.raises(Failed) as failed:
        run(shopify.tokens(plain), [])
    assert failed.value.login


@pytest.mark.parametrize(
    "values",
    [
        {"shop": "acme"},
        {"shop": "acme", "client_id": "x"},
        {"shop": "acme.myshopify.com", "access_token": "t"},
        {"shop": "evil.example/", "access_token": "t"},
        {"shop": "", "access_token": "t"},
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings_of(shopify, **values)


def test_a_webhook_is_a_hint() -> None:
    fake = Fake()
    headers, body = fake.webhook("orders/updated", {"id": 1})
    heard = shopify.hear(SETTINGS, headers, body, NOW)
    assert (heard.id, heard.topic, heard.poll_orders, heard.look_at) == ("hook-1", "orders/updated", True, ())
    assert shopify.hear(SETTINGS, headers, body, NOW + 10**12).id == heard.id
    headers, body = fake.webhook("inventory_levels/update", {"inventory_item_id": 77, "available": 3})
    heard = shopify.hear(SETTINGS, headers, body, NOW)
    assert (heard.poll_orders, heard.look_at) == (False, ("gid://shopify/InventoryItem/77",))
    headers, body = fake.webhook("inventory_items/update", {"id": 78, "sku": "A", "tracked": False})
    assert shopify.hear(SETTINGS, headers, body, NOW).look_at == ("gid://shopify/InventoryItem/78",)
    headers, body = fake.webhook("orders/delete", {"id": 820982911946154508})
    heard = shopify.hear(SETTINGS, headers, body, NOW)
    assert (heard.poll_orders, heard.reread) == (True, ("gid://shopify/Order/820982911946154508",))


@pytest.mark.parametrize("change", [{"x-shopify-hmac-sha256": "AAAA"}, {"x-shopify-hmac-sha256": "ü"}])
def test_a_forged_webhook_is_not_heard(change: dict[str, str]) -> None:
    headers, body = Fake().webhook("orders/create", {"id": 1})
    with pytest.raises(Unheard):
        shopify.hear(SETTINGS, headers | change, body, NOW)
    with pytest.raises(Unheard):
        shopify.hear(SETTINGS, headers, body + b" ", NOW)


@pytest.mark.parametrize(
    ("cost", "seconds"),
    [
        (COST, 2.0),
        ({**COST, "requestedQueryCost": 300}, None),
        ({**COST, "requestedQueryCost": 10**9}, 60.0),
        ({**COST, "throttleStatus": {"currentlyAvailable": 0, "restoreRate": 0}}, None),
        ({"requestedQueryCost": True}, None),
        (None, None),
    ],
)
def test_the_pace_is_the_balance(cost: Any, seconds: float | None) -> None:
    assert shopify.pace(answer({"data": {}, "extensions": {"cost": cost}})) == seconds
