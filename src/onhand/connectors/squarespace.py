"""Speaks to a Squarespace shop: quantities by variant, set in one call of up to fifty operations.

Commerce APIs, inventory 1.0 and orders 1.0, https://developers.squarespace.com/commerce-apis; checked
2026-11-22 against that document's OpenAPI description; not yet called live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from onhand.connectors.auth import Wire, basic, bearer, fingerprint, mac, same
from onhand.connectors.channel import (
    Channel,
    Limit,
    Secret,
)
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Flow,
    Heard,
    Later,
    Page,
    Rejected,
    Request,
    Response,
    Seen,
    Shown,
    Target,
    Unheard,
    Unsure,
    Verdict,
    expect,
    for_all,
    retry_after,
)
from onhand.connectors.reading import ask, need_text, said_at, text, whole
from onhand.connectors.squarespace_orders import following, listed, orders

__all__ = ["CHANNEL", "Settings", "base_url", "check", "hear", "orders", "pace", "pull", "push", "sign"]
__all__ += ["tokens"]

OPERATIONS = 50
COOL_DOWN = 60.0
"""Seconds without service after too many requests; nothing in the answer says so."""
TOKEN_URL = "https://login.squarespace.com/api/1/login/oauth/provider/tokens"  # noqa: S105
TOKEN_SECONDS = 1800
INVENTORY = "/1.0/commerce/inventory"
ADJUSTMENTS = f"{INVENTORY}/adjustments"
WEBSITE = "/1.0/authorization/website"
CONCURRENT = "CONCURRENT_MODIFICATION"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A site's API key, or an app's tokens; webhooks come to apps only, with a secret in hexadecimal."""

    api_key: Secret | None = None
    access_token: Secret | None = None
    client_id: str = ""
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    webhook_secret: Secret | None = None
    user_agent: Annotated[str, msgspec.Meta(pattern=r"^[ -~]{1,200}$")] = "onhand inventory hub"
    expires_at: int = 0

    def __post_init__(self) -> None:
        if not (self.api_key or self.access_token or self.refresh_token):
            raise ValueError("Expected api_key, access_token or refresh_token")
        if self.webhook_secret and not _raw(self.webhook_secret):
            raise ValueError("Expected webhook_secret in hexadecimal")


CHANNEL = Channel(
    name="squarespace",
    title="Squarespace",
    version="inventory 1.0 and orders 1.0",
    document="https://developers.squarespace.com/commerce-apis",
    checked="2026-11-22",
    settings=Settings,
    identity=("variant",),
    auth="API key, or OAuth tokens of half an hour with refresh",
    batch=OPERATIONS,
    limits=(Limit("default", calls=300, seconds=60, burst=5),),
    idempotent=True,
    infinite=True,
    webhooks=True,
    refreshes=True,
    cannot=(
        "It has no locations.",
        "It does not compare before it sets: a sale in between is healed by the next poll of orders.",
        "It does not say which units of an order were shipped or refunded, only that the order is fulfilled.",
        "With an API key there are no webhooks.",
    ),
)


def base_url(settings: Settings) -> str:
    """One host for all sites; the credential says which."""
    return "https://api.squarespace.com"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the bearer token and the user agent without which everything is refused.

    An adjustment must carry a key, and what was said under a key within two days is not done again: so every
    attempt has its own. Setting a number twice does no harm, but not setting it would, when somebody has
    changed it in between.
    """
    wire = wire.add(("User-Agent", settings.user_agent))
    if token := settings.api_key or settings.access_token:
        wire = wire.add(bearer(token))
    if wire.url.endswith(ADJUSTMENTS):
        wire = wire.add(("Idempotency-Key", fingerprint(f"{now} {nonce} {wire.body.hex()}")))
    return wire


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """The next access token; a new refresh token with it replaces the old one."""
    if settings.refresh_token is None or settings.client_secret is None:
        raise Failed("the credential is refused and there is no refresh token to get another", login=True)
    name, proof = basic(settings.client_id, settings.client_secret)
    body = {"grant_type": "refresh_token", "refresh_token": settings.refresh_token}
    headers: tuple[tuple[str, str | Secret], ...] = (
        (name, Secret(proof)),
        ("User-Agent", settings.user_agent),
    )
    answer = yield from ask(Request("POST", TOKEN_URL, json=body, headers=headers, signed=False))
    found = expect(answer)
    ends, now = whole(found, "access_token_expires_at"), said_at(answer)
    seconds = ends - now // 1_000_000 if ends and now else TOKEN_SECONDS
    fresh = {"access_token": need_text(found, "access_token"), "expires_in": max(0, seconds)}
    if following := text(found, "refresh_token"):
        fresh["refresh_token"] = following
    return fresh


def check(settings: Settings) -> Flow[str]:
    """How many variants the first page of the inventory has; and the site's name, where an app asks."""
    answer = yield from ask(Request("GET", INVENTORY, repeatable=True))
    count = len(listed(expect(answer), "inventory"))
    name = ""
    if not settings.api_key:
        name = text((yield from ask(Request("GET", WEBSITE, repeatable=True))).json(), "title") or ""
    return f"{name or 'the Squarespace site'}, {count} variants on the first page"


