"""Reads the inventory of an Etsy listing and writes it back whole, with other numbers and nothing else.

Etsy has one call that replaces all products of a listing. So what is not understood must not be written:
a variation that we do not see would be gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from onhand.connectors.reading import at, rows, text, whole

LARGEST = 999
VARIATIONS = 2
"""Properties by which a listing's products can differ, as far as the API lets us write them."""
BY_PROPERTY = ("price_on_property", "quantity_on_property", "sku_on_property", "readiness_state_on_property")
SHARED = "Etsy keeps one quantity for several SKUs of this listing; let the quantity vary by variation there"

Product: TypeAlias = Mapping[str, Any]
Variation: TypeAlias = tuple[tuple[int, tuple[str, ...]], ...]


class Pool(NamedTuple):
    """Products that share one number: one alone, where the quantity varies with every property."""

    products: tuple[Product, ...]
    key: Variation = ()

    @property
    def quantity(self) -> int:
        """The number as it stands."""
        return quantity(self.products[0])

    @property
    def sku(self) -> str | None:
        """The SKU, where there is one and only one."""
        found = {text(product, "sku") for product in self.products}
        return found.pop() if len(found) == 1 else None

    @property
    def shared(self) -> bool:
        """Whether products of different SKUs are in it, so that none of them has a number of its own."""
        return len({text(product, "sku") for product in self.products}) > 1

    @property
    def for_sale(self) -> bool:
        """Whether any of it is switched on."""
        return any(at(offering(product), "is_enabled") is True for product in self.products)

    @property
    def ids(self) -> set[str]:
        """The product ids."""
        return {found for product in self.products if (found := text(product, "product_id"))}


def products(inventory: Any) -> list[Product]:
    """The products that are not deleted."""
    return [row for row in rows(inventory, "products") if row.get("is_deleted") is not True]


def offering(product: Product) -> Mapping[str, Any]:
    """A product's one offering."""
    found = [row for row in rows(product, "offerings") if row.get("is_deleted") is not True]
    return found[0] if len(found) == 1 else {}


def quantity(product: Product) -> int:
    """A product's number; 0 when there is none."""
    return max(0, whole(offering(product), "quantity") or 0)


def variation(product: Product) -> Variation:
    """What tells a product from its siblings."""
    found = []
    for row in rows(product, "property_values"):
        values = at(row, "value_ids") or at(row, "values") or []
        found.append((whole(row, "property_id") or 0, tuple(map(str, values))))
    return tuple(sorted(found))


def label(varied: Variation) -> str:
    """A variation as text: what a product is known by, because its id changes whenever a listing is
    written; empty where there is nothing to vary."""
    return ";".join(f"{number}={'+'.join(values)}" for number, values in varied)


def odd(inventory: Any) -> str:
    """Why this inventory must not be written back; empty when it is understood."""
    listed = products(inventory)
    if not listed:
        return "the listing shows no products"
    strange = [key for key in inventory if key.endswith("_on_property") and key not in BY_PROPERTY]
    if strange:
        return f"the listing has a setting that is not known yet: {strange[0]}"
    if any(not _numbers(inventory.get(key, [])) for key in BY_PROPERTY):
        return "the listing's settings by property are not as documented"
    if any(len(rows(product, "property_values")) > VARIATIONS for product in listed):
        return f"the listing varies by more than {VARIATIONS} properties, which cannot be written"
    if any(_price(product) is None or whole(offering(product), "quantity") is None for product in listed):
        return "a product of the listing has not one offering with a price and a quantity"
    if len({variation(product) for product in listed}) < len(listed):
        return "two products of the listing have the same variation"
    return ""


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int for each in value)


def _price(product: Product) -> float | None:
    """Etsy gives money as a fraction and takes it as a decimal."""
    amount, divisor = (
        whole(offering(product), "price", "amount"),
        whole(offering(product), "price", "divisor"),
    )
    return amount / divisor if amount is not None and divisor else None


def pools(inventory: Any) -> list[Pool]:
    """The products of an inventory that is not odd, grouped by what their quantity varies with."""
    by = set(at(inventory, "quantity_on_property") or [])
    groups: dict[Variation, list[Product]] = {}
    for product in products(inventory):
        key = tuple(part for part in variation(product) if part[0] in by)
        groups.setdefault(key, []).append(product)
    return [Pool(tuple(group), key) for key, group in groups.items()]


def find(found: Sequence[Pool], ids: Mapping[str, str], sku: str | None) -> int | None:
    """The position of a target's pool: by product id; where that has changed by the variation, then by the
    SKU where it is the only one, or because there is one pool alone."""
    for place, pool in enumerate(found):
        if ids.get("product_id") in pool.ids:
            return place
    for place, pool in enumerate(found):
        if pool.key and label(pool.key) == ids.get("variation"):
            return place
    named = [place for place, pool in enumerate(found) if sku and pool.sku == sku]
    if len(named) == 1:
        return named[0]
    return 0 if len(found) == 1 and not (sku and found[0].sku and found[0].sku != sku) else None


def written(inventory: Any, numbers: Mapping[Variation, int]) -> dict[str, Any]:
    """The body that says an inventory again with other numbers. Keys that only a reading has are refused by
    Etsy, so it is made of those that the description of the write names."""
    said = [_product(product, numbers[variation(product)]) for product in products(inventory)]
    return {"products": said, **{key: inventory.get(key) or [] for key in BY_PROPERTY}}


def _product(product: Product, number: int) -> dict[str, Any]:
    here = offering(product)
    values = [
        {key: row.get(key) for key in ("property_id", "value_ids", "scale_id", "property_name", "values")}
        for row in rows(product, "property_values")
    ]
    said = {
        "price": _price(product),
        "quantity": number,
        "is_enabled": here.get("is_enabled") is True,
        "readiness_state_id": here.get("readiness_state_id"),
    }
    return {"sku": product.get("sku") or "", "property_values": values, "offerings": [said]}
