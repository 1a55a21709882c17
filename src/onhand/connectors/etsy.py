"""Speaks to an Etsy shop: whole inventories of listings, receipts, rotating tokens, signed webhooks.

Open API v3, https://developers.etsy.com/documentation/reference; checked 2026-11-22 against the published
description of December 2025 and what its users report; not yet called live. Every merchant brings an app
key of his own, so its daily quota is his alone: two calls for a change, three where a listing is switched.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from onhand.connectors.auth import Wire, bearer, standard_webhook
from onhand.connectors.channel import (
    Channel,
    Limit,
    Secret,
)
from onhand.connectors.etsy_inventory import LARGEST, SHARED, Pool, label, odd, pools, variation
from onhand.connectors.etsy_orders import orders, reread
from onhand.connectors.etsy_push import pace, push
from onhand.connectors.flow import (
    Failed,
    Flow,
    Heard,
    Page,
    Request,
    Response,
    Seen,
    Shown,
    Unheard,
    expect,
)
from onhand.connectors.reading import ask, at, need_rows, need_text, text, whole

__all__ = ["CHANNEL", "Settings", "base_url", "check", "hear", "orders", "pace", "pull", "push", "sign"]
__all__ += ["reread", "tokens"]

PAGE = 100
LAPPED = 20
"""Listings that two pages have in common: so many may leave a state (they sell out, say) between the two, and
none is moved to where was read already."""
STATES = ("active", "inactive", "sold_out", "expired")
RECEIPT = re.compile(r"/receipts/([0-9]{1,19})(?:[/?]|$)", re.ASCII)
CANCELLED = {"order.canceled", "order.cancelled"}
GRANT = "https://openapi.etsy.com/v3/public/oauth/token"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An app's keystring and shared secret, and the refresh token of the shop's owner. With
    ``renew_sold_out`` a sold out listing is made active again when there is stock, which costs a fee."""

    shop_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,19}$")]
    keystring: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    shared_secret: Secret
    refresh_token: Secret
    access_token: Secret | None = None
    expires_at: int = 0
    webhook_secret: Secret | None = None
    renew_sold_out: bool = False


CHANNEL = Channel(
    name="etsy",
    title="Etsy",
    version="Open API v3",
    document="https://developers.etsy.com/documentation/reference",
    checked="2026-11-22",
    settings=Settings,
    shop=("shop_id",),
    auth="app key with its shared secret, and a rotating pair of OAuth tokens",
    batch=20,
    together="listing_id",
    identity=("listing_id", "variation"),
    limits=(Limit("default", calls=10, seconds=1, burst=5),),
    largest=LARGEST,
    webhooks=True,
    refreshes=True,
    cannot=(
        "It has no unlimited quantity: an unlimited item shows its cap, 999 at most.",
        "All variations of a listing are written at once: a sale in that moment is healed by the next poll.",
        "A listing cannot show 0 for all its variations: it is switched off, and on again with new stock.",
        "A sold out listing is renewed for a fee, so only when the connection allows it.",
        "Where one quantity holds for variations of several SKUs, it is shown and not written.",
        "It has no locations.",
        "A partial refund does not name its lines, and no refund says that goods came back.",
        "A receipt that is cancelled may leave its list: its units are free again after the next sweep.",
        "Drafts are not looked at; webhooks are for commercial apps, and are set up in Etsy's portal.",
    ),
)


def base_url(settings: Settings) -> str:
    """The same for all shops."""
    return "https://openapi.etsy.com/v3/application"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the app's key and secret in one header and the owner's token in another."""
    wire = wire.add(("x-api-key", f"{settings.keystring}:{settings.shared_secret.reveal()}"))
    return wire.add(bearer(settings.access_token)) if settings.access_token else wire


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """The next pair; the old refresh token is worth nothing afterwards. Raises Failed."""
    form = (
        ("grant_type", "refresh_token"),
        ("client_id", settings.keystring),
        ("refresh_token", settings.refresh_token),
    )
    answer = yield from ask(Request("POST", GRANT, form=form, signed=False))
    if answer.status == 400:
        raise Failed(text(answer.json(), "error") or answer.words, login=True)
    found = expect(answer)
    fresh: dict[str, Any] = {"access_token": need_text(found, "access_token")}
    if seconds := whole(found, "expires_in"):
        fresh["expires_in"] = seconds
    if rotated := text(found, "refresh_token"):
        fresh["refresh_token"] = rotated
    return fresh


def check(settings: Settings) -> Flow[str]:
    """Whose token it is. Raises Failed when it is not that of the shop's owner."""
    found = expect((yield from ask(Request("GET", "/users/me", repeatable=True))))
    shop = need_text(found, "shop_id")
    if shop != settings.shop_id:
        raise Failed(f"the token is for shop {shop}, not {settings.shop_id}", login=True)
    return f"shop {shop} of user {need_text(found, 'user_id')}"


