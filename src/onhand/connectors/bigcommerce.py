"""Speaks to a BigCommerce store: absolute stock by location, orders, and signed webhooks.

Inventory API V3 and Orders API V2; https://github.com/bigcommerce/docs, reference/inventory.v3.yml;
checked 2026-11-22 against the published description; not yet called live. Catalogue endpoints show stock too,
but no longer own it: nothing is written there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from onhand.connectors.auth import Wire, same, standard_webhook
from onhand.connectors.bigcommerce_orders import orders, reread
from onhand.connectors.bigcommerce_push import LARGEST, held, pace, push
from onhand.connectors.channel import (
    Channel,
    Limit,
    Secret,
)
from onhand.connectors.flow import (
    Flow,
    Heard,
    Page,
    Place,
    Request,
    Response,
    Seen,
    Shown,
    Unheard,
    expect,
)
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text, whole

__all__ = ["CHANNEL", "Settings", "base_url", "check", "hear", "orders", "pace", "places", "pull", "push"]
__all__ += ["reread", "sign"]

ITEM_PAGE = 250
PLACE_PAGE = 250
HOOK_HEADER = "x-hub-secret"
ARCHIVED = "store/order/archived"
"""The list of orders may leave it out from then on."""
STOCK_CHANGED = "inventory/product/stock_changed"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A store-level API account: ``token`` and, to verify webhooks, its ``client_secret``. ``hook_secret``
    is what the hooks were told to send in the header x-hub-secret, if anything."""

    store_hash: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{1,32}$")]
    token: Secret
    client_secret: Secret | None = None
    hook_secret: Secret | None = None


CHANNEL = Channel(
    name="bigcommerce",
    title="BigCommerce",
    version="Inventory API V3 and Orders API V2",
    document="https://github.com/bigcommerce/docs, reference/inventory.v3.yml",
    checked="2026-11-22",
    settings=Settings,
    shop=("store_hash",),
    auth="token of a store-level API account; it does not expire",
    batch=1_000,
    # The smallest plan's quota, which all apps of the store share; the headers tell the real one.
    limits=(Limit("default", calls=150, seconds=30, burst=10),),
    # Totals go wrong when bulk calls overlap.
    parallel=1,
    asynchronous=True,
    largest=LARGEST,
    locations=True,
    webhooks=True,
    identity=("product_id", "variant_id"),
    cannot=(
        "It has no unlimited quantity: an unlimited item shows its cap.",
        "An absolute number has no precondition: a sale in the moment of writing is healed by the next poll.",
        "A write is applied after it is answered: a look straight after may show the old number.",
        "A storefront shows the default location alone, unless the store has aggregated stock.",
        "A refund after shipping does not say whether the goods came back.",
    ),
)


def base_url(settings: Settings) -> str:
    """The store's part of the API."""
    return f"https://api.bigcommerce.com/stores/{settings.store_hash}"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the account's token in BigCommerce's own header."""
    return wire.add(("X-Auth-Token", settings.token.reveal()))


def check(settings: Settings) -> Flow[str]:
    """How many locations the token sees: the scope that stock needs. Raises Failed."""
    found = yield from places(settings)
    return f"store {settings.store_hash} with {len(found)} locations"


# --- looking --------------------------------------------------------------------------------------------


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of items with all their locations. The cursor is the page's number."""
    page = int(cursor) if cursor and cursor.isdigit() else 1
    found = yield from _page("/v3/inventory/items", page, ITEM_PAGE)
    listed = need_rows(found, "data")
    seen = [_seen(row) for row in listed if at(row, "identity")]
    return Page(tuple(seen), str(page + 1) if _more(found, page, ITEM_PAGE) else None)


def _page(path: str, page: int, limit: int) -> Flow[Any]:
    query = (("page", str(page)), ("limit", str(limit)))
    return expect((yield from ask(Request("GET", path, query, repeatable=True))))


def _more(found: Any, page: int, limit: int) -> bool:
    """Whether another page follows; where the answer does not say, a full one suggests it."""
    total = whole(found, "meta", "pagination", "total_pages")
    return page < total if total is not None else len(rows(found, "data")) >= limit


def _seen(row: Mapping[str, Any]) -> Seen:
    ids = {name: text(row, "identity", name) for name in ("variant_id", "product_id", "sku")}
    return Seen(
        {name: value for name, value in ids.items() if value},
        ids["sku"],
        tuple(_shown(level) for level in rows(row, "locations")),
    )


def _shown(level: Mapping[str, Any]) -> Shown:
    """What can be sold: on hand without the safety stock, which the token carries to the next push."""
    safety, hand = whole(level, "settings", "safety_stock"), whole(level, "total_inventory_onhand")
    sellable = whole(level, "available_to_sell")
    if sellable is None and hand is not None:
        sellable = hand - (safety or 0)
    return Shown(sellable, text(level, "location_id"), held(safety))


def places(settings: Settings) -> Flow[list[Place]]:
    """All enabled locations. The one that a store begins with has the id 1."""
    found: list[Place] = []
    page = 1
    while True:
        answer = yield from _page("/v3/inventory/locations", page, PLACE_PAGE)
        for row in need_rows(answer, "data"):
            name = need_text(row, "id")
            if at(row, "enabled") is not False:
                label = text(row, "label") or text(row, "code") or name
                found.append(Place(name, label, default=name == "1"))
        if not rows(answer, "data") or not _more(answer, page, PLACE_PAGE):
            return found
        page += 1


# --- hearing --------------------------------------------------------------------------------------------


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A webhook, as a hint: it carries ids and no numbers. Raises Unheard."""
    if settings.client_secret is None:
        raise Unheard("no client secret is set to verify webhooks with")
    name = standard_webhook(settings.client_secret.reveal().encode(), headers, body, now)
    expected = settings.hook_secret
    if expected and not same(expected.reveal().encode(), headers.get(HOOK_HEADER, "").encode()):
        raise Unheard("the registered header is missing or wrong")
    found = Response(200, body=body).json()
    topic = text(found, "scope")
    if topic is None:
        raise Unheard("the message has no scope", 400)
    if text(found, "producer") != f"stores/{settings.store_hash}":
        raise Unheard("the message is about another store", 400)
    variant = text(found, "data", "variant_id") or text(found, "data", "inventory", "variant_id")
    looked = (variant,) if variant and topic.endswith(STOCK_CHANGED) else ()
    order = text(found, "data", "id") if topic == ARCHIVED else None
    return Heard(
        name,
        topic,
        poll_orders=topic.startswith("store/order/"),
        look_at=looked,
        reread=(order,) if order else (),
    )
