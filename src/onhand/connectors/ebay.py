"""Speaks to eBay for one account: inventory items and their offers, or older listings, and orders.

Sell Inventory API v1, Sell Fulfillment API v1, Trading API 1423 for listings that the Inventory API does not
know, and Notification API v1; https://developer.ebay.com/api-docs; checked 2026-11-22 against eBay's own
descriptions (Inventory 1.18.0, Fulfillment 1.20.7); not yet called live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from onhand.connectors.auth import Wire, basic, bearer
from onhand.connectors.channel import Channel, Limit, Secret
from onhand.connectors.ebay_calls import INVENTORY, NOTIFICATION
from onhand.connectors.ebay_hearing import challenge_reply, heard, key_text
from onhand.connectors.ebay_orders import read_orders
from onhand.connectors.ebay_pull import pull_items, read_places
from onhand.connectors.ebay_push import LARGEST, TOGETHER, push_items
from onhand.connectors.ebay_trading import count_listings, pull_listings, push_listings, trading_headers
from onhand.connectors.ebay_xml import old_token
from onhand.connectors.flow import (
    Failed,
    Flow,
    Heard,
    Orders,
    Page,
    Place,
    Request,
    Response,
    Target,
    Unheard,
    Verdict,
    expect,
    retry_after,
)
from onhand.connectors.reading import ask, need_text, text, units, whole

SCOPE = "https://api.ebay.com/oauth/api_scope"
GRANT = "/identity/v1/oauth2/token"
KEPT_KEYS = 4
"""Public keys that are remembered; eBay uses few."""
QUOTA_SECONDS = 600.0
"""How long a spent quota is left alone when eBay does not say how long: it lasts for the day."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An application's id and secret with the user's refresh token.

    ``listings``: whether they were made with the Inventory API or elsewhere ("trading"). ``together``: SKUs
    in one call, 25 by the type's description and 1 by the call's. ``by_location``: whether stock is counted
    by location there. ``site``: the number of the eBay site, for "trading". ``orders``: whether they are
    taken in; they are of the whole account, so one of two connections to it leaves them to the other.
    ``verification_token`` and ``endpoint`` (the whole public address) are for notifications.
    """

    client_id: Annotated[str, msgspec.Meta(min_length=1)]
    client_secret: Secret
    refresh_token: Secret
    access_token: Secret | None = None
    expires_at: int = 0
    sandbox: bool = False
    language: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}-[A-Z]{2}$")] = "en-US"
    listings: Literal["inventory", "trading"] = "inventory"
    together: Annotated[int, msgspec.Meta(ge=1, le=TOGETHER)] = TOGETHER
    by_location: bool = False
    site: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0
    orders: bool = True
    verification_token: Secret | None = None
    endpoint: str = ""
    public_keys: dict[str, str] = {}


CHANNEL = Channel(
    name="ebay",
    title="eBay",
    version="Sell Inventory API v1, Sell Fulfillment API v1, Trading API 1423",
    document="https://developer.ebay.com/api-docs",
    checked="2026-11-22",
    settings=Settings,
    shop=("client_id", "refresh_token", "orders"),
    auth="OAuth 2, refresh token",
    batch=100,
    limits=(
        Limit("default", calls=5, seconds=1, burst=5),
        Limit("push", calls=5, seconds=1, burst=5),
        Limit("offers", calls=10, seconds=1, burst=10),
        Limit("pull", calls=5, seconds=1, burst=5),
        Limit("orders", calls=1, seconds=1, burst=5),
        Limit("trading", calls=6000, seconds=15, burst=10),
    ),
    largest=LARGEST,
    locations=True,
    webhooks=True,
    refreshes=True,
    identity=("sku", "item_id", "variation"),
    cannot=(
        "It has no unlimited quantity: an unlimited item shows its cap.",
        "A quantity of 0 ends a listing or is refused unless the account's out-of-stock option is on.",
        "A listing can be revised 250 times a day, by whoever does it: the last 50 are kept for when it "
        "sells out or its number halves, and the rest is told after midnight in California.",
        "Listings made elsewhere than with the Inventory API need a connection of the kind 'trading'.",
        "Orders are of the whole account: of two connections to one, set orders to false on the second.",
        "An order is there once its buyer has checked out: what waits for that is offered once more, unless "
        "the listing wants to be paid at once.",
        "Orders do not say which location they will ship from.",
        "Returns are not told: they are to be recorded here.",
    ),
)


def base_url(settings: Settings) -> str:
    """The host of the interfaces."""
    return f"https://api.{'sandbox.' if settings.sandbox else ''}ebay.com"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the user's token: as a bearer, or in the older interface's own header."""
    token = settings.access_token
    if trading := trading_headers(settings, wire):
        return wire.add(*trading)
    language = wire.add(("Content-Language", settings.language))
    return language.add(bearer(token)) if token else language


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """A token for two hours. The refresh token lasts 18 months and does not change."""
    # Without a scope the token has the rights that the user once gave; one too many would be refused.
    form = (("grant_type", "refresh_token"), ("refresh_token", settings.refresh_token))
    return (yield from _granted(settings, form))


