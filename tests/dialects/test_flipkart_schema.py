"""Flipkart's inventory updates without HTTP: what is read, what goes to the ledger, what is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onhand.dialects.flipkart import oauth, rendering, schema
from onhand.dialects.flipkart.codes import ATTRIBUTE_ERRORS_LIMIT, BadRequest, Code
from onhand.dialects.flipkart.schema import Change, Offer
from onhand.stock.ledger import Refused
from onhand.stock.model import (
    QUANTITY_LIMIT,
    AnyRefusal,
    Closed,
    Exists,
    Expired,
    Forbidden,
    HoldStatus,
    Insufficient,
    SetAvailable,
    Stale,
    TooLarge,
    Undone,
    Unknown,
)
from onhand.work import Accepted, PutDetail

PRODUCT = "SHTABCDEFGH12345"
HERE, THERE = "LOC" + "0" * 31 + "1", "LOC" + "0" * 31 + "2"
PLACES = {HERE: 1, THERE: 2}
OFFER = Offer(99, 13, PRODUCT)


def update(*locations: object, product_id: object = PRODUCT) -> dict[str, Any]:
    return {"product_id": product_id, "locations": list(locations)}


def at(place: str, inventory: object = 7, **more: object) -> dict[str, Any]:
    return {"id": place, "inventory": inventory, **more}


def settle(value: object, offer: Offer | None = OFFER) -> Change | list[tuple[int, str | None]]:
    result = schema.settle(schema.read("SKU", value), offer, PLACES)
    return result if isinstance(result, Change) else [(fault.code, fault.path) for fault in result]


def change(value: object, offer: Offer = OFFER) -> Change:
    result = settle(value, offer)
    assert isinstance(result, Change)
    return result


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        (None, [(Code.NOT_AN_UPDATE, None)]),
        (5, [(Code.NOT_AN_UPDATE, None)]),
        ([], [(Code.NOT_AN_UPDATE, None)]),
        ("x", [(Code.NOT_AN_UPDATE, None)]),
        ({}, [(Code.REQUIRED, "product_id"), (Code.REQUIRED, "locations")]),
        (update(product_id=None), [(Code.REQUIRED, "product_id"), (Code.EMPTY, "locations")]),
        (update(at(HERE), product_id=1), [(Code.NOT_A_STRING, "product_id")]),
        (update(at(HERE), product_id="x" * 12), [(Code.LENGTH, "product_id")]),
        (update(at(HERE), product_id="x" * 17), [(Code.LENGTH, "product_id")]),
        (update(at(HERE), product_id="x" * 13), [(Code.OTHER_PRODUCT, "product_id")]),
        (update(at(HERE), product_id=PRODUCT.lower()), [(Code.OTHER_PRODUCT, "product_id")]),
        ({"product_id": PRODUCT, "locations": None}, [(Code.REQUIRED, "locations")]),
        ({"product_id": PRODUCT, "locations": {}}, [(Code.NOT_A_LIST, "locations")]),
        (update(), [(Code.EMPTY, "locations")]),
        (update(5), [(Code.NOT_A_LOCATION, "locations[0]")]),
        (update(at(HERE), None), [(Code.NOT_A_LOCATION, "locations[1]")]),
        (update({}), [(Code.REQUIRED, "locations[0].id"), (Code.REQUIRED, "locations[0].inventory")]),
        (update({"inventory": 1}), [(Code.REQUIRED, "locations[0].id")]),
        (update({"id": 1, "inventory": 1}), [(Code.NOT_A_STRING, "locations[0].id")]),
        (update({"id": HERE}), [(Code.REQUIRED, "locations[0].inventory")]),
        (update(at(HERE, None)), [(Code.REQUIRED, "locations[0].inventory")]),
        (update(at(HERE, None, status=None)), [(Code.REQUIRED, "locations[0].inventory")]),
        (update(at("LOCX")), [(Code.UNKNOWN_LOCATION, "locations[0].id")]),
        (update(at("")), [(Code.UNKNOWN_LOCATION, "locations[0].id")]),
        (update(at(HERE.upper() + " ")), [(Code.UNKNOWN_LOCATION, "locations[0].id")]),
        (update(at(HERE, status="enabled")), [(Code.NOT_A_STATUS, "locations[0].status")]),
        (update(at(HERE, status=1)), [(Code.NOT_A_STATUS, "locations[0].status")]),
        (update(at(HERE, status=[])), [(Code.NOT_A_STATUS, "locations[0].status")]),
        (
            update(at("LOCX", -6)),
            [(Code.NOT_A_QUANTITY, "locations[0].inventory"), (Code.UNKNOWN_LOCATION, "locations[0].id")],
        ),
        (
            update({"id": "LOCX", "status": "on"}, at("LOCX", "5"), at(HERE, -6)),
            [
                (Code.NOT_A_STATUS, "locations[0].status"),
                (Code.REQUIRED, "locations[0].inventory"),
                (Code.NOT_A_QUANTITY, "locations[1].inventory"),
                (Code.NOT_A_QUANTITY, "locations[2].inventory"),
                (Code.UNKNOWN_LOCATION, "locations[0].id"),
                (Code.UNKNOWN_LOCATION, "locations[1].id"),
            ],
        ),
        (update(at(HERE, -6), at(HERE)), [(Code.NOT_A_QUANTITY, "locations[0].inventory")]),
        (update(at(HERE), at(HERE, 8)), [(Code.CONTRADICTION, "locations[1].id")]),
        (update(at(HERE), at(HERE, status="DISABLED")), [(Code.CONTRADICTION, "locations[1].id")]),
        (update(at(HERE), at(HERE, pending_inventory=1)), [(Code.CONTRADICTION, "locations[1].id")]),
    ],
)
def test_what_is_wrong_with_a_sku(value: object, faults: list[tuple[Code, str | None]]) -> None:
    assert settle(value) == faults


@pytest.mark.parametrize("field", ["inventory", "pending_inventory"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (-1, Code.NOT_A_QUANTITY),
        (1.0, Code.NOT_A_QUANTITY),
        (0.5, Code.NOT_A_QUANTITY),
        ("7", Code.NOT_A_QUANTITY),
        (True, Code.NOT_A_QUANTITY),
        (False, Code.NOT_A_QUANTITY),
        ([], Code.NOT_A_QUANTITY),
        ({}, Code.NOT_A_QUANTITY),
        (-(10**200), Code.NOT_A_QUANTITY),
        (QUANTITY_LIMIT + 1, Code.TOO_LARGE),
        (10**200, Code.TOO_LARGE),
    ],
)
def test_what_is_no_quantity(field: str, value: object, code: Code) -> None:
    assert settle(update({"id": HERE, "inventory": 1, field: value})) == [(code, f"locations[0].{field}")]


def test_an_unknown_sku_is_told_beside_what_else_is_wrong() -> None:
    value = update(at(HERE, -1), at("LOCX"))
    assert settle(value, None) == [
        (Code.NOT_A_QUANTITY, "locations[0].inventory"),
        (Code.NO_LISTING, None),
        (Code.UNKNOWN_LOCATION, "locations[1].id"),
    ]


def test_a_listing_whose_product_nobody_told_takes_any() -> None:
    assert change(update(at(HERE), product_id="x" * 13), OFFER._replace(product_id=None)).aims


@pytest.mark.parametrize(
    ("value", "commands", "notes"),
    [
        (update(at(HERE, 0)), [(1, 0)], [(1, "ENABLED")]),
        (update(at(HERE, QUANTITY_LIMIT)), [(1, QUANTITY_LIMIT)], [(1, "ENABLED")]),
        (update(at(THERE), at(HERE)), [(2, 7), (1, 7)], [(2, "ENABLED"), (1, "ENABLED")]),
        (update(at(HERE), at(HERE)), [(1, 7)], [(1, "ENABLED")]),
        (update(at(HERE), at(HERE, status=None, pending_inventory=None)), [(1, 7)], [(1, "ENABLED")]),
        (update(at(HERE), at(HERE, status="ENABLED")), [(1, 7)], [(1, "ENABLED")]),
        (update(at(HERE, status="ENABLED"), at(HERE, status=None)), [(1, 7)], [(1, "ENABLED")]),
        (update(at(HERE, status="DISABLED")), [(1, 7)], [(1, "DISABLED")]),
        (update({"id": HERE, "status": "DISABLED"}), [], [(1, "DISABLED")]),
        (update(at(HERE, None, status="ENABLED")), [], [(1, "ENABLED")]),
        (update(at(HERE, pending_inventory=3)), [(1, 7)], [(1, "ENABLED"), (1, 3)]),
        (update(at(HERE, pending_inventory=3, note="x")) | {"x": 1}, [(1, 7)], [(1, "ENABLED"), (1, 3)]),
    ],
)
def test_what_goes_to_the_ledger(
    value: object, commands: list[tuple[int, int]], notes: list[tuple[int, object]]
) -> None:
    group = change(value).group
    assert [
        (one.location, one.quantity) for one in group.commands if isinstance(one, SetAvailable)
    ] == commands
    assert len(group.commands) == len(commands)
    kept = [one for one in group.also if isinstance(one, PutDetail)]
    assert [(one.other, *json.loads(one.body or "").values()) for one in kept] == notes
    assert {(one.dialect, one.item) for one in kept} == {("flipkart", 99)}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], Code.NOT_A_MAP),
        (None, Code.NOT_A_MAP),
        ("SKU", Code.NOT_A_MAP),
        (1, Code.NOT_A_MAP),
        ({}, Code.NO_SKUS),
        ({f"S{n}": update(at(HERE)) for n in range(11)}, Code.TOO_MANY_SKUS),
    ],
)
def test_a_body_that_is_no_map_of_skus(body: object, code: Code) -> None:
    with pytest.raises(BadRequest) as caught:
        schema.envelope(body)
    assert caught.value.fault.code == code


def test_ten_skus_are_read_in_their_order() -> None:
    skus = [f"S{n}" for n in (3, 1, 2, 9, 8, 7, 6, 5, 4, 0)]
    assert [asked.sku for asked in schema.envelope(dict.fromkeys(skus, 5))] == skus


@pytest.mark.parametrize(
    ("offer", "status", "codes"),
    [
        (OFFER, "SUCCESS", []),
        (OFFER._replace(inactive=True), "WARNING", [Code.INACTIVE]),
        (OFFER._replace(archived=True), "WARNING", [Code.ARCHIVED]),
        (OFFER._replace(inactive=True, archived=True), "WARNING", [Code.INACTIVE, Code.ARCHIVED]),
    ],
)
def test_what_was_done_is_a_success_or_a_warning(offer: Offer, status: str, codes: list[Code]) -> None:
    answer = schema.answered(change(update(at(HERE)), offer), Accepted((), 1), {})
    assert answer["status"] == status
    assert [error["code"] for error in answer.get("errors", [])] == codes
    assert all(error["severity"] == "WARNING" for error in answer.get("errors", []))
    assert answer.keys() <= {"status", "errors"}
    assert answer.get("errors") != []


@pytest.mark.parametrize(
    ("refusal", "code", "path"),
    [
        (TooLarge(QUANTITY_LIMIT + 1), Code.TOO_LARGE, "locations[2].inventory"),
        (Unknown("location", "1"), Code.UNKNOWN_LOCATION, "locations[2].id"),
        (Unknown("item", "1"), Code.NO_LISTING, None),
        (Unknown("level", "1"), Code.CHANGED, None),
        (Forbidden("a kit has no stock"), Code.REFUSED, None),
        (Closed(1), Code.REFUSED, None),
        (Stale(1, 1, 1, 2), Code.CHANGED, None),
        (Insufficient(1, 1, 1, 0, 0, 0), Code.CHANGED, None),
        (Expired("r", 1), Code.CHANGED, None),
        (Exists("r", HoldStatus.HELD), Code.CHANGED, None),
        (Undone(), Code.CHANGED, None),
    ],
)
def test_every_refusal_has_its_words(refusal: AnyRefusal, code: Code, path: str | None) -> None:
    value = update({"id": THERE, "status": "DISABLED"}, {"id": THERE, "status": "DISABLED"}, at(HERE))
    answer = schema.answered(change(value), Refused(0, refusal), {})
    [error] = answer["errors"] if path is None else answer["attribute_errors"]
    assert answer["status"] == "FAILURE"
    assert (error["code"], error.get("path"), error["severity"]) == (code, path, "ERROR")
    assert error["description"].strip()
    assert ("attribute" in error) is (path is not None)


def test_a_large_wrong_body_gets_a_short_answer() -> None:
    asked = schema.read("SKU", update(*[{}] * 10_000))
    answer = schema.failed(asked.faults)
    assert len(answer["attribute_errors"]) == ATTRIBUTE_ERRORS_LIMIT


@pytest.mark.parametrize(
    ("raw", "skus", "invalid"),
    [
        (b"A", ["A"], []),
        (b"A,B,A", ["A", "B"], []),
        (b"A%2CB%2cC", ["A", "B", "C"], []),
        (b"A%2FB", ["A/B"], []),
        (b"A+B%20C", ["A+B C"], []),
        (b"%C3%A9", ["é"], []),
        (b",A,", ["A"], [""]),
        (b"%FF", [], ["\ufffd"]),
        (b"A%00", [], ["A\0"]),
        (b"x" * 256, [], ["x" * 256]),
    ],
)
def test_skus_of_a_path(raw: bytes, skus: list[str], invalid: list[str]) -> None:
    assert rendering.asked(raw) == (skus, invalid)


def test_eleven_skus_of_a_path_are_too_many() -> None:
    with pytest.raises(BadRequest) as caught:
        rendering.asked(b"A%2C" * 10 + b"B")
    assert caught.value.fault.code == Code.TOO_MANY_SKUS


@pytest.mark.parametrize(
    ("grant", "scope", "error"),
    [
        (None, None, "invalid_request"),
        ("", None, "invalid_request"),
        ("password", None, "unsupported_grant_type"),
        ("client_credentials ", None, "unsupported_grant_type"),
        ("client_credentials", "Everything", "invalid_scope"),
        ("client_credentials", "Seller_Api,", "invalid_scope"),
    ],
)
def test_token_requests_that_are_refused(grant: str | None, scope: str | None, error: str) -> None:
    with pytest.raises(oauth.Denied) as caught:
        oauth.check_request(grant, scope)
    assert (caught.value.status, caught.value.body["error"]) == (400, error)
