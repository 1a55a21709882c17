"""Verifies Wix's webhooks: the whole body is a token signed with the app's key (RS256, RFC 7515)."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from onhand.connectors.auth import fingerprint, require_fresh
from onhand.connectors.flow import Heard, Response, Unheard
from onhand.connectors.reading import at, text, whole

LEEWAY = 60
"""Seconds that our clock may be ahead of Wix's."""


def public_key(pem: str) -> rsa.RSAPublicKey:
    """The key of the app's dashboard. Raises ValueError."""
    try:
        key = load_pem_public_key(pem.replace("\\n", "\n").strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("Expected public_key to be a public key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("Expected public_key to be an RSA key")
    return key


def heard(pem: str, instance: str, app: str, body: bytes, now: int) -> Heard:
    """A verified webhook as a hint to look; ``now`` in microseconds. Raises Unheard.

    One app has one address for all sites: what is said of another ``instance`` is heard and means nothing.
    So does a change of stock that ``app`` itself has made."""
    claims = verified(pem, body)
    _require_time(claims, now)
    event = _inner(claims, "data")
    topic = text(event, "eventType") or ""
    said = _inner(event, "data")
    name = text(said, "id") or fingerprint(body.decode("ascii"))
    if not topic:
        raise Unheard("the message has no event type", 400)
    if instance and text(event, "instanceId") not in (None, instance):
        return Heard(name, topic)
    if "order" in topic.lower():
        return Heard(name, topic, poll_orders=True)
    about = _changed(said)
    if app and app in (text(about, "appId"), text(said, "appId"), text(event, "appId")):
        return Heard(name, topic)
    item = at(about, "inventoryItem") or at(about, "entity") or about
    listing = "/".join(filter(None, (text(item, "productId"), text(item, "variantId"))))
    return Heard(name, topic, look_at=(listing,) if listing else ())


def verified(pem: str, body: bytes) -> Any:
    """The claims of a token. Raises Unheard."""
    parts = body.strip().split(b".")
    if len(parts) != 3:
        raise Unheard("the message is not a signed token", 400)
    # The token's own word on how it is signed is not trusted beyond this: "none" and HMAC are old tricks.
    if text(_decoded(parts[0]), "alg") != "RS256":
        raise Unheard("the message is signed in another way than RS256")
    try:
        public_key(pem).verify(
            _raw(parts[2]), parts[0] + b"." + parts[1], padding.PKCS1v15(), hashes.SHA256()
        )
    except (InvalidSignature, ValueError):
        raise Unheard("the signature is wrong") from None
    return _decoded(parts[1])


def _require_time(claims: Any, now: int) -> None:
    """A token says until when it is good; one that does not has to be new."""
    until, made = whole(claims, "exp"), whole(claims, "iat")
    if until is not None:
        if until + LEEWAY < now / 1_000_000:
            raise Unheard("the message is too old")
    elif made is not None:
        require_fresh(made, now)
    else:
        raise Unheard("the message has no time", 400)


def _raw(part: bytes) -> bytes:
    try:
        return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return b""


def _decoded(part: bytes) -> Any:
    return Response(200, body=_raw(part)).json()


def _inner(value: Any, name: str) -> Any:
    """An object that travels as JSON inside a text, or as itself."""
    found = at(value, name)
    return Response(200, body=found.encode("utf-8", "replace")).json() if isinstance(found, str) else found


def _changed(event: Any) -> Any:
    """What an event is about: in one of four places, as an object or as a text."""
    for kind in ("actionEvent", "updatedEvent", "createdEvent", "deletedEvent"):
        for name in ("body", "bodyAsJson", "currentEntity", "currentEntityAsJson", "entity", "entityAsJson"):
            if (found := _inner(at(event, kind), name)) is not None:
                return found
    return event
