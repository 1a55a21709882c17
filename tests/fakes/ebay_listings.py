"""eBay's Trading API for one account: listings made elsewhere than with the Inventory API, in XML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from fakes.common import header
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

SPACE = "{urn:ebay:apis:eBLBaseComponents}"
REVISIONS = 250
"""So often a listing may be revised in a day."""


@dataclass
class Listing:
    """A listing; one with variations keeps its numbers by their SKUs."""

    sku: str = ""
    quantity: int = 0
    sold: int = 0
    kind: str = "FixedPriceItem"
    variations: dict[str, int] = field(default_factory=dict)
    unnamed: int | None = None


@dataclass
class Listings:
    """Listings by item number."""

    items: dict[str, Listing] = field(default_factory=dict)
    page: int = 100
    revised: Counter[str] = field(default_factory=Counter)
    """How often listings were revised today, with all their variations together."""

    def answer(self, wire: Wire, tokens: Set[str]) -> Response:
        """What the interface says to a call."""
        name = header(wire, "x-ebay-api-call-name")
        assert header(wire, "x-ebay-api-compatibility-level")
        assert header(wire, "x-ebay-api-siteid").isdigit()
        assert header(wire, "content-type") == "text/xml"
        assert not header(wire, "authorization")
        root = ElementTree.fromstring(wire.body)
        assert root.tag == f"{SPACE}{name}Request"
        if not header(wire, "x-ebay-api-iaf-token"):
            return xml(name, "Failure", error("10017", "There is no token to authenticate this call."))
        if header(wire, "x-ebay-api-iaf-token") not in tokens:
            return xml(name, "Failure", error("931", "Auth token is invalid."))
        match name:
            case "GeteBayOfficialTime":
                return xml(name, "Success", "")
            case "GetSellerList":
                return self._list(root)
            case "ReviseInventoryStatus":
                return self._revise(root)
            case _:
                return xml(name, "Failure", error("2", "Unsupported API call."))

    def _list(self, root: ElementTree.Element) -> Response:
        number = int(root.findtext(f"{SPACE}Pagination/{SPACE}PageNumber") or 0)
        asked = int(root.findtext(f"{SPACE}Pagination/{SPACE}EntriesPerPage") or 0)
        assert root.findtext(f"{SPACE}IncludeVariations") == "true"
        assert (root.findtext(f"{SPACE}EndTimeFrom") or "") < (root.findtext(f"{SPACE}EndTimeTo") or "")
        size = min(asked, self.page)
        rows = list(self.items.items())
        shown = rows[(number - 1) * size : number * size]
        inner = "".join(item(name, listing) for name, listing in shown)
        more = "true" if number * size < len(rows) else "false"
        total = (
            f"<PaginationResult><TotalNumberOfEntries>{len(rows)}</TotalNumberOfEntries></PaginationResult>"
        )
        body = f"<HasMoreItems>{more}</HasMoreItems>{total}<ItemArray>{inner}</ItemArray>"
        return xml("GetSellerList", "Success", body)

    def _revise(self, root: ElementTree.Element) -> Response:
        rows = root.findall(f"{SPACE}InventoryStatus")
        assert 0 < len(rows) <= 4
        assert root.findtext(f"{SPACE}ErrorLanguage") == "en_US", "its words are read"
        done, failed = [], []
        for row in rows:
            name, sku = row.findtext(f"{SPACE}ItemID") or "", row.findtext(f"{SPACE}SKU") or ""
            quantity = int(row.findtext(f"{SPACE}Quantity") or -1)
            words = self._set(name, sku, quantity)
            told = f"<ItemID>{name}</ItemID><SKU>{escape(sku)}</SKU><Quantity>{quantity}</Quantity>"
            done.append(f"<InventoryStatus>{told}</InventoryStatus>") if not words else failed.append(words)
        ack = "Success" if not failed else "PartialFailure" if done else "Failure"
        wrong = "".join(error("21916635", words) for words in failed)
        return xml("ReviseInventoryStatus", ack, wrong + "".join(done))

    def _set(self, name: str, sku: str, quantity: int) -> str:
        """Sets what is available; why not, in words."""
        listing = self.items.get(name)
        if listing is None:
            return f"Item {name} not found."
        if listing.variations and sku not in listing.variations:
            return f"Variation {sku} not found."
        if self.revised[name] >= REVISIONS:
            return f"Listing {name} was already revised {REVISIONS} times today."
        self.revised[name] += 1
        if listing.variations:
            listing.variations[sku] = quantity
        else:
            listing.quantity = quantity
        return ""


def item(name: str, listing: Listing) -> str:
    """A listing as the list shows it: quantities count sold units too."""
    status = "<ListingStatus>Active</ListingStatus>"
    parts = [variation(sku, count, listing.sold) for sku, count in listing.variations.items()]
    if listing.unnamed is not None:
        parts.append(variation("", listing.unnamed, listing.sold))
    inner = f"<Variations>{''.join(parts)}</Variations>" if parts else ""
    sku = f"<SKU>{escape(listing.sku)}</SKU>" if listing.sku else ""
    return (
        f"<Item><ItemID>{name}</ItemID>{sku}<Title>Mug &amp; more</Title>"
        f"<Quantity>{listing.quantity + listing.sold}</Quantity><ListingType>{listing.kind}</ListingType>"
        f"<SellingStatus><QuantitySold>{listing.sold}</QuantitySold>{status}</SellingStatus>{inner}</Item>"
    )


def variation(sku: str, count: int, sold: int) -> str:
    """A variation as the list shows it."""
    named = f"<SKU>{escape(sku)}</SKU>" if sku else ""
    status = f"<SellingStatus><QuantitySold>{sold}</QuantitySold></SellingStatus>"
    return f"<Variation>{named}<Quantity>{count + sold}</Quantity>{status}</Variation>"


def error(code: str, words: str) -> str:
    """An error, and a warning beside it that means nothing."""
    inner = f"<LongMessage>{escape(words)}</LongMessage><ErrorCode>{code}</ErrorCode>"
    warning = "<Errors><SeverityCode>Warning</SeverityCode><ErrorCode>1</ErrorCode></Errors>"
    return f"<Errors>{inner}<SeverityCode>Error</SeverityCode></Errors>{warning}"


def xml(name: str, ack: str, inner: str) -> Response:
    """An answer."""
    head = f"<Timestamp>2026-11-22T10:00:00.000Z</Timestamp><Ack>{ack}</Ack>"
    space = SPACE.strip("{}")
    text = f'<{name}Response xmlns="{space}">{head}{inner}</{name}Response>'
    return Response(200, {"content-type": "text/xml"}, text.encode())
