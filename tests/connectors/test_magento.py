"""Magento: exact requests, open orders on top, SKUs that no product has, sizes, the queue, words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from connectors.driver import NONCE, NOW, SILENCE, answer, run, settings_of, target, wire
from fakes.magento import EXAMPLE
from fakes.magento_rules import fault, signed_well
from onhand.connectors import magento
from onhand.connectors.channel import (
    Secret,
)
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Rejected,
    Request,
    Response,
    Slot,
    Target,
    Unsure,
    Verdict,
    Whole,
)
from onhand.connectors.magento_bulk import ELSEWISE
from onhand.connectors.magento_calls import any_of, words

SETTINGS = settings_of(magento, **EXAMPLE.settings)
BULK = settings_of(magento, **EXAMPLE.settings, bulk=True)
LEGACY = settings_of(magento, **EXAMPLE.settings, stock="stock_item")
CLOUD = settings_of(
    magento,
    url="https://na1.api.commerce.adobe.com/tenant1",
    auth="ims",
    client_id="client-1",
    client_secret="ims-secret-55e0",
    organisation="org-1@AdobeOrg",
    access_token="ims-token-66f1",
    bulk=True,
)
ITEMS = "/V1/inventory/source-items"
DONE = answer([])


def told(number: int, offer: int, source: str | None = "default", **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), source, **slot)


def push(
    targets: Sequence[Target], *answers: Response, settings: Any = SETTINGS
) -> tuple[list[Request], list[Verdict]]:
    return run(magento.push(settings, targets), answers)


def kinds(verdicts: Sequence[Verdict]) -> list[type]:
    return [type(verdict) for verdict in verdicts]


def item(number: int, quantity: int, source: str = "default") -> dict[str, Any]:
    return {
        "sku": f"SKU-{number}",
        "source_code": source,
        "quantity": quantity,
        "status": int(quantity > 0),
    }


def test_what_is_sent_is_the_source_with_open_orders_on_top() -> None:
    both = Target(3, EXAMPLE.ids(3), (Slot(0, "north"), Slot(0, "default", committed=2)), "key-3")
    requests, verdicts = push([told(1, 7, committed=2), told(2, 0, None), both], DONE)
    items = [item(1, 9), item(2, 0), item(3, 0, "north"), item(3, 2)]
    assert requests == [Request("POST", ITEMS, json={"sourceItems": items})]
    assert kinds(verdicts) == [Accepted] * 3


def test_backorders_keep_a_product_in_stock() -> None:
    lenient = settings_of(magento, **EXAMPLE.settings, backorders=True)
    requests, _ = push([told(1, 0)], DONE, settings=lenient)
    assert requests[0].json["sourceItems"] == [{**item(1, 0), "status": 1}]


def test_the_wire_is_signed_with_its_query() -> None:
    request = Request(
        "GET", "/V1/products", (("searchCriteria[pageSize]", "5"), ("fields", "items[id, sku]"))
    )
    sent = wire(magento, SETTINGS, request)
    assert sent.url == "https://shop.example/rest/V1/products"
    assert sent.target.endswith("?searchCriteria%5BpageSize%5D=5&fields=items%5Bid%2C%20sku%5D")
    header = sent.headers["Authorization"]
    assert header.startswith('OAuth oauth_consumer_key="consumer-1", ')
    assert f'oauth_timestamp="{NOW // 1_000_000}"' in header
    assert f'oauth_nonce="{NONCE}"' in header
    assert 'oauth_signature_method="HMAC-SHA256"' in header
    assert signed_well(sent, EXAMPLE.settings, set())
    assert not signed_well(sent.add(query=(("more", "1"),)), EXAMPLE.settings, set())


def test_the_wire_with_the_token_alone() -> None:
    plain = settings_of(magento, url="https://shop.example/", auth="bearer", access_token="mage-token-97d2e1")
    sent = wire(magento, plain, Request("GET", "/V1/modules"))
    assert (sent.url, sent.headers["Authorization"]) == (
        "https://shop.example/rest/V1/modules",
        "Bearer mage-token-97d2e1",
    )


def test_the_wire_of_the_cloud_service() -> None:
    sent = wire(magento, CLOUD, Request("GET", "/V1/products"))
    assert sent.url == "https://na1.api.commerce.adobe.com/tenant1/V1/products"
    extra = {name: sent.headers[name] for name in ("Authorization", "x-api-key", "x-gw-ims-org-id")}
    assert extra == {
        "Authorization": "Bearer ims-token-66f1",
        "x-api-key": "client-1",
        "x-gw-ims-org-id": "org-1@AdobeOrg",
    }


@pytest.mark.parametrize(
    "values",
    [
        {"url": "https://shop.example"},
        {"url": "ftp://shop.example", "auth": "bearer", "access_token": "mage-token-97d2e1"},
        {"url": "https://shop.example", "auth": "bearer"},
        {"url": "https://shop.example", "auth": "ims", "client_id": "x"},
        {"url": "https://shop.example?x=1", "auth": "bearer", "access_token": "mage-token-97d2e1"},
    ],
)
def test_half_a_setting_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings_of(magento, **values)


# --- SKUs -----------------------------------------------------------------------------------------------


def stranger(number: int, sku: str) -> Target:
    return Target(number, {}, (Slot(5, "default"),), f"key-{number}", sku=sku)


def test_a_sku_that_no_product_has_is_not_written() -> None:
    listed = answer({"items": [{"id": 9, "sku": "mug"}], "total_count": 1})
    requests, verdicts = push([told(1, 1), stranger(2, "MUG"), stranger(3, "TYPO")], listed, DONE)
    rule = "searchCriteria[filter_groups][0][filters][0]"
    assert requests[0].query[:3] == (
        (f"{rule}[field]", "sku"),
        (f"{rule}[condition_type]", "in"),
        (f"{rule}[value]", "MUG,TYPO"),
    )
    assert [row["sku"] for row in requests[1].json["sourceItems"]] == ["SKU-1", "MUG"]
    assert kinds(verdicts) == [Accepted, Accepted, Rejected]
    assert isinstance(verdicts[1], Accepted)
    assert verdicts[1].ids == {"product_id": "9"}


def test_a_comma_in_a_sku_does_not_split_it() -> None:
    assert any_of(["A", "B,C", "D"]) == [("sku", "in", "A,D"), ("sku", "eq", "B,C")]


@pytest.mark.parametrize("said", [SILENCE, answer("", status=500), answer("<html>"), answer({"items": 3})])
def test_products_that_could_not_be_looked_up_are_not_written(said: Response) -> None:
    requests, verdicts = push([stranger(2, "MUG")], said)
    assert len(requests) == 1
    assert kinds(verdicts) == [Later]


@pytest.mark.parametrize(
    "bad",
    [
        stranger(1, " MUG"),
        stranger(1, "MUG\n"),
        Target(1, {}, (Slot(5, "default"),), "key"),
        Target(1, EXAMPLE.ids(1), (), "key"),
        Target(1, EXAMPLE.ids(1), (Slot(5, "my source"),), "key"),
    ],
)
def test_what_would_spoil_the_batch_is_refused_without_a_call(bad: Target) -> None:
    requests, verdicts = push([bad])
    assert not requests
    assert kinds(verdicts) == [Rejected]


def test_two_numbers_for_one_source_item() -> None:
    requests, verdicts = push([told(1, 4), Target(2, EXAMPLE.ids(1), (Slot(5),), "key")], DONE)
    assert requests[0].json["sourceItems"] == [item(1, 4)]
    assert kinds(verdicts) == [Accepted, Rejected]


# --- sizes and answers ----------------------------------------------------------------------------------

TOO_MANY = fault(400, 'Maximum items of type "%type" is %max', {"type": "SourceItemInterface", "max": 20})


def test_a_shop_that_takes_fewer_gets_fewer() -> None:
    targets = [told(n, 1) for n in range(1, 51)]
    requests, verdicts = push(targets, TOO_MANY, DONE, DONE, DONE)
    assert [len(request.json["sourceItems"]) for request in requests] == [50, 20, 20, 10]
    assert kinds(verdicts) == [Accepted] * 50


def test_a_shop_that_takes_nothing_ends() -> None:
    requests, verdicts = run(magento.push(SETTINGS, [told(n, 1) for n in range(1, 4)]), lambda _: TOO_MANY)
    assert kinds(verdicts) == [Whole] * 3
    assert len(requests) < 30


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (SILENCE, Unsure),
        (answer("<html>"), Unsure),
        (answer({"message": "odd"}), Unsure),
        (answer("", status=204), Unsure),
        (fault(400, "Could not save Source Item"), Whole),
        (fault(401, "The consumer isn't authorized to access %1.", ["stock"]), Later),
        (fault(404, "Request does not match any route."), Later),
        (answer("", status=500), Later),
        (answer("", status=503, retry_after="9"), Later),
    ],
)
def test_answers_to_a_write(said: Response, kind: type) -> None:
    assert kinds(push([told(1, 1), told(2, 2)], said)[1]) == [kind, kind]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (fault(400, "%1 and %2", ["a", 3]), "a and 3"),
        (fault(400, "%fieldName of %field", {"field": "x", "fieldName": "y"}), "y of x"),
        (answer({"message": "No", "errors": [{"message": "%1!", "parameters": ["why"]}]}), "No; why!"),
        (answer({"message": "100%"}), "100%"),
        (answer("oops", status=500), "500 oops"),
    ],
)
def test_words_are_filled_in(said: Response, text: str) -> None:
    assert words(said) == text


# --- the queue ------------------------------------------------------------------------------------------


def taken(count: int, **more: Any) -> Response:
    rows = [{"id": n, "data_hash": "x", "status": "accepted"} for n in range(count)]
    return answer({"bulk_uuid": "u-1", "request_items": rows, "errors": False, **more}, status=202)


def outcome(*statuses: int) -> Response:
    rows = [{"id": n, "status": status, "result_message": f"said {n}"} for n, status in enumerate(statuses)]
    return answer({"operations_list": rows})


def test_the_queue_is_waited_for() -> None:
    targets = [told(n, n) for n in range(1, 5)]
    waits: list[float] = []
    answers = [taken(4), outcome(4, 4, 4, 4), answer("", status=500), outcome(1, 2, 3, 5)]
    requests, verdicts = run(magento.push(BULK, targets), answers, waits)
    assert requests[0].url == "/default/async/bulk/V1/inventory/source-items"
    assert requests[0].json == [{"sourceItems": [item(n, n)]} for n in range(1, 5)]
    assert [request.url for request in requests[1:]] == ["/V1/bulk/u-1/detailed-status"] * 3
    assert waits == [1.0, 2.0, 4.0]
    assert verdicts == [
        Accepted(targets[0]),
        Later(targets[1], "said 1"),
        Rejected(targets[2], "said 2"),
        Rejected(targets[3], "said 3"),
    ]


def test_a_queue_that_nobody_works_off_is_unsure() -> None:
    waits: list[float] = []
    flow = magento.push(BULK, [told(1, 1)])
    _, verdicts = run(flow, lambda request: taken(1) if request.method == "POST" else outcome(4), waits)
    assert kinds(verdicts) == [Unsure]
    assert sum(waits) == 300


@pytest.mark.parametrize("first", [1, 927])
def test_numbers_of_another_kind_say_nothing_about_an_operation(first: int) -> None:
    rows = [{"id": first + n, "status": status} for n, status in enumerate((3, 1))]
    waits: list[float] = []
    answers = [taken(2), answer({"operations_list": rows})]
    _, verdicts = run(magento.push(BULK, [told(1, 1), told(2, 1)]), answers, waits)
    assert [verdict.words for verdict in verdicts if isinstance(verdict, Unsure)] == [ELSEWISE] * 2
    assert waits == [1.0]


def test_the_queue_of_the_cloud_service_has_another_path() -> None:
    rejected = [{"id": 0, "status": "rejected", "error_message": "no"}]
    requests, verdicts = push([told(1, 1)], taken(1, request_items=rejected), settings=CLOUD)
    assert requests[0].url == "/V1/async/bulk/inventory/source-items"
    assert verdicts == [Rejected(told(1, 1), "no")]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (SILENCE, Unsure),
        (answer({}, status=202), Unsure),
        (answer({}, status=404), Later),
        (answer({}, status=400), Whole),
        (answer({}, status=503), Later),
    ],
)
def test_what_the_queue_does_not_take(said: Response, kind: type) -> None:
    assert kinds(push([told(1, 1), told(2, 1)], said, settings=BULK)[1]) == [kind, kind]


# --- without sources ------------------------------------------------------------------------------------

STOCK_ITEM = {"item_id": 7, "qty": 3, "is_in_stock": True, "manage_stock": True, "min_qty": 0}


def test_a_stock_item_is_sent_back_as_it_was_with_another_quantity() -> None:
    slash = Target(1, {"product_id": "1", "sku": "A/B C"}, (Slot(5, committed=2),), "key")
    extra = {**STOCK_ITEM, "extension_attributes": {}}
    requests, verdicts = push([slash], answer(extra), answer(7), settings=LEGACY)
    assert [request.url for request in requests] == [
        "/V1/stockItems/A%2FB%20C",
        "/V1/products/A%2FB%20C/stockItems/7",
    ]
    # Here the shop lowers the quantity when it sells, so open orders are not put on top.
    assert requests[1].json == {"stockItem": {**STOCK_ITEM, "qty": 5, "is_in_stock": True}}
    assert kinds(verdicts) == [Accepted]


@pytest.mark.parametrize("backorders", [False, True])
def test_backorders_keep_a_stock_item_in_stock_too(backorders: bool) -> None:
    empty = Target(1, {"product_id": "1", "sku": "A"}, (Slot(0),), "key")
    shop = settings_of(magento, **EXAMPLE.settings, stock="stock_item", backorders=backorders)
    requests, _ = push([empty], answer(STOCK_ITEM), answer(7), settings=shop)
    assert requests[1].json == {"stockItem": {**STOCK_ITEM, "qty": 0, "is_in_stock": backorders}}


@pytest.mark.parametrize(
    ("answers", "infinite", "kind"),
    [
        ([answer({**STOCK_ITEM, "manage_stock": False})], True, Accepted),
        ([answer({**STOCK_ITEM, "manage_stock": False})], False, Rejected),
        ([fault(404, "no such item")], False, Rejected),
        ([answer("<html>")], False, Unsure),
        ([answer(STOCK_ITEM), fault(400, "no")], False, Rejected),
        ([answer(STOCK_ITEM), SILENCE], False, Unsure),
        ([answer(STOCK_ITEM), answer("<html>")], False, Unsure),
        ([answer("", status=503)], False, Later),
        ([answer("", status=403)], False, Later),
        ([answer(STOCK_ITEM), answer("", status=409)], False, Later),
    ],
)
def test_answers_about_a_stock_item(answers: list[Response], infinite: bool, kind: type) -> None:
    assert kinds(push([told(1, 5, infinite=infinite)], *answers, settings=LEGACY)[1]) == [kind]


def test_after_a_throttled_answer_the_rest_is_not_sent() -> None:
    requests, verdicts = push(
        [told(1, 5), told(2, 5)], answer("", status=429, retry_after="3"), settings=LEGACY
    )
    assert len(requests) == 1
    assert [getattr(verdict, "seconds", None) for verdict in verdicts] == [3.0, 3.0]


# --- tokens ---------------------------------------------------------------------------------------------


def test_a_token_of_the_cloud_service() -> None:
    requests, found = run(magento.tokens(CLOUD), [answer({"access_token": "t", "expires_in": 86399})])
    assert (requests[0].url, requests[0].signed) == ("https://ims-na1.adobelogin.com/ims/token/v3", False)
    assert dict(requests[0].form or ())["client_secret"] == Secret("ims-secret-55e0")
    assert found == {"access_token": "t", "expires_in": 86399}


@pytest.mark.parametrize("settings", [SETTINGS, CLOUD])
def test_a_token_that_cannot_be_had(settings: Any) -> None:
    with pytest.raises(Failed) as failed:
        run(magento.tokens(settings), lambda _: answer({"error": "invalid_client"}, status=400))
    assert failed.value.login
