"""Etsy: tokens that rotate, receipts, webhooks."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from connectors.driver import NOW, answer, run, settings_of
from fakes.common import hmac_base64
from fakes.etsy import EXAMPLE
from onhand.connectors import etsy
from onhand.connectors.channel import (
    Secret,
)
from onhand.connectors.flow import (
    Failed,
    OrderLine,
    Request,
    Response,
    Unheard,
)

SETTINGS = settings_of(etsy, **EXAMPLE.settings)


def test_the_pair_rotates() -> None:
    fresh = {"access_token": "12.new", "refresh_token": "12.newer", "expires_in": 3600}
    requests, found = run(etsy.tokens(SETTINGS), [answer(fresh)])
    form = (
        ("grant_type", "refresh_token"),
        ("client_id", "key1"),
        ("refresh_token", Secret("12.etsy-refresh-0001")),
    )
    url = "https://openapi.etsy.com/v3/public/oauth/token"
    assert requests == [Request("POST", url, form=form, signed=False)]
    assert found == fresh


@pytest.mark.parametrize(
    ("said", "login"),
    [
        (answer({"error": "invalid_grant"}, status=400), True),
        (answer("", status=500), False),
        (answer({"expires_in": 3}), False),
    ],
)
def test_a_pair_that_is_refused(said: Response, login: bool) -> None:
    with pytest.raises(Failed) as failed:
        run(etsy.tokens(SETTINGS), [said])
    assert failed.value.login == login


@pytest.mark.parametrize(
    ("receipt", "counts"),
    [
        ({"status": "Paid"}, (0, 0)),
        ({"status": "payment processing"}, (0, 0)),
        ({"status": "Canceled"}, (5, 0)),
        ({"status": "Completed"}, (0, 5)),
        ({"status": "paid", "is_shipped": True}, (0, 5)),
        ({"status": "Fully Refunded"}, (5, 0)),
        ({"status": "fully refunded", "is_shipped": True}, (0, 5)),
        ({"status": "partially refunded"}, (0, 0)),
    ],
)
def test_a_receipt(receipt: dict[str, Any], counts: tuple[int, int]) -> None:
    line = {"transaction_id": 1, "listing_id": 7, "product_id": 700, "sku": "A", "quantity": 5}
    lines = [line, line | {"transaction_id": 2, "is_digital": True}]
    row = {"receipt_id": 9, "updated_timestamp": NOW // 1_000_000, "transactions": lines, **receipt}
    requests, orders = run(etsy.orders(SETTINGS, "2026-11-22T00:00:00Z"), [answer({"results": [row]})])
    assert ("min_last_modified", str(NOW // 1_000_000 - 121)) in requests[0].query
    ids = {"listing_id": "7", "product_id": "700"}
    assert orders.orders[0].lines == (OrderLine("1", ids, "A", 5, *counts),)
    assert orders.cursor == "2026-11-22T00:00:00Z"


def signed(message: Any, at: int = NOW, key: bytes = b"etsy-hook-key") -> tuple[dict[str, str], bytes]:
    body, stamp = json.dumps(message).encode(), str(at // 1_000_000)
    proof = hmac_base64(key, f"m-1.{stamp}.".encode() + body)
    signature = f"v1,{base64.b64encode(b'old').decode()} v1,{proof}"
    return {"webhook-id": "m-1", "webhook-timestamp": stamp, "webhook-signature": signature}, body


MESSAGE = {"event_type": "order.paid", "resource_url": "https://example.com/r", "shop_id": 501}


@pytest.mark.parametrize("topic", ["order.paid", "ORDER_PAID"])
def test_a_webhook(topic: str) -> None:
    heard = etsy.hear(SETTINGS, *signed({**MESSAGE, "event_type": topic}), NOW)
    assert (heard.id, heard.topic, heard.poll_orders) == ("m-1", topic, True)


@pytest.mark.parametrize(
    ("topic", "address", "names"),
    [
        ("order.canceled", "https://openapi.etsy.com/v3/application/shops/501/receipts/9001", ("9001",)),
        ("ORDER_CANCELED", "https://api.etsy.com/v3/application/shops/501/receipts/9001?legacy=1", ("9001",)),
        ("order.canceled", "https://openapi.etsy.com/v3/application/shops/501/receipts/9001x", ()),
        ("order.canceled", None, ()),
        ("order.paid", "https://openapi.etsy.com/v3/application/shops/501/receipts/9001", ()),
    ],
)
def test_a_webhook_names_a_cancelled_receipt(topic: str, address: Any, names: tuple[str, ...]) -> None:
    message = {**MESSAGE, "event_type": topic, "resource_url": address}
    assert etsy.hear(SETTINGS, *signed(message), NOW).reread == names


@pytest.mark.parametrize(
    "message",
    [
        signed(MESSAGE, key=b"another"),
        signed(MESSAGE, at=NOW - 600_000_000),
        signed({**MESSAGE, "shop_id": 502}),
        signed({"shop_id": 501}),
        signed("text"),
    ],
)
def test_what_is_not_heard(message: tuple[dict[str, str], bytes]) -> None:
    with pytest.raises(Unheard):
        etsy.hear(SETTINGS, *message, NOW)


@pytest.mark.parametrize("stamp", ["²", "9" * 400, "9" * 5_000, "1e5", "-1", ""])
def test_a_time_that_is_none(stamp: str) -> None:
    headers, body = signed(MESSAGE)
    with pytest.raises(Unheard):
        etsy.hear(SETTINGS, {**headers, "webhook-timestamp": stamp}, body, NOW)


def test_a_secret_with_nothing_in_it_verifies_nothing() -> None:
    bare = msgspec.structs.replace(SETTINGS, webhook_secret=Secret("whsec_"))
    with pytest.raises(Unheard, match="empty"):
        etsy.hear(bare, *signed(MESSAGE, key=b""), NOW)
