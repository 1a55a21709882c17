"""The OAuth side of the wire: reading credentials and token requests, and the error bodies. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Any, NamedTuple

GRANT, SCOPE = "client_credentials", "Seller_Api"
SCOPES = frozenset({SCOPE, "Default"})
TOKEN_PREFIX = "fkt_"  # noqa: S105 - says what a found token is, and is no secret
ECHO_LIMIT = 128
"""Characters of a caller's own words that an error repeats."""

_BETWEEN_SCOPES = re.compile(r"[\s,]+")


class Denied(Exception):
    """An OAuth refusal: its HTTP status, error word, sentence and challenge ("" for none)."""

    def __init__(self, status: int, error: str, description: str, challenge: str = "") -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}
        self.headers = {"WWW-Authenticate": challenge} if challenge else {}


class App(NamedTuple):
    """What a client says it is."""

    id: str
    secret: str


# --- credentials --------------------------------------------------------------------------------------


def bearer(header: str | None) -> str:
    """The token of an Authorization header. Raises Denied when there is none."""
    scheme, _, token = (header or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        words = "Full authentication is required to access this resource"
        raise Denied(401, "unauthorized", words, "Bearer")
    return token.strip()


def invalid_token(token: str) -> Denied:
    """The refusal of a token that is unknown, expired or revoked."""
    return Denied(401, "invalid_token", f"Invalid access token: {token[:ECHO_LIMIT]}", "Bearer")


def not_allowed(scope: str) -> Denied:
    """The refusal of a caller whose key lacks ``scope`` (read or write)."""
    return Denied(403, "access_denied", f"This application may not {scope}")


def basic(header: str | None) -> App:
    """The application of an Authorization header. Raises Denied when it is missing or unreadable."""
    scheme, _, encoded = (header or "").strip().partition(" ")
    if scheme.lower() != "basic":
        raise unauthorized("Full authentication is required to access this resource")
    try:
        name, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise unauthorized("Failed to decode basic authentication token") from None
    if not colon:
        raise unauthorized("Invalid basic authentication token")
    return App(name, secret)


def unauthorized(words: str) -> Denied:
    """A refusal by the token endpoint of who is asking."""
    return Denied(401, "unauthorized", words, 'Basic realm="oauth"')


def no_client(app_id: str) -> Denied:
    """The refusal of an application that does not exist."""
    return unauthorized(f"No client with requested id: {app_id[:ECHO_LIMIT]}")


# --- token requests -----------------------------------------------------------------------------------


def check_request(grant: str | None, scope: str | None) -> None:
    """Raises Denied unless a token of our one kind is asked for; no scope means the usual one."""
    if not grant:
        raise Denied(400, "invalid_request", "Missing grant type")
    if grant != GRANT:
        raise Denied(400, "unsupported_grant_type", f"Unsupported grant type: {grant[:ECHO_LIMIT]}")
    for word in _BETWEEN_SCOPES.split(scope or SCOPE):
        if word not in SCOPES:
            raise Denied(400, "invalid_scope", f"Invalid scope: {word[:ECHO_LIMIT]}")


def token(app: App, born_at: int) -> str:
    """The access token that this application was given at ``born_at`` (microseconds UTC).

    Only a digest of a token is stored; but who asks for one shows the secret it is made from, so an
    application that asks again is told the token it has, as Flipkart does, and the table stays small.
    """
    mac = hmac.digest(app.secret.encode(), f"{app.id}:{born_at}".encode(), hashlib.sha256)
    return TOKEN_PREFIX + base64.urlsafe_b64encode(mac).decode().rstrip("=")


def granted(access_token: str, seconds: int) -> dict[str, Any]:
    """The answer to a token request; ``seconds`` is what is left of its life."""
    return {
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": max(0, seconds),
        "scope": SCOPE,
    }
