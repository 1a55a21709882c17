"""The sandbox's assortment: the same for the same seed, with the oddities that real shops have."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from onhand.sandbox.model import PLACE_CENTRE, PLACE_MAIN, PLACE_OUTLET, Level, Place, Product, Variant

SIZE = 20
"""Products of the usual assortment."""
PLACES = [
    Place(PLACE_MAIN, "Main warehouse", default=True),
    Place(PLACE_OUTLET, "Outlet store"),
    Place(PLACE_CENTRE, "Fulfilment centre", owned=True),
]

_KINDS = ("Jar", "Tray", "Stool", "Lantern", "Basket", "Pitcher", "Blanket", "Clock", "Vase", "Shelf")
_LOOKS = ("Amber", "Birch", "Chalk", "Dune", "Ember", "Fern", "Granite", "Hazel", "Indigo", "Juniper")
_SIZES = ("S", "M", "L")


def assortment(seed: int, size: int = SIZE) -> list[Product]:
    """``size`` products. The first seven are odd: variants, a kit, a SKU that two of them share, one without
    a SKU, one that is not active, and one that the channel keeps in its own warehouse."""
    lots = random.Random(seed)
    return [_odd(number, lots) or _plain(number, lots) for number in range(1, size + 1)]


def of_skus(goods: Iterable[tuple[str, str]]) -> list[Product]:
    """Products of these (SKU, title) with nothing in stock yet."""
    return [
        Product(f"p{number}", title, [Variant(f"v{number}", sku, title, _levels(0, 0))])
        for number, (sku, title) in enumerate(goods, 1)
    ]


def _odd(number: int, lots: random.Random) -> Product | None:
    name = f"p{number}"
    match number:
        case 1:
            return Product(name, "Chalk Apron", list(_sizes(lots)))
        case 2:
            return Product(name, "Breakfast Set", [_variant("v2", "SB-SET-2", lots)], kit=True)
        case 3 | 4:
            return Product(name, f"Twin Mug {'AB'[number - 3]}", [_variant(f"v{number}", "SB-TWIN", lots)])
        case 5:
            return Product(name, "Gift Card Sleeve", [_variant("v5", None, lots)])
        case 6:
            return Product(name, "Last Year's Calendar", [_variant("v6", "SB-OLD-6", lots)], active=False)
        case 7:
            kept = {PLACE_CENTRE: Level(lots.randint(3, 40))}
            return Product(name, "Parcel Scale", [Variant("v7", "SB-KEPT-7", "", kept)])
        case _:
            return None


def _sizes(lots: random.Random) -> Iterator[Variant]:
    for size in _SIZES:
        yield Variant(f"v1-{size.lower()}", f"SB-APRON-{size}", f"Chalk Apron {size}", _stock(lots))


def _plain(number: int, lots: random.Random) -> Product:
    title = f"{lots.choice(_LOOKS)} {lots.choice(_KINDS)}"
    sku = f"SB-{title.split()[1].upper()}-{number}"
    return Product(f"p{number}", title, [Variant(f"v{number}", sku, title, _stock(lots))])


def _variant(name: str, sku: str | None, lots: random.Random) -> Variant:
    return Variant(name, sku, "", _stock(lots))


def _stock(lots: random.Random) -> dict[str, Level]:
    return _levels(lots.randint(3, 40), lots.choice((0, 0, 2, 5)))


def _levels(main: int, outlet: int) -> dict[str, Level]:
    return {PLACE_MAIN: Level(main), PLACE_OUTLET: Level(outlet)}
