"""Creates Trackstar connections and their credentials, and the demo's seventeen of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from onhand import auth
from onhand.dialects.trackstar import rendering
from onhand.dialects.trackstar.door import KEY_HEADER, NAME, TOKEN_HEADER, site
from onhand.dialects.trackstar.rules import RULES, Need
from onhand.sample import KeyWish, Part, Sample
from onhand.store import catalog, channels, keys, linking, products
from onhand.store.channels import Link, Listing

KEY_PREFIX, TOKEN_PREFIX = "ts_key_", "ts_token_"
DEMO_ITEMS = (21, 30)
DEMO_LOCATIONS = (1, 2)
DEMO_SHOPS = {"tiktok": "shop-7495001"}
AMAZON_WAREHOUSE = "DEFAULT"
PAGE = 1000


def issue(connection: Connection, account: int, now: int, wish: KeyWish) -> dict[str, Any]:
    """Create an API key; for an integration also an access token of its connection.

    The connection is made where the account has none of that integration. It has the locations that are
    wished for, whether it is new or not; a new one without a wish has all active ones for stock, or the
    first where the integration's body names no warehouse. Raises ValueError in words.
    """
    if wish.seller is not None:
        raise ValueError("a Trackstar key belongs to the organisation: it takes no seller")
    unknown = set(wish.scopes.split()) - {auth.READ, auth.WRITE}
    if unknown or not wish.scopes.split():
        raise ValueError("a Trackstar key may read or write: scopes are 'read' and 'write'")
    made = {"api_key": credential(connection, account, None, now, wish.scopes, wish.label)}
    if wish.integration is None:
        return {**made, "principal": principal(None)}
    links = channels.links(connection, account, NAME)
    link = next((one for one in links if one.integration == wish.integration), None)
    if link is None:
        link = _new(connection, account, wish.integration, wish.locations, now)
    elif wish.locations:
        _move(connection, account, link, wish.locations)
    made["access_token"] = credential(connection, account, link.id, now, label=wish.label)
    return {**made, "integration": wish.integration, "principal": principal(link.id)}


def _new(connection: Connection, account: int, integration: str, wished: Sequence[str], now: int) -> Link:
    ours = _places(connection, account, wished)
    if integration == "amazon":
        # What is published names this one warehouse, so that is what Amazon's clients send.
        ours = [(AMAZON_WAREHOUSE, location) for _, location in ours[:1]] + ours[1:]
    rule = RULES.get(integration)
    only = rule is not None and rule.warehouse is Need.ABSENT and not wished
    return connect(connection, account, integration, ours[:1] if only else ours, now)


def _move(connection: Connection, account: int, link: Link, wished: Sequence[str]) -> None:
    """Have these locations be the connection's warehouses. One that it had before keeps its id."""
    ours = _places(connection, account, wished)
    _counted(link.integration or "", ours)
    linking.change(connection, account, link.id, {"locations": [location for _, location in ours]})
    _name(connection, account, link.id, ours)


def _places(connection: Connection, account: int, wished: Sequence[str]) -> list[tuple[str, int]]:
    """The active locations for stock, or those of them that are wished for: (id on the wire, our id)."""
    found = catalog.locations(connection, account)
    ours = {one.name: (str(one.id), one.id) for one in found if one.active and one.kind == "stock"}
    missing = [name for name in wished if name not in ours]
    if missing:
        raise ValueError(f"no active location for stock is named {missing[0]!r}; there are {', '.join(ours)}")
    return [ours[name] for name in dict.fromkeys(wished or ours)]


def principal(link: int | None) -> str:
    """Who a credential speaks for, whichever key or token is used."""
    return f"{NAME}:organisation" if link is None else f"{NAME}:connection:{link}"


