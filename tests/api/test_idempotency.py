"""Idempotency-Key: done once and answered alike, whatever has changed since; never for something else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from hubs import Call
from native_calls import GIFT, MAIN, PREFIX, Api, adjust
from onhand.store import requests

LINES = [{"item": GIFT, "quantity": 2}]
FUTURE = "2027-01-01T00:00:00Z"
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/changes", {"changes": [adjust(-1)]}),
    ("POST", "/changes", {"changes": [adjust(-1), adjust(-99)], "mode": "partial"}),
    ("POST", "/transfers", {"item": GIFT, "from": 1, "to": 2, "quantity": 1}),
    ("PUT", f"/levels/{GIFT}/{MAIN}", {"on_hand": 3}),
    ("DELETE", f"/levels/{GIFT}/{MAIN}", None),
    ("POST", "/reservations", {"reference": "r", "ttl_seconds": 9, "lines": LINES}),
    ("POST", "/items", {"sku": "NEW"}),
    ("POST", "/items", {"items": [{"sku": "NEW"}]}),
    ("PATCH", f"/items/{GIFT}", {"name": "Box"}),
    ("POST", "/sellers", {"name": "New"}),
    ("PATCH", "/sellers/1", {"name": "New"}),
    ("POST", "/locations", {"name": "NEW"}),
    ("PATCH", "/locations/1", {"name": "NEW"}),
    ("POST", "/listings", {"connection": 1, "external_id": str(UUID(int=1)), "item": GIFT, "location": 1}),
    ("PATCH", "/listings/1", {"status": "closed"}),
    ("POST", "/planned-changes", {"due": FUTURE, "changes": [adjust(1)]}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_the_same_again_is_done_once(api: Api, method: str, path: str, body: Any) -> None:
    first = api.ask(method, path, body, Idempotency_Key="k-1")
    assert first.is_success, first.text
    seen = api.get("/verify")["as_of_seq"]
    again = api.ask(method, path, body, Idempotency_Key='"k-1"')
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert [again.headers.get(name) for name in ("etag", "location")] == [
        first.headers.get(name) for name in ("etag", "location")
    ]
    assert api.get("/verify")["as_of_seq"] == seen
    other = api.ask("POST", "/changes", {"changes": [adjust(-2)]}, Idempotency_Key="k-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_on_both_databases(either: Api) -> None:
    for method, path, body in WRITES:
        key = f"{method} {path}"
        first = either.ask(method, path, body, Idempotency_Key=key)
        again = either.ask(method, path, body, Idempotency_Key=key)
        if first.is_success:
            assert (again.status_code, again.content) == (first.status_code, first.content)


def test_a_replay_does_not_look_at_what_is_there_now(api: Api) -> None:
    item = api.post("/items", {"sku": "OLD"}, 201)["id"]
    asked = {"changes": [adjust(1, item=None, sku="OLD")]}
    first = api.ask("POST", "/changes", asked, Idempotency_Key="k")
    hold = {"reference": "r", "expires_at": "2027-01-01T00:00:00Z", "lines": LINES}
    held = api.ask("POST", "/reservations", hold, Idempotency_Key="h")
    api.ask("PATCH", f"/items/{item}", {"sku": "RENAMED"})
    api.hub.clock.ahead(300 * 24 * 3600)
    assert api.ask("POST", "/changes", asked, Idempotency_Key="k").content == first.content
    assert api.ask("POST", "/changes", asked).json()["code"] == "unknown_item"
    assert api.ask("POST", "/reservations", hold, Idempotency_Key="h").content == held.content


def test_a_refusal_leaves_the_key_free(either: Api) -> None:
    asked = {"changes": [adjust(-60)]}
    assert either.ask("POST", "/changes", asked, Idempotency_Key="k").status_code == 409
    either.change(adjust(20))
    answer = either.ask("POST", "/changes", asked, Idempotency_Key="k")
    assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, False)
    sku = {"sku": "TAKEN"}
    either.post("/items", sku, 201)
    for _ in range(2):
        assert either.ask("POST", "/items", sku, Idempotency_Key="i").status_code == 409


def test_an_answer_is_kept_for_a_month_and_its_key_for_ever(either: Api) -> None:
    asked = {"changes": [adjust(-1)]}
    either.ask("POST", "/changes", asked, Idempotency_Key="k")
    either.ask("DELETE", f"/levels/{GIFT}/2", Idempotency_Key="d")
    later = either.hub.clock() + requests.BODY_KEPT_US + 1
    either.hub.write(lambda c: requests.prune(c, either.hub.account, later))
    answer = either.ask("POST", "/changes", asked, Idempotency_Key="k")
    assert (answer.status_code, answer.json()["code"]) == (409, "answer_gone")
    other = either.ask("POST", "/changes", {"changes": [adjust(-2)]}, Idempotency_Key="k")
    assert other.json()["code"] == "idempotency_key_reused"
    assert either.level(GIFT) == (49, 0)


def test_keys_belong_to_their_caller(api: Api) -> None:
    asked = {"changes": [adjust(-1)]}
    for caller in (api, api.caller(), api.caller()):
        caller.ask("POST", "/changes", asked, Idempotency_Key="k")
    assert api.level(GIFT) == (47, 0)


@pytest.mark.parametrize("key", ["", " ", "é", "a\tb", "x" * 256, '"' + "x" * 254 + '"'])
def test_keys_that_are_not_taken(api: Api, key: str) -> None:
    answer = api.hub.client.post(
        f"{PREFIX}/changes",
        json={"changes": [adjust(-1)]},
        headers=[(b"Authorization", f"Bearer {api.key}".encode()), (b"Idempotency-Key", key.encode())],
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_header")
    assert api.level(GIFT) == (50, 0)


@pytest.mark.parametrize("key", ["x", "x" * 255, '""', '"a b"', "a,b", '"'])
def test_keys_that_are_taken(api: Api, key: str) -> None:
    for _ in range(2):
        answer = api.ask("POST", "/changes", {"changes": [adjust(-1)]}, Idempotency_Key=key)
        assert answer.status_code == 200
    assert api.level(GIFT) == (49, 0)


def test_two_headers_are_none(api: Api) -> None:
    headers = [("Authorization", f"Bearer {api.key}"), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = api.hub.client.post(f"{PREFIX}/changes", json={"changes": [adjust(-1)]}, headers=headers)
    assert answer.status_code == 400


def test_many_at_once_with_one_key(either: Api) -> None:
    headers = {"Authorization": f"Bearer {either.key}", "Idempotency-Key": "once"}
    calls = [Call("POST", f"{PREFIX}/changes", {"headers": headers, "json": {"changes": [adjust(-1)]}})] * 12
    items = [
        Call("POST", f"{PREFIX}/items", {"headers": headers | {"Idempotency-Key": "i"}, "json": {"sku": "N"}})
    ] * 6
    answers = either.hub.together(calls + items)
    assert {answer.status_code for answer in answers[:12]} == {200}
    assert len({answer.content for answer in answers[:12]}) == 1
    assert len({answer.content for answer in answers[12:]}) == 1
    assert either.level(GIFT) == (49, 0)
