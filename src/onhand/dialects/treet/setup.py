"""Creates Treet clients: their credentials, and the demo's listings."""

from __future__ import annotations

import json
import uuid
from typing import Any

from sqlalchemy import Connection

from onhand import auth
from onhand.dialects.treet.routes import NAME, entries
from onhand.dialects.treet.schema import LIMIT_MAX, Query
from onhand.sample import KeyWish, Part, Sample
from onhand.store import catalog, channels, keys
from onhand.store.channels import Link, Listing

PREFIX, TEST_PREFIX = "tr_", "tr_test_"
DEMO_ITEMS = (7, 12)
DEMO_LOCATION = 1


def issue(connection: Connection, account: int, now: int, wish: KeyWish) -> dict[str, Any]:
    """Create a client id and key for the account's client, and the client where there is none.

    A client may have several keys: the principal is the client, and stays when they are rotated.
    """
    if wish.seller is not None or wish.integration is not None:
        raise ValueError("a Treet key belongs to a client: it takes no seller and no integration")
    unknown = set(wish.scopes.split()) - {auth.READ, auth.WRITE}
    if unknown or not wish.scopes.split():
        raise ValueError("a Treet key may read or write: scopes are 'read' and 'write'")
    links = channels.links(connection, account, NAME)
    link = links[0] if links else _client(connection, account, now)
    headers = credentials(connection, account, link.id, now, wish.scopes, wish.label)
    return {"headers": headers, "principal": principal(link.id)}


def credentials(
    connection: Connection,
    account: int,
    link: int,
    now: int,
    scopes: str = auth.WRITE,
    label: str = "",
    *,
    prefix: str = PREFIX,
    expires_at: int | None = None,
) -> dict[str, str]:
    """The two headers that a client sends, with a fresh id and key; ``expires_at`` in microseconds UTC."""
    client, secret = str(uuid.uuid4()), auth.fresh(prefix)
    stored = keys.Stored(
        dialect=NAME,
        lookup=client,
        secret_hash=auth.digest(secret),
        account=account,
        kind="key",
        principal=principal(link),
        scopes=scopes,
        seller=None,
        connection=link,
        label=label,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    keys.add(connection, [stored])
    return {"X-Treet-Client-Id": client, "X-Treet-Authentication-Key": secret}


def principal(link: int) -> str:
    """Who a client is, whichever of its keys it uses."""
    return f"{NAME}:connection:{link}"


def _client(connection: Connection, account: int, now: int) -> Link:
    active = [one.id for one in catalog.locations(connection, account) if one.active]
    return channels.add_link(connection, account, Link(0, NAME, "Brand store", locations=active), now)


def add_listing(
    connection: Connection, account: int, link: int, item: int, location: int, now: int
) -> Listing:
    """Offer an item's level on a client's store under a fresh uuid."""
    new = Listing(0, link, str(uuid.uuid4()), item, location=location, closes_at_zero=True)
    return channels.add_listing(connection, account, new, now)


def demo(connection: Connection, sample: Sample, now: int) -> Part:
    """One client with seven listings, the first of which starts at 5."""
    link = _client(connection, sample.account, now)
    for item in sample.block(*DEMO_ITEMS):
        add_listing(connection, sample.account, link.id, item.id, DEMO_LOCATION, now)
    return Part()


def section(connection: Connection, sample: Sample, now: int) -> dict[str, Any]:
    """Fresh credentials of the first client, and its open listings as they are now."""
    account = sample.account
    link = channels.links(connection, account, NAME)[0].id
    found = entries(connection, account, link, Query("open", LIMIT_MAX, 0), now)
    return {
        "headers": credentials(connection, account, link, now, label="demo", prefix=TEST_PREFIX),
        "listings": [
            {"id": one.name, "sku": one.sku, "availableInventory": one.level.shown} for one in found
        ],
    }


def curl(section: dict[str, Any], base_url: str) -> str:
    """Adds one unit to the first open listing; lists them when none is open any more."""
    fields = " ".join(f"-H '{name}: {value}'" for name, value in section["headers"].items())
    if not section["listings"]:
        return f"curl {fields} {base_url}/v1/listings"
    target = f"{base_url}/v1/listings/{section['listings'][0]['id']}/inventory"
    body = json.dumps({"action": "ADJUST_INVENTORY", "inventoryAdjustment": 1})
    return f"curl -X PUT {fields} -H 'Content-Type: application/json' -d '{body}' {target}"