def credential(
    connection: Connection,
    account: int,
    link: int | None,
    now: int,
    scopes: str = auth.WRITE,
    label: str = "",
    *,
    expires_at: int | None = None,
) -> str:
    """A fresh access token of a connection, or with ``link`` None an API key of the organisation.

    With the scope read, an API key makes every connection it is used with read only. ``expires_at``
    is microseconds UTC.
    """
    secret = auth.fresh(KEY_PREFIX if link is None else TOKEN_PREFIX)
    stored = keys.Stored(
        dialect=NAME,
        lookup=auth.digest(secret),
        secret_hash=None,
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
    return secret


def connect(
    connection: Connection,
    account: int,
    integration: str,
    warehouses: Sequence[tuple[str, int]],
    now: int,
    *,
    shop: str | None = None,
) -> Link:
    """Create a connection whose warehouses are our locations, in order, under the ids given.

    Raises ValueError for an unknown integration, for no warehouse, and for more than one where the
    integration's body has no ``warehouse_id``.
    """
    rule = RULES.get(integration)
    if rule is None:
        raise ValueError(f"no integration is named {integration!r}; there are {', '.join(RULES)}")
    _counted(integration, warehouses)
    locations = [location for _, location in warehouses]
    settings = {} if shop is None else {"shop_id": shop}
    new = Link(0, NAME, rule.title, integration=integration, locations=locations, settings=settings)
    link = channels.add_link(connection, account, new, now)
    _name(connection, account, link.id, warehouses)
    return link


def _counted(integration: str, warehouses: Sequence[tuple[str, int]]) -> None:
    only = RULES[integration].warehouse is Need.ABSENT
    if not warehouses or (only and len(warehouses) != 1):
        raise ValueError(f"a connection of {integration} has {'one' if only else 'a'} warehouse")


def _name(connection: Connection, account: int, link: int, warehouses: Sequence[tuple[str, int]]) -> None:
    known = {name: str(location) for name, location in warehouses}
    channels.map_ids(connection, account, f"connection:{link}", "warehouse", known)


def demo(connection: Connection, sample: Sample, now: int) -> Part:
    """A connection of each integration and one of the base schema, all with the same items."""
    for name, rule in RULES.items():
        one = rule.warehouse is Need.ABSENT or name == "amazon"
        places = [(f"{name}-wh-{location}", location) for location in DEMO_LOCATIONS[: 1 if one else None]]
        if name == "amazon":
            places = [(AMAZON_WAREHOUSE, DEMO_LOCATIONS[0])]
        link = connect(connection, sample.account, name, places, now, shop=DEMO_SHOPS.get(name))
        for item in sample.block(*DEMO_ITEMS):
            listing = Listing(0, link.id, f"{name}-{item.id}", item.id)
            channels.add_listing(connection, sample.account, listing, now)
    return Part()


def section(connection: Connection, sample: Sample, now: int) -> dict[str, Any]:
    """A fresh API key, and each connection with a fresh token and the products it can adjust."""
    links = channels.links(connection, sample.account, NAME)
    return {
        "api_key": credential(connection, sample.account, None, now, label="demo"),
        "connections": [_described(connection, sample.account, link, now) for link in links],
    }


def _described(connection: Connection, account: int, link: Link, now: int) -> dict[str, Any]:
    names = [name for _, name in products.page(connection, account, link, (), 0, PAGE)]
    found = products.products(connection, account, link.id, names)
    warehouses = list(site(connection, account, link).warehouses)
    shop = link.settings.get("shop_id")
    return {
        "integration": link.integration,
        "access_token": credential(connection, account, link.id, now, label="demo"),
        **({} if shop is None else {"shop_id": shop}),
        "products": [
            {"id": name, "sku": found[name].sku, "warehouse_ids": warehouses}
            for name in names
            if rendering.parent_id(found[name]) != name
        ],
    }


def curl(section: dict[str, Any], base_url: str) -> str:
    """Adds one unit to the first product of the Shopify connection."""
    link = next(one for one in section["connections"] if one["integration"] == "shopify")
    product = link["products"][0]
    body = {
        "adjustment_type": "increase",
        "quantity": 1,
        "warehouse_id": product["warehouse_ids"][0],
        "reason": "restock",
    }
    headers = {
        KEY_HEADER: section["api_key"],
        TOKEN_HEADER: link["access_token"],
        "Content-Type": "application/json",
    }
    fields = " ".join(f"-H '{name}: {value}'" for name, value in headers.items())
    path = f"{base_url}/cart/products/{product['id']}/adjust-inventory"
    return f"curl -X PUT {path} {fields} -d '{json.dumps(body)}'"
