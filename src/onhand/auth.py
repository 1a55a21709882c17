"""Who is calling: credentials are made, digested, and looked up. Secrets are shown once and never kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.inventory import Inventory
from onhand.memory import Known
from onhand.store import keys

SECRET_BYTES = 32
READ, WRITE, ADMIN = "read", "write", "admin"
SCOPES = (READ, WRITE, ADMIN)

GATE_LIMIT = 10_000
"""Callers that a `Gate` remembers at most; then it begins anew."""


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
    name = ("key", dialect, lookup)
    found: Credential | None = inventory.remembered_owned(name)
    if found is None and "\0" not in lookup:
        found = await inventory.recall_owned(name, lambda c: _credential(c, dialect, lookup))
    return _proven(found, secret, inventory.now())


def check(connection: Connection, dialect: str, lookup: str, secret: str | None, now: int) -> Caller | None:
    """The same on an open connection."""
    found = _credential(connection, dialect, lookup) if "\0" not in lookup else None
    return _proven(found, secret, now)


class Gate:
    """Callers of an API that were proven: by a digest of what their requests say, as it is in the headers,
    and for as long as what proved them is remembered."""

    def __init__(self, inventory: Inventory, dialect: str) -> None:
        self._inventory = inventory
        self._dialect = dialect
        self._kept: dict[bytes, tuple[Credential, object]] = {}

    def at_once(self, said: bytes) -> Caller | None:
        """Who said this before. None for strangers, and where it must be looked up again, by `identify`."""
        # Not the digest that is stored: each request makes one of these, and this is the cheapest to make.
        kept = self._kept.get(hashlib.blake2s(said).digest())
        if kept is None:
            return None
        found, stamp = kept
        memory = self._inventory.memory(found.account)
        if memory is None or memory.stamp is not stamp:
            return None
        if found.expires_at is not None and found.expires_at <= self._inventory.now():
            return None
        return found.caller

    async def identify(self, said: bytes, lookup: str, secret: str | None = None) -> Caller | None:
        """The caller behind the credential that ``said`` says, as `identify` finds it."""
        caller = await identify(self._inventory, self._dialect, lookup, secret)
        if caller is not None:
            memory = self._inventory.memory(caller.account)
            if memory is not None:
                self._keep(said, lookup, secret, memory)
        return caller

    def _keep(self, said: bytes, lookup: str, secret: str | None, memory: Known) -> None:
        found: Credential | None = memory.single.get(("key", self._dialect, lookup))
        # What is remembered by now may be another one, which the secret is not of.
        if found is not None and _proven(found, secret, self._inventory.now()) is not None:
            if len(self._kept) >= GATE_LIMIT:
                self._kept.clear()
            self._kept[hashlib.blake2s(said).digest()] = (found, memory.stamp)


class Credential(NamedTuple):
    """A credential as it is remembered: who is behind it, and what proves it until when."""

    account: int
    caller: Caller
    secret_hash: str
    expires_at: int | None
    revoked: bool


def _credential(connection: Connection, dialect: str, lookup: str) -> Credential | None:
    found = keys.find(connection, dialect, lookup)
    if found is None:
        return None
    scopes = _included(found.scopes)
    caller = Caller(found.account, found.principal, scopes, found.seller, found.connection)
    return Credential(
        found.account, caller, found.secret_hash or "", found.expires_at, found.revoked_at is not None
    )


def _proven(found: Credential | None, secret: str | None, now: int) -> Caller | None:
    """The caller of a stored credential, if ``secret`` is its own and its time is not up."""
    proof = digest(secret) if secret is not None else ""
    expected = found.secret_hash if found is not None else ""
    if not hmac.compare_digest(proof, expected) or found is None:
        return None
    if found.revoked or (found.expires_at is not None and found.expires_at <= now):
        return None
    return found.caller


def _included(scopes: str) -> frozenset[str]:
    """The scopes of a key: admin includes write, and write includes read."""
    given = scopes.split()
    return frozenset(one for at, one in enumerate(SCOPES) if any(more in given for more in SCOPES[at:]))
