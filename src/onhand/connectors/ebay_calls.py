"""The calls of eBay's interfaces that several of our flows share: offers and words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from onhand.connectors.channel import Secret
from onhand.connectors.flow import Request, Response
from onhand.connectors.reading import at, rows, text

INVENTORY = "/sell/inventory/v1"
FULFILLMENT = "/sell/fulfillment/v1"
NOTIFICATION = "/commerce/notification/v1"
BUSY = {25001, 25025}
"""A fault of eBay's own, and someone else writing the same item at the moment."""
NO_OFFERS = "-"
"""What a listing remembers when it was looked at and no offer keeps a number of its own."""


class Account(Protocol):
    """What the flows need to know of an account."""

    @property
    def listings(self) -> Literal["inventory", "trading"]:
        """By which interface its listings were made."""

    @property
    def together(self) -> int:
        """How many SKUs are told in one call."""

    @property
    def by_location(self) -> bool:
        """Whether stock is counted by location there."""

    @property
    def site(self) -> int:
        """The number of the eBay site, for the older interface."""

    @property
    def access_token(self) -> Secret | None:
        """The user's token."""


def offers_call(sku: str) -> Request:
    """All offers of a SKU, on whatever marketplaces."""
    query = (("sku", sku), ("limit", "100"))
    return Request("GET", f"{INVENTORY}/offer", query=query, limit="offers", repeatable=True)


def offer_ids(remembered: str) -> tuple[str, ...]:
    """The ids that a listing remembers."""
    return tuple(name for name in remembered.split() if name != NO_OFFERS)


def error_words(answer: Response, errors: Iterable[Mapping[str, Any]] | None = None) -> tuple[str, str]:
    """What eBay says is wrong, and the number of its first error."""
    found = list(rows(answer.json(), "errors") if errors is None else errors)
    said = [text(error, "longMessage") or text(error, "message") or "" for error in found]
    words = "; ".join(part for part in said if part)
    code = text(at(found, 0), "errorId") or str(answer.status)
    return (f"{words} ({code})" if words else answer.words), code
