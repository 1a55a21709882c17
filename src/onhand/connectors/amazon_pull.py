"""Reads what Amazon shows: a seller's listings by pages, or by a report when they are too many for pages."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from onhand.connectors.amazon_calls import (
    FBA,
    INCLUDED,
    OWN,
    REPORTS,
    Seller,
    availability,
    document,
    ids_of,
    search,
    summary,
)
from onhand.connectors.flow import Failed, Flow, Page, Pairs, Request, Seen, Shown, Wait, expect
from onhand.connectors.reading import ask, at, need_rows, need_text, rows, text, units, whole

PAGE = 20
PAGED = 1_000
"""The search shows no more listings than these, whatever it says there are."""
REPORT = "GET_MERCHANT_LISTINGS_ALL_DATA"
LOOK_SECONDS = 20
LOOKS = 90
BEHIND, REPORT_BEHIND = 900.0, 7_200.0
"""Seconds until a page shows a quantity that was accepted, and until a report does. No number is published:
sellers tell of minutes for the one and of more than an hour for the other."""
WHY = "Amazon ships this listing (FBA) and keeps its stock"
ALIVE = {"BUYABLE", "DISCOVERABLE"}
FBA_SUMMARIES = "/fba/inventory/v1/summaries"


def pull(settings: Seller, cursor: str | None) -> Flow[Page]:
    """A page of listings. The cursor is the search's own token; a seller with more listings than can be
    paged gets all of them in one page, from a report."""
    token = (("pageToken", cursor),) if cursor else ()
    call = search(settings, ("includedData", INCLUDED), ("pageSize", str(PAGE)), *token)
    found = expect((yield from ask(call)))
    if cursor is None and units(found, "numberOfResults") > PAGED:
        return Page((yield from _reported(settings)), behind=REPORT_BEHIND)
    listed = [row for row in need_rows(found, "items") if text(row, "sku")]
    ids = [ids_of(settings, row) for row in listed]
    owned = [own["sku"] for own in ids if own["fulfilled_by"] != OWN]
    stock = (yield from _fba_stock(settings, owned)) if owned else {}
    seen = [_seen(settings, row, own, stock) for row, own in zip(listed, ids, strict=True)]
    following = text(found, "pagination", "nextToken")
    return Page(tuple(seen), following if following != cursor else None, BEHIND)


def _seen(seller: Seller, row: Mapping[str, Any], ids: Mapping[str, str], stock: Mapping[str, int]) -> Seen:
    mine = ids["fulfilled_by"] == OWN
    shown = Shown(availability(row).get(OWN), OWN) if mine else Shown(stock.get(ids["sku"]), FBA)
    states = at(summary(seller, row), "status")
    return Seen(
        ids,
        ids["sku"],
        (shown,),
        title=text(summary(seller, row), "itemName") or "",
        active=not isinstance(states, list) or bool(ALIVE.intersection(map(str, states))),
        writable=mine,
        why="" if mine else WHY,
    )


def _fba_stock(seller: Seller, skus: Sequence[str] = ()) -> Flow[dict[str, int]]:
    """What buyers can have of stock that Amazon keeps, by SKU; of all of it when no SKUs are named. An
    application without the right to ask shows no numbers."""
    if not seller.fba:
        return {}
    asked: Pairs = (
        ("details", "true"),
        ("granularityType", "Marketplace"),
        ("granularityId", seller.marketplace_id),
        ("marketplaceIds", seller.marketplace_id),
    )
    if skus:
        # A comma parts SKUs here and cannot be written otherwise.
        asked += (("sellerSkus", ",".join(sku for sku in skus if "," not in sku)),)
    stock: dict[str, int] = {}
    token: str | None = ""
    while token is not None:
        more: Pairs = (("nextToken", token),) if token else ()
        call = Request("GET", FBA_SUMMARIES, query=asked + more, limit="fba", repeatable=True)
        answer = yield from ask(call)
        if answer.status == 403:
            return {}
        if token and answer.status == 400:
            # It gives tokens now and then that it does not take, or the same one for ever: what is left out
            # has no number, and the merchant's own listings are looked at all the same.
            return stock
        found = expect(answer)
        for row in rows(found, "payload", "inventorySummaries"):
            sku, count = text(row, "sellerSku"), whole(row, "inventoryDetails", "fulfillableQuantity")
            if sku and count is not None:
                stock[sku] = count
        before, token = token, text(found, "pagination", "nextToken")
        token = None if token == before else token
    return stock


# --- the report -----------------------------------------------------------------------------------------


def _reported(seller: Seller) -> Flow[tuple[Seen, ...]]:
    """All listings, from a report that Amazon writes meanwhile. Raises Failed."""
    body = {"reportType": REPORT, "marketplaceIds": [seller.marketplace_id]}
    call = Request("POST", f"{REPORTS}/reports", json=body, limit="reports")
    name = need_text(expect((yield from ask(call))), "reportId")
    written = yield from _written(name)
    table = _table((yield from document(REPORTS, written, "report_files")))
    foreign = any(row["fulfillment-channel"] not in (OWN, "") for row in table)
    stock = (yield from _fba_stock(seller)) if foreign else {}
    return tuple(_listed(row, stock) for row in table if row["seller-sku"])


def _written(name: str) -> Flow[str]:
    for _ in range(LOOKS):
        yield Wait(LOOK_SECONDS)
        call = Request("GET", f"{REPORTS}/reports/{quote(name, safe='')}", limit="report", repeatable=True)
        found = expect((yield from ask(call)))
        match text(found, "processingStatus"):
            case "DONE":
                return need_text(found, "reportDocumentId")
            case "FATAL" | "CANCELLED" as status:
                raise Failed(f"Amazon did not write its report of listings: {status}", retry=True)
            case _:
                pass
    raise Failed("Amazon takes too long to write its report of listings", retry=True)


COLUMNS = ("seller-sku", "quantity", "fulfillment-channel", "asin1", "item-name", "status")


def _table(content: bytes) -> list[dict[str, str]]:
    """The rows of a report. Some marketplaces write it in UTF-8, others in Windows' Western characters."""
    try:
        plain = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        plain = content.decode("cp1252", "replace")
    reader = csv.DictReader(io.StringIO(plain, ""), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        if missing := set(COLUMNS[:3]).difference(reader.fieldnames or ()):
            raise Failed(f"Amazon's report of listings lacks {', '.join(sorted(missing))}", retry=True)
        return [{name: row.get(name) or "" for name in COLUMNS} for row in reader]
    except csv.Error as error:
        raise Failed(f"Amazon's report of listings cannot be read: {error}", retry=True) from None


def _listed(row: Mapping[str, str], stock: Mapping[str, int]) -> Seen:
    sku, code = row["seller-sku"], row["fulfillment-channel"] or OWN
    mine = code == OWN
    ids = {"sku": sku, "fulfilled_by": code} | ({"asin": row["asin1"]} if row["asin1"] else {})
    return Seen(
        ids,
        sku,
        (Shown(whole(row["quantity"]), OWN) if mine else Shown(stock.get(sku), FBA),),
        title=row["item-name"],
        active=row["status"] in ("Active", ""),
        writable=mine,
        why="" if mine else WHY,
    )
