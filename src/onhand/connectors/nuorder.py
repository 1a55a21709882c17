"""Speaks to a NuORDER portal: quantities by size and warehouse, now and from later days on.

API v3.0 replenishments, https://nuorder.com/api-docs; checked 2026-11-22 against clients in use, for want of
a published specification; not yet called live, and the read path of replenishments is inferred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from onhand.connectors.auth import Wire, mac, oauth1
from onhand.connectors.channel import Channel, Limit, Secret
from onhand.connectors.flow import (
    Failed,
    Flow,
    Page,
    Place,
    Request,
    Response,
    Seen,
    Shown,
    expect,
    retry_after,
)
from onhand.connectors.nuorder_orders import orders, reread
from onhand.connectors.nuorder_push import BATCH, LARGEST, push
from onhand.connectors.nuorder_rows import NOW, begun, looked, today
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text

__all__ = [
    "CHANNEL",
    "Settings",
    "base_url",
    "check",
    "orders",
    "pace",
    "places",
    "pull",
    "push",
    "reread",
    "sign",
]

PAGE = 10
"""Products in a page: each size is a call, and a second."""
HOLD = 5.0

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The four keys of the portal's API management, the ids of the warehouses to keep, and the seasons whose
    products are listed. ``sku_field`` is the field of a size that has the SKU; ``signing`` is "nuorder" for
    portals that want its older signature. ``delete_unseen`` says that all rows of a size in these warehouses
    are ours: where the portal does not show them, they are deleted before new ones are told."""

    consumer_key: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,200}$")]
    consumer_secret: Secret
    token: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,200}$")]
    token_secret: Secret
    warehouses: Annotated[tuple[Words, ...], msgspec.Meta(min_length=1, max_length=100)]
    seasons: Annotated[tuple[Words, ...], msgspec.Meta(max_length=100)] = ()
    sku_field: Words = "upc"
    host: Annotated[str, msgspec.Meta(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]+)?$")] = (
        "https://next.nuorder.com"
    )
    signing: Literal["oauth1", "nuorder"] = "oauth1"
    delete_unseen: bool = False


CHANNEL = Channel(
    name="nuorder",
    title="NuORDER",
    version="API v3.0 replenishments",
    document="https://nuorder.com/api-docs",
    checked="2026-11-22",
    settings=Settings,
    shop=("host", "consumer_key", "token"),
    auth="OAuth 1.0a with keys that do not expire",
    batch=BATCH,
    # No number is published; clients in use wait and try again.
    limits=(Limit("default", calls=1, seconds=1, burst=5),),
    largest=LARGEST,
    locations=True,
    futures=True,
    identity=("product", "size"),
    cannot=(
        "It has no unlimited quantity that is documented: an unlimited item shows its cap.",
        "It sends no webhooks: orders are polled, and there is no list of them by time of change.",
        "An order says that it is shipped, not how much of it.",
        "Prebook lines take nothing from stock until they are shipped.",
        "Listings are read by season, so the seasons have to be named.",
        "It compares nothing: a sale between reading and writing is healed by the next order poll.",
        "A portal that does not show its rows is told nothing, unless delete_unseen lets all be replaced.",
    ),
)


