"""Webhooks of every channel that sends some, signed by the tests and not by the connectors' code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

Message: TypeAlias = tuple[dict[str, str], bytes]

STORE, SHOP, SITE = "abc123", "77", "a0a0a0a0-0000-4000-8000-000000000001"
APP = "b0b0b0b0-0000-4000-8000-000000000002"
KID = "key-1"


class Sender(NamedTuple):
    """A channel's side: ``settings`` of a connection with the secret of a name, and ``message``, signed by
    the secret of a name at a time (seconds), with an id."""

    settings: Callable[[str], dict[str, Any]]
    message: Callable[[str, int, str], Message]


def _mac(secret: bytes, *parts: bytes) -> bytes:
    return hmac.new(secret, b"".join(parts), hashlib.sha256).digest()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _secret(name: str) -> str:
    return f"secret-of-{name}-51d0"


def _standard(key: bytes, at: int, number: str, said: Any) -> Message:
    """Standard Webhooks 1.0."""
    body = json.dumps(said).encode()
    proof = _base64(_mac(key, f"{number}.{at}.".encode(), body))
    head = {"webhook-id": number, "webhook-timestamp": str(at), "webhook-signature": f"v1,{proof}"}
    return head, body


# --- shared secrets -------------------------------------------------------------------------------------


def _bigcommerce(name: str, at: int, number: str) -> Message:
    said = {"scope": "store/order/created", "producer": f"stores/{STORE}", "data": {"id": 1}}
    return _standard(_secret(name).encode(), at, number, said)


def _etsy(name: str, at: int, number: str) -> Message:
    said = {"event_type": "order.paid", "shop_id": int(SHOP), "resource_url": "https://etsy.example/1"}
    return _standard(_secret(name).encode(), at, number, said)


def _sandbox(name: str, at: int, number: str) -> Message:
    line = {"id": "1", "variant": "v1", "sku": "A", "ordered": 1, "cancelled": 0, "shipped": 0, "returned": 0}
    order = {"id": "X", "updated_at": at * 1_000_000, "paid": True, "test": False, "lines": [line]}
    body = json.dumps({"id": number, "topic": "order", "order": order}).encode()
    proof = _mac(_secret(name).encode(), f"{at}.".encode(), body).hex()
    return {"sandbox-time": str(at), "sandbox-signature": proof}, body


def _shopify(name: str, at: int, number: str) -> Message:
    body = json.dumps({"id": 5, "name": number}).encode()
    head = {"x-shopify-topic": "orders/create", "x-shopify-webhook-id": number}
    return head | {"x-shopify-hmac-sha256": _base64(_mac(_secret(name).encode(), body))}, body


def _squarespace(name: str, at: int, number: str) -> Message:
    body = json.dumps({"notificationId": number, "topic": "order.create", "data": {"orderId": "1"}}).encode()
    return {"squarespace-signature": _mac(_secret(name).encode(), body).hex()}, body


def _tiktok(name: str, at: int, number: str) -> Message:
    said = {"type": 1, "tts_notification_id": number, "shop_id": SHOP, "data": {"order_id": "5"}}
    body = json.dumps(said).encode()
    return {"authorization": _mac(_secret(name).encode(), b"app-key", body).hex()}, body


def _walmart(name: str, at: int, number: str) -> Message:
    source = {"eventType": "ORDER_UPDATES", "eventId": number}
    body = json.dumps({"source": source, "payload": {"subEventType": "PO_CREATED"}}).encode()
    return {"x-hub-auth": _base64(_mac(_secret(name).encode(), body))}, body


def _woocommerce(name: str, at: int, number: str) -> Message:
    body = json.dumps({"id": 7}).encode()
    head = {"x-wc-webhook-topic": "order.created", "x-wc-webhook-delivery-id": number}
    return head | {"x-wc-webhook-signature": _base64(_mac(_secret(name).encode(), body))}, body


# --- key pairs ------------------------------------------------------------------------------------------


@cache
def curve_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The private key of a name, as eBay has them."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The private key of a name, as Wix has them."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: PublicKeyTypes) -> str:
    """A public key as text."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def ebay(name: str, at: int, number: str, kid: str = KID) -> Message:
    """A notification of eBay; ``kid`` is the key that it says it was signed by."""
    sent = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    note = {"notificationId": number, "publishDate": sent, "data": {"orderId": "1"}}
    body = json.dumps({"metadata": {"topic": "ORDER_CONFIRMATION"}, "notification": note}).encode()
    signature = _base64(curve_key(name).sign(body, ec.ECDSA(hashes.SHA1())))
    proof = json.dumps({"alg": "ecdsa", "kid": kid, "signature": signature})
    return {"x-ebay-signature": _base64(proof.encode())}, body


