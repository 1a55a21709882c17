"""Speaks to any Mirakl marketplace for one of its shops: offers and their stock, with orders polled.

Mirakl Marketplace seller API (one contract, an own host for every operator),
https://developer.mirakl.com/content/product/mmp/rest/seller/openapi3; checked 2026-11-22 against that
OpenAPI document; not yet called live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

import msgspec

from onhand.connectors.auth import Wire
from onhand.connectors.channel import Channel, Limit, Secret
from onhand.connectors.flow import (
    Flow,
    Orders,
    Page,
    Pairs,
    Place,
    Request,
    Response,
    Seen,
    Shown,
    Target,
    Verdict,
    expect,
    retry_after,
)
from onhand.connectors.mirakl_import import LARGEST, LOOK_SECONDS, push_stock
from onhand.connectors.mirakl_orders import OWN_CENTRE, read_orders
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text, units, whole

DOCUMENT = "https://developer.mirakl.com/content/product/mmp/rest/seller/openapi3"
CHECKED = "2026-11-22"
FILE_ROWS = 10_000
"""Mirakl states no limit for a file; this keeps one below a megabyte."""
PAGE = 100
IDENTITY = ("sku",)
"""An offer is told by its SKU, and has one."""
CODE_PAGES = 10
"""Pages of offers that are searched for codes of warehouses; a code that none of them has is typed in."""
HARMLESS = {"ZERO_QUANTITY"}
"""Why an offer can be inactive and yet be alive: it only waits for stock."""
LIMITS = (
    Limit("default", calls=1, seconds=1, burst=5),
    Limit("imports", calls=1, seconds=60),
    Limit("status", calls=1, seconds=LOOK_SECONDS),
    Limit("reports", calls=1, seconds=60, burst=2),
    Limit("orders", calls=1, seconds=60, burst=5),
)
CANNOT = (
    "It has no unlimited quantity: an unlimited item shows its cap.",
    "It sends no webhooks to shops: orders are polled.",
    "A refund does not say whether goods came back: returns are to be recorded here.",
    "Several parcels of one order line show as shipped when the whole line is.",
    "Stock of a marketplace without the stock import (STO01) cannot be set.",
)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``url`` is the operator's host, as https://shop-prod.mirakl.net; ``shop_id`` is needed by users of
    several shops; ``warehouses`` are codes of the operator, which cannot be asked for."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https://[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]{1,5})?$")]
    api_key: Secret
    shop_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]*$")] = ""
    warehouses: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()


class Shop(Protocol):
    """What the flows need to know of a shop; every channel that is a Mirakl marketplace has it."""

    @property
    def api_key(self) -> Secret:
        """The shop's key."""

    @property
    def shop_id(self) -> str:
        """Empty where the key opens one shop."""

    @property
    def warehouses(self) -> tuple[str, ...]:
        """Codes that were typed in."""


CHANNEL = Channel(
    name="mirakl",
    title="Mirakl",
    version="Marketplace seller API",
    document=DOCUMENT,
    checked=CHECKED,
    settings=Settings,
    shop=("url", "shop_id", "api_key"),
    auth="shop API key",
    batch=FILE_ROWS,
    limits=LIMITS,
    asynchronous=True,
    largest=LARGEST,
    locations=True,
    identity=IDENTITY,
    cannot=CANNOT,
)


def base_url(settings: Settings) -> str:
    """The operator's host."""
    return settings.url


def sign(settings: Shop, wire: Wire, now: int, nonce: str) -> Wire:
    """With the shop's key, as it is: Mirakl wants no word before it."""
    return wire.add(("Authorization", settings.api_key.reveal()))


def pace(response: Response) -> float | None:
    """Mirakl names the seconds when it is asked too often."""
    return retry_after(response) if response.status == 429 else None


def push(settings: Shop, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Absolute quantities by warehouse, or for the whole offer, in one awaited import."""
    return (yield from push_stock(_shop(settings), targets))


def orders(settings: Shop, cursor: str | None) -> Flow[Orders]:
    """Orders changed since the cursor; without one, those that wait to be shipped."""
    return (yield from read_orders(_shop(settings), cursor))


def check(settings: Shop) -> Flow[str]:
    """The shop's name and number there."""
    found = expect((yield from ask(_get(settings, "/api/account"))))
    return f"{need_text(found, 'shop_name')} ({need_text(found, 'shop_id')})"


def pull(settings: Shop, cursor: str | None) -> Flow[Page]:
    """A page of offers. The cursor is the row of the next one."""
    offset = int(cursor) if cursor and cursor.isdigit() else 0
    paging = (("max", str(PAGE)), ("offset", str(offset)))
    found = expect((yield from ask(_get(settings, "/api/offers", paging))))
    listed = need_rows(found, "offers")
    after = offset + len(listed)
    more = bool(listed) and after < units(found, "total_count")
    return Page(tuple(_seen(row) for row in listed), str(after) if more else None)


def places(settings: Shop) -> Flow[list[Place]]:
    """The operator's warehouses, where it has the feature: the codes of the settings, else those that
    offers carry. An empty list says that offers have one quantity each."""
    found = expect((yield from ask(_get(settings, "/api/platform/configuration"))))
    if at(found, "features", "warehouses") is not True:
        return []
    codes = list(settings.warehouses) or (yield from _codes(settings))
    return [Place(code, code, default=code == codes[0]) for code in codes]


def _codes(settings: Shop) -> Flow[list[str]]:
    cursor: str | None = "0"
    codes: dict[str, None] = {}
    for _ in range(CODE_PAGES):
        if cursor is None:
            break
        page = yield from pull(settings, cursor)
        codes |= {shown.location: None for seen in page.seen for shown in seen.shown if shown.location}
        cursor = page.cursor
    return list(codes)


def _seen(row: Mapping[str, Any]) -> Seen:
    centre = text(row, "fulfillment", "center", "code")
    foreign = centre not in (None, OWN_CENTRE)
    here = [
        Shown(whole(stock, "quantity"), text(stock, "code"))
        for stock in rows(row, "warehouses")
        if text(stock, "code")
    ]
    reasons = at(row, "inactivity_reasons")
    waits = isinstance(reasons, list) and bool(reasons) and HARMLESS.issuperset(map(str, reasons))
    ids = {"sku": text(row, "shop_sku"), "offer_id": text(row, "offer_id")}
    return Seen(
        {name: value for name, value in ids.items() if value},
        text(row, "shop_sku"),
        tuple(here) or (Shown(whole(row, "quantity")),),
        title=text(row, "product_title") or "",
        active=at(row, "active") is not False or waits,
        writable=not foreign,
        why=f"the fulfilment centre {centre} keeps this stock" if foreign else "",
    )


def _shop(settings: Shop) -> Pairs:
    return (("shop_id", settings.shop_id),) if settings.shop_id else ()


def _get(settings: Shop, path: str, query: Pairs = ()) -> Request:
    return Request("GET", path, query=(*_shop(settings), *query), repeatable=True)
