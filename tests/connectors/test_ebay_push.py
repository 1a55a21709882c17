"""eBay: quantities of items with their offers and locations, and what its answers mean."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.driver import SILENCE, answer, run, settings_of, talk, target, wire
from fakes.ebay import EXAMPLE, Fake
from onhand.connectors import ebay
from onhand.connectors.flow import Accepted, Rejected, Response, Slot, Target, Unsure, Verdict

SETTINGS = settings_of(ebay, **EXAMPLE.settings)
DATE = "Sun, 22 Nov 2026 10:00:00 GMT"


def told(number: int, offer: int, **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), **slot)


def plain(number: int, offer: int) -> Target:
    return target(number, offer, {"sku": f"SKU-{number}", "offers": "-"})


def new(number: int, offer: int) -> Target:
    return target(number, offer, {"sku": f"SKU-{number}"})


def located(number: int, **offers: int) -> Target:
    slots = tuple(Slot(count, place) for place, count in offers.items())
    return msgspec.structs.replace(plain(number, 0), slots=slots)


def entry(status: int, sku: str | None = "SKU-1", *errors: tuple[int, str], **more: Any) -> dict[str, Any]:
    rows = [{"errorId": number, "message": words} for number, words in errors]
    return {"sku": sku, "statusCode": status, "errors": rows, **more}


def all_of(*rows: Any) -> Response:
    return answer({"responses": list(rows)}, 207)


def kinds(verdicts: list[Verdict]) -> list[str]:
    return [type(verdict).__name__ for verdict in verdicts]


def push(fake: Fake, *targets: Target, settings: Any = SETTINGS) -> list[Verdict]:
    return talk(ebay.push(settings, targets), ebay, settings, fake)


def test_the_request_as_it_goes_out() -> None:
    targets = [told(1, 42), plain(2, 10**12)]
    said = answer({"responses": [entry(200), entry(200, None, offerId="8001"), entry(200, "SKU-2")]})
    requests, verdicts = run(ebay.push(SETTINGS, targets), [said])
    assert verdicts == [Accepted(each) for each in targets]
    out = wire(ebay, SETTINGS, requests[0])
    assert out.method == "POST"
    assert out.target == "https://api.ebay.com/sell/inventory/v1/bulk_update_price_quantity"
    assert out.headers["Authorization"] == "Bearer v^1.1#access-7710"
    assert out.headers["Content-Language"] == "en-US"
    assert msgspec.json.decode(out.body) == {
        "requests": [
            {
                "sku": "SKU-1",
                "shipToLocationAvailability": {"quantity": 42},
                "offers": [{"offerId": "8001", "availableQuantity": 42}],
            },
            {"sku": "SKU-2", "shipToLocationAvailability": {"quantity": 999_999_999}},
        ]
    }


@pytest.mark.parametrize(
    ("said", "expected", "words"),
    [
        (all_of(entry(200)), "Accepted", ""),
        (all_of(entry(204)), "Accepted", ""),
        (all_of(entry(400, "SKU-1", (25709, "Invalid quantity"))), "Rejected", "Invalid quantity (25709)"),
        (all_of(entry(409, "SKU-1", (25025, "Concurrent access"))), "Later", "Concurrent"),
        (all_of(entry(500, "SKU-1", (25001, "System error"))), "Later", "System error"),
        (all_of(entry(429)), "Later", ""),
        (all_of(entry(500)), "Later", ""),
        (all_of(entry(400)), "Rejected", "400"),
        (all_of({"sku": "SKU-1"}), "Unsure", "did not say"),
        (all_of(entry(200, "SKU-7")), "Unsure", "did not say"),
        (all_of(), "Unsure", "did not say"),
        (all_of(None, 3, []), "Unsure", "did not say"),
        (answer({}), "Unsure", "not as documented"),
        (answer("<html>"), "Unsure", "not as documented"),
        (answer("", 204), "Unsure", "not as documented"),
        (SILENCE, "Unsure", "no answer"),
        (answer({"errors": [{"errorId": 25002, "message": "user error"}]}, 400), "Whole", "user error"),
        (answer({"errors": [{"errorId": 25025, "message": "busy"}]}, 409), "Later", "busy"),
        (answer({"errors": [{"errorId": 25001, "message": "oops"}]}, 500), "Later", "oops"),
        (answer("", 401), "Later", "401"),
        (answer("", 429, retry_after="9"), "Later", "429"),
        (answer("<html>", 503), "Later", "503"),
    ],
)
def test_what_an_answer_means(said: Response, expected: str, words: str) -> None:
    verdict = run(ebay.push(SETTINGS, [told(1, 3)]), [said])[1][0]
    assert type(verdict).__name__ == expected
    assert words in getattr(verdict, "words", "")


def test_every_entry_of_a_200_is_judged_by_itself() -> None:
    said = all_of(entry(400, "SKU-2", (25709, "no")), entry(200, "SKU-3"), entry(200, "SKU-1"))
    verdicts = run(ebay.push(SETTINGS, [plain(n, n) for n in (1, 2, 3)]), [said])[1]
    assert kinds(verdicts) == ["Accepted", "Rejected", "Accepted"]


def test_how_many_go_together_is_a_setting() -> None:
    one = settings_of(ebay, **EXAMPLE.settings, together=1)
    fake = Fake(together=1)
    for number in (1, 2, 3):
        fake.stock(number, 1)
    assert kinds(push(fake, *(told(n, 5) for n in (1, 2, 3)))) == ["Whole"] * 3
    assert kinds(push(fake, *(told(n, 5) for n in (1, 2, 3)), settings=one)) == ["Accepted"] * 3
    with pytest.raises(msgspec.ValidationError):
        settings_of(ebay, **EXAMPLE.settings, together=26)


def test_after_an_answer_about_nothing_the_rest_is_not_sent() -> None:
    targets = [plain(n, 1) for n in range(1, 61)]
    requests, verdicts = run(ebay.push(SETTINGS, targets), [all_of(), answer("", 503)])
    assert len(requests) == 2
    assert kinds(verdicts) == ["Unsure"] * 25 + ["Later"] * 35


@pytest.mark.parametrize(
    ("ids", "slots", "words"),
    [
        ({}, (Slot(3),), "SKU"),
        ({"sku": "a\x00"}, (Slot(3),), "SKU"),
        ({"sku": "\udfff"}, (Slot(3),), "SKU"),
        ({"sku": "A"}, (), "quantity"),
        ({"sku": "A"}, (Slot(3), Slot(4, "WH1")), "both"),
    ],
)
def test_what_is_never_sent(ids: dict[str, str], slots: tuple[Slot, ...], words: str) -> None:
    requests, verdicts = run(ebay.push(SETTINGS, [Target(1, ids, slots, "key-1")]), [])
    assert requests == []
    assert isinstance(verdicts[0], Rejected)
    assert words in verdicts[0].words


# --- offers ---------------------------------------------------------------------------------------------


def test_an_offer_with_a_number_of_its_own_is_found_and_told_too() -> None:
    fake = Fake()
    fake.stock(1, 4)
    fake.stock(2, 4, offer=None)
    verdicts = push(fake, new(1, 7), new(2, 8))
    assert [getattr(verdict, "ids", None) for verdict in verdicts] == [{"offers": "8001"}, {"offers": "-"}]
    assert (fake.shown("SKU-1"), fake.shown("SKU-2")) == (7, 8)
    assert fake.items["SKU-1"]["availability"]["shipToLocationAvailability"] == {"quantity": 7}
    assert fake.requests[0].target.endswith("/sell/inventory/v1/offer?sku=SKU-1&limit=100")


@pytest.mark.parametrize(
    ("offers", "expected"),
    [
        (answer({"offers": [{"offerId": "1", "status": "UNPUBLISHED", "availableQuantity": 3}]}), None),
        (answer({"offers": [{"offerId": "1", "status": "PUBLISHED"}]}), None),
        (answer({"offers": [{"offerId": 1, "status": "PUBLISHED", "availableQuantity": 3}]}), ["1"]),
        (answer({"errors": [{"errorId": 25713}]}, 404), None),
    ],
)
def test_which_offers_are_told(offers: Response, expected: list[str] | None) -> None:
    requests, verdicts = run(ebay.push(SETTINGS, [new(1, 7)]), [offers, all_of(entry(200))])
    told_too = [offer["offerId"] for offer in requests[1].json["requests"][0].get("offers", [])]
    assert told_too == (expected or [])
    assert kinds(verdicts) == ["Accepted"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (SILENCE, "Later"),
        (answer("", 429), "Later"),
        (answer("<html>"), "Later"),
        (answer({"errors": [{"errorId": 25002, "message": "bad SKU"}]}, 400), "Rejected"),
    ],
)
def test_offers_that_cannot_be_read(said: Response, expected: str) -> None:
    assert kinds(run(ebay.push(SETTINGS, [new(1, 7)]), [said])[1]) == [expected]


@pytest.mark.parametrize(
    ("now", "known"),
    [({}, "-"), ({"8001": "UNPUBLISHED"}, "-"), ({"9001": "PUBLISHED"}, "9001")],
    ids=["gone", "ended", "published anew"],
)
def test_an_offer_that_is_gone_is_looked_for_and_the_number_told_without_it(
    now: dict[str, str], known: str
) -> None:
    fake = Fake()
    fake.stock(1, 4)
    fake.stock(2, 4)
    old = fake.offers.pop("8001")
    fake.offers |= {name: {**old, "offerId": name, "status": status} for name, status in now.items()}
    verdicts = push(fake, told(1, 7), told(2, 8))
    assert kinds(verdicts) == ["Accepted", "Accepted"]
    assert isinstance(verdicts[0], Accepted)
    assert verdicts[0].ids == {"offers": known}
    assert [one.method for one in fake.requests] == ["POST", "GET", "POST"]
    assert fake.items["SKU-1"]["availability"]["shipToLocationAvailability"] == {"quantity": 7}
    assert [
        offer["availableQuantity"] for name, offer in fake.offers.items() if name in ("9001", "8002")
    ] == ([8, 7] if known == "9001" else [8])


GONE = entry(400, None, (25713, "This Offer is not available."), offerId="8001")


@pytest.mark.parametrize(
    ("looked", "expected"),
    [
        (
            answer({"offers": [{"offerId": "8001", "status": "PUBLISHED", "availableQuantity": 3}]}),
            "Rejected",
        ),
        (answer("<html>"), "Rejected"),
        (answer("", 429, retry_after="9"), "Later"),
        (SILENCE, "Later"),
    ],
)
def test_where_no_other_offer_is_known_it_stays_refused(looked: Response, expected: str) -> None:
    requests, verdicts = run(ebay.push(SETTINGS, [told(1, 7)]), [all_of(entry(200), GONE), looked])
    assert (len(requests), kinds(verdicts)) == (2, [expected])


# --- locations ------------------------------------------------------------------------------------------


def test_telling_one_location_tells_the_others_again() -> None:
    fake = Fake()
    fake.stock(1, 0, offer=None, WH1=3, WH2=9)
    stock = fake.items["SKU-1"]["availability"]["shipToLocationAvailability"]
    stock["availabilityDistributions"][0]["fulfillmentTime"] = {"unit": "DAY", "value": 2}
    assert kinds(push(fake, located(1, WH1=5))) == ["Accepted"]
    assert fake.items["SKU-1"]["availability"]["shipToLocationAvailability"] == {
        "quantity": 14,
        "availabilityDistributions": [
            {"merchantLocationKey": "WH2", "quantity": 9},
            {
                "merchantLocationKey": "WH1",
                "quantity": 5,
                "fulfillmentTime": {"unit": "DAY", "value": 2},
            },
        ],
    }


def test_locations_beside_totals_and_unknown_ones() -> None:
    fake = Fake()
    fake.stock(1, 0, offer=None, WH1=3)
    fake.stock(2, 4, offer=None)
    fake.stock(4, 4, offer=None)
    verdicts = push(fake, located(1, WH1=1, WH2=2), plain(2, 6), located(3, WH1=1), located(4, MOON=1))
    assert kinds(verdicts) == ["Accepted", "Accepted", "Rejected", "Rejected"]
    assert fake.shown("SKU-1") == 3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (SILENCE, "Later"),
        (answer("", 429), "Later"),
        (answer("<html>"), "Later"),
        (answer({"responses": []}), "Later"),
        (answer({"responses": [{"sku": "SKU-1", "statusCode": 200}]}), "Later"),
        (answer({"responses": [entry(404, "SKU-1", (25710, "no entity"))]}), "Rejected"),
    ],
)
def test_locations_that_cannot_be_read_are_not_written(said: Response, expected: str) -> None:
    assert kinds(run(ebay.push(SETTINGS, [located(1, WH1=1)]), [said])[1]) == [expected]


# --- end to end -----------------------------------------------------------------------------------------


def test_an_account_from_end_to_end() -> None:
    fake = Fake()
    for number in range(1, 31):
        fake.stock(number, 1)
    fake.busy.add("SKU-7")
    verdicts = push(fake, *(told(n, 100 + n) for n in range(1, 32)))
    assert kinds(verdicts) == [{7: "Later", 31: "Rejected"}.get(n, "Accepted") for n in range(1, 32)]
    assert [fake.shown(f"SKU-{n}") for n in (1, 7, 30)] == [101, 1, 130]


def test_faults_of_ebay() -> None:
    fake = Fake()
    fake.stock(1, 1)
    fake.faults.throttle = 1
    assert kinds(push(fake, told(1, 5))) == ["Later"]
    fake.faults.fail = 1
    assert kinds(push(fake, told(1, 5))) == ["Later"]
    fake.faults.lose = 1
    assert isinstance(push(fake, told(1, 6))[0], Unsure)
    assert fake.shown("SKU-1") == 6
