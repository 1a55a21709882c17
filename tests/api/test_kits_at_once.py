"""Kits that two processes on one PostgreSQL make at once, or one makes while the other counts: what comes
second sees what the first has made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from hubs import Call, Hub, demo_hub
from native_calls import MAIN, PREFIX, admin, codes
from onhand import batch
from onhand.stock.model import Adjust, Forget, SetOnHand
from onhand.store import catalog, levels
from onhand.work import Group, Work
from side_by_side import beside

UNITS = 3


class Shelf:
    """A hub with the items K1, K2 and P, of which there are `UNITS` at MAIN."""

    def __init__(self, hub: Hub, url: str) -> None:
        self.hub, self.url, self.api = hub, url, admin(hub)
        made = self.api.post("/items", {"items": [{"sku": sku} for sku in ("K1", "K2", "P")]}, 201)["data"]
        self.outer, self.inner, self.part = (one["id"] for one in made)
        hub.record(SetOnHand(self.part, MAIN, UNITS))

    def make_kit(self, connection: Connection) -> None:
        """K2 becomes a kit of one P."""
        account = self.hub.account
        catalog.hold_levels(connection, account, self.inner)
        catalog.hold_kits(connection, account)
        catalog.set_kit(connection, account, self.inner, {self.part: 1}, 1)

    def count(self, connection: Connection) -> None:
        """Five of K2 are found at MAIN."""
        command = SetOnHand(self.inner, MAIN, 5)
        work = Work(self.hub.account, (Group((command,)),), "test")
        (recorded,) = batch.commit(connection, [work], self.hub.clock())
        assert recorded is not None
        # What is left to be sent with the next statement is sent here.
        assert levels.of_items(connection, self.hub.account, [self.inner], self.hub.clock())

    def asked(self, unit: Any, method: str, path: str, body: Any) -> Any:
        """The hub's answer, while another process is about to commit ``unit``."""
        who = {"Authorization": f"Bearer {self.api.key}"}
        return beside(self.hub, self.url, unit, Call(method, PREFIX + path, {"json": body, "headers": who}))


@pytest.fixture
def shelf(postgres_url: str) -> Iterator[Shelf]:
    with demo_hub(postgres_url, "native") as hub:
        yield Shelf(hub, postgres_url)


def forgotten(shelf: Shelf) -> None:
    """K2 was counted once, and its level forgotten."""
    shelf.hub.record(SetOnHand(shelf.inner, MAIN, 1))
    shelf.hub.record(Forget(shelf.inner, MAIN))


def refused_once(shelf: Shelf) -> None:
    """Somebody tried to take K2 off its shelf, which leaves the row of a level that never was."""
    shelf.hub.record(Adjust(shelf.inner, MAIN, -1))


BEFORE = pytest.mark.parametrize("before", [lambda shelf: None, refused_once, forgotten])


def test_no_kit_is_made_of_what_becomes_one(shelf: Shelf) -> None:
    sent = {"components": [{"item": shelf.inner, "quantity": 1}]}
    answer = shelf.asked(shelf.make_kit, "PATCH", f"/items/{shelf.outer}", sent)
    assert (answer.status_code, codes(answer)) == (409, ("not_allowed", ["/components/0"]))
    assert shelf.api.get(f"/items/{shelf.outer}")["components"] in (None, [])


@BEFORE
def test_what_becomes_a_kit_gets_no_stock(shelf: Shelf, before: Callable[[Shelf], None]) -> None:
    before(shelf)
    change = {"op": "set_on_hand", "item": shelf.inner, "location": "MAIN", "quantity": 5}
    answer = shelf.asked(shelf.make_kit, "POST", "/changes", {"changes": [change]})
    assert (answer.status_code, codes(answer)[0]) == (409, "not_allowed"), answer.text
    assert shelf.api.level(shelf.inner) is None
    assert shelf.api.get(f"/items/{shelf.inner}")["kit"]


@BEFORE
def test_what_gets_stock_becomes_no_kit(shelf: Shelf, before: Callable[[Shelf], None]) -> None:
    before(shelf)
    sent = {"components": [{"item": shelf.part, "quantity": 1}]}
    answer = shelf.asked(shelf.count, "PATCH", f"/items/{shelf.inner}", sent)
    assert (answer.status_code, codes(answer)) == (409, ("not_allowed", ["/components"])), answer.text
    assert shelf.api.level(shelf.inner) == (5, 0)
    assert not shelf.api.get(f"/items/{shelf.inner}")["kit"]


@BEFORE
def test_what_becomes_a_kit_is_reserved_as_one(shelf: Shelf, before: Callable[[Shelf], None]) -> None:
    before(shelf)
    sent = {"reference": "r", "lines": [{"item": shelf.inner, "quantity": 2}], "expires_at": None}
    answer = shelf.asked(shelf.make_kit, "POST", "/reservations", sent)
    assert answer.status_code == 201, answer.text
    assert shelf.api.level(shelf.part) == (UNITS, 2)
