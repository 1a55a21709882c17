"""Commands on levels, one line a case: what was there, what was asked, what the ledger then says."""

from typing import Any

import pytest

from onhand.stock.model import (
    QUANTITY_LIMIT,
    Adjust,
    AnyCommand,
    AnyRefusal,
    Floor,
    Forbidden,
    Forget,
    Insufficient,
    SetAvailable,
    SetInfinite,
    SetOnHand,
    Stale,
    TooLarge,
    Transfer,
    Unknown,
)
from transcript import ledger, levels_text, say

TOP = QUANTITY_LIMIT
ON_HAND = Floor.ON_HAND

SET = [
    ("1@1 10/3", SetOnHand(1, 1, 5), "counted 1@1 -5+0 5/3"),
    ("1@1 10/3", SetOnHand(1, 1, 10), "nothing"),
    ("1@1 10/3", SetOnHand(1, 1, 2), "counted 1@1 -8+0 2/3"),
    ("1@1 10/3", SetOnHand(1, 1, 0), "counted 1@1 -10+0 0/3"),
    ("", SetOnHand(1, 1, 5), "counted 1@1 +5+0 5/0"),
    ("", SetOnHand(1, 1, 0), "counted 1@1 +0+0 0/0"),
    ("1@1 0/0", SetOnHand(1, 1, 0), "nothing"),
    ("1@1 -3/0", SetOnHand(1, 1, 0), "counted 1@1 +3+0 0/0"),
    ("1@1 ~10/3", SetOnHand(1, 1, 5), "counted 1@1 -5+0 ~5/3"),
    ("1@1 10/3", SetOnHand(1, 1, TOP), f"counted 1@1 +{TOP - 10}+0 {TOP}/3"),
    ("1@1 10/3", SetOnHand(1, 1, TOP + 1), TooLarge(TOP + 1)),
    ("1@1 10/3", SetOnHand(1, 1, -TOP - 1), TooLarge(-TOP - 1)),
    ("1@1 10/3", SetOnHand(1, 1, -TOP), Forbidden("a level is set to at least 0 units")),
    ("1@1 10/3", SetOnHand(1, 1, -1), Forbidden("a level is set to at least 0 units")),
    ("", SetOnHand(1, 1, -1), Forbidden("a level is set to at least 0 units")),
    ("1@1 -3/0", SetOnHand(1, 1, -3), Forbidden("a level is set to at least 0 units")),
    ("1@1 10/3", SetOnHand(1, 1, 5, only_absent=True), "nothing"),
    ("", SetOnHand(1, 1, 5, only_absent=True), "counted 1@1 +5+0 5/0"),
    # Available is what can still be sold; the promised units come on top of it.
    ("1@1 10/3", SetAvailable(1, 1, 5), "counted 1@1 -2+0 8/3"),
    ("1@1 10/3", SetAvailable(1, 1, 7), "nothing"),
    ("1@1 10/3", SetAvailable(1, 1, 0), "counted 1@1 -7+0 3/3"),
    ("", SetAvailable(1, 1, 0), "counted 1@1 +0+0 0/0"),
    ("1@1 ~10/3", SetAvailable(1, 1, 5), "counted 1@1 -2+0 ~8/3"),
    # The promised units would cover it, but nobody can sell fewer than none.
    ("1@1 10/3", SetAvailable(1, 1, -1), Forbidden("a level is set to at least 0 units")),
    ("1@1 10/3", SetAvailable(1, 1, 5, expected=7), "counted 1@1 -2+0 8/3"),
    ("1@1 10/3", SetAvailable(1, 1, 5, expected=10), Stale(1, 1, 10, 7)),
    ("2@3 10/3", SetAvailable(2, 3, 5, expected=10), Stale(2, 3, 10, 7)),
    ("1@1 2/3", SetAvailable(1, 1, 5, expected=0), "counted 1@1 +6+0 8/3"),
    ("1@1 2/3", SetAvailable(1, 1, 5, expected=-1), Stale(1, 1, -1, 0)),
    ("", SetAvailable(1, 1, 5, expected=0), "counted 1@1 +5+0 5/0"),
    ("1@1 ~0/0", SetAvailable(1, 1, 5, expected=999), "counted 1@1 +5+0 ~5/0"),
    ("1@1 10/3", SetAvailable(1, 1, TOP), TooLarge(TOP + 3)),
    ("1@1 10/3", SetAvailable(1, 1, TOP - 3), f"counted 1@1 +{TOP - 10}+0 {TOP}/3"),
]