def ebay_settings(name: str, *kids: str) -> dict[str, Any]:
    """A connection to eBay that knows the public key of a name under these ids."""
    known = f"SHA1 {pem(curve_key(name).public_key())}"
    return {
        "client_id": "app-9",
        "client_secret": "ebay-secret-5c1f",
        "refresh_token": "v^1.1#refresh-20aa",
        "verification_token": f"verification-token-of-{name}-0001",
        "endpoint": f"https://hub.example.com/hooks/{name}",
        "public_keys": dict.fromkeys(kids, known),
    }


def _part(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def _wix(name: str, at: int, number: str) -> Message:
    event = {
        "eventType": "wix.ecom.v1.order_created",
        "instanceId": SITE,
        "data": json.dumps({"id": number}),
    }
    signed = _part({"alg": "RS256", "typ": "JWT"}) + b"."
    signed += _part({"data": json.dumps(event), "iat": at, "exp": at + 60})
    proof = rsa_key(name).sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return {}, signed + b"." + base64.urlsafe_b64encode(proof).rstrip(b"=")


def _wix_settings(name: str) -> dict[str, Any]:
    ids = {"client_id": APP, "client_secret": "wix-secret-8f31", "instance_id": SITE}
    return ids | {"public_key": pem(rsa_key(name).public_key())}


SENDERS: dict[str, Sender] = {
    "bigcommerce": Sender(
        lambda name: {"store_hash": STORE, "token": "bc-token-11", "client_secret": _secret(name)},
        _bigcommerce,
    ),
    "ebay": Sender(lambda name: ebay_settings(name, KID), ebay),
    "etsy": Sender(
        lambda name: {
            "shop_id": SHOP,
            "keystring": "etsykey",
            "shared_secret": "etsy-shared-22",
            "refresh_token": "etsy-refresh-33",
            "webhook_secret": "whsec_" + _base64(_secret(name).encode()),
        },
        _etsy,
    ),
    "sandbox": Sender(
        lambda name: {
            "url": "http://127.0.0.1:8081",
            "client_id": "client",
            "client_secret": "client-secret-77c1",
            "webhook_secret": _secret(name),
        },
        _sandbox,
    ),
    "shopify": Sender(
        lambda name: {"shop": "example", "access_token": "shpat-1", "client_secret": _secret(name)},
        _shopify,
    ),
    "squarespace": Sender(
        lambda name: {"access_token": "sq-1", "webhook_secret": _secret(name).encode().hex()},
        _squarespace,
    ),
    "tiktok": Sender(
        lambda name: {
            "app_key": "app-key",
            "app_secret": _secret(name),
            "access_token": "tts-1",
            "shop_id": SHOP,
        },
        _tiktok,
    ),
    "walmart": Sender(
        lambda name: {
            "client_id": "wm",
            "client_secret": "wm-secret-44",
            "webhook_secret": _secret(name),
        },
        _walmart,
    ),
    "wix": Sender(_wix_settings, _wix),
    "woocommerce": Sender(
        lambda name: {
            "store": "https://shop.example",
            "consumer_key": "ck_1",
            "consumer_secret": "cs_1",
            "webhook_secret": _secret(name),
        },
        _woocommerce,
    ),
}
