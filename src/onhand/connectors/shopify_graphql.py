"""The words between us and Shopify: GraphQL documents of the Admin API, and what an answer to one means.

GraphQL Admin API 2026-10. Every document here was validated on 2026-11-22 against the introspection of that
version that Shopify publishes with its developer tools.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

from onhand.connectors.flow import Failed, Request, Response, Shown, Wait, expect, retry_after
from onhand.connectors.reading import ask, at, rows, text, units, whole

VERSION = "2026-10"
PATH = f"/admin/api/{VERSION}/graphql.json"

SET = """
mutation HubSet($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id }
    userErrors { code field message }
  }
}"""
TRACK = """
mutation HubTrack($id: ID!) {
  inventoryItemUpdate(id: $id, input: {tracked: true}) {
    inventoryItem { id tracked }
    userErrors { field message }
  }
}"""
LEVEL = """
fragment Level on InventoryLevel {
  location { id isFulfillmentService }
  quantities(names: ["available", "committed"]) { name quantity updatedAt }
}"""
LOOK = (
    """
query HubLook($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on InventoryItem {
      id inventoryLevels(first: 10) { nodes { ...Level } pageInfo { hasNextPage endCursor } }
    }
  }
}"""
    + LEVEL
)
_ITEM = """
      id sku tracked
      variants(first: 1) { nodes { id displayName product { status } } }
      inventoryLevels(first: 10) { nodes { ...Level } pageInfo { hasNextPage endCursor } }
"""
ITEMS = (
    """
query HubItems($first: Int!, $after: String) {
  inventoryItems(first: $first, after: $after) {
    nodes {"""
    + _ITEM
    + """    }
    pageInfo { hasNextPage endCursor }
  }
}"""
    + LEVEL
)
NAMED = (
    """
query HubNamed($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on InventoryItem {"""
    + _ITEM
    + """    }
  }
}"""
    + LEVEL
)
LEVELS = (
    """
query HubLevels($id: ID!, $first: Int!, $after: String) {
  inventoryItem(id: $id) {
    inventoryLevels(first: $first, after: $after) { nodes { ...Level } pageInfo { hasNextPage endCursor } }
  }
}"""
    + LEVEL
)
PLACES = """
query HubPlaces($first: Int!, $after: String) {
  location { id }
  locations(first: $first, after: $after, includeInactive: false, includeLegacy: true) {
    nodes { id name isFulfillmentService }
    pageInfo { hasNextPage endCursor }
  }
}"""
LINE = """
fragment Line on LineItem {
  id sku quantity currentQuantity unfulfilledQuantity nonFulfillableQuantity
  variant { id inventoryItem { id } }
}"""
_ORDER = """
      id name updatedAt cancelledAt confirmed test
      fulfillments(first: 5) { createdAt }
      lineItems(first: 20) { nodes { ...Line } pageInfo { hasNextPage endCursor } }
"""
ORDERS = (
    """
query HubOrders($first: Int!, $after: String, $query: String!) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes {"""
    + _ORDER
    + """    }
    pageInfo { hasNextPage endCursor }
  }
}"""
    + LINE
)
NAMED_ORDERS = (
    """
query HubNamedOrders($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on Order {"""
    + _ORDER
    + """    }
  }
  currentAppInstallation { accessScopes { handle } }
}"""
    + LINE
)
LINES = (
    """
query HubLines($id: ID!, $first: Int!, $after: String) {
  order(id: $id) {
    lineItems(first: $first, after: $after) { nodes { ...Line } pageInfo { hasNextPage endCursor } }
  }
}"""
    + LINE
)
PARCEL = """
fragment Parcel on FulfillmentLineItemConnection {
  nodes { quantity lineItem { id } } pageInfo { hasNextPage endCursor }
}"""
REFUNDED = """
fragment Refunded on RefundLineItemConnection {
  nodes { quantity restockType lineItem { id } } pageInfo { hasNextPage endCursor }
}"""
HISTORY = (
    """
query HubHistory($id: ID!, $first: Int!) {
  order(id: $id) {
    fulfillments(first: $first) { id status fulfillmentLineItems(first: 20) { ...Parcel } }
    refunds(first: $first) { id refundLineItems(first: 20) { ...Refunded } }
  }
}"""
    + PARCEL
    + REFUNDED
)
PART = (
    """