ADJUST = [
    ("1@1 10/3", Adjust(1, 1, 5), "adjusted 1@1 +5+0 15/3"),
    ("1@1 10/3", Adjust(1, 1, -7), "adjusted 1@1 -7+0 3/3"),
    ("1@1 10/3", Adjust(1, 1, -8), Insufficient(1, 1, 8, 7, 10, 3)),
    ("2@3 10/3", Adjust(2, 3, -8), Insufficient(2, 3, 8, 7, 10, 3)),
    ("1@1 10/3", Adjust(1, 1, -8, ON_HAND), "adjusted 1@1 -8+0 2/3"),
    ("1@1 10/3", Adjust(1, 1, -10, ON_HAND), "adjusted 1@1 -10+0 0/3"),
    ("1@1 10/3", Adjust(1, 1, -11, ON_HAND), Insufficient(1, 1, 11, 10, 10, 3)),
    ("1@1 10/3", Adjust(1, 1, 0), "nothing"),
    ("", Adjust(1, 1, 0), "nothing"),
    ("", Adjust(1, 1, 4), "adjusted 1@1 +4+0 4/0"),
    ("", Adjust(1, 1, -1), Insufficient(1, 1, 1, 0, 0, 0)),
    # Oversold: what is lacking is shown as 0, and an increase is never refused.
    ("1@1 2/3", Adjust(1, 1, -1), Insufficient(1, 1, 1, 0, 2, 3)),
    ("1@1 2/3", Adjust(1, 1, 0), "nothing"),
    ("1@1 -9/3", Adjust(1, 1, 1), "adjusted 1@1 +1+0 -8/3"),
    ("1@1 ~0/0", Adjust(1, 1, -5), "nothing"),
    # Sold and given back any number of times, an endless pile keeps the number below it.
    ("1@1 ~0/0", Adjust(1, 1, 5), "nothing"),
    ("1@1 ~10/3", Adjust(1, 1, 5, ON_HAND), "nothing"),
    ("1@1 ~10/3", Adjust(1, 1, -11, ON_HAND), "nothing"),
    (f"1@1 {TOP}/0", Adjust(1, 1, 1), TooLarge(TOP + 1)),
    (f"1@1 {TOP}/0", Adjust(1, 1, -TOP), f"adjusted 1@1 -{TOP}+0 0/0"),
    ("1@1 10/3", Adjust(1, 1, TOP + 1), TooLarge(TOP + 1)),
    ("1@1 10/3", Adjust(1, 1, -TOP - 1), TooLarge(-TOP - 1)),
]

TRANSFER = [
    ("1@1 10/3", Transfer(1, 1, 2, 4), "transferred 1@1 -4+0 6/3, transferred 1@2 +4+0 4/0"),
    ("1@1 10/3", Transfer(1, 1, 2, 7), "transferred 1@1 -7+0 3/3, transferred 1@2 +7+0 7/0"),
    ("1@1 10/3", Transfer(1, 1, 2, 8), Insufficient(1, 1, 8, 7, 10, 3)),
    ("2@3 10/3, 2@1 9/0", Transfer(2, 3, 1, 8), Insufficient(2, 3, 8, 7, 10, 3)),
    ("1@1 2/3", Transfer(1, 1, 2, 1), Insufficient(1, 1, 1, 0, 2, 3)),
    ("", Transfer(1, 1, 2, 1), Insufficient(1, 1, 1, 0, 0, 0)),
    ("1@1 10/3", Transfer(1, 1, 2, 0), "nothing"),
    ("1@1 10/3", Transfer(1, 1, 1, 4), "nothing"),
    ("1@1 10/3", Transfer(1, 1, 2, -4), Forbidden("a transfer moves at least one unit")),
    ("1@1 ~10/3", Transfer(1, 1, 2, 4), Forbidden("infinite stock is not transferred")),
    ("1@1 9/0, 1@2 ~0/0", Transfer(1, 1, 2, 4), Forbidden("infinite stock is not transferred")),
    (f"1@1 9/0, 1@2 {TOP}/0", Transfer(1, 1, 2, 1), TooLarge(TOP + 1)),
    ("1@1 10/3", Transfer(1, 1, 2, TOP + 1), TooLarge(TOP + 1)),
]

OTHERS = [
    ("1@1 10/3", SetInfinite(1, 1, True), "infinite 1@1 +0+0 ~10/3"),
    ("1@1 ~10/3", SetInfinite(1, 1, True), "nothing"),
    ("1@1 ~10/3", SetInfinite(1, 1, False), "finite 1@1 +0+0 10/3"),
    ("1@1 10/3", SetInfinite(1, 1, False), "nothing"),
    ("", SetInfinite(1, 1, True), "infinite 1@1 +0+0 ~0/0"),
    ("", SetInfinite(1, 1, False), "finite 1@1 +0+0 0/0"),
    ("1@1 10/0", Forget(1, 1), "forgotten 1@1 -10+0 -"),
    ("1@1 0/0", Forget(1, 1), "forgotten 1@1 +0+0 -"),
    ("1@1 -4/0", Forget(1, 1), "forgotten 1@1 +4+0 -"),
    ("1@1 ~10/0", Forget(1, 1), "forgotten 1@1 -10+0 -"),
    ("1@1 10/3", Forget(1, 1), Forbidden("3 units are reserved here")),
    ("", Forget(1, 1), Unknown("level", "1@1")),
    ("3@2 9/0", Forget(2, 3), Unknown("level", "2@3")),
]


