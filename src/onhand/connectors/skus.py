"""Which SKU a target has on its channel, and whether it can be written into a request at all. Pure."""

from __future__ import annotations

from onhand.connectors.flow import Target

SURROGATES = range(0xD800, 0xE000)
FIRST_PRINTED, DELETE = 0x20, 0x7F


def sku_of(target: Target) -> str | None:
    """The channel's SKU of a target, else our own; None when there is none, or none that can be sent."""
    sku = target.ids.get("sku") or target.sku
    return sku if sku and sendable(sku) else None


def sendable(sku: str) -> bool:
    """Whether a SKU has neither control characters, which break lines of a file, nor halves of a character
    pair, which no encoding takes."""
    return not any(
        ord(letter) < FIRST_PRINTED or ord(letter) == DELETE or ord(letter) in SURROGATES for letter in sku
    )
