"""Webhooks that nothing can be made of, and lists whose pages are many or without an end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from connectors.driver import NOW, answer, run, settings_of
from fakes import shopify as shopify_fake
from fakes import tiktok as tiktok_fake
from fakes import wix as wix_fake
from onhand.connectors import shopify, tiktok, wix
from onhand.connectors.flow import Failed, Unheard

SECONDS = NOW // 1_000_000
TIKTOK = settings_of(tiktok, **tiktok_fake.EXAMPLE.settings)
WIX = settings_of(wix, **wix_fake.EXAMPLE.settings)
SHOPIFY = settings_of(shopify, **shopify_fake.EXAMPLE.settings)


def part(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def token(**claims: Any) -> bytes:
    """A webhook of Wix, well signed, with these claims next to what it says."""
    said = {"eventType": "wix.ecom.v1.order_created", "data": json.dumps({"id": "e-1"})}
    signed = part({"alg": "RS256"}) + b"." + part({"data": json.dumps(said), **claims})
    proof = wix_fake.PRIVATE.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return signed + b"." + base64.urlsafe_b64encode(proof).rstrip(b"=")


@pytest.mark.parametrize("claims", [{"exp": SECONDS + 5}, {"iat": SECONDS}, {"exp": SECONDS + 5, "iat": 0}])
def test_a_token_of_wix_with_a_time_is_heard(claims: dict[str, int]) -> None:
    assert wix.hear(WIX, {}, token(**claims), NOW).poll_orders


@pytest.mark.parametrize("claims", [{}, {"iat": SECONDS - 86_400}, {"exp": SECONDS - 86_400, "iat": SECONDS}])
def test_a_token_of_wix_that_is_old_or_has_no_time_is_not_heard(claims: dict[str, int]) -> None:
    """It is under the signature for good: who has caught it once could say it for ever."""
    with pytest.raises(Unheard):
        wix.hear(WIX, {}, token(**claims), NOW)


@pytest.mark.parametrize(
    ("module", "example", "missing"),
    [
        (wix, wix_fake.EXAMPLE.settings, ("public_key",)),
        (shopify, shopify_fake.EXAMPLE.settings, ("webhook_secret", "client_id", "client_secret")),
    ],
)
def test_without_a_secret_no_webhook_is_heard(
    module: ModuleType, example: dict[str, Any], missing: tuple[str, ...]
) -> None:
    bare = settings_of(module, **{name: value for name, value in example.items() if name not in missing})
    with pytest.raises(Unheard, match=r"no (key|secret) is set"):
        module.hear(bare, {"x-shopify-hmac-sha256": ""}, b"{}", NOW)


@pytest.mark.parametrize(
    "said", [{"type": 1}, {"tts_notification_id": "n"}, {"tts_notification_id": "n", "type": "x"}, [], 7]
)
def test_a_message_of_tiktok_without_an_id_or_a_type_is_refused(said: Any) -> None:
    raw = json.dumps(said).encode()
    proof = hmac.new(tiktok_fake.SECRET.encode(), tiktok_fake.KEY.encode() + raw, hashlib.sha256)
    with pytest.raises(Unheard, match="no id or type"):
        tiktok.hear(TIKTOK, {"authorization": proof.hexdigest()}, raw, NOW)


def test_a_page_of_tiktok_that_names_itself_as_the_next_is_the_last() -> None:
    page = answer({"code": 0, "data": {"products": [], "next_page_token": "t1"}})
    assert run(tiktok.pull(TIKTOK, "t1"), [page])[1].cursor is None


def test_stock_of_tiktok_that_names_no_warehouse_is_nobody_s() -> None:
    sku = {"id": "1", "inventory": [{"quantity": 9}, {"warehouse_id": "w", "quantity": 2}]}
    page = answer({"code": 0, "data": {"products": [{"id": "2", "skus": [sku]}]}})
    (seen,) = run(tiktok.pull(TIKTOK, None), [page])[1].seen
    assert [(shown.location, shown.quantity) for shown in seen.shown] == [("w", 2)]


def test_a_login_of_tiktok_that_does_not_reach_its_shop_says_so() -> None:
    others = answer({"code": 0, "data": {"shops": [{"id": "1", "cipher": "c", "name": "Other"}]}})
    mine = settings_of(tiktok, app_key="k", app_secret="s", access_token="a", shop_id="2", shop_cipher="c-2")
    with pytest.raises(Failed, match="does not reach shop 2") as failed:
        run(tiktok.check(mine), [others])
    assert failed.value.login


def test_all_pages_of_shopify_s_locations_are_read() -> None:
    def page(number: int, following: str | None) -> Any:
        row = {"id": f"l-{number}", "name": f"Shop {number}", "isFulfillmentService": False}
        info = {"hasNextPage": following is not None, "endCursor": following}
        found = {"location": {"id": "l-2"}, "locations": {"nodes": [row], "pageInfo": info}}
        return answer({"data": found})

    requests, found = run(shopify.places(SHOPIFY), [page(1, "c1"), page(2, None)])
    assert [request.json["variables"]["after"] for request in requests] == [None, "c1"]
    assert [(place.id, place.default) for place in found] == [("l-1", False), ("l-2", True)]
