"""What each integration asks of an inventory adjustment: modes, fields and enumerations, as data."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Need(StrEnum):
    """How an integration stands to ``warehouse_id``."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    ABSENT = "absent"


class Rule(msgspec.Struct, frozen=True):
    """One integration's body of an adjustment.

    ``modes`` are its adjustment types and ``reasons`` its enumeration, which is empty where the
    integration has no ``reason`` (it is required where there is one, and so is ``shop_id``).
    ``future`` allows ``future_date``; ``open`` allows any other field at all.
    """

    name: str
    title: str
    modes: tuple[str, ...]
    warehouse: Need
    reasons: tuple[str, ...] = ()
    shop: bool = False
    future: bool = False
    open: bool = False

    @property
    def optional(self) -> tuple[str, ...]:
        """Its fields that may be left out."""
        found = ["future_date"] if self.future else []
        return (*found, "warehouse_id") if self.warehouse is Need.OPTIONAL else tuple(found)

    @property
    def required(self) -> tuple[str, ...]:
        """Its fields that may not be left out, by name."""
        found = ["adjustment_type", "quantity"]
        found += ["reason"] if self.reasons else []
        found += ["shop_id"] if self.shop else []
        found += ["warehouse_id"] if self.warehouse is Need.REQUIRED else []
        return tuple(found)


INCREASE, DECREASE, EXACT = "increase", "decrease", "exact"
_STEPS = (INCREASE, DECREASE)
_ALL = (INCREASE, DECREASE, EXACT)
_SET = (EXACT,)

_BIGCOMMERCE_REASONS = ("recount", "received", "sold", "damaged", "other")
_SHOPIFY_REASONS = (
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_created",
    "movement_updated",
    "movement_received",
    "payment_canceled",
    "other",
    "promotion",
    "quality_control",
    "received",
    "reservation_created",
    "reservation_updated",
    "reservation_deleted",
    "restock",
    "safety_stock",
    "shrinkage",
)

_TABLE = (
    Rule("base", "Base Schema", _STEPS, Need.REQUIRED, open=True),
    Rule("amazon", "Amazon", _ALL, Need.REQUIRED),
    Rule("bigcommerce", "BigCommerce", _STEPS, Need.REQUIRED, _BIGCOMMERCE_REASONS),
    Rule("ebay", "eBay", _ALL, Need.OPTIONAL),
    Rule("etsy", "Etsy", _STEPS, Need.ABSENT),
    Rule("faire", "Faire", _STEPS, Need.ABSENT),
    Rule("magento", "Magento (Adobe Commerce)", _ALL, Need.OPTIONAL),
    Rule("mirakl", "Mirakl", _SET, Need.OPTIONAL),
    Rule("nuorder", "NuOrder", _STEPS, Need.REQUIRED, future=True),
    Rule("overstock", "Overstock", _SET, Need.REQUIRED),
    Rule("sandbox", "Cart Sandbox", _STEPS, Need.ABSENT),
    Rule("shopify", "Shopify", _ALL, Need.REQUIRED, _SHOPIFY_REASONS),
    Rule("squarespace", "Squarespace", _ALL, Need.ABSENT),
    Rule("tiktok", "TikTok", _ALL, Need.REQUIRED, shop=True),
    Rule("walmart", "Walmart", _ALL, Need.OPTIONAL),
    Rule("wix", "Wix", _ALL, Need.OPTIONAL),
    Rule("woocommerce", "WooCommerce", _ALL, Need.ABSENT),
)

RULES = {rule.name: rule for rule in _TABLE}
"""Every rule by the integration's name, the base schema's under ``base``."""

FIELDS = {rule.name: frozenset((*rule.required, *rule.optional)) for rule in _TABLE}
"""The fields that each integration uses."""

REQUIRED = {rule.name: rule.required for rule in _TABLE}
"""Those that it cannot do without."""

KNOWN = frozenset().union(*FIELDS.values())
"""Fields that at least one integration uses: elsewhere they are accepted and left unused."""
