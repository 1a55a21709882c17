"""Speaks to Amazon for one seller in one marketplace: listings that the merchant ships, and their orders.

Selling Partner API: Listings Items 2021-08-01, Feeds 2021-06-30, Orders 2026-01-01, besides Reports
2021-06-30 and FBA Inventory v1; https://developer-docs.amazon.com/sp-api; checked 2026-11-22 against Amazon's
published models; not yet called live. Requests carry a token and no AWS signature, whatever older guides say.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from onhand.connectors.amazon_calls import FBA, OWN, Seller, search
from onhand.connectors.amazon_feed import FEED_MESSAGES, LARGEST
from onhand.connectors.amazon_orders import orders
from onhand.connectors.amazon_pull import pull
from onhand.connectors.amazon_push import push
from onhand.connectors.auth import Wire
from onhand.connectors.channel import Channel, Limit, Secret
from onhand.connectors.flow import Failed, Flow, Place, Request, Response, expect
from onhand.connectors.reading import ask, need_rows, need_text, rows, text, units, whole

__all__ = ["CHANNEL", "Settings", "base_url", "check", "expired", "orders", "pace", "places", "pull"]
__all__ += ["push", "sign", "tokenless", "tokens"]

LWA = "https://api.amazon.com/auth/o2/token"
AGENT = "onhand (Language=Python)"
SLOWEST_PACE = 0.1
"""Calls a second: a bucket slower than this is waited for by itself, not by the whole connection."""

OLD_TOKEN = re.compile(r"access token.*\b(?:expired|revoked|malformed|invalid)\b", re.IGNORECASE)


Marketplace = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{8,20}$")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An application's id and secret with the seller's refresh token; ``seller_id`` is the merchant token.
    ``also`` are other marketplaces where the same SKUs sell from the same quantity, and whose orders are
    taken in, too: not those that have a connection of their own.
    ``feed_from``: from how many listings at once on a feed is used. ``fba``: whether the application may
    read the stock that Amazon keeps."""

    region: Literal["na", "eu", "fe"]
    seller_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{5,20}$")]
    marketplace_id: Marketplace
    client_id: Annotated[str, msgspec.Meta(min_length=1)]
    client_secret: Secret
    refresh_token: Secret
    access_token: Secret | None = None
    expires_at: int = 0
    locale: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}_[A-Z]{2}$")] = "en_US"
    feed_from: Annotated[int, msgspec.Meta(ge=1, le=FEED_MESSAGES)] = 250
    fba: bool = True
    also: Annotated[tuple[Marketplace, ...], msgspec.Meta(max_length=49)] = ()
    sandbox: bool = False


CHANNEL = Channel(
    name="amazon",
    title="Amazon",
    version="Listings Items 2021-08-01, Feeds 2021-06-30, Orders 2026-01-01",
    document="https://developer-docs.amazon.com/sp-api",
    checked="2026-11-22",
    settings=Settings,
    shop=("region", "seller_id", "marketplace_id", "sandbox"),
    auth="Login with Amazon, refresh token",
    batch=FEED_MESSAGES,
    limits=(
        Limit("default", calls=1, seconds=1, burst=5),
        Limit("patch", calls=5, seconds=1, burst=5),
        Limit("read", calls=5, seconds=1, burst=10),
        Limit("search", calls=5, seconds=1, burst=5),
        Limit("documents", calls=0.5, seconds=1, burst=15),
        Limit("feeds", calls=5, seconds=300, burst=5),
        Limit("feed", calls=2, seconds=1, burst=15),
        Limit("results", calls=0.0222, seconds=1, burst=10),
        Limit("files", calls=5, seconds=1, burst=5),
        Limit("reports", calls=0.0167, seconds=1, burst=15),
        Limit("report", calls=2, seconds=1, burst=15),
        Limit("report_files", calls=0.0167, seconds=1, burst=15),
        Limit("fba", calls=2, seconds=1, burst=2),
        Limit("orders", calls=0.0056, seconds=1, burst=20),
    ),
    asynchronous=True,
    largest=LARGEST,
    locations=True,
    refreshes=True,
    identity=("sku",),
    cannot=(
        "Stock that Amazon ships (FBA) is shown and cannot be set.",
        "It has no unlimited quantity: an unlimited item shows its cap.",
        "Notifications need a queue in an AWS account: orders are polled, once in three minutes lastingly.",
        "An accepted quantity is shown minutes later, in its report of listings after more than an hour: "
        "what was told since is not looked at.",
        "Listings whose feed is not done within half an hour are told one by one for six hours, 5 a second.",
        "A SKU has one quantity in all marketplaces of a region: those that have no connection of their own "
        "are to be named in the setting 'also', else what they sell is not known here.",
        "Several own locations (multi-location inventory) are not spoken: there is one, DEFAULT.",
        "Returns are not told: they are to be recorded here.",
    ),
)


