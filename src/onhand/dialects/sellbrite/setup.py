"""Creates Sellbrite accounts: their credentials, the uuids of warehouses, and the demo's share."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection

from onhand import auth
from onhand.dialects.sellbrite import warehouses
from onhand.dialects.sellbrite.routes import NAME
from onhand.sample import KeyWish, Part, Sample
from onhand.stock.model import Line, Reserve, SetOnHand
from onhand.store import catalog, channels, keys
from onhand.store.channels import Link, Listing

TOKEN_PREFIX, SECRET_PREFIX = "sb_", "sbs_"
DEMO_ITEMS = (31, 40)
DEMO_LOCATION = 1


def issue(connection: Connection, account: int, now: int, wish: KeyWish) -> dict[str, Any]:
    """Create an account token and secret key, and the connection where there is none.

    A key that is bound to a seller sees the warehouses of that seller alone.
    """
    if wish.integration is not None:
        raise ValueError("a Sellbrite key takes no integration")
    unknown = set(wish.scopes.split()) - {auth.READ, auth.WRITE}
    if unknown or not wish.scopes.split():
        raise ValueError("a Sellbrite key may read or write: scopes are 'read' and 'write'")
    sellers = {one.id for one in catalog.sellers(connection, account)}
    if wish.seller is not None and wish.seller not in sellers:
        raise ValueError(f"there is no seller {wish.seller} in this account")
    links = channels.links(connection, account, NAME)
    link = links[0] if links else _connect(connection, account, now)
    return credentials(connection, account, link.id, now, wish)


def credentials(
    connection: Connection,
    account: int,
    link: int,
    now: int,
    wish: KeyWish | None = None,
    *,
    expires_at: int | None = None,
) -> dict[str, str]:
    """Fresh credentials and their principal; ``expires_at`` in microseconds UTC."""
    wish = wish or KeyWish()
    token, secret = auth.fresh(TOKEN_PREFIX), auth.fresh(SECRET_PREFIX)
    principal = f"{NAME}:connection:{link}" + (f":seller:{wish.seller}" if wish.seller else "")
    stored = keys.Stored(
        dialect=NAME,
        lookup=token,
        secret_hash=auth.digest(secret),
        account=account,
        kind="key",
        principal=principal,
        scopes=wish.scopes,
        seller=wish.seller,
        connection=link,
        label=wish.label,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    keys.add(connection, [stored])
    return {"account_token": token, "secret_key": secret, "principal": principal}


def _connect(connection: Connection, account: int, now: int) -> Link:
    warehouses.give_uuids(connection, account)
    active = [one.id for one in catalog.locations(connection, account) if one.active]
    return channels.add_link(connection, account, Link(0, NAME, "Merchant", locations=active), now)


def demo(connection: Connection, sample: Sample, now: int) -> Part:
    """A merchant with ten listings; three of the first item are on hand, and an open order has one."""
    link = _connect(connection, sample.account, now)
    block = sample.block(*DEMO_ITEMS)
    for item in block:
        new = Listing(0, link.id, item.sku or str(item.id), item.id)
        channels.add_listing(connection, sample.account, new, now)
    first = block[0].id
    order = Reserve("sellbrite-demo-order-1", (Line(first, 1, (DEMO_LOCATION,)),), confirmed=True)
    return Part((SetOnHand(first, DEMO_LOCATION, 3, reason="opening stock"), order))


def section(connection: Connection, sample: Sample, now: int) -> dict[str, Any]:
    """Fresh credentials of the merchant, and what it has."""
    account = sample.account
    link = channels.links(connection, account, NAME)[0].id
    made = credentials(connection, account, link, now, KeyWish(label="demo"))
    return {
        "account_token": made["account_token"],
        "secret_key": made["secret_key"],
        "warehouses": list(warehouses.by_uuid(connection, account, None)),
        "skus": [item.sku for item in sample.block(*DEMO_ITEMS) if item.sku],
    }


def curl(section: dict[str, Any], base_url: str) -> str:
    """Sets what can be sold of the second SKU in the first warehouse."""
    record = {"sku": section["skus"][1], "warehouse_uuid": section["warehouses"][0], "available": 12}
    body = json.dumps({"inventory": [record]})
    who = f"{section['account_token']}:{section['secret_key']}"
    return f"curl -X PUT {base_url}/v1/inventory -u {who} -H 'Content-Type: application/json' -d '{body}'"