# --- telling --------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """What one variant is told: a number, or None for unlimited."""

    variant: str
    quantity: int | None


def push(settings: Settings, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Set all numbers in one call, which is done as a whole or not at all and does not say what it minds."""
    refused: dict[int, Verdict] = {}
    said: dict[str, Said] = {}
    for place, target in enumerate(targets):
        line = _said(target)
        if isinstance(line, str):
            refused[place] = Rejected(target, line)
        elif said.setdefault(line.variant, line) != line:
            # A variant may occur in one operation only.
            refused[place] = Rejected(target, "another listing sets another number for the same variant")
    if not said:
        return list(refused.values())
    call = Request("POST", ADJUSTMENTS, json=_operations(list(said.values())), repeatable=True)
    answer = yield from ask(call)
    verdicts = _judged([target for place, target in enumerate(targets) if place not in refused], answer)
    following = iter(verdicts)
    return [refused[place] if place in refused else next(following) for place in range(len(targets))]


def _said(target: Target) -> Said | str:
    """What to tell, or why it cannot be told."""
    variant = target.ids.get("variant")
    if not variant:
        return "the listing has no variant"
    if len(target.slots) != 1:
        return "the listing has not one number; Squarespace has no locations"
    slot = target.slots[0]
    return Said(variant, None if slot.infinite else min(slot.offer, CHANNEL.largest))


def _operations(said: Sequence[Said]) -> dict[str, Any]:
    finite = [
        {"variantId": one.variant, "quantity": one.quantity} for one in said if one.quantity is not None
    ]
    unlimited = [one.variant for one in said if one.quantity is None]
    named = {"setFiniteOperations": finite, "setUnlimitedOperations": unlimited}
    return {name: operations for name, operations in named.items() if operations}


def _judged(targets: Sequence[Target], answer: Response) -> list[Verdict]:
    if answer.status == 204:
        return [Accepted(target) for target in targets]
    subtype = text(answer.json(), "subtype")
    if answer.status == 429:
        return [Later(target, answer.words, COOL_DOWN) for target in targets]
    if answer.status == 402 or (answer.status == 409 and subtype == CONCURRENT):
        return [Later(target, answer.words) for target in targets]
    if answer.ok:
        # Only an empty 204 is documented as done.
        return [Unsure(target, answer.words) for target in targets]
    return for_all(targets, answer)


# --- looking --------------------------------------------------------------------------------------------


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """Fifty variants; the cursor is Squarespace's own."""
    query = (("cursor", cursor),) if cursor else ()
    answer = yield from ask(Request("GET", INVENTORY, query=query, repeatable=True))
    found = expect(answer)
    seen = tuple(
        Seen(
            {"variant": need_text(row, "variantId")},
            text(row, "sku"),
            # While a variant is unlimited, its quantity is one that it once had.
            (Shown(None if row.get("isUnlimited") is True else whole(row, "quantity")),),
            title=text(row, "descriptor") or "",
        )
        for row in listed(found, "inventory")
    )
    return Page(seen, following(found))


# --- hearing --------------------------------------------------------------------------------------------


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A notification, which names an order and does not hold it. Raises Unheard. Its id is under the
    signature, so that a repetition is known."""
    if settings.webhook_secret is None:
        raise Unheard("no secret is set to verify webhooks with")
    proof = mac(_raw(settings.webhook_secret), body).hex().encode()
    given = headers.get("squarespace-signature", "").strip().lower().encode("utf-8", "replace")
    if not same(proof, given):
        raise Unheard("the signature is wrong")
    said = Response(200, body=body).json()
    topic = text(said, "topic") or ""
    name = text(said, "notificationId") or fingerprint(body.hex())
    return Heard(name, topic, poll_orders=topic.startswith("order."))


def _raw(secret: Secret) -> bytes:
    """The key itself: the secret is its hexadecimal form. Empty when it is none."""
    try:
        return bytes.fromhex(secret.reveal())
    except ValueError:
        return b""


def pace(response: Response) -> float | None:
    """A flat minute after a 429; otherwise nothing is told."""
    return COOL_DOWN if response.status == 429 else retry_after(response)
