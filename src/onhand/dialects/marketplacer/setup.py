"""Keys for the parent and the members of a multi-store, and the demo's variants."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection

from onhand import auth
from onhand.auth import READ, WRITE
from onhand.dialects.marketplacer import shop
from onhand.dialects.marketplacer.schema import DIALECT, number
from onhand.sample import KeyWish, Part, Sample
from onhand.stock.model import SetOnHand
from onhand.store import catalog, channels, keys, offers
from onhand.store.channels import Link, Listing
from onhand.store.keys import Stored
from onhand.work import PutPrice

KEY_PREFIX = "ohm_"
FIRST, LAST = 1, 6
SINGLE = 6
"""The demo's one variant that only the account's own seller sells."""

SHOWN = 1
"""The demo variant that starts as the published example does."""


def issue(connection: Connection, account: int, now: int, wish: KeyWish) -> dict[str, Any]:
    """A key: the parent's, or with ``wish.seller`` that member's. Raises ValueError in words."""
    if wish.integration is not None:
        raise ValueError("marketplacer has no integrations")
    if wish.scopes not in (READ, WRITE):
        raise ValueError("a marketplacer key has the scope read or write")
    if wish.seller is not None and wish.seller not in _members(connection, account):
        raise ValueError(f"there is no seller {wish.seller} with a location of its own")
    return add_key(connection, account, _link(connection, account, now), now, wish)


def demo(connection: Connection, sample: Sample, now: int) -> Part:
    """The connection, a listing a variant, and variant 1 with the record of the published example."""
    link = _link(connection, sample.account, now)
    for item in sample.block(FIRST, LAST):
        channels.add_listing(connection, sample.account, Listing(0, link, str(item.id), item.id), now)
    single = sample.items[SINGLE]
    attributes = {**single.attributes, DIALECT: {"multi_store": False}}
    catalog.change_item(connection, sample.account, SINGLE, {"attributes": attributes}, now)
    sellers = [seller.id for seller in sample.sellers]
    shop.give_ids(connection, sample.account, SHOWN, sellers)
    place = next(one.default_location for one in sample.sellers if one.id == sellers[0])
    commands = (SetOnHand(SHOWN, place, 10),) if place is not None else ()
    return Part(commands, (PutPrice(SHOWN, sellers[0], "500", "450"),))


def section(connection: Connection, sample: Sample, now: int) -> dict[str, Any]:
    """Fresh keys for the parent and every member, and the variants that have inventories."""
    account = sample.account
    link = _link(connection, account, now)
    members = [
        {
            "seller_id": seller,
            "key": add_key(connection, account, link, now, KeyWish(seller=seller, label="demo"))["api_key"],
        }
        for seller in _members(connection, account)
    ]
    found = offers.page(connection, account, link, DIALECT, {}, shared=True)
    listed = [offer for offer in found if number(offer.name)]
    items = catalog.items(connection, account, [offer.item for offer in listed])
    return {
        "parent_key": add_key(connection, account, link, now, KeyWish(label="demo"))["api_key"],
        "members": members,
        "variants": [{"id": int(offer.name), "sku": items[offer.item].sku} for offer in listed],
    }


def curl(section: dict[str, Any], base_url: str) -> str:
    """The parent sets what two sellers have of the second variant."""
    variant = section["variants"][1]["id"]
    sellers = [member["seller_id"] for member in section["members"]]
    records = [
        {"type": "inventories", "attributes": {"count_on_hand": 12, "price": 27.38, "seller_id": sellers[0]}},
        {"type": "inventories", "attributes": {"infinite": True, "seller_id": sellers[-1]}},
    ]
    return (
        f"curl -X PUT {base_url}/api/v2/client/variants/{variant}/inventories"
        f" -H 'Authorization: Bearer {section['parent_key']}'"
        " -H 'Content-Type: application/vnd.api+json'"
        f" -d '{json.dumps({'data': records})}'"
    )


def _members(connection: Connection, account: int) -> list[int]:
    return [home.seller for home in offers.homes(connection, account)]


def _link(connection: Connection, account: int, now: int) -> int:
    """The account's Marketplacer connection; made where there is none."""
    found = channels.links(connection, account, DIALECT)
    if found:
        return found[0].id
    places = [one.id for one in catalog.locations(connection, account) if one.active]
    new = Link(0, DIALECT, "Marketplacer", locations=places)
    return channels.add_link(connection, account, new, now).id


def add_key(
    connection: Connection,
    account: int,
    link: int,
    now: int,
    wish: KeyWish,
    *,
    expires_at: int | None = None,
) -> dict[str, Any]:
    """A fresh key of the parent, or of ``wish.seller``; ``expires_at`` in microseconds UTC.

    The principal is the parent or the seller: it stays when keys are rotated.
    """
    key = auth.fresh(KEY_PREFIX)
    who = "parent" if wish.seller is None else f"seller-{wish.seller}"
    principal = f"{DIALECT}:connection:{link}:{who}"
    row = Stored(
        DIALECT,
        auth.digest(key),
        None,
        account,
        "key",
        principal,
        wish.scopes,
        wish.seller,
        link,
        wish.label,
        now,
        expires_at,
        None,
    )
    keys.add(connection, [row])
    whose = {} if wish.seller is None else {"seller_id": wish.seller}
    return {"api_key": key, **whose, "principal": principal}
