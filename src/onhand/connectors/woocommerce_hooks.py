"""Webhooks of a WooCommerce shop that it has turned off: found, and turned on again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from onhand.connectors.flow import Flow, Request
from onhand.connectors.reading import ask, rows, text

OURS = re.compile(r"/hooks/[0-9]+-[0-9]+/?$")
"""How an address ends that leads to a hub."""


def asleep() -> Flow[list[Mapping[str, Any]]]:
    """The webhooks that are turned off: none where the key may not see them."""
    query = (("status", "disabled"), ("per_page", "100"))
    answer = yield from ask(Request("GET", "/webhooks", query, repeatable=True))
    return rows({"listed": answer.json()}, "listed") if answer.ok else []


def wake() -> Flow[None]:
    """Turn on those to a hub. WooCommerce turns a webhook off after five answers that it did not like, as
    while the hub was away, and tells nobody; what it would have told is polled for."""
    for row in (yield from asleep()):
        name, where = text(row, "id"), text(row, "delivery_url") or ""
        if name and OURS.search(where):
            yield from ask(Request("PUT", f"/webhooks/{name}", json={"status": "active"}, repeatable=True))
