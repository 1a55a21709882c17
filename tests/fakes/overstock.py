"""Overstock's HTTP side: Mirakl's, at another host and with warehouses."""

from __future__ import annotations

from typing import Any

from fakes import mirakl
from fakes.common import Example

EXAMPLE = Example(
    settings={"api_key": "overstock-key-31bb", "warehouse": "MAIN"},
    ids=lambda n: {"sku": f"SKU-{n}", "offer_id": str(9_000 + n)},
    location="MAIN",
)


def Fake(**more: Any) -> mirakl.Fake:
    """A shop of Overstock."""
    host = "https://bedbathandbeyondus-prod.mirakl.net"
    return mirakl.Fake(settings=EXAMPLE.settings, url=host, warehouses=("MAIN", "EAST"), **more)
