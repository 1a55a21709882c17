"""What Treet refuses over HTTP: wrong credentials, other clients' listings, hostile input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import Connection

from hubs import Hub, demo_hub
from onhand.dialects.treet import setup
from onhand.settings import Settings
from onhand.store import channels, keys
from onhand.store.channels import Link, Listing
from treet_calls import COAT, UNKNOWN, adjust, get, ids, put, state, swap

FIRST = 7


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "treet") as running:
        yield running


# --- who may ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"X-Treet-Client-Id": None},
        {"X-Treet-Authentication-Key": None},
        {"X-Treet-Client-Id": ""},
        {"X-Treet-Authentication-Key": ""},
        {"X-Treet-Client-Id": UNKNOWN},
        {"X-Treet-Authentication-Key": "tr_test_wrong"},
        {"X-Treet-Client-Id": "\0"},
        {"X-Treet-Authentication-Key": b"\xff\xfe"},
    ],
)
def test_bad_credentials(hub: Hub, change: dict[str, Any]) -> None:
    merged = hub.section["headers"] | change
    headers: Any = {name: value for name, value in merged.items() if value is not None}
    for answer in (put(hub, ids(hub)[0], adjust(-1), headers), get(hub, "", headers)):
        assert answer.status_code == 403
    # The credentials are looked at before anything else.
    assert put(hub, "no-uuid", b"{", headers).status_code == 403
    assert get(hub, "?limit=0", headers).status_code == 403
    assert hub.levels(COAT)["MAIN"].on_hand == 5


def credentials(hub: Hub, **options: Any) -> dict[str, str]:
    def unit(connection: Connection) -> dict[str, str]:
        link = channels.links(connection, hub.account, "treet")[0].id
        return setup.credentials(connection, hub.account, link, hub.clock(), **options)

    return hub.write(unit)


def test_an_expired_key(hub: Hub) -> None:
    headers = credentials(hub, expires_at=hub.clock() + 60_000_000)
    assert get(hub, "", headers).status_code == 200
    hub.clock.ahead(61)
    assert get(hub, "", headers).status_code == 403


def test_a_revoked_client(hub: Hub) -> None:
    link = hub.read(lambda c: channels.links(c, hub.account, "treet"))[0].id
    hub.write(lambda c: keys.revoke(c, hub.account, setup.principal(link), hub.clock()))
    assert get(hub).status_code == 403
    assert get(hub, "", credentials(hub)).status_code == 200


def test_a_key_that_may_only_read(hub: Hub) -> None:
    headers = credentials(hub, scopes="read")
    assert get(hub, "", headers).status_code == 200
    answer = put(hub, ids(hub)[0], adjust(-1), headers)
    assert answer.status_code == 403
    assert answer.json() == {"error": "The authentication key does not have permission for this"}


def test_two_halves_of_two_keys(hub: Hub) -> None:
    one, other = hub.section["headers"], credentials(hub)
    mixed = one | {"X-Treet-Authentication-Key": other["X-Treet-Authentication-Key"]}
    assert get(hub, "", mixed).status_code == 403


def test_another_clients_listing_is_forbidden(hub: Hub) -> None:
    def unit(connection: Connection) -> str:
        other = channels.add_link(connection, hub.account, Link(0, "treet", "Other", locations=[1]), 1)
        return setup.add_listing(connection, hub.account, other.id, FIRST, 1, 1).external_id

    theirs = hub.write(unit)
    answer = put(hub, theirs, adjust(-1))
    assert (answer.status_code, answer.json()) == (403, {"error": "The listing belongs to another client"})
    assert theirs not in get(hub).text


def test_another_account_is_another_world(hub: Hub) -> None:
    rival = hub.another()["treet"]
    theirs, mine = rival["listings"][0]["id"], ids(hub)[0]
    answer = put(hub, theirs, adjust(-1))
    assert (answer.status_code, answer.json()) == (400, {"error": "Listing not found"})
    assert put(hub, mine, adjust(-1), rival["headers"]).status_code == 400
    assert put(hub, theirs, swap(5, 4), rival["headers"]).status_code == 200
    assert state(hub, mine) == ("OPEN", 5)
    mixed = hub.section["headers"] | {"X-Treet-Client-Id": rival["headers"]["X-Treet-Client-Id"]}
    assert get(hub, "", mixed).status_code == 403


@pytest.mark.parametrize("status", [400, 404])
def test_an_unknown_listing(tmp_path: Path, status: Literal[400, 404]) -> None:
    with demo_hub(tmp_path, "treet", settings=Settings(treet_unknown_listing_status=status)) as hub:
        answer = put(hub, UNKNOWN, adjust(-1))
        assert (answer.status_code, answer.json()) == (status, {"error": "Listing not found"})
        assert put(hub, "7", adjust(-1)).status_code == 400


def test_a_listing_without_a_level(hub: Hub) -> None:
    def unit(connection: Connection) -> None:
        link = channels.links(connection, hub.account, "treet")[0].id
        channels.add_listing(connection, hub.account, Listing(0, link, UNKNOWN, FIRST), 1)

    hub.write(unit)
    assert put(hub, UNKNOWN, adjust(1)).json() == {"error": "The listing is not bound to a location"}
    assert state(hub, UNKNOWN) == ("OPEN", 0)


# --- hostile input ------------------------------------------------------------------------------------

SET_3 = '"action":"SET_INVENTORY","oldInventory":5,"newInventory":3'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b'"SET_INVENTORY"',
        b"\xff\xfe",
        b"\xef\xbb\xbf{%s}" % SET_3.encode(),
        f"{{{SET_3}}}".encode("utf-16"),
        f"{{{SET_3},}}".encode(),
        f'{{{SET_3},"newInventory":4}}'.encode(),
        f'{{{SET_3},"note":{{"a":1,"a":2}}}}'.encode(),
        f'{{{SET_3},"note":"\\u0000"}}'.encode(),
        f'{{{SET_3},"note":"\\ud800"}}'.encode(),
        f'{{{SET_3},"note":NaN}}'.encode(),
        f"{{{SET_3}}} {{}}".encode(),
        f'{{{SET_3},"note":{"[" * 100}{"]" * 100}}}'.encode(),
        b'{"action":"SET_INVENTORY","oldInventory":5,"newInventory":%s}' % (b"9" * 5000),
        b'{"action":"SET_INVENTORY","oldInventory":5,"newInventory":3.0}',
        b'{"action":"SET_INVENTORY","oldInventory":5,"newInventory":3e0}',
        b'{"action":"SET_INVENTORY","oldInventory":5,"newInventory":-0.0}',
    ],
)
def test_bodies_that_are_refused(hub: Hub, body: bytes) -> None:
    answer = put(hub, ids(hub)[0], body)
    assert answer.status_code == 400
    assert hub.levels(COAT)["MAIN"].on_hand == 5


def test_a_body_that_is_too_long(hub: Hub) -> None:
    assert put(hub, ids(hub)[0], b" " * 300_000).status_code == 413


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8", "text/plain", ""])
def test_any_content_type(hub: Hub, media: str) -> None:
    headers = hub.section["headers"] | {"Content-Type": media}
    assert put(hub, ids(hub)[0], f"{{{SET_3}}}".encode(), headers).status_code == 200


@pytest.mark.parametrize("listing", ["7", "%00", "%2e%2e", "{id}", UNKNOWN[:-1], "é", "%ff"])
def test_ids_that_are_none(hub: Hub, listing: str) -> None:
    answer = put(hub, listing, adjust(-1))
    assert (answer.status_code, answer.json()) == (400, {"error": "The listing id must be a UUID"})


def test_an_id_in_upper_case(hub: Hub) -> None:
    first = ids(hub)[0]
    assert put(hub, first.upper(), adjust(-1)).json() == {"id": first, "availableInventory": 4}


@pytest.mark.parametrize(
    ("method", "where", "status"),
    [
        ("GET", "", 404),
        ("GET", "/", 404),
        ("GET", "/v1/listings/", 404),
        ("PUT", f"/v1/listings/{UNKNOWN}", 404),
        ("PUT", "/v1/listings//inventory", 404),
        ("POST", "/v1/listings", 405),
        ("DELETE", "/v1/listings", 405),
        ("GET", f"/v1/listings/{UNKNOWN}/inventory", 405),
        ("PATCH", f"/v1/listings/{UNKNOWN}/inventory", 405),
    ],
)
def test_paths_and_methods_that_are_not_there(hub: Hub, method: str, where: str, status: int) -> None:
    answer = hub.client.request(method, f"/treet{where}", headers=hub.section["headers"])
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert ("allow" in answer.headers) == (status == 405)
