"""Levels: read one, many, all in pages, as of a moment; set and forgotten by version."""

from __future__ import annotations

from typing import Any

import pytest

from native_calls import (
    EAST,
    GIFT,
    GIFT_SKU,
    LAMP,
    LAMP_SKU,
    MAIN,
    SHADE,
    SHADE_SKU,
    Api,
    adjust,
    codes,
    escaped,
    hold,
)
from onhand.api import told


@pytest.mark.parametrize("path", [f"/levels/{GIFT}/{MAIN}", f"/levels/sku:{GIFT_SKU}/name:MAIN"])
def test_one_level(api: Api, path: str) -> None:
    answer = api.ask("GET", path)
    body = answer.json()
    assert answer.headers["etag"] == f'"{body["version"]}"'
    assert (body["sku"], body["location_name"], body["on_hand"]) == (GIFT_SKU, "MAIN", 50)
    assert body["as_of_seq"] == api.get("/verify")["as_of_seq"]
    assert api.ask("GET", path, If_None_Match=answer.headers["etag"]).status_code == 304


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/levels/{GIFT}/3", "unknown_level"),
        ("/levels/9999/1", "unknown_level"),
        (f"/levels/{GIFT}/9999", "unknown_level"),
        ("/levels/sku:NO/1", "unknown_item"),
        (f"/levels/{GIFT}/name:NO", "unknown_location"),
        ("/levels/abc/1", "unknown_item"),
        ("/levels/0/1", "unknown_item"),
        ("/levels/01/1", "unknown_item"),
        (f"/levels/{2**63}/1", "unknown_item"),
        (f"/levels/{GIFT}/-1", "unknown_location"),
        ("/levels/sku:%00/1", "not_found"),
        ("/levels/sku:a%2Fb/1", "unknown_item"),
    ],
)
def test_a_level_that_is_not_there(api: Api, path: str, code: str) -> None:
    answer = api.ask("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (404, code)
    # What a path names is nowhere in a body.
    assert "errors" not in answer.json()


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        (f"/items/{GIFT_SKU}", "unknown_item", "Nothing has this id; a SKU is written behind sku:"),
        (f"/levels/{GIFT}/MAIN", "unknown_location", "Nothing has this id; a name is written behind name:"),
        (
            "/levels?at=2026-03-01T12:00:00+00:00",
            "invalid_parameter",
            "at: expected a time as in RFC 3339, like 2026-03-01T12:00:00Z (in a URL, + is written %2B)",
        ),
        (
            "/levels?at=2026-03-01T12:00:00Z&seq=1",
            "invalid_parameter",
            "seq: there are two moments: leave out at or seq",
        ),
    ],
)
def test_a_first_mistake_is_told_the_way(api: Api, path: str, code: str, words: str) -> None:
    body = api.ask("GET", path).json()
    assert (body["code"], body["detail"]) == (code, words)


def test_two_moments_in_a_body_break_the_contract(api: Api) -> None:
    asked = {"places": [{"item": GIFT, "location": MAIN}], "at": "2026-03-01T12:00:00Z", "seq": 1}
    answer = api.ask("POST", "/levels/query", asked)
    assert (answer.status_code, codes(answer)) == (422, ("invalid_body", ["/seq"]))


def test_a_new_name_is_seen_at_once(either: Api) -> None:
    by_name = "/levels/sku:{}/name:{}"
    for _ in range(2):  # the second time by what is remembered
        assert either.get(by_name.format(GIFT_SKU, "MAIN"))["sku"] == GIFT_SKU
        assert either.get(f"/levels/{GIFT}/{MAIN}")["location_name"] == "MAIN"
        assert GIFT_SKU in [row["sku"] for row in either.get("/levels", params={"location": MAIN})["data"]]
    assert either.ask("PATCH", f"/items/{GIFT}", {"sku": "NEW"}).is_success
    assert either.ask("PATCH", f"/locations/{MAIN}", {"name": "Cellar"}).is_success
    assert either.get(by_name.format(GIFT_SKU, "Cellar"), 404)["code"] == "unknown_item"
    assert either.get(by_name.format("NEW", "MAIN"), 404)["code"] == "unknown_location"
    named = {"item": GIFT, "sku": "NEW", "location": MAIN, "location_name": "Cellar"}
    for path in (by_name.format("NEW", "Cellar"), f"/levels/{GIFT}/{MAIN}"):
        assert either.get(path).items() >= named.items()
    rows = either.get("/levels", params={"location": MAIN})["data"]
    assert {row["location_name"] for row in rows} == {"Cellar"}
    assert [row["sku"] for row in rows if row["item"] == GIFT] == ["NEW"]


