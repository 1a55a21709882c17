"""Sales channels: one pure module a channel, and the explicit tuple of all of them."""

from __future__ import annotations

from onhand.connectors import (
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
from onhand.connectors.kind import Kind

ALL: tuple[Kind, ...] = (
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
"""Every connector, by name."""


def by_name(name: str) -> Kind | None:
    """The connector of this channel."""
    return next((module for module in ALL if module.CHANNEL.name == name), None)
