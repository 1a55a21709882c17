"""Reservations: made, extended, confirmed, released, shipped, given back, run out; kits and splits."""

from __future__ import annotations

from typing import Any

import pytest

from hubs import Call
from native_calls import (
    EAST,
    GIFT,
    GIFT_SKU,
    LAMP,
    MAIN,
    PREFIX,
    SHADE,
    SHADE_SKU,
    Api,
    adjust,
    codes,
    escaped,
    hold,
)


def made(api: Api, quantity: int = 4, reference: str = "r", **more: Any) -> Any:
    lines = [{"sku": GIFT_SKU, "quantity": quantity}]
    until = {} if "expires_at" in more or "confirmed" in more else {"ttl_seconds": 60}
    return api.post("/reservations", {"reference": reference, "lines": lines} | until | more)


def counts(body: Any) -> list[tuple[int, ...]]:
    names = ("held", "shipped", "released", "expired", "returned")
    return [tuple(line[name] for name in names) for line in body["lines"]]


def test_the_life_of_one(either: Api) -> None:
    body = made(either)
    assert (body["status"], counts(body), body["owner"]) == ("held", [(4, 0, 0, 0, 0)], "native:demo")
    assert either.level(GIFT) == (50, 4)
    assert either.post("/reservations/r/extend", {"ttl_seconds": 600})["expires_at"] > body["expires_at"]
    body = either.post("/reservations/r/confirm")
    assert (body["status"], body["expires_at"]) == ("confirmed", None)
    part = {"lines": [{"item": GIFT, "quantity": 1, "location": "MAIN"}], "reason": "picked"}
    assert counts(either.post("/reservations/r/release", part)) == [(3, 0, 1, 0, 0)]
    assert counts(either.post("/reservations/r/ship", part)) == [(2, 1, 1, 0, 0)]
    body = either.post("/reservations/r/ship")
    assert (body["status"], counts(body)) == ("shipped", [(0, 3, 1, 0, 0)])
    assert counts(either.post("/reservations/r/return", part)) == [(0, 3, 1, 0, 1)]
    assert either.level(GIFT) == (48, 0)
    again = either.get("/reservations/r")
    assert (again["lines"], again["lines"][0]["sku"]) == (
        either.get("/reservations")["data"][0]["lines"],
        GIFT_SKU,
    )


def test_the_same_reference_replaces_the_callers_own_hold(api: Api) -> None:
    lines = {"reference": "r", "ttl_seconds": 60, "lines": [{"item": GIFT, "quantity": 45}]}
    assert api.ask("POST", "/reservations", lines).status_code == 201
    lines["lines"] = [{"item": GIFT, "quantity": 50}]
    answer = api.ask("POST", "/reservations", lines)
    assert (answer.status_code, counts(answer.json())) == (200, [(50, 0, 0, 0, 0)])
    other = api.caller().ask("POST", "/reservations", lines)
    assert (other.status_code, other.json()["code"]) == (409, "reference_taken")
    assert "status" not in other.json()["errors"][0]


def test_a_hold_runs_out_on_time(either: Api) -> None:
    made(either)
    either.hub.clock.ahead(59)
    assert either.get("/reservations/r")["status"] == "held"
    either.hub.clock.ahead(1)
    body = either.get("/reservations/r")
    assert (body["status"], counts(body)) == ("expired", [(0, 0, 0, 4, 0)])
    assert either.level(GIFT) == (50, 0)
    for action, asked in (("extend", {"ttl_seconds": 5}), ("confirm", {})):
        answer = either.ask("POST", f"/reservations/r/{action}", asked)
        assert (answer.status_code, answer.json()["code"]) == (409, "hold_expired")
        assert answer.json()["errors"][0]["expired_at"] == body["expires_at"]
    assert either.post("/reservations/r/ship")["status"] == "shipped"
    assert either.level(GIFT) == (46, 0)


def test_a_line_is_split_over_locations_in_order(api: Api) -> None:
    lines = [{"sku": SHADE_SKU, "quantity": 25, "locations": ["EAST", MAIN]}]
    body = api.post("/reservations", {"reference": "r", "expires_at": None, "lines": lines})
    assert [(line["location_name"], line["held"]) for line in body["lines"]] == [("EAST", 10), ("MAIN", 15)]
    part = {"lines": [{"item": SHADE, "quantity": 2, "location": EAST}]}
    assert [line["held"] for line in api.post("/reservations/r/release", part)["lines"]] == [8, 15]