def test_a_bound_key_sees_its_own_levels_alone(either: Api) -> None:
    bound = either.caller(seller=2)
    assert {row["location"] for row in bound.get("/levels")["data"]} == {EAST}
    assert bound.get(f"/levels/{SHADE}/{EAST}")["on_hand"] == 10
    assert bound.get(f"/levels/{SHADE}/{MAIN}", 404)["code"] == "unknown_location"
    assert bound.get(f"/levels/sku:{SHADE_SKU}/name:MAIN", 404)["code"] == "unknown_location"
    for caller, seen in ((bound, set()), (either, {MAIN}), (bound, set())):
        for _ in range(3):  # however often it was asked for before, and by whom
            rows = caller.get("/levels", params={"location": MAIN})["data"]
            assert {row["location"] for row in rows} == seen


def test_pages_have_everything_once(api: Api) -> None:
    whole = api.get("/levels", params={"limit": 1000})
    assert whole["next_cursor"] is None
    rows, cursor = [], None
    while True:
        body = api.get("/levels", params={"limit": 7} | ({"cursor": cursor} if cursor else {}))
        rows += body["data"]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert rows == whole["data"]
    assert len(rows) > 70


@pytest.mark.parametrize(
    ("params", "places"),
    [
        ({"sku": [LAMP_SKU, GIFT_SKU]}, [(LAMP, MAIN), (GIFT, MAIN)]),
        ({"item": [SHADE]}, [(SHADE, MAIN), (SHADE, EAST)]),
        ({"item": [SHADE], "location": "name:EAST"}, [(SHADE, EAST)]),
        ({"item": [LAMP], "sku": [GIFT_SKU], "limit": 1}, [(LAMP, MAIN)]),
        ({"sku": ["NO"]}, []),
        ({"location": "name:NO"}, []),
        ({"location": "9999"}, []),
        ({"location": str(10**19 - 1)}, []),
    ],
)
def test_filters(api: Api, params: dict[str, Any], places: list[tuple[int, int]]) -> None:
    body = api.get("/levels", params=params)
    assert [(row["item"], row["location"]) for row in body["data"]] == places


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limit": 0}, "invalid_parameter"),
        ({"cursor": ""}, "invalid_parameter"),
        ({"limit": 1001}, "invalid_parameter"),
        ({"limit": "x"}, "invalid_parameter"),
        ({"limit": "١"}, "invalid_parameter"),
        ({"limit": ["1", "2"]}, "invalid_parameter"),
        ({"item": "-1"}, "invalid_parameter"),
        ({"sku": ["x"] * 101}, "invalid_parameter"),
        ({"sku": ""}, "invalid_parameter"),
        ({"sku": "a\0"}, "invalid_parameter"),
        ({"location": "MAIN"}, "invalid_parameter"),
        ({"at": "yesterday"}, "invalid_parameter"),
        ({"at": "2026-02-30T00:00:00Z"}, "invalid_parameter"),
        ({"seq": "-1"}, "invalid_parameter"),
        ({"nonsense": "1"}, "invalid_parameter"),
        ({"cursor": "abc"}, "invalid_cursor"),
        ({"cursor": "é"}, "invalid_cursor"),
        ({"seq": 10**9}, "moment_out_of_range"),
        ({"at": "2999-01-01T00:00:00Z"}, "moment_out_of_range"),
        ({"at": "2020-01-01T00:00:00Z", "seq": 1}, "invalid_parameter"),
    ],
)
def test_parameters_that_are_not_taken(api: Api, params: dict[str, Any], code: str) -> None:
    answer = api.ask("GET", "/levels", params=params)
    assert answer.json()["code"] == code
    assert answer.status_code == (409 if code == "moment_out_of_range" else 400)


