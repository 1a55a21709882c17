"""A connector for the tests: the Bazaar, a channel that exists in memory only (`stall.Stall`).

Bazaar API 1, documented in `stall.py`; checked with every test run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from onhand.connectors.auth import Wire, bearer
from onhand.connectors.channel import (
    Channel,
    Limit,
    Secret,
)
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Flow,
    Order,
    OrderLine,
    Orders,
    Page,
    Rejected,
    Request,
    Response,
    Seen,
    Shown,
    Stale,
    Target,
    Verdict,
    expect,
    for_all,
)
from onhand.connectors.reading import ask, at, need_rows, rows, text, whole

PAGE = 100


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token that lives until ``expires_at``; ``refresh`` gets another pair."""

    token: Secret
    refresh: Secret | None = None
    expires_at: int = 0


CHANNEL = Channel(
    name="bazaar",
    title="Bazaar",
    version="1",
    document="stall.py",
    checked="2026-11-22",
    settings=Settings,
    auth="bearer token",
    batch=50,
    limits=(Limit("default", calls=1_000_000, seconds=1, burst=1000),),
    refreshes=True,
    identity=("id",),
)


def base_url(settings: Settings) -> str:
    """It is nowhere."""
    return "https://bazaar.test"


def sign(settings: Settings, wire: Wire, now: int, nonce: str) -> Wire:
    """With the token."""
    return wire.add(bearer(settings.token))


def push(settings: Settings, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """All slots of all targets in one request."""
    body = [_row(target) for target in targets]
    answer = yield from ask(Request("POST", "/stock", json=body))
    if not answer.ok or at(answer.json(), "error"):
        return for_all(targets, answer if not answer.ok else Response(429, answer.headers, answer.body))
    said = {text(row, "id"): row for row in rows(answer.json(), "results")}
    return [_verdict(target, said.get(target.ids["id"], {})) for target in targets]


def _row(target: Target) -> dict[str, Any]:
    slot = target.slots[0]
    seen = slot.acknowledged if slot.observed is None else slot.observed
    return {
        "id": target.ids["id"],
        "quantity": slot.offer + slot.committed,
        "from": seen,
        "key": target.key,
        "reason": target.reason,
        "where": {one.location or "": one.offer for one in target.slots},
    }


def _verdict(target: Target, said: Mapping[str, Any]) -> Verdict:
    match said.get("code"):
        case None:
            return Accepted(target, notes={"last": str(said.get("key"))})
        case "stale":
            shown = whole(said, "shown")
            return Stale(target, {} if shown is None else {None: shown})
        case code:
            return Rejected(target, text(said, "words") or "", str(code))


def pull(settings: Settings, cursor: str | None) -> Flow[Page]:
    """A page of the stall."""
    query = (("after", cursor or ""), ("limit", str(PAGE)))
    found = expect((yield from ask(Request("GET", "/stock", query=query, repeatable=True))))
    seen = tuple(
        Seen({"id": str(row["id"])}, None, (Shown(whole(row, "quantity"), text(row, "place")),))
        for row in need_rows(found, "rows")
    )
    return Page(seen, text(found, "next"))


def orders(settings: Settings, cursor: str | None) -> Flow[Orders]:
    """Orders behind a number."""
    query = (("after", cursor or "0"),)
    found = expect((yield from ask(Request("GET", "/orders", query=query, repeatable=True))))
    listed = tuple(
        Order(str(row["n"]), row["n"], (OrderLine("1", {"id": row["id"]}, None, row["units"]),))
        for row in need_rows(found, "orders")
    )
    return Orders(listed, str(max((one.updated for one in listed), default=int(cursor or 0))))


def check(settings: Settings) -> Flow[str]:
    """The stall's name."""
    return str(expect((yield from ask(Request("GET", "/me"))))["name"])


def tokens(settings: Settings) -> Flow[dict[str, Any]]:
    """The next pair."""
    if settings.refresh is None:
        raise Failed("there is nothing to refresh with", login=True)
    call = Request("POST", "/token", json={"refresh": settings.refresh}, signed=False)
    found = expect((yield from ask(call)))
    return {"token": found["token"], "refresh": found["refresh"], "expires_in": found["expires_in"]}


def pace(response: Response) -> float | None:
    """What a throttled answer says inside its 200."""
    seconds = at(response.json(), "wait") if response.ok and b'"wait"' in response.body else None
    return float(seconds) if isinstance(seconds, (int, float)) else None
