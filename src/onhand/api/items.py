"""Items as they are read: listed, found by SKU, shown, kits with their components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection
from starlette.responses import Response

from onhand.api import params, told
from onhand.api.asked import Sellable
from onhand.api.calls import Call
from onhand.api.problems import Problem, bad_parameter
from onhand.api.replies import Reply, response
from onhand.api.schema import Position, cursor, position
from onhand.api.schema import shown as time_shown
from onhand.auth import Caller
from onhand.store import catalog, lookup
from onhand.store.catalog import Item

SKUS_LIMIT = 100
"""SKUs in one query."""


async def listed(call: Call) -> Response:
    """GET /items: by id, or those of some SKUs."""
    found = call.params("sku", "cursor", "limit")
    skus = found.get("sku", [])
    if len(skus) > SKUS_LIMIT:
        raise bad_parameter("sku", f"expected at most {SKUS_LIMIT} times")
    limit = params.limit(found)
    text = params.one(found, "cursor")
    after = 0 if text is None else position(text, "items", skus, tuple[Position])[0]

    def query(connection: Connection) -> dict[str, Any]:
        if skus:
            named = catalog.items_by_sku(connection, call.account, skus).values()
            rows = sorted((one for one in named if one.id > after), key=lambda one: one.id)
        else:
            rows = catalog.items_page(connection, call.account, after, limit + 1)
        more = cursor("items", skus, rows[limit - 1].id) if len(rows) > limit else None
        return told.page(rendered(connection, call.caller, rows[:limit]), more)

    return response(Reply(200, await call.read(query)))


async def shown(call: Call) -> Response:
    """GET /items/{item}."""
    call.params()
    rows = await call.read(lambda c: rendered(c, call.caller, [found_item(c, call)]))
    return response(Reply(200, rows[0]))


def found_item(connection: Connection, call: Call, number: int | None = None) -> Item:
    """The item of this id, or else the one in the path."""
    named = call.item() if number is None else Sellable(item=number)
    if named.sku is not None:
        found = catalog.items_by_sku(connection, call.account, [named.sku]).get(named.sku)
    else:
        found = catalog.items(connection, call.account, [named.item or 0]).get(named.item or 0)
    if found is None:
        raise Problem("unknown_item", "There is no such item")
    return found


def rendered(connection: Connection, caller: Caller, rows: Sequence[Item]) -> list[dict[str, Any]]:
    """Items as they are answered to this caller."""
    kits = {one.id: catalog.kit_parts(connection, caller.account, one.id) for one in rows if one.kit}
    skus = lookup.skus(connection, caller.account, {part for parts in kits.values() for part in parts})
    return [item_body(one, kits.get(one.id, {}), skus, cost=caller.seller is None) for one in rows]


def item_body(
    one: Item, parts: Mapping[int, int], skus: Mapping[int, str | None], *, cost: bool
) -> dict[str, Any]:
    """An item as it is answered; what it costs is the account's own business."""
    body = msgspec.structs.asdict(one)
    if not cost:
        body["cost"] = None
    body["components"] = [
        {"item": part, "sku": skus.get(part), "quantity": units} for part, units in sorted(parts.items())
    ]
    return body | {"created_at": time_shown(one.created_at), "updated_at": time_shown(one.updated_at)}
