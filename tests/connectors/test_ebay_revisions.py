"""eBay's 250 revisions of a listing in a day: counted, kept for what matters, waited for when spent."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from connectors.driver import NOW, answer, run, settings_of, talk, target
from fakes.ebay import EXAMPLE, Fake
from fakes.ebay_listings import REVISIONS, Listing, xml
from onhand.connectors import ebay
from onhand.connectors.ebay_revisions import tomorrow
from onhand.connectors.flow import Accepted, Later, Rejected, Response, Target, Verdict

PLAIN = settings_of(ebay, **EXAMPLE.settings)
OLDER = settings_of(ebay, **EXAMPLE.settings, listings="trading")
BOTH = pytest.mark.parametrize("settings", [PLAIN, OLDER], ids=["inventory", "trading"])
AT = NOW + 10 * 3600 * 1_000_000
"""2026-11-22 10:00 UTC."""
TODAY, YESTERDAY = "20779", "20778"
LEFT = 22 * 3600
"""Seconds from `AT` to midnight in California."""


def told(settings: Any, number: int, offer: int, revised: str = "", at: int = AT, **slot: Any) -> Target:
    ids = {"item_id": str(number)} if settings is OLDER else {"sku": f"SKU-{number}", "offers": "-"}
    return replace(target(number, offer, ids, **slot), notes={"revised": revised} if revised else {}, at=at)


def taken(settings: Any, *numbers: int) -> Response:
    if settings is PLAIN:
        return answer({"responses": [{"sku": f"SKU-{n}", "statusCode": 200} for n in numbers]}, 207)
    rows = "".join(f"<InventoryStatus><ItemID>{n}</ItemID></InventoryStatus>" for n in numbers)
    return xml("ReviseInventoryStatus", "Success", rows)


def push(settings: Any, fake: Fake, *targets: Target) -> list[Verdict]:
    return talk(ebay.push(settings, targets), ebay, settings, fake)


@BOTH
@pytest.mark.parametrize(
    ("before", "after"), [("", 1), (f"{TODAY}:1", 2), (f"{YESTERDAY}:90", 1), ("nonsense", 1)]
)
def test_revisions_are_counted_by_ebays_day(settings: Any, before: str, after: int) -> None:
    one = told(settings, 1, 5, before)
    verdict = run(ebay.push(settings, [one]), [taken(settings, 1)])[1][0]
    assert verdict == Accepted(one, notes={"revised": f"{TODAY}:{after}"})


@BOTH
@pytest.mark.parametrize(
    ("revised", "slot", "offer", "waits"),
    [
        (199, {"acknowledged": 30}, 29, False),
        (200, {"acknowledged": 30}, 29, True),
        (200, {"acknowledged": 30}, 16, True),
        (200, {"acknowledged": 30}, 15, False),
        (200, {"acknowledged": 30}, 0, False),
        (200, {"acknowledged": 1}, 0, False),
        (200, {"acknowledged": 30}, 300, True),
        (200, {"acknowledged": 0}, 3, False),
        (200, {"acknowledged": 0}, 0, True),
        (200, {}, 3, False),
        (200, {"acknowledged": 30, "observed": 60}, 29, False),
        (200, {"acknowledged": 60, "observed": 30}, 29, True),
        (249, {"acknowledged": 1}, 0, False),
        (250, {"acknowledged": 1}, 0, True),
    ],
)
def test_the_last_revisions_are_kept_for_what_must_not_wait(
    settings: Any, revised: int, slot: dict[str, int], offer: int, waits: bool
) -> None:
    hot, cold = told(settings, 1, offer, f"{TODAY}:{revised}", **slot), told(settings, 2, 7)
    some = (2,) if waits else (1, 2)
    first, second = run(ebay.push(settings, [hot, cold]), [taken(settings, *some)])[1]
    assert isinstance(second, Accepted)
    if waits:
        assert isinstance(first, Later)
        assert first.seconds == LEFT
        assert "250 times a day" in first.words
        return
    assert isinstance(first, Accepted)


@BOTH
@pytest.mark.parametrize(("at", "notes"), [(AT + LEFT * 1_000_000, {"revised": "20780:1"}), (0, {})])
def test_the_next_day_it_is_told_again(settings: Any, at: int, notes: dict[str, str]) -> None:
    spent = told(settings, 1, 2, f"{TODAY}:250", at=at)
    verdict = run(ebay.push(settings, [spent]), [taken(settings, 1)])[1][0]
    assert verdict == Accepted(spent, notes=notes)


@BOTH
def test_what_waits_costs_no_call(settings: Any) -> None:
    spent = told(settings, 1, 2, f"{TODAY}:250", at=AT + (LEFT - 1) * 1_000_000)
    requests, verdicts = run(ebay.push(settings, [spent]), [])
    assert requests == []
    assert isinstance(verdicts[0], Later)
    assert verdicts[0].seconds == 1


@BOTH
def test_what_others_revised_is_waited_out_and_stops_nobody_else(settings: Any) -> None:
    fake = Fake()
    for number in range(1, 7):
        fake.stock(number, 9, offer=None)
        fake.listings.items[str(number)] = Listing("", 9)
    for name in ("SKU-2", "2"):
        fake.listings.revised[name] = REVISIONS
    verdicts = push(settings, fake, *(told(settings, n, 3) for n in range(1, 7)))
    assert [type(one).__name__ for one in verdicts] == ["Accepted", "Later", *["Accepted"] * 4]
    late = verdicts[1]
    assert isinstance(late, Later)
    assert "midnight in California" in late.words
    assert "250" in late.words
    assert late.seconds == LEFT


@BOTH
def test_a_listing_that_sells_out_in_small_steps_is_out_in_time(settings: Any) -> None:
    fake = Fake()
    fake.stock(1, 0, offer=None)
    fake.listings.items["1"] = Listing("", 0)
    notes, shown = "", 400
    for left in range(400, -1, -1):
        verdict = push(settings, fake, told(settings, 1, left, notes, acknowledged=shown))[0]
        if isinstance(verdict, Accepted):
            notes, shown = verdict.notes["revised"], left
        else:
            assert isinstance(verdict, Later)
            assert "kept" in verdict.words, "eBay itself had to refuse"
    assert shown == 0
    assert (fake.listings.items["1"].quantity if settings is OLDER else fake.shown("SKU-1")) == 0


@pytest.mark.parametrize(
    ("words", "waits"),
    [
        ("You have exceeded the maximum of 250 revisions per day.", True),
        ("This listing has been revised too many times today.", True),
        ("The number of revisions allowed in one calendar day\nis reached.", True),
        ("The title cannot be revised: it exceeds the maximum length.", False),
        ("Duration in days cannot be revised.", False),
        ("The maximum quantity is 250 a day.", False),
        ("Item 9 not found.", False),
    ],
)
def test_how_the_refusal_is_known(words: str, waits: bool) -> None:
    refused = Rejected(told(PLAIN, 1, 2), words, "25002")
    after = tomorrow(refused)
    if not waits:
        assert after is refused
        return
    assert isinstance(after, Later)
    assert after.words.startswith(words)
    assert after.seconds == LEFT