def base_url(settings: Settings) -> str:
    """The portal's host, as the settings name it."""
    return settings.host


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """By OAuth 1.0a with HMAC-SHA1, or in NuORDER's older way."""
    if settings.signing == "oauth1":
        keys = (settings.consumer_key, settings.consumer_secret), (settings.token, settings.token_secret)
        return oauth1(wire, *keys, now, nonce, "sha1")
    fields = {
        "oauth_consumer_key": settings.consumer_key,
        "oauth_token": settings.token,
        "oauth_timestamp": str(now // 1_000_000),
        "oauth_nonce": nonce,
        "oauth_version": "1.0",
        "oauth_signature_method": "HMAC-SHA1",
    }
    # Nothing is sorted or encoded here, and the proof is written in hex: no reader of RFC 5849 takes it.
    said = f"{wire.method}{wire.url}?" + "&".join(f"{name}={value}" for name, value in fields.items())
    key = f"{settings.consumer_secret.reveal()}&{settings.token_secret.reveal()}".encode()
    fields["oauth_signature"] = mac(key, said.encode(), "sha1").hex()
    header = ",".join(f'{name}="{value}"' for name, value in fields.items())
    return wire.add(("Authorization", f"OAuth {header}"))


def check(settings: Settings) -> Flow[str]:
    """How many orders wait for approval."""
    found = expect((yield from ask(Request("GET", "/api/orders/pending/list", repeatable=True))))
    need_rows(found)
    return f"NuORDER portal with {len(found)} pending orders"


def places(settings: Settings) -> Flow[list[Place]]:
    """The warehouses of the settings: no call that lists them is known."""
    yield from ()
    return [Place(name, name, default=name == settings.warehouses[0]) for name in settings.warehouses]


# --- looking --------------------------------------------------------------------------------------------


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of products of a season with the rows of all sizes. The cursor is ``season|offset``."""
    if not settings.seasons:
        raise Failed("no season is named: NuORDER lists products by season only")
    told, _, after = (cursor or "").partition("|")
    turn = int(told) if told.isdigit() and int(told) < len(settings.seasons) else 0
    offset = int(after) if after.isdigit() else 0
    path = f"/api/products/season/{quote(settings.seasons[turn], safe='')}/list"
    listed = expect((yield from ask(Request("GET", path, repeatable=True))))
    need_rows(listed)
    names = [name for row in listed if (name := text(row) or text(row, "_id"))]
    seen: list[Seen] = []
    for name in names[offset : offset + PAGE]:
        seen += yield from _product(settings, name)
    if offset + PAGE < len(names):
        return Page(tuple(seen), f"{turn}|{offset + PAGE}")
    return Page(tuple(seen), f"{turn + 1}|0" if turn + 1 < len(settings.seasons) else None)


def _product(settings: Settings, name: str) -> Flow[list[Seen]]:
    """The sizes of a product; none when it is gone."""
    answer = yield from ask(Request("GET", f"/api/product/{quote(name, safe='')}", repeatable=True))
    if answer.status == 404:
        return []
    product = expect(answer)
    seen: list[Seen] = []
    for size in need_rows(product, "sizes"):
        sku = text(size, "_id") or _size_id(product, text(size, "size"))
        if sku is None:
            continue
        shown: list[Shown] = []
        for warehouse in settings.warehouses:
            shown.append((yield from _shown(warehouse, sku)))
        seen.append(_seen(settings, product, size, sku, shown))
    return seen


def _size_id(product: Any, size: str | None) -> str | None:
    """The id of a size that does not carry it itself."""
    return next((text(row, "_id") for row in rows(product, "__size_ids") if text(row, "size") == size), None)


def _shown(warehouse: str, sku: str) -> Flow[Shown]:
    """What buyers can order now. No rows are no zero, and a row without a number has no limit."""
    known, answer = yield from looked(warehouse, sku)
    day = today(answer)
    current = [
        row
        for row in known or ()
        if row.active and not row.prebook and (row.name == NOW or begun(row.start, day))
    ]
    counts = [row.quantity for row in current if row.quantity is not None]
    return Shown(sum(counts) if counts and len(counts) == len(current) else None, warehouse)


def _seen(
    settings: Settings, product: Any, size: Mapping[str, Any], sku: str, shown: Sequence[Shown]
) -> Seen:
    name = text(size, "size") or ""
    title = (text(product, "name"), text(product, "color"), name)
    dead = any(at(product, flag) in (True, "true") for flag in ("archived", "cancelled", "disabled"))
    return Seen(
        {"product": need_text(product, "_id"), "sku": sku, "size": name},
        text(size, settings.sku_field) or text(size, "upc"),
        tuple(shown),
        title=" - ".join(part for part in title if part),
        active=at(product, "active") is not False and not dead,
    )


def pace(response: Response) -> float | None:
    """Seconds to hold after a throttle."""
    if response.status != 429:
        return None
    return retry_after(response) or HOLD
