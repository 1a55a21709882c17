"""Items and levels out: the cart product, the warehouse and the connection as this API prints them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import msgspec

from onhand.dialects.trackstar.moments import show
from onhand.dialects.trackstar.rules import DECREASE, EXACT, INCREASE, RULES, Rule
from onhand.dialects.trackstar.schema import Site
from onhand.stock.model import ABSENT, QUANTITY_LIMIT, Level, Place
from onhand.store.catalog import Location
from onhand.store.channels import Link
from onhand.store.products import Product

PARENT_SUFFIX = "-parent"
"""A product that is nobody's variant has a parent of its own, whose id ends in this."""

ACTIONS = ("adjust_inventory", "batch_adjust_inventory", "get_products", "get_warehouses")

_DIGITS_LIMIT = 60
_NUMBERS_KEPT = 4096
_GTIN_KINDS = ("gtin", "ean", "upc", "isbn")
# What this wire has no word for is told in the next unit that it has. There is always a unit: the published
# type of one allows null and its published enumeration does not, so who validates would refuse the product.
_LENGTHS = {"cm": ("cm", Decimal(1)), "in": ("in", Decimal(1)), "mm": ("cm", Decimal("0.1"))}
_LENGTHS |= {"m": ("cm", Decimal(100))}
_WEIGHTS = {"kg": ("kg", Decimal(1)), "oz": ("oz", Decimal(1)), "lb": ("lb", Decimal(1))}
_WEIGHTS |= {"g": ("kg", Decimal("0.001")), "mg": ("kg", Decimal("0.000001"))}

Number = msgspec.Raw | None


class Measurements(msgspec.Struct, frozen=True):
    """Size and weight of a product."""

    length: Number
    width: Number
    height: Number
    unit: str
    weight: Number
    weight_unit: str


class CartProduct(msgspec.Struct, frozen=True):
    """A product as this API prints it; every key is always there."""

    id: str
    created_date: str
    updated_date: str
    name: str
    sku: str | None
    gtin: str | None
    parent_product_id: str
    is_kit: bool
    active: bool
    image_url: str | None
    price: Number
    unit_cost: Number
    inventory: int | None
    inventory_by_warehouse_id: dict[str, int]
    measurements: Measurements
    tags: list[str]
    categories: list[str]
    external_system_url: str | None
    trackstar_tags: list[Any]
    additional_fields: dict[str, Any]
    trackstar_created_date: str
    trackstar_updated_date: str


def cart_product(
    product: Product, site: Site, levels: Mapping[Place, Level], updated: int = 0
) -> CartProduct:
    """A product with its inventory at the connection's warehouses.

    ``updated`` is when a change that ``product`` does not know of yet was recorded.
    """
    inventory, by_warehouse = _inventory(product, site, levels)
    at = show(max(product.updated_at, updated))
    attributes = product.attributes
    # By position: keywords cost twice as much, and a page has a thousand of these.
    return CartProduct(
        product.external_id,
        show(product.created_at),
        at,
        product.name or product.sku or product.external_id,
        product.sku,
        _gtin(product.barcodes) if product.barcodes else None,
        parent_id(product),
        bool(product.kit),
        bool(product.active) and product.status == "open",
        product.image_url,
        number(product.price),
        number(product.cost),
        inventory,
        by_warehouse,
        _measurements(product.measurements) if product.measurements else _UNMEASURED,
        product.tags,
        product.categories,
        _text(attributes.get("external_system_url")),
        _list(attributes.get("trackstar_tags")),
        _object(attributes.get("additional_fields")),
        show(product.listed_at),
        at,
    )


def _gtin(barcodes: Mapping[str, str]) -> str | None:
    return next((barcodes[kind] for kind in _GTIN_KINDS if kind in barcodes), None)


def _inventory(
    product: Product, site: Site, levels: Mapping[Place, Level]
) -> tuple[int | None, dict[str, int]]:
    """The sum and its parts; no number where stock is endless, and none for what is not sold itself."""
    if product.has_variants or product.kit:
        return None, {}
    total, endless = 0, False
    parts: dict[str, int] = {}
    for name, location in site.warehouses.items():
        level = levels.get((product.item, location), ABSENT)
        if level.infinite:
            endless = True
        else:
            parts[name] = shown = level.shown
            total += shown
    return None if endless else total, parts


def parent_id(product: Product) -> str:
    """The id of the parent, which is a parent's own."""
    if product.has_variants:
        return product.external_id
    return product.parent or product.external_id + PARENT_SUFFIX


def names(name: str) -> tuple[str, ...]:
    """The external ids to look up for a product id."""
    if "\0" in name:
        return ()
    return (name, name.removesuffix(PARENT_SUFFIX)) if name.endswith(PARENT_SUFFIX) else (name,)


def pick(found: Mapping[str, Product], name: str) -> Product | None:
    """The product of this id among those that were looked up for it."""
    product = found.get(name)
    if product is not None or not name.endswith(PARENT_SUFFIX):
        return product
    only = found.get(name.removesuffix(PARENT_SUFFIX))
    if only is None or parent_id(only) != name:
        return None
    return msgspec.structs.replace(only, external_id=name, sku=None, barcodes={}, has_variants=1, parent=None)


