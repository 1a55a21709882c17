"""WooCommerce: the exact requests and what each of its answers means."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from connectors.driver import NOW, SILENCE, answer, run, settings_of, target, wire
from fakes.woocommerce import EXAMPLE, Fake
from onhand.connectors import woocommerce
from onhand.connectors.flow import (
    Accepted,
    Later,
    Rejected,
    Response,
    Slot,
    Stale,
    Target,
    Unheard,
    Unsure,
    Verdict,
    Whole,
)

SETTINGS = settings_of(woocommerce, **EXAMPLE.settings)
PLAIN = settings_of(woocommerce, **{**EXAMPLE.settings, "store": "http://shop.example/sub/"})
QUERY = settings_of(woocommerce, **EXAMPLE.settings, auth="query")


def product(number: int, offer: int, **slot: Any) -> Target:
    return target(number, offer, {"product": str(number)}, **slot)


def variation(number: int, parent: int, offer: int, **slot: Any) -> Target:
    return target(number, offer, {"product": str(parent), "variation": str(number)}, **slot)


def row(number: int, quantity: Any, manage: Any = True) -> dict[str, Any]:
    return {"id": number, "manage_stock": manage, "stock_quantity": quantity}


def failed(number: int, code: str, status: int) -> dict[str, Any]:
    return {"id": number, "error": {"code": code, "message": "no", "data": {"status": status}}}


def kinds(verdicts: list[Verdict]) -> list[type[Verdict]]:
    return [type(verdict) for verdict in verdicts]


def test_products_go_in_one_batch_and_variations_in_one_per_parent() -> None:
    targets = [
        product(11, 5),
        variation(21, 20, 3),
        product(12, 0),
        variation(22, 20, 4),
        variation(31, 30, 1),
    ]
    answers = [
        answer({"update": [row(11, 5), row(12, 0)]}),
        answer({"update": [row(21, 3), row(22, 4)]}),
        answer({"update": [row(31, 1)]}),
    ]
    requests, verdicts = run(woocommerce.push(SETTINGS, targets), answers)
    assert kinds(verdicts) == [Accepted] * 5
    sent = [(request.method, request.url, request.json) for request in requests]
    assert sent == [
        ("POST", "/products/batch", {"update": [row(11, 5), row(12, 0)]}),
        ("POST", "/products/20/variations/batch", {"update": [row(21, 3), row(22, 4)]}),
        ("POST", "/products/30/variations/batch", {"update": [row(31, 1)]}),
    ]


def test_unlimited_is_not_managed() -> None:
    answers = [answer({"update": [row(1, None, manage=False)]})]
    requests, verdicts = run(woocommerce.push(SETTINGS, [product(1, 999, infinite=True)]), answers)
    assert requests[0].json == {"update": [{"id": 1, "manage_stock": False, "stock_status": "instock"}]}
    assert kinds(verdicts) == [Accepted]


def test_basic_authentication_over_tls() -> None:
    requests, _ = run(woocommerce.push(SETTINGS, [product(1, 1)]), [SILENCE])
    out = wire(woocommerce, SETTINGS, requests[0])
    assert out.target == "https://shop.example/wp-json/wc/v3/products/batch"
    assert out.headers["Authorization"] == "Basic " + base64.b64encode(b"ck_52a0c1f9:cs_9d81e07b").decode()
    assert out.body == b'{"update":[{"id":1,"manage_stock":true,"stock_quantity":1}]}'


def test_the_key_in_the_query_where_headers_are_stripped() -> None:
    requests, _ = run(woocommerce.push(QUERY, [product(1, 1)]), [SILENCE])
    out = wire(woocommerce, QUERY, requests[0])
    assert out.query == (("consumer_key", "ck_52a0c1f9"), ("consumer_secret", "cs_9d81e07b"))
    assert "Authorization" not in out.headers
    assert "cs_9d81e07b" not in out.url + repr(out)


def test_a_signature_and_no_secret_without_tls() -> None:
    requests, _ = run(woocommerce.pull(PLAIN, "0|0"), [answer([])])
    out = wire(woocommerce, PLAIN, requests[0])
    assert out.url == "http://shop.example/sub/wp-json/wc/v3/products"
    fields = dict(out.query)
    assert {name for name in fields if name.startswith("oauth_")} == {
        "oauth_consumer_key",
        "oauth_nonce",
        "oauth_signature",
        "oauth_signature_method",
        "oauth_timestamp",
    }
    assert fields["oauth_timestamp"] == "1795305600"
    assert "cs_9d81e07b" not in out.target
    fake = Fake()
    assert fake(out).status == 200
    assert fake(wire(woocommerce, PLAIN, requests[0], nonce="other")).status == 200
    assert fake(out.add(query=(("per_page2", "1"),))).status == 401


def test_reads_pass_page_caches() -> None:
    requests, _ = run(woocommerce.pull(SETTINGS, "99|7"), [answer([])])
    out = wire(woocommerce, SETTINGS, requests[0])
    assert out.target == (
        "https://shop.example/wp-json/wc/v3/products"
        f"?per_page=100&offset=99&orderby=id&order=asc&status=any&_={NOW}"
    )


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (row(1, 5), Accepted, ""),
        (row(1, 5.0), Accepted, ""),
        (row(1, "5"), Accepted, ""),
        (row(1, 5, manage="parent"), Rejected, "parent"),
        (row(1, None, manage=False), Rejected, "does not keep stock"),
        (row(1, None), Rejected, "does not keep stock"),
        (row(1, 7), Stale, "the shop kept 7"),
        (row(1, 4.5), Stale, "the shop kept 4"),
        (row(1, -0.5), Stale, "the shop kept -1"),
        (failed(1, "woocommerce_rest_product_invalid_id", 400), Rejected, "invalid_id no"),
        (failed(1, "internal_server_error", 500), Later, "internal"),
        ({"id": 1, "error": 3}, Rejected, "refused"),
        (row(2, 5), Unsure, "does not name it"),
        ({}, Unsure, "does not name it"),
        (None, Unsure, "does not name it"),
    ],
)
def test_a_row_speaks_for_itself(said: Any, kind: type[Verdict], words: str) -> None:
    extra = row(99, 1)
    _, verdicts = run(woocommerce.push(SETTINGS, [product(1, 5)]), [answer({"update": [extra, said]})])
    assert kinds(verdicts) == [kind]
    assert words in getattr(verdicts[0], "words", "")


@pytest.mark.parametrize("manage", [True, "parent", None])
def test_what_the_shop_still_counts_is_not_unlimited(manage: Any) -> None:
    said = [answer({"update": [row(1, 5, manage=manage)]})]
    _, verdicts = run(woocommerce.push(SETTINGS, [product(1, 999, infinite=True)]), said)
    assert not isinstance(verdicts[0], Accepted)


@pytest.mark.parametrize(
    ("quantity", "shown"), [(3, 3), (2.5, 2), (0.25, 0), (-0.5, -1), ("3", 3), (None, None)]
)
def test_a_part_of_a_unit_is_not_offered(quantity: Any, shown: int | None) -> None:
    said = [answer([row(1, quantity) | {"type": "simple"}])]
    _, page = run(woocommerce.pull(SETTINGS, "0|0"), said)
    assert [number.quantity for number in page.seen[0].shown] == [shown]


@pytest.mark.parametrize(
    ("kind", "variations", "asked"),
    [
        ("variable", [], True),
        ("variable", [21], True),
        ("variable-subscription", [21], True),
        ("simple", [], False),
        ("simple", None, False),
    ],
)
def test_what_has_variations_is_listed_with_them(kind: str, variations: Any, asked: bool) -> None:
    parent = row(20, None, manage=False) | {"type": kind, "variations": variations}
    answers = [answer([parent]), *([answer([row(21, 4)])] if asked else [])]
    _, page = run(woocommerce.pull(SETTINGS, "0|0"), answers)
    ids = {"product": "20", "variation": "21"} if asked else {"product": "20"}
    assert [seen.ids for seen in page.seen] == [ids]


@pytest.mark.parametrize(
    ("quantity", "units"), [(2, 2), (2.0, 2), (1.5, 2), (0.25, 1), (0, 0), (-0.5, 0), (None, 0)]
)
def test_a_part_of_a_unit_is_sold_whole(quantity: Any, units: int) -> None:
    order: dict[str, Any] = {"id": 7, "status": "processing", "date_modified_gmt": "2026-11-22T00:00:00"}
    order["line_items"] = [{"id": 1, "product_id": 5, "quantity": quantity}]
    _, found = run(woocommerce.orders(SETTINGS, "2026-11-22T00:00:00Z"), [answer([order])])
    assert [line.ordered for line in found.orders[0].lines] == [units]


def test_what_the_shop_kept_is_told() -> None:
    _, verdicts = run(woocommerce.push(SETTINGS, [product(1, 5)]), [answer({"update": [row(1, 7)]})])
    assert verdicts[0] == Stale(product(1, 5), {None: 7}, "the shop kept 7")


def error(status: int, code: str) -> Response:
    return answer({"code": code, "message": "no", "data": {"status": status}}, status)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (SILENCE, Unsure),
        (answer("<html>maintenance</html>"), Unsure),
        (answer("", 204), Unsure),
        (answer("<b>Notice</b>: undefined index"), Unsure),
        (error(400, "rest_invalid_param"), Whole),
        (error(401, "woocommerce_rest_authentication_error"), Later),
        (error(403, "woocommerce_rest_cannot_batch"), Later),
        (error(404, "rest_no_route"), Later),
        (answer("<html>no such page", 404), Later),
        (answer("<html>Not Acceptable!", 406), Later),
        (answer("<!DOCTYPE html><title>blocked", 418), Later),
        (answer("<html>Bad Request", 400), Whole),
        (answer("<html>Request Entity Too Large", 422), Whole),
        (answer("no such page", 404), Whole),
        (answer("<html>", 429, retry_after="4"), Later),
        (answer("<html>", 501), Later),
        (answer("<html>", 508), Later),
    ],
)
def test_an_answer_about_the_whole(said: Response, kind: type[Verdict]) -> None:
    _, verdicts = run(woocommerce.push(SETTINGS, [product(1, 1), product(2, 2)]), [said])
    assert kinds(verdicts) == [kind, kind]


def test_when_the_shop_is_away_the_rest_is_not_sent() -> None:
    targets = [product(1, 1), variation(21, 20, 3), variation(31, 30, 1)]
    answers = [answer({"update": [row(1, 1)]}), answer("<html>", 429, retry_after="4")]
    requests, verdicts = run(woocommerce.push(SETTINGS, targets), answers)
    assert kinds(verdicts) == [Accepted, Later, Later]
    assert len(requests) == 2
    assert [verdict.seconds for verdict in verdicts[1:]] == [4.0, 4.0]  # type: ignore[union-attr]


def test_a_refusal_of_one_parent_is_not_one_of_another() -> None:
    targets = [variation(21, 20, 3), variation(31, 30, 1)]
    answers = [error(404, "woocommerce_rest_product_invalid_id"), answer({"update": [row(31, 1)]})]
    assert kinds(run(woocommerce.push(SETTINGS, targets), answers)[1]) == [Whole, Accepted]


def test_a_product_is_named_once() -> None:
    targets = [product(1, 4), product(1, 4), product(1, 5)]
    requests, verdicts = run(woocommerce.push(SETTINGS, targets), [answer({"update": [row(1, 4)]})])
    assert kinds(verdicts) == [Accepted, Accepted, Rejected]
    assert requests[0].json == {"update": [row(1, 4)]}


@pytest.mark.parametrize(
    "odd",
    [
        Target(1, {}, (Slot(1),), "k"),
        Target(1, {"product": "../7"}, (Slot(1),), "k"),
        Target(1, {"product": "٣"}, (Slot(1),), "k"),
        Target(1, {"product": "1", "variation": "x"}, (Slot(1),), "k"),
        Target(1, {"product": "1"}, (), "k"),
        Target(1, {"product": "1"}, (Slot(1), Slot(2)), "k"),
    ],
)
def test_what_cannot_be_said_is_refused_here(odd: Target) -> None:
    requests, verdicts = run(woocommerce.push(SETTINGS, [odd]), [])
    assert not requests
    assert kinds(verdicts) == [Rejected]


@pytest.mark.parametrize(
    "change",
    [{"store": "shop.example"}, {"store": "https://a@b/"}, {"store": "https://s/?x=1"}, {"auth": "none"}],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings_of(woocommerce, **{**EXAMPLE.settings, **change})


def test_webhooks() -> None:
    fake = Fake()
    headers, body = fake.webhook("order.updated", {"id": 5})
    heard = woocommerce.hear(SETTINGS, headers, body, NOW)
    assert (heard.id, heard.topic, heard.poll_orders, heard.look_at) == (
        "delivery-1",
        "order.updated",
        True,
        (),
    )
    assert heard.reread == ("5",), "its items may have been edited without a new time of change"
    assert woocommerce.hear(SETTINGS, headers, body, NOW).id == heard.id
    headers, body = fake.webhook("order.created", {"id": 5})
    heard = woocommerce.hear(SETTINGS, headers, body, NOW)
    assert (heard.poll_orders, heard.reread) == (True, ())
    headers, body = fake.webhook("product.updated", {"id": 77})
    assert woocommerce.hear(SETTINGS, headers, body, NOW).look_at == ("77",)
    headers, body = fake.webhook("product.updated", {"id": 78, "parent_id": 77})
    assert woocommerce.hear(SETTINGS, headers, body, NOW).look_at == ("77/78",)
    headers, body = fake.webhook("order.deleted", {"id": 5})
    heard = woocommerce.hear(SETTINGS, headers, body, NOW)
    assert (heard.poll_orders, heard.reread, heard.look_at) == (True, ("5",), ())
    for bad_headers, bad_body in (
        ({}, body),
        (headers, body + b" "),
        (headers | {"x": "y"}, b"webhook_id=3"),
    ):
        with pytest.raises(Unheard):
            woocommerce.hear(SETTINGS, bad_headers, bad_body, NOW)


def test_the_ping_of_a_new_webhook_is_answered_and_does_nothing() -> None:
    heard = woocommerce.hear(SETTINGS, {}, b"webhook_id=12", NOW)
    assert (heard.topic, heard.poll_orders, heard.look_at, heard.orders) == ("ping", False, (), ())
    with pytest.raises(Unheard):
        woocommerce.hear(SETTINGS, {}, b"webhook_id=12&x=1", NOW)


def test_the_pace_is_that_of_what_stands_before_the_shop() -> None:
    assert woocommerce.pace(answer("", 503, retry_after="9")) == 9.0
    assert woocommerce.pace(answer([])) is None
