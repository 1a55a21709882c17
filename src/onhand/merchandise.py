"""The forty things that the demo account sells: names, SKUs, prices, barcodes, sizes."""

from __future__ import annotations

from typing import NamedTuple

from onhand.store.catalog import Item

CURRENCY = "USD"
PARENT = 21
VARIANTS = range(22, 25)
IN_STORE = 20_000_000_000
"""Barcodes that begin with 2 are for use inside a shop: ours can never be somebody's product."""


class Good(NamedTuple):
    """One line of the catalogue. ``price`` is in `CURRENCY`, ``grams`` and ``size`` (cm) as packed."""

    sku: str
    name: str
    price: str
    cost: str
    category: str
    grams: int
    size: tuple[int, int, int]
    tags: tuple[str, ...] = ()


GOODS = (
    Good("LAMP-BRASS-40", "Brass Desk Lamp", "500.00", "212.50", "Lighting", 1850, (22, 22, 48)),
    Good("LAMP-PAPER-60", "Paper Pendant Shade 60 cm", "64.00", "19.80", "Lighting", 420, (62, 62, 8)),
    Good("BULB-E27-4W", "Filament Bulb E27 4 W", "9.50", "2.90", "Lighting", 60, (7, 7, 13)),
    Good("CANDLE-FIG-220", "Fig Candle 220 g", "28.00", "9.40", "Lighting", 480, (9, 9, 11), ("gift",)),
    Good("CANDLE-CEDAR-220", "Cedar Candle 220 g", "28.00", "9.40", "Lighting", 480, (9, 9, 11), ("gift",)),
    Good("TIMER-COPPER", "Copper Kitchen Timer", "27.38", "10.95", "Kitchen", 190, (8, 8, 6)),
    Good("COAT-WOOL-CAMEL-M", "Wool Coat Camel M", "189.00", "71.00", "Outerwear", 1600, (60, 45, 12)),
    Good("COAT-RAIN-NAVY-L", "Rain Coat Navy L", "129.00", "48.20", "Outerwear", 900, (45, 35, 8)),
    Good("BOOT-CHELSEA-42", "Chelsea Boot 42", "164.00", "66.00", "Shoes", 1350, (34, 28, 13)),
    Good("SNEAKER-CANVAS-40", "Canvas Sneaker White 40", "72.00", "24.60", "Shoes", 820, (33, 22, 12)),
    Good("BAG-TOTE-TAN", "Leather Tote Tan", "148.00", "57.30", "Bags", 980, (42, 34, 14)),
    Good("SCARF-LAMBSWOOL-GRY", "Lambswool Scarf Grey", "46.00", "15.10", "Accessories", 210, (30, 20, 4)),
    Good("KETTLE-STEEL-12", "Stovetop Kettle 1.2 l", "58.00", "23.70", "Kitchen", 1020, (24, 20, 22)),
    Good("POT-CAST-24", "Cast Iron Pot 24 cm", "119.00", "52.00", "Kitchen", 4900, (32, 26, 18)),
    Good("KNIFE-CHEF-20", "Chef's Knife 20 cm", "84.00", "31.50", "Kitchen", 260, (36, 7, 3)),
    Good("BOARD-OAK-L", "Oak Cutting Board Large", "42.00", "14.80", "Kitchen", 1700, (45, 30, 3)),
    Good("MUG-STONE-OAT", "Stoneware Mug Oat", "18.00", "5.60", "Tableware", 380, (12, 10, 10), ("gift",)),
    Good("MUG-STONE-INK", "Stoneware Mug Ink", "18.00", "5.60", "Tableware", 380, (12, 10, 10), ("gift",)),
    Good("BOWL-STONE-OAT-16", "Stoneware Bowl Oat 16 cm", "22.00", "7.10", "Tableware", 520, (17, 17, 8)),
    Good("GLASS-TUMBLER-4", "Tumbler Glasses, Set of 4", "34.00", "11.90", "Tableware", 1200, (20, 20, 12)),
    Good("SHIRT-LINEN", "Linen Shirt", "69.00", "22.40", "Shirts", 260, (32, 25, 3), ("summer",)),
    Good("SHIRT-LINEN-S", "Linen Shirt S", "69.00", "22.40", "Shirts", 240, (32, 25, 3), ("summer",)),
    Good("SHIRT-LINEN-M", "Linen Shirt M", "69.00", "22.40", "Shirts", 260, (32, 25, 3), ("summer",)),
    Good("SHIRT-LINEN-L", "Linen Shirt L", "69.00", "22.40", "Shirts", 280, (32, 25, 3), ("summer",)),
    Good("TEE-HEAVY-BLK-M", "Heavy T-Shirt Black M", "32.00", "8.90", "Shirts", 230, (30, 24, 3)),
    Good("SOCK-MERINO-3", "Merino Socks, 3 Pairs", "27.00", "8.20", "Accessories", 180, (20, 12, 6)),
    Good("BEANIE-RIB-RUST", "Ribbed Beanie Rust", "24.00", "6.70", "Accessories", 110, (22, 20, 3)),
    Good("BELT-LEATHER-95", "Leather Belt 95 cm", "48.00", "16.40", "Accessories", 220, (14, 14, 5)),
    Good("BACKPACK-ROLL-20", "Rolltop Backpack 20 l", "98.00", "37.90", "Bags", 870, (48, 30, 10)),
    Good("UMBRELLA-AUTO", "Folding Umbrella", "36.00", "11.20", "Accessories", 390, (30, 6, 6)),
    Good("NOTEBOOK-A5-DOT", "Dotted Notebook A5", "14.00", "3.80", "Stationery", 310, (21, 15, 2)),
    Good("PEN-BRASS-07", "Brass Ballpoint 0.7", "29.00", "9.90", "Stationery", 70, (16, 4, 3), ("gift",)),
    Good("PLANNER-WEEK-A5", "Weekly Planner A5", "22.00", "6.30", "Stationery", 340, (21, 15, 2)),
    Good("SOAP-OLIVE-120", "Olive Oil Soap 120 g", "7.50", "1.90", "Bath", 140, (9, 6, 4)),
    Good("TOWEL-WAFFLE-L", "Waffle Towel Large", "39.00", "13.60", "Bath", 620, (38, 28, 6)),
    Good("ROBE-COTTON-M", "Cotton Robe M", "86.00", "30.70", "Bath", 1150, (40, 32, 10)),
    Good("PLANTER-TERRA-18", "Terracotta Planter 18 cm", "26.00", "8.10", "Garden", 1900, (20, 20, 18)),
    Good("CAN-WATER-15", "Watering Can 1.5 l", "44.00", "17.20", "Garden", 640, (32, 14, 24)),
    Good("THROW-WOOL-MOSS", "Wool Throw Moss", "112.00", "44.80", "Textiles", 1300, (40, 32, 12)),
    Good("GIFT-CARD-BOX", "Gift Box with Ribbon", "12.00", "3.10", "Gifts", 220, (30, 22, 10), ("gift",)),
)


def ean(number: int) -> str:
    """The thirteen digits of an in-store barcode, the last one their check digit."""
    digits = f"{IN_STORE + number:011d}0"
    total = sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(digits))
    return f"{digits}{-total % 10}"


def item(number: int) -> Item:
    """Number 1 to 40 of the catalogue."""
    good = GOODS[number - 1]
    length, width, height = good.size
    return Item(
        number,
        sku=good.sku,
        name=good.name,
        parent=PARENT if number in VARIANTS else None,
        price=good.price,
        cost=good.cost,
        currency=CURRENCY,
        barcodes={"ean": ean(number), "gtin": f"0{ean(number)}"},
        image_url=f"https://images.example.com/{good.sku.lower()}.jpg",
        measurements={
            "length": length,
            "width": width,
            "height": height,
            "unit": "cm",
            "weight": good.grams,
            "weight_unit": "g",
        },
        tags=list(good.tags),
        categories=[good.category],
    )
