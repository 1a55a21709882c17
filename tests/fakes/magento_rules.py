"""How a Magento shop checks a signature and reads search criteria, for its fake."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from fakes.common import header, reply
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

CRITERION = re.compile(
    r"searchCriteria\[filter_groups\]\[(\d+)\]\[filters\]\[(\d+)\]\[(field|value|condition_type)\]"
)
OTHERS = {
    "fields",
    "searchCriteria[pageSize]",
    "searchCriteria[currentPage]",
    *(f"searchCriteria[sortOrders][{n}][{part}]" for n in (0, 1) for part in ("field", "direction")),
}


def fault(status: int, message: str, parameters: Any = None) -> Response:
    """An error as Magento words it, its parameters beside it."""
    return reply(status, {"message": message} | ({} if parameters is None else {"parameters": parameters}))


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")


def signed_well(wire: Wire, settings: Mapping[str, Any], seen: set[str]) -> bool:
    """OAuth 1.0a with HMAC-SHA256 over method, address and query; a nonce is good once."""
    scheme, _, rest = header(wire, "authorization").partition(" ")
    given = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', rest)}
    proof = given.pop("oauth_signature", "")
    known = given.get("oauth_consumer_key") == settings["consumer_key"]
    known = known and given.get("oauth_token") == settings["access_token"]
    if scheme != "OAuth" or not known or given.get("oauth_signature_method") != "HMAC-SHA256":
        return False
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in [*given.items(), *wire.query])
    joined = "&".join(f"{name}={value}" for name, value in pairs)
    text = "&".join((wire.method, _encoded(wire.url), _encoded(joined)))
    key = f"{_encoded(settings['consumer_secret'])}&{_encoded(settings['access_secret'])}"
    good = b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()
    fresh = given.get("oauth_nonce") not in seen
    seen.add(given.get("oauth_nonce", ""))
    return good == proof and fresh


def search(rows: Sequence[Mapping[str, Any]], asked: Mapping[str, str], most: int = 300) -> Response:
    """Rows that meet all groups of criteria, a page of them; a page number that is too high is the last."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for name, value in asked.items():
        if found := CRITERION.fullmatch(name):
            groups.setdefault(found[1], {}).setdefault(found[2], {})[found[3]] = value
        elif name not in OTHERS:
            return fault(400, 'The "%1" parameter is unknown.', [name])
    chosen = [row for row in rows if all(any(_meets(row, f) for f in g.values()) for g in groups.values())]
    size, page = int(asked["searchCriteria[pageSize]"]), int(asked["searchCriteria[currentPage]"])
    if page % 2 == 0:
        chosen.reverse()  # what no sorting tells apart comes as it likes, another way on each page
    for n in (1, 0):
        if field := asked.get(f"searchCriteria[sortOrders][{n}][field]"):
            name = "id" if field == "entity_id" and any("id" in row for row in rows) else field
            chosen.sort(key=lambda row, name=name: row[name])  # type: ignore[misc]
    if size > most:
        return fault(400, "Maximum SearchCriteria pageSize is %max", {"max": most})
    last = max(1, -(-len(chosen) // size))
    start = (min(page, last) - 1) * size
    return reply(200, {"items": chosen[start : start + size], "total_count": len(chosen)})


def _meets(row: Mapping[str, Any], rule: Mapping[str, str]) -> bool:
    field = "id" if rule["field"] == "entity_id" and "id" in row else rule["field"]
    value = row[field]
    match rule["condition_type"]:
        case "in":
            return str(value).casefold() in rule["value"].casefold().split(",")
        case "eq":
            return str(value).casefold() == rule["value"].casefold()
        case "gt":
            return bool(value > int(rule["value"]))
        case "gteq":
            return bool(value >= rule["value"])
        case _:
            return False
