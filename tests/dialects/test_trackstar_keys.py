"""Trackstar's Idempotency-Key: the same answer again, conflicts, failures that free it, races."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubs import Hub, demo_hub
from onhand.dialects.trackstar import setup
from onhand.store import channels, requests
from trackstar_calls import BATCH, call, faults, get, product, put, shop

RETENTION_SECONDS = 31 * 24 * 3600


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "trackstar") as running:
        yield running


def test_the_same_request_is_done_once(hub: Hub) -> None:
    at = shop(hub, "shopify")
    first = put(hub, at, at.body(quantity=5), key="k-1")
    put(hub, at, at.body(quantity=1))
    again = put(hub, at, at.body(quantity=5), key="k-1")
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert hub.levels(at.sku)["MAIN"].on_hand == 48


def test_the_order_of_keys_and_white_space_do_not_matter(hub: Hub) -> None:
    at = shop(hub, "mirakl")
    texts = [b'{"adjustment_type":"exact","quantity":5}', b'{ "quantity": 5,\n"adjustment_type": "exact" }']
    answers = [put(hub, at, text, key="k-1") for text in texts]
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert answers[0].content == answers[1].content


def test_another_body_or_endpoint_is_a_conflict(hub: Hub) -> None:
    at = shop(hub, "mirakl")
    body = at.body("exact", 5)
    assert put(hub, at, body, key="k-1").status_code == 200
    lines = {"line_items": [{"product_id": at.product, "quantity": 5}]}
    others = [
        put(hub, at, at.body("exact", 6), key="k-1"),
        put(hub, at, body, product="mirakl-23", key="k-1"),
        put(hub, at, lines, path=BATCH, key="k-1"),
        # The key is looked at before the body is checked.
        put(hub, at, {"quantity": -1}, key="k-1"),
    ]
    for answer in others:
        assert (answer.status_code, answer.json()) == (
            400,
            {
                "error": "The Idempotency-Key was used before for another endpoint or body",
                "origin": "trackstar",
            },
        )
    assert hub.levels("SHIRT-LINEN-M")["MAIN"].on_hand == 43


def test_a_failed_request_frees_its_key(hub: Hub) -> None:
    at = shop(hub, "wix")
    assert put(hub, at, at.body(quantity=-1), key="k-1").status_code == 422
    assert put(hub, at, at.body(), key="k-1", product="nothing").status_code == 404
    assert put(hub, at, at.body("decrease", 1000), key="k-1").status_code == 422
    assert put(hub, at, at.body("decrease", 2), key="k-1").status_code == 200
    assert put(hub, at, at.body("decrease", 1000), key="k-1").status_code == 400


def test_keys_belong_to_the_connection(hub: Hub) -> None:
    at, other = shop(hub, "wix"), shop(hub, "ebay")
    assert put(hub, at, at.body(quantity=5), key="k-1").status_code == 200
    assert "idempotent-replayed" not in put(hub, other, other.body(quantity=6), key="k-1").headers
    links = hub.read(lambda c: channels.links(c, hub.account, "trackstar"))
    link = next(one.id for one in links if one.integration == "wix")
    token = hub.write(lambda c: setup.credential(c, hub.account, link, hub.clock()))
    headers = at.headers | {"x-trackstar-access-token": token}
    again = put(hub, at, at.body(quantity=5), key="k-1", headers=headers)
    assert again.headers["idempotent-replayed"] == "true"


def test_a_batch_has_keys_too(hub: Hub) -> None:
    at = shop(hub, "mirakl")
    lines = {"line_items": [{"product_id": at.product, "quantity": 5}]}
    answers = [put(hub, at, lines, path=BATCH, key="k-1") for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotent-replayed"] == "true"


def test_many_at_once_with_one_key(hub: Hub) -> None:
    at = shop(hub, "wix")
    answers = hub.together([call(at, at.body(quantity=3), key="k-1") for _ in range(20)])
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert product(hub, at)["inventory_by_warehouse_id"]["wix-wh-1"] == 45


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("x" * 256, "Longer than maximum length 255."),
        ("", "Shorter than minimum length 1."),
        ("a\x01b", "Not a valid string."),
        ("a\x7fb", "Not a valid string."),
    ],
)
def test_bad_keys(hub: Hub, key: str, words: str) -> None:
    at = shop(hub, "wix")
    assert faults(put(hub, at, at.body(), key=key), "headers") == {"Idempotency-Key": [words]}
    assert put(hub, at, at.body(), key="x" * 255).status_code == 200


def test_an_answer_that_is_no_longer_kept(hub: Hub) -> None:
    at = shop(hub, "wix")
    assert put(hub, at, at.body(), key="k-1").status_code == 200
    later = hub.clock() + RETENTION_SECONDS * 1_000_000
    hub.write(lambda c: requests.prune(c, hub.account, later))
    answer = put(hub, at, at.body(), key="k-1")
    assert (answer.status_code, answer.json()["origin"]) == (400, "trackstar")
    assert "no longer kept" in answer.json()["error"]
    assert hub.levels(at.sku)["MAIN"].on_hand == 43


def test_reads_take_no_notice_of_a_key(hub: Hub) -> None:
    at = shop(hub, "wix")
    headers = at.headers | {"Idempotency-Key": ""}
    assert get(hub, at, "/cart/products", headers).status_code == 200
