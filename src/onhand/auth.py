"""Who is calling: credentials are made, digested, and looked up. Secrets are shown once and never kept."""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.inventory import Inventory
from onhand.store import keys

SECRET_BYTES = 32
READ, WRITE, ADMIN = "read", "write", "admin"
SCOPES = (READ, WRITE, ADMIN)


class Caller(NamedTuple):
    """A proven caller. ``principal`` stays the same when its keys are rotated; ``scopes`` are all that
    it has, also those that another includes."""

    account: int
    principal: str
    scopes: frozenset[str]
    seller: int | None
    connection: int | None

    def may(self, scope: str) -> bool:
        """Whether the caller has ``scope``."""
        return scope in self.scopes


def digest(secret: str) -> str:
    """SHA-256 of a secret, in hex. Secrets are random and long, so no slow hash is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def fresh(prefix: str) -> str:
    """A new secret with 256 random bits; the prefix says what it is when it is found somewhere."""
    return prefix + secrets.token_urlsafe(SECRET_BYTES)


async def identify(
    inventory: Inventory, dialect: str, lookup: str, secret: str | None = None
) -> Caller | None:
    """The caller behind a credential, None if it is unknown, wrong, expired or revoked.

    A credential of two parts is found by its public ``lookup`` and proven by ``secret``; one of a
    single part is found by ``digest(part)`` and ``secret`` is None.
    """
    found = None
    if "\0" not in lookup:
        name = ("key", dialect, lookup)
        found = await inventory.recall_owned(name, lambda c: keys.find(c, dialect, lookup))
    return prove(found, secret, inventory.now())


def check(connection: Connection, dialect: str, lookup: str, secret: str | None, now: int) -> Caller | None:
    """The same on an open connection."""
    found = keys.find(connection, dialect, lookup) if "\0" not in lookup else None
    return prove(found, secret, now)


def prove(found: keys.Stored | None, secret: str | None, now: int) -> Caller | None:
    """The caller of a stored credential, if ``secret`` is its own and its time is not up."""
    proof = digest(secret) if secret is not None else ""
    expected = (found.secret_hash or "") if found else ""
    if not hmac.compare_digest(proof, expected) or found is None:
        return None
    if found.revoked_at is not None or (found.expires_at is not None and found.expires_at <= now):
        return None
    return Caller(found.account, found.principal, _included(found.scopes), found.seller, found.connection)


@functools.cache
def _included(scopes: str) -> frozenset[str]:
    """The scopes of a key: admin includes write, and write includes read."""
    given = scopes.split()
    return frozenset(one for at, one in enumerate(SCOPES) if any(more in given for more in SCOPES[at:]))