# --- looking --------------------------------------------------------------------------------------------


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of listings of one state after the other. The cursor is ``state:offset:ids``, with the ids of
    the listings that were read last."""
    state, start, told = (*(cursor or "").split(":"), "", "", "")[:3]
    state = state if state in STATES else STATES[0]
    offset, known = int(start) if start.isdigit() else 0, set(told.split(","))
    place = (("state", state), ("limit", str(PAGE)), ("offset", str(offset)))
    query = (*place, ("includes", "Inventory"), ("legacy", "false"))
    path = f"/shops/{settings.shop_id}/listings"
    listed = need_rows(expect((yield from ask(Request("GET", path, query, repeatable=True)))), "results")
    seen: list[Seen] = []
    for row in listed:
        if (name := need_text(row, "listing_id")) in known:
            continue
        inventory = at(row, "inventory")
        if inventory is None:
            again = Request("GET", f"/listings/{name}/inventory", (("legacy", "false"),), repeatable=True)
            inventory = expect((yield from ask(again)))
        seen += _seen(row, inventory, state)
    if len(listed) >= PAGE:
        last = ",".join(need_text(row, "listing_id") for row in listed[-LAPPED:])
        return Page(tuple(seen), f"{state}:{offset + PAGE - LAPPED}:{last}")
    rest = STATES[STATES.index(state) + 1 :]
    return Page(tuple(seen), f"{rest[0]}:0" if rest else None)


def _seen(row: Mapping[str, Any], inventory: Any, state: str) -> list[Seen]:
    """A listing's products, one for each number that Etsy keeps; one that is not understood is shown whole
    and never written."""
    name, title = need_text(row, "listing_id"), text(row, "title") or ""
    if words := odd(inventory):
        ids = {"listing_id": name}
        return [Seen(ids, None, (), title, state == "active", writable=False, why=words)]
    return [each for pool in pools(inventory) for each in _pooled(name, title, state, pool)]


def _pooled(name: str, title: str, state: str, pool: Pool) -> list[Seen]:
    """One listing for a pool; where it has several SKUs, one for each of its products."""
    found = []
    for product in pool.products if pool.shared else pool.products[:1]:
        ids = {"listing_id": name, "product_id": need_text(product, "product_id")}
        if varied := label(variation(product) if pool.shared else pool.key):
            ids["variation"] = varied
        found.append(
            Seen(
                ids,
                text(product, "sku"),
                (Shown(pool.quantity),),
                title,
                active=state == "active" and pool.for_sale,
                writable=not pool.shared,
                why=SHARED if pool.shared else "",
            )
        )
    return found


# --- hearing --------------------------------------------------------------------------------------------


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A webhook, as a hint to poll: it carries an address and no order. Raises Unheard."""
    name = standard_webhook(_key(settings.webhook_secret), headers, body, now)
    found = Response(200, body=body).json()
    topic = text(found, "event_type")
    if topic is None:
        raise Unheard("the message has no event_type", 400)
    if text(found, "shop_id") != settings.shop_id:
        raise Unheard("the message is about another shop", 400)
    event = topic.casefold().replace("_", ".")
    # The list of receipts that changed may leave out one that is cancelled.
    named = RECEIPT.search(text(found, "resource_url") or "") if event in CANCELLED else None
    reread = (named[1],) if named else ()
    return Heard(name, topic, poll_orders=event.startswith("order."), reread=reread)


def _key(secret: Secret | None) -> bytes:
    """The raw key behind ``whsec_``."""
    if secret is None:
        raise Unheard("no secret is set to verify webhooks with")
    try:
        return base64.b64decode(secret.reveal().removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise Unheard("the webhook secret is not as Etsy's portal shows it") from None
