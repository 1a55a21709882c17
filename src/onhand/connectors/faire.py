"""Speaks to a Faire brand: what is on hand, net of Faire's own open orders; products; orders.

External API v2, https://faire.github.io/external-api-v2-docs; checked 2026-11-22 against that page and what
several public clients send, because the full description is closed; not yet called live.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from onhand.connectors.auth import Wire
from onhand.connectors.channel import (
    Channel,
    Limit,
    Meaning,
    Secret,
)
from onhand.connectors.faire_levels import BATCH, BY_VARIANT, LARGEST, levels, push, shown
from onhand.connectors.faire_orders import orders
from onhand.connectors.flow import (
    Flow,
    Page,
    Request,
    Response,
    Seen,
    expect,
    retry_after,
)
from onhand.connectors.reading import ask, need_rows, need_text, rows, text

__all__ = ["CHANNEL", "Settings", "base_url", "check", "orders", "pace", "pull", "push", "sign"]

PAGE = 50
USER_AGENT = "Mozilla/5.0 (compatible; onhand)"
PUBLISHED = "PUBLISHED"
DELETED = "DELETED"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A brand's ``token``; of an app with OAuth also its id and secret, when the token is the app's.
    ``start_tracking`` allows the first number for a variant that Faire lets sell freely."""

    token: Secret
    application_id: str = ""
    application_secret: Secret | None = None
    start_tracking: bool = False

    def __post_init__(self) -> None:
        if bool(self.application_id) != (self.application_secret is not None):
            raise ValueError("Expected application_id and application_secret, or neither")


CHANNEL = Channel(
    name="faire",
    title="Faire",
    version="External API v2",
    document="https://faire.github.io/external-api-v2-docs",
    checked="2026-11-22",
    settings=Settings,
    shop=("token",),
    auth="brand token, or the token of an OAuth app",
    batch=BATCH,
    # Nothing is published; several writes in a row were seen to be refused.
    limits=(Limit("write", calls=1, seconds=1), Limit("read", calls=2, seconds=1)),
    meaning=Meaning.GROSS,
    largest=LARGEST,
    identity=("variant_id",),
    cannot=(
        "Unlimited is what Faire does not track: a tracked variant that becomes unlimited shows its cap.",
        "A product that is set to sell when out of stock sells at 0 too.",
        "It has no locations, and no webhooks that can be verified.",
        "The token of an OAuth app is made elsewhere: its refresh is not published.",
        "An order does not say which units came back.",
    ),
)


def base_url(settings: Settings) -> str:
    """The same for all brands."""
    return "https://www.faire.com/external-api/v2"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With Faire's own headers, and a user agent: without one the doorman answers with a page."""
    token = settings.token.reveal()
    wire = wire.add(("User-Agent", USER_AGENT))
    if settings.application_secret is None:
        return wire.add(("X-FAIRE-ACCESS-TOKEN", token))
    pair = f"{settings.application_id}:{settings.application_secret.reveal()}".encode()
    app = ("X-FAIRE-APP-CREDENTIALS", base64.b64encode(pair).decode())
    return wire.add(("X-FAIRE-OAUTH-ACCESS-TOKEN", token), app)


def pace(response: Response) -> float | None:
    """Seconds to hold back."""
    return retry_after(response) if response.status in (429, 503) else None


def check(settings: Settings) -> Flow[str]:
    """The brand's name. Raises Failed."""
    call = Request("GET", "/brands/profile", limit="read", repeatable=True)
    found = expect((yield from ask(call)))
    return text(found, "name") or text(found, "brand", "name") or f"brand {need_text(found, 'id')}"


# --- looking --------------------------------------------------------------------------------------------


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of products with the levels of their variants. The cursor is Faire's, which stands alone."""
    query = (("cursor", cursor),) if cursor else (("limit", str(PAGE)),)
    found = expect((yield from ask(Request("GET", "/products", query, limit="read", repeatable=True))))
    listed = [row for row in need_rows(found, "products") if text(row, "lifecycle_state") != DELETED]
    variants = [(product, variant) for product in listed for variant in rows(product, "variants")]
    names = [need_text(variant, "id") for _, variant in variants]
    known: dict[str, Any] = {}
    for start in range(0, len(names), BATCH):
        asked = tuple(("ids", name) for name in names[start : start + BATCH])
        call = Request("GET", BY_VARIANT, asked, limit="read", repeatable=True)
        known |= levels(expect((yield from ask(call))))
    following = text(found, "cursor")
    more = bool(need_rows(found, "products")) and following != cursor
    return Page(tuple(_seen(variants, known)), following if more else None)


def _seen(
    variants: list[tuple[Mapping[str, Any], Mapping[str, Any]]], known: Mapping[str, Any]
) -> Iterator[Seen]:
    """A variant of which Faire told no level at all is unknown: nothing is shown, and that is not 0."""
    for product, variant in variants:
        name = need_text(variant, "id")
        ids = {"variant_id": name, "product_id": text(product, "id") or ""}
        told = (shown(known[name]),) if name in known else ()
        title = " ".join(filter(None, (text(product, "name"), text(variant, "name"))))
        active = text(product, "lifecycle_state") in (None, PUBLISHED)
        yield Seen(ids, text(variant, "sku"), told, title, active)
