"""Sellbrite over HTTP on each database: every statement that the dialect runs, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from hubs import Call, Hub, demo_hub
from onhand.appliers import APPLIERS
from onhand.dialects.sellbrite import queue, warehouses
from onhand.dialects.sellbrite.schema import Change, queued
from onhand.stock.model import Forget, SetOnHand
from onhand.store import catalog, levels, requests
from onhand.store.catalog import Item, Location
from onhand.work import Group, PutDetail, Work
from sellbrite_calls import NOTEBOOK, PEN, auth, call, open_incidents, put, record, row, shown, warehouse
from side_by_side import beside


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_day_of_a_merchant(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    where = tmp_path if database == "sqlite" else request.getfixturevalue("postgres_url")
    with demo_hub(where, "sellbrite", appliers=APPLIERS) as hub:
        put(hub, record(hub, available=2), record(hub, PEN, 2, on_hand=4, bin_location="B", cost=1.5))
        assert shown(hub) == (3, 1, 2)
        assert (shown(hub, PEN, 2), row(hub, PEN, 2)["bin_location"]) == ((4, 0, 4), "B")
        put(hub, record(hub, on_hand=2), record(hub, "NONE", on_hand=1), method="PATCH")
        assert (shown(hub), shown(hub, "NONE")) == ((2, 1, 1), None)
        body = {"inventory": record(hub, "FRESH", on_hand=5)}
        assert [call(hub, "POST", "/inventory", body).status_code for _ in range(2)] == [201, 409]
        made = call(hub, "POST", "/warehouses", {"warehouse": {"name": "North"}})
        path = f"/warehouses/{made.json()['warehouse_uuid']}"
        assert call(hub, "PUT", path, {"warehouse": {"name": "MAIN"}}).status_code == 422
        assert call(hub, "PUT", path, {"warehouse": {"city": "Bath"}}).status_code == 200
        assert call(hub, "PUT", "/warehouses/%00", {"warehouse": {}}).status_code == 404
        params = {"sku": NOTEBOOK, "created_at_max": "2999-01-01T00:00:00Z", "updated_at_min": "2000-01-01"}
        assert len(call(hub, "GET", "/inventory", params=params).json()) == 2
        assert call(hub, "GET", "/inventory", params=params | {"updated_at_max": "2000-01-01"}).json() == []
        assert call(hub, "GET", "/inventory", params={"sku": "\0", "page": "9" * 18}).json() == []
        assert call(hub, "GET", "/warehouses").json()[-1]["city"] == "Bath"
        assert open_incidents(hub) == []
        kit, part = hub.write(
            lambda c: catalog.add_items(c, hub.account, [Item(0, "PAIR"), Item(0, "ONE")], 1)
        )
        hub.write(lambda c: catalog.set_kit(c, hub.account, kit.id, {part.id: 2}, 1))
        for number in (3, 4):
            put(hub, record(hub, "PAIR", on_hand=number))
            assert shown(hub, "PAIR") is None
        assert [one.body["command"]["quantity"] for one in open_incidents(hub)] == [3]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    "bound", [(), ("created_at_max",), ("updated_at_max",), ("created_at_max", "updated_at_max")]
)
def test_lists_hold_what_has_a_sku_and_a_place_in_time(
    database: str, bound: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    where = tmp_path if database == "sqlite" else request.getfixturevalue("postgres_url")
    with demo_hub(where, "sellbrite", appliers=APPLIERS) as hub:
        nameless = hub.write(lambda c: catalog.add_items(c, hub.account, [Item(0), Item(0, "LAST")], 1))
        hub.record(*(SetOnHand(one.id, 1, 5) for one in nameless))
        later = dict.fromkeys(bound, "2999-01-01")
        listed = [call(hub, "GET", "/inventory", params={"page": page, **later}) for page in (1, 2)]
        found = [one["sku"] for answer in listed for one in answer.json()]
        assert (found[-1], found.count("LAST"), None in found) == ("LAST", 1, False)
        for sku, records in (([NOTEBOOK], 2), (["LAST", NOTEBOOK, "NONE"], 3)):
            assert len(call(hub, "GET", "/inventory", params={"sku": sku, **later}).json()) == records
        earlier = dict.fromkeys(bound, "2000-01-01")
        for sku in ([], [NOTEBOOK]) if bound else ():
            answer = call(hub, "GET", "/inventory", params={"sku": sku, **later, **earlier})
            assert (answer.json(), answer.headers["total-pages"]) == ([], "0")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_calls_keep_their_order_when_another_process_has_some(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """One has read three calls, too much for one commit; before it begins, another has applied the first of
    them. What is left is looked at anew: the third alone would be overwritten by the second."""
    where = tmp_path if database == "sqlite" else request.getfixturevalue("postgres_url")
    with demo_hub(where, "sellbrite") as hub:
        for number, others in enumerate([0, queue.RECORDS_AT_ONCE - 2, 0], 1):
            changes = [Change(f"SKU-{at}", "w", 1) for at in range(others)]
            body = queued(True, [Change(NOTEBOOK, "w", number), *changes], {"w": 1})
            hub.run(hub.inventory.accept, hub.account, queue.NAME, "test", body)
        read = hub.read(lambda c: requests.waiting(c, hub.account))
        hub.run(queue.apply, hub.inventory, hub.account, read[:1])
        hub.run(queue.apply, hub.inventory, hub.account, read)
        assert hub.read(lambda c: requests.waiting(c, hub.account)) == read[1:]
        assert shown(hub) == (1, 1, 0)
        hub.run(queue.apply, hub.inventory, hub.account, read[1:])
        assert shown(hub) == (3, 1, 2)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_calls_of_several_clients_are_applied_in_one_commit(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Each movement says whose it is, and so does the incident of what is refused."""
    where = tmp_path if database == "sqlite" else request.getfixturevalue("postgres_url")
    with demo_hub(where, "sellbrite") as hub:
        hub.write(lambda c: catalog.add_location(c, hub.account, Location(9, "FBA", 1, "mirrored"), 1))
        for number, client in enumerate(["one", "two", "one", "three"], 1):
            place = 9 if client == "three" else 1
            body = queued(True, [Change(NOTEBOOK, "w", number)], {"w": place})
            hub.run(hub.inventory.accept, hub.account, queue.NAME, client, body)
        read = hub.read(lambda c: requests.waiting(c, hub.account))
        hub.run(queue.apply, hub.inventory, hub.account, read)
        made = hub.read(lambda c: levels.history(c, hub.account, (31, 1), limit=3))[::-1]
        assert [(one.on_hand_after, one.caller) for one in made] == [(1, "one"), (2, "two"), (3, "one")]
        assert len({one.recorded_at for one in made}) == 1
        assert [one.body["caller"] for one in open_incidents(hub)] == ["three"]


