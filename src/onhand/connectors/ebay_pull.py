"""Reads what eBay shows: inventory items with their offers, and locations. Sell Inventory API v1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onhand.connectors.ebay_calls import INVENTORY, offers_call
from onhand.connectors.ebay_push import live_offers
from onhand.connectors.flow import Flow, Page, Place, Request, Seen, Shown, expect
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text, units, whole

PAGE = 50
PLACES = 100
STOCK = ("availability", "shipToLocationAvailability")
LIVE = {"ACTIVE", "OUT_OF_STOCK"}


def pull_items(cursor: str | None) -> Flow[Page]:
    """A page of inventory items. eBay's offset counts pages here, not rows, and so does the cursor."""
    page = int(cursor) if cursor and cursor.isdigit() else 0
    query = (("limit", str(PAGE)), ("offset", str(page)))
    call = Request("GET", f"{INVENTORY}/inventory_item", query=query, limit="pull", repeatable=True)
    found = expect((yield from ask(call)))
    listed = [] if whole(found, "total") == 0 else need_rows(found, "inventoryItems")
    seen = []
    for row in listed:
        answer = yield from ask(offers_call(need_text(row, "sku")))
        # A SKU without offers is answered by 404.
        offers = [] if answer.status == 404 else need_rows(expect(answer), "offers")
        seen.append(_seen(row, offers))
    more = bool(listed) and (page + 1) * PAGE < units(found, "total")
    return Page(tuple(seen), str(page + 1) if more else None)


def _seen(row: Mapping[str, Any], offers: Sequence[Mapping[str, Any]]) -> Seen:
    sku = need_text(row, "sku")
    live = [offer for offer in offers if text(offer, "status") == "PUBLISHED"]
    return Seen(
        {"sku": sku, "offers": live_offers(offers)},
        sku,
        _shown(row, live),
        title=text(row, "product", "title") or "",
        active=any(text(offer, "listing", "listingStatus") in (None, *LIVE) for offer in live),
    )


def _shown(row: Mapping[str, Any], live: Sequence[Mapping[str, Any]]) -> tuple[Shown, ...]:
    """By location where the item is counted so. Else what buyers see: the number of a live offer hides the
    item's; of several the largest, which is the one that can be oversold."""
    stock = at(row, *STOCK)
    parts = [part for part in rows(stock, "availabilityDistributions") if text(part, "merchantLocationKey")]
    if parts:
        return tuple(Shown(whole(part, "quantity"), text(part, "merchantLocationKey")) for part in parts)
    own = [count for offer in live if (count := whole(offer, "availableQuantity")) is not None]
    return (Shown(max(own) if own else whole(stock, "quantity")),)


def read_places() -> Flow[list[Place]]:
    """The enabled locations of the account."""
    found: list[Place] = []
    offset = 0
    while True:
        query = (("limit", str(PLACES)), ("offset", str(offset)))
        page = expect((yield from ask(Request("GET", f"{INVENTORY}/location", query=query, repeatable=True))))
        listed = [] if whole(page, "total") == 0 else need_rows(page, "locations")
        for row in listed:
            if text(row, "merchantLocationStatus") != "DISABLED":
                key = need_text(row, "merchantLocationKey")
                found.append(Place(key, text(row, "name") or key, default=not found))
        offset += len(listed)
        if not listed or offset >= units(page, "total"):
            return found