def base_url(settings: Settings) -> str:
    """The host of the seller's region."""
    return f"https://{'sandbox.' if settings.sandbox else ''}sellingpartnerapi-{settings.region}.amazon.com"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the access token in Amazon's own header, and who is asking, which Amazon demands."""
    named = wire.add(("User-Agent", AGENT))
    token = settings.access_token
    return named.add(("x-amz-access-token", token.reveal())) if token else named


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """A token for an hour. Raises Failed; a refused grant needs the seller."""
    form: tuple[tuple[str, str | Secret], ...] = (
        ("grant_type", "refresh_token"),
        ("refresh_token", settings.refresh_token),
        ("client_id", settings.client_id),
        ("client_secret", settings.client_secret),
    )
    answer = yield from ask(Request("POST", LWA, form=form, signed=False, repeatable=True))
    if answer.status == 400:
        # Amazon answers so to a token that was withdrawn and to an unknown application.
        found = answer.json()
        words = text(found, "error_description") or text(found, "error") or answer.words
        raise Failed(words, login=True)
    found = expect(answer)
    fresh: dict[str, Any] = {"access_token": need_text(found, "access_token")}
    if seconds := whole(found, "expires_in"):
        fresh["expires_in"] = seconds
    if renewed := text(found, "refresh_token"):
        fresh["refresh_token"] = renewed
    return fresh


def tokenless(settings: Settings) -> bool:
    """Whether there is no access token yet: Amazon says so with a 403, in words for that alone."""
    return settings.access_token is None


def check(settings: Seller) -> Flow[str]:
    """How many listings the seller has in the marketplace."""
    found = expect((yield from ask(search(settings, ("pageSize", "1")))))
    need_rows(found, "items")
    count = units(found, "numberOfResults")
    return f"seller {settings.seller_id} in {settings.marketplace_id}: {count} listings"


def places(settings: Settings) -> Flow[list[Place]]:
    """The merchant's own stock, and Amazon's, which is not ours to set."""
    yield from ()
    own = Place(OWN, "Shipped by the merchant", default=True)
    return [own, Place(FBA, "Shipped by Amazon (FBA)", ours=False)]


def expired(response: Response) -> bool:
    """Whether a refused call had a token that is not good any more: Amazon says so with a 403, as it does
    when the application lacks a right."""
    errors = rows(response.json(), "errors") if response.status == 403 else []
    said = [text(error, name) or "" for error in errors for name in ("message", "details")]
    return any(OLD_TOKEN.search(words) for words in said)


def pace(response: Response) -> float | None:
    """Seconds until one more call of a kind that was refused; Amazon says only how many a second it
    allows."""
    if response.status != 429:
        return None
    try:
        rate = float(response.headers.get("x-amzn-ratelimit-limit", ""))
    except ValueError:
        return 1.0
    return 1 / rate if SLOWEST_PACE <= rate < float("inf") else None
