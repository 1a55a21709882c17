"""Speaks to a TikTok shop: absolute quantities by SKU and warehouse, a product a call.

TikTok Shop Open API 202309 (products/search 202502, order details 202507),
https://partner.tiktokshop.com/docv2; checked 2026-11-22 against the official Node SDK and two maintained
clients; not yet called live.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from onhand.connectors.auth import Wire, mac, same
from onhand.connectors.channel import Channel, Limit, Secret
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
    retry_after,
)
from onhand.connectors.reading import ask, need_rows, need_text, rows, text, units, whole
from onhand.connectors.tiktok_calls import (
    BASE,
    HOLD,
    SHOPS,
    call,
    cipher_of,
    data,
    is_crowded,
    is_old_token,
    signature,
)
from onhand.connectors.tiktok_orders import orders
from onhand.connectors.tiktok_push import LARGEST, PRODUCTS, push

__all__ = ["CHANNEL", "Settings", "base_url", "check", "expired", "hear", "orders", "pace", "places"]
__all__ += ["pull", "push", "sign", "tokenless", "tokens"]

AUTH = "https://auth.tiktok-shops.com/api/v2/token"
LISTINGS = 100
SECOND = 1_000_000
WRITABLE = {"DRAFT", "PENDING", "FAILED", "ACTIVATE", "SELLER_DEACTIVATED"}
TELLS_OF_ORDERS = {1, 11, 12}
TELLS_OF_STOCK = {27, 71}
TELLS_OF_PRODUCTS = {5, 15, 16, 18, 37}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The app's key and secret, and a pair of tokens, or the ``auth_code`` of the consent page that gets
    the first pair. ``shop_id`` may be left out with one shop; with ``shop_cipher`` it is not looked up."""

    app_key: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    app_secret: Secret
    access_token: Secret | None = None
    refresh_token: Secret | None = None
    auth_code: Secret | None = None
    shop_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,32}$")] = ""
    shop_cipher: str = ""
    expires_at: int = 0

    def __post_init__(self) -> None:
        if not (self.access_token or self.refresh_token or self.auth_code):
            raise ValueError("Expected access_token, refresh_token or auth_code")


CHANNEL = Channel(
    name="tiktok",
    title="TikTok Shop",
    version="TikTok Shop Open API 202309",
    document="https://partner.tiktokshop.com/docv2",
    checked="2026-11-22",
    settings=Settings,
    auth="rotating pair of tokens, every request signed by HMAC-SHA256",
    batch=PRODUCTS,
    # No number is published: begin here, and hold when it says that there are too many calls.
    limits=(Limit("default", calls=10, seconds=1, burst=10),),
    largest=LARGEST,
    locations=True,
    webhooks=True,
    refreshes=True,
    identity=("sku",),
    cannot=(
        "It has no unlimited quantity: an unlimited item shows its cap.",
        "It compares nothing: a sale between reading and writing is healed by the next order poll.",
        "Returned units are not read: put them back by a receipt.",
        "A zero that it refuses takes a product off sale only when the product has one SKU.",
    ),
)


def base_url(settings: Settings) -> str:
    """One host for all regions."""
    return BASE


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With app key, time and signature in the query and the access token in its header. Nothing may touch
    the body after that: the signature is over its bytes."""
    stamped = wire.add(query=(("app_key", settings.app_key), ("timestamp", str(now // SECOND))))
    stamped = stamped.add(("Content-Type", "application/json"))
    signed = stamped.add(query=(("sign", signature(settings.app_secret, stamped)),))
    token = settings.access_token
    return signed.add(("x-tts-access-token", token.reveal())) if token else signed


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """The next pair, or the first one for the code of the consent page.

    The secrets travel in the query because TikTok takes them nowhere else: do not log this URL's query."""
    known = settings.refresh_token or settings.auth_code
    if known is None:
        raise Failed("the access token is refused and there is nothing to get another with", login=True)
    verb, field, grant = "refresh", "refresh_token", "refresh_token"
    if settings.refresh_token is None:
        verb, field, grant = "get", "auth_code", "authorized_code"
    query = (
        ("app_key", settings.app_key),
        ("app_secret", settings.app_secret),
        (field, known),
        ("grant_type", grant),
    )
    found = data((yield from ask(Request("GET", f"{AUTH}/{verb}", query=query, signed=False))))
    fresh: dict[str, Any] = {
        "access_token": need_text(found, "access_token"),
        "refresh_token": need_text(found, "refresh_token"),
    }
    # A moment and not a duration, whatever the name.
    if moment := units(found, "access_token_expire_in"):
        fresh["expires_at"] = moment * SECOND
    return fresh


