"""Verifies eBay's notifications with eBay's public keys, and answers its challenge. Notification API v1."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from onhand.connectors.auth import require_fresh
from onhand.connectors.channel import Secret
from onhand.connectors.flow import Heard, Response, Unheard
from onhand.connectors.reading import moment, text

REFUSED = 412
"""What eBay wants to hear when a message is not believed; it then sends it again later."""
DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {"SHA1": hashes.SHA1, "SHA256": hashes.SHA256}
"""eBay signs with SHA-1; the key names its digest."""
ORDERS = {"ORDER_CONFIRMATION"}
PEM_LINE = 64


def heard(public_keys: Mapping[str, str], headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A verified notification. ``public_keys`` are what `key_text` made, by key id. Raises Unheard; with
    ``wants`` when the key that it was signed by is not there yet."""
    proof = _proof(headers.get("x-ebay-signature", ""))
    kid, signature = text(proof, "kid"), text(proof, "signature")
    if kid is None or signature is None:
        raise Unheard("the message is not signed", REFUSED)
    if kid not in public_keys:
        raise Unheard("the message is signed by a key that is not known yet", REFUSED, wants=kid)
    _verify(public_keys[kid], signature, body)
    found = Response(200, body=body).json()
    name, topic = text(found, "notification", "notificationId"), text(found, "metadata", "topic")
    sent = moment(found, "notification", "publishDate")
    if name is None or topic is None or sent is None:
        raise Unheard("the message is not as documented", 400)
    require_fresh(sent / 1_000_000, now)
    # An order is told line by line, maybe twice: what it says is a hint, the order itself is fetched.
    return Heard(name, topic, poll_orders=topic in ORDERS)


def _proof(header: str) -> Any:
    try:
        return Response(200, body=base64.b64decode(header, validate=True)).json()
    except (ValueError, binascii.Error):
        return None


def _verify(key: str, signature: str, body: bytes) -> None:
    digest, _, pem = key.partition(" ")
    try:
        public = load_pem_public_key(pem.encode())
        proof = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise Unheard("the signature cannot be read", REFUSED) from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or digest not in DIGESTS:
        raise Unheard("the key is of a kind that eBay does not use", REFUSED)
    try:
        public.verify(proof, body, ec.ECDSA(DIGESTS[digest]()))
    except InvalidSignature:
        raise Unheard("the signature is wrong", REFUSED) from None


def key_text(found: Any) -> str:
    """A public key as the settings keep it: its digest, a space, and PEM. eBay sends PEM in one line,
    which readers of PEM do not take. Raises ValueError."""
    digest, key = text(found, "digest") or "", text(found, "key") or ""
    inner = key.replace("-----BEGIN PUBLIC KEY-----", "").replace("-----END PUBLIC KEY-----", "")
    inner = "".join(inner.split())
    lines = [inner[start : start + PEM_LINE] for start in range(0, len(inner), PEM_LINE)]
    pem = "\n".join(("-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""))
    try:
        fits = isinstance(load_pem_public_key(pem.encode()), ec.EllipticCurvePublicKey)
    except (ValueError, UnsupportedAlgorithm):
        fits = False
    if digest not in DIGESTS or not fits:
        raise ValueError("eBay's public key is not an elliptic curve's, or its digest is not known")
    return f"{digest} {pem}"


def challenge_reply(code: str, verification_token: Secret, endpoint: str) -> bytes:
    """What eBay wants to read when it asks an endpoint whether it is ours: a digest of its code, our token
    and the endpoint's own address."""
    mixed = code.encode() + verification_token.reveal().encode() + endpoint.encode()
    return msgspec.json.encode({"challengeResponse": hashlib.sha256(mixed).hexdigest()})
