"""Speaks to a Shopify shop: available quantities by inventory item and location, with compare-and-set.

GraphQL Admin API 2026-10, https://shopify.dev/docs/api/admin-graphql/2026-10; checked 2026-11-22 against
that version's published introspection; not yet called live. REST and quantities on products are legacy.
Shopify serves this version until October 2027 at least, and after that the oldest that it still has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from onhand.connectors.auth import Wire, fingerprint, require_mac
from onhand.connectors.channel import (
    Channel,
    Guard,
    Limit,
    Secret,
)
from onhand.connectors.flow import (
    Failed,
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
from onhand.connectors.shopify_graphql import (
    CHECK,
    ITEMS,
    NAMED,
    PLACES,
    balance_wait,
    data,
    levels_of,
    next_after,
    request,
    shown,
    sized,
)
from onhand.connectors.shopify_orders import orders, reread
from onhand.connectors.shopify_push import ENTRIES, LARGEST, push

__all__ = ["CHANNEL", "Settings", "base_url", "check", "hear", "limits", "look", "orders", "pace", "places"]
__all__ += ["pull", "push", "reread", "sign", "tokens"]

RESTORED = {"standard": 100, "advanced": 200, "plus": 1_000, "enterprise": 2_000}
"""Points that come back each second, by the shop's plan; ten seconds' worth may be spent at once."""
ITEM_PAGE = 20
NAMED_AT_ONCE = 20
PLACE_PAGE = 50
SCOPES = ("read_inventory", "write_inventory", "read_products", "read_locations", "read_orders")
TELLS_OF_ORDERS = ("orders/", "refunds/", "fulfillments/", "order_transactions/")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A permanent token; or an app's id and secret, which get one for a day; with ``refresh_token`` the
    pair of a public app, which rotates. ``client_secret`` (or ``webhook_secret``) verifies webhooks. The
    shop's ``plan`` says how fast it may be called. Scopes: read_inventory, write_inventory, read_products,
    read_locations, read_orders."""

    shop: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    access_token: Secret | None = None
    client_id: str = ""
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    webhook_secret: Secret | None = None
    expires_at: int = 0
    plan: Literal["standard", "advanced", "plus", "enterprise"] = "standard"

    def __post_init__(self) -> None:
        if self.access_token is None and not (self.client_id and self.client_secret):
            raise ValueError("Expected access_token, or client_id and client_secret")


CHANNEL = Channel(
    name="shopify",
    title="Shopify",
    version="GraphQL Admin API 2026-10",
    document="https://shopify.dev/docs/api/admin-graphql/2026-10",
    checked="2026-11-22",
    settings=Settings,
    shop=("shop",),
    identity=("inventory_item",),
    auth="access token, client credentials, or a rotating pair",
    batch=ENTRIES,
    limits=(Limit("default", calls=100, seconds=1, burst=1000),),
    guard=Guard.COMPARE,
    idempotent=True,
    largest=LARGEST,
    locations=True,
    webhooks=True,
    refreshes=True,
    cannot=(
        "It has no unlimited quantity: an unlimited item shows its cap.",
        "Orders do not say which location they will ship from.",
        "Units that come back without a refund, as in an exchange, are not seen: put them back by a receipt.",
        "Units set aside over there, as by a draft order, are offered again: set them aside here, too.",
        "Orders older than 60 days are seen, and deleted ones missed, only with the scope read_all_orders.",
        "A public app has to have a refresh token from 2027-01-01 on; a shop's own app need not.",
    ),
)


def base_url(settings: Settings) -> str:
    """The shop's own host; ``settings.shop`` is the name before .myshopify.com."""
    return f"https://{settings.shop}.myshopify.com"


def limits(settings: Settings) -> tuple[Limit, ...]:
    """What the shop's plan gives back."""
    points = RESTORED[settings.plan]
    return (Limit("default", calls=points, seconds=1, burst=10 * points),)


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the access token in Shopify's own header."""
    token = settings.access_token
    return wire.add(("X-Shopify-Access-Token", token.reveal())) if token else wire


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """A token for a day from the app's credentials, or the next pair of a public app."""
    if settings.client_secret is None:
        raise Failed("the access token is refused and there is no app secret to get another", login=True)
    form: list[tuple[str, str | Secret]] = [
        ("client_id", settings.client_id),
        ("client_secret", settings.client_secret),
        ("grant_type", "refresh_token" if settings.refresh_token else "client_credentials"),
    ]
    if settings.refresh_token:
        form.append(("refresh_token", settings.refresh_token))
    call = Request("POST", "/admin/oauth/access_token", form=tuple(form), signed=False)
    found = expect((yield from ask(call)))
    fresh: dict[str, Any] = {"access_token": need_text(found, "access_token")}
    if seconds := whole(found, "expires_in"):
        fresh["expires_in"] = seconds
    if settings.refresh_token:
        fresh["refresh_token"] = need_text(found, "refresh_token")
    return fresh