def tokenless(settings: Settings) -> bool:
    """Whether there is no token yet: the older interface has a 200 for that, too."""
    return settings.access_token is None


def _granted(settings: Settings, form: tuple[tuple[str, str | Secret], ...]) -> Flow[dict[str, Any]]:
    name, value = basic(settings.client_id, settings.client_secret)
    proof = ((name, Secret(value)),)
    answer = yield from ask(Request("POST", GRANT, form=form, headers=proof, signed=False, repeatable=True))
    if answer.status == 400:
        found = answer.json()
        words = text(found, "error_description") or text(found, "error") or answer.words
        raise Failed(words, login=True)
    found = expect(answer)
    fresh: dict[str, Any] = {"access_token": need_text(found, "access_token")}
    if seconds := whole(found, "expires_in"):
        fresh["expires_in"] = seconds
    return fresh


def push(settings: Settings, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Absolute quantities, by the interface that knows the listings."""
    if settings.listings == "trading":
        return (yield from push_listings(targets))
    return (yield from push_items(settings, targets))


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of listings with what they show."""
    if settings.listings == "trading":
        return (yield from pull_listings(cursor))
    return (yield from pull_items(cursor))


def places(settings: Settings) -> Flow[list[Place]]:
    """The account's locations where stock is counted by them; else none: a listing has one number."""
    return (yield from read_places()) if settings.by_location and settings.listings == "inventory" else []


def orders(settings: Settings, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor; without one, those that wait to be shipped. None where another
    connection takes them in."""
    if not settings.orders:
        return Orders((), "")
    return (yield from read_orders(settings, cursor))


def check(settings: Settings) -> Flow[str]:
    """How much the account has for sale, by the interface that the settings name."""
    if settings.listings == "trading":
        return f"eBay account with {(yield from count_listings())} active listings"
    call = Request("GET", f"{INVENTORY}/inventory_item", query=(("limit", "1"),), repeatable=True)
    found = expect((yield from ask(call)))
    return f"eBay account with {units(found, 'total')} inventory items"


def expired(response: Response) -> bool:
    """Whether a 200 of the older interface says that the token is too old; the newer ones answer 401."""
    return old_token(response)


def pace(response: Response) -> float | None:
    """A quota that is spent is spent for the day, and eBay seldom says how long to wait."""
    if response.status != 429:
        return None
    seconds = retry_after(response)
    return QUOTA_SECONDS if seconds is None else seconds


# --- notifications --------------------------------------------------------------------------------------


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A notification, verified by eBay's public key. Raises Unheard; when it ``wants`` a key, `keys` gets
    it, and eBay sends the message again."""
    return heard(settings.public_keys, headers, body, now)


def challenge(settings: Settings, code: str) -> bytes:
    """The JSON to answer when eBay asks with ``challenge_code`` whether the endpoint is ours."""
    if settings.verification_token is None or not settings.endpoint:
        raise Unheard("no verification token and endpoint are set", 404)
    return challenge_reply(code, settings.verification_token, settings.endpoint)


def keys(settings: Settings, wanted: str) -> Flow[dict[str, Any]]:
    """The public keys with the one that a message was signed by, as a change of the settings. eBay gives it
    to the application, not to the user."""
    granted = yield from _granted(settings, (("grant_type", "client_credentials"), ("scope", SCOPE)))
    proof = (("Authorization", Secret(f"Bearer {granted['access_token']}")),)
    path = f"{NOTIFICATION}/public_key/{quote(wanted, safe='')}"
    found = expect((yield from ask(Request("GET", path, headers=proof, signed=False, repeatable=True))))
    try:
        recent = dict(list(settings.public_keys.items())[1 - KEPT_KEYS :])
        return {"public_keys": {**recent, wanted: key_text(found)}}
    except ValueError as error:
        raise Failed(str(error)) from None
