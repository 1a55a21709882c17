"""What every call to Magento shares: settings, paths, search criteria, and its way to word an error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from onhand.connectors.channel import (
    Secret,
)
from onhand.connectors.flow import (
    Failed,
    Pairs,
    Request,
    Response,
    expect,
)
from onhand.connectors.reading import at, rows, text

SKUS_AT_ONCE = 50
"""SKUs in one query: some web servers refuse a longer address."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach and sign for a shop.

    ``auth``: "oauth" signs with an integration's four values; "bearer" sends its access token alone, which
    an administrator has to allow; "ims" is Adobe's cloud service with a client id, secret and organisation.
    ``stock``: "sources" for shops with inventory sources, "stock_item" for those without these modules.
    ``bulk`` sends through the shop's message queue and waits for the outcome. ``backorders`` keeps a
    product in stock at 0. ``website`` and ``stock_id`` say where what is salable is looked up when the shop
    does not tell its stocks.
    """

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s?#]+$")]
    auth: Literal["oauth", "bearer", "ims"] = "oauth"
    consumer_key: str = ""
    consumer_secret: Secret | None = None
    access_token: Secret | None = None
    access_secret: Secret | None = None
    client_id: str = ""
    client_secret: Secret | None = None
    organisation: str = ""
    expires_at: int = 0
    stock: Literal["sources", "stock_item"] = "sources"
    bulk: bool = False
    backorders: bool = False
    website: str = "base"
    stock_id: Annotated[int, msgspec.Meta(ge=1)] = 1

    def __post_init__(self) -> None:
        needed: dict[str, object] = {"access_token": self.access_token}
        match self.auth:
            case "oauth":
                needed |= {"consumer_key": self.consumer_key, "consumer_secret": self.consumer_secret}
                needed |= {"access_secret": self.access_secret}
            case "bearer":
                pass
            case "ims":
                needed = {"client_id": self.client_id, "client_secret": self.client_secret}
                needed |= {"organisation": self.organisation}
        if missing := [name for name, value in needed.items() if not value]:
            raise ValueError(f"Expected {', '.join(missing)}")


def get(path: str, query: Pairs = ()) -> Request:
    """A reading call."""
    return Request("GET", path, query, repeatable=True)


def sku_path(sku: str) -> str:
    """A SKU as one segment of a path: a slash in it is no separator."""
    return quote(sku, safe="")


def criteria(
    groups: Sequence[Sequence[tuple[str, str, str]]], size: int, page: int = 1, sort: str = ""
) -> Pairs:
    """Search criteria: groups of (field, condition, value) that must all hold, any one within a group.
    ``sort`` names fields, separated by spaces."""
    found: list[tuple[str, str]] = []
    for g, group in enumerate(groups):
        for f, (field, condition, value) in enumerate(group):
            start = f"searchCriteria[filter_groups][{g}][filters][{f}]"
            found += [(f"{start}[field]", field), (f"{start}[condition_type]", condition)]
            found.append((f"{start}[value]", value))
    for n, field in enumerate(sort.split()):
        start = f"searchCriteria[sortOrders][{n}]"
        found += [(f"{start}[field]", field), (f"{start}[direction]", "ASC")]
    found += [("searchCriteria[pageSize]", str(size)), ("searchCriteria[currentPage]", str(page))]
    return tuple(found)


def any_of(skus: Iterable[str]) -> list[tuple[str, str, str]]:
    """A group that finds these SKUs. The list of ``in`` is split at commas, so one in a SKU stands alone."""
    skus = list(skus)
    plain = [sku for sku in skus if "," not in sku]
    listed = [("sku", "in", ",".join(plain))] if plain else []
    return listed + [("sku", "eq", sku) for sku in skus if "," in sku]


def count(value: Any, *path: str | int) -> int | None:
    """A whole number; quantities come as decimals, and a part of a unit is none."""
    match at(value, *path):
        case bool():
            return None
        case int(found):
            return found
        case float(found) if math.isfinite(found):
            return math.floor(found)
        case _:
            return None


def words(answer: Response) -> str:
    """What Magento said. It leaves its parameters beside the message: %1 in a list, %name in an object."""
    found = answer.json()
    message = text(found, "message")
    if message is None:
        return answer.words
    more = [_filled(text(row, "message") or "", at(row, "parameters")) for row in rows(found, "errors")]
    return "; ".join(part for part in (_filled(message, at(found, "parameters")), *more) if part)


def expected(answer: Response) -> Any:
    """The JSON of a successful answer. Raises Failed in Magento's words."""
    try:
        return expect(answer)
    except Failed as failed:
        if answer.ok:
            raise
        told = {"retry": failed.retry, "login": failed.login}
        raise Failed(words(answer), seconds=failed.seconds, **told) from None


def _filled(message: str, parameters: Any) -> str:
    pairs: dict[str, Any] = {}
    if isinstance(parameters, list):
        pairs = {str(n): value for n, value in enumerate(parameters, 1)}
    elif isinstance(parameters, Mapping):
        pairs = dict(parameters)
    for name in sorted(pairs, key=len, reverse=True):
        message = message.replace(f"%{name}", str(pairs[name]))
    return message[:600]
