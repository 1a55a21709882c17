"""Who may do what: credentials, scopes, keys of one seller, keys of another account."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from native_calls import CONTRACT, EAST, GIFT, MAIN, PREFIX, SHADE, Api, adjust, hold
from onhand import auth
from onhand.api import setup
from onhand.api.routes import OUTER, WAYS
from onhand.sample import KeyWish

LATER = "2027-01-01T00:00:00Z"
FILLED = {"item": str(GIFT), "reference": "r", "key": "x"}


def filled(path: str) -> str:
    """A path of the table with something in its gaps."""
    return re.sub(r"\{(\w+)\}", lambda found: FILLED.get(found[1], "1"), path)


# --- credentials -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic b25oYW5k",
        "onhand_x",
        "Bearer \x7f",
        "Bearer " + "x" * 9000,
    ],
)
def test_without_a_key(api: Api, header: str) -> None:
    answer = api.hub.client.get(f"{PREFIX}/items", headers={"Authorization": header} if header else {})
    CONTRACT.check("get", "/items", answer)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_scheme_is_written_as_one_likes(api: Api) -> None:
    for scheme in ("bearer", "BEARER", "Bearer  "):
        headers = {"Authorization": f"{scheme} {api.key}"}
        assert api.hub.client.get(f"{PREFIX}/sellers", headers=headers).status_code == 200


def test_every_path_asks_who_is_calling(api: Api) -> None:
    for way in (*WAYS, *OUTER):
        assert way.scope in auth.SCOPES
        answer = api.hub.client.request(way.method, PREFIX + filled(way.path))
        assert (way, answer.status_code) == (way, 401)


def test_scopes(api: Api) -> None:
    callers = {scope: api.caller(scope=scope) for scope in auth.SCOPES}
    for way in (*WAYS, *OUTER):
        for scope, caller in callers.items():
            answer = caller.ask(way.method, filled(way.path))
            enough = auth.SCOPES.index(scope) >= auth.SCOPES.index(way.scope)
            refused = answer.status_code == 403 and answer.json()["code"] == "insufficient_scope"
            assert refused is not enough, (way, scope, answer.text)


def test_the_contract_has_every_path_and_no_other() -> None:
    ours = {(way.method.lower(), way.path) for way in (*WAYS, *OUTER)} | {
        ("get", "/problems"),
        ("get", "/problems/{code}"),
    }
    theirs = {(method, path) for path, one in CONTRACT.document["paths"].items() for method in one}
    assert ours == theirs


# --- keys ------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_revoked_at_once(either: Api) -> None:
    made = either.post("/keys", {"scope": "read", "label": "shelf"}, 201)
    assert made["api_key"].startswith("onhand_")
    reader = Api(either.hub, made["api_key"])
    for _ in range(3):
        reader.get("/items")
    listed = {row["id"]: row for row in either.get("/keys")["data"]}
    assert listed[made["id"]]["label"] == "shelf"
    assert made["api_key"] not in str(listed)
    assert either.ask("DELETE", f"/keys/{made['id']}").json()["revoked_at"] is not None
    assert reader.ask("GET", "/items").status_code == 401
    assert either.ask("DELETE", "/keys/native:999").json()["code"] == "unknown_key"


def test_a_replay_of_a_new_key_hides_it(api: Api) -> None:
    first = api.post("/keys", {"scope": "read"}, 201, Idempotency_Key="k")
    again = api.post("/keys", {"scope": "read"}, 201, Idempotency_Key="k")
    assert again == first | {"api_key": None}
    assert len([row for row in api.get("/keys")["data"] if row["id"] == first["id"]]) == 1


def test_a_key_runs_out(api: Api) -> None:
    reader = api.caller(scope="read", expires_at=LATER)
    for _ in range(3):
        reader.get("/items")
    api.hub.clock.ahead(366 * 24 * 3600)
    assert reader.ask("GET", "/items").status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"scope": "root"}, 422),
        ({"scope": ["read"]}, 422),
        ({"scope": "admin", "seller": 2}, 422),
        ({"scope": "read", "seller": 9}, 404),
        ({"scope": "read", "seller": True}, 422),
        ({"scope": "read", "label": "x" * 101}, 422),
        ({"scope": "read", "expires_at": "2020-01-01T00:00:00Z"}, 409),
        ({"scope": "read", "expires_at": "never"}, 422),
    ],
)
def test_keys_that_are_not_made(api: Api, body: dict[str, Any], status: int) -> None:
    assert api.ask("POST", "/keys", body).status_code == status


@pytest.mark.parametrize(
    "wish",
    [
        KeyWish(scopes="root"),
        KeyWish(seller=9),
        KeyWish(scopes="admin", seller=2),
        KeyWish(integration="shopify"),
    ],
)
def test_what_an_operator_cannot_have(api: Api, wish: KeyWish) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        api.hub.write(lambda c: setup.issue(c, api.hub.account, 0, wish))


def test_what_an_operator_gets(api: Api) -> None:
    made = api.hub.write(lambda c: setup.issue(c, api.hub.account, 0, KeyWish(seller=2, label="two")))
    assert set(made) == {"api_key", "principal"}
    assert [row["id"] for row in Api(api.hub, made["api_key"]).get("/sellers")["data"]] == [2]


# --- one seller ------------------------------------------------------------------------------------


@pytest.fixture
def second(api: Api) -> Api:
    """A caller who is bound to seller 2, who owns EAST, where item 40 has nothing yet."""
    api.change({"op": "set_on_hand", "item": GIFT, "location": EAST, "quantity": 9})
    api.change(hold(2, "main"))
    api.change(hold(1, "both", lines=[{"item": GIFT, "quantity": 1, "location": at} for at in (MAIN, EAST)]))
    return api.caller(seller=2)


def test_a_bound_key_sees_its_own(second: Api) -> None:
    assert [row["id"] for row in second.get("/sellers")["data"]] == [2]
    assert [row["name"] for row in second.get("/locations")["data"]] == ["EAST"]
    assert {row["location"] for row in second.get("/levels", params={"limit": 1000})["data"]} == {EAST}
    assert {row["location"] for row in second.get("/movements", params={"limit": 1000})["data"]} == {EAST}
    assert second.get("/levels", params={"item": GIFT})["data"][0]["on_hand"] == 9
    assert {row["location"] for row in second.get("/levels", params={"seq": 60})["data"]} == {EAST}
    assert second.get("/items/1")["cost"] is None
    assert second.get("/reservations")["data"] == []


@pytest.mark.parametrize("location", [str(MAIN), "name:MAIN"])
def test_what_others_own_is_not_there(second: Api, location: str) -> None:
    before = second.hub.levels("GIFT-CARD-BOX")
    path = f"/levels/{GIFT}/{location}"
    named: Any = MAIN if location == str(MAIN) else "MAIN"
    move = {"item": GIFT, "quantity": 1}
    asked: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("GET", f"{path}/movements", None),
        ("PUT", path, {"on_hand": 1}),
        ("DELETE", path, None),
        ("GET", f"/locations/{location}", None),
        ("POST", "/changes", {"changes": [adjust(1, location=named)]}),
        ("POST", "/changes", {"changes": [{"op": "transfer", **move, "from": 2, "to": named}]}),
        ("POST", "/transfers", move | {"from": named, "to": "EAST"}),
        ("POST", "/levels/query", {"places": [{"item": GIFT, "location": named}]}),
        ("POST", "/reservations", hold(1, "new", lines=[{"item": GIFT, "quantity": 1, "location": named}])),
        ("POST", "/planned-changes", {"due": LATER, "changes": [adjust(1, location=named)]}),
    ]
    for method, where, body in asked:
        body = {key: value for key, value in body.items() if key != "op"} if body else body
        answer = second.ask(method, where, body)
        assert (method, where, answer.status_code) == (method, where, 404)
        assert answer.json()["code"] == "unknown_location"
    assert second.get("/levels", params={"location": location})["data"] == []
    partial = second.change(adjust(1, location=named), mode="partial")
    assert partial["refused"] == 1
    assert second.hub.levels("GIFT-CARD-BOX") == before


@pytest.mark.parametrize("reference", ["main", "both"])
def test_reservations_of_others_are_not_there(second: Api, reference: str) -> None:
    assert second.ask("GET", f"/reservations/{reference}").status_code == 404
    for action in ("extend", "confirm", "release", "ship", "return"):
        body = {"ttl_seconds": 5} if action == "extend" else {}
        theirs, nobodys = (
            second.ask("POST", f"/reservations/{name}/{action}", body) for name in (reference, "none")
        )
        assert (theirs.status_code, theirs.text) == (404, nobodys.text)
        change = {"op": action, "reference": reference, **body}
        assert second.change(change, status=404)["code"] == "unknown_reservation"


def test_a_bound_key_works_with_its_own(second: Api) -> None:
    body = second.post(
        "/reservations", {"reference": "mine", "ttl_seconds": 9, "lines": [{"item": GIFT, "quantity": 1}]}
    )
    assert [line["location"] for line in body["lines"]] == [EAST]
    second.change({"op": "ship", "reference": "mine"}, adjust(1, location="EAST"))
    assert second.level(GIFT, EAST) == (9, 1)
    assert [row["reference"] for row in second.get("/reservations")["data"]] == ["mine"]
    plan = second.post("/planned-changes", {"due": LATER, "changes": [adjust(1, location=EAST)]}, 201)
    assert [row["id"] for row in second.get("/planned-changes")["data"]] == [plan["id"]]


def test_a_bound_key_does_not_learn_what_others_call_their_reservations(second: Api) -> None:
    for name in ("a", "z"):
        second.post(
            "/reservations", {"reference": name, "ttl_seconds": 9, "lines": [{"item": GIFT, "quantity": 1}]}
        )
    first = second.get("/reservations", params={"limit": 1})
    assert [row["reference"] for row in first["data"]] == ["a"]
    position = base64.urlsafe_b64decode(first["next_cursor"] + "==")
    assert b'"a"' in position
    rest = second.get("/reservations", params={"limit": 1, "cursor": first["next_cursor"]})
    assert ([row["reference"] for row in rest["data"]], rest["next_cursor"]) == (["z"], None)


def test_what_concerns_all_sellers(second: Api) -> None:
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/items", {"sku": "X"}),
        ("PATCH", f"/items/{SHADE}", {"name": "X"}),
        ("GET", "/connections", None),
        ("POST", "/listings", {"connection": 1, "external_id": "x", "item": GIFT}),
    ]
    for method, path, body in asked:
        answer = second.ask(method, path, body)
        assert (method, path, answer.status_code, answer.json()["code"]) == (
            method,
            path,
            403,
            "seller_bound",
        )
    assert second.get("/listings")["data"] == []
    assert second.ask("PATCH", "/listings/1", {"status": "closed"}).status_code == 404
    plan = "/planned-changes/1"
    assert second.ask("GET", plan).status_code == second.ask("DELETE", plan).status_code == 404


# --- another account -------------------------------------------------------------------------------


def test_accounts_do_not_see_one_another(either: Api) -> None:
    rival = Api(either.hub, either.hub.another()["native"]["api_key"])
    item = either.post("/items", {"sku": "OURS"}, 201)["id"]
    either.change({"op": "set_on_hand", "item": item, "location": 1, "quantity": 4}, hold(1, "ours", item))
    either.post("/planned-changes", {"due": LATER, "changes": [adjust(1)]}, 201)
    key = either.post("/keys", {"scope": "read"}, 201)["id"]
    for path in (
        f"/items/{item}",
        "/items/sku:OURS",
        f"/levels/{item}/1",
        "/reservations/ours",
        "/planned-changes/1",
    ):
        assert rival.ask("GET", path).status_code == 404
    assert rival.ask("DELETE", f"/keys/{key}").status_code == 404
    assert rival.change(adjust(1, item=item), status=404)["code"] == "unknown_item"
    assert rival.ask("POST", "/reservations/ours/ship").status_code == 404
    assert rival.get("/levels", params={"item": item})["data"] == []
    rival.post("/items", {"sku": "OURS"}, 201)
    rival.change(hold(1, "ours"))
    assert either.get("/verify")["clean"] is rival.get("/verify")["clean"] is True
