"""Treet over HTTP: the published request and answer, one ledger with others, the list, races."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubs import Call, Hub, demo_hub
from onhand.dialects.treet import setup
from onhand.sample import KeyWish
from onhand.stock.model import Adjust, Line, Reserve, SetInfinite, SetOnHand
from onhand.store import channels
from treet_calls import COAT, UNKNOWN, adjust, get, ids, path, put, state, swap

FIRST, SHARED = 7, 40


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "treet") as running:
        yield running


# --- what is published --------------------------------------------------------------------------------


def test_the_published_example(hub: Hub) -> None:
    first = ids(hub)[0]
    answer = put(hub, first, swap(5, 3))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == b'{"id":"%s","availableInventory":3}' % first.encode()
    assert hub.levels(COAT)["MAIN"].on_hand == 3


def test_adjustments(hub: Hub) -> None:
    first = ids(hub)[0]
    seen = [put(hub, first, adjust(by)).json()["availableInventory"] for by in (-2, 4, 0)]
    assert seen == [3, 7, 7]


@pytest.mark.parametrize("body", [swap(5, 0), adjust(-5)])
def test_reaching_zero_closes_for_good(hub: Hub, body: dict[str, Any]) -> None:
    first = ids(hub)[0]
    assert put(hub, first, body).json()["availableInventory"] == 0
    assert state(hub, first) == ("CLOSED", 0)
    for again in (swap(0, 4), swap(0, 0), adjust(1), adjust(0)):
        answer = put(hub, first, again)
        assert (answer.status_code, answer.json()) == (400, {"error": "The listing is closed"})
    hub.record(Adjust(FIRST, 1, 8))
    assert state(hub, first) == ("CLOSED", 8)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (swap(4, 3), "Expected 4 but the listing has 5"),
        (swap(4, 5), "Expected 4 but the listing has 5"),
        (adjust(-6), "Cannot subtract 6: the listing has 5"),
        (
            adjust(10**12),
            "The inventory would be 1000000000005; the most a listing can have is 1000000000000",
        ),
    ],
)
def test_a_refused_update_changes_nothing(hub: Hub, body: dict[str, Any], sentence: str) -> None:
    first, before = ids(hub)[0], hub.levels(COAT)
    answer = put(hub, first, body)
    assert (answer.status_code, answer.json()) == (400, {"error": sentence})
    assert hub.levels(COAT) == before


def test_sending_a_set_again_is_refused_with_the_new_number(hub: Hub) -> None:
    first = ids(hub)[0]
    put(hub, first, swap(5, 3))
    assert put(hub, first, swap(5, 3)).json() == {"error": "Expected 5 but the listing has 3"}


# --- one ledger ---------------------------------------------------------------------------------------


def test_reserved_units_are_not_available(hub: Hub) -> None:
    first = ids(hub)[0]
    hub.record(Reserve("order-1", (Line(FIRST, 2, (1,)),)))
    assert state(hub, first) == ("OPEN", 3)
    assert put(hub, first, adjust(-4)).json() == {"error": "Cannot subtract 4: the listing has 3"}
    assert put(hub, first, swap(3, 10)).json()["availableInventory"] == 10
    level = hub.levels(COAT)["MAIN"]
    assert (level.on_hand, level.reserved) == (12, 2)


@pytest.mark.parametrize("body", [adjust(0), swap(0, 0)])
def test_an_update_that_leaves_an_open_listing_at_zero_closes_it(hub: Hub, body: dict[str, Any]) -> None:
    new = hub.write(lambda c: setup.add_listing(c, hub.account, 1, FIRST, 3, 1)).external_id
    assert state(hub, new) == ("OPEN", 0)
    assert put(hub, new, body).json()["availableInventory"] == 0
    assert state(hub, new) == ("CLOSED", 0)


def test_it_closes_when_others_take_the_last_unit(hub: Hub) -> None:
    first, shared = ids(hub)[0], ids(hub)[-1]
    hub.record(Reserve("order-1", (Line(FIRST, 5, (1,)),)))
    hub.record(SetOnHand(SHARED, 1, 0))
    assert state(hub, first) == ("CLOSED", 0)
    assert state(hub, shared) == ("CLOSED", 0)


def test_oversold_and_infinite_stock(hub: Hub) -> None:
    first, second = ids(hub)[:2]
    hub.record(Reserve("order-1", (Line(FIRST, 4, (1,)),)))
    hub.record(SetOnHand(FIRST, 1, 1))
    assert state(hub, first) == ("CLOSED", 0)
    hub.record(SetInfinite(8, 1, True))
    assert put(hub, second, adjust(-50)).json()["availableInventory"] == 999
    assert state(hub, second) == ("OPEN", 999)


# --- the list -----------------------------------------------------------------------------------------


def test_the_list_in_pages(hub: Hub) -> None:
    put(hub, ids(hub)[1], swap(28, 0))
    seen, query = [], "?limit=2"
    for _ in range(4):
        body = get(hub, query).json()
        seen += [one["id"] for one in body["listings"]]
        assert body["pageInfo"]["hasNextPage"] == (len(seen) < len(ids(hub)))
        query = f"?limit=2&after={body['pageInfo']['endCursor']}"
    assert seen == ids(hub)
    assert get(hub, query).json() == {"listings": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}


def test_the_list_by_state(hub: Hub) -> None:
    put(hub, ids(hub)[0], swap(5, 0))
    closed = get(hub, "?state=CLOSED").json()["listings"]
    assert closed == [
        {
            "id": ids(hub)[0],
            "state": "CLOSED",
            "availableInventory": 0,
            "sku": "COAT-WOOL-CAMEL-M",
            "title": "Wool Coat Camel M",
        }
    ]
    assert [one["id"] for one in get(hub, "?state=OPEN").json()["listings"]] == ids(hub)[1:]


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=201", "?state=open", "?after=x", "?limit=", "?limit=%00"]
)
def test_queries_that_are_refused(hub: Hub, query: str) -> None:
    assert get(hub, query).status_code == 400


# --- at the same time ---------------------------------------------------------------------------------


def test_one_of_many_wins_a_swap(hub: Hub) -> None:
    where, headers = path(ids(hub)[0]), hub.section["headers"]
    calls = [Call("PUT", where, {"headers": headers, "json": swap(5, 10 + n)}) for n in range(20)]
    answers = hub.together(calls)
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    number = won[0].json()["availableInventory"]
    lost = {answer.text for answer in answers if answer.status_code != 200}
    assert lost == {f'{{"error":"Expected 5 but the listing has {number}"}}'}


def test_the_last_units_are_sold_once_and_the_listing_closes_with_them(hub: Hub) -> None:
    where, headers = path(ids(hub)[0]), hub.section["headers"]
    answers = hub.together([Call("PUT", where, {"headers": headers, "json": adjust(-1)})] * 20)
    numbers = [answer.json()["availableInventory"] for answer in answers if answer.status_code == 200]
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert {answer.json().get("error") for answer in answers} == {None, "The listing is closed"}
    assert state(hub, ids(hub)[0]) == ("CLOSED", 0)


def test_the_published_example_on_both_engines(migrated_url: str) -> None:
    with demo_hub(migrated_url, "treet") as hub:
        first = ids(hub)[0]
        assert put(hub, first, swap(5, 3)).json() == {"id": first, "availableInventory": 3}
        assert put(hub, first, swap(5, 3)).json() == {"error": "Expected 5 but the listing has 3"}
        assert put(hub, first, adjust(-3)).json()["availableInventory"] == 0
        assert state(hub, first) == ("CLOSED", 0)
        assert put(hub, UNKNOWN, adjust(1)).json() == {"error": "Listing not found"}
        rival = hub.another()["treet"]
        assert put(hub, rival["listings"][0]["id"], adjust(1)).json() == {"error": "Listing not found"}


# --- set-up -------------------------------------------------------------------------------------------


def test_the_demo(hub: Hub) -> None:
    listings = hub.section["listings"]
    assert listings[0]["availableInventory"] == 5
    assert len(listings) == 7
    assert all(set(one) == {"id", "sku", "availableInventory"} for one in listings)
    assert hub.section["headers"]["X-Treet-Authentication-Key"].startswith("tr_test")
    line = setup.curl(hub.section, hub.section["base_url"])
    assert line.endswith(f"{hub.section['base_url']}/v1/listings/{ids(hub)[0]}/inventory")
    none_open = hub.section | {"listings": []}
    assert setup.curl(none_open, "http://hub/treet").endswith(" http://hub/treet/v1/listings")


def test_keys_for_any_account(hub: Hub) -> None:
    def make(wish: KeyWish) -> dict[str, Any]:
        return hub.write(lambda c: setup.issue(c, hub.account, hub.clock(), wish))

    made = make(KeyWish(label="till"))
    assert get(hub, "", made["headers"]).json() == get(hub).json()
    link = hub.read(lambda c: channels.links(c, hub.account, "treet"))
    assert [made["principal"]] == [setup.principal(one.id) for one in link]
    for wish in (
        KeyWish(seller=2),
        KeyWish(integration="shopify"),
        KeyWish(scopes="admin"),
        KeyWish(scopes=""),
    ):
        with pytest.raises(ValueError, match="a Treet key"):
            make(wish)
