"""Whether a connection is to the same shop as another: by what tells shops of that channel apart."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from market import SEALS
from onhand import connectors
from onhand.connectors.kind import Kind
from onhand.outward import connecting, sameness
from onhand.outward.equipment import Equipment
from onhand.settings import Settings
from onhand.stock.offering import Rules
from onhand.store import accounts, linking
from onhand.store.engine import open_store
from onhand.store.linking import Linked

NAMES = [one.CHANNEL.name for one in connectors.ALL]


def example(channel: str) -> dict[str, Any]:
    """Settings of a shop there."""
    return dict(importlib.import_module(f"fakes.{channel}").EXAMPLE.settings)


def found(url: str, channel: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a connection that was made with some settings is found by others."""
    store = open_store(url)
    equipment: Any = Equipment(None, Settings())  # type: ignore[arg-type]
    equipment.seals = SEALS
    module: Kind = equipment.module(channel)

    def unit(connection: Connection) -> Linked | None:
        account = accounts.add(connection, "shop", 1).id
        plain, hidden = connecting.split(module, before)
        link = linking.number(connection, account)
        new = Linked(link, channel, "First", (), plain, Rules(), True, 0)
        linking.add(connection, account, new, SEALS.seal(account, link, hidden), 1)
        return sameness.of_the_same_shop(
            connection, equipment, account, channel, *connecting.split(module, after)
        )

    try:
        with store.writer.begin() as connection:
            return unit(connection) is not None
    finally:
        store.close()


@pytest.mark.parametrize(
    ("channel", "change", "names"),
    [
        pytest.param("shopify", {"access_token": "shpat_another"}, [], id="another token"),
        pytest.param("shopify", {"shop": "another"}, ["shop"], id="another shop"),
        pytest.param("woocommerce", {"store": "https://another.example"}, ["store"], id="another address"),
        pytest.param("amazon", {"marketplace_id": "A2EUQ1WTGCTBG2"}, ["marketplace_id"], id="a market"),
        pytest.param("amazon", {"sandbox": True}, ["sandbox"], id="what is only for trying"),
        pytest.param("ebay", {"refresh_token": "another"}, [], id="a token that has run out"),
        pytest.param("ebay", {"orders": False}, [], id="another connection takes its orders"),
        pytest.param("magento", {"website": "other", "stock_id": 2}, [], id="another part of it"),
    ],
)
def test_what_leads_to_another_shop(channel: str, change: dict[str, Any], names: list[str]) -> None:
    module = next(one for one in connectors.ALL if one.CHANNEL.name == channel)
    before, _ = connecting.split(module, example(channel))
    after, _ = connecting.split(module, example(channel) | change)
    assert sameness.leads_elsewhere(module, before, after) == names
    assert sameness.leads_elsewhere(module, before, before) == []


@pytest.mark.parametrize(
    ("channel", "change", "elsewhere"),
    [
        pytest.param("woocommerce", {"store": "https://shop.example.net"}, True, id="another host"),
        pytest.param("mirakl", {"url": "https://shop.example.net"}, True, id="another operator"),
        pytest.param("nuorder", {"host": "https://shop.example.net"}, True, id="another portal"),
        pytest.param("magento", {"url": "https://shop.example.net"}, True, id="another shop"),
        pytest.param("shopify", {"shop": "another"}, True, id="another name"),
        pytest.param("shopify", {"access_token": "another"}, False, id="another token"),
        pytest.param("ebay", {"client_id": "another"}, False, id="another app at the same host"),
    ],
)
def test_where_secrets_are_sent(channel: str, change: dict[str, Any], elsewhere: bool) -> None:
    module = next(one for one in connectors.ALL if one.CHANNEL.name == channel)
    before = example(channel)
    assert sameness.goes_elsewhere(module, before, before | change) is elsewhere
    assert sameness.goes_elsewhere(module, before, before) is False
    assert sameness.goes_elsewhere(module, {}, before) is True


def test_a_stroke_at_the_end_is_the_same_address() -> None:
    module = next(one for one in connectors.ALL if one.CHANNEL.name == "sandbox")
    before = example("sandbox")
    assert not sameness.goes_elsewhere(module, before, before | {"url": before["url"] + "/"})


@pytest.mark.parametrize("channel", NAMES)
def test_what_tells_a_shop_are_settings(sqlite_url: str, channel: str) -> None:
    module = next(one for one in connectors.ALL if one.CHANNEL.name == channel)
    known = {field.name for field in msgspec.structs.fields(module.CHANNEL.settings)}
    assert set(module.CHANNEL.shop) <= known
    assert found(sqlite_url, channel, example(channel), example(channel))


@pytest.mark.parametrize(
    ("channel", "change", "same"),
    [
        pytest.param("shopify", {"access_token": "shpat_another"}, True, id="another token"),
        pytest.param("shopify", {"shop": "another"}, False, id="another shop"),
        pytest.param("woocommerce", {"consumer_key": "ck_1", "consumer_secret": "cs_1"}, True, id="new keys"),
        pytest.param("amazon", {"marketplace_id": "A2EUQ1WTGCTBG2"}, False, id="another marketplace"),
        pytest.param("ebay", {"access_token": "another"}, True, id="a token that passes"),
        pytest.param("ebay", {"refresh_token": "another"}, False, id="another account by the same app"),
        pytest.param("ebay", {"listings": "trading"}, True, id="its orders would come twice"),
        pytest.param(
            "ebay", {"listings": "trading", "orders": False}, False, id="the other kind of listings"
        ),
        pytest.param("nuorder", {"warehouses": ("wh-2",)}, True, id="orders are of the whole portal"),
        pytest.param("magento", {"website": "other", "stock_id": 2}, True, id="orders are of the whole shop"),
        pytest.param("squarespace", {"api_key": "another"}, False, id="another key of who knows which site"),
    ],
)
def test_the_same_shop(sqlite_url: str, channel: str, change: dict[str, Any], same: bool) -> None:
    assert found(sqlite_url, channel, example(channel), example(channel) | change) is same
