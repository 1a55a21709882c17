"""Walmart: what is said to it word for word, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.driver import NOW, SILENCE, answer, run, settings_of, target, wire
from fakes.walmart import ACCESS, CLIENT, EXAMPLE, SECRET, UUID, webhook
from onhand.connectors import walmart
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Rejected,
    Request,
    Response,
    Slot,
    Target,
    Unheard,
    Unsure,
    Verdict,
    Whole,
)
from onhand.connectors.walmart_feed import POLLS
from onhand.connectors.walmart_push import FEED_FROM

SETTINGS = settings_of(walmart, **EXAMPLE.settings)
ONE = target(1, 7, {"sku": "A/1 ä"}, "n1")
TWO = Target(2, {"sku": "B"}, (Slot(1, "n1"), Slot(2, "n2", committed=3)), "k")
PLAIN = target(3, 5, {"sku": "C"})


def nodes(*states: tuple[str, str]) -> Response:
    rows = [{"shipNode": name, "status": state} for name, state in states]
    return answer({"sku": "?", "nodes": rows})


GOOD = nodes(("n1", "Success"), ("n2", "Success"))


def push(*targets: Target, answers: list[Response]) -> tuple[list[Request], list[Verdict]]:
    return run(walmart.push(SETTINGS, targets), answers)


def test_all_nodes_of_a_sku_go_in_one_call_and_open_orders_are_added() -> None:
    """Walmart takes its own open orders off what it is told, so that they have to be in it."""
    requests, verdicts = push(ONE, TWO, answers=[GOOD, GOOD])
    assert [(r.method, r.url, r.limit) for r in requests] == [
        ("PUT", "/v3/inventories/A%2F1%20%C3%A4", "put inventories"),
        ("PUT", "/v3/inventories/B", "put inventories"),
    ]
    assert requests[1].json == {
        "inventories": {
            "nodes": [
                {"shipNode": "n1", "inputQty": {"unit": "EACH", "amount": 1}},
                {"shipNode": "n2", "inputQty": {"unit": "EACH", "amount": 5}},
            ]
        }
    }
    assert verdicts == [Accepted(ONE), Accepted(TWO)]


def test_without_a_node_the_default_one_is_told() -> None:
    body = {"sku": "C", "quantity": {"unit": "EACH", "amount": 5}}
    requests, verdicts = push(PLAIN, answers=[answer(body)])
    assert (requests[0].url, requests[0].query, requests[0].json) == ("/v3/inventory", (("sku", "C"),), body)
    assert verdicts == [Accepted(PLAIN)]


def test_a_space_in_a_sku_is_percent_encoded_in_the_query() -> None:
    aim = target(1, 1, {"sku": "A B/C"})
    request = push(aim, answers=[answer({"quantity": {"amount": 1}})])[0][0]
    assert wire(walmart, SETTINGS, request).target.endswith("/v3/inventory?sku=A%20B%2FC")


def test_every_call_has_the_token_the_service_and_a_name_of_its_own() -> None:
    request = push(PLAIN, answers=[SILENCE])[0][0]
    sent = wire(walmart, SETTINGS, request)
    assert sent.headers["WM_SEC.ACCESS_TOKEN"] == ACCESS
    assert sent.headers["WM_SVC.NAME"] == "Walmart Marketplace"
    assert UUID.fullmatch(sent.headers["WM_QOS.CORRELATION_ID"])
    other = wire(walmart, SETTINGS, request, nonce="another")
    assert other.headers["WM_QOS.CORRELATION_ID"] != sent.headers["WM_QOS.CORRELATION_ID"]
    assert "Authorization" not in sent.headers


def test_a_node_can_fail_inside_a_200() -> None:
    error = {"code": "INVALID", "description": "node is not yours"}
    reply = answer(
        {
            "nodes": [
                {"shipNode": "n1", "status": "Success"},
                {"shipNode": "n2", "status": "Failure", "errors": [error]},
            ]
        }
    )
    _, verdicts = push(TWO, answers=[reply])
    assert verdicts == [Rejected(TWO, "node n2: INVALID node is not yours", "node")]
    _, verdicts = push(TWO, answers=[nodes(("n1", "Success"))])
    assert verdicts == [Rejected(TWO, "node n2: Walmart did not answer for it", "node")]


XML = "<ns2:errors><ns2:error><ns2:code>CONTENT_NOT_FOUND.GMP</ns2:code></ns2:error></ns2:errors>"


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (
            answer({"errors": [{"code": "INVALID_REQUEST", "message": "no"}]}, 400),
            Rejected,
            "INVALID_REQUEST",
        ),
        (answer({"error": [{"code": "CONTENT_NOT_FOUND"}]}, 404), Rejected, "CONTENT_NOT_FOUND"),
        (answer(XML, 404), Rejected, "CONTENT_NOT_FOUND.GMP"),
        (answer("\n<HTML><body>no such host", 404), Later, ""),
        (answer({"errors": [{"code": "X", "field": "sku"}]}), Rejected, "X"),
        (answer({"errors": [{"code": "RESOURCE_IS_LOCKED.GMP_RECEIVER_API"}]}, 423), Later, ""),
        (answer({"errors": [{"code": "UNAUTHORIZED"}]}, 401), Later, ""),
        (answer({"errors": [{"code": "SYSTEM_ERROR"}]}, 500), Later, ""),
        (answer(b"", 504), Later, ""),
        (answer("<html>"), Unsure, ""),
        (answer({}), Unsure, ""),
        (SILENCE, Unsure, ""),
    ],
)
def test_refusals_in_all_their_shapes(reply: Response, kind: type[Verdict], code: str) -> None:
    _, (verdict,) = push(ONE, answers=[reply])
    assert isinstance(verdict, kind)
    assert getattr(verdict, "code", "") == code


def test_an_echo_of_another_number_is_no_success() -> None:
    _, (verdict,) = push(PLAIN, answers=[answer({"sku": "C", "quantity": {"amount": 4}})])
    assert isinstance(verdict, Unsure)


EMPTY = answer(
    {"errors": [{"code": "REQUEST_THRESHOLD_VIOLATED"}]},
    429,
    x_current_token_count="0",
    x_next_replenishment_time="1795305607000",
    date="Sun, 22 Nov 2026 00:00:00 GMT",
)


def test_a_throttle_stops_the_rest_until_the_bucket_is_filled() -> None:
    requests, verdicts = push(ONE, TWO, PLAIN, answers=[EMPTY])
    assert len(requests) == 1
    assert [getattr(verdict, "seconds", None) for verdict in verdicts] == [7.0, 7.0, 7.0]
    assert all(isinstance(verdict, Later) for verdict in verdicts)


def test_one_server_error_is_of_its_sku_and_three_are_of_the_server() -> None:
    down = answer(b"", 500)
    _, verdicts = push(ONE, TWO, answers=[down, GOOD])
    assert [type(verdict) for verdict in verdicts] == [Later, Accepted]
    many = [target(n, n, {"sku": f"S{n}"}, "n1") for n in range(1, 9)]
    requests, verdicts = push(*many, answers=[down, down, down])
    assert len(requests) == 3
    assert all(isinstance(verdict, Later) for verdict in verdicts)


@pytest.mark.parametrize(
    "aim",
    [
        target(1, 1, {"sku": "A", "wfs": "true"}, "WFS"),
        Target(1, {"sku": "A"}, (), "k"),
        Target(1, {"sku": "A"}, (Slot(1, "n1"), Slot(2, "n1")), "k"),
        Target(1, {"sku": "A"}, (Slot(1, "n1"), Slot(2)), "k"),
        Target(1, {"sku": "\x00"}, (Slot(1, "n1"),), "k"),
    ],
    ids=["walmart's own stock", "no number", "node twice", "default beside a node", "control character"],
)
def test_what_cannot_be_said_is_not_sent(aim: Target) -> None:
    requests, (verdict,) = push(aim, answers=[])
    assert requests == []
    assert isinstance(verdict, Rejected)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x_current_token_count": "12"}, None),
        ({"x_current_token_count": "0"}, 5.0),
        ({"x_current_token_count": "0", "x_next_replenishment_time": "soon"}, 5.0),
        (
            {
                "x_current_token_count": "0",
                "x_next_replenishment_time": "2026-11-22T00:00:03Z",
                "date": "Sun, 22 Nov 2026 00:00:00 GMT",
            },
            3.0,
        ),
    ],
)
def test_pace_reads_the_bucket(headers: dict[str, Any], seconds: float | None) -> None:
    assert walmart.pace(answer({}, 200, **headers)) == seconds


# --- feeds ----------------------------------------------------------------------------------------------

MANY = [target(n, n, {"sku": f"S{n}"}, "n1") for n in range(1, FEED_FROM + 1)]
TAKEN = answer({"feedId": "F1@AB"})
WORKING = answer({"feedStatus": "INPROGRESS", "itemDetails": {"itemIngestionStatus": []}})


def done(states: list[dict[str, Any]], status: str = "PROCESSED", received: int | None = None) -> Response:
    count = len(states) if received is None else received
    details = {"itemIngestionStatus": states}
    return answer({"feedStatus": status, "itemsReceived": count, "itemDetails": details})


def pages(states: list[dict[str, Any]]) -> list[Response]:
    return [done(states[at : at + 50], received=len(states)) for at in range(0, len(states), 50)]


def test_very_many_go_in_one_feed_that_is_followed() -> None:
    states: list[dict[str, Any]] = [
        {"sku": f"S{n}", "ingestionStatus": "SUCCESS"} for n in range(1, FEED_FROM + 1)
    ]
    error = {"code": "ERR_PDI_0034", "description": "bad"}
    states[1] = {
        "sku": "S2",
        "ingestionStatus": "DATA_ERROR",
        "ingestionErrors": {"ingestionError": [error]},
    }
    passing = ["SYSTEM_ERROR", "TIMEOUT_ERROR", "INPROGRESS", "RECEIVED"]
    for place, state in enumerate(passing, 2):
        states[place]["ingestionStatus"] = state
    waits: list[float] = []
    requests, verdicts = run(
        walmart.push(SETTINGS, MANY), [TAKEN, WORKING, answer(b"", 500), *pages(states)], waits
    )
    assert requests[0].url == "/v3/feeds"
    assert requests[0].query == (("feedType", "MP_INVENTORY"),)
    assert not requests[0].repeatable
    sent = wire(walmart, SETTINGS, requests[0])
    assert sent.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    file = json.loads(sent.body.split(b"\r\n\r\n")[1].partition(b"\r\n--")[0])
    assert file["inventoryHeader"] == {"version": "1.5"}
    assert file["inventory"][0] == {
        "sku": "S1",
        "shipNodes": [{"shipNode": "n1", "quantity": {"unit": "EACH", "amount": 1}}],
    }
    assert requests[1].url == "/v3/feeds/F1%40AB"
    assert dict(requests[-1].query)["offset"] == str(FEED_FROM - 50)
    assert waits == list(POLLS[:3])
    assert verdicts[1] == Rejected(MANY[1], "ERR_PDI_0034 bad", "DATA_ERROR")
    assert [type(verdict) for verdict in verdicts[2:6]] == [Later] * len(passing)
    assert all(isinstance(verdict, Accepted) for verdict in verdicts[6:])


ALL_GOOD = pages([{"sku": f"S{n}", "ingestionStatus": "SUCCESS"} for n in range(1, FEED_FROM + 1)])


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([SILENCE], Unsure),
        ([EMPTY], Later),
        ([answer(b"", 413)], Whole),
        ([answer({"errors": [{"code": "ERR_PDI_0001"}]})], Whole),
        ([answer("<html>")], Unsure),
        ([TAKEN, done([], "ERROR")], Whole),
        ([TAKEN, *[WORKING] * len(POLLS)], Unsure),
        ([TAKEN, answer(b"", 401)], Unsure),
        ([TAKEN, done([{"sku": "other", "ingestionStatus": "SUCCESS"}])], Unsure),
        ([TAKEN, ALL_GOOD[0], answer(b"", 404)], Unsure),
        ([TAKEN, ALL_GOOD[0], answer({"feedStatus": "PROCESSED"})], Unsure),
        ([TAKEN, answer({"feedStatus": "PROCESSED"})], Unsure),
        ([TAKEN, answer({"feedStatus": "ERROR"})], Whole),
        ([TAKEN, answer(b"", 403)], Unsure),
        ([TAKEN, answer(b"", 404)], Unsure),
    ],
    ids=[
        "silence",
        "throttled",
        "too large",
        "malformed",
        "html",
        "failed whole",
        "slow",
        "login",
        "missing",
        "no second page",
        "empty second page",
        "no details",
        "failed without details",
        "no right",
        "no such feed",
    ],
)
def test_a_feed_that_was_only_taken_is_no_success(answers: list[Response], kind: type[Verdict]) -> None:
    _, verdicts = run(walmart.push(SETTINGS, MANY), answers)
    assert {type(verdict) for verdict in verdicts} == {kind}


def test_the_default_node_has_no_name_for_a_feed() -> None:
    body = {"sku": "C", "quantity": {"unit": "EACH", "amount": 5}}
    states = [{"sku": f"S{n}", "ingestionStatus": "SUCCESS"} for n in range(1, FEED_FROM + 1)]
    requests, verdicts = run(walmart.push(SETTINGS, [*MANY, PLAIN]), [answer(body), TAKEN, *pages(states)])
    assert [request.method for request in requests[:2]] == ["PUT", "POST"]
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)


# --- tokens, looking, hearing ---------------------------------------------------------------------------


def test_a_token_is_asked_for_with_basic_and_a_form() -> None:
    reply = answer({"access_token": "t", "token_type": "Bearer", "expires_in": 900})
    requests, fresh = run(walmart.tokens(SETTINGS), [reply])
    assert fresh == {"access_token": "t", "expires_in": 900}
    sent = wire(walmart, SETTINGS, requests[0])
    assert sent.body == b"grant_type=client_credentials"
    assert sent.headers["Authorization"].startswith("Basic ")
    assert SECRET not in repr(requests[0])
    assert CLIENT not in sent.headers["WM_QOS.CORRELATION_ID"]


def test_check_names_what_is_lacking() -> None:
    _, told = run(
        walmart.check(SETTINGS), [answer({"scopes": {"inventory": "full_access", "orders": "view_only"}})]
    )
    assert told == "Walmart seller: inventory full_access, orders view_only"
    with pytest.raises(Failed) as raised:
        run(
            walmart.check(SETTINGS), [answer({"scopes": {"inventory": "view_only", "orders": "full_access"}})]
        )
    assert raised.value.login
    assert "inventory" in raised.value.words


EVENT = {
    "source": {"eventType": "ORDER_UPDATES", "eventId": "e-1"},
    "payload": {"subEventType": "PO_CREATED"},
}
OUT = {"source": {"eventType": "INVENTORY_OOS", "eventId": "e-2"}, "payload": {"sku": "A"}}


@pytest.mark.parametrize("letters", ["base64", "hex"])
def test_a_webhook_is_a_hint_in_either_writing(letters: str) -> None:
    headers, raw = webhook(EVENT, letters)
    heard = walmart.hear(SETTINGS, headers, raw, NOW)
    assert (heard.id, heard.topic, heard.poll_orders, heard.look_at) == ("e-1", "PO_CREATED", True, ())
    assert walmart.hear(SETTINGS, headers, raw, NOW).id == heard.id, "a repetition has the same id"
    headers, raw = webhook(OUT, letters)
    heard = walmart.hear(SETTINGS, headers, raw, NOW)
    assert (heard.poll_orders, heard.look_at) == (False, ("A",))
    with pytest.raises(Unheard):
        walmart.hear(SETTINGS, headers, raw + b" ", NOW)
    with pytest.raises(Unheard):
        walmart.hear(settings_of(walmart, client_id=CLIENT, client_secret=SECRET), headers, raw, NOW)


def test_a_node_that_succeeded_with_errors_did_not() -> None:
    row = {"shipNode": "n2", "status": "Success", "errors": [{"code": "C", "description": "not there"}]}
    said = answer({"sku": "?", "nodes": [{"shipNode": "n1", "status": "Success"}, row]})
    _, verdicts = push(TWO, answers=[said])
    assert isinstance(verdicts[0], Rejected)
    assert "n2" in verdicts[0].words and "n1" not in verdicts[0].words
