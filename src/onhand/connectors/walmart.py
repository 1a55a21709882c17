"""Speaks to Walmart Marketplace in the United States: quantities on hand by SKU and ship node.

Marketplace API v3 (inventory feed 1.5), https://developer.walmart.com/us-marketplace; checked 2026-11-22
against copies of its published OpenAPI files; not yet called live. Of what is used here Walmart retires one
call, some day in 2026: the old list of stock in its own warehouses, which is asked only where the new one is
not to be had.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from onhand.connectors.auth import Wire, basic, fingerprint, mac, same
from onhand.connectors.channel import Channel, Meaning, Secret
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
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text, units, whole
from onhand.connectors.walmart_calls import LIMITS, SERVICE, amount, correlation, errors, get, hold
from onhand.connectors.walmart_orders import orders
from onhand.connectors.walmart_push import BATCH, LARGEST, push

__all__ = ["CHANNEL", "Settings", "base_url", "check", "hear", "orders", "pace", "places", "pull"]
__all__ += ["push", "sign", "tokenless", "tokens"]

PAGE = 50
WFS_PAGE = 200
WFS = "wfs|"
"""How the cursor begins while Walmart's own stock is read."""
OWNED, OWNED_ONCE = "/v3/wfs/inventory", "/v3/fulfillment/inventory"
"""Where that is, and where it was: some sellers are not let in at the new door yet."""
SHUT = {400, 403, 404}
NEEDED = {"inventory": ("full_access",), "orders": ("full_access", "view_only")}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The seller's client id and secret. ``wfs`` says that stock in Walmart's own warehouses is to be shown
    too; ``webhook_secret`` and ``webhook_header`` are those of the subscription in HMAC mode."""

    client_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    client_secret: Secret
    access_token: Secret | None = None
    sandbox: bool = False
    wfs: bool = False
    webhook_secret: Secret | None = None
    webhook_header: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "X-Hub-Auth"
    expires_at: int = 0


CHANNEL = Channel(
    name="walmart",
    title="Walmart",
    version="Marketplace API v3",
    document="https://developer.walmart.com/us-marketplace",
    checked="2026-11-22",
    settings=Settings,
    shop=("client_id", "sandbox"),
    auth="client credentials, a token for 15 minutes",
    batch=BATCH,
    limits=LIMITS,
    meaning=Meaning.GROSS,
    asynchronous=True,
    largest=LARGEST,
    locations=True,
    webhooks=True,
    refreshes=True,
    identity=("sku", "wfs"),
    cannot=(
        "It has no unlimited quantity: an unlimited item shows its cap.",
        "It compares nothing: a sale between reading and writing is healed by the next order poll.",
        "Stock in Walmart's own warehouses is shown and never written.",
        "Canada, Mexico and Chile have another API, which is not spoken.",
        "Returned units are not read: put them back by a receipt.",
    ),
)


def base_url(settings: Settings) -> str:
    """Production, or the sandbox."""
    return f"https://{'sandbox' if settings.sandbox else 'marketplace'}.walmartapis.com"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the token in Walmart's own header, the service name, and a name for this very call."""
    named = wire.add(("WM_SVC.NAME", SERVICE), ("WM_QOS.CORRELATION_ID", correlation(nonce)))
    token = settings.access_token
    return named.add(("WM_SEC.ACCESS_TOKEN", token.reveal())) if token else named


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """A token for 15 minutes. The name of the call is the same each time: it only serves to trace it."""
    call = Request(
        "POST",
        "/v3/token",
        form=(("grant_type", "client_credentials"),),
        headers=(
            ("Authorization", Secret(basic(settings.client_id, settings.client_secret)[1])),
            ("WM_SVC.NAME", SERVICE),
            ("WM_QOS.CORRELATION_ID", correlation(f"token of {settings.client_id}")),
        ),
        signed=False,
        repeatable=True,
    )
    found = expect((yield from ask(call)))
    fresh: dict[str, Any] = {"access_token": need_text(found, "access_token")}
    if seconds := whole(found, "expires_in"):
        fresh["expires_in"] = seconds
    return fresh


def tokenless(settings: Settings) -> bool:
    """Whether there is no token yet: a call without its header is a bad request there."""
    return settings.access_token is None


def check(settings: Settings) -> Flow[str]:
    """What the token may do. Raises Failed when it may not write inventory or not read orders."""
    found = expect((yield from ask(get("/v3/token/detail", (), "default"))))
    scopes = at(found, "scopes")
    if not isinstance(scopes, Mapping):
        raise Failed("the channel's answer is not as documented: scopes are missing", retry=True)
    if lacking := [name for name, good in NEEDED.items() if text(scopes, name) not in good]:
        raise Failed(f"the key has no access to {', '.join(lacking)}", login=True)
    return "Walmart seller: " + ", ".join(f"{name} {text(scopes, name)}" for name in NEEDED)


