"""Treet's wire without HTTP: what bodies and queries mean, and what refusals say."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import contract
from onhand.dialects.treet import schema
from onhand.dialects.treet.schema import AdjustInventory, Entry, Invalid, Query, SetInventory
from onhand.stock.model import (
    QUANTITY_LIMIT,
    Adjust,
    AnyRefusal,
    Closed,
    Forbidden,
    Insufficient,
    Level,
    SetAvailable,
    Stale,
    TooLarge,
    Undone,
    Unknown,
)

ID = "7d6f1c52-61a2-4b8e-9a55-0f4f0c7a9d11"
PUT = ("put", "/v1/listings/{id}/inventory")
CONTRACT = contract("onhand.dialects.treet")


def setting(**fields: Any) -> dict[str, Any]:
    return {"action": "SET_INVENTORY", "oldInventory": 5, "newInventory": 3} | fields


def adjusting(**fields: Any) -> dict[str, Any]:
    return {"action": "ADJUST_INVENTORY", "inventoryAdjustment": -2} | fields


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        (setting(), SetInventory(5, 3)),
        (setting(oldInventory=0, newInventory=0), SetInventory(0, 0)),
        (setting(newInventory=QUANTITY_LIMIT), SetInventory(5, QUANTITY_LIMIT)),
        (setting(inventoryAdjustment="of the other action"), SetInventory(5, 3)),
        (setting(note={"unknown": None}), SetInventory(5, 3)),
        (adjusting(), AdjustInventory(-2)),
        (adjusting(inventoryAdjustment=0), AdjustInventory(0)),
        (adjusting(inventoryAdjustment=-QUANTITY_LIMIT), AdjustInventory(-QUANTITY_LIMIT)),
        (adjusting(oldInventory=True, newInventory=-1), AdjustInventory(-2)),
    ],
)
def test_update(body: dict[str, Any], meant: schema.Update) -> None:
    assert schema.update(body) == meant
    assert CONTRACT.accepts(*PUT, body)


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "The body must be a JSON object"),
        ([setting()], "The body must be a JSON object"),
        ("SET_INVENTORY", "The body must be a JSON object"),
        (without(setting(), "action"), "action is required: SET_INVENTORY or ADJUST_INVENTORY"),
        (setting(action=None), "action must be SET_INVENTORY or ADJUST_INVENTORY, not null"),
        (
            setting(action="set_inventory"),
            'action must be SET_INVENTORY or ADJUST_INVENTORY, not "set_inventory"',
        ),
        (
            setting(action=["SET_INVENTORY"]),
            'action must be SET_INVENTORY or ADJUST_INVENTORY, not ["SET_INVENTORY"]',
        ),
        (without(setting(), "oldInventory"), "oldInventory is required for SET_INVENTORY"),
        (without(setting(), "newInventory"), "newInventory is required for SET_INVENTORY"),
        (without(adjusting(), "inventoryAdjustment"), "inventoryAdjustment is required for ADJUST_INVENTORY"),
        (setting(oldInventory=-1), "oldInventory must be at least 0, not -1"),
        (setting(newInventory=-3), "newInventory must be at least 0, not -3"),
        (setting(oldInventory=True), "oldInventory must be a whole number, not true"),
        (setting(oldInventory=None), "oldInventory must be a whole number, not null"),
        (setting(oldInventory="5"), 'oldInventory must be a whole number, not "5"'),
        (setting(newInventory=3.5), "newInventory must be a whole number, not 3.5"),
        (setting(newInventory={}), "newInventory must be a whole number, not {}"),
        (
            setting(newInventory=10**12 + 1),
            "newInventory must be between 0 and 1000000000000, not 1000000000001",
        ),
        (
            adjusting(inventoryAdjustment=-(10**12) - 1),
            "inventoryAdjustment must be between -1000000000000 and 1000000000000, not -1000000000001",
        ),
    ],
)
def test_update_that_is_not_one(body: object, sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        schema.update(body)
    assert str(caught.value) == sentence
    assert not CONTRACT.accepts(*PUT, body)


def test_what_is_quoted_is_short() -> None:
    with pytest.raises(Invalid) as caught:
        schema.update(setting(action="x" * 100_000))
    assert len(str(caught.value)) < 120


def test_a_float_without_a_fraction_is_no_integer() -> None:
    with pytest.raises(Invalid, match=r"not 3\.0"):
        schema.update(setting(newInventory=3.0))


@pytest.mark.parametrize("text", [ID, ID.upper()])
def test_listing_id(text: str) -> None:
    assert schema.listing_id(text) == ID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        ID[:-1],
        ID + "0",
        ID.replace("-", ""),
        f"{{{ID}}}",
        f"{ID}\n",
        ID.replace("7", "g"),
        "\0",
        "٣" * 36,
    ],
)
def test_listing_id_that_is_none(text: str) -> None:
    with pytest.raises(Invalid, match="must be a UUID"):
        schema.listing_id(text)


def test_commands() -> None:
    assert schema.command(SetInventory(5, 3), 7, 1) == SetAvailable(7, 1, 3, expected=5)
    assert schema.command(AdjustInventory(-2), 7, 1) == Adjust(7, 1, -2)


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (Stale(7, 1, expected=5, shown=3), "Expected 5 but the listing has 3"),
        (Insufficient(7, 1, 4, 3, 5, 2), "Cannot subtract 4: the listing has 3"),
        (Insufficient(7, 1, 1, -2, 1, 3), "Cannot subtract 1: the listing has 0"),
        (Closed(3), "The listing is closed"),
        (
            TooLarge(10**12 + 5),
            "The inventory would be 1000000000005; the most a listing can have is 1000000000000",
        ),
        (Unknown("item", "7"), "The item of the listing is gone"),
        (
            Forbidden("a kit has no stock of its own"),
            "The listing cannot be updated: a kit has no stock of its own",
        ),
        (Undone(), "The listing cannot be updated"),
    ],
)
def test_refusals(refusal: AnyRefusal, sentence: str) -> None:
    assert schema.refused(refusal) == sentence


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], Query("", 50, 0)),
        ([("state", "OPEN")], Query("open", 50, 0)),
        ([("state", "CLOSED"), ("limit", "200")], Query("closed", 200, 0)),
        ([("limit", "1"), ("after", schema.cursor(17))], Query("", 1, 17)),
        ([("after", schema.cursor(10**17))], Query("", 50, 10**17)),
        ([("page", "3"), ("page", "4")], Query("", 50, 0)),
    ],
)
def test_query(given: list[tuple[str, str]], meant: Query) -> None:
    assert schema.query(given) == meant


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([("state", "open")], "state must be OPEN or CLOSED"),
        ([("state", "")], "state must be OPEN or CLOSED"),
        *(
            ([("limit", text)], "limit must be a whole number from 1 to 200")
            for text in ("", "0", "201", "-1", "+5", "05", "5.0", "1e2", "٥", " 5", "9" * 5000)
        ),
        ([("limit", "5"), ("limit", "5")], "limit is given more than once"),
        *(
            ([("after", text)], "after must be the endCursor of an earlier answer")
            for text in ("", "0", "017", "-1", "!", "١٧", "1" * 19, "A" * 5000)
        ),
    ],
)
def test_query_that_is_none(given: list[tuple[str, str]], sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        schema.query(given)
    assert str(caught.value) == sentence


def entry(number: int, **fields: Any) -> Entry:
    known: dict[str, Any] = {
        "name": ID,
        "open": True,
        "level": Level(5, 2, present=True),
        "sku": "MUG",
        "title": None,
    }
    return Entry(number, **(known | fields))


def test_page() -> None:
    assert schema.page([], 2) == {"listings": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}
    body: Any = schema.page([entry(4), entry(9, open=False, level=Level(1, 3)), entry(12)], 2)
    assert body["pageInfo"] == {"endCursor": schema.cursor(9), "hasNextPage": True}
    assert body["listings"] == [
        {"id": ID, "state": "OPEN", "availableInventory": 3, "sku": "MUG", "title": None},
        {"id": ID, "state": "CLOSED", "availableInventory": 0, "sku": "MUG", "title": None},
    ]
