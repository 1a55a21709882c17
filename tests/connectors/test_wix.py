"""Wix: what is said to either catalogue word for word, and what the answers mean."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from connectors.driver import NOW, SILENCE, answer, run, settings_of, target, wire
from fakes.wix import APP, APP_SECRET, EXAMPLE, INSTANCE, KEY, PUBLIC, SIMPLE, SITE, ids, webhook
from onhand.connectors import wix
from onhand.connectors.channel import plain_settings, read_settings
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

SETTINGS = settings_of(wix, **EXAMPLE.settings)
APPS = settings_of(wix, client_id=APP, client_secret=APP_SECRET, instance_id=INSTANCE, public_key=PUBLIC)
SET = "/stores/v3/bulk/inventory-items/update"
LOOK = "/stores/v3/inventory-items/query"


def of(number: int, offer: int, **slot: Any) -> Target:
    return target(number, offer, ids(number), "loc-1", **{"token": "7", **slot})


def result(index: int, code: str = "", revision: str = "8") -> dict[str, Any]:
    meta: dict[str, Any] = {"originalIndex": index, "success": not code}
    if code:
        return {"itemMetadata": meta | {"error": {"code": code, "description": "no"}}}
    return {"itemMetadata": meta, "item": {"revision": revision}}


def results(*rows: dict[str, Any]) -> Response:
    return answer({"results": list(rows)})


def record(number: int, quantity: int | None, revision: str = "9", location: str = "loc-1") -> dict[str, Any]:
    known = {
        "id": f"i-{number}-{location}",
        "productId": f"p-{number}",
        "variantId": f"v-{number}",
        "locationId": location,
        "revision": revision,
        "trackQuantity": quantity is not None,
    }
    return known if quantity is None else known | {"quantity": quantity}


def records(*rows: dict[str, Any], following: str | None = None) -> Response:
    cursors = {"next": following} if following else {}
    return answer({"inventoryItems": list(rows), "pagingMetadata": {"cursors": cursors}})


def push(*targets: Target, answers: list[Response]) -> tuple[list[Request], list[Verdict]]:
    return run(wix.push(SETTINGS, targets), answers)


# --- catalogue V3 ---------------------------------------------------------------------------------------


def test_records_are_set_together_under_their_revision() -> None:
    one, two = of(1, 5), of(2, 250_000)
    requests, verdicts = push(one, two, answers=[results(result(1), result(0, revision="11"))])
    assert [(r.method, r.url) for r in requests] == [("POST", SET)]
    assert requests[0].json == {
        "inventoryItems": [
            {"inventoryItem": {"id": "i-1-loc-1", "revision": "7", "quantity": 5}},
            {"inventoryItem": {"id": "i-2-loc-1", "revision": "7", "quantity": 99_999}},
        ],
        "reason": "MANUAL",
        "returnEntity": True,
    }
    assert verdicts == [
        Accepted(one, {"loc-1": "11"}, {"item:loc-1": "i-1-loc-1"}),
        Accepted(two, {"loc-1": "8"}, {"item:loc-1": "i-2-loc-1"}),
    ]


def test_unlimited_is_in_stock_without_a_number() -> None:
    requests, _ = push(of(1, 999, infinite=True), answers=[results(result(0))])
    said = {"id": "i-1-loc-1", "revision": "7", "inStock": True}
    assert requests[0].json["inventoryItems"] == [{"inventoryItem": said}]


def test_each_record_has_its_own_result_inside_a_200() -> None:
    rows = results(result(0), result(1, "NOT_FOUND"), result(2, "INVALID_REVISION"))
    aims = [of(1, 5), of(2, 6), of(3, 7), of(4, 8)]
    requests, verdicts = push(*aims, answers=[rows, records(record(3, 2))])
    assert requests[1].json["query"]["filter"] == {"productId": {"$in": ["p-3"]}}
    assert isinstance(verdicts[0], Accepted)
    assert verdicts[1] == Rejected(aims[1], "NOT_FOUND no", "NOT_FOUND")
    assert verdicts[2] == Stale(aims[2], {"loc-1": 2}, "INVALID_REVISION no", {"loc-1": "9"})
    assert isinstance(verdicts[3], Unsure), "nothing was said of it"


def test_a_stale_record_that_cannot_be_looked_up_is_stale_all_the_same() -> None:
    _, verdicts = push(aim := of(1, 5), answers=[results(result(0, "INVALID_REVISION")), answer(b"", 503)])
    assert verdicts == [Stale(aim, words="INVALID_REVISION no")]


@pytest.mark.parametrize(
    ("location", "kept", "observed"),
    [
        pytest.param(None, ["loc-2"], {None: 2}, id="the only one there is"),
        pytest.param(None, ["loc-1", "loc-2"], {}, id="nobody says which of two"),
        pytest.param("loc-1", ["loc-2"], {}, id="another than ours is left"),
        pytest.param("loc-1", ["loc-1", "loc-2"], {"loc-1": 2}, id="ours"),
    ],
)
def test_what_a_stale_record_shows_now_is_of_its_own_location(
    location: str | None, kept: list[str], observed: dict[str | None, int]
) -> None:
    known = {"catalog": "V3", "product": "p-1", "variant": "v-1", f"item:{location or ''}": "i-1"}
    aim = Target(1, known, (Slot(5, location, token="7"),), "k")
    look = records(*(record(1, 2 if place == kept[0] else 8, location=place) for place in kept))
    _, verdicts = push(aim, answers=[results(result(0, "INVALID_REVISION")), look])
    assert verdicts == [Stale(aim, observed, "INVALID_REVISION no", dict.fromkeys(observed, "9"))]


def test_without_a_revision_the_number_is_compared() -> None:
    same, other, new = (
        of(1, 5, token=None, observed=3),
        of(2, 5, token=None, acknowledged=3),
        of(3, 5, token=None),
    )
    look = records(record(1, 3), record(2, 2), record(3, 9))
    requests, verdicts = push(
        same,
        other,
        new,
        answers=[look, results(result(0), result(1))],
    )
    assert [r.url for r in requests] == [LOOK, SET]
    assert [row["inventoryItem"]["revision"] for row in requests[1].json["inventoryItems"]] == ["9", "9"]
    assert [type(verdict) for verdict in verdicts] == [Accepted, Stale, Accepted]
    assert verdicts[1] == Stale(other, {"loc-1": 2}, "the number has changed there", {"loc-1": "9"})


def test_a_look_goes_over_pages_and_a_cursor_is_told_alone() -> None:
    aim = of(1, 5, token=None)
    requests, verdicts = push(
        aim, answers=[records(record(2, 1), following="c"), records(record(1, 4)), results(result(0))]
    )
    assert requests[1].json == {"query": {"cursorPaging": {"limit": 1000, "cursor": "c"}}}
    assert isinstance(verdicts[0], Accepted)


def test_a_variant_without_a_record_is_not_given_one() -> None:
    aim = of(1, 5, token=None)
    requests, verdicts = push(aim, answers=[records()])
    assert len(requests) == 1
    assert verdicts == [Rejected(aim, "Wix keeps no stock of this variant at location loc-1", "no_record")]


def test_the_only_location_need_not_be_named() -> None:
    aim = Target(1, {"catalog": "V3", "product": "p-1", "variant": "v-1"}, (Slot(4),), "k")
    _, verdicts = push(aim, answers=[records(record(1, 4)), results(result(0))])
    assert verdicts == [Accepted(aim, {None: "8"}, {"item:": "i-1-loc-1"})]
    two = records(record(1, 4), record(1, 4, location="loc-2"))
    _, verdicts = push(aim, answers=[two])
    assert isinstance(verdicts[0], Rejected)


def test_slots_of_a_target_go_together_and_the_gravest_result_counts() -> None:
    known = {**ids(1), "item:loc-2": "i-1-loc-2"}
    aim = Target(1, known, (Slot(1, "loc-1", token="1"), Slot(2, "loc-2", token="2")), "k")
    _, verdicts = push(aim, answers=[results(result(0), result(1, revision="3"))])
    assert verdicts == [
        Accepted(aim, {"loc-1": "8", "loc-2": "3"}, {"item:loc-1": "i-1-loc-1", "item:loc-2": "i-1-loc-2"})
    ]
    look = records(record(1, 1, "8"), record(1, 7, "5", "loc-2"))
    _, verdicts = push(aim, answers=[results(result(0), result(1, "INVALID_REVISION")), look])
    assert verdicts[0] == Stale(
        aim, {"loc-1": 1, "loc-2": 7}, "INVALID_REVISION no", {"loc-1": "8", "loc-2": "5"}
    )


def test_the_same_record_twice_goes_in_two_calls() -> None:
    requests, _ = push(of(1, 5), of(1, 6), answers=[results(result(0)), results(result(0))])
    assert len(requests) == 2


WRONG_SITE = {"details": {"applicationError": {"code": "CATALOG_V1_SITE_CALLING_CATALOG_V3_API"}}}
BAD_FIELD = {"message": "no", "details": {"validationError": {"fieldViolations": [{"field": "quantity"}]}}}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (SILENCE, Unsure),
        (answer("<html>"), Unsure),
        (answer({"results": 3}), Unsure),
        (answer(b"", 429), Later),
        (answer(b"", 401), Later),
        (answer("<html>", 502), Later),
        (answer(BAD_FIELD, 400), Whole),
        (answer(WRONG_SITE, 428), Rejected),
    ],
)
def test_answers_about_the_whole(reply: Response, kind: type[Verdict]) -> None:
    _, verdicts = push(of(1, 5), of(2, 6), answers=[reply])
    assert {type(verdict) for verdict in verdicts} == {kind}


def test_a_site_that_moved_to_the_other_catalogue_says_so() -> None:
    _, verdicts = push(of(1, 5), answers=[answer(WRONG_SITE, 428)])
    assert isinstance(verdicts[0], Rejected)
    assert "import its listings again" in verdicts[0].words


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "INVALID_REVISION"), (400, "INVALID_REVISION"), (409, ""), (409, "ENTITY_CHANGED")],
)
def test_a_revision_conflict_of_the_whole_call_is_stale(status: int, code: str) -> None:
    conflict = answer({"details": {"applicationError": {"code": code}}}, status)
    _, verdicts = push(of(1, 5), answers=[conflict, records(record(1, 2))])
    assert isinstance(verdicts[0], Stale)
    assert verdicts[0].observed == {"loc-1": 2}


# --- catalogue V1 ---------------------------------------------------------------------------------------


def old(number: int, offer: int, variant: str = SIMPLE, product: str = "p-1") -> Target:
    return target(number, offer, {"catalog": "V1", "product": product, "variant": variant})


def test_v1_says_each_time_that_the_product_is_tracked() -> None:
    """Left out, tracking is switched off for all variants of the product."""
    aims = [old(1, 5, "a"), old(2, 6, "b"), old(3, 7, product="p-2")]
    requests, verdicts = push(*aims, answers=[answer({}), answer({})])
    assert [(r.method, r.url) for r in requests] == [
        ("PATCH", "/stores/v2/inventoryItems/product/p-1"),
        ("PATCH", "/stores/v2/inventoryItems/product/p-2"),
    ]
    variants = [{"variantId": "a", "quantity": 5}, {"variantId": "b", "quantity": 6}]
    assert requests[0].json == {"inventoryItem": {"trackQuantity": True, "variants": variants}}
    assert requests[1].json["inventoryItem"]["variants"] == [{"variantId": SIMPLE, "quantity": 7}]
    assert verdicts == [Accepted(aim) for aim in aims]


def test_v1_shows_the_cap_for_an_unlimited_item_and_takes_one_number() -> None:
    aim = target(1, 999, {"catalog": "V1", "product": "p-1"}, infinite=True)
    requests, _ = push(aim, answers=[answer({})])
    assert requests[0].json["inventoryItem"]["variants"] == [{"variantId": SIMPLE, "quantity": 999}]
    two = Target(1, {"catalog": "V1", "product": "p-1"}, (Slot(1), Slot(2, "x")), "k")
    assert isinstance(push(two, answers=[])[1][0], Rejected)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (SILENCE, Unsure),
        (answer("<html>"), Unsure),
        (answer(b"", 429), Later),
        (answer(b"", 500), Later),
        (answer({"message": "no"}, 400), Whole),
        (answer({"message": "no product"}, 404), Rejected),
        (answer("<html>not found</html>", 404), Later),
        (answer({"code": "CATALOG_V3_SITE_CALLING_CATALOG_V1_API"}, 428), Rejected),
    ],
)
def test_v1_answers(reply: Response, kind: type[Verdict]) -> None:
    _, verdicts = push(old(1, 5), answers=[reply])
    assert isinstance(verdicts[0], kind)


def test_v1_stops_when_wix_is_away() -> None:
    requests, verdicts = push(old(1, 5), old(2, 6, product="p-2"), answers=[answer(b"", 429)])
    assert len(requests) == 1
    assert all(isinstance(verdict, Later) for verdict in verdicts)


def test_v1_the_same_variant_twice_goes_in_two_calls() -> None:
    requests, _ = push(old(1, 5), old(2, 6), answers=[answer({}), answer({})])
    assert [r.json["inventoryItem"]["variants"][0]["quantity"] for r in requests] == [5, 6]


# --- which catalogue, tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "url"), [("V1_CATALOG", "/stores/v2/"), ("V3_CATALOG", "/stores/v3/")])
def test_a_listing_that_does_not_say_its_catalogue_makes_us_ask(said: str, url: str) -> None:
    aim = target(1, 5, {"product": "p-1", "variant": "v-1"})
    requests, _ = run(wix.push(SETTINGS, [aim]), iter([answer({"catalogVersion": said}), SILENCE]))
    assert requests[0].url == "/stores/v3/provision/version"
    assert requests[1].url.startswith(url)


def test_a_site_without_a_store_is_told_so() -> None:
    with pytest.raises(Failed) as raised:
        run(wix.check(SETTINGS), [answer({"catalogVersion": "STORES_NOT_INSTALLED"})])
    assert "no Wix Stores" in raised.value.words
    aim = target(1, 5, {"product": "p-1", "variant": "v-1"})
    _, verdicts = push(aim, answers=[answer({"catalogVersion": "STORES_NOT_INSTALLED"})])
    assert isinstance(verdicts[0], Rejected)


def test_a_key_goes_with_its_site_and_a_token_alone() -> None:
    sent = wire(wix, SETTINGS, Request("GET", "/x"))
    assert (sent.headers["Authorization"], sent.headers["wix-site-id"]) == (KEY, SITE)
    reply = answer({"access_token": "t-1", "token_type": "Bearer", "expires_in": 14400})
    requests, fresh = run(wix.tokens(APPS), [reply])
    assert fresh == {"access_token": "t-1", "expires_in": 14400}
    assert json.loads(wire(wix, APPS, requests[0]).body) == {
        "grant_type": "client_credentials",
        "client_id": APP,
        "client_secret": APP_SECRET,
        "instance_id": INSTANCE,
    }
    assert APP_SECRET not in repr(requests[0])
    renewed = settings_of(wix, **plain_settings(APPS) | {"access_token": "t-1"})
    assert wire(wix, renewed, Request("GET", "/x")).headers["Authorization"] == "t-1"
    with pytest.raises(Failed) as raised:
        run(wix.tokens(SETTINGS), [])
    assert raised.value.login


@pytest.mark.parametrize(
    "values",
    [{}, {"api_key": KEY}, {"client_id": APP}, {"api_key": KEY, "site_id": SITE, "public_key": "no key"}],
)
def test_settings_need_one_whole_way_in(values: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_settings(wix.Settings, values)


# --- hearing --------------------------------------------------------------------------------------------

LATER = NOW // 1_000_000 + 300
ORDER = {"id": "e-1", "entityId": "o-1"}
STOCK = {
    "id": "e-2",
    "actionEvent": {
        "bodyAsJson": json.dumps(
            {"appId": "someone", "inventoryItem": {"productId": "p-1", "variantId": "v-1"}}
        )
    },
}
OWN = {"id": "e-3", "actionEvent": {"body": {"appId": APP, "inventoryItem": {"productId": "p-1"}}}}


@pytest.mark.parametrize(
    ("topic", "event", "polls", "looks"),
    [
        ("wix.ecom.v1.order_created", ORDER, True, ()),
        ("wix.stores.catalog.v3.inventory_item_updated_with_reason", STOCK, False, ("p-1/v-1",)),
        ("wix.stores.catalog.v3.inventory_item_updated_with_reason", OWN, False, ()),
        ("wix.stores.something_else", {"id": "e-4"}, False, ()),
    ],
    ids=["order", "stock", "our own echo", "other"],
)
def test_a_webhook_is_a_hint(topic: str, event: dict[str, Any], polls: bool, looks: tuple[str, ...]) -> None:
    raw = webhook(topic, event, LATER)
    heard = wix.hear(APPS, {}, raw, NOW)
    assert (heard.id, heard.topic, heard.poll_orders, heard.look_at) == (event["id"], topic, polls, looks)
    assert wix.hear(APPS, {}, raw, NOW).id == heard.id, "a repetition has the same id"


def test_what_is_said_of_another_site_means_nothing() -> None:
    heard = wix.hear(APPS, {}, webhook("wix.ecom.v1.order_created", ORDER, LATER, "other"), NOW)
    assert (heard.poll_orders, heard.look_at) == (False, ())


GOOD = webhook("wix.ecom.v1.order_created", ORDER, LATER)


@pytest.mark.parametrize(
    "raw",
    [
        GOOD[:-4] + b"AAAA",
        GOOD.replace(b".", b".e", 1),
        b".".join(GOOD.split(b".")[:2]) + b".",
        webhook("x", ORDER, NOW // 1_000_000 - 300),
        webhook("x", ORDER, LATER, alg="none"),
        webhook("x", ORDER, LATER, alg="HS256"),
        b"a.b.c",
        b"\xff.\xff.\xff",
    ],
    ids=["signature", "payload", "unsigned", "expired", "alg none", "alg HS256", "garbage", "bytes"],
)
def test_a_webhook_of_somebody_else_is_not_heard(raw: bytes) -> None:
    with pytest.raises(Unheard):
        wix.hear(APPS, {}, raw, NOW)
