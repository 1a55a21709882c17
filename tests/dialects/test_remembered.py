"""What a request is understood by is remembered, and forgotten the moment it changes, in every dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, select, update

import marketplacer_calls
import sellbrite_calls
import trackstar_calls
import treet_calls
from dialects import flipkart_wire
from hubs import Hub, demo_hub
from onhand.appliers import APPLIERS
from onhand.stock.model import Adjust, SetOnHand
from onhand.store import catalog, channels, keys, schema
from onhand.store.channels import Listing

MAIN, EAST, WEST = 1, 2, 3
LAMP_SKU = marketplacer_calls.SKUS[marketplacer_calls.LAMP]


@pytest.fixture
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hub]:
    name, _, engine = request.param.partition(" on ")
    where = request.getfixturevalue("postgres_url") if engine else tmp_path
    with demo_hub(where, name, appliers=APPLIERS) as one:
        yield one


Ask = Callable[[], httpx2.Response]


def treet(hub: Hub) -> Ask:
    return lambda: treet_calls.put(hub, treet_calls.ids(hub)[0], treet_calls.adjust(1))


def flipkart(hub: Hub) -> Ask:
    headers, known = flipkart_wire.bearer(hub), hub.section["skus"][0]
    return lambda: flipkart_wire.post(hub, {known["sku"]: flipkart_wire.update(known, 7)}, headers)


def trackstar(hub: Hub) -> Ask:
    at = trackstar_calls.shop(hub, "shopify")
    return lambda: trackstar_calls.put(hub, at, at.body())


def marketplacer(hub: Hub) -> Ask:
    body = marketplacer_calls.records({"count_on_hand": 7, "seller_id": 2})
    return lambda: marketplacer_calls.put(hub, marketplacer_calls.LAMP, body)


def sellbrite(hub: Hub) -> Ask:
    return lambda: sellbrite_calls.put(hub, sellbrite_calls.record(hub, on_hand=7))


WRITES = {
    "treet": treet,
    "flipkart": flipkart,
    "trackstar": trackstar,
    "marketplacer": marketplacer,
    "sellbrite": sellbrite,
}
REFUSED = {"treet": 403, "flipkart": 401, "trackstar": 401, "marketplacer": 401, "sellbrite": 401}


def remembered(hub: Hub, name: str) -> Ask:
    """A call of a dialect that was made twice, so that all it needs is remembered."""
    call = WRITES[name](hub)
    assert [call().status_code for _ in range(2)] == [200, 200]
    return call


def link(hub: Hub, name: str, integration: str | None = None) -> channels.Link:
    found = hub.read(lambda c: channels.links(c, hub.account, name))
    return next(one for one in found if integration in (None, one.integration))


def listing(connection: Connection, hub: Hub, at: int, name: str) -> Listing:
    return channels.listings_by_external(connection, hub.account, at, [name])[name]


def closing(hub: Hub, at: channels.Link, name: str) -> tuple[int, int]:
    """Have a listing close when nothing is left at the connection's first location; what it is bound to."""
    place = at.locations[0]

    def unit(connection: Connection) -> int:
        found = listing(connection, hub, at.id, name)
        fields = {"closes_at_zero": 1, "location": place}
        channels.change_listing(connection, hub.account, found.id, fields, hub.clock())
        return found.item

    return hub.write(unit), place


def relocated(hub: Hub, at: int, locations: str) -> None:
    table = schema.connections
    change = update(table).where(table.c.account == hub.account, table.c.id == at).values(locations=locations)
    hub.write(lambda c: c.execute(change).rowcount)


def renamed(hub: Hub, sku: str) -> None:
    """Give an item another SKU."""

    def unit(connection: Connection) -> None:
        item = catalog.items_by_sku(connection, hub.account, [sku])[sku]
        catalog.change_item(connection, hub.account, item.id, {"sku": f"{sku}-OLD"}, hub.clock())

    hub.write(unit)


EVERYWHERE = [(name + engine, name) for name in WRITES for engine in ("", " on PostgreSQL")]


@pytest.mark.parametrize(("hub", "name"), EVERYWHERE, indirect=["hub"])
def test_a_revoked_key_is_refused_at_once(hub: Hub, name: str) -> None:
    call = remembered(hub, name)

    def revoke(connection: Connection) -> int:
        whose = set(connection.execute(select(schema.keys.c.principal)).scalars())
        return sum(keys.revoke(connection, hub.account, one, hub.clock()) for one in whose)

    assert hub.write(revoke)
    assert call().status_code == REFUSED[name]


