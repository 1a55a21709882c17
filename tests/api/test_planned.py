"""Planned changes: made for a date, applied when it comes, cancelled while they wait."""

from __future__ import annotations

import time
from typing import Any

import pytest

from native_calls import GIFT, Api, adjust, codes, hold

DUE = "2027-01-01T00:00:00Z"
A_YEAR_SECONDS = 365 * 24 * 3600
PATIENCE_SECONDS = 30


def ended(api: Api, number: int) -> Any:
    """The planned change once it waits no more."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (body := api.get(f"/planned-changes/{number}"))["status"] == "waiting":
        assert time.monotonic() < until, body
        time.sleep(0.02)
    return body


def test_it_is_applied_when_it_is_due(either: Api) -> None:
    changes = [
        adjust(7, location="MAIN"),
        {"op": "transfer", "item": GIFT, "from": 1, "to": 2, "quantity": 3},
    ]
    made = either.post("/planned-changes", {"due": DUE, "changes": changes}, 201)
    assert (made["status"], made["due"]) == ("waiting", "2027-01-01T00:00:00.000000Z")
    assert made["changes"] == [adjust(7) | {"floor": "available"}, changes[1]]
    assert either.level(GIFT) == (50, 0)
    either.hub.clock.ahead(A_YEAR_SECONDS)
    assert ended(either, made["id"])["status"] == "applied"
    assert either.level(GIFT) == (54, 0)
    assert either.ask("DELETE", f"/planned-changes/{made['id']}").json()["code"] == "already_ended"


def test_what_cannot_be_done_then_is_refused_with_its_reason(api: Api) -> None:
    made = api.post("/planned-changes", {"due": DUE, "changes": [adjust(1), adjust(-90)]}, 201)
    api.hub.clock.ahead(A_YEAR_SECONDS)
    body = ended(api, made["id"])
    assert body["status"] == "refused"
    assert body["outcome"]
    assert api.level(GIFT) == (50, 0)


def test_it_can_be_cancelled_while_it_waits(either: Api) -> None:
    made = [either.post("/planned-changes", {"due": DUE, "changes": [adjust(1)]}, 201) for _ in range(3)]
    body = either.ask("DELETE", f"/planned-changes/{made[0]['id']}").json()
    assert (body["status"], body["ended_at"] is None) == ("cancelled", False)
    assert either.ask("DELETE", f"/planned-changes/{made[0]['id']}").status_code == 409
    waiting = either.get("/planned-changes", params={"status": "waiting"})["data"]
    assert [row["id"] for row in waiting] == [one["id"] for one in made[1:]]
    page = either.get("/planned-changes", params={"limit": 2})
    rest = either.get("/planned-changes", params={"limit": 2, "cursor": page["next_cursor"]})
    assert len(page["data"] + rest["data"]) == 3


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"due": "soon", "changes": [adjust(1)]}, 422, "/due"),
        ({"due": 5, "changes": [adjust(1)]}, 422, "/due"),
        ({"due": "2020-01-01T00:00:00Z", "changes": [adjust(1)]}, 409, "/due"),
        ({"due": "2099-01-01T00:00:00Z", "changes": [adjust(1)]}, 409, "/due"),
        ({"due": DUE, "changes": []}, 422, "/changes"),
        ({"due": DUE, "changes": [hold(1)]}, 422, "/changes/0/op"),
        ({"due": DUE, "changes": [adjust(1), adjust(1, location="NO")]}, 404, "/changes/1/location"),
        ({"changes": [adjust(1)]}, 422, ""),
    ],
)
def test_plans_that_are_not_taken(api: Api, body: dict[str, Any], status: int, pointer: str) -> None:
    answer = api.ask("POST", "/planned-changes", body)
    assert (answer.status_code, codes(answer)[1]) == (status, [pointer])
    assert api.get("/planned-changes")["data"] == []


def test_plans_that_are_not_there(api: Api) -> None:
    for number in ("1", "0", "x", str(2**63)):
        answer = api.ask("GET", f"/planned-changes/{number}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_planned_change")
    assert api.ask("GET", "/planned-changes", params={"status": "late"}).status_code == 400
