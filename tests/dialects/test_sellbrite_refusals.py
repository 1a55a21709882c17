"""Sellbrite over HTTP: credentials, limits, hostile bodies, and what belongs to somebody else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubs import Hub, demo_hub
from onhand.appliers import APPLIERS
from onhand.dialects.sellbrite import setup
from onhand.sample import KeyWish
from onhand.settings import Settings
from onhand.store import channels, keys
from sellbrite_calls import (
    NOTEBOOK,
    PEN,
    UNKNOWN,
    auth,
    call,
    open_incidents,
    put,
    record,
    shown,
    waiting,
    warehouse,
)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "sellbrite", appliers=APPLIERS) as running:
        yield running


def basic(text: bytes) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text).decode()}


# --- who is calling -----------------------------------------------------------------------------------


def denied(hub: Hub, method: str = "GET", path: str = "/inventory", **options: Any) -> None:
    answer = call(hub, method, path, **options)
    assert (answer.status_code, answer.text) == (401, "HTTP Basic: Access denied.")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["www-authenticate"] == 'Basic realm="Application"'


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic"},
        {"Authorization": "Basic ?"},
        {"Authorization": "Bearer abc"},
        {"Authorization": "Basic YWJj"},
        basic(b":"),
        basic(b"\xff\xfe:x"),
        basic(b"a\0b:x"),
        basic("ä:ö".encode()),
        basic(b"a" * 5000 + b":" + b"b" * 5000),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/inventory"), ("PUT", "/inventory"), ("POST", "/warehouses")]
)
def test_bad_credentials(hub: Hub, headers: dict[str, str], method: str, path: str) -> None:
    denied(hub, method, path, auth=None, headers=headers)


def test_wrong_expired_revoked_and_of_another_dialect(hub: Hub) -> None:
    token, secret = auth(hub)
    for pair in ((token, secret + "x"), (secret, token), (token, ""), ("", secret), (token + "x", secret)):
        denied(hub, auth=pair)
    link = hub.read(lambda c: channels.links(c, hub.account, "sellbrite"))[0].id
    now = hub.clock()
    made = hub.write(lambda c: setup.credentials(c, hub.account, link, now, expires_at=now + 1_000_000))
    pair = (made["account_token"], made["secret_key"])
    assert call(hub, "GET", "/inventory", auth=pair).status_code == 200
    hub.clock.ahead(2)
    denied(hub, auth=pair)
    hub.write(lambda c: keys.revoke(c, hub.account, made["principal"], hub.clock()))
    denied(hub)


def test_a_key_that_may_read_does_not_write(hub: Hub) -> None:
    made = hub.write(lambda c: setup.issue(c, hub.account, 1, KeyWish(scopes="read")))
    pair = (made["account_token"], made["secret_key"])
    assert call(hub, "GET", "/inventory", auth=pair).status_code == 200
    denied(hub, "PUT", auth=pair, body={"inventory": record(hub, on_hand=1)})
    denied(hub, "POST", "/warehouses", auth=pair, body={"warehouse": {"name": "N"}})
    assert waiting(hub) == 0


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (KeyWish(integration="shopify"), "integration"),
        (KeyWish(scopes="admin"), "read or write"),
        (KeyWish(scopes=""), "read or write"),
        (KeyWish(seller=77), "no seller 77"),
    ],
)
def test_keys_that_cannot_be(hub: Hub, wish: KeyWish, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hub.write(lambda c: setup.issue(c, hub.account, 1, wish))


def test_another_accounts_warehouses_are_not_there(hub: Hub) -> None:
    rival = hub.another()["sellbrite"]
    pair = (rival["account_token"], rival["secret_key"])
    assert put(hub, record(hub, on_hand=1), auth=pair).status_code == 404
    path = f"/warehouses/{warehouse(hub)}"
    assert call(hub, "PUT", path, {"warehouse": {"name": "Mine"}}, auth=pair).status_code == 404
    assert call(hub, "GET", "/inventory", params={"warehouse_uuid": warehouse(hub)}, auth=pair).json() == []
    theirs = {"sku": NOTEBOOK, "warehouse_uuid": rival["warehouses"][0], "on_hand": 77}
    assert put(hub, theirs, auth=pair).status_code == 200
    seen = call(hub, "GET", "/inventory", params={"sku": NOTEBOOK}, auth=pair).json()
    assert seen[0]["on_hand"] == 77
    assert shown(hub) == (3, 1, 2)


# --- limits -------------------------------------------------------------------------------------------


def test_limits_are_off_by_default(hub: Hub) -> None:
    assert {call(hub, "GET", "/warehouses").status_code for _ in range(60)} == {200}


def test_the_published_limits(tmp_path: Path) -> None:
    settings = Settings(limit_sellbrite=True)
    with demo_hub(tmp_path, "sellbrite", appliers=APPLIERS, settings=settings) as hub:
        denied(hub, auth=("x", "y"))
        answers = [call(hub, "GET", "/warehouses") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 403, 403]
        assert answers[-1].text == "Rate Limit Exceeded"
        assert answers[-1].headers["content-type"].startswith("text/plain")
        assert "retry-after" not in answers[-1].headers
        assert put(hub, record(hub, on_hand=9)).status_code == 403
        assert call(hub, "PUT", "/inventory", b"{").status_code == 403
        hub.clock.ahead(1)
        statuses = []
        for _ in range(60):
            hub.clock.ahead(0.5)
            statuses.append(call(hub, "GET", "/warehouses").status_code)
        # Two of the minute's forty were let through above.
        assert statuses == [200] * 38 + [403] * 22
        hub.clock.ahead(60)
        assert call(hub, "GET", "/warehouses").status_code == 200


# --- bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"null",
        b"[]",
        b'"inventory"',
        b"{}",
        b'{"inventory": null}',
        b'{"inventory": "A"}',
        b'{"inventory": [NaN]}',
        b'{"inventory": [], "inventory": []}',
        b'{"inventory": {"sku": "A", "sku": "B"}}',
        b'{"inventory": {"sku": "A\\u0000"}}',
        b'{"inventory": {"sku": "\\ud800"}}',
        b'\xef\xbb\xbf{"inventory": []}',
        b'{"inventory": {"sku": "\xff"}}',
        b"inventory[][sku]=A",
        b"[" * 10_000,
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST"])
def test_bodies_that_are_no_request(hub: Hub, method: str, body: bytes) -> None:
    answer = call(hub, method, "/inventory", body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert waiting(hub) == 0


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST"])
@pytest.mark.parametrize(
    "fault",
    [
        {"on_hand": 1, "available": 1},
        {},
        {"on_hand": -1},
        {"on_hand": True},
        {"on_hand": 10**30},
        {"on_hand": 1, "sku": ""},
        {"on_hand": 1, "warehouse_uuid": None},
        {"on_hand": 1, "cost": "much"},
    ],
)
def test_one_bad_record_refuses_the_whole_call(hub: Hub, method: str, fault: dict[str, Any]) -> None:
    good, bad = record(hub, PEN, 2, on_hand=1), record(hub, "BAD") | fault
    answer = put(hub, good, bad, method=method)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("inventory[1]") or method == "POST"
    assert shown(hub, PEN, 2) is None
    assert open_incidents(hub) == []


def test_more_than_fifty(hub: Hub) -> None:
    answer = put(hub, *[record(hub, on_hand=1)] * 51)
    assert answer.status_code == 422
    assert shown(hub) == (3, 1, 2)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST"])
@pytest.mark.parametrize("name", [UNKNOWN, "x", "'; DROP TABLE levels;--", "é" * 255])
def test_an_unknown_warehouse_refuses_the_whole_call(hub: Hub, method: str, name: str) -> None:
    unknown = {"sku": PEN, "warehouse_uuid": name, "on_hand": 1}
    answer = put(hub, record(hub, PEN, 2, on_hand=1), unknown, method=method)
    assert (answer.status_code, answer.json()) == (404, {"error": "Warehouse not found"})
    assert shown(hub, PEN, 2) is None


def test_what_is_wrong_first(hub: Hub) -> None:
    """Credentials, then the envelope, then the records, then the warehouses."""
    unknown = {"sku": PEN, "warehouse_uuid": UNKNOWN, "on_hand": 1}
    denied(hub, "PUT", auth=("x", "y"), body=b"{")
    assert put(hub, unknown, {}).status_code == 422
    assert put(hub, unknown).status_code == 404


def test_a_body_that_is_too_long(hub: Hub) -> None:
    answer = put(hub, record(hub, on_hand=1, more="x" * 300_000))
    assert answer.status_code == 413
    assert "262144" in answer.json()["error"]


@pytest.mark.parametrize(
    "sku", ["' OR 1=1", "日本語-1", "a/b?c=d&e#f", "\u202e\ufeff", "\\", '"', "%00", " A ", "\x7f"]
)
def test_strange_skus_are_only_names(hub: Hub, sku: str) -> None:
    put(hub, record(hub, sku, on_hand=4))
    assert shown(hub, sku) == (4, 0, 4)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/sellbrite/inventory", 405),
        ("GET", "/sellbrite/warehouses/x", 405),
        ("GET", "/sellbrite/products", 404),
        ("GET", "/sellbrite/v2/inventory", 404),
        ("GET", "/sellbrite/v1", 404),
    ],
)
def test_other_paths_and_methods(hub: Hub, method: str, path: str, status: int) -> None:
    answer = hub.client.request(method, path, auth=auth(hub))
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