@pytest.mark.parametrize("hub", ["treet"], indirect=True)
def test_treets_listing_is_bound_elsewhere(hub: Hub) -> None:
    call = remembered(hub, "treet")
    name, number = treet_calls.ids(hub)[0], link(hub, "treet").id

    def unit(connection: Connection) -> None:
        found = listing(connection, hub, number, name)
        channels.change_listing(connection, hub.account, found.id, {"location": WEST}, hub.clock())

    hub.write(unit)
    assert call().json() == {"id": name, "availableInventory": 1}
    assert hub.levels(treet_calls.COAT)["WEST"].on_hand == 1


@pytest.mark.parametrize("hub", ["treet"], indirect=True)
def test_a_listing_that_was_not_there_is_found_once_it_is(hub: Hub) -> None:
    number = link(hub, "treet").id
    answer = treet_calls.put(hub, treet_calls.UNKNOWN, treet_calls.adjust(1))
    assert answer.json() == {"error": "Listing not found"}
    new = Listing(0, number, treet_calls.UNKNOWN, 1, location=MAIN)
    hub.write(lambda c: channels.add_listing(c, hub.account, new, hub.clock()))
    assert treet_calls.put(hub, treet_calls.UNKNOWN, treet_calls.adjust(1)).status_code == 200


@pytest.mark.parametrize("hub", ["flipkart"], indirect=True)
def test_flipkarts_listing_is_closed_and_its_location_gone(hub: Hub) -> None:
    call = remembered(hub, "flipkart")
    at, sku = link(hub, "flipkart"), hub.section["skus"][0]["sku"]
    assert call().json()[sku] == {"status": "SUCCESS"}

    def close(connection: Connection) -> None:
        found = listing(connection, hub, at.id, sku)
        channels.change_listing(connection, hub.account, found.id, {"status": "closed"}, hub.clock())

    hub.write(close)
    assert call().json()[sku]["status"] == "WARNING"
    other = hub.section["skus"][1]
    both = {one["sku"]: flipkart_wire.update(one, 7) for one in hub.section["skus"][:2]}
    answer = flipkart_wire.post(hub, both, flipkart_wire.bearer(hub)).json()
    assert [answer[one]["status"] for one in (sku, other["sku"])] == ["WARNING", "SUCCESS"]
    relocated(hub, at.id, "[3]")
    assert call().json()[sku]["status"] == "FAILURE"


@pytest.mark.parametrize("hub", ["trackstar"], indirect=True)
def test_trackstars_product_is_closed_and_its_warehouse_gone(hub: Hub) -> None:
    call = remembered(hub, "trackstar")
    at, product = link(hub, "trackstar", "shopify"), trackstar_calls.shop(hub, "shopify").product
    assert call().json()["data"]["active"] is True

    def close(connection: Connection) -> None:
        found = listing(connection, hub, at.id, product)
        channels.change_listing(connection, hub.account, found.id, {"status": "closed"}, hub.clock())

    hub.write(close)
    assert call().json()["data"]["active"] is False
    relocated(hub, at.id, "[3]")
    assert list(trackstar_calls.faults(call())) == ["warehouse_id"]


@pytest.mark.parametrize("hub", ["flipkart", "flipkart on PostgreSQL"], indirect=True)
def test_flipkarts_listing_is_closed_by_a_commit(hub: Hub) -> None:
    call = remembered(hub, "flipkart")
    sku = hub.section["skus"][0]["sku"]
    item, place = closing(hub, link(hub, "flipkart"), sku)
    assert call().json()[sku]["status"] == "SUCCESS"
    hub.record(SetOnHand(item, place, 0))
    assert call().json()[sku]["status"] == "WARNING"


@pytest.mark.parametrize("hub", ["trackstar", "trackstar on PostgreSQL"], indirect=True)
def test_trackstars_product_is_closed_by_a_commit(hub: Hub) -> None:
    call = remembered(hub, "trackstar")
    name = trackstar_calls.shop(hub, "shopify").product
    item, place = closing(hub, link(hub, "trackstar", "shopify"), name)
    assert call().json()["data"]["active"] is True
    hub.record(SetOnHand(item, place, 0))
    assert call().json()["data"]["active"] is False


@pytest.mark.parametrize("hub", ["trackstar", "trackstar on PostgreSQL"], indirect=True)
def test_trackstars_answers_are_what_is_shown_next(hub: Hub) -> None:
    at = trackstar_calls.shop(hub, "shopify")
    item = hub.read(lambda c: catalog.items_by_sku(c, hub.account, [at.sku]))[at.sku]
    for mode, quantity in (("increase", 1), ("exact", 5), ("exact", 5), ("increase", 0), ("decrease", 2)):
        for key in (None, f"{mode} {quantity}"):
            hub.clock.ahead(3)
            answer = trackstar_calls.put(hub, at, at.body(mode, quantity), key=key).json()
            assert answer["data"] == trackstar_calls.product(hub, at), (mode, quantity, key)
    hub.write(lambda c: catalog.change_item(c, hub.account, item.id, {"name": "Other"}, hub.clock()))
    answer = trackstar_calls.put(hub, at, at.body()).json()
    assert answer["data"]["name"] == "Other"
    assert answer["data"] == trackstar_calls.product(hub, at)