def at_once(hub: Hub, *calls: tuple[bool, Change]) -> tuple[Any, Any]:
    """Apply calls in one commit; the bin and the cost of FRESH after that."""
    for create, change in calls:
        body = queued(create, [change], {"w": 1})
        hub.run(hub.inventory.accept, hub.account, queue.NAME, "test", body)
    hub.run(queue.apply, hub.inventory, hub.account, hub.read(lambda c: requests.waiting(c, hub.account)))
    found = row(hub, "FRESH")
    return found["bin_location"], found["cost"]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_a_skipped_patch_said_is_not_kept(
    database: str, elsewhere: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Also when the PUT that makes the record is applied in the same commit, whatever that says, and whether
    or not the SKU is known from another warehouse."""
    where = tmp_path if database == "sqlite" else request.getfixturevalue("postgres_url")
    skipped = (False, Change("FRESH", "w", 1, bin_location="skipped"))
    with demo_hub(where, "sellbrite") as hub:
        if elsewhere:
            put(hub, record(hub, "FRESH", 1, on_hand=1))
        assert at_once(hub, skipped, (True, Change("FRESH", "w", 2, cost="1.50"))) == (None, 1.5)
        later = [Change("FRESH", "w", 3, bin_location="B-2"), Change("FRESH", "w", 4, cost="2.50")]
        assert at_once(hub, (False, later[0]), (True, later[1])) == ("B-2", 2.5)
        # A PUT that says no more than a quantity, and what goes on from it.
        item = hub.read(lambda c: catalog.item_ids(c, hub.account, ["FRESH"]))["FRESH"]
        hub.run(hub.inventory.record, Work(hub.account, (forgotten(item),), "test"))
        plain = (True, Change("FRESH", "w", 1))
        assert at_once(hub, skipped, plain, (False, Change("FRESH", "w", 2, cost="3.00"))) == (None, 3.0)
        made = hub.read(lambda c: levels.history(c, hub.account, (item, 1), limit=2))
        assert [one.on_hand_after for one in made] == [2, 1]


def forgotten(item: int) -> Group:
    """A place becomes one that was never there."""
    return Group((Forget(item, 1),), also=(PutDetail(queue.NAME, queue.KIND, item, 1, None),))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_two_calls_say_at_once_is_kept_of_both(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A POST is not in the line of the PUTs: what it says may be committed while one is being applied."""
    where = tmp_path if database == "sqlite" else request.getfixturevalue("postgres_url")
    found = set()
    with demo_hub(where, "sellbrite", appliers=APPLIERS) as hub:
        for number in range(40):
            sku = f"FRESH-{number}"
            bodies = {
                "POST": record(hub, sku, on_hand=9, bin_location="Z"),
                "PUT": record(hub, sku, on_hand=4, cost=3),
            }
            calls = [
                Call(method, "/sellbrite/inventory", {"auth": auth(hub), "json": {"inventory": body}})
                for method, body in bodies.items()
            ]
            first = hub.together(calls)[0].status_code
            shown(hub, sku)
            found.add((first, *[row(hub, sku)[name] for name in ("on_hand", "bin_location", "cost")]))
    assert found <= {(201, 4, "Z", 3.0), (409, 4, None, 3.0)}


def test_two_hubs_that_set_different_fields_of_a_warehouse(postgres_url: str) -> None:
    """Whoever comes second keeps what the first has set, though it began before that was committed."""
    with demo_hub(postgres_url, "sellbrite") as hub:
        name = warehouse(hub)

        def unit(connection: Connection) -> None:
            assert warehouses.update(connection, hub.account, None, name, {"city": "Bath"})

        sent = {"json": {"warehouse": {"region": "ME", "name": "NORTH"}}, "auth": auth(hub)}
        asked = Call("PUT", f"/sellbrite/warehouses/{name}", sent)
        assert beside(hub, postgres_url, unit, asked).status_code == 200
        found = call(hub, "GET", "/warehouses").json()[0]
        assert (found["name"], found["city"], found["state_region"]) == ("NORTH", "Bath", "ME")
