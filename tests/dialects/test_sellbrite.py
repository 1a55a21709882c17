"""Sellbrite over HTTP: the published story, order, creation and skipping, the list, warehouses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from hubs import Call, Hub, demo_hub
from onhand.appliers import APPLIERS
from onhand.stock.model import Forget, Line, Reserve, SetInfinite, Transfer
from onhand.store import catalog, incidents, levels, sheets
from sellbrite_calls import (
    NOTEBOOK,
    PEN,
    RECEIVED,
    UNKNOWN,
    auth,
    call,
    open_incidents,
    put,
    record,
    row,
    shown,
    waiting,
    warehouse,
)

NOTEBOOK_ID, PEN_ID, SHARED = 31, 32, 40


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "sellbrite", appliers=APPLIERS) as running:
        yield running


def last_seq(hub: Hub) -> int:
    return hub.read(lambda c: levels.last_seq(c, hub.account))


# --- what is published --------------------------------------------------------------------------------


def test_the_published_story(hub: Hub) -> None:
    """3 on hand, 1 reserved. Saying that 2 are available agrees, so nothing moves; saying that 2 are
    on hand deducts the order a second time."""
    before = last_seq(hub)
    assert shown(hub) == (3, 1, 2)
    answer = put(hub, record(hub, available=2))
    assert (answer.status_code, answer.json()) == (200, RECEIVED)
    assert shown(hub) == (3, 1, 2)
    assert last_seq(hub) == before
    put(hub, record(hub, on_hand=2))
    assert shown(hub) == (2, 1, 1)
    assert last_seq(hub) == before + 1


@pytest.mark.parametrize("path", ["/inventory", "/inventory/", "/v1/inventory", "/v1/inventory/"])
@pytest.mark.parametrize("as_list", [True, False])
def test_every_spelling_of_the_call(hub: Hub, path: str, as_list: bool) -> None:
    body = record(hub, available="7")
    answer = call(hub, "PUT", path, {"inventory": [body] if as_list else body})
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == b'{"body":"Request received"}'
    assert shown(hub) == (8, 1, 7)


def test_a_put_is_seen_by_the_next_get_every_time(hub: Hub) -> None:
    for number in range(30):
        put(hub, record(hub, available=number))
        assert shown(hub) == (number + 1, 1, number)


def test_on_hand_below_reserved_is_allowed_and_shows_it(hub: Hub) -> None:
    put(hub, record(hub, on_hand=0))
    assert shown(hub) == (0, 1, -1)


def test_unlimited_stock_shows_the_cap(hub: Hub) -> None:
    hub.record(SetInfinite(NOTEBOOK_ID, 1, True))
    assert shown(hub) == (1000, 1, 999)


def test_records_are_applied_in_their_order(hub: Hub) -> None:
    put(
        hub,
        record(hub, on_hand=9),
        record(hub, PEN, available=4),
        record(hub, on_hand=5, description="recount"),
    )
    assert shown(hub) == (5, 1, 4)
    assert shown(hub, PEN) == (4, 0, 4)
    last = hub.read(lambda c: levels.history(c, hub.account, (NOTEBOOK_ID, 1), limit=1))[0]
    assert (last.reason, last.kind) == ("recount", "counted")
    assert last.caller.startswith("sellbrite:connection:")


def test_fifty_records_in_one_call(hub: Hub) -> None:
    put(hub, *(record(hub, f"NEW-{at}", at % 3, on_hand=at) for at in range(50)))
    assert [shown(hub, f"NEW-{at}", at % 3) for at in range(50)] == [(at, 0, at) for at in range(50)]


# --- missing records ----------------------------------------------------------------------------------


def test_put_creates_what_is_missing(hub: Hub) -> None:
    put(hub, record(hub, "NEVER-SEEN", 1, available=0), record(hub, PEN, 2, on_hand=6))
    assert row(hub, "NEVER-SEEN", 1) | {"sku": 0} == row(hub, "NEVER-SEEN", 1) | {
        "sku": 0,
        "product_name": None,
    }
    assert shown(hub, "NEVER-SEEN", 1) == (0, 0, 0)
    assert shown(hub, PEN, 2) == (6, 0, 6)


def test_patch_skips_what_is_missing(hub: Hub) -> None:
    answer = put(
        hub,
        record(hub, "NEVER-SEEN", on_hand=4, bin_location="X"),
        record(hub, PEN, 2, on_hand=6),
        record(hub, PEN, on_hand=7),
        method="PATCH",
    )
    assert (answer.status_code, answer.json()) == (200, RECEIVED)
    assert shown(hub, PEN) == (7, 0, 7)
    assert shown(hub, "NEVER-SEEN") is None
    assert shown(hub, PEN, 2) is None
    assert open_incidents(hub) == []
    assert hub.read(lambda c: catalog.item_ids(c, hub.account, ["NEVER-SEEN"])) == {}


def test_a_patch_behind_a_put_finds_what_it_created(hub: Hub) -> None:
    calls = [
        Call(method, "/sellbrite/inventory", {"auth": auth(hub), "json": {"inventory": body}})
        for method, body in (
            ("PATCH", record(hub, "FRESH", on_hand=1)),
            ("PUT", record(hub, "FRESH", on_hand=2)),
            ("PATCH", record(hub, "FRESH", on_hand=3)),
        )
    ]
    hub.together(calls)
    assert shown(hub, "FRESH") == (3, 0, 3)


def test_post_creates_once(hub: Hub) -> None:
    body = {"inventory": record(hub, "FRESH", on_hand="5", bin_location="B-1", cost=2)}
    answer = call(hub, "POST", "/inventory", body)
    assert (answer.status_code, answer.json()) == (201, {"body": "Inventory successfully created"})
    assert shown(hub, "FRESH") == (5, 0, 5)
    assert (row(hub, "FRESH")["bin_location"], row(hub, "FRESH")["cost"]) == ("B-1", 2.0)
    again = call(hub, "POST", "/inventory", {"inventory": record(hub, "FRESH", on_hand=9)})
    assert (again.status_code, again.json()) == (409, {"body": "Inventory already exists"})
    assert shown(hub, "FRESH") == (5, 0, 5)


@pytest.mark.parametrize("fields", [{}, {"bin_location": "C-3"}, {"cost": 4}])
def test_post_creates_a_record_with_nothing_of_the_one_before(hub: Hub, fields: dict[str, Any]) -> None:
    put(hub, record(hub, "FRESH", on_hand=5, bin_location="B-1", cost=2))
    assert row(hub, "FRESH")["bin_location"] == "B-1"
    item = hub.read(lambda c: catalog.item_ids(c, hub.account, ["FRESH"]))["FRESH"]
    hub.record(Forget(item, 1))
    body = {"inventory": record(hub, "FRESH", on_hand=1, **fields)}
    assert call(hub, "POST", "/inventory", body).status_code == 201
    made = row(hub, "FRESH")
    assert (made["bin_location"], made["cost"]) == (fields.get("bin_location"), fields.get("cost"))


def test_post_of_several_is_all_or_nothing(hub: Hub) -> None:
    several = [record(hub, "FRESH", on_hand=1), record(hub, PEN, on_hand=1)]
    assert call(hub, "POST", "/inventory", {"inventory": several}).status_code == 409
    assert shown(hub, "FRESH") is None
    several[1] = record(hub, PEN, 2, on_hand=1)
    assert call(hub, "POST", "/inventory", {"inventory": several}).status_code == 201
    assert (shown(hub, "FRESH"), shown(hub, PEN, 2)) == ((1, 0, 1), (1, 0, 1))


def test_one_of_many_posts_at_once_wins(hub: Hub) -> None:
    calls = [
        Call("POST", "/sellbrite/inventory", {
            "auth": auth(hub), "json": {"inventory": record(hub, "FRESH", on_hand=at)}
        })
        for at in range(8)
    ]  # fmt: skip
    statuses = [answer.status_code for answer in hub.together(calls)]
    assert sorted(statuses) == [201, *[409] * 7]
    assert shown(hub, "FRESH") == (statuses.index(201), 0, statuses.index(201))


def test_post_comes_after_what_was_accepted_before(hub: Hub) -> None:
    put(hub, record(hub, "FRESH", on_hand=3))
    assert call(hub, "POST", "/inventory", {"inventory": record(hub, "FRESH", on_hand=9)}).status_code == 409


# --- order and refusals -------------------------------------------------------------------------------


def test_what_is_sent_at_once_is_applied_in_order_of_arrival(hub: Hub) -> None:
    calls = [
        Call("PUT", "/sellbrite/inventory", {
            "auth": auth(hub), "json": {"inventory": record(hub, PEN, on_hand=at)}
        })
        for at in range(1, 201)
    ]  # fmt: skip
    assert {answer.status_code for answer in hub.together(calls)} == {200}
    assert shown(hub, PEN) is not None
    made = hub.read(lambda c: levels.history(c, hub.account, (PEN_ID, 1), limit=200))
    assert [one.on_hand_after for one in reversed(made)] == list(range(1, 201))


def test_what_cannot_be_applied_is_an_incident(hub: Hub) -> None:
    hub.write(lambda c: catalog.set_kit(c, hub.account, PEN_ID, {NOTEBOOK_ID: 2}, 1))
    answer = put(hub, record(hub, PEN, on_hand=5), record(hub, on_hand=8))
    assert (answer.status_code, answer.json()) == (200, RECEIVED)
    assert shown(hub) == (8, 1, 7)
    [incident] = open_incidents(hub)
    assert incident.kind == "refused"
    assert incident.body["refusal"]["type"] == "Forbidden"
    assert incident.body["command"]["item"] == PEN_ID
    assert incident.body["context"] == "sellbrite message 1"
    put(hub, record(hub, PEN, on_hand=6), record(hub, PEN, on_hand=7), record(hub, on_hand=9))
    assert shown(hub) == (9, 1, 8)
    assert open_incidents(hub) == [incident]
    put(hub, record(hub, PEN, 1, on_hand=6))
    shown(hub)
    assert [one.body["command"]["location"] for one in open_incidents(hub)] == [1, 2]
    hub.write(lambda c: incidents.close(c, hub.account, incident.id, "known", "me", 1))
    put(hub, record(hub, PEN, on_hand=6))
    shown(hub)
    assert [one.body["command"]["quantity"] for one in open_incidents(hub)] == [5, 6, 6]
    created = call(hub, "POST", "/inventory", {"inventory": record(hub, PEN, 2, on_hand=5)})
    assert (created.status_code, created.json()) == (
        422,
        {"error": "A kit has no stock of its own: set its components"},
    )


def test_a_poisoned_message_does_not_stop_the_others(hub: Hub) -> None:
    hub.run(hub.inventory.accept, hub.account, "sellbrite", "sellbrite:x", '{"create": "perhaps"}')
    put(hub, record(hub, on_hand=6))
    for _ in range(20):
        if shown(hub) == (6, 1, 5):
            break
    assert shown(hub) == (6, 1, 5)
    assert [(one.kind, one.body["source"]) for one in open_incidents(hub)] == [("message", "sellbrite")]
    assert waiting(hub) == 0


def test_bins_and_costs_are_kept(hub: Hub) -> None:
    put(hub, record(hub, on_hand=3, bin_location="A-03", cost="4.255"))
    assert (row(hub)["bin_location"], row(hub)["cost"]) == ("A-03", 4.26)
    put(hub, record(hub, on_hand=3, cost=1), record(hub, on_hand=3, bin_location="A-04"))
    assert (row(hub)["bin_location"], row(hub)["cost"]) == ("A-04", 1.0)
    assert (row(hub, at=1)["bin_location"], row(hub, at=1)["cost"]) == (None, 3.8)
    put(hub, record(hub, on_hand=3, bin_location=""), record(hub, on_hand=3, bin_location=None))
    assert (row(hub)["bin_location"], row(hub)["cost"]) == (None, 1.0)


def test_measurements_are_numbers(hub: Hub) -> None:
    """Typed clients read numbers; the catalogue takes text as well."""
    kept = {"length": "21.50", "width": 7, "height": "about 2", "weight": "1e400", "unit": "cm"}
    hub.write(lambda c: catalog.change_item(c, hub.account, PEN_ID, {"measurements": kept}, 1))
    shown = row(hub, PEN)
    assert [shown[f"package_{name}"] for name in ("length", "width", "height", "weight")] == [
        21.5,
        7,
        None,
        None,
    ]


def test_one_ledger(hub: Hub) -> None:
    """What other doors do to the stock is seen here at once."""
    hub.record(Reserve("o", (Line(PEN_ID, 2, (1,)),)), Transfer(PEN_ID, 1, 3, 5))
    assert (shown(hub, PEN), shown(hub, PEN, 2)) == ((47, 2, 45), (5, 0, 5))
    put(hub, record(hub, PEN, available=1))
    assert shown(hub, PEN) == (3, 2, 1)
    assert hub.levels(PEN)["MAIN"].on_hand == 3


# --- the list -----------------------------------------------------------------------------------------


def listed(hub: Hub, **params: Any) -> tuple[list[Any], str]:
    answer = call(hub, "GET", "/inventory", params=params)
    assert answer.status_code == 200
    return answer.json(), answer.headers["total-pages"]


def test_pages(hub: Hub) -> None:
    everything, total = listed(hub)
    assert total == "1"
    assert 70 < len(everything) < 100
    found: list[Any] = []
    for page in range(1, 99):
        part, total = listed(hub, page=page, limit=7)
        if not part:
            break
        found += part
    assert found == everything
    assert total == str(-(-len(everything) // 7))
    assert listed(hub, page=10**17) == ([], "1")
    put(hub, *(record(hub, f"NEW-{at}", 2, on_hand=at) for at in range(50)))
    assert [len(listed(hub, page=page, limit=1000)[0]) for page in (1, 2, 3)] == [
        100,
        len(everything) - 50,
        0,
    ]


def test_filters(hub: Hub) -> None:
    assert [one["warehouse_uuid"] for one in listed(hub, sku=PEN)[0]] == [warehouse(hub), warehouse(hub, 1)]
    assert {one["warehouse_uuid"] for one in listed(hub, warehouse_uuid=warehouse(hub, 1))[0]} == {
        warehouse(hub, 1)
    }
    both = listed(hub, sku=[PEN, NOTEBOOK, "NONE"], limit=3)
    assert ([one["sku"] for one in both[0]], both[1]) == ([NOTEBOOK, NOTEBOOK, PEN], "2")
    assert [one["sku"] for one in listed(hub, **{"sku[]": [PEN, NOTEBOOK]}, limit=3, page=2)[0]] == [PEN]
    for nothing in ({"sku": "pen-brass-07"}, {"sku": "A\0"}, {"warehouse_uuid": UNKNOWN}, {"sku": "?" * 999}):
        assert listed(hub, **nothing) == ([], "0")


def test_times(hub: Hub) -> None:
    hub.clock.ahead(3600)
    middle = "2999-01-01T00:00:00Z"
    assert listed(hub, created_at_min=middle) == ([], "0")
    iso = datetime.fromtimestamp(hub.clock() / 1_000_000 - 1800, UTC).isoformat()
    put(hub, record(hub, on_hand=7), record(hub, "FRESH", on_hand=1))
    assert [one["sku"] for one in listed(hub, updated_at_min=iso)[0]] == [NOTEBOOK, "FRESH"]
    assert [one["sku"] for one in listed(hub, created_at_min=iso)[0]] == ["FRESH"]
    assert [one["sku"] for one in listed(hub, updated_at_min=iso, created_at_max=iso)[0]] == [NOTEBOOK]


def test_a_long_list_is_read_in_the_order_of_its_key(hub: Hub) -> None:
    """A page of 600,000 records took seconds, half of them to sort what is in order already."""
    for ends, statement in sheets._page.items():
        text, names = statement._texts["sqlite"]
        values = tuple("[[1]]" if name == "rows" else 1 for name in names)

        def plan(connection: Connection, asked: str = text, given: tuple[Any, ...] = values) -> list[str]:
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", given)
            return [row[-1] for row in found]

        steps = hub.read(plan)
        assert steps[0] == "SEARCH l USING PRIMARY KEY (account=?)", (ends, steps)
        assert not any("ORDER BY" in step or "items USING PRIMARY" in step for step in steps), (ends, steps)


@pytest.mark.parametrize("query", ["page=0", "page=x", "limit=-1", "created_at_min=yesterday", "page="])
def test_bad_queries(hub: Hub, query: str) -> None:
    for path in ("/inventory", "/warehouses"):
        answer = call(hub, "GET", f"{path}?{query}")
        assert (answer.status_code, answer.json()) == (400, {})