# --- looking --------------------------------------------------------------------------------------------


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of SKUs with all their nodes; after the last, Walmart's own stock where that is wanted."""
    if cursor and cursor.startswith(WFS):
        return (yield from _pull_wfs(units(cursor.removeprefix(WFS))))
    query = (("limit", str(PAGE)), *((("nextCursor", cursor),) if cursor else ()))
    found = expect((yield from ask(get("/v3/inventories", query, "get inventories"))))
    listed = need_rows(found, "elements", "inventories")
    following = text(found, "meta", "nextCursor")
    if not listed or following == cursor or following is None:
        following = f"{WFS}0" if settings.wfs else None
    return Page(tuple(_seen(row) for row in listed), following)


def _seen(row: Mapping[str, Any]) -> Seen:
    sku = need_text(row, "sku")
    nodes = [node for node in rows(row, "nodes") if text(node, "shipNode") and not errors(node)]
    return Seen({"sku": sku}, sku, tuple(_shown(node) for node in nodes))


def _shown(node: Mapping[str, Any]) -> Shown:
    """What can be sold. What was put in is more by the open orders, which Walmart takes off itself."""
    told, kept, sold = (amount(node, name) for name in ("inputQty", "availToSellQty", "reservedQty"))
    if kept is None and told is not None:
        kept = max(0, told - (sold or 0))
    return Shown(kept, text(node, "shipNode"), committed=max(0, sold or 0))


def _pull_wfs(offset: int) -> Flow[Page]:
    query = (("limit", str(WFS_PAGE)), ("offset", str(offset)))
    answer = yield from ask(get(OWNED, query, "default"))
    if answer.status in SHUT:
        answer = yield from ask(get(OWNED_ONCE, query, "default"))
    found = expect(answer)
    listed = need_rows(found, "payload", "inventory")
    # It need not give as many as were asked for.
    end = offset + len(listed)
    more = listed and end < units(found, "headers", "totalCount")
    return Page(tuple(_owned(row) for row in listed), f"{WFS}{end}" if more else None)


def _owned(row: Mapping[str, Any]) -> Seen:
    """A SKU in Walmart's warehouses, as the new list tells it or the old one."""
    told = at(row, "itemInformation") or row
    sku = need_text(told, "sku")
    kept = whole(row, "inventoryData", "availableUnits")
    if told is row:
        kept = whole(row, "shipNodes", 0, "availToSellQty")
    ids = {"sku": sku, "wfs": "true"}
    why = "Walmart's own warehouses keep this stock"
    return Seen(ids, sku, (Shown(kept, "WFS"),), title=text(told, "itemName") or "", writable=False, why=why)


def places(settings: Settings) -> Flow[list[Place]]:
    """The seller's nodes; only those that are active and not run by Walmart or another are ours."""
    found = expect((yield from ask(get("/v3/settings/shipping/shipnodes", (), "ship nodes"))))
    listed = rows(found) if isinstance(found, list) else need_rows(found, "shipNodes")
    return [_place(row) for row in listed]


def _place(row: Mapping[str, Any]) -> Place:
    name = need_text(row, "shipNode")
    kind, state = text(row, "nodeType") or "", text(row, "status") or "ACTIVE"
    ours = state.upper() == "ACTIVE" and not any(other in kind.upper() for other in ("WFS", "WALMART", "3PL"))
    return Place(name, text(row, "shipNodeName") or name, ours)


# --- hearing --------------------------------------------------------------------------------------------


def hear(settings: Settings, headers: Mapping[str, str], body: bytes, now: int) -> Heard:
    """A webhook of a subscription in HMAC mode, as a hint to look. Raises Unheard.

    The documents do not say in which letters the proof is written: both are taken. A delivery is repeated
    until it is answered, with its old time, so age is no reason to refuse; its id tells a repetition."""
    if settings.webhook_secret is None:
        raise Unheard("no secret is set to verify webhooks with")
    given = headers.get(settings.webhook_header.lower(), "").strip().removeprefix("sha256=")
    proof = mac(settings.webhook_secret.reveal().encode(), body)
    forms = (proof.hex().encode(), base64.b64encode(proof))
    if not any(same(form, given.encode("utf-8", "replace")) for form in forms):
        raise Unheard("the signature is wrong")
    said = Response(200, body=body).json()
    topic = text(said, "payload", "subEventType") or text(said, "source", "eventType") or ""
    kind = f"{text(said, 'source', 'eventType') or ''} {topic}".upper()
    sku = text(said, "payload", "sku")
    return Heard(
        text(said, "source", "eventId") or fingerprint(body.hex()),
        topic,
        poll_orders=any(word in kind for word in ("ORDER", "PO_", "CANCEL", "FRAUD")),
        look_at=(sku,) if sku and "INVENTORY" in kind else (),
    )


def pace(response: Response) -> float | None:
    """Seconds until the bucket is filled again, once an answer says that it is empty."""
    return hold(response)
