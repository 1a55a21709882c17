"""Reserving again under a name, and several lines at one level: what has left stays on record."""

import pytest

from onhand.stock.model import (
    QUANTITY_LIMIT,
    AnyCommand,
    Confirm,
    Expire,
    Expired,
    Line,
    Release,
    Reserve,
    Return,
    SetOnHand,
    Ship,
    TooLarge,
    Unknown,
)
from transcript import hold, hold_text, ledger, parts, say, want

TOP = QUANTITY_LIMIT
WIDE = hold("a", want(1, 9, 1, 2), until=1900, force=True)
"""Five units at location 1 and four at 2."""

AGAIN: dict[str, tuple[list[AnyCommand], str, str]] = {
    # what was done before; what reserving two units at location 1 says; how the hold then stands
    "what came back stays on record, so that it cannot come back twice": (
        [Ship("a", parts((1, 3, 1))), Return("a", parts((1, 2, 1)))],
        "released 1@2 +0-4 4/0",
        "held: 1@1 2h3s2b",
    ),
    "what is held elsewhere is given back, though something had left from there": (
        [Ship("a", parts((1, 1, 2)))],
        "released 1@1 +0-3 5/2, released 1@2 +0-3 3/0",
        "held: 1@1 2h, 1@2 1s",
    ),
    "what expired elsewhere is owed no more": (
        [Ship("a", parts((1, 1, 2))), Expire("a")],
        "reserved 1@1 +0+2 5/2",
        "held: 1@1 2h, 1@2 1s",
    ),
    "what was released elsewhere is forgotten": (
        [Ship("a", parts((1, 1, 2))), Release("a")],
        "reserved 1@1 +0+2 5/2",
        "held: 1@1 2h, 1@2 1s",
    ),
}


@pytest.mark.parametrize("name", AGAIN)
def test_again(name: str) -> None:
    before, says, stands = AGAIN[name]
    draft = ledger("1@1 5/0, 1@2 4/0")
    for command in (WIDE, *before):
        assert isinstance(say(draft, command), str)
    assert say(draft, hold("a", want(1, 2), force=True)) == says
    assert hold_text(draft.reservations["a"]) == stands


def test_what_is_confirmed_from_the_start_has_no_end() -> None:
    draft = ledger("1@1 5/0")
    say(draft, Reserve("a", (want(1, 2),), 1900, confirmed=True))
    assert hold_text(draft.reservations["a"]) == "confirmed: 1@1 2h"
    assert draft.levels[1, 1].next_expiry is None


def test_lines_that_come_back_to_one_level_do_not_burst_it_together() -> None:
    draft = ledger("1@1 5/0")
    say(draft, hold("a", Line(1, 2, (1,), kit=9, per=2), want(1, 1)))
    say(draft, Ship("a"), SetOnHand(1, 1, TOP - 2))
    assert say(draft, Return("a")) == TooLarge(TOP + 1)


def test_a_kit_does_not_leave_in_halves() -> None:
    draft = ledger("1@1 9/0, 2@1 1/0, 2@2 2/0")
    say(draft, hold("a", Line(1, 6, (1,), kit=9, per=2), Line(2, 3, (1, 2), kit=9, per=1)))
    assert hold_text(draft.reservations["a"]) == "held: 1@1(9x2) 6h, 2@1(9x1) 1h, 2@2(9x1) 2h"
    for command in (Ship, Release, Return):
        assert say(draft, command("a", parts((9, 1, 2)))) == Unknown("line", "9")
    assert say(draft, Ship("a", parts((9, 1, 1)))) == "shipped 1@1 -2-2 7/4, shipped 2@1 -1-1 0/0"
    assert say(draft, Ship("a", parts((9, 2)))) == "shipped 1@1 -4-4 3/0, shipped 2@2 -2-2 0/0"
    assert say(draft, Return("a", parts((9, 1, 2)))) == Unknown("line", "9")


def test_what_is_given_back_in_part_and_then_runs_out_has_expired() -> None:
    draft = ledger("1@1 5/0, 2@1 5/0")
    says = [
        say(draft, hold("a", want(1, 2), want(2, 2), until=1900)),
        say(draft, Release("a", parts((1, 2)))),
    ]
    says.append(say(draft, Expire("a")))
    assert says[1:] == ["released 1@1 +0-2 5/0", "expired 2@1 +0-2 5/0"]
    assert hold_text(draft.reservations["a"]) == "expired: 1@1 2r, 2@1 2x until 1900"
    assert say(draft, Confirm("a")) == Expired("a", 1900)


def test_every_movement_under_a_reservation_says_for_what_and_why() -> None:
    draft = ledger("1@1 2/0")
    commands: list[AnyCommand] = [
        Reserve("a", (want(1, 5),), force=True, reason="1"),
        Reserve("a", (want(1, 4),), force=True, reason="2"),
        Release("a", parts((1, 1)), reason="3"),
        Ship("a", parts((1, 2)), reason="4"),
        Ship("a", force=True, reason="5"),
        Return("a", parts((1, 1)), reason="6"),
        Reserve("b", (want(1, 1),), reason="7"),
        Expire("b", reason="8"),
        Ship("b", reason="9"),
    ]
    for command in commands:
        assert isinstance(say(draft, command), str)
    assert [
        (one.movement.kind.value, one.movement.reference, one.movement.reason) for one in draft.entries
    ] == [
        ("reserved", "a", "1"),
        ("released", "a", "2"),
        ("released", "a", "3"),
        ("shipped", "a", "4"),
        ("found", "a", "5"),
        ("shipped", "a", "5"),
        ("returned", "a", "6"),
        ("reserved", "b", "7"),
        ("expired", "b", "8"),
        ("shipped", "b", "9"),
    ]
