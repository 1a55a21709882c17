"""Shopify: an item that is kept at many locations, and a number that moved at one of them."""

from __future__ import annotations

from typing import Any

from connectors.account import Account
from connectors.driver import answer, run, settings_of, target
from fakes.shopify import EXAMPLE, Fake, item_id, place_id
from onhand.connectors import shopify
from onhand.connectors.flow import Accepted, Stale, Target

SETTINGS = settings_of(shopify, **EXAMPLE.settings)
ACCOUNT = Account(shopify, SETTINGS)


def told(number: int, offer: int, place: int, **slot: Any) -> Target:
    return target(number, offer, {"inventory_item": item_id(number)}, place_id(place), **slot)


def test_a_number_that_moved_at_the_last_of_many_locations_is_told_too() -> None:
    fake = Fake()
    for place in range(1, 131):
        fake.stock(1, 5, place)
    fake.edit("SKU-1", 3, 127)
    aim = told(1, 4, 127, observed=5)
    (stale,) = ACCOUNT.push(fake, aim)
    assert isinstance(stale, Stale)
    assert stale.observed[place_id(127)] == 3
    again = told(1, 4, 127, observed=stale.observed[place_id(127)])
    assert ACCOUNT.push(fake, again) == [Accepted(again)]


def test_of_many_locations_that_cannot_be_read_nothing_is_told() -> None:
    page = {"hasNextPage": True, "endCursor": "c10"}
    error = {"code": "CHANGE_FROM_QUANTITY_STALE", "field": ["input", "quantities", "0"], "message": "no"}
    answers = [
        answer({"data": {"inventorySetQuantities": {"userErrors": [error]}}}),
        answer({"data": {"nodes": [{"id": item_id(1), "inventoryLevels": {"nodes": [], "pageInfo": page}}]}}),
        answer({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]}),
    ]
    aim = told(1, 1, 1)
    _, verdicts = run(shopify.push(SETTINGS, [aim]), answers)
    assert verdicts == [Stale(aim, {}, "CHANGE_FROM_QUANTITY_STALE no")]
