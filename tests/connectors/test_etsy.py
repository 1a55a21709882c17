"""Etsy: exact requests, the listing written back whole, zero, shapes that are not understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from connectors.driver import SILENCE, answer, run, settings_of, target, wire
from fakes.etsy import BY, EXAMPLE, product, value
from onhand.connectors import etsy
from onhand.connectors.flow import (
    Accepted,
    Later,
    Rejected,
    Request,
    Response,
    Target,
    Unsure,
    Verdict,
)

SETTINGS = settings_of(etsy, **EXAMPLE.settings)
RENEWS = settings_of(etsy, **EXAMPLE.settings, renew_sold_out=True)
READ = Request(
    "GET", "/listings/7/inventory", (("legacy", "false"), ("includes", "Listing")), repeatable=True
)


def inventory(*products: dict[str, Any], state: str | None = "active", varies: Sequence[int] = ()) -> Any:
    found: dict[str, Any] = {"products": list(products), **{name: [] for name in BY}}
    found["quantity_on_property"] = list(varies)
    return {**found, "listing": {"listing_id": 7, "state": state}} if state else found


def told(offer: int, product_id: str = "700", sku: str | None = "A", **notes: str) -> Target:
    plain = target(1, offer, {"listing_id": "7", "product_id": product_id})
    return Target(plain.listing, plain.ids, plain.slots, plain.key, sku=sku, notes=notes)


def push(
    targets: Sequence[Target], *answers: Response, settings: Any = SETTINGS
) -> tuple[list[Request], list[Verdict]]:
    return run(etsy.push(settings, targets), answers)


def kinds(verdicts: Sequence[Verdict]) -> list[type]:
    return [type(verdict) for verdict in verdicts]


def switch(state: str) -> Request:
    return Request("PATCH", "/shops/501/listings/7", form=(("state", state),))


BLUE, RED = value(200, 1, "Blue"), value(200, 2, "Red")
TWO = inventory(product(700, "A", 3, [BLUE]), product(701, "B", 4, [RED]), varies=[200])


def test_a_listing_is_read_and_written_back_whole() -> None:
    after = inventory(product(800, "A", 9, [BLUE]), product(801, "B", 4, [RED]), varies=[200])
    requests, verdicts = push([told(9)], answer(TWO), answer(after))
    blue = {
        "property_id": 200,
        "value_ids": [1],
        "scale_id": None,
        "property_name": "Primary color",
        "values": ["Blue"],
    }
    offering = {"price": 18.5, "is_enabled": True, "readiness_state_id": 123456}
    said = [
        {"sku": "A", "property_values": [blue], "offerings": [{**offering, "quantity": 9}]},
        {
            "sku": "B",
            "property_values": [{**blue, "value_ids": [2], "values": ["Red"]}],
            "offerings": [{**offering, "quantity": 4}],
        },
    ]
    settings_by: dict[str, Any] = {name: [] for name in BY} | {"quantity_on_property": [200]}
    put = Request(
        "PUT", "/listings/7/inventory", (("legacy", "false"),), json={"products": said, **settings_by}
    )
    assert requests == [READ, put]
    # The write gave the product a new id, which is to be remembered.
    assert verdicts == [Accepted(told(9), ids={"product_id": "800"})]


def test_the_wire_has_both_the_app_and_the_owner() -> None:
    sent = wire(etsy, SETTINGS, READ)
    assert sent.target == (
        "https://openapi.etsy.com/v3/application/listings/7/inventory?legacy=false&includes=Listing"
    )
    assert sent.headers["x-api-key"] == "key1:etsy-shared-77ab10"
    assert sent.headers["Authorization"] == "Bearer 12.etsy-access-0001"
    assert wire(etsy, SETTINGS, switch("inactive")).body == b"state=inactive"


def test_targets_of_one_listing_are_one_write() -> None:
    requests, verdicts = push([told(9), told(0, "701", "B")], answer(TWO), answer(TWO))
    assert [row["offerings"][0]["quantity"] for row in requests[1].json["products"]] == [9, 0]
    assert kinds(verdicts) == [Accepted, Accepted]


def test_what_is_shown_already_is_not_written() -> None:
    requests, verdicts = push([told(3)], answer(TWO))
    assert requests == [READ]
    assert verdicts == [Accepted(told(3))]


def test_a_number_is_at_most_999() -> None:
    requests, _ = push([told(10**12)], answer(TWO), answer(TWO))
    assert requests[1].json["products"][0]["offerings"][0]["quantity"] == 999


def test_deleted_products_and_offerings_are_left_out() -> None:
    gone = product(702, "C", 5, [value(200, 3, "Green")]) | {"is_deleted": True}
    kept = product(700, "A", 3, [BLUE])
    kept["offerings"].append(kept["offerings"][0] | {"is_deleted": True})
    requests, _ = push([told(9)], answer(inventory(kept, gone, varies=[200])), answer(TWO))
    assert [row["sku"] for row in requests[1].json["products"]] == ["A"]
    assert len(requests[1].json["products"][0]["offerings"]) == 1


@pytest.mark.parametrize(
    ("product_id", "sku", "chosen"),
    [("701", "A", 1), ("999", "B", 1), ("999", "C", None), ("999", None, None), ("", "A", 0)],
)
def test_a_product_is_found_by_id_or_by_its_only_sku(product_id: str, sku: str, chosen: int | None) -> None:
    if chosen is None:
        _, verdicts = push([told(9, product_id, sku)], answer(TWO))
        assert kinds(verdicts) == [Rejected]
        return
    requests, _ = push([told(9, product_id, sku)], answer(TWO), answer(TWO))
    assert requests[1].json["products"][chosen]["offerings"][0]["quantity"] == 9


# --- zero -----------------------------------------------------------------------------------------------

ONE = product(700, "A", 3, [])


def test_nothing_left_switches_the_listing_off_and_remembers_it() -> None:
    requests, verdicts = push([told(0)], answer(inventory(ONE)), answer({"state": "inactive"}))
    assert requests == [READ, switch("inactive")]
    assert verdicts == [Accepted(told(0), notes={"off_sale": "yes"})]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer({"state": "active"}), Unsure),
        (answer("<html>"), Unsure),
        (answer({"error": "no"}, status=400), Rejected),
        (answer({"error": "Server Error"}, status=500), Later),
        (SILENCE, Unsure),
    ],
)
def test_a_listing_that_was_not_switched_off_is_not_said_to_be(said: Response, kind: type) -> None:
    assert kinds(push([told(0)], answer(inventory(ONE)), said)[1]) == [kind]


def test_two_numbers_for_one_variation_are_not_both_told() -> None:
    both = [told(9), Target(2, told(8).ids, told(8).slots, "key-2", sku="A"), told(9)]
    requests, verdicts = push(both, answer(TWO), answer(TWO))
    assert [row["offerings"][0]["quantity"] for row in requests[1].json["products"]] == [9, 4]
    assert kinds(verdicts) == [Accepted, Rejected, Accepted]


def test_a_listing_of_which_nothing_can_be_told_is_left_alone() -> None:
    sold = inventory(
        product(700, "A", 0, [BLUE]), product(701, "B", 0, [RED]), state="sold_out", varies=[200]
    )
    requests, verdicts = push([told(5, "999", "C")], answer(sold), settings=RENEWS)
    assert requests == [READ]
    assert kinds(verdicts) == [Rejected]


def test_stock_switches_on_what_we_switched_off() -> None:
    back = told(5, off_sale="yes")
    now = inventory(product(800, "A", 5, []), state=None)
    requests, verdicts = push(
        [back], answer(inventory(ONE, state="inactive")), answer(now), answer({"state": "active"})
    )
    assert [request.method for request in requests] == ["GET", "PUT", "PATCH"]
    assert requests[2] == switch("active")
    assert verdicts == [Accepted(back, ids={"product_id": "800"}, notes={"off_sale": ""})]


def test_a_listing_that_we_switched_off_is_known_by_etsy_s_older_word_too() -> None:
    off, on = answer(inventory(ONE, state="edit")), answer({"state": "active"})
    requests, verdicts = push([told(3, off_sale="yes")], off, on)
    assert requests == [READ, switch("active")]
    assert verdicts == [Accepted(told(3, off_sale="yes"), notes={"off_sale": ""})]


@pytest.mark.parametrize("said", [answer({"state": "edit"}), answer({}), answer("<html>")])
def test_a_listing_is_on_again_when_etsy_shows_it_so(said: Response) -> None:
    off = answer(inventory(ONE, state="inactive"))
    (verdict,) = push([told(3, off_sale="yes")], off, said)[1]
    assert isinstance(verdict, Unsure), "the note stays: it is switched on the next time"


def test_a_note_on_one_variation_is_good_for_the_whole_listing() -> None:
    off = {**TWO, "listing": {"state": "inactive"}}
    members = [told(5), told(0, "701", "B", off_sale="yes")]
    requests, verdicts = push(members, answer(off), answer(TWO), answer({"state": "active"}))
    assert requests[-1] == switch("active")
    assert kinds(verdicts) == [Accepted, Accepted]


@pytest.mark.parametrize("state", ["inactive", "edit", "draft", "expired"])
@pytest.mark.parametrize("offer", [0, 5])
def test_what_the_seller_switched_off_stays_off(state: str, offer: int) -> None:
    answers = [answer(inventory(ONE, state=state)), *([answer(inventory(ONE))] if offer else [])]
    requests, verdicts = push([told(offer)], *answers)
    assert all(request.method != "PATCH" for request in requests)
    assert kinds(verdicts) == [Accepted]


def test_a_sold_out_listing_is_not_renewed_for_a_fee_unless_allowed() -> None:
    sold = answer(inventory(product(700, "A", 0, []), state="sold_out"))
    requests, verdicts = push([told(5)], sold)
    assert requests == [READ]
    assert isinstance(verdicts[0], Rejected)
    assert "renew" in verdicts[0].words
    assert push([told(0)], sold)[1] == [Accepted(told(0))]
    # Activation sets the quantity to 1, so the number is written after it.
    requests, verdicts = push(
        [told(5)], sold, answer({"state": "active"}), answer(inventory(ONE)), settings=RENEWS
    )
    assert [request.method for request in requests] == ["GET", "PATCH", "PUT"]
    assert kinds(verdicts) == [Accepted]


def test_a_sold_out_listing_that_cannot_be_renewed_waits_for_a_person() -> None:
    sold = answer(inventory(product(700, "A", 0, []), state="sold_out"))
    for said in (answer({"error": "oops"}, status=500), answer({"state": "sold_out"}), answer({})):
        assert kinds(push([told(5)], sold, said, settings=RENEWS)[1]) == [Rejected]
    assert kinds(push([told(5)], sold, answer("<html>"), settings=RENEWS)[1]) == [Later]


def test_only_what_is_switched_on_counts_as_left() -> None:
    hidden = product(701, "B", 4, [RED])
    hidden["offerings"][0]["is_enabled"] = False
    both = inventory(product(700, "A", 3, [BLUE]), hidden, varies=[200])
    requests, _ = push([told(0)], answer(both), answer({"state": "inactive"}))
    assert requests[-1] == switch("inactive")


def test_the_state_is_asked_for_where_the_inventory_does_not_tell_it() -> None:
    requests, verdicts = push(
        [told(0)],
        answer(inventory(ONE, state=None)),
        answer({"state": "active"}),
        answer({"state": "inactive"}),
    )
    assert [request.url for request in requests] == [
        "/listings/7/inventory",
        "/listings/7",
        "/shops/501/listings/7",
    ]
    assert kinds(verdicts) == [Accepted]


@pytest.mark.parametrize("offer", [0, 5])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer({}), Later),
        (answer("<html>", status=404), Later),
        (answer("", status=500), Later),
        (SILENCE, Unsure),
    ],
)
def test_a_listing_whose_state_is_not_known_is_left_alone(said: Response, kind: type, offer: int) -> None:
    requests, verdicts = push([told(offer)], answer(inventory(ONE, state=None)), said)
    assert [request.method for request in requests] == ["GET", "GET"]
    assert kinds(verdicts) == [kind]


# --- shapes ---------------------------------------------------------------------------------------------


def three() -> dict[str, Any]:
    return product(700, "A", 3, [BLUE, value(513, 1, "S"), value(514, 1, "Wool")])


def two_offerings() -> dict[str, Any]:
    found = product(700, "A", 3, [])
    return found | {"offerings": found["offerings"] * 2}


@pytest.mark.parametrize(
    "strange",
    [
        inventory(three()),
        inventory(two_offerings()),
        inventory(ONE, ONE),
        inventory(),
        inventory(ONE) | {"weight_on_property": [200]},
        inventory(ONE) | {"quantity_on_property": "200"},
        inventory(product(700, "A", 3, []) | {"offerings": []}),
        {},
    ],
)
def test_a_listing_that_is_not_understood_is_not_written(strange: Any) -> None:
    requests, verdicts = push([told(9)], answer(strange))
    assert requests == [READ]
    assert kinds(verdicts) == [Rejected]
    row = {"listing_id": 7, "title": "T", "state": "active", "inventory": strange}
    (seen,) = run(etsy.pull(SETTINGS, None), [answer({"results": [row]})])[1].seen
    assert not seen.writable
    assert seen.why


def test_one_quantity_for_several_skus_is_shown_and_not_written() -> None:
    shared = inventory(product(700, "A", 3, [BLUE]), product(701, "B", 3, [RED]))
    requests, verdicts = push([told(9)], answer(shared))
    assert requests == [READ]
    assert kinds(verdicts) == [Rejected]
    row = {"listing_id": 7, "title": "T", "state": "active", "inventory": shared}
    seen = run(etsy.pull(SETTINGS, None), [answer({"results": [row]})])[1].seen
    assert [(each.sku, each.writable, each.shown[0].quantity) for each in seen] == [
        ("A", False, 3),
        ("B", False, 3),
    ]


def test_one_quantity_for_one_sku_is_written_to_all_its_variations() -> None:
    shared = inventory(product(700, "A", 3, [BLUE]), product(701, "A", 3, [RED]))
    requests, verdicts = push([told(9)], answer(shared), answer(shared))
    assert [row["offerings"][0]["quantity"] for row in requests[1].json["products"]] == [9, 9]
    assert kinds(verdicts) == [Accepted]


# --- answers --------------------------------------------------------------------------------------------

OK_READ = answer(TWO)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([answer({"error": "gone"}, status=404)], Rejected),
        ([answer("<!DOCTYPE html><title>moved</title>", status=404)], Later),
        ([OK_READ, answer("<html>", status=404)], Later),
        ([answer({"error": "limit"}, status=429, retry_after="3")], Later),
        ([answer({"error": "token"}, status=401)], Later),
        ([answer({"error": "scope"}, status=403)], Later),
        ([answer("", status=500)], Later),
        ([SILENCE], Unsure),
        ([answer("<html>")], Later),
        ([OK_READ, answer({"error": "Array contains invalid keys"}, status=400)], Rejected),
        ([OK_READ, answer("", status=503)], Later),
        ([OK_READ, answer("", status=409)], Later),
        ([OK_READ, SILENCE], Unsure),
        ([OK_READ, answer("<html>")], Unsure),
    ],
)
def test_answers_to_a_listing(answers: list[Response], kind: type) -> None:
    _, verdicts = push([told(9)], *answers)
    assert kinds(verdicts) == [kind]


def test_after_a_throttled_answer_the_rest_is_not_sent() -> None:
    other = Target(2, {"listing_id": "8", "product_id": "1"}, told(1).slots, "key")
    requests, verdicts = push([told(9), other], answer({}, status=429, retry_after="3"))
    assert len(requests) == 1
    assert [getattr(verdict, "seconds", None) for verdict in verdicts] == [3.0, 3.0]


def test_a_refused_listing_does_not_stop_the_others() -> None:
    other = Target(2, {"listing_id": "8", "product_id": "700"}, told(3).slots, "key", sku="A")
    requests, verdicts = push([told(9), other], answer({"error": "no"}, status=404), answer(TWO))
    assert len(requests) == 2
    assert kinds(verdicts) == [Rejected, Accepted]


@pytest.mark.parametrize("ids", [{}, {"listing_id": "7/../8"}, {"product_id": "700"}])
def test_a_target_without_a_listing_is_refused(ids: Mapping[str, str]) -> None:
    assert kinds(push([Target(1, ids, told(1).slots, "key")])[1]) == [Rejected]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (answer({}, x_remaining_this_second="0"), 1.0),
        (answer({}, x_remaining_today="0"), 3600.0),
        (answer({}, x_remaining_today="0", retry_after="60"), 60.0),
        (answer({}, x_remaining_today="5"), None),
        (answer({}, status=429, retry_after="7"), 7.0),
    ],
)
def test_pace(said: Response, seconds: float | None) -> None:
    assert etsy.pace(said) == seconds