@pytest.mark.parametrize(("before", "command", "after"), SET + ADJUST + TRANSFER + OTHERS)
def test_command(before: str, command: AnyCommand, after: str | AnyRefusal) -> None:
    draft = ledger(before)
    was = levels_text(draft)
    assert say(draft, command) == after
    if not isinstance(after, str) or after == "nothing":
        assert levels_text(draft) == was
        assert draft.entries == []


# Each command has two faults; the first to be named is the one that no change of the stock can cure.
PRECEDENCE = [
    ("1@1 10/3", SetAvailable(1, 1, TOP + 1, expected=1), TooLarge(TOP + 1)),
    ("1@1 10/3", SetAvailable(1, 1, TOP, expected=1), Stale(1, 1, 1, 7)),
    ("1@1 10/3", Adjust(1, 1, -TOP - 1), TooLarge(-TOP - 1)),
    ("1@1 10/3", Transfer(1, 1, 2, -TOP - 1), TooLarge(-TOP - 1)),
    ("1@1 10/3", Transfer(1, 1, 1, -1), Forbidden("a transfer moves at least one unit")),
    ("1@1 ~1/0", Transfer(1, 1, 2, 5), Forbidden("infinite stock is not transferred")),
    (f"1@1 1/0, 1@2 {TOP}/0", Transfer(1, 1, 2, 5), Insufficient(1, 1, 5, 1, 1, 0)),
]


@pytest.mark.parametrize(("before", "command", "after"), PRECEDENCE)
def test_first_refusal(before: str, command: AnyCommand, after: AnyRefusal) -> None:
    assert say(ledger(before), command) == after


GROUPS: list[tuple[str, tuple[AnyCommand, ...], str | AnyRefusal]] = [
    ("1@1 5/0", (Adjust(1, 1, -3), Adjust(1, 1, -3)), Insufficient(1, 1, 3, 2, 2, 0)),
    ("1@1 5/0", (Adjust(1, 1, 3), Adjust(1, 1, -8)), "adjusted 1@1 +3+0 8/0, adjusted 1@1 -8+0 0/0"),
    ("1@1 5/0", (SetOnHand(1, 1, 9), SetOnHand(1, 1, 5)), "counted 1@1 +4+0 9/0, counted 1@1 -4+0 5/0"),
    ("1@1 5/0", (Forget(1, 1), SetOnHand(1, 1, 0)), "forgotten 1@1 -5+0 -, counted 1@1 +0+0 0/0"),
    ("1@1 5/0", (Forget(1, 1), Forget(1, 1)), Unknown("level", "1@1")),
    ("1@1 5/0", (SetInfinite(1, 1, True), Adjust(1, 1, -9)), "infinite 1@1 +0+0 ~5/0"),
    ("", (), "nothing"),
]


@pytest.mark.parametrize(("before", "commands", "after"), GROUPS)
def test_group(before: str, commands: tuple[AnyCommand, ...], after: str | AnyRefusal) -> None:
    draft = ledger(before)
    levels = dict(draft.levels)
    assert say(draft, *commands) == after
    if not isinstance(after, str):
        assert (draft.levels, draft.reservations, draft.entries) == (levels, {}, [])


WHY: Any = {"reason": "why", "reference": "r"}


@pytest.mark.parametrize(
    "command",
    [
        SetOnHand(1, 1, 5, **WHY),
        SetAvailable(1, 1, 5, **WHY),
        Adjust(1, 1, 5, **WHY),
        Transfer(1, 1, 2, 5, **WHY),
        SetInfinite(1, 1, True, **WHY),
        Forget(1, 1, **WHY),
    ],
    ids=lambda command: type(command).__name__,
)
def test_every_movement_says_why(command: AnyCommand) -> None:
    draft = ledger("1@1 9/0")
    say(draft, command)
    assert {(entry.movement.reason, entry.movement.reference) for entry in draft.entries} == {("why", "r")}


def test_a_movement_raises_the_version_by_one_and_nothing_else_does() -> None:
    draft = ledger("1@1 5/0")
    assert say(draft, SetOnHand(1, 1, 5)) == "nothing"
    assert say(draft, SetOnHand(1, 1, 6), Adjust(1, 1, -1), SetOnHand(1, 1, 5)) != "nothing"
    assert draft.levels[1, 1].version == 2