def test_without_a_location_the_accounts_own_are_drawn_on(api: Api) -> None:
    lines = [{"sku": SHADE_SKU, "quantity": 23}]
    answer = api.ask("POST", "/reservations", {"reference": "r", "expires_at": None, "lines": lines})
    assert (answer.status_code, answer.json()["errors"][0]["available"]) == (409, 22)
    assert api.level(SHADE, EAST) == (10, 0)


def test_a_kit_reserves_its_components(either: Api) -> None:
    parts = [{"item": GIFT, "quantity": 2}, {"sku": SHADE_SKU, "quantity": 1}]
    kit = either.post("/items", {"sku": "KIT", "components": parts}, 201)["id"]
    asked = {
        "reference": "r",
        "confirmed": True,
        "lines": [{"sku": "KIT", "quantity": 3, "location": "MAIN"}],
    }
    body = either.post("/reservations", asked, 201)
    rows = [(line["sku"], line["held"], line["kit"], line["per"]) for line in body["lines"]]
    assert sorted(rows) == [(GIFT_SKU, 6, kit, 2), (SHADE_SKU, 3, kit, 1)]
    body = either.post("/reservations/r/ship", {"lines": [{"sku": "KIT", "quantity": 1}]})
    assert sorted(line["held"] for line in body["lines"]) == [2, 4]
    own = either.ask("PUT", f"/levels/{kit}/{MAIN}", {"on_hand": 1})
    assert (own.status_code, own.json()["code"]) == (409, "not_allowed")


@pytest.mark.parametrize("reference", ["a/b", "ä ö", "100%", "a?b#c", "sku:1", "..", "x" * 512])
def test_references_are_free_text(api: Api, reference: str) -> None:
    made(api, reference=reference)
    path = f"/reservations/{escaped(reference)}"
    if reference == "..":
        path = "/reservations/%2E%2E"
    assert api.get(path)["reference"] == reference
    assert api.post(f"{path}/release")["status"] == "released"


def test_pages(api: Api) -> None:
    names = [f"order-{number}" for number in range(5)]
    for name in names:
        made(api, 1, name)
    first = api.get("/reservations", params={"limit": 3})
    rest = api.get("/reservations", params={"limit": 3, "cursor": first["next_cursor"]})
    assert [row["reference"] for row in first["data"] + rest["data"]] == names
    assert rest["next_cursor"] is None


LINES = [{"item": GIFT, "quantity": 1}]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"reference": "r", "lines": LINES}, 422, ""),
        ({"reference": "r", "lines": LINES, "ttl_seconds": 5, "expires_at": None}, 422, ""),
        ({"reference": "r", "lines": LINES, "ttl_seconds": 5, "confirmed": True}, 422, ""),
        ({"reference": "r", "lines": LINES, "ttl_seconds": 0}, 422, "/ttl_seconds"),
        ({"reference": "r", "lines": LINES, "ttl_seconds": 10**9}, 422, "/ttl_seconds"),
        ({"reference": "r", "lines": LINES, "expires_at": "soon"}, 422, "/expires_at"),
        ({"reference": "r", "lines": LINES, "expires_at": 5}, 422, "/expires_at"),
        ({"reference": "r", "lines": LINES, "expires_at": "2020-01-01T00:00:00Z"}, 409, "/expires_at"),
        ({"reference": "r", "lines": LINES, "expires_at": "2999-01-01T00:00:00Z"}, 409, "/expires_at"),
        ({"reference": "r", "lines": [], "ttl_seconds": 5}, 422, "/lines"),
        ({"reference": "", "lines": LINES, "ttl_seconds": 5}, 422, "/reference"),
        ({"lines": LINES, "ttl_seconds": 5}, 422, ""),
        (
            {"reference": "r", "lines": [{"item": GIFT, "quantity": 0}], "ttl_seconds": 5},
            422,
            "/lines/0/quantity",
        ),
        ({"reference": "r", "lines": [{"quantity": 1}], "ttl_seconds": 5}, 422, "/lines/0"),
        ({"reference": "r", "lines": [{"sku": "NO", "quantity": 1}], "ttl_seconds": 5}, 404, "/lines/0/sku"),
        (
            {
                "reference": "r",
                "lines": [{"item": GIFT, "quantity": 1, "location": 1, "locations": [1]}],
                "ttl_seconds": 5,
            },
            422,
            "/lines/0",
        ),
        (
            {
                "reference": "r",
                "lines": [{"item": GIFT, "quantity": 1, "locations": [1, "NO"]}],
                "ttl_seconds": 5,
            },
            404,
            "/lines/0/locations/1",
        ),
    ],
)
def test_bodies_that_are_not_taken(api: Api, body: dict[str, Any], status: int, pointer: str) -> None:
    answer = api.ask("POST", "/reservations", body)
    assert (answer.status_code, codes(answer)[1]) == (status, [pointer])
    assert api.get("/reservations")["data"] == []


