"""Signing requests and verifying webhooks: pure functions, given the clock and the nonce."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

import msgspec

from onhand.connectors.channel import (
    Secret,
    Value,
)
from onhand.connectors.flow import (
    Fields,
    Pairs,
    Request,
    Unheard,
)

REPLAY_SECONDS = 300
"""A webhook whose time is further from now than this is refused."""

STAMP_LIMIT = 15
"""Digits of a webhook's time."""


class Wire(Value, frozen=True):
    """A request as it goes out. ``url`` has no query; header names are as given, each once.

    Its ``repr`` shows no query, header or body: there the secrets are."""

    method: str
    url: str
    query: Pairs
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Wire({self.method} {self.url})"

    @property
    def target(self) -> str:
        """The whole URL."""
        return f"{self.url}?{urlencode(self.query, quote_via=quote)}" if self.query else self.url

    @property
    def path(self) -> str:
        """The path of the URL."""
        return "/" + self.url.split("://", 1)[-1].partition("/")[2]

    def add(self, *headers: tuple[str, str], query: Pairs = ()) -> Wire:
        """The same with more headers or query."""
        return Wire(self.method, self.url, self.query + query, {**self.headers, **dict(headers)}, self.body)


Sign: TypeAlias = Callable[[Any, Wire, int, str], Wire]
"""(settings, wire, now in microseconds UTC, nonce) to the wire with its proof."""


def render(base_url: str, request: Request) -> Wire:
    """The request as bytes, not yet signed."""
    url = request.url if "://" in request.url else base_url.rstrip("/") + request.url
    headers = {"Accept": "application/json", **dict(_open(request.headers))}
    body = b""
    if request.json is not None:
        body = msgspec.json.encode(request.json, enc_hook=_plain)
        headers.setdefault("Content-Type", "application/json")
    elif request.form is not None:
        body = urlencode(_open(request.form)).encode()
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    elif request.body is not None:
        body = request.body
    return Wire(request.method, url, _open(request.query), headers, body)


def _open(fields: Fields) -> Pairs:
    return tuple((name, _plain(value) if isinstance(value, Secret) else value) for name, value in fields)


def _plain(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"no JSON form of {type(value).__name__}")


# --- signing --------------------------------------------------------------------------------------------


def bearer(token: Secret, scheme: str = "Bearer ") -> tuple[str, str]:
    """An Authorization header with a token."""
    return ("Authorization", scheme + token.reveal())


def basic(user: str, password: Secret) -> tuple[str, str]:
    """An Authorization header with a user and a password (RFC 7617)."""
    pair = f"{user}:{password.reveal()}".encode()
    return ("Authorization", "Basic " + base64.b64encode(pair).decode())


def percent(text: str) -> str:
    """Percent-encoded as OAuth 1.0a wants it (RFC 3986: letters, digits and ``-._~`` stay)."""
    return quote(text, safe="-._~")


def oauth1(
    wire: Wire, consumer: tuple[str, Secret], token: tuple[str, Secret], now: int, nonce: str, digest: str
) -> Wire:
    """Signed by OAuth 1.0a (RFC 5849) with HMAC and ``digest`` (sha1 or sha256), in the header.

    Bodies that are no form are not part of the signature.
    """
    fields = {
        "oauth_consumer_key": consumer[0],
        "oauth_nonce": nonce,
        "oauth_signature_method": f"HMAC-{digest.upper()}",
        "oauth_timestamp": str(now // 1_000_000),
        "oauth_token": token[0],
        "oauth_version": "1.0",
    }
    signature = oauth1_signature(wire, fields, consumer[1], token[1], digest)
    header = ", ".join(
        f'{name}="{percent(value)}"' for name, value in {**fields, "oauth_signature": signature}.items()
    )
    return wire.add(("Authorization", f"OAuth {header}"))


def oauth1_signature(
    wire: Wire, fields: Mapping[str, str], consumer: Secret, token: Secret, digest: str
) -> str:
    """The base64 signature over method, URL and all parameters (RFC 5849, 3.4)."""
    pairs = sorted((percent(name), percent(value)) for name, value in (*fields.items(), *wire.query))
    parameters = "&".join(f"{name}={value}" for name, value in pairs)
    base = "&".join((wire.method.upper(), percent(wire.url), percent(parameters)))
    key = f"{percent(consumer.reveal())}&{percent(token.reveal())}"
    return base64.b64encode(hmac.digest(key.encode(), base.encode(), digest)).decode()


# --- verifying ------------------------------------------------------------------------------------------


def mac(secret: bytes, message: bytes, digest: str = "sha256") -> bytes:
    """An HMAC."""
    return hmac.digest(secret, message, digest)


def same(one: bytes, other: bytes) -> bool:
    """Whether two proofs are equal, in a time that tells nothing."""
    return hmac.compare_digest(one, other)


def require_mac(secret: Secret, message: bytes, given: str, *, encoding: str = "base64") -> None:
    """Raise Unheard unless ``given`` is the HMAC-SHA256 of ``message``; encoding base64 or hex."""
    if not same(mac(secret.reveal().encode(), message), _decoded(given, encoding)):
        raise Unheard("the signature is wrong")


def _decoded(text: str, encoding: str) -> bytes:
    try:
        if encoding == "hex":
            return bytes.fromhex(text)
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


def require_fresh(seconds: float, now: int) -> None:
    """Raise Unheard when a message's own time (epoch seconds) is too far from ``now`` (microseconds)."""
    if abs(now / 1_000_000 - seconds) > REPLAY_SECONDS:
        raise Unheard("the message is too old")


def standard_webhook(secret: bytes, headers: Mapping[str, str], body: bytes, now: int) -> str:
    """Verify a message of Standard Webhooks 1.0; its id. ``headers`` have lower-case names.

    ``secret`` is the raw key (what stands behind ``whsec_``, base64-decoded). Raises Unheard.
    """
    name = headers.get("webhook-id", "")
    stamp = headers.get("webhook-timestamp", "")
    if not name or not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= STAMP_LIMIT):
        raise Unheard("the message is not signed", 400)
    if not secret:
        raise Unheard("the secret to verify webhooks with is empty")
    require_fresh(int(stamp), now)
    proof = base64.b64encode(mac(secret, f"{name}.{stamp}.".encode() + body))
    given = [part.partition(",") for part in headers.get("webhook-signature", "").split()]
    if not any(kind == "v1" and same(proof, value.encode()) for kind, _, value in given):
        raise Unheard("the signature is wrong")
    return name


def fingerprint(text: str) -> str:
    """A short stable digest, for keys that a channel wants to be of certain characters."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
