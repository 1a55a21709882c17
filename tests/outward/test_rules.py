"""Rules of connections and listings over the API: those that are named change, and no others."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hubs import Hub
from native_calls import Api, codes
from onhand.api.ruling import Ruling
from onhand.settings import Settings
from onhand.stock.offering import Rules

outward_shop = importlib.import_module("outward.shop")
rounds = importlib.import_module("outward.test_api")

CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"cap": 5}, {"buffer": 2, "cap": 5}),
    ({"buffer": 3}, {"buffer": 3}),
    ({"buffer": 0}, {"buffer": 0}),
    ({"buffer": None}, {}),
    ({"buffer": None, "minimum": 4}, {"minimum": 4}),
    ({"percent": None}, {"buffer": 2}),
    ({}, {"buffer": 2}),
    ({"locations": [1]}, {"buffer": 2, "locations": [1]}),
    ({"locations": [1], "places": {"main": [1]}}, {"buffer": 2, "locations": [1], "places": {"main": [1]}}),
]
"""What is asked of rules {"buffer": 2}, and what they are then."""


@pytest.fixture(scope="module")
def shop() -> Iterator[Any]:
    with outward_shop.shop() as running:
        yield running


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    settings = Settings(allow_private_channels=True, secret_key_file=str(tmp_path / "key"))
    with rounds.channel_hub(tmp_path, settings) as running:
        yield running


@pytest.fixture
def api(hub: Hub) -> Api:
    return rounds.stocked(hub)  # type: ignore[no-any-return]


def own(api: Api, listing: int) -> dict[str, Any]:
    """The rules that the listing has of its own."""
    found = api.get(f"/listings/{listing}/explain")["rules"]
    return {one["rule"]: one["value"] for one in found if one["from"] == "listing"}


def test_a_request_can_name_every_rule() -> None:
    assert Ruling.__struct_fields__ == Rules.__struct_fields__
    for ours, theirs in zip(msgspec.structs.fields(Ruling), msgspec.structs.fields(Rules), strict=True):
        assert ours.type == theirs.type | msgspec.UnsetType


def test_of_a_connections_rules_those_that_are_named_change(api: Api, shop: Any) -> None:
    link = rounds.connected(api, shop)
    for asked, left in CHANGES:
        api.ask("PATCH", f"/connections/{link}", {"rules": dict.fromkeys(Rules.__struct_fields__)})
        assert api.ask("PATCH", f"/connections/{link}", {"rules": {"buffer": 2}}).is_success
        done = api.ask("PATCH", f"/connections/{link}", {"rules": asked}).json()
        assert (done["rules"], api.get(f"/connections/{link}")["rules"]) == (left, left)


def test_locations_take_the_place_of_places(api: Api, shop: Any) -> None:
    link = rounds.connected(api, shop)
    assert api.get(f"/connections/{link}")["rules"] == {"places": {"main": [1]}}
    for asked, left in (({"cap": 4}, ["cap", "places"]), ({"locations": [1]}, ["cap", "locations"])):
        done = api.ask("PATCH", f"/connections/{link}", {"rules": asked}).json()
        assert sorted(done["rules"]) == left


def test_of_a_listings_rules_those_that_are_named_change(api: Api, shop: Any) -> None:
    link = rounds.connected(api, shop)
    one = rounds.listings(api, link)["SB-APRON-S"]["id"]
    for asked, left in CHANGES:
        assert api.ask("PUT", f"/listings/{one}/rules", {"buffer": 2}).status_code == 200
        assert api.ask("PATCH", f"/listings/{one}/rules", asked).status_code == 200
        assert own(api, one) == left


@pytest.mark.parametrize(
    ("asked", "code", "pointers"),
    [
        ({"buffer": -1}, "invalid_body", ["/buffer"]),
        ({"bufer": 1}, "invalid_body", ["/bufer"]),
        ({"heal": False}, "invalid_body", ["/rules"]),
        ({"locations": [99999]}, "unknown_location", ["/rules"]),
    ],
)
def test_rules_that_cannot_be_leave_those_that_were(
    api: Api, shop: Any, asked: Any, code: str, pointers: list[str]
) -> None:
    link = rounds.connected(api, shop)
    one = rounds.listings(api, link)["SB-APRON-S"]["id"]
    api.ask("PUT", f"/listings/{one}/rules", {"buffer": 2})
    assert codes(api.ask("PATCH", f"/listings/{one}/rules", {"cap": 1} | asked)) == (code, pointers)
    assert own(api, one) == {"buffer": 2}
    assert codes(api.ask("PATCH", "/listings/99999/rules", asked))[0] in (code, "unknown_listing")
