"""Speaks to a Wix store, whichever catalogue its site has: V1 by product, V3 by variant and location.

Stores Inventory Items v3 and Stores Inventory v2, eCommerce Orders v1,
https://dev.wix.com/docs/api-reference/business-solutions/stores; checked 2026-11-22 against Wix's generated
SDK packages; not yet called live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from onhand.connectors import wix_hearing, wix_v1, wix_v3
from onhand.connectors.auth import Wire
from onhand.connectors.channel import Channel, Guard, Limit, Secret
from onhand.connectors.flow import (
    Failed,
    Flow,
    Heard,
    Page,
    Place,
    Rejected,
    Request,
    Response,
    Target,
    Unheard,
    Verdict,
    expect,
    retry_after,
)
from onhand.connectors.reading import ask, need_text, whole
from onhand.connectors.wix_calls import BASE, LARGEST, V1, V3, catalog
from onhand.connectors.wix_orders import orders

__all__ = ["CHANNEL", "Settings", "base_url", "check", "hear", "orders", "pace", "places", "pull"]
__all__ += ["push", "sign", "tokens"]

BATCH = 100
HOLD = 10.0
"""Seconds to wait after a throttle: Wix counts by the minute and does not say when it ends."""

Guid = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z-]{0,64}$")]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site's owner gives an ``api_key`` and the ``site_id``; an app its id, secret and the id of its
    instance on the site. ``public_key`` is the app's, and verifies webhooks."""

    api_key: Secret | None = None
    site_id: Guid = ""
    client_id: Guid = ""
    client_secret: Secret | None = None
    instance_id: Guid = ""
    access_token: Secret | None = None
    public_key: str = ""
    expires_at: int = 0

    def __post_init__(self) -> None:
        app = self.client_id and self.client_secret and self.instance_id
        if not (self.api_key and self.site_id) and not app:
            raise ValueError("Expected api_key and site_id, or client_id, client_secret and instance_id")
        if self.public_key:
            wix_hearing.public_key(self.public_key)


CHANNEL = Channel(
    name="wix",
    title="Wix",
    version="Stores Inventory Items v3 and Stores Inventory v2",
    document="https://dev.wix.com/docs/api-reference/business-solutions/stores",
    checked="2026-11-22",
    settings=Settings,
    shop=("site_id", "instance_id"),
    auth="API key, or client credentials for four hours",
    batch=BATCH,
    limits=(Limit("default", calls=200, seconds=60, burst=20),),
    guard=Guard.REVISION,
    infinite=True,
    largest=LARGEST,
    locations=True,
    webhooks=True,
    refreshes=True,
    identity=("product", "variant"),
    cannot=(
        "Catalogue V1 has no locations, no revision and no unlimited variant: it shows the cap.",
        "In catalogue V1 all variants of a product are tracked, or none: telling one number tracks them all.",
        "A variant that has no stock record at a location is not given one.",
        "A refund without restocking does not free the units of an order: cancel it.",
        "An order that is being paid is not told, though its units are taken off: they may be offered again.",
    ),
)


def base_url(settings: Settings) -> str:
    """One host for all sites."""
    return BASE


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the key and the site, or with the app's token; neither has a scheme before it."""
    if settings.api_key:
        return wire.add(("Authorization", settings.api_key.reveal()), ("wix-site-id", settings.site_id))
    token = settings.access_token
    return wire.add(("Authorization", token.reveal())) if token else wire


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """A token for four hours; there is no refresh token, the next one is asked for in the same way."""
    if settings.client_secret is None:
        raise Failed("the API key is refused", login=True)
    body = {
        "grant_type": "client_credentials",
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
        "instance_id": settings.instance_id,
    }
    call = Request("POST", "/oauth2/token", json=body, signed=False, repeatable=True)
    found = expect((yield from ask(call)))
    fresh: dict[str, Any] = {"access_token": need_text(found, "access_token")}
    if seconds := whole(found, "expires_in"):
        fresh["expires_in"] = seconds
    return fresh


def check(settings: Settings) -> Flow[str]:
    """Which catalogue the site has."""
    return f"Wix Stores, catalogue {(yield from catalog(settings))}"


def push(settings: Settings, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """By the catalogue that a listing was imported from; where it does not say, the site is asked."""
    verdicts: dict[int, Verdict] = {}
    parts: dict[str, dict[int, Target]] = {V1: {}, V3: {}}
    unknown: dict[int, Target] = {}
    for index, target in enumerate(targets):
        if not target.ids.get("product") or not target.slots:
            verdicts[index] = Rejected(target, "the listing has no product or no number to show")
        else:
            parts.get(target.ids.get("catalog", ""), unknown)[index] = target
    if unknown:
        try:
            parts[(yield from catalog(settings))] |= unknown
        except Failed as failed:
            verdicts |= wix_v3.unread(unknown, failed)
    for part, say in ((parts[V3], wix_v3.push), (parts[V1], wix_v1.push)):
        if part:
            verdicts |= yield from say(part)
    return [verdicts[index] for index in range(len(targets))]


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of listings. The site is asked once a round which catalogue it has: it may have moved."""
    version, _, after = (cursor or "").partition("|")
    if version not in (V1, V3):
        version = yield from catalog(settings)
    page = yield from (wix_v1.pull if version == V1 else wix_v3.pull)(after or None)
    return Page(page.seen, f"{version}|{page.cursor}" if page.cursor else None)


def places(settings: Settings) -> Flow[list[Place]]:
    """The store's locations; catalogue V1 knows none."""
    version = yield from catalog(settings)
    return (yield from wix_v3.places()) if version == V3 else []


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A webhook, as a hint to look. Raises Unheard."""
    if not settings.public_key:
        raise Unheard("no key is set to verify webhooks with")
    return wix_hearing.heard(settings.public_key, settings.instance_id, settings.client_id, body, now)


def pace(response: Response) -> float | None:
    """Seconds to hold after a throttle."""
    if response.status != 429:
        return None
    return retry_after(response) or HOLD