query HubPart($id: ID!, $first: Int!, $after: String) {
  node(id: $id) {
    ... on Fulfillment { fulfillmentLineItems(first: $first, after: $after) { ...Parcel } }
    ... on Refund { refundLineItems(first: $first, after: $after) { ...Refunded } }
  }
}"""
    + PARCEL
    + REFUNDED
)
CHECK = """
query HubCheck {
  shop { name myshopifyDomain }
  currentAppInstallation { accessScopes { handle } }
}"""

CALL_COST = 10
"""Points of a mutation or a small query; the balance that comes with every answer corrects the guess."""
PAGE_COST = 200
LEVEL_PAGE = 50
LONGEST_WAIT = 60.0

THROTTLED = "THROTTLED"
TOO_DEAR = "MAX_COST_EXCEEDED"
PASSING = {THROTTLED, "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT", "SHOP_INACTIVE"}
"""A shop that is closed says nothing about its listings: they are told when it is open again."""
DENIED = {"ACCESS_DENIED", "UNAUTHORIZED", "FORBIDDEN"}


class Fault(NamedTuple):
    """An error at the top of a GraphQL answer, under which nothing was done."""

    code: str
    words: str


def request(document: str, variables: Mapping[str, Any], cost: int = CALL_COST) -> Request:
    """A GraphQL request. Queries can be said again; so can our mutations, by their key or by nature."""
    name = document.split(None, 2)[1].partition("(")[0]
    body = {"query": document.strip(), "operationName": name, "variables": variables}
    return Request("POST", PATH, json=body, cost=cost, repeatable=True)


def fault(answer: Response) -> Fault | None:
    """What is wrong with the answer as a whole, although its status is 200."""
    errors = at(answer.json(), "errors")
    if not errors:
        return None
    first = errors[0] if isinstance(errors, list) else errors
    code = text(first, "extensions", "code") or ""
    return Fault(code, text(first, "message") or text(first) or answer.words)


def data(answer: Response) -> Mapping[str, Any]:
    """The ``data`` of an answer. Raises Failed."""
    expect(answer)
    if wrong := fault(answer):
        raise Failed(
            f"{wrong.code} {wrong.words}".strip(),
            retry=wrong.code in PASSING,
            seconds=balance_wait(answer),
            login=wrong.code in DENIED,
        )
    found = at(answer.json(), "data")
    if not isinstance(found, Mapping):
        raise Failed(f"the channel's answer is not as documented: {answer.words}", retry=True)
    return found


def sized(
    document: str, variables: Mapping[str, Any], size: int
) -> Generator[Request | Wait, Response | None, tuple[Mapping[str, Any], int, Response]]:
    """The data of a page of ``size`` rows, or as many as `fitting` got. Raises Failed."""
    answer, size = yield from fitting(document, variables, size)
    return data(answer), size, answer


def fitting(
    document: str, variables: Mapping[str, Any], size: int
) -> Generator[Request | Wait, Response | None, tuple[Response, int]]:
    """Ask for a page of ``size`` rows, and for half as many while Shopify finds the query too dear: how it
    counts nested lists is not published to the point. The size that went through comes back."""
    while True:
        answer = yield from ask(request(document, {**variables, "first": size}, PAGE_COST))
        wrong = fault(answer)
        if wrong and wrong.code == TOO_DEAR and size > 1:
            size //= 2
            continue
        return answer, size


def next_after(value: Any, *path: str | int) -> str | None:
    """Where the next page of a connection begins; None at the end."""
    page = at(value, *path, "pageInfo")
    return text(page, "endCursor") if at(page, "hasNextPage") is True else None


def nodes(value: Any, *path: str | int) -> list[Mapping[str, Any]]:
    """The nodes of a connection; empty when it is missing."""
    return rows(value, *path, "nodes")


def levels_of(
    row: Mapping[str, Any],
) -> Generator[Request | Wait, Response | None, list[Mapping[str, Any]]]:
    """All levels of an inventory item; one that is kept at many locations takes calls of its own. Raises
    Failed."""
    levels, after = nodes(row, "inventoryLevels"), next_after(row, "inventoryLevels")
    while after:
        found, _, _ = yield from sized(LEVELS, {"id": text(row, "id"), "after": after}, LEVEL_PAGE)
        levels += nodes(found, "inventoryItem", "inventoryLevels")
        after = next_after(found, "inventoryItem", "inventoryLevels")
    return levels


def shown(level: Mapping[str, Any]) -> Shown:
    """What a level shows. Its time of change is kept as token: the same number at another time is news."""
    quantities = {text(row, "name"): row for row in rows(level, "quantities")}
    available = quantities.get("available")
    return Shown(
        whole(available, "quantity"),
        text(level, "location", "id"),
        text(available, "updatedAt"),
        units(quantities.get("committed"), "quantity"),
    )


def balance_wait(answer: Response) -> float | None:
    """Seconds until the same query is affordable again, by the balance that the answer states."""
    if (told := retry_after(answer)) is not None:
        return told
    cost = at(answer.json(), "extensions", "cost")
    asked, left, rate = (
        _number(cost, *path)
        for path in (
            ("requestedQueryCost",),
            ("throttleStatus", "currentlyAvailable"),
            ("throttleStatus", "restoreRate"),
        )
    )
    if asked is None or left is None or rate is None or rate <= 0 or asked <= left:
        return None
    return min(LONGEST_WAIT, (asked - left) / rate)


def _number(value: Any, *path: str | int) -> float | None:
    found = at(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) < 1e12 else None
