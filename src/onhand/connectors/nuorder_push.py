"""Tells NuORDER quantities: replenishment rows by warehouse, and then the flags that show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from onhand.connectors.flow import (
    Accepted,
    Failed,
    Flow,
    Later,
    Rejected,
    Request,
    Response,
    Target,
    Unsure,
    Verdict,
    for_all,
)
from onhand.connectors.nuorder_rows import (
    FUTURE,
    NOW,
    Row,
    begun,
    day_of,
    looked,
    path,
    today,
)
from onhand.connectors.reading import ask, rows, text, whole

BATCH = 25
LARGEST = 999_999_999

Verdicts: TypeAlias = dict[int, Verdict]


class Wanted(NamedTuple):
    """What a warehouse should show of a target: units now, and units more from days on (MM/DD/YYYY)."""

    place: int
    target: Target
    warehouse: str
    now: int
    later: Mapping[str, int]

    @property
    def sku(self) -> str:
        """NuORDER's id of the size."""
        return self.target.ids["sku"]


class Said(NamedTuple):
    """The rows to be told for what is wanted."""

    wanted: Wanted
    rows: tuple[Row, ...]


def push(settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """Look at the rows of each size, tell the new ones warehouse by warehouse, refresh the flags: without
    that the shop front goes on showing what was."""
    verdicts: Verdicts = {}
    wanted: list[Wanted] = []
    for index, target in enumerate(targets):
        found = _wanted(settings, index, target)
        if isinstance(found, Rejected):
            verdicts[index] = found
        else:
            wanted += found
    said = yield from _prepared(wanted, verdicts)
    for warehouse in dict.fromkeys(each.wanted.warehouse for each in said):
        mine = [s for s in said if s.wanted.warehouse == warehouse and s.wanted.place not in verdicts]
        if mine:
            verdicts |= yield from _tell(warehouse, mine)
    for each in wanted:
        verdicts.setdefault(each.place, Accepted(each.target))
    yield from _refresh(verdicts)
    return [verdicts[index] for index in range(len(targets))]


def _wanted(settings: Any, index: int, target: Target) -> list[Wanted] | Rejected:
    """What each warehouse should show, or why it cannot be told."""
    if not target.ids.get("product") or not target.ids.get("sku") or not target.slots:
        return Rejected(target, "the listing needs the ids product and sku, and a number to show")
    plans: dict[str, tuple[int, dict[str, int]]] = {}
    for slot in target.slots:
        warehouse = slot.location or (settings.warehouses[0] if len(settings.warehouses) == 1 else "")
        if not warehouse or warehouse in plans:
            return Rejected(target, "the listing names no warehouse, or one twice")
        plans[warehouse] = (max(0, min(slot.offer, LARGEST)), {})
    first = next(iter(plans))
    for future in target.futures:
        day = day_of(future.day)
        if day is None or (future.location or first) not in plans:
            return Rejected(target, f"the planned change of {future.day} has no warehouse here, or no day")
        later = plans[future.location or first][1]
        later[day] = min(later.get(day, 0) + max(0, future.offer), LARGEST)
    return [Wanted(index, target, name, *plan) for name, plan in plans.items()]


# --- rows -----------------------------------------------------------------------------------------------


def _prepared(wanted: Iterable[Wanted], verdicts: Verdicts) -> Flow[list[Said]]:
    """The rows to be told. What could not be looked at gets its verdict; when NuORDER is away, shut or full
    so does the rest."""
    said: list[Said] = []
    stopped: Failed | None = None
    for each in wanted:
        if each.place in verdicts:
            continue
        if stopped is not None:
            verdicts[each.place] = Later(each.target, stopped.words, stopped.seconds)
            continue
        try:
            said.append((yield from _prepare(each)))
        except Failed as failed:
            passing = failed.retry or failed.login
            verdicts[each.place] = (
                Later(each.target, failed.words, failed.seconds)
                if passing
                else Rejected(each.target, failed.words)
            )
            stopped = failed if passing else None
    return [each for each in said if each.wanted.place not in verdicts]


def _prepare(wanted: Wanted) -> Flow[Said]:
    """The rows of one size. Telling adds rows and replaces those of the same day only: when there are rows
    of ours that should not be, or rows that we cannot see, all are deleted and told again with those of the
    brand. Raises Failed."""
    known, answer = yield from looked(wanted.warehouse, wanted.sku)
    day = today(answer)
    mine = [row for row in known or () if row.ours]
    current = [row for row in mine if row.name == NOW and begun(row.start, day)]
    start = current[0].start if len(current) == 1 else day
    said = [Row(NOW, start, wanted.now)]
    said += [Row(FUTURE, when, units) for when, units in sorted(wanted.later.items())]
    places = [(row.name, row.start) for row in mine]
    wrong = set(places) - {(row.name, row.start) for row in said}
    if known is None or wrong or len(set(places)) < len(places):
        gone = yield from ask(Request("DELETE", path(wanted.warehouse, wanted.sku), repeatable=True))
        if not gone.ok and gone.status != 404:
            raise Failed(gone.words, retry=gone.silent or gone.status >= 429, login=gone.status in (401, 403))
        said += [row for row in known or () if not row.ours]
    return Said(wanted, tuple(said))


def _tell(warehouse: str, said: Sequence[Said]) -> Flow[Verdicts]:
    """All rows of a warehouse in one call; verdicts of what was not stored."""
    body = [row.said(warehouse, each.wanted.sku) for each in said for row in each.rows]
    call = Request(
        "PUT",
        f"/api/v3.0/warehouse/{quote(warehouse, safe='')}/replenishments",
        json={"replenishments": body},
        repeatable=True,
    )
    answer = yield from ask(call)
    targets = [each.wanted.target for each in said]
    if not answer.ok:
        told = zip(said, for_all(targets, answer), strict=True)
        return {each.wanted.place: verdict for each, verdict in told}
    found = answer.json()
    if not isinstance(found, list | Mapping):
        return {each.wanted.place: Unsure(each.wanted.target, answer.words) for each in said}
    stored = rows(found) if isinstance(found, list) else rows(found, "replenishments")
    return {
        each.wanted.place: Rejected(each.wanted.target, words, "not_stored")
        for each in said
        if (words := _lacking(each, stored, answer))
    }


def _lacking(said: Said, stored: Sequence[Mapping[str, Any]], answer: Response) -> str:
    """Which row is not among those that NuORDER says it has stored."""
    for row in said.rows:
        if not row.ours:
            continue
        found = any(
            text(each, "sku_id") == said.wanted.sku
            and text(each, "display_name") == row.name
            and whole(each, "quantity") == row.quantity
            and day_of(each, "period_start") in (row.start, None)
            for each in stored
        )
        if not found:
            return f"the {row.name} row from {row.start} was not stored: {answer.words}"
    return ""


def _refresh(verdicts: Verdicts) -> Flow[None]:
    """The flags of all products that changed. Where that fails nothing is shown yet: it is all said again."""
    done = {index: v for index, v in verdicts.items() if isinstance(v, Accepted)}
    if not done:
        return
    products = sorted({verdict.target.ids["product"] for verdict in done.values()})
    call = Request("PUT", "/api/inventory/flags", json={"product_ids": products}, repeatable=True)
    answer = yield from ask(call)
    if not answer.ok:
        for index, verdict in done.items():
            verdicts[index] = Later(verdict.target, f"stored, but not yet shown: {answer.words}")