@pytest.mark.parametrize("action", ["extend", "confirm", "release", "ship", "return"])
def test_what_is_not_reserved(api: Api, action: str) -> None:
    body = {"ttl_seconds": 5} if action == "extend" else {}
    for reference in ("none", "x" * 513):
        answer = api.ask("POST", f"/reservations/{reference}/{action}", body)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_reservation")


def test_parts_that_are_not_there(api: Api) -> None:
    made(api)
    for part, code in (
        ({"item": LAMP, "quantity": 1}, "unknown_line"),
        ({"item": GIFT, "quantity": 5}, "insufficient_stock"),
        ({"item": GIFT, "quantity": 1, "location": EAST}, "unknown_line"),
    ):
        assert api.ask("POST", "/reservations/r/ship", {"lines": [part]}).json()["code"] == code
    assert counts(api.get("/reservations/r")) == [(4, 0, 0, 0, 0)]


def test_a_part_of_several_locations_has_the_figures_of_all(api: Api) -> None:
    api.change({"op": "set_on_hand", "item": GIFT, "location": EAST, "quantity": 7})
    api.change(hold(52, lines=[{"item": GIFT, "quantity": 52, "locations": [MAIN, EAST]}]))
    for where, have, figures in (({}, 52, (57, 52)), ({"location": EAST}, 2, (7, 2))):
        part = {"item": GIFT, "quantity": 53} | where
        fault = api.ask("POST", "/reservations/r/ship", {"lines": [part]}).json()["errors"][0]
        assert (fault["available"], (fault["on_hand"], fault["reserved"])) == (have, figures)


def test_two_ship_at_once(either: Api) -> None:
    made(either)
    sent = {
        "headers": {"Authorization": f"Bearer {either.key}"},
        "json": {"lines": [{"item": GIFT, "quantity": 3}]},
    }
    answers = either.hub.together([Call("POST", f"{PREFIX}/reservations/r/ship", sent)] * 8)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert either.level(GIFT) == (47, 1)


SET = 0
"""A kit of two lamps, whose id is not known yet."""

REFUSED_LINES: list[tuple[list[tuple[int, int, int]], str]] = [
    ([(LAMP, 1, MAIN), (GIFT, 52, MAIN)], "/lines/1"),
    ([(GIFT, 51, EAST), (GIFT, 9, MAIN)], "/lines/0"),
    ([(LAMP, 9, MAIN), (SET, 1, MAIN)], "/lines/1"),
    ([(SET, 1, MAIN), (LAMP, 10, MAIN)], "/lines/1"),
    # Together they are too many: which one is, nobody can say.
    ([(GIFT, 30, MAIN), (GIFT, 30, MAIN)], ""),
]


@pytest.mark.parametrize(("lines", "pointer"), REFUSED_LINES)
def test_a_refusal_points_at_the_line(api: Api, lines: list[tuple[int, int, int]], pointer: str) -> None:
    parts = [{"item": LAMP, "quantity": 2}]
    kit = api.post("/items", {"sku": "SET", "components": parts}, 201)["id"]
    asked = [{"item": item or kit, "quantity": units, "location": at} for item, units, at in lines]
    alone = api.ask("POST", "/reservations", {"reference": "r", "confirmed": True, "lines": asked})
    assert codes(alone) == ("insufficient_stock", [pointer])
    assert alone.json()["errors"][0].get("kit") == (None if lines[1][0] else kit)
    change = {"op": "reserve", "reference": "r", "confirmed": True, "lines": asked}
    body = api.change(adjust(1), change, status=409)
    assert body["errors"][0]["pointer"] == f"/changes/1{pointer}"
    each = api.change(change, mode="partial")
    assert each["changes"][0]["error"]["pointer"] == f"/changes/0{pointer}"


def test_a_refused_part_is_pointed_at(api: Api) -> None:
    made(api)
    few, none = {"item": GIFT, "quantity": 1}, {"item": LAMP, "quantity": 1}
    for parts, code, at in (
        ([few | {"quantity": 5}], "insufficient_stock", "/lines/0"),
        ([few, none], "unknown_line", "/lines/1"),
        ([few, few | {"quantity": 4}], "insufficient_stock", ""),
    ):
        assert codes(api.ask("POST", "/reservations/r/release", {"lines": parts})) == (code, [at])
