"""The connector of the sandbox: exact requests, verdicts on every kind of answer, orders and webhooks."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from connectors.driver import NOW, SILENCE, answer, run, settings_of, talk, target, wire
from fakes.etsy import EXAMPLE as ETSY
from fakes.sandbox import EXAMPLE, Fake
from onhand.connectors import etsy, kind, sandbox
from onhand.connectors.channel import Limit, Secret
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    OrderLine,
    Place,
    Rejected,
    Response,
    Seen,
    Shown,
    Slot,
    Stale,
    Target,
    Unheard,
    Unsure,
    Verdict,
    Whole,
)

SETTINGS = settings_of(sandbox, **EXAMPLE.settings)


def aim(number: int, offer: int, location: str | None = "main", **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), location, **slot)


def row(number: int, status: Any = "ok", **more: Any) -> dict[str, Any]:
    return {"variant": f"v{number}", "location": "main", "status": status, **more}


def pushed(answers: list[Response], *targets: Target) -> list[Verdict]:
    return run(sandbox.push(SETTINGS, targets), answers)[1]


# --- requests -------------------------------------------------------------------------------------------


def test_a_push_as_it_goes_out() -> None:
    targets = [
        aim(1, 5, token="7"),
        aim(2, 10**9),
        aim(3, 999, None, infinite=True),
    ]
    said = answer({"results": [row(1), row(2), row(3)]})
    (request,), verdicts = run(sandbox.push(SETTINGS, targets), [said])
    out = wire(sandbox, SETTINGS, request)
    assert (out.method, out.url) == ("POST", "http://127.0.0.1:8081/v1/stock")
    assert json.loads(out.body) == {
        "items": [
            {"variant": "v1", "location": "main", "revision": 7, "quantity": 5},
            {"variant": "v2", "location": "main", "quantity": 1_000_000},
            {"variant": "v3", "unlimited": True},
        ]
    }
    assert out.headers["Authorization"] == "Bearer access-token-0913"
    assert len(out.headers["Idempotency-Key"]) == 32
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ({}, (Limit("default", calls=100, seconds=1, burst=50),)),
        ({"rate": 2.5, "burst": 4}, (Limit("default", calls=2.5, seconds=1, burst=4),)),
        ({"rate": 0}, ()),
    ],
)
def test_a_connection_knows_the_limit_of_its_sandbox(
    values: dict[str, Any], limits: tuple[Limit, ...]
) -> None:
    settings = settings_of(sandbox, **EXAMPLE.settings, **values)
    assert kind.limits(sandbox, settings) == limits


def test_the_limits_of_a_channel_are_those_of_its_connections() -> None:
    settings = settings_of(etsy, **ETSY.settings)
    assert kind.limits(etsy, settings) == etsy.CHANNEL.limits


@pytest.mark.parametrize("values", [{"rate": -1}, {"rate": "fast"}, {"burst": 0}, {"burst": 2.5}])
def test_a_limit_that_is_none(values: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings_of(sandbox, **EXAMPLE.settings, **values)


def test_the_key_is_of_the_state_that_is_said() -> None:
    keys = []
    for key in ("one", "one", "other"):
        one = Target(1, EXAMPLE.ids(1), (Slot(3, "main"),), key)
        (request,), _ = run(sandbox.push(SETTINGS, [one]), [answer({"results": [row(1)]})])
        keys.append(dict(request.headers)["Idempotency-Key"])
    assert keys[0] == keys[1] != keys[2]


def test_many_numbers_take_several_requests_and_stop_when_the_channel_is_away() -> None:
    slots = tuple(Slot(n, f"place-{n}") for n in range(60))
    targets = [Target(n, EXAMPLE.ids(n), slots, f"key-{n}") for n in (1, 2)]
    requests, verdicts = run(sandbox.push(SETTINGS, targets), [answer(status=503, retry_after="9")])
    assert len(requests) == 1
    assert [type(verdict) for verdict in verdicts] == [Later, Later]
    assert isinstance(verdicts[1], Later)
    assert verdicts[1].seconds == 9
    fake = Fake()
    for number in (1, 2):
        fake.stock(number, 0).levels.update(
            {slot.location or "": fake.stock(9, 0).levels["main"] for slot in slots}
        )
    talk(sandbox.push(SETTINGS, targets), sandbox, SETTINGS, fake)
    assert [len(json.loads(wire.body)["items"]) for wire in fake.requests] == [50, 50, 20]


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (answer({"results": [row(1, revision=8, quantity=5)]}), Accepted, ""),
        (answer({"results": [row(1, "conflict", revision=9, quantity=2)]}), Stale, "changed"),
        (answer({"results": [row(1, "error", code="busy", message="wait")]}), Later, "wait"),
        (answer({"results": [row(1, "error", code="unknown_variant", message="no")]}), Rejected, "no"),
        (answer({"results": [row(2)]}), Unsure, "does not name it"),
        (answer({"results": []}), Unsure, "does not name it"),
        (answer({"results": [row(1, "maybe")]}), Unsure, "not as documented"),
        (answer({"results": [row(1, "ok", revision="8", quantity=5.0)]}), Accepted, ""),
        (answer({"results": [row(1, "ok", revision=True), 7]}), Accepted, ""),
        (answer({"results": [7]}), Unsure, "does not name it"),
        (answer({"results": [row(1, None)]}), Unsure, "not as documented"),
        (answer({"results": [row(1, ["ok"])]}), Unsure, "not as documented"),
        (answer({"results": [row(1), row(1), row(1)]}), Accepted, ""),
        (answer("<html>"), Unsure, "does not name it"),
        (answer(status=422, body={"error": {"code": "bad_item"}}), Whole, "422"),
        (answer(status=429, retry_after="3"), Later, "429"),
        (answer(status=429), Later, "429"),
        (answer(status=500), Later, "500"),
        (answer(status=401), Later, "401"),
        (SILENCE, Unsure, "no answer"),
    ],
)
def test_an_answer_and_its_verdict(given: Response, kind: type[Any], words: str) -> None:
    (verdict,) = pushed([given], aim(1, 5, token="7"))
    assert isinstance(verdict, kind)
    assert words in getattr(verdict, "words", "")


def test_a_conflict_says_what_is_there() -> None:
    (verdict,) = pushed([answer({"results": [row(1, "conflict", revision=9, quantity=2)]})], aim(1, 5))
    assert isinstance(verdict, Stale)
    assert (verdict.observed, verdict.tokens) == ({"main": 2}, {"main": "9"})


def test_one_conflict_of_two_numbers_makes_the_listing_stale_with_both_revisions() -> None:
    both = Target(1, EXAMPLE.ids(1), (Slot(5, "main"), Slot(6, "outlet")), "key-1")
    said = [row(1, revision=4, quantity=5), row(1, "conflict", revision=9, quantity=2)]
    (verdict,) = pushed([answer({"results": said})], both)
    assert isinstance(verdict, Stale)
    assert verdict.observed == {"main": 5, "outlet": 2}
    assert verdict.tokens == {"main": "4", "outlet": "9"}


def test_without_a_variant_or_a_number_nothing_is_sent() -> None:
    targets = [Target(1, {}, (Slot(1),), "a"), Target(2, EXAMPLE.ids(2), (), "b")]
    requests, verdicts = run(sandbox.push(SETTINGS, targets), [])
    assert requests == []
    assert [type(verdict) for verdict in verdicts] == [Rejected, Rejected]


# --- tokens ---------------------------------------------------------------------------------------------


def test_the_next_pair_for_the_refresh_token() -> None:
    said = answer({"access_token": "a", "refresh_token": "b", "expires_in": 60})
    (request,), found = run(sandbox.tokens(SETTINGS), [said])
    assert request.signed is False
    assert request.json["refresh_token"] == Secret("refresh-token-5be2")
    assert found == {"access_token": "a", "refresh_token": "b", "expires_in": 60}


def test_a_refresh_token_that_was_forgotten_is_no_end() -> None:
    said = [answer({"error": {}}, 400), answer({"access_token": "a", "refresh_token": "b"})]
    requests, found = run(sandbox.tokens(SETTINGS), said)
    assert [sorted(request.json) for request in requests] == [
        ["client_id", "client_secret", "refresh_token"],
        ["client_id", "client_secret"],
    ]
    assert found["access_token"] == "a"


def test_wrong_credentials_are_a_matter_of_login() -> None:
    with pytest.raises(Failed) as raised:
        run(sandbox.tokens(SETTINGS), [answer(status=401)])
    assert raised.value.login


# --- against the fake -----------------------------------------------------------------------------------


@pytest.fixture
def fake() -> Fake:
    made = Fake()
    for number, quantity in ((1, 5), (2, 0), (3, 8)):
        made.stock(number, quantity)
    return made


def tell(fake: Fake, *targets: Target) -> list[Verdict]:
    return talk(sandbox.push(SETTINGS, targets), sandbox, SETTINGS, fake)


def test_a_sale_in_between_is_noticed_by_its_revision(fake: Fake) -> None:
    fake.sell("SKU-1", 2)
    (stale,) = tell(fake, aim(1, 9, token="1"))
    assert isinstance(stale, Stale)
    assert stale.observed == {"main": 3}
    (done,) = tell(fake, aim(1, 7, token=stale.tokens["main"]))
    assert isinstance(done, Accepted)
    assert fake.shown("SKU-1") == 7


def test_what_was_done_and_not_answered_is_not_done_twice(fake: Fake) -> None:
    fake.faults.lose = 1
    assert isinstance(tell(fake, aim(1, 9, token="1"))[0], Unsure)
    assert fake.shown("SKU-1") == 9
    again = tell(fake, aim(1, 9, token="1"))[0]
    assert isinstance(again, Accepted)
    assert again.tokens == {"main": "2"}


def test_errors_inside_a_success(fake: Fake) -> None:
    fake.faults.errors = 1
    verdicts = tell(fake, aim(1, 9), aim(2, 4))
    assert [type(verdict) for verdict in verdicts] == [Rejected, Accepted]


def test_what_was_refused_under_a_key_is_tried_again_and_what_was_done_is_not(fake: Fake) -> None:
    fake.faults.errors, fake.faults.error_code = 1, "busy"
    for kinds in ([Later, Accepted], [Accepted, Accepted], [Accepted, Accepted]):
        assert [type(verdict) for verdict in tell(fake, aim(1, 9), aim(2, 4))] == kinds
        fake.edit("SKU-2", 77)
    assert (fake.shown("SKU-1"), fake.shown("SKU-2")) == (9, 77)


def test_unlimited_and_back(fake: Fake) -> None:
    tell(fake, aim(1, 999, infinite=True))
    assert fake.shown("SKU-1") is None
    tell(fake, aim(1, 4))
    assert fake.shown("SKU-1") == 4


def test_stock_of_the_channel_itself_is_not_ours(fake: Fake) -> None:
    fake.stock(4, 3, owned=True)
    (refused,) = tell(fake, aim(4, 9, "centre"))
    assert isinstance(refused, Rejected) and refused.code == "not_yours"
    page = talk(sandbox.pull(SETTINGS, None), sandbox, SETTINGS, fake)
    assert [seen.writable for seen in page.seen] == [True, True, True, False]


def test_pull_in_pages(fake: Fake) -> None:
    for number in range(4, 403):
        fake.stock(number, number)
    seen: list[Seen] = []
    cursor: str | None = None
    for _ in range(3):
        page = talk(sandbox.pull(SETTINGS, cursor), sandbox, SETTINGS, fake)
        seen += page.seen
        cursor = page.cursor
    assert cursor is None
    assert len(seen) == 402
    assert seen[0] == Seen(
        {"product": "p1", "variant": "v1"},
        "SKU-1",
        (Shown(5, "main", "1"), Shown(0, "outlet", "1")),
        title="Thing 1",
    )


def test_what_is_unlimited_shows_no_number() -> None:
    levels = [{"location": "l", "quantity": 4, "unlimited": True, "revision": 2}]
    product = {"id": "p", "variants": [{"id": "v", "sku": "A", "levels": levels}]}
    _, page = run(sandbox.pull(SETTINGS, None), [answer({"products": [product]})])
    assert page.seen[0].shown == (Shown(None, "l", "2"),)


def test_an_order_without_a_time_is_not_taken() -> None:
    said = {"orders": [{"id": "o", "paid": True, "lines": []}], "cursor": "1"}
    with pytest.raises(Failed):
        run(sandbox.orders(SETTINGS, "0"), [answer(said)])


def test_places_and_check(fake: Fake) -> None:
    assert talk(sandbox.places(SETTINGS), sandbox, SETTINGS, fake) == [
        Place("main", "Main", default=True),
        Place("outlet", "Outlet"),
        Place("centre", "Centre", ours=False),
    ]
    assert talk(sandbox.check(SETTINGS), sandbox, SETTINGS, fake) == "Sandbox, 3 products"


def test_orders_and_what_becomes_of_them(fake: Fake) -> None:
    order = fake.shop.place([("SKU-1", 3, None), ("SKU-3", 2, "main")])
    first = talk(sandbox.orders(SETTINGS, None), sandbox, SETTINGS, fake)
    assert [one.holds for one in first.orders] == [False]
    fake.shop.pay(order)
    fake.shop.ship(order, order.lines[0].id, 2)
    fake.shop.cancel(order, order.lines[0].id)
    fake.shop.refund(order, units=1)
    second = talk(sandbox.orders(SETTINGS, first.cursor), sandbox, SETTINGS, fake)
    (found,) = second.orders
    assert found.holds
    assert found.updated > first.orders[0].updated
    assert found.lines == (
        OrderLine("1-1", {"variant": "v1"}, "SKU-1", 3, 1, 2, 1, "main"),
        OrderLine("1-2", {"variant": "v3"}, "SKU-3", 2, 0, 0, 0, "main"),
    )
    assert fake.shown("SKU-1") == 5 - 3 + 1 + 1
    third = talk(sandbox.orders(SETTINGS, second.cursor), sandbox, SETTINGS, fake)
    assert (third.orders, third.more) == ((), False)


def test_the_first_look_is_at_open_orders_only(fake: Fake) -> None:
    done = fake.sell("SKU-1", 1)
    fake.shop.ship(fake.shop.order(done))
    waiting = fake.sell("SKU-3", 1)
    page = talk(sandbox.orders(SETTINGS, None), sandbox, SETTINGS, fake)
    assert [order.id for order in page.orders] == [waiting]


def test_what_is_shipped_while_many_open_orders_are_read_is_told_next(fake: Fake) -> None:
    orders = [fake.shop.place([("SKU-1", 1, None)]) for _ in range(250)]
    first = talk(sandbox.orders(SETTINGS, None), sandbox, SETTINGS, fake)
    for order in (orders[0], orders[240]):
        fake.shop.pay(order)
        fake.shop.ship(order)
    second = talk(sandbox.orders(SETTINGS, first.cursor), sandbox, SETTINGS, fake)
    assert (len(first.orders), len(second.orders), second.more) == (200, 49, False)
    third = talk(sandbox.orders(SETTINGS, second.cursor), sandbox, SETTINGS, fake)
    assert [(order.id, order.lines[0].shipped) for order in third.orders] == [
        (orders[0].id, 1),
        (orders[240].id, 1),
    ]
    assert talk(sandbox.orders(SETTINGS, third.cursor), sandbox, SETTINGS, fake).orders == ()


# --- webhooks -------------------------------------------------------------------------------------------


def test_an_order_in_a_webhook(fake: Fake) -> None:
    body = json.dumps(
        {
            "id": "w-1",
            "topic": "order.changed",
            "order": {"id": "o", "updated_at": 5, "paid": True, "lines": []},
        }
    ).encode()
    headers, raw = fake.webhook(body, NOW)
    heard = sandbox.hear(SETTINGS, headers, raw, NOW + 1_000_000)
    assert (heard.id, heard.topic) == ("w-1", "order.changed")
    assert [(order.id, order.updated, order.holds) for order in heard.orders] == [("o", 5, True)]


def test_a_number_in_a_webhook_is_a_hint(fake: Fake) -> None:
    headers, raw = fake.webhook(b'{"id": "w-2", "topic": "stock.changed", "variant": "v1"}', NOW)
    assert sandbox.hear(SETTINGS, headers, raw, NOW).look_at == ("v1",)


@pytest.mark.parametrize(
    ("change", "later", "words"),
    [
        ({"sandbox-signature": "00" * 32}, 0, "signature"),
        ({"sandbox-signature": "ä"}, 0, "signature"),
        ({"sandbox-time": "1"}, 0, "signature"),
        ({"sandbox-time": "soon"}, 0, "not signed"),
        ({}, 301, "too old"),
        ({}, -301, "too old"),
    ],
)
def test_a_message_that_is_not_heard(fake: Fake, change: dict[str, str], later: int, words: str) -> None:
    headers, raw = fake.webhook(b'{"id": "w-3", "topic": "order.changed"}', NOW)
    with pytest.raises(Unheard, match=words):
        sandbox.hear(SETTINGS, headers | change, raw, NOW + later * 1_000_000)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"", b'{"id": "w", "order": {}}', b'{"id": "w", "order": 3}'])
def test_a_signed_message_that_says_nothing(fake: Fake, body: bytes) -> None:
    headers, raw = fake.webhook(body, NOW)
    with pytest.raises(Unheard) as raised:
        sandbox.hear(SETTINGS, headers, raw, NOW)
    assert raised.value.status == 400
