"""Speaks to a Magento or Adobe Commerce shop: source quantities, orders, OAuth 1.0a or Adobe's tokens.

REST API V1 (Magento Open Source and Adobe Commerce 2.4.9), https://developer.adobe.com/commerce/webapi/rest;
checked 2026-11-22 against the published schema and the inventory modules' behaviour; not yet called live.
"""

from __future__ import annotations

from typing import Any

from onhand.connectors.auth import Wire, bearer, oauth1
from onhand.connectors.channel import (
    Channel,
    Limit,
    Meaning,
)
from onhand.connectors.flow import (
    Failed,
    Flow,
    Place,
    Request,
    Response,
    retry_after,
)
from onhand.connectors.magento_calls import Settings, criteria, expected, get
from onhand.connectors.magento_orders import orders, reread
from onhand.connectors.magento_push import BATCH, LARGEST, SOURCE, push
from onhand.connectors.magento_stock import pull
from onhand.connectors.reading import ask, at, need_rows, need_text, text, whole

__all__ = ["CHANNEL", "Settings", "base_url", "check", "orders", "pace", "places", "pull", "push", "sign"]
__all__ += ["reread", "tokens"]

PLACE_PAGE = 100
IMS = "https://ims-na1.adobelogin.com/ims/token/v3"
IMS_SCOPE = "openid,AdobeID,email,profile,commerce.accs"
INVENTORY = "Magento_InventoryApi"

CHANNEL = Channel(
    name="magento",
    title="Magento / Adobe Commerce",
    version="REST API V1 (Magento Open Source and Adobe Commerce 2.4.9)",
    document="https://developer.adobe.com/commerce/webapi/rest",
    checked="2026-11-22",
    settings=Settings,
    shop=("url",),
    auth="OAuth 1.0a integration, its token alone, or Adobe's cloud service",
    batch=BATCH,
    # The shop is the merchant's own machine and has no limit but its strength.
    limits=(Limit("default", calls=4, seconds=1, burst=2),),
    parallel=2,
    meaning=Meaning.GROSS,
    asynchronous=True,
    largest=LARGEST,
    locations=True,
    refreshes=True,
    identity=("product_id",),
    cannot=(
        "It has no unlimited quantity that is written here: an unlimited item shows its cap.",
        "Reservations are of a stock and not of a source: with several, it is a guess which bears them.",
        "Reservations that the shop has left over let it sell more than its sources hold, and so does a "
        "threshold below 0: neither is seen here. Magento's inventory:reservation:list-inconsistencies finds "
        "the former.",
        "What is salable is read from the shop's index: what was told ten minutes before is not judged.",
        "Open Source has no webhooks, and those of Adobe Commerce are not used: orders are polled.",
        "A refund does not say whether the goods came back; a return of Adobe Commerce does.",
        "A shop without inventory sources has one quantity for a product, and lowers it when it sells.",
    ),
)


def base_url(settings: Settings) -> str:
    """Where the paths begin; Adobe's cloud service has the tenant in its address and no /rest."""
    url = settings.url.rstrip("/")
    return url if settings.auth == "ims" else f"{url}/rest"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """As the settings say; the nonce is for OAuth 1.0a."""
    token = settings.access_token
    if token is None:
        return wire
    match settings.auth:
        case "oauth":
            if settings.consumer_secret is None or settings.access_secret is None:
                return wire
            consumer = (settings.consumer_key, settings.consumer_secret)
            return oauth1(wire, consumer, (token.reveal(), settings.access_secret), now, nonce, "sha256")
        case "bearer":
            return wire.add(bearer(token))
        case "ims":
            organisation = ("x-gw-ims-org-id", settings.organisation)
            return wire.add(bearer(token), ("x-api-key", settings.client_id), organisation)


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """A token of Adobe's identity service, for a day; an integration's own do not expire. Raises Failed."""
    if settings.auth != "ims" or settings.client_secret is None:
        raise Failed("the shop refuses the integration's token, and it cannot be refreshed", login=True)
    form = (
        ("grant_type", "client_credentials"),
        ("client_id", settings.client_id),
        ("client_secret", settings.client_secret),
        ("scope", IMS_SCOPE),
    )
    answer = yield from ask(Request("POST", IMS, form=form, signed=False))
    if answer.status == 400:
        raise Failed(text(answer.json(), "error") or answer.words, login=True)
    found = expected(answer)
    fresh: dict[str, Any] = {"access_token": need_text(found, "access_token")}
    if seconds := whole(found, "expires_in"):
        fresh["expires_in"] = seconds
    return fresh


def pace(response: Response) -> float | None:
    """Seconds to hold back; the web server or host in front of the shop may say so."""
    return retry_after(response) if response.status in (429, 503) else None


def check(settings: Settings) -> Flow[str]:
    """What we may do there. Raises Failed when settings and shop do not fit together."""
    if settings.stock == "stock_item":
        found = expected((yield from ask(get("/V1/modules"))))
        need_rows({"items": found}, "items")
        if INVENTORY in found:
            raise Failed("the shop has inventory sources: set stock to sources")
        return f"{settings.url} with one stock item for a product"
    query = criteria([], 1)
    answer = yield from ask(get("/V1/inventory/sources", query))
    if answer.status == 404:
        raise Failed("the shop has no inventory sources: set stock to stock_item")
    listed = expected(answer)
    need_rows(listed, "items")
    return f"{settings.url} with {whole(listed, 'total_count') or 0} sources"


def places(settings: Settings) -> Flow[list[Place]]:
    """The enabled sources; none where a product has one stock item."""
    found: list[Place] = []
    if settings.stock == "stock_item":
        return found
    page, count = 1, 0
    while True:
        answer = yield from ask(get("/V1/inventory/sources", criteria([], PLACE_PAGE, page)))
        listed = expected(answer)
        rows = need_rows(listed, "items")
        for row in rows:
            code = need_text(row, "source_code")
            if at(row, "enabled") is not False:
                found.append(Place(code, text(row, "name") or code, default=code == SOURCE))
        count += len(rows)
        if not rows or count >= (whole(listed, "total_count") or 0):
            return found
        page += 1
