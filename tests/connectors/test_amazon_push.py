"""Amazon: a PATCH a listing or one feed for many, and what its answers mean."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest

from connectors.driver import SILENCE, answer, run, settings_of, talk, target, wire
from fakes.amazon import EXAMPLE, Fake
from onhand.connectors import amazon
from onhand.connectors.amazon_calls import unpacked
from onhand.connectors.amazon_feed import LOOKS
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Rejected,
    Response,
    Slot,
    Target,
    Verdict,
)

SETTINGS = settings_of(amazon, **EXAMPLE.settings)
FEEDING = settings_of(amazon, **EXAMPLE.settings, feed_from=2)
ACCEPTED = answer({"sku": "x", "status": "ACCEPTED", "submissionId": "1", "issues": []})
ROOM = answer({"feedDocumentId": "doc-1", "url": "https://files.example.com/doc-1?sig=a%2Fb%2B"}, 201)
FEED = answer({"feedId": "feed-1"}, 202)
READ = answer({"feedDocumentId": "r", "url": "https://files.example.com/r?sig=1"})
DONE = answer({"processingStatus": "DONE", "resultFeedDocumentId": "r"})


def told(number: int, offer: int, **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), "DEFAULT", **slot)


def unknown(number: int, offer: int) -> Target:
    return target(number, offer, {"sku": EXAMPLE.ids(number)["sku"]})


def invalid(*issues: tuple[str, str, str]) -> Response:
    rows = [{"code": code, "message": words, "severity": severity} for code, words, severity in issues]
    return answer({"sku": "x", "status": "INVALID", "issues": rows})


def refusal(status: int, words: str, **headers: str) -> Response:
    return answer({"errors": [{"code": "Code", "message": words}]}, status, **headers)


def report(accepted: int, *issues: dict[str, Any]) -> Response:
    return answer({"summary": {"messagesAccepted": accepted}, "issues": list(issues)})


def kinds(verdicts: list[Verdict]) -> list[str]:
    return [type(verdict).__name__ for verdict in verdicts]


def push(fake: Fake, *targets: Target, settings: Any = SETTINGS) -> list[Verdict]:
    return talk(amazon.push(settings, targets), amazon, settings, fake)


# --- one by one -----------------------------------------------------------------------------------------


def test_the_request_as_it_goes_out() -> None:
    odd = msgspec.structs.replace(told(1, 42), ids={**EXAMPLE.ids(1), "sku": "SKU 1/ä"})
    targets = [odd, told(2, 10**9, infinite=True)]
    requests, verdicts = run(amazon.push(SETTINGS, targets), [ACCEPTED, ACCEPTED])
    assert verdicts == [Accepted(each) for each in targets]
    out = wire(amazon, SETTINGS, requests[0])
    assert out.method == "PATCH"
    assert out.target == (
        "https://sellingpartnerapi-na.amazon.com/listings/2021-08-01/items/A1EXAMPLE00/SKU%201%2F%C3%A4"
        "?marketplaceIds=ATVPDKIKX0DER&issueLocale=en_US"
    )
    assert out.headers["x-amz-access-token"] == "Atza|access-91b3"
    assert out.headers["User-Agent"].startswith("onhand")
    assert "Authorization" not in out.headers
    value = {"fulfillment_channel_code": "DEFAULT", "quantity": 42}
    patch = {"op": "merge", "path": "/attributes/fulfillment_availability", "value": [value]}
    assert msgspec.json.decode(out.body) == {"productType": "MUG", "patches": [patch]}
    assert requests[1].json["patches"][0]["value"][0]["quantity"] == amazon.CHANNEL.largest


@pytest.mark.parametrize(
    ("said", "expected", "words"),
    [
        (invalid(("99022", "too few values", "ERROR"), ("1", "hint", "INFO")), "Rejected", "too few values"),
        (invalid(), "Rejected", "no reason"),
        (answer({"sku": "x", "status": "VALID"}), "Unsure", "not as documented"),
        (answer({}), "Unsure", "not as documented"),
        (answer("<html>"), "Unsure", "not as documented"),
        (SILENCE, "Unsure", "no answer"),
        (refusal(400, "bad patches"), "Rejected", "400 bad patches"),
        (refusal(404, "no such SKU"), "Rejected", "404 no such SKU"),
        (refusal(413, "too large"), "Rejected", "413 too large"),
        (refusal(403, "expired"), "Later", "expired"),
        (refusal(429, "quota"), "Later", "quota"),
        (refusal(500, "oops"), "Later", "oops"),
        (answer("<html>down</html>", 503), "Later", "down"),
    ],
)
def test_what_an_answer_means(said: Response, expected: str, words: str) -> None:
    verdict = run(amazon.push(SETTINGS, [told(1, 3)]), [said])[1][0]
    assert type(verdict).__name__ == expected
    assert words in getattr(verdict, "words", "")


def test_the_code_of_the_first_error_is_kept() -> None:
    said = invalid(("7", "hint", "WARNING"), ("99022", "too few", "ERROR"))
    verdict = run(amazon.push(SETTINGS, [told(1, 3)]), [said])[1][0]
    assert isinstance(verdict, Rejected)
    assert verdict.code == "99022"


@pytest.mark.parametrize("end", [refusal(429, "quota", retry_after="4"), refusal(403, "no"), answer("", 502)])
def test_what_says_nothing_about_a_listing_ends_the_round(end: Response) -> None:
    requests, verdicts = run(amazon.push(SETTINGS, [told(n, n) for n in (1, 2, 3)]), [ACCEPTED, end])
    assert kinds(verdicts) == ["Accepted", "Later", "Later"]
    assert len(requests) == 2


def test_after_a_silence_the_rest_was_not_sent() -> None:
    verdicts = run(amazon.push(SETTINGS, [told(n, n) for n in (1, 2)]), [SILENCE])[1]
    assert kinds(verdicts) == ["Unsure", "Later"]


def test_a_refused_listing_does_not_stop_the_others() -> None:
    verdicts = run(amazon.push(SETTINGS, [told(1, 1), told(2, 2)]), [refusal(404, "no"), ACCEPTED])[1]
    assert kinds(verdicts) == ["Rejected", "Accepted"]


@pytest.mark.parametrize(
    ("ids", "slots", "words"),
    [
        ({"sku": "A", "fulfilled_by": "AMAZON_NA"}, (Slot(3, "DEFAULT"),), "FBA"),
        ({"sku": "A", "fulfilled_by": "DEFAULT"}, (Slot(3, "FBA"),), "FBA"),
        ({"sku": "A", "fulfilled_by": "DEFAULT"}, (Slot(3, "WH1"),), "DEFAULT"),
        ({"sku": "A", "fulfilled_by": "DEFAULT"}, (Slot(3), Slot(4)), "DEFAULT"),
        ({"sku": "A", "fulfilled_by": "DEFAULT"}, (), "DEFAULT"),
        ({"sku": "a\ud800", "fulfilled_by": "DEFAULT"}, (Slot(3),), "SKU"),
    ],
)
def test_what_is_never_sent(ids: dict[str, str], slots: tuple[Slot, ...], words: str) -> None:
    bare = Target(1, ids, slots, "key-1")
    requests, verdicts = run(amazon.push(SETTINGS, [bare]), [])
    assert requests == []
    assert isinstance(verdicts[0], Rejected)
    assert words in verdicts[0].words


def test_a_listing_that_was_never_seen_is_looked_up_once() -> None:
    fake = Fake()
    fake.stock(1, 4)
    fake.stock(2, 9, "AMAZON_NA")
    verdicts = push(fake, unknown(1, 7), unknown(2, 7), unknown(3, 7))
    assert kinds(verdicts) == ["Accepted", "Rejected", "Rejected"]
    first = verdicts[0]
    assert isinstance(first, Accepted)
    assert first.ids == {
        "sku": "SKU-1",
        "asin": "B001",
        "product_type": "MUG",
        "fulfilled_by": "DEFAULT",
    }
    assert [each.method for each in fake.requests] == ["GET", "GET", "GET", "PATCH"]
    assert fake.shown("SKU-1") == 7
    assert fake.listings["SKU-1"]["restock"] == "2026-12-24"


def test_looking_up_ends_the_round_as_sending_does() -> None:
    said = [refusal(429, "quota")]
    requests, verdicts = run(amazon.push(SETTINGS, [unknown(1, 1), unknown(2, 2)]), said)
    assert (len(requests), kinds(verdicts)) == (1, ["Later", "Later"])
    assert kinds(run(amazon.push(SETTINGS, [unknown(1, 1)]), [SILENCE])[1]) == ["Later"]
    assert kinds(run(amazon.push(SETTINGS, [unknown(1, 1)]), [answer({})])[1]) == ["Later"]


# --- a feed ---------------------------------------------------------------------------------------------


def test_a_feed_as_it_goes_out() -> None:
    waits: list[float] = []
    said = [ROOM, answer(""), FEED, answer({"processingStatus": "IN_QUEUE"}), DONE, READ, report(2)]
    targets = [told(1, 5), told(2, 6)]
    requests, verdicts = run(amazon.push(FEEDING, targets), said, waits)
    assert verdicts == [Accepted(each) for each in targets]
    room, put, start, *_ = (wire(amazon, FEEDING, request) for request in requests)
    assert msgspec.json.decode(room.body) == {"contentType": "application/json; charset=UTF-8"}
    assert (put.method, put.target) == ("PUT", "https://files.example.com/doc-1?sig=a%2Fb%2B")
    assert put.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert "x-amz-access-token" not in put.headers
    assert "a/b" not in repr(requests[1])
    given = msgspec.json.decode(put.body)
    assert given["header"] == {"sellerId": "A1EXAMPLE00", "version": "2.0", "issueLocale": "en_US"}
    assert [(row["messageId"], row["sku"], row["operationType"]) for row in given["messages"]] == [
        (1, "SKU-1", "PATCH"),
        (2, "SKU-2", "PATCH"),
    ]
    assert msgspec.json.decode(start.body) == {
        "feedType": "JSON_LISTINGS_FEED",
        "marketplaceIds": ["ATVPDKIKX0DER"],
        "inputFeedDocumentId": "doc-1",
    }
    assert waits == [20, 20]


ERROR = {"messageId": 2, "code": "13013", "message": "unknown SKU", "severity": "ERROR"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([refusal(400, "no")], ["Whole", "Whole"]),
        ([refusal(429, "quota")], ["Later", "Later"]),
        ([SILENCE], ["Later", "Later"]),
        ([answer({"feedDocumentId": "d"}, 201)], ["Later", "Later"]),
        ([answer({"feedDocumentId": "d", "url": "http://169.254.169.254/"}, 201)], ["Later", "Later"]),
        ([ROOM, SILENCE], ["Later", "Later"]),
        ([ROOM, answer("", 403)], ["Later", "Later"]),
        ([ROOM, answer(""), SILENCE], ["Unsure", "Unsure"]),
        ([ROOM, answer(""), refusal(429, "quota")], ["Later", "Later"]),
        ([ROOM, answer(""), refusal(400, "no")], ["Whole", "Whole"]),
        ([ROOM, answer(""), answer("<html>", 202)], ["Unsure", "Unsure"]),
        ([ROOM, answer(""), FEED, answer({"processingStatus": "FATAL"})], ["Whole", "Whole"]),
        ([ROOM, answer(""), FEED, answer({"processingStatus": "CANCELLED"})], ["Later", "Later"]),
        ([ROOM, answer(""), FEED, *[answer("", 500)] * LOOKS], ["Unsure", "Unsure"]),
        ([ROOM, answer(""), FEED, answer({"processingStatus": "DONE"})], ["Unsure", "Unsure"]),
        ([ROOM, answer(""), FEED, DONE, answer("", 404)], ["Unsure", "Unsure"]),
        ([ROOM, answer(""), FEED, DONE, READ, answer("", 403)], ["Unsure", "Unsure"]),
        ([ROOM, answer(""), FEED, DONE, READ, answer("<html>")], ["Unsure", "Unsure"]),
        ([ROOM, answer(""), FEED, DONE, READ, answer({"issues": []})], ["Unsure", "Unsure"]),
        ([ROOM, answer(""), FEED, DONE, READ, report(1, ERROR)], ["Accepted", "Rejected"]),
        ([ROOM, answer(""), FEED, DONE, READ, report(0, ERROR)], ["Unsure", "Rejected"]),
        (
            [ROOM, answer(""), FEED, DONE, READ, report(2, {**ERROR, "severity": "WARNING"})],
            ["Accepted", "Accepted"],
        ),
        (
            [ROOM, answer(""), FEED, DONE, READ, report(1, {**ERROR, "messageId": None, "sku": "SKU-1"})],
            ["Rejected", "Accepted"],
        ),
    ],
)
def test_what_becomes_of_a_feed(said: list[Response], expected: list[str]) -> None:
    assert kinds(run(amazon.push(FEEDING, [told(1, 5), told(2, 6)]), said)[1]) == expected


def test_a_feed_from_end_to_end() -> None:
    fake = Fake()
    for number in range(1, 6):
        fake.stock(number, 0)
    verdicts = push(fake, *(told(n, 10 + n) for n in (1, 2, 9, 3)), settings=FEEDING)
    assert kinds(verdicts) == ["Accepted", "Accepted", "Rejected", "Accepted"]
    assert [fake.shown(f"SKU-{n}") for n in (1, 2, 3, 4)] == [11, 12, 13, 0]
    fake.fate = "FATAL"
    assert kinds(push(fake, told(1, 1), told(2, 2), settings=FEEDING)) == ["Whole", "Whole"]


def test_few_of_a_batch_are_patched_even_beside_many_that_cannot_be_told() -> None:
    fake = Fake()
    fake.stock(1, 0)
    fba = [target(n, 1, {"sku": f"F{n}", "fulfilled_by": "AMAZON_EU"}) for n in range(2, 6)]
    assert kinds(push(fake, told(1, 3), *fba, settings=FEEDING)) == ["Accepted"] + ["Rejected"] * 4
    assert [each.method for each in fake.requests] == ["PATCH"]


@pytest.mark.parametrize("packed", [b"", b"not gzip", gzip.compress(b"x" * 100, mtime=0)[:-9]])
def test_a_broken_gzip_file_is_said(packed: bytes) -> None:
    with pytest.raises(Failed):
        unpacked(packed)


# --- faults ---------------------------------------------------------------------------------------------


def test_faults_of_amazon() -> None:
    fake = Fake()
    fake.stock(1, 0)
    fake.faults.throttle = 1
    assert kinds(push(fake, told(1, 3))) == ["Later"]
    fake.faults.lose = 1
    assert kinds(push(fake, told(1, 4))) == ["Unsure"]
    assert fake.shown("SKU-1") == 4
    fake.tokens.clear()
    assert kinds(push(fake, told(1, 5))) == ["Later"]
    fresh = talk(amazon.tokens(SETTINGS), amazon, SETTINGS, fake)
    assert fresh == {
        "access_token": "Atza|access-1",
        "refresh_token": "Atzr|refresh-77d2",
        "expires_in": 3600,
    }
    renewed = settings_of(amazon, **{**EXAMPLE.settings, "access_token": fresh["access_token"]})
    assert kinds(push(fake, told(1, 5), settings=renewed)) == ["Accepted"]


def test_a_token_is_asked_for_without_signature_and_shows_no_secret() -> None:
    said = answer({"access_token": "new", "expires_in": 3600})
    requests, fresh = run(amazon.tokens(SETTINGS), [said])
    assert fresh == {"access_token": "new", "expires_in": 3600}
    out = wire(amazon, SETTINGS, requests[0])
    assert out.url == "https://api.amazon.com/auth/o2/token"
    assert out.body == (
        b"grant_type=refresh_token&refresh_token=Atzr%7Crefresh-77d2"
        b"&client_id=amzn1.client.9&client_secret=amzn1.secret.44c1"
    )
    assert "x-amz-access-token" not in out.headers
    assert "77d2" not in repr(requests[0])


@pytest.mark.parametrize(
    ("said", "login", "retry"),
    [
        (answer({"error": "invalid_grant", "error_description": "revoked"}, 400), True, False),
        (answer({"error": "invalid_client"}, 401), True, False),
        (answer("", 503), False, True),
        (SILENCE, False, True),
        (answer({"expires_in": 3600}), False, True),
    ],
)
def test_a_token_that_is_not_given(said: Response, login: bool, retry: bool) -> None:
    with pytest.raises(Failed) as raised:
        run(amazon.tokens(SETTINGS), [said])
    assert (raised.value.login, raised.value.retry) == (login, retry)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (ACCEPTED, None),
        (answer("", 429), 1.0),
        (answer("", 429, x_amzn_ratelimit_limit="5.0"), 0.2),
        (answer("", 429, x_amzn_ratelimit_limit="0.0056"), None),
        (answer("", 429, x_amzn_ratelimit_limit="0"), None),
        (answer("", 429, x_amzn_ratelimit_limit="nan"), None),
        (answer("", 429, x_amzn_ratelimit_limit="soon"), 1.0),
    ],
)
def test_pace(said: Response, seconds: float | None) -> None:
    assert amazon.pace(said) == seconds


@pytest.mark.parametrize(
    ("said", "old"),
    [
        (refusal(403, "The access token you provided has expired."), True),
        (answer({"errors": [{"details": "The access token you provided has expired."}]}, 403), True),
        (
            answer(
                {"errors": [{"details": "The access token you provided is revoked, malformed or invalid."}]},
                403,
            ),
            True,
        ),
        (refusal(403, "Access to requested resource is denied."), False),
        (refusal(403, "The refresh token is invalid."), False),
        (answer("", 403), False),
        (refusal(400, "token expired"), False),
        (ACCEPTED, False),
    ],
)
def test_a_403_may_mean_an_old_token(said: Response, old: bool) -> None:
    assert amazon.expired(said) is old