def check(settings: Settings) -> Flow[str]:
    """The shop's name. Raises Failed when a scope that we need was not granted."""
    found = data((yield from ask(request(CHECK, {}))))
    granted = {text(row, "handle") for row in need_rows(found, "currentAppInstallation", "accessScopes")}
    granted |= {f"read_{scope.removeprefix('write_')}" for scope in granted if scope and "write_" in scope}
    if missing := [scope for scope in SCOPES if scope not in granted]:
        raise Failed(f"the app lacks the scopes {', '.join(missing)}", login=True)
    return f"{need_text(found, 'shop', 'name')} ({text(found, 'shop', 'myshopifyDomain') or settings.shop})"


# --- looking --------------------------------------------------------------------------------------------


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of inventory items with all their levels. The cursor is ``size|after``."""
    told, _, after = (cursor or "").partition("|")
    size = int(told) if told.isdigit() else ITEM_PAGE
    found, size, _ = yield from sized(ITEMS, {"after": after or None}, size)
    seen = []
    for row in need_rows(found, "inventoryItems", "nodes"):
        seen.append((yield from _seen(row)))
    following = next_after(found, "inventoryItems")
    return Page(tuple(seen), f"{size}|{following}" if following else None)


def look(settings: Settings, names: Sequence[str]) -> Flow[list[Seen]]:
    """The inventory items of these ids; one that is gone comes back as null."""
    seen = []
    for start in range(0, len(names), NAMED_AT_ONCE):
        found = data((yield from ask(request(NAMED, {"ids": list(names[start : start + NAMED_AT_ONCE])}))))
        for row in rows(found, "nodes"):
            seen.append((yield from _seen(row)))
    return seen


def _seen(row: Mapping[str, Any]) -> Flow[Seen]:
    item = need_text(row, "id")
    levels = yield from levels_of(row)
    variant = at(row, "variants", "nodes", 0)
    tracked = at(row, "tracked") is not False
    ids = {"inventory_item": item} | ({} if tracked else {"tracked": "false"})
    if name := text(variant, "id"):
        ids["variant"] = name
    foreign = [level for level in levels if at(level, "location", "isFulfillmentService") is True]
    owned = bool(levels) and len(foreign) == len(levels)
    return Seen(
        ids,
        text(row, "sku"),
        tuple(_shown(level, tracked) for level in levels),
        title=text(variant, "displayName") or "",
        active=text(variant, "product", "status") in (None, "ACTIVE"),
        writable=not owned,
        why="a fulfilment service keeps this stock" if owned else "",
    )


def _shown(level: Mapping[str, Any], tracked: bool) -> Shown:
    here = shown(level)
    return here if tracked else msgspec.structs.replace(here, quantity=None)


def places(settings: Settings) -> Flow[list[Place]]:
    """All active locations. Those of fulfilment services belong to other apps and are not ours."""
    found: list[Place] = []
    after: str | None = None
    while True:
        page, _, _ = yield from sized(PLACES, {"after": after}, PLACE_PAGE)
        primary = text(page, "location", "id")
        for row in need_rows(page, "locations", "nodes"):
            name = need_text(row, "id")
            ours = at(row, "isFulfillmentService") is not True
            found.append(Place(name, text(row, "name") or name, ours, ours and name == primary))
        after = next_after(page, "locations")
        if after is None:
            return found


# --- hearing --------------------------------------------------------------------------------------------


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A webhook, as a hint to look: what it says in REST's old words is not used. Raises Unheard.

    Its topic and id are not under the signature and it carries no time, so a repetition can be forged from
    an old message; it makes us look once more and nothing else.
    """
    secret = settings.webhook_secret or settings.client_secret
    if secret is None:
        raise Unheard("no secret is set to verify webhooks with")
    require_mac(secret, body, headers.get("x-shopify-hmac-sha256", ""))
    topic = headers.get("x-shopify-topic", "").lower()
    name = headers.get("x-shopify-webhook-id") or fingerprint(f"{topic} {body.hex()}")
    said = Response(200, body=body).json()
    item = text(said, "id" if topic.startswith("inventory_items/") else "inventory_item_id")
    order = text(said, "id") if topic == "orders/delete" else None
    return Heard(
        name,
        topic,
        poll_orders=topic.startswith(TELLS_OF_ORDERS),
        look_at=(f"gid://shopify/InventoryItem/{item}",) if topic.startswith("inventory_") and item else (),
        reread=(f"gid://shopify/Order/{order}",) if order and order.isdigit() else (),
    )


def pace(response: Response) -> float | None:
    """Seconds until the shop's balance of points affords the same again; None when it does."""
    return balance_wait(response)