@pytest.mark.parametrize("hub", ["marketplacer", "marketplacer on PostgreSQL"], indirect=True)
def test_marketplacers_answers_are_what_is_shown_next(hub: Hub) -> None:
    written: list[dict[str, object]] = [
        {"seller_id": 1, "count_on_hand": 4},
        {"seller_id": 2, "price": "12.50"},
        {"seller_id": 1, "count_on_hand": 5},
        {"seller_id": 3, "infinite": True, "fulfilment_provider": "Ours"},
        {"seller_id": 2, "sale_price": 11, "count_on_hand": 2},
        {"seller_id": 3, "fulfilment_provider": None, "infinite": False},
        {"seller_id": 1, "price": None},
    ]
    item = hub.read(lambda c: catalog.items_by_sku(c, hub.account, [LAMP_SKU]))[LAMP_SKU].id
    for one in written * 2:
        answer = marketplacer_calls.put(hub, marketplacer_calls.LAMP, marketplacer_calls.records(one))
        assert answer.json() == marketplacer_calls.get(hub, marketplacer_calls.LAMP).json(), one
        hub.record(Adjust(item, EAST, 1))
    first = marketplacer_calls.get(hub, marketplacer_calls.LAMP).json()["data"][0]["id"]
    assert marketplacer_calls.delete(hub, marketplacer_calls.LAMP, first).status_code == 204
    body = marketplacer_calls.records({"seller_id": 2, "count_on_hand": 9})
    answer = marketplacer_calls.put(hub, marketplacer_calls.LAMP, body)
    assert first not in [one["id"] for one in answer.json()["data"]]
    assert answer.json() == marketplacer_calls.get(hub, marketplacer_calls.LAMP).json()


@pytest.mark.parametrize("hub", ["marketplacer"], indirect=True)
def test_marketplacers_member_moves_and_its_variant_is_shared_no_more(hub: Hub) -> None:
    call = remembered(hub, "marketplacer")
    hub.write(lambda c: catalog.change(c, "seller", hub.account, 2, {"default_location": WEST}))
    assert call().status_code == 200
    assert hub.levels(marketplacer_calls.SKUS[marketplacer_calls.LAMP])["WEST"].on_hand == 7
    alone = {"attributes": {"marketplacer": {"multi_store": False}}}
    hub.write(lambda c: catalog.change_item(c, hub.account, marketplacer_calls.LAMP, alone, hub.clock()))
    assert call().status_code == 404


@pytest.mark.parametrize("hub", ["marketplacer"], indirect=True)
def test_a_first_record_leaves_all_others_what_is_remembered(hub: Hub) -> None:
    call = remembered(hub, "marketplacer")
    before = hub.inventory._memory.now(hub.account)
    assert before is not None
    body = marketplacer_calls.records({"count_on_hand": 1, "seller_id": 3})
    first = marketplacer_calls.put(hub, marketplacer_calls.FIG, body)
    assert marketplacer_calls.put(hub, marketplacer_calls.FIG, body).json() == first.json()
    assert call().status_code == 200
    assert hub.inventory._memory.now(hub.account) is before


@pytest.mark.parametrize("hub", ["sellbrite"], indirect=True)
def test_sellbrites_sku_is_another_items_and_its_warehouse_new(hub: Hub) -> None:
    remembered(hub, "sellbrite")
    old = hub.read(lambda c: catalog.item_ids(c, hub.account, [sellbrite_calls.NOTEBOOK]))
    renamed(hub, sellbrite_calls.NOTEBOOK)
    named = {"warehouse": {"name": "Attic"}}
    made = sellbrite_calls.call(hub, "POST", "/warehouses", named).json()["warehouse_uuid"]
    record = sellbrite_calls.record(hub, on_hand=4) | {"warehouse_uuid": made}
    assert sellbrite_calls.put(hub, record).status_code == 200
    params = {"sku": sellbrite_calls.NOTEBOOK, "warehouse_uuid": made}
    (row,) = sellbrite_calls.call(hub, "GET", "/inventory", params=params).json()
    assert row["on_hand"] == 4
    new = hub.read(lambda c: catalog.item_ids(c, hub.account, [sellbrite_calls.NOTEBOOK]))
    assert new.keys() == old.keys() and new != old
