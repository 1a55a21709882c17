"""Wix: what is read of a site before a number is told, when it has moved, and in a sweep."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.account import Account
from connectors.driver import SILENCE, answer, run, settings_of, target
from fakes.wix import EXAMPLE, SIMPLE, Fake, ids
from onhand.connectors import wix
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Rejected,
    Request,
    Response,
    Shown,
    Slot,
    Stale,
    Target,
    Verdict,
)

SETTINGS = settings_of(wix, **EXAMPLE.settings)
ACCOUNT = Account(wix, SETTINGS)


def push(*targets: Target, answers: list[Response]) -> tuple[list[Request], list[Verdict]]:
    return run(wix.push(SETTINGS, targets), answers)


def record(location: str, quantity: int, *, tracked: bool = True) -> dict[str, Any]:
    named = {"id": f"i-{location}", "productId": "p-1", "variantId": "v-1", "locationId": location}
    return named | {"revision": "9", "trackQuantity": tracked, "quantity": quantity}


def records(*rows: dict[str, Any]) -> Response:
    return answer({"inventoryItems": list(rows)})


DONE = answer({"results": [{"itemMetadata": {"originalIndex": 0, "success": True}}]})
UNREAD = target(1, 5, ids(1), "loc-1")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (SILENCE, Later),
        (answer(b"", 429), Later),
        (answer(b"", 503), Later),
        (answer(b"", 401), Later),
        (answer({"items": []}), Later),
        (answer({"message": "no"}, 400), Rejected),
    ],
)
def test_what_could_not_be_read_first_is_not_told(reply: Response, kind: type[Verdict]) -> None:
    requests, verdicts = push(UNREAD, answers=[reply])
    assert len(requests) == 1
    assert [type(verdict) for verdict in verdicts] == [kind]


def test_what_is_known_is_told_though_another_could_not_be_read() -> None:
    known = target(2, 6, ids(2), "loc-1", token="7")
    requests, verdicts = push(UNREAD, known, answers=[answer(b"", 429), DONE])
    assert [row["inventoryItem"]["id"] for row in requests[1].json["inventoryItems"]] == ["i-2-loc-1"]
    assert [type(verdict) for verdict in verdicts] == [Later, Accepted]


def test_what_was_seen_is_compared_before_what_was_confirmed() -> None:
    aim = target(1, 5, ids(1), "loc-1", observed=3, acknowledged=4)
    assert isinstance(push(aim, answers=[records(record("loc-1", 3)), DONE])[1][0], Accepted)
    (stale,) = push(aim, answers=[records(record("loc-1", 4))])[1]
    assert isinstance(stale, Stale)
    assert stale.observed == {"loc-1": 4}


def test_a_number_that_is_not_kept_any_more_is_not_another_locations() -> None:
    """Of two locations that Wix shows, neither is the one that moved."""
    known = ids(1) | {"item:loc-3": "i-3"}
    aim = Target(1, known, (Slot(5, "loc-3", token="7"),), "k")
    refused = {"originalIndex": 0, "success": False, "error": {"code": "INVALID_REVISION"}}
    look = records(record("loc-1", 1), record("loc-2", 2))
    _, verdicts = push(aim, answers=[answer({"results": [{"itemMetadata": refused}]}), look])
    assert verdicts == [Stale(aim, {}, "INVALID_REVISION")]


def test_a_record_that_is_not_tracked_has_no_number() -> None:
    page = answer({"products": [{"id": "p-1", "name": "Lamp"}]})
    rows = records(record("loc-1", 4), record("loc-2", 7, tracked=False))
    _, found = run(wix.pull(SETTINGS, "V3|"), [page, rows])
    assert found.seen[0].shown == (Shown(4, "loc-1", "9"), Shown(None, "loc-2", "9"))


def test_a_full_page_whose_last_product_has_no_number_is_not_the_end() -> None:
    stock = [{"productId": f"p-{n}", "numericId": str(n), "variants": []} for n in range(100)]
    del stock[-1]["numericId"]
    with pytest.raises(Failed):
        run(wix.pull(SETTINGS, "V1|"), [answer({"inventoryItems": stock}), answer({"products": []})])


def test_each_variant_of_the_old_catalogue_has_its_own_sku() -> None:
    stock = [
        {
            "productId": "p-1",
            "numericId": "1",
            "trackQuantity": True,
            "variants": [_stock("a", 3), _stock("b", 4)],
        },
        {"productId": "p-2", "numericId": "2", "trackQuantity": False, "variants": [_stock(SIMPLE, 9)]},
    ]
    products = [
        {
            "id": "p-1",
            "sku": "P",
            "name": "Lamp",
            "visible": True,
            "variants": [_variant("a"), _variant("b")],
        },
        {"id": "p-2", "sku": "Q", "name": "Rug", "visible": False, "variants": []},
    ]
    replies = [answer({"inventoryItems": stock}), answer({"products": products})]
    _, found = run(wix.pull(SETTINGS, "V1|"), replies)
    assert [(one.ids["variant"], one.sku, one.title, one.shown, one.active) for one in found.seen] == [
        ("a", "SKU-a", "Lamp - a", (Shown(3),), True),
        ("b", "SKU-b", "Lamp - b", (Shown(4),), True),
        (SIMPLE, "Q", "Rug", (Shown(None),), False),
    ]


def test_a_hidden_product_of_the_old_catalogue_is_known_by_its_sku() -> None:
    fake = Fake("V1_CATALOG")
    for number in (1, 2):
        fake.add(number, 5)
    fake.hidden = {"p-2"}
    seen = ACCOUNT.pulled(fake)
    assert [(one.sku, one.active) for one in seen] == [("SKU-1", True), ("SKU-2", False)]


def _stock(name: str, quantity: int) -> dict[str, Any]:
    return {"variantId": name, "quantity": quantity, "inStock": True}


def _variant(name: str) -> dict[str, Any]:
    return {"id": name, "choices": {"Colour": name}, "variant": {"sku": f"SKU-{name}"}}