def _measurements(kept: Mapping[str, Any]) -> Measurements:
    unit, by = _LENGTHS.get(str(kept.get("unit")), ("cm", None))
    weight_unit, times = _WEIGHTS.get(str(kept.get("weight_unit")), ("kg", None))
    length, width, height = (_scaled(kept.get(name), by) for name in ("length", "width", "height"))
    return Measurements(length, width, height, unit, _scaled(kept.get("weight"), times), weight_unit)


def _scaled(value: object, by: Decimal | None) -> Number:
    return None if value is None or by is None else _scale(str(value), by)


_UNMEASURED = _measurements({})


@lru_cache(_NUMBERS_KEPT)
def _scale(text: str, by: Decimal) -> Number:
    exact = _exact(text)
    return None if exact is None else number(format((exact * by).normalize(), "f"))


@lru_cache(_NUMBERS_KEPT)
def number(text: str | None) -> Number:
    """Exact decimal text as a JSON number with the same digits; None for what is no number."""
    exact = None if text is None else _exact(text)
    return None if exact is None else msgspec.Raw(format(exact, "f").encode())


def _exact(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    bounded = found.is_finite() and -_DIGITS_LIMIT < found.adjusted() < _DIGITS_LIMIT
    return found if bounded and len(text) <= _DIGITS_LIMIT else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# --- what is around the products ------------------------------------------------------------------------

_ADDRESS = ("address1", "address2", "address3", "city", "state", "postal_code", "country")


def warehouse(name: str, location: Location) -> dict[str, Any]:
    """A location under the id that the connection knows it by."""
    address = _object(location.attributes.get("address"))
    at = show(location.created_at)
    return {
        "id": name,
        "created_date": at,
        "updated_date": at,
        "name": location.name,
        "code": _text(location.attributes.get("code")),
        "address": {part: _text(address.get(part)) for part in _ADDRESS},
        "trackstar_tags": [],
        "trackstar_created_date": at,
        "trackstar_updated_date": at,
    }


def connection(link: Link) -> dict[str, Any]:
    """A connection of the organisation. Nothing is copied from elsewhere, so nothing is synchronised."""
    return {
        "connection_id": str(link.id),
        "integration_name": link.integration,
        "integration_type": "cart",
        "customer_id": _text(link.settings.get("customer_id")),
        "created_at": show(link.created_at),
        "last_used": None,
        "times_used": None,
        "latest_sync": None,
        "sync_schedules": [],
        "errors": [],
        "available_actions": list(ACTIONS),
        "available_endpoints": list(ACTIONS),
        "webhooks_disabled": True,
    }


def write_info(rule: Rule, site: Site | None) -> dict[str, Any]:
    """What can be written through an integration; with a site, through that connection."""
    shared = RULES["base"].required
    fields = allowed(rule, site)
    return {
        "integration_name": rule.name,
        "display_name": rule.title,
        "integration_type": "cart",
        "write_operations": [
            {
                "action": "adjust_inventory",
                "url": "PUT /cart/products/{product_id}/adjust-inventory",
                "required_base_schema_fields": [name for name in rule.required if name in shared],
                "optional_base_schema_fields": [name for name in rule.optional if name in shared],
                "integration_specific_fields": fields,
            }
        ],
        "available_actions": list(ACTIONS),
    }


def allowed(rule: Rule, site: Site | None) -> dict[str, Any]:
    """The integration's own fields as JSON schema; a site fills in what is the connection's own."""
    enums: dict[str, list[str]] = {"adjustment_type": list(rule.modes)}
    if rule.reasons:
        enums["reason"] = list(rule.reasons)
    if site is None:
        enums["warehouse_id"] = ["N/A - Connect an account to see options"]
    else:
        enums["warehouse_id"] = list(site.warehouses)
        if site.shop is not None:
            enums["shop_id"] = [site.shop]
    fields = (*rule.required, *rule.optional)
    properties: dict[str, Any] = {}
    for name in sorted(fields):
        kind: dict[str, Any] = {"type": "integer" if name == "quantity" else "string"}
        if name == "quantity":
            kind |= {"minimum": 0, "maximum": QUANTITY_LIMIT}
        if name == "future_date":
            kind["format"] = "date-time"
        if name in enums:
            kind["enum"] = enums[name]
        properties[name] = {"title": name, **kind, "description": _ABOUT[name]}
    return {"type": "object", "properties": properties, "required_fields": list(rule.required)}


_ABOUT = {
    "adjustment_type": f"Whether to add ({INCREASE}), to take away ({DECREASE}) or to set ({EXACT}).",
    "quantity": "Units to add or take away, or the units that can be sold afterwards.",
    "warehouse_id": "The warehouse to change; the connection's first where it may be left out.",
    "reason": "Why the inventory changes.",
    "shop_id": "The shop that sells the product.",
    "future_date": "When the change is to be made; at once without it.",
}
