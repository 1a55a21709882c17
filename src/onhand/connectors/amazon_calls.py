"""The calls of Amazon's Selling Partner API that several of our flows share: documents, listings, words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl, quote

from onhand.connectors.channel import Secret
from onhand.connectors.flow import Failed, Flow, Pairs, Request, Response, expect
from onhand.connectors.reading import ask, at, need_text, rows, text, whole

LISTINGS = "/listings/2021-08-01/items"
FEEDS = "/feeds/2021-06-30"
REPORTS = "/reports/2021-06-30"
OWN = "DEFAULT"
"""The fulfilment channel of stock that the merchant ships; every other code is a network of Amazon."""
FBA = "FBA"
"""How we call Amazon's networks as a location."""
INCLUDED = "summaries,fulfillmentAvailability,productTypes"
ANY_TYPE = "PRODUCT"
"""The product type that offer attributes may be patched under when the real one is not known."""
PARTIAL, EMPTY = 206, 416
DOCUMENT_BYTES = 256 * 1024 * 1024
PART_BYTES = 4 * 1024 * 1024
"""A document is read in parts: a report of some ten thousand listings is longer than the courier reads of any
one answer."""
TOTAL = re.compile(r"bytes [0-9]+-[0-9]+/([0-9]{1,15})")
GZIP = b"\x1f\x8b"


class Seller(Protocol):
    """What the flows need to know of a seller."""

    @property
    def seller_id(self) -> str:
        """The merchant token."""

    @property
    def marketplace_id(self) -> str:
        """The marketplace whose listings are told and shown."""

    @property
    def also(self) -> tuple[str, ...]:
        """Others that sell from the same quantities."""

    @property
    def locale(self) -> str:
        """In what language Amazon states issues."""

    @property
    def feed_from(self) -> int:
        """From how many targets on a feed is used."""

    @property
    def fba(self) -> bool:
        """Whether the application may read Amazon's own stock."""


def items_path(seller: Seller, sku: str | None = None) -> str:
    """The path of the seller's listings or of one; a SKU may hold spaces, slashes and plus signs."""
    path = f"{LISTINGS}/{quote(seller.seller_id, safe='')}"
    return path if sku is None else f"{path}/{quote(sku, safe='')}"


def search(seller: Seller, *more: tuple[str, str]) -> Request:
    """A page of the seller's listings."""
    query = (("marketplaceIds", seller.marketplace_id), *more)
    return Request("GET", items_path(seller), query=query, limit="search", repeatable=True)


def look_up(seller: Seller, sku: str) -> Request:
    """One listing."""
    query: Pairs = (("marketplaceIds", seller.marketplace_id), ("includedData", INCLUDED))
    return Request("GET", items_path(seller, sku), query=query, limit="read", repeatable=True)


# --- listings -------------------------------------------------------------------------------------------


def availability(row: Mapping[str, Any]) -> dict[str, int | None]:
    """Quantities by fulfilment channel; None where none is said."""
    return {
        text(entry, "fulfillmentChannelCode") or OWN: whole(entry, "quantity")
        for entry in rows(row, "fulfillmentAvailability")
    }


def summary(seller: Seller, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The summary of a listing in our marketplace."""
    there = [part for part in rows(row, "summaries") if _here(seller, part)]
    return there[0] if there else {}


def ids_of(seller: Seller, row: Mapping[str, Any]) -> dict[str, str]:
    """What we remember of a listing: SKU, ASIN, product type, and who ships it."""
    codes = availability(row)
    types = [part for part in rows(row, "productTypes") if _here(seller, part)]
    found = {
        "sku": text(row, "sku"),
        "asin": text(summary(seller, row), "asin"),
        "product_type": text(at(types, 0), "productType") or text(summary(seller, row), "productType"),
        "fulfilled_by": OWN if OWN in codes or not codes else min(codes),
    }
    return {name: value for name, value in found.items() if value}


def _here(seller: Seller, part: Mapping[str, Any]) -> bool:
    return text(part, "marketplaceId") in (None, seller.marketplace_id)


# --- documents ------------------------------------------------------------------------------------------


def presigned(method: Literal["GET", "PUT"], url: str, **rest: Any) -> Request:
    """A request to a document's own address. Its query is the right to the document, hence secret; it is
    not signed again. Raises Failed when the address is not one."""
    place, _, query = url.partition("?")
    if not place.startswith("https://"):
        raise Failed("the address of Amazon's document is not https", retry=True)
    fields = tuple((name, Secret(value)) for name, value in parse_qsl(query, keep_blank_values=True))
    return Request(method, place, query=fields, signed=False, limit="files", repeatable=True, **rest)


def document(path: str, name: str, limit: str) -> Flow[bytes]:
    """The content of a feed's or a report's document. Whether it is packed its first bytes tell: what Amazon
    says of it beside has been wrong in both ways. Raises Failed."""
    call = Request("GET", f"{path}/documents/{quote(name, safe='')}", limit=limit, repeatable=True)
    found = expect((yield from ask(call)))
    content = yield from _read(need_text(found, "url"))
    return unpacked(content) if content.startswith(GZIP) else content


def _read(url: str) -> Flow[bytes]:
    """A document part by part, or as a whole where the store does not give parts. Raises Failed."""
    content = bytearray()
    while len(content) <= DOCUMENT_BYTES:
        part = f"bytes={len(content)}-{len(content) + PART_BYTES - 1}"
        answer = yield from ask(presigned("GET", url, headers=(("Range", part),)))
        if answer.status == EMPTY and not content:
            return b""
        if not answer.ok or (content and answer.status != PARTIAL):
            raise Failed(f"Amazon's document cannot be read: {answer.status}", retry=True)
        content += answer.body
        total = TOTAL.fullmatch(answer.headers.get("content-range", ""))
        if answer.status != PARTIAL or (total and len(content) >= int(total[1])):
            return bytes(content)
        if not total or not answer.body:
            raise Failed("Amazon's document is given in parts that do not make a whole", retry=True)
    raise Failed("Amazon's document is too large", retry=True)


def unpacked(packed: bytes) -> bytes:
    """Gzip undone, up to `DOCUMENT_BYTES`. Raises Failed."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = stream.decompress(packed, DOCUMENT_BYTES)
    except zlib.error:
        raise Failed("Amazon's document is not the gzip file that it is said to be", retry=True) from None
    if not stream.eof:
        raise Failed("Amazon's document is cut off or too large", retry=True)
    return plain


# --- words ----------------------------------------------------------------------------------------------


def error_words(answer: Response) -> tuple[str, str]:
    """What Amazon says is wrong, and its code: from its list of errors, else from the beginning of the
    body."""
    errors = rows(answer.json(), "errors")
    said = [text(error, "message") or text(error, "code") or "" for error in errors]
    words = "; ".join(part for part in said if part)
    return (f"{answer.status} {words}" if words else answer.words), text(at(errors, 0), "code") or ""


def issue_words(issues: list[Mapping[str, Any]]) -> tuple[str, str]:
    """The words of a listing's issues, errors alone when there are any, and the first one's code."""
    worst = [issue for issue in issues if text(issue, "severity") == "ERROR"] or issues
    words = "; ".join(text(issue, "message") or text(issue, "code") or "?" for issue in worst)
    return words or "Amazon gives no reason", text(at(worst, 0), "code") or ""
