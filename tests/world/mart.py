"""Connectors of the world's channels, one for each way in which channels differ: the Mart in five shapes.

Mart API 1, documented in `shop.py`; checked with every test run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from onhand.connectors.auth import Wire
from onhand.connectors.channel import Channel, Guard, Limit, Meaning
from onhand.connectors.flow import (
    Accepted,
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
    Slot,
    Stale,
    Target,
    Unsure,
    Verdict,
    Wait,
    expect,
    for_all,
)
from onhand.connectors.reading import ask, need_rows

LOOKS = 20


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There is nothing to know."""

    name: str


class Mart:
    """A connector module of one shape."""

    def __init__(self, name: str, **shape: Any) -> None:
        self.__name__ = name
        usual: dict[str, Any] = {
            "batch": 10,
            "limits": (Limit("default", calls=50, seconds=1, burst=10),),
        }
        self.CHANNEL = Channel(
            name=name,
            title=name,
            version="1",
            document="shop.py",
            checked="2026-11-22",
            settings=Settings,
            auth="none",
            identity=("id",),
            **usual | shape,
        )

    def base_url(self, settings: Any) -> str:
        """The host says whose it is."""
        return f"https://{settings.name}.test"

    def sign(self, settings: Any, wire: Wire, now: int, nonce: str) -> Wire:
        """Nobody asks."""
        return wire

    def pace(self, response: Response) -> float | None:
        """Nothing beyond Retry-After."""
        return None

    def check(self, settings: Any) -> Flow[str]:
        """The name."""
        yield from ()
        return str(settings.name)

    # --- telling ----------------------------------------------------------------------------------

    def push(self, settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
        """In the channel's own way."""
        if self.CHANNEL.guard is Guard.DELTA:
            return self._deltas(targets)
        if self.CHANNEL.asynchronous:
            return self._import(targets)
        return self._set(targets)

    def _row(self, target: Target) -> dict[str, Any]:
        slot = target.slots[0]
        gross = slot.committed if self.CHANNEL.meaning is Meaning.GROSS else 0
        row: dict[str, Any] = {"id": target.ids["id"], "quantity": slot.offer + gross, "key": target.key}
        if self.CHANNEL.guard is Guard.COMPARE:
            row["from"] = _known(slot)
        if self.CHANNEL.guard is Guard.REVISION:
            row["revision"] = slot.token
        return row

    def _set(self, targets: Sequence[Target]) -> Flow[list[Verdict]]:
        answer = yield from ask(Request("POST", "/stock", json=[self._row(one) for one in targets]))
        if not answer.ok:
            return for_all(targets, answer)
        return _verdicts(targets, answer.json()["results"])

    def _import(self, targets: Sequence[Target]) -> Flow[list[Verdict]]:
        answer = yield from ask(Request("POST", "/imports", json=[self._row(one) for one in targets]))
        if not answer.ok:
            return for_all(targets, answer)
        number = answer.json()["import"]
        for _ in range(LOOKS):
            yield Wait(3.0)
            look = yield from ask(Request("GET", f"/imports/{number}", repeatable=True))
            if look.ok and look.json()["done"]:
                return _verdicts(targets, look.json()["results"])
        return [Unsure(one) for one in targets]

    def _deltas(self, targets: Sequence[Target]) -> Flow[list[Verdict]]:
        """A change to what is known to be there; what is not known is looked at first."""
        base = {one.listing: _known(one.slots[0]) for one in targets}
        if any(value is None for value in base.values()):
            names = ",".join(one.ids["id"] for one in targets)
            look = yield from ask(Request("GET", "/stock", query=(("ids", names),), repeatable=True))
            if not look.ok:
                return for_all(targets, look)
            there = {row["id"]: row["quantity"] for row in look.json()["rows"]}
            base = {one.listing: there.get(one.ids["id"]) for one in targets}
        body = [
            {"id": one.ids["id"], "delta": one.slots[0].offer - (base[one.listing] or 0), "key": one.key}
            for one in targets
        ]
        answer = yield from ask(Request("POST", "/changes", json=body))
        if not answer.ok:
            return for_all(targets, answer)
        return _verdicts(targets, answer.json()["results"])

    # --- looking ----------------------------------------------------------------------------------

    def pull(self, settings: Any, cursor: str | None) -> Flow[Page]:
        """A page of listings; net of the channel's own orders where it counts gross."""
        query = (("after", cursor or ""), ("limit", "4"))
        found = expect((yield from ask(Request("GET", "/stock", query=query, repeatable=True))))
        seen = tuple(
            Seen({"id": row["id"]}, row["sku"], (self._shown(row),)) for row in need_rows(found, "rows")
        )
        return Page(seen, found["next"])

    def _shown(self, row: Mapping[str, Any]) -> Shown:
        gross = row["committed"] if self.CHANNEL.meaning is Meaning.GROSS else 0
        return Shown(row["quantity"] - gross, token=row.get("revision"), committed=gross)

    def orders(self, settings: Any, cursor: str | None) -> Flow[Orders]:
        """Orders behind a time, the last one again."""
        query = (("since", cursor or "0"),)
        found = expect((yield from ask(Request("GET", "/orders", query=query, repeatable=True))))
        listed = tuple(order(row) for row in need_rows(found, "orders"))
        return Orders(listed, str(max((one.updated for one in listed), default=cursor or 0)), found["more"])


def order(row: Mapping[str, Any]) -> Order:
    """An order as a connector tells it."""
    lines = tuple(
        OrderLine(line["id"], {"id": line["listing"]}, None, *(line[name] for name in COUNTS))
        for line in row["lines"]
    )
    return Order(row["id"], row["updated"], lines)


COUNTS = ("ordered", "cancelled", "shipped", "returned")


def _known(slot: Slot) -> int | None:
    return slot.acknowledged if slot.observed is None else slot.observed


def _verdicts(targets: Sequence[Target], results: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    said = {row["id"]: row for row in results}
    return [_verdict(one, said[one.ids["id"]]) for one in targets]


def _verdict(target: Target, said: Mapping[str, Any]) -> Verdict:
    tokens: dict[str | None, str] = {None: said["revision"]} if said.get("revision") else {}
    match said.get("code"):
        case None:
            return Accepted(target, tokens)
        case "stale":
            return Stale(target, {None: said["shown"]}, tokens=tokens)
        case code:
            return Rejected(target, "no", str(code))


SHAPES = (
    Mart("absolute"),
    Mart("compared", guard=Guard.COMPARE),
    Mart("revised", guard=Guard.REVISION),
    Mart("changed", guard=Guard.DELTA),
    Mart("gross", meaning=Meaning.GROSS, batch=1),
    Mart("importing", asynchronous=True, batch=100, limits=(Limit("default", calls=1, seconds=2),)),
)