def test_a_cursor_of_another_list_or_filter(api: Api) -> None:
    cursor = api.get("/levels", params={"limit": 1})["next_cursor"]
    assert api.ask("GET", "/items", params={"cursor": cursor}).json()["code"] == "invalid_cursor"
    answer = api.ask("GET", "/levels", params={"cursor": cursor, "sku": LAMP_SKU})
    assert answer.json()["detail"] == "This cursor was given for other filters"


def test_many_places_at_once(either: Api) -> None:
    places = [
        {"sku": GIFT_SKU, "location": "MAIN"},
        {"item": GIFT, "location": 3},
        {"item": LAMP, "location": 1},
    ]
    rows = either.post("/levels/query", {"places": places})["data"]
    assert [row and row["on_hand"] for row in rows] == [50, None, 10]
    missing = either.ask("POST", "/levels/query", {"places": [*places, {"sku": "NO", "location": 1}]})
    assert codes(missing) == ("unknown_item", ["/places/3/sku"])
    assert codes(either.ask("POST", "/levels/query", {"places": places, "at": "x"}))[1] == ["/at"]


# --- the past ---------------------------------------------------------------------------------------------


def test_as_of_a_movement_and_a_time(either: Api) -> None:
    clock = either.hub.clock
    stamps, seqs = [], []
    for delta in (-1, -2, -3):
        clock.ahead(10)
        body = either.change(adjust(delta))
        seqs.append(body["as_of_seq"])
        stamps.append(
            either.get(f"/levels/{GIFT}/{MAIN}/movements", params={"limit": 1})["data"][0]["recorded_at"]
        )
    clock.ahead(10)
    either.ask("DELETE", f"/levels/{GIFT}/{MAIN}")
    for seq, stamp, left in zip(seqs, stamps, (49, 47, 44), strict=True):
        for moment in ({"seq": seq}, {"at": stamp}):
            assert either.get(f"/levels/{GIFT}/{MAIN}", params=moment)["on_hand"] == left
            paged = either.get("/levels", params={"item": GIFT} | moment)["data"]
            assert [row["on_hand"] for row in paged] == [left]
            asked = {"places": [{"item": GIFT, "location": MAIN}]} | moment
            assert either.post("/levels/query", asked)["data"][0]["on_hand"] == left
    assert either.get("/levels", params={"item": GIFT})["data"] == []
    assert either.ask("GET", f"/levels/{GIFT}/{MAIN}", params={"seq": 0}).status_code == 404
    assert either.get("/levels", params={"at": "1960-01-01T00:00:00Z"})["data"] == []


def test_a_hold_that_ran_out_unseen_counts_from_its_own_time(either: Api) -> None:
    either.change(hold(5, ttl_seconds=30))
    until = either.get("/reservations/r")["expires_at"]
    either.hub.clock.ahead(29)
    assert either.level(GIFT) == (50, 5)
    either.hub.clock.ahead(31)
    assert either.level(GIFT) == (50, 0)
    at = {"at": until}
    assert either.get(f"/levels/{GIFT}/{MAIN}", params=at)["reserved"] == 0
    either.change(adjust(1))
    assert either.get(f"/levels/{GIFT}/{MAIN}", params=at)["reserved"] == 0
    assert either.get("/levels", params={"item": GIFT} | at)["data"][0]["reserved"] == 0