def tokenless(settings: Settings) -> bool:
    """Whether there is no access token yet: its code for that is one for many things."""
    return settings.access_token is None


def check(settings: Settings) -> Flow[str]:
    """The shop's name, id and region. Raises Failed when it is not among those of the login."""
    yield from cipher_of(settings)
    known = need_rows(data((yield from ask(call("GET", SHOPS)))), "shops")
    mine = [row for row in known if settings.shop_id in ("", text(row, "id"))]
    if not mine:
        raise Failed(f"the login does not reach shop {settings.shop_id}", login=True)
    return f"{text(mine[0], 'name') or 'shop'} ({need_text(mine[0], 'id')}, {text(mine[0], 'region')})"


# --- looking --------------------------------------------------------------------------------------------


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of products, a listing for each SKU."""
    cipher = yield from cipher_of(settings)
    query = [("page_size", str(LISTINGS))] + ([("page_token", cursor)] if cursor else [])
    body = {"status": "ALL"}
    page = data((yield from ask(call("POST", "/product/202502/products/search", cipher, *query, json=body))))
    products = need_rows(page, "products") if "products" in page else []
    seen = [
        _seen(product, sku)
        for product in products
        if text(product, "status") != "DELETED"
        for sku in rows(product, "skus")
    ]
    following = text(page, "next_page_token")
    return Page(tuple(seen), following if following != cursor else None)


def _seen(product: Mapping[str, Any], sku: Mapping[str, Any]) -> Seen:
    status = text(product, "status") or "ACTIVATE"
    return Seen(
        {"product": need_text(product, "id"), "sku": need_text(sku, "id")},
        text(sku, "seller_sku"),
        tuple(
            Shown(whole(row, "quantity"), text(row, "warehouse_id"))
            for row in rows(sku, "inventory")
            if text(row, "warehouse_id")
        ),
        title=text(product, "title") or "",
        active=status == "ACTIVATE",
        writable=status in WRITABLE,
        why="" if status in WRITABLE else f"TikTok takes no stock for a product that is {status}",
    )


def places(settings: Settings) -> Flow[list[Place]]:
    """Warehouses that sell. Those for returns are none; TikTok's own are not ours."""
    cipher = yield from cipher_of(settings)
    found = data((yield from ask(call("GET", "/logistics/202309/warehouses", cipher))))
    return [_place(row) for row in need_rows(found, "warehouses") if text(row, "type") == "SALES_WAREHOUSE"]


def _place(row: Mapping[str, Any]) -> Place:
    name = need_text(row, "id")
    ours = text(row, "effect_status") != "DISABLED" and "FBT" not in (text(row, "sub_type") or "")
    return Place(name, text(row, "name") or name, ours, ours and row.get("is_default") is True)


# --- hearing --------------------------------------------------------------------------------------------


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A webhook as a hint to look. One app has one address for all its shops: what is said of another shop
    is heard and means nothing. Raises Unheard.

    A delivery that failed is said again hours later with its old time, so age is no reason to refuse; the
    id is under the signature and tells a repetition."""
    secret = settings.app_secret.reveal().encode()
    proof = mac(secret, settings.app_key.encode() + body).hex()
    if not same(proof.encode(), headers.get("authorization", "").strip().lower().encode()):
        raise Unheard("the signature is wrong")
    said = Response(200, body=body).json()
    name, kind = text(said, "tts_notification_id"), whole(said, "type")
    if name is None or kind is None:
        raise Unheard("the message has no id or type", 400)
    if settings.shop_id and text(said, "shop_id") not in (None, settings.shop_id):
        return Heard(name, str(kind))
    about = text(said, "data", "sku_id") or text(said, "data", "product_id") or ""
    looks = about and kind in TELLS_OF_STOCK | TELLS_OF_PRODUCTS
    return Heard(name, str(kind), (), kind in TELLS_OF_ORDERS, (about,) if looks else ())


def expired(response: Response) -> bool:
    """Whether the access token is no longer taken: code or words say so under any status."""
    return is_old_token(response)


def pace(response: Response) -> float | None:
    """Seconds to hold when it says, by status or only by words, that there were too many calls."""
    if not is_crowded(response):
        return None
    return retry_after(response) or HOLD
