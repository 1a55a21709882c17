"""eBay's older interface: listings that were made elsewhere, four a call, in XML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from connectors.driver import SILENCE, answer, run, settings_of, talk, target, wire
from connectors.hostile import ANSWERS
from fakes.ebay import EXAMPLE, Fake
from fakes.ebay_listings import Listing, error, xml
from onhand.connectors import ebay
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Page,
    Place,
    Rejected,
    Request,
    Response,
    Seen,
    Shown,
    Slot,
    Target,
    Verdict,
)
from onhand.connectors.kind import external_id

SETTINGS = settings_of(ebay, **EXAMPLE.settings, listings="trading", site=77)


def plain(item: str, offer: int) -> Target:
    return target(int(item), offer, {"item_id": item})


def variation(item: str, sku: str, offer: int) -> Target:
    return target(int(item), offer, {"item_id": item, "variation": sku})


def kinds(verdicts: list[Verdict]) -> list[str]:
    return [type(verdict).__name__ for verdict in verdicts]


def push(fake: Fake, *targets: Target) -> list[Verdict]:
    return talk(ebay.push(SETTINGS, targets), ebay, SETTINGS, fake)


def test_the_request_as_it_goes_out() -> None:
    targets = [plain("7", 42), variation("8", "a<b&c", 10**12)]
    done = "<InventoryStatus><ItemID>7</ItemID><SKU>S7</SKU></InventoryStatus>"
    done += "<InventoryStatus><ItemID>8</ItemID><SKU>a&lt;b&amp;c</SKU></InventoryStatus>"
    requests, verdicts = run(ebay.push(SETTINGS, targets), [xml("ReviseInventoryStatus", "Success", done)])
    assert verdicts == [Accepted(each) for each in targets]
    out = wire(ebay, SETTINGS, requests[0])
    assert out.target == "https://api.ebay.com/ws/api.dll"
    assert {name: value for name, value in out.headers.items() if name.startswith("X-")} == {
        "X-EBAY-API-CALL-NAME": "ReviseInventoryStatus",
        "X-EBAY-API-SITEID": "77",
        "X-EBAY-API-COMPATIBILITY-LEVEL": "1423",
        "X-EBAY-API-IAF-TOKEN": "v^1.1#access-7710",
    }
    assert "Authorization" not in out.headers
    assert out.body.decode() == (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<ReviseInventoryStatusRequest xmlns="urn:ebay:apis:eBLBaseComponents">'
        "<ErrorLanguage>en_US</ErrorLanguage>"
        "<InventoryStatus><ItemID>7</ItemID><Quantity>42</Quantity></InventoryStatus>"
        "<InventoryStatus><ItemID>8</ItemID><SKU>a&lt;b&amp;c</SKU><Quantity>999999999</Quantity>"
        "</InventoryStatus></ReviseInventoryStatusRequest>"
    )


def said(ack: str, inner: str) -> Response:
    return xml("ReviseInventoryStatus", ack, inner)


SAME = "<Errors><SeverityCode>Warning</SeverityCode><ErrorCode>21917091</ErrorCode></Errors>"
"""The warning that a listing shows its number already."""
ECHO = "<InventoryStatus><ItemID>1</ItemID><SKU></SKU></InventoryStatus>"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (said("Warning", ECHO + ECHO.replace(">1<", ">2<")), ["Accepted", "Accepted"]),
        (said("Success", ECHO), ["Accepted", "Unsure"]),
        (said("Warning", ECHO + SAME), ["Accepted", "Accepted"]),
        (said("Failure", error("21916635", "no") + SAME), ["Whole", "Whole"]),
        (said("PartialFailure", ECHO + error("21916635", "no")), ["Accepted", "Rejected"]),
        (said("Failure", error("21916635", "no")), ["Whole", "Whole"]),
        (said("Failure", error("518", "call limit")), ["Later", "Later"]),
        (said("Failure", error("931", "token")), ["Later", "Later"]),
        (said("Failure", ""), ["Whole", "Whole"]),
        (answer("<html>"), ["Unsure", "Unsure"]),
        (answer('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), ["Unsure", "Unsure"]),
        (answer("<a/>"), ["Unsure", "Unsure"]),
        (answer(b"\xff\xfe"), ["Unsure", "Unsure"]),
        (answer("", 503), ["Later", "Later"]),
        (SILENCE, ["Unsure", "Unsure"]),
    ],
)
def test_what_an_answer_means(given: Response, expected: list[str]) -> None:
    flow = ebay.push(SETTINGS, [plain("1", 3), plain("2", 4)])
    assert kinds(run(flow, [given])[1]) == expected


def test_one_variation_of_a_listing_says_nothing_about_another() -> None:
    both = [variation("1", "S", 3), variation("1", "M", 4)]
    given = said(
        "PartialFailure", ECHO.replace("<SKU></SKU>", "<SKU>M</SKU>") + error("21916664", "no such SKU")
    )
    verdicts = run(ebay.push(SETTINGS, both), [given])[1]
    assert kinds(verdicts) == ["Rejected", "Accepted"]
    assert isinstance(verdicts[0], Rejected)
    assert (verdicts[0].words, verdicts[0].code) == ("no such SKU (21916664)", "21916664")


def test_what_is_not_about_listings_ends_the_round() -> None:
    requests, verdicts = run(ebay.push(SETTINGS, [plain(str(n), n) for n in range(1, 10)]), [SILENCE])
    assert len(requests) == 1
    assert kinds(verdicts) == ["Unsure"] * 4 + ["Later"] * 5


@pytest.mark.parametrize(
    ("ids", "slots"),
    [
        ({"sku": "A"}, (Slot(1),)),
        ({"item_id": "1\x00"}, (Slot(1),)),
        ({"item_id": "1", "variation": "\ud800"}, (Slot(1),)),
        ({"item_id": "1"}, (Slot(1, "WH1"),)),
        ({"item_id": "1"}, ()),
    ],
)
def test_what_is_never_sent(ids: dict[str, str], slots: tuple[Slot, ...]) -> None:
    requests, verdicts = run(ebay.push(SETTINGS, [Target(1, ids, slots, "key-1")]), [])
    assert (requests, kinds(verdicts)) == ([], ["Rejected"])


def always(said: Response) -> Callable[[Request], Response]:
    return lambda _: said


def test_a_verdict_a_target_whatever_comes_back() -> None:
    targets = [plain(str(n), n) for n in range(1, 6)]
    for given in ANSWERS:
        verdicts = run(ebay.push(SETTINGS, targets), always(given))[1]
        assert [verdict.target for verdict in verdicts] == targets
        assert "Accepted" not in kinds(verdicts)
        for flow in (ebay.pull(SETTINGS, None), ebay.check(SETTINGS)):
            with pytest.raises(Failed):
                run(flow, always(given))


def pulled(fake: Fake) -> list[Seen]:
    found: list[Seen] = []
    cursor: str | None = None
    while True:
        page: Page = talk(ebay.pull(SETTINGS, cursor), ebay, SETTINGS, fake)
        found += page.seen
        cursor = page.cursor
        if cursor is None:
            return found


def account() -> Fake:
    fake = Fake()
    fake.listings.page = 2
    fake.listings.items = {
        "1": Listing("S1", 5, sold=3),
        "2": Listing("", 4),
        "3": Listing("S3", variations={"red": 1, "a<b": 2}, sold=7, unnamed=9),
        "4": Listing("S4", 1, kind="Chinese"),
        "5": Listing("S5", 0),
    }
    return fake


def test_page_after_page_of_listings_and_variations() -> None:
    fake = account()
    found = pulled(fake)
    assert [(seen.ids, seen.shown, seen.writable) for seen in found] == [
        ({"item_id": "1"}, (Shown(5),), True),
        ({"item_id": "2"}, (Shown(4),), True),
        ({"item_id": "3", "variation": "red"}, (Shown(1),), True),
        ({"item_id": "3", "variation": "a<b"}, (Shown(2),), True),
        ({"item_id": "3"}, (Shown(9),), False),
        ({"item_id": "4"}, (Shown(1),), False),
        ({"item_id": "5"}, (Shown(0),), True),
    ]
    assert found[0].title == "Mug & more"
    assert [seen.sku for seen in found] == ["S1", None, "red", "a<b", None, "S4", "S5"]
    assert len({external_id(ebay.CHANNEL, seen.ids) for seen in found[:4]}) == 4
    assert [each.headers["X-EBAY-API-CALL-NAME"] for each in fake.requests] == [
        "GeteBayOfficialTime",
        "GetSellerList",
        "GetSellerList",
        "GetSellerList",
    ]
    assert b"<EndTimeFrom>2026-11-22T10:00:00Z</EndTimeFrom>" in fake.requests[3].body
    assert b"<EndTimeTo>2027-03-22T10:00:00Z</EndTimeTo>" in fake.requests[3].body


def test_listings_from_end_to_end() -> None:
    fake = account()
    targets = [
        plain("1", 10),
        variation("3", "red", 11),
        variation("3", "a<b", 12),
        plain("9", 13),
        plain("5", 0),
    ]
    verdicts = push(fake, *targets)
    assert kinds(verdicts) == ["Accepted", "Accepted", "Accepted", "Rejected", "Accepted"]
    bad = verdicts[3]
    assert isinstance(bad, Rejected)
    assert (bad.words, bad.code) == ("Item 9 not found. (21916635)", "21916635")
    assert fake.listings.items["1"].quantity == 10
    assert fake.listings.items["3"].variations == {"red": 11, "a<b": 12}
    assert talk(ebay.check(SETTINGS), ebay, SETTINGS, fake) == "eBay account with 5 active listings"


def test_an_expired_token_is_said() -> None:
    fake = account()
    fake.tokens.clear()
    assert kinds(push(fake, plain("1", 10))) == ["Later"]
    with pytest.raises(Failed) as raised:
        pulled(fake)
    assert raised.value.login
    refused = fake(fake.requests[0])
    assert ebay.expired(refused)
    assert not ebay.expired(said("Failure", error("21916635", "no")))
    assert not ebay.expired(answer("", 401))


def test_there_are_no_places() -> None:
    settings: Any = msgspec.structs.replace(SETTINGS, by_location=True)
    found: list[Place] = run(ebay.places(settings), [])[1]
    assert found == []