# --- setting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"on_hand": 3}, (3, 5)),
        ({"available": 3}, (8, 5)),
        ({"available": 3, "expected": 45, "reason": "count", "reference": "c-1"}, (8, 5)),
        ({"infinite": True}, (50, 5)),
        ({"on_hand": 50, "available": None}, (50, 5)),
    ],
)
def test_put(api: Api, body: dict[str, Any], left: tuple[int, int]) -> None:
    api.change(hold(5))
    answer = api.ask("PUT", f"/levels/{GIFT}/{MAIN}", body)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["on_hand"], shown["reserved"]) == left == api.level(GIFT)
    assert answer.headers["etag"] == api.ask("GET", f"/levels/{GIFT}/{MAIN}").headers["etag"]
    assert (shown["seq"] is None) == (body == {"on_hand": 50, "available": None})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"on_hand": 1, "available": 1},
        {"on_hand": 1, "expected": 1},
        {"on_hand": -1},
        {"infinite": 1},
        {"on_hand": True},
        {"on_hand": 1, "infinite": False},
    ],
)
def test_put_says_one_thing(api: Api, body: dict[str, Any]) -> None:
    answer = api.ask("PUT", f"/levels/{GIFT}/{MAIN}", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert api.level(GIFT) == (50, 0)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_comparison_that_is_not_made_is_refused(api: Api, method: str) -> None:
    path = f"/levels/{GIFT}/{MAIN}"
    before = api.get(path)
    answer = api.ask(method, path, {"on_hand": 1} if method == "PUT" else None, If_None_Match="*")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_header")
    assert api.get(path) == before


def test_if_match_compares_the_version(either: Api) -> None:
    path = f"/levels/{GIFT}/{MAIN}"
    etag = either.ask("GET", path).headers["etag"]
    first = either.ask("PUT", path, {"on_hand": 60}, If_Match=etag)
    assert first.status_code == 200
    again = either.ask("PUT", path, {"on_hand": 61}, If_Match=etag)
    assert (again.status_code, again.json()["code"]) == (412, "version_mismatch")
    assert again.json()["errors"][0]["version"] == int(first.headers["etag"].strip('"'))
    gone = either.ask("DELETE", path, If_Match=etag)
    assert gone.status_code == 412
    assert either.level(GIFT) == (60, 0)
    assert either.ask("DELETE", path, If_Match=first.headers["etag"]).status_code == 204
    assert either.level(GIFT) is None
    assert either.ask("PUT", f"/levels/{GIFT}/3", {"on_hand": 1}, If_Match='"0"').status_code == 200


@pytest.mark.parametrize("value", ["1", "*", 'W/"1"', '"1", "2"', '""', '"x"'])
def test_if_match_is_one_strong_tag(api: Api, value: str) -> None:
    answer = api.ask("PUT", f"/levels/{GIFT}/{MAIN}", {"on_hand": 1}, If_Match=value)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_header")


def test_a_count_that_was_expected_differently(api: Api) -> None:
    answer = api.ask("PUT", f"/levels/{GIFT}/{MAIN}", {"available": 5, "expected": 49}, If_Match='"1"')
    assert (answer.status_code, answer.json()["code"]) == (409, "stale_quantity")
    figures = answer.json()["errors"][0]
    assert (figures["expected"], figures["shown"]) == (49, 50)


def test_what_is_reserved_is_not_forgotten(api: Api) -> None:
    api.change(hold(5))
    answer = api.ask("DELETE", f"/levels/{GIFT}/{MAIN}")
    assert (answer.status_code, answer.json()["detail"]) == (409, "5 units are reserved here")


def test_history_is_newest_first(api: Api) -> None:
    for delta in (1, 2, 3):
        api.change(adjust(delta, reason=f"r{delta}"))
    path = f"/levels/sku:{escaped(GIFT_SKU)}/name:MAIN/movements"
    first = api.get(path, params={"limit": 2})
    rest = api.get(path, params={"limit": 2, "cursor": first["next_cursor"]})
    rows = first["data"] + rest["data"]
    assert [row["on_hand"] for row in rows] == [3, 2, 1, 50]
    assert rest["next_cursor"] is None
    assert (rows[0]["kind"], rows[0]["reason"], rows[0]["caller"]) == ("adjusted", "r3", "native:demo")


def test_movements_are_followed_by_their_token(api: Api) -> None:
    seen, cursor = [], None
    for _ in range(2):
        while True:
            body = api.get("/movements", params={"limit": 10} | ({"cursor": cursor} if cursor else {}))
            seen += [row["seq"] for row in body["data"]]
            cursor = body["token"]
            if body["next_cursor"] is None:
                break
        api.change(adjust(1))
    last = api.get("/movements", params={"cursor": cursor})["data"]
    assert seen == list(range(1, len(seen) + 1))
    assert [row["seq"] for row in last] == [len(seen) + 1]


def test_a_token_of_movements_that_are_no_more_is_refused(api: Api) -> None:
    """As after an older copy was restored: the reader would miss what gets the same numbers again."""
    last = api.change(adjust(1))["as_of_seq"]
    assert api.get("/movements", params={"cursor": told.token(last)})["data"] == []
    answer = api.ask("GET", "/movements", params={"cursor": told.token(last + 1)})
    assert (answer.status_code, answer.json()["code"]) == (409, "moment_out_of_range")
