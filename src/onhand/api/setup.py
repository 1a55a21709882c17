"""Creates keys of our own API, and its part of the demo."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection

from onhand import auth
from onhand.api.calls import NAME
from onhand.sample import SHARED, KeyWish, Part, Sample
from onhand.store import catalog, counters, keys

PREFIX = "onhand_"
DEMO_PRINCIPAL = f"{NAME}:demo"


def stored_key(
    connection: Connection,
    account: int,
    secret: str,
    now: int,
    *,
    scopes: str = auth.WRITE,
    seller: int | None = None,
    label: str = "",
    expires_at: int | None = None,
    principal: str | None = None,
) -> keys.Stored:
    """A key to be kept with `keys.add`; its principal is a fresh number unless one is given."""
    name = principal or f"{NAME}:{counters.take(connection, account, NAME)}"
    return keys.Stored(
        dialect=NAME,
        lookup=auth.digest(secret),
        secret_hash=None,
        account=account,
        kind="key",
        principal=name,
        scopes=scopes,
        seller=seller,
        connection=None,
        label=label,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )


def issue(connection: Connection, account: int, now: int, wish: KeyWish) -> dict[str, Any]:
    """Create a key with one of the scopes read, write and admin; its secret is shown this once."""
    if wish.scopes not in auth.SCOPES:
        raise ValueError(f"the scope is one of {', '.join(auth.SCOPES)}")
    if wish.integration is not None:
        raise ValueError("this API has no integrations")
    if wish.seller is not None:
        if wish.scopes == auth.ADMIN:
            raise ValueError("a key that is bound to a seller may read or write")
        if all(one.id != wish.seller for one in catalog.sellers(connection, account)):
            raise ValueError(f"the account has no seller {wish.seller}")
    secret = auth.fresh(PREFIX)
    new = stored_key(
        connection, account, secret, now, scopes=wish.scopes, seller=wish.seller, label=wish.label
    )
    keys.add(connection, [new])
    return {"api_key": secret, "principal": new.principal}


def demo(connection: Connection, sample: Sample, now: int) -> Part:
    """Nothing of its own: this API shows what the others share."""
    return Part()


def section(connection: Connection, sample: Sample, now: int) -> dict[str, Any]:
    """A fresh key that may do everything."""
    secret = auth.fresh(PREFIX)
    new = stored_key(
        connection, sample.account, secret, now, scopes=auth.ADMIN, label="demo", principal=DEMO_PRINCIPAL
    )
    keys.add(connection, [new])
    return {"api_key": secret}


def curl(section: dict[str, Any], base_url: str) -> str:
    """Takes one unit of the item that every API of the demo offers."""
    body = json.dumps({"changes": [{"op": "adjust", "item": SHARED, "location": "MAIN", "delta": -1}]})
    headers = f"-H 'Authorization: Bearer {section['api_key']}' -H 'Content-Type: application/json'"
    return f"curl {base_url}/changes {headers} -d '{body}'"
