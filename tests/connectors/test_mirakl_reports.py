"""Mirakl's error reports: whom they blame, whom they leave out, and what is known of who is not named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from connectors.driver import answer, run, settings_of, talk, target
from fakes.mirakl import EXAMPLE, Fake
from onhand.connectors import mirakl
from onhand.connectors.flow import Response, Target, Unsure, Verdict
from onhand.connectors.mirakl_import import Report, Row, blame, report_of
from onhand.courier import bisecting

SETTINGS = settings_of(mirakl, **EXAMPLE.settings)


def told(number: int, offer: int) -> Target:
    return target(number, offer, EXAMPLE.ids(number), None)


def kinds(wrong: int, report: str, targets: int) -> list[str]:
    """The verdicts on targets whose import ended with so many wrong lines and this report."""
    status = answer({"status": "COMPLETE", "lines_in_error": wrong})
    answers = [answer({"import_id": "i-1"}, 201), status, answer(report)]
    found = run(mirakl.push(SETTINGS, [told(n, n) for n in range(1, targets + 1)]), answers)[1]
    return [type(verdict).__name__ for verdict in found]


ROWS = [Row(0, "A", 1, ""), Row(1, "B", 2, ""), Row(1, "B", 2, "W"), Row(2, "C", 3, "")]


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([Report(1, "x")], {0: ("x", True)}),  # only without the head counted
        ([Report(5, "x")], {2: ("x", True)}),  # only with it
        ([Report(2, "x")], {0: ("x", False), 1: ("x", False)}),
        ([Report(3, "x")], {1: ("x", True)}),  # two lines of the same target
        ([Report(2, "no offer 'A'")], {0: ("no offer 'A'", True)}),
        ([Report(2, "x"), Report(5, "y")], {0: ("x", True), 2: ("y", True)}),
        ([Report(3, "x"), Report(4, "y"), Report(5, "z")], {1: ("x; y", True), 2: ("z", True)}),
        ([Report(9, "x")], {}),
        ([Report(0, "x")], {}),
    ],
)
def test_the_error_report_is_mapped_back(
    reports: list[Report], expected: dict[int, tuple[str, bool]]
) -> None:
    assert blame(reports, ROWS) == expected


def test_an_error_report_is_read_whatever_it_holds() -> None:
    content = '\ufeff"line";"reason"\n"2";"not ""here"""\n3;a;b\n\nfour;x\n7\n'
    assert report_of(Response(200, {}, content.encode())) == [Report(2, 'not "here"'), Report(3, "a;b")]
    assert report_of(Response(200, {}, b"\xff\xfe;;;")) == []


def test_suspects_are_said_again_and_the_others_stand() -> None:
    assert kinds(1, '"2";"no such offer"\n', 3) == ["Whole", "Whole", "Accepted"]


@pytest.mark.parametrize(
    ("wrong", "report", "expected"),
    [
        (2, '"5";"no such offer"', ["Whole", "Whole", "Whole", "Rejected"]),
        (2, '"5";"a"\n"5";"b"', ["Whole", "Whole", "Whole", "Rejected"]),
        (2, '"2";"no such offer"', ["Whole", "Whole", "Whole", "Whole"]),
        (4, '"2";"a"\n"3";"b"\n"5";"c"', ["Rejected", "Rejected", "Unsure", "Rejected"]),
        (2, '"2";"a"\n"5";"c"', ["Rejected", "Accepted", "Accepted", "Rejected"]),
        (1, '"2";"a"\n"5";"c"', ["Rejected", "Accepted", "Accepted", "Rejected"]),
    ],
)
def test_whom_a_report_leaves_out_is_accepted_only_if_the_count_says_so(
    wrong: int, report: str, expected: list[str]
) -> None:
    assert kinds(wrong, report, 4) == expected


async def until_known(fake: Fake, targets: list[Target]) -> dict[int, str]:
    """What became of each, told as the courier tells: what was refused whole in halves, the unsure again."""

    async def said_to_fake(some: Sequence[Target]) -> list[Verdict]:
        return talk(mirakl.push(SETTINGS, some), mirakl, SETTINGS, fake)

    ends: dict[int, str] = {}
    while targets:
        found = [
            one async for some in bisecting.verdicts(said_to_fake, targets, lambda: None) for one in some
        ]
        ends |= {one.target.listing: type(one).__name__ for one in found}
        targets = [one.target for one in found if isinstance(one, Unsure)]
    return ends


@pytest.mark.parametrize("head_counts", [True, False])
@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_report_that_leaves_lines_out_hides_no_refusal(head_counts: bool, limit: int) -> None:
    fake = Fake(head_counts=head_counts, report_limit=limit)
    for number in (1, 3, 5, 6):
        fake.stock(number, 1)
    ends = asyncio.run(until_known(fake, [told(number, 10 * number) for number in range(1, 7)]))
    bad = [number for number, kind in ends.items() if kind == "Rejected"]
    assert (len(ends), sorted(bad)) == (6, [2, 4])
    assert [fake.shown(f"SKU-{number}") for number in (1, 3, 5, 6)] == [10, 30, 50, 60]
