"""Makes Flipkart connections and applications: for the demo, for the operator, and as a line to paste."""

from __future__ import annotations

import json
import secrets
import shlex
import uuid
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand import auth
from onhand.dialects.flipkart import rendering, schema
from onhand.dialects.flipkart.routes import DIALECT, LOCATION, SPACE, TOKEN_PATH, UPDATE_PATH
from onhand.sample import SHARED, KeyWish, Part, Sample
from onhand.store import catalog, channels, keys, linking
from onhand.store.channels import Link, Listing
from onhand.work import Companion, PutDetail

FIRST, LAST = 13, 20
APP_ID_BYTES = 16
SECRET_PREFIX = "fks_"  # noqa: S105 - says what a found secret is
CURL_UNITS = 12

_PRODUCT_ID = "OHDEMO{:010d}"
_STATUS = '{"status":"ENABLED"}'


def issue(connection: Connection, account: int, now: int, wish: KeyWish) -> dict[str, Any]:
    """Create an application for the account's connection, and the connection where there is none.

    The connection gets all active stock locations that it does not have yet; the answer names them by
    Flipkart's ids, which nothing else tells before there is stock. Raises ValueError in words for a wish that
    Flipkart has no word for.
    """
    if wish.seller is not None or wish.integration is not None:
        raise ValueError(
            "a Flipkart application belongs to a connection: it takes no seller and no integration"
        )
    unknown = set(wish.scopes.split()) - {auth.READ, auth.WRITE}
    if unknown or not wish.scopes.split():
        raise ValueError("a Flipkart application may read or write: scopes are 'read' and 'write'")
    links = channels.links(connection, account, DIALECT)
    ours = catalog.locations(connection, account)
    active = [one.id for one in ours if one.active and one.kind == "stock"]
    link = (
        _widened(connection, account, links[0], active)
        if links
        else _connect(connection, account, active, now)
    )
    told = credentials(connection, account, link, now, scopes=wish.scopes, label=wish.label)
    names, called = name_locations(connection, account, link), {one.id: one.name for one in ours}
    places = [{"id": names[at], "name": called[at]} for at in link.locations]
    return {**told, "locations": places, "principal": principal(link.id)}


def principal(link: int) -> str:
    """Who an application is: revoking it ends all of the connection's applications and their tokens."""
    return f"{DIALECT}:connection:{link}"


def credentials(
    connection: Connection,
    account: int,
    link: Link,
    now: int,
    *,
    scopes: str = auth.WRITE,
    label: str = "",
    expires_at: int | None = None,
) -> dict[str, str]:
    """A new application for ``link``: its ``app_id``, and its ``app_secret``, which is shown this once.

    The locations of the link that have no Flipkart id yet get one.
    """
    name_locations(connection, account, link)
    app_id, secret = secrets.token_hex(APP_ID_BYTES), auth.fresh(SECRET_PREFIX)
    stored = keys.Stored(
        dialect=DIALECT,
        lookup=app_id,
        secret_hash=auth.digest(secret),
        account=account,
        kind="key",
        principal=principal(link.id),
        scopes=scopes,
        seller=None,
        connection=link.id,
        label=label,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    keys.add(connection, [stored])
    return {"app_id": app_id, "app_secret": secret}


def _connect(connection: Connection, account: int, locations: list[int], now: int) -> Link:
    return channels.add_link(connection, account, Link(0, DIALECT, "Flipkart", locations=locations), now)


def _widened(connection: Connection, account: int, link: Link, locations: list[int]) -> Link:
    """The connection with the locations that came since it was made."""
    every = [*link.locations, *(one for one in locations if one not in link.locations)]
    if every != link.locations:
        linking.change(connection, account, link.id, {"locations": every})
    return msgspec.structs.replace(link, locations=every)


def name_locations(connection: Connection, account: int, link: Link) -> dict[int, str]:
    """The Flipkart ids of the link's locations, by our number; those without one get one."""
    new = {f"LOC{uuid.uuid4().hex}": str(number) for number in link.locations}
    channels.map_ids(connection, account, SPACE, LOCATION, new)
    found = channels.externals(connection, account, SPACE, LOCATION, new.values())
    return {int(number): name for number, name in found.items()}


# --- the demo -------------------------------------------------------------------------------------------


def demo(connection: Connection, sample: Sample, now: int) -> Part:
    """One connection with the first two locations, and a listing for each item of its block."""
    ours = [location.id for location in sample.locations[:2]]
    link = _connect(connection, sample.account, ours, now)
    name_locations(connection, sample.account, link)
    also: list[Companion] = []
    for item in sample.block(FIRST, LAST):
        told = {"product_id": _PRODUCT_ID.format(item.id), "price": _price(item.id)}
        listing = Listing(0, link.id, item.sku or "", item.id, attributes=told)
        made = channels.add_listing(connection, sample.account, listing, now)
        offered = ours[:1] if item.id == SHARED else ours
        also += [PutDetail(DIALECT, schema.STATUS_DETAIL, made.id, at, _STATUS) for at in offered]
    return Part(also=tuple(also))


def _price(item: int) -> dict[str, Any]:
    return {"mrp": 999 + 100 * item, "selling_price": 899 + 90 * item, "currency": rendering.CURRENCY}


def section(connection: Connection, sample: Sample, now: int) -> dict[str, Any]:
    """A fresh application, and the listings with the locations that they may be written at."""
    link = channels.links(connection, sample.account, DIALECT)[0]
    told = credentials(connection, sample.account, link, now, label="demo")
    names = name_locations(connection, sample.account, link)
    listings = channels.listings(connection, sample.account, link.id)
    ids = [one.id for one in listings]
    kept = channels.details(connection, sample.account, DIALECT, schema.STATUS_DETAIL, ids)
    skus = [
        {
            "sku": one.external_id,
            "product_id": one.attributes["product_id"],
            "locations": [names[at] for at in link.locations if (one.id, at) in kept] or list(names.values()),
        }
        for one in listings
        if one.status == "open" and "product_id" in one.attributes
    ]
    return {**told, "skus": skus}


def curl(section: dict[str, Any], base_url: str) -> str:
    """Fetches a token and sets the first SKU's inventory at its first location."""
    first = section["skus"][0]
    spot = {"id": first["locations"][0], "inventory": CURL_UNITS}
    body = json.dumps({first["sku"]: {"product_id": first["product_id"], "locations": [spot]}})
    app = shlex.quote(f"{section['app_id']}:{section['app_secret']}")
    ask = shlex.quote(f"{base_url}{TOKEN_PATH}?grant_type=client_credentials&scope=Seller_Api")
    token = f"""$(curl -s -u {app} {ask} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')"""
    target = shlex.quote(f"{base_url}/sellers{UPDATE_PATH}")
    return (
        f'curl -s {target} -H "Authorization: Bearer {token}"'
        f" -H 'Content-Type: application/json; charset=utf-8' -d {shlex.quote(body)}"
    )
