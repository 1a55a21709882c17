"""Amazon: what becomes of the listings of a feed that is not done in time, or is refused as a whole."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from connectors.driver import NOW, answer, run, settings_of, talk, target
from fakes.amazon import EXAMPLE, Fake
from onhand.connectors import amazon
from onhand.connectors.flow import Accepted, Target, Verdict, Whole

FEEDING = settings_of(amazon, **EXAMPLE.settings, feed_from=2)
ACCEPTED = answer({"sku": "x", "status": "ACCEPTED", "submissionId": "1", "issues": []})
ROOM = answer({"feedDocumentId": "doc-1", "url": "https://files.example.com/doc-1?sig=a%2Fb%2B"}, 201)
FEED = answer({"feedId": "feed-1"}, 202)
READ = answer({"feedDocumentId": "r", "url": "https://files.example.com/r?sig=1"})
DONE = answer({"processingStatus": "DONE", "resultFeedDocumentId": "r"})


def told(number: int, offer: int) -> Target:
    return target(number, offer, EXAMPLE.ids(number), "DEFAULT")


def report(accepted: int, *issues: dict[str, Any]) -> Any:
    return answer({"summary": {"messagesAccepted": accepted}, "issues": list(issues)})


def kinds(verdicts: list[Verdict]) -> list[str]:
    return [type(verdict).__name__ for verdict in verdicts]


def push(fake: Fake, *targets: Target) -> list[Verdict]:
    return talk(amazon.push(FEEDING, targets), amazon, FEEDING, fake)


def at(target: Target, hours: float, **notes: str) -> Target:
    """The target as it is computed so many hours later, with notes."""
    return msgspec.structs.replace(target, at=NOW + int(hours * 3600 * 1_000_000), notes=notes)


@pytest.mark.parametrize("fate", ["IN_QUEUE", "IN_PROGRESS"])
def test_a_listing_whose_feed_is_not_done_in_time_is_told_by_itself_for_a_while(fate: str) -> None:
    fake = Fake(fate=fate)
    for number in (1, 2):
        fake.stock(number, 0)
    verdicts = push(fake, at(told(1, 5), 0), at(told(2, 6), 0))
    assert kinds(verdicts) == ["Later", "Later"]
    assert "30 minutes" in getattr(verdicts[0], "words", "")
    assert fake.fate == ("CANCELLED" if fate == "IN_QUEUE" else fate), "what waits is taken back"
    noted = [getattr(verdict, "notes", {}) for verdict in verdicts]
    assert noted == [{"not_fed": str(NOW)}] * 2
    again = [at(told(n, 10 + n), 5.9, **noted[0]) for n in (1, 2)]
    fake.requests.clear()
    assert kinds(push(fake, *again)) == ["Accepted", "Accepted"]
    assert [each.method for each in fake.requests] == ["PATCH", "PATCH"]
    assert [fake.shown(f"SKU-{n}") for n in (1, 2)] == [11, 12]


@pytest.mark.parametrize(("hours", "note"), [(6, str(NOW)), (-1, str(NOW)), (1, "²"), (1, ""), (1, "x")])
def test_after_that_while_a_feed_is_tried_again(hours: float, note: str) -> None:
    fake = Fake()
    for number in (1, 2):
        fake.stock(number, 0)
    targets = [at(told(n, n), hours, not_fed=note) for n in (1, 2)]
    assert push(fake, *targets) == [Accepted(each, notes={"not_fed": ""}) for each in targets]
    assert "PATCH" not in [each.method for each in fake.requests]


def test_some_are_told_by_themselves_while_others_are_fed() -> None:
    late = at(told(1, 5), 1, not_fed=str(NOW))
    said = [ACCEPTED, ROOM, answer(""), FEED, DONE, READ, report(2)]
    requests, verdicts = run(amazon.push(FEEDING, [told(2, 6), late, told(3, 7)]), said)
    assert [request.method for request in requests[:2]] == ["PATCH", "POST"]
    assert [message["sku"] for message in json.loads(requests[2].body or b"")["messages"]] == [
        "SKU-2",
        "SKU-3",
    ]
    assert kinds(verdicts) == ["Accepted"] * 3
    assert [verdict.target for verdict in verdicts] == [told(2, 6), late, told(3, 7)]


def test_of_many_that_are_told_by_themselves_the_last_wait_to_be_computed_anew() -> None:
    targets = [at(told(n, 1), 1, not_fed=str(NOW)) for n in range(1, 1_600)]
    requests, verdicts = run(amazon.push(FEEDING, targets), lambda _: ACCEPTED)
    assert kinds(verdicts) == ["Accepted"] * 1_500 + ["Later"] * 99
    assert len(requests) == 1_500
    assert getattr(verdicts[-1], "seconds", None) == 1.0


def test_a_refusal_of_the_whole_feed_is_said_in_amazon_s_words() -> None:
    parse = {"code": "4002001", "severity": "ERROR", "message": "Item 'Feed' cannot be parsed."}
    said = [ROOM, answer(""), FEED, DONE, READ, report(0, parse)]
    verdicts = run(amazon.push(FEEDING, [told(1, 5), told(2, 6)]), said)[1]
    assert [(v.words, v.code) for v in verdicts if isinstance(v, Whole)] == [
        (parse["message"], "4002001")
    ] * 2
    # One that has taken something all the same is not believed to have taken nothing.
    said = [ROOM, answer(""), FEED, DONE, READ, report(1, parse)]
    assert kinds(run(amazon.push(FEEDING, [told(1, 5), told(2, 6)]), said)[1]) == ["Unsure", "Unsure"]
