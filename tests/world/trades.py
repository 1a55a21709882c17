"""How one trades on each of the fake channels: what is listed, shown, edited, sold, sent, called off there.

Listing n has SKU ``SKU-n`` everywhere. ``ship`` sends units of an order's one line, ``all`` of them when
``whole``; ``cancel`` calls an order off of which nothing was sent; ``back`` brings sent units back.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from fakes import (
    amazon,
    bigcommerce,
    ebay,
    etsy,
    faire,
    magento,
    mirakl,
    nuorder,
    overstock,
    sandbox,
    shopify,
    squarespace,
    tiktok,
    walmart,
    wix,
    woocommerce,
)

AS_EXAMPLE = "as the fake's example"


class Trade(NamedTuple):
    """What can happen at a channel. ``partly`` says whether a part of an order can be sent; ``place`` is the
    channel's location that is fed; ``vanish`` takes an order away without a word. ``whole`` is whether what
    others keep with a listing is still there."""

    fake: ModuleType
    stock: Callable[[Any, int], object] = lambda fake, n: fake.stock(n, 0)
    shown: Callable[[Any, int], int] = lambda fake, n: int(fake.shown(f"SKU-{n}"))
    edit: Callable[[Any, int, int], object] = lambda fake, n, units: fake.edit(f"SKU-{n}", units)
    sell: Callable[[Any, int, int], str] = lambda fake, n, units: str(fake.sell(f"SKU-{n}", units))
    ship: Callable[[Any, str, int, bool], object] = lambda fake, order, units, whole: None
    cancel: Callable[[Any, str, int, int], object] = lambda fake, order, n, units: None
    back: Callable[[Any, str, int], object] | None = None
    vanish: Callable[[Any, str], object] | None = None
    whole: Callable[[Any, int], bool] = lambda fake, n: True
    partly: bool = False
    options: dict[str, Any] = {}
    place: str | None = AS_EXAMPLE


def _sent_by_big(fake: Any, order: str, units: int, whole: bool) -> None:
    row = next(row for row in fake.orders if str(row["id"]) == order)
    sent = row["lines"][0]["quantity_shipped"] + units
    fake.touch(order, line={"quantity_shipped": sent}, status_id=2 if whole else 3)


def _off_at_big(fake: Any, order: str, n: int, units: int) -> None:
    fake.touch(order, status_id=5)
    fake.edit(f"SKU-{n}", fake.items[n - 1].hand[1] + units)


def _off_at_faire(fake: Any, order: str, n: int, units: int) -> None:
    fake.touch(order, state="CANCELED")
    fake.variants[n - 1].committed -= units


def _edit_gross(fake: Any, n: int, units: int) -> None:
    fake.edit(f"SKU-{n}", units + fake.variants[n - 1].committed)


def _off_at_magento(fake: Any, order: str, n: int, units: int) -> None:
    row = fake.touch(order, state="canceled")
    row["items"][0]["qty_canceled"] = units
    fake.reserved[f"SKU-{n}"] -= units


def _edit_magento(fake: Any, n: int, units: int) -> None:
    fake.edit(f"SKU-{n}", units + fake.reserved.get(f"SKU-{n}", 0))


def _sent_by_amazon(fake: Any, order: str, units: int, whole: bool) -> None:
    row = next(row for row in fake.orders if row["orderId"] == order)
    sent = row["orderItems"][0]["fulfillment"]["quantityFulfilled"] + units
    fake.change(order, "SHIPPED" if whole else "PARTIALLY_SHIPPED", sent)


def _at_warehouse(fake: Any, n: int, units: int) -> None:
    part = fake.offers[f"SKU-{n}"]["warehouses"][0]
    fake.offers[f"SKU-{n}"]["quantity"] = part["quantity"] = units


def _sold_at_warehouse(fake: Any, n: int, units: int) -> str:
    order = str(fake.sell(f"SKU-{n}", units))
    _at_warehouse(fake, n, fake.shown(f"SKU-{n}"))
    return order


def _off_at_warehouse(fake: Any, order: str, n: int, units: int) -> None:
    fake.change(order, "CANCELED")
    _at_warehouse(fake, n, fake.shown(f"SKU-{n}"))


def _edit_nuorder(fake: Any, n: int, units: int) -> None:
    known = nuorder.ids(n)
    for row in fake.rows.get(("wh-1", known["sku"]), []):
        if not row["prebook"]:
            row["quantity"] = units
    fake.shown[known["product"]] = units


def _place_at_nuorder(fake: Any, n: int) -> None:
    fake.drop(fake.add(n, upc=f"SKU-{n}"))


def _whole_at_nuorder(fake: Any, n: int) -> bool:
    return [row["quantity"] for row in fake.brand(nuorder.ids(n))] == [500]


def _wix(fake: Any, n: int) -> Any:
    return fake.items[n - 1]


def _sent_by_wix(fake: Any, order: str, units: int, whole: bool) -> None:
    sent = fake.sent.setdefault(order, {})
    sent["l-1"] = sent.get("l-1", 0) + units
    fake.change(order, fulfillmentStatus="FULFILLED" if whole else "PARTIALLY_FULFILLED")


def _off_at_wix(fake: Any, order: str, n: int, units: int) -> None:
    fake.change(order, status="CANCELED")
    fake.edit(_wix(fake, n), _wix(fake, n).quantity + units)


WAREHOUSE = "w-1"


def _tiktok(fake: Any, n: int) -> Any:
    known = tiktok.ids(n)
    return fake.products[known["product"]][known["sku"]]


def _stock_sandbox(fake: Any, n: int) -> None:
    fake.stock(n, 0)


def _edit_walmart(fake: Any, n: int, units: int) -> None:
    fake.edit(f"SKU-{n}", "node-1", units + fake.reserved(f"SKU-{n}", "node-1"))


def _sent_by_walmart(fake: Any, order: str, units: int, whole: bool) -> None:
    fake.move(order, "Shipped")
    row = fake.orders[order]
    fake.skus[row["sku"]]["node-1"] -= units


_WIX = Trade(
    wix,
    stock=lambda fake, n: fake.add(n, 0),
    shown=lambda fake, n: int(_wix(fake, n).quantity),
    edit=lambda fake, n, units: fake.edit(_wix(fake, n), units),
    sell=lambda fake, n, units: str(fake.sell(_wix(fake, n), units)),
    ship=_sent_by_wix,
    cancel=_off_at_wix,
    partly=True,
)
_MIRAKL = Trade(
    mirakl,
    ship=lambda fake, order, units, whole: fake.change(order, "SHIPPED"),
    cancel=lambda fake, order, n, units: fake.change(order, "CANCELED"),
)

TRADES: dict[str, Trade] = {
    "amazon": Trade(
        amazon,
        ship=_sent_by_amazon,
        cancel=lambda fake, order, n, units: fake.change(order, "CANCELLED"),
        partly=True,
    ),
    "bigcommerce": Trade(
        bigcommerce,
        ship=_sent_by_big,
        cancel=_off_at_big,
        partly=True,
        vanish=lambda fake, order: fake.touch(order, is_deleted=True),
    ),
    "ebay": Trade(
        ebay,
        ship=lambda fake, order, units, whole: fake.ship(order, units),
        cancel=lambda fake, order, n, units: fake.cancel(order),
        partly=True,
    ),
    "etsy": Trade(
        etsy,
        options={"settings": {"renew_sold_out": True}},
        ship=lambda fake, order, units, whole: fake.touch(order, is_shipped=True, status="Completed"),
        cancel=lambda fake, order, n, units: fake.touch(order, status="Canceled"),
        vanish=lambda fake, order: fake.cancel(order),
    ),
    "faire": Trade(
        faire,
        edit=_edit_gross,
        ship=lambda fake, order, units, whole: fake.ship(order),
        cancel=_off_at_faire,
    ),
    "magento": Trade(
        magento,
        options={"settings": {"url": "https://magento.example"}},
        edit=_edit_magento,
        ship=lambda fake, order, units, whole: fake.ship(order),
        cancel=_off_at_magento,
        vanish=lambda fake, order: fake.orders.remove(
            next(row for row in fake.orders if str(row["entity_id"]) == order)
        ),
    ),
    "mirakl": _MIRAKL,
    "nuorder": Trade(
        nuorder,
        options={"settings": {"seasons": ("spring",)}},
        stock=_place_at_nuorder,
        shown=lambda fake, n: int(fake.shown.get(nuorder.ids(n)["product"], 0)),
        edit=_edit_nuorder,
        sell=lambda fake, n, units: str(fake.sell(nuorder.ids(n), units)),
        ship=lambda fake, order, units, whole: fake.move(order, "shipped"),
        cancel=lambda fake, order, n, units: fake.move(order, "cancelled"),
        whole=_whole_at_nuorder,
    ),
    "overstock": _MIRAKL._replace(
        fake=overstock, edit=_at_warehouse, sell=_sold_at_warehouse, cancel=_off_at_warehouse
    ),
    "sandbox": Trade(
        sandbox,
        stock=_stock_sandbox,
        shown=lambda fake, n: int(fake.shown(f"SKU-{n}") or 0),
        ship=lambda fake, order, units, whole: fake.shop.ship(fake.shop.order(order), None, units),
        cancel=lambda fake, order, n, units: fake.shop.cancel(fake.shop.order(order)),
        back=lambda fake, order, units: fake.shop.refund(fake.shop.order(order), None, units),
        partly=True,
    ),
    "shopify": Trade(
        shopify,
        options={"scopes": (*shopify.SCOPES, "read_all_orders")},
        vanish=lambda fake, order: fake.orders.pop(order),
        ship=lambda fake, order, units, whole: fake.ship(order, units),
        cancel=lambda fake, order, n, units: fake.cancel(order),
        back=lambda fake, order, units: fake.refund(order, units),
        partly=True,
    ),
    "squarespace": Trade(
        squarespace,
        ship=lambda fake, order, units, whole: fake.change(order, fulfillmentStatus="FULFILLED"),
        cancel=lambda fake, order, n, units: fake.change(order, fulfillmentStatus="CANCELED"),
    ),
    "tiktok": Trade(
        tiktok,
        place=WAREHOUSE,
        stock=lambda fake, n: fake.add(n, f"SKU-{n}", {WAREHOUSE: 0}),
        shown=lambda fake, n: int(_tiktok(fake, n).stock[WAREHOUSE]),
        edit=lambda fake, n, units: fake.edit(_tiktok(fake, n), WAREHOUSE, units),
        sell=lambda fake, n, units: str(fake.sell(_tiktok(fake, n), WAREHOUSE, units)),
        ship=lambda fake, order, units, whole: fake.move(order, "IN_TRANSIT"),
        cancel=lambda fake, order, n, units: fake.move(order, "CANCELLED"),
    ),
    "walmart": Trade(
        walmart,
        stock=lambda fake, n: fake.skus.update({f"SKU-{n}": {"node-1": 0, "node-2": 0}}),
        shown=lambda fake, n: int(fake.sellable(f"SKU-{n}", "node-1")),
        edit=_edit_walmart,
        ship=_sent_by_walmart,
        cancel=lambda fake, order, n, units: fake.move(order, "Cancelled"),
    ),
    "wix": _WIX,
    "woocommerce": Trade(
        woocommerce,
        ship=lambda fake, order, units, whole: fake.change(int(order), "completed"),
        back=lambda fake, order, units: fake.refund(int(order), units),
        cancel=lambda fake, order, n, units: fake.change(int(order), "cancelled"),
        vanish=lambda fake, order: fake.delete(int(order)),
    ),
}
"""By the name of the channel."""

OTHERS = {
    "wix": _WIX._replace(options={"version": "V1_CATALOG"}, place=None),
    "nuorder": TRADES["nuorder"]._replace(options={**TRADES["nuorder"].options, "adds": True}),
}
"""Channels that come in two kinds: the other of them."""

HOSTS = {
    "sellingpartnerapi-na.amazon.com": "amazon",
    "api.amazon.com": "amazon",
    "files.example.com": "amazon",
    "api.bigcommerce.com": "bigcommerce",
    "api.ebay.com": "ebay",
    "openapi.etsy.com": "etsy",
    "api.etsy.com": "etsy",
    "www.faire.com": "faire",
    "shop-prod.mirakl.net": "mirakl",
    "next.nuorder.com": "nuorder",
    "bedbathandbeyondus-prod.mirakl.net": "overstock",
    "127.0.0.1:8081": "sandbox",
    "acme.myshopify.com": "shopify",
    "api.squarespace.com": "squarespace",
    "login.squarespace.com": "squarespace",
    "open-api.tiktokglobalshop.com": "tiktok",
    "auth.tiktok-shops.com": "tiktok",
    "marketplace.walmartapis.com": "walmart",
    "www.wixapis.com": "wix",
    "shop.example": "woocommerce",
}
"""Whose host is whose, where the first part of its name does not say so."""
