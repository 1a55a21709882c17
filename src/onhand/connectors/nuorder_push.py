"""Tells NuORDER quantities: replenishment rows by warehouse, and then the flags that show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

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
    Whole,
    expect,
    for_all,
    retry_after,
)
from onhand.connectors.nuorder_clearing import cleared, delete, forgotten, restored
from onhand.connectors.nuorder_rows import (
    FUTURE,
    NOW,
    Place,
    Row,
    begun,
    day_of,
    doubled,
    listed,
    looked,
    order_of,
    row_of,
    today,
    told,
)
from onhand.connectors.reading import ask, text, whole

BATCH = 25
LARGEST = 999_999_999
DEAD_ROWS = 20
"""Rows of 0 that may stay where planned changes once were, before they are swept out."""
UNSEEN = (
    "NuORDER does not show the rows of this size, so it cannot be known whether the brand has some of its"
    " own; set delete_unseen to have all of them replaced"
)
ADDED = "NuORDER has put the new row beside the old one: its rows are told anew"

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
    """The rows to be told for what is wanted; ``before`` are the ids of those that are there."""

    wanted: Wanted
    rows: tuple[Row, ...]
    before: Mapping[Place, str | None]


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
    said = yield from _prepared(settings, wanted, verdicts)
    for warehouse in dict.fromkeys(each.wanted.warehouse for each in said):
        mine = [s for s in said if s.wanted.warehouse == warehouse and s.wanted.place not in verdicts]
        if mine:
            verdicts |= yield from _tell(warehouse, mine)
    for each in wanted:
        verdicts.setdefault(each.place, Accepted(each.target, notes=forgotten(each.target)))
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


def _prepared(settings: Any, wanted: Iterable[Wanted], verdicts: Verdicts) -> Flow[list[Said]]:
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
            found = yield from _prepare(settings, each)
        except Failed as failed:
            verdicts[each.place] = _put_off(each.target, failed)
            stopped = failed if failed.retry or failed.login else None
            continue
        if isinstance(found, Later):
            verdicts[each.place] = found
        else:
            said.append(found)
    return [each for each in said if each.wanted.place not in verdicts]


def _put_off(target: Target, failed: Failed) -> Verdict:
    if failed.retry or failed.login:
        return Later(target, failed.words, failed.seconds)
    return Rejected(target, failed.words)


def _prepare(settings: Any, wanted: Wanted) -> Flow[Said | Later]:
    """The rows of one size. What should not be any more is told as 0 in its place; only rows that stand
    twice, or too many that are dead, are deleted, without losing the brand's. Raises Failed."""
    here = wanted.target, wanted.warehouse, wanted.sku
    known, answer = yield from looked(wanted.warehouse, wanted.sku)
    day = today(answer)
    if known is None and not settings.delete_unseen:
        known = yield from _come_to_light(wanted, day)
    if known is None:
        yield from delete(wanted.warehouse, wanted.sku)
        yield from restored(*here, ())
        return Said(wanted, tuple(_rows(wanted, (), day)), {})
    mine = [row for row in known if row.ours]
    theirs = [row for row in known if not row.ours]
    said = _rows(wanted, mine, day)
    places = {row.place for row in said}
    dead = [row for row in mine if row.place not in places]
    if doubled(mine) or len(dead) > DEAD_ROWS:
        first = yield from cleared(*here, theirs)
        return first or Said(wanted, tuple(_rows(wanted, (), day)), {})
    yield from restored(*here, theirs)
    said += [Row(row.name, row.start, 0) for row in dead if row.quantity != 0]
    return Said(wanted, tuple(said), {row.place: row.id for row in mine})


def _come_to_light(wanted: Wanted, day: str) -> Flow[list[Row]]:
    """The rows of a size that shows none: it may have none yet, or the portal does not show any. A row of 0
    adds nothing, and tells the two apart. Raises Failed."""
    expect((yield from ask(told(wanted.warehouse, [(wanted.sku, Row(NOW, day, 0))]))))
    known, _ = yield from looked(wanted.warehouse, wanted.sku)
    if known is None:
        raise Failed(UNSEEN)
    return known


def _rows(wanted: Wanted, mine: Iterable[Row], day: str) -> list[Row]:
    """What is wanted as rows; the units that are there now stay in the row that began last."""
    current = [row.start for row in mine if row.name == NOW and begun(row.start, day)]
    now = Row(NOW, max(current, key=order_of, default=day), wanted.now)
    return [now, *(Row(FUTURE, when, units) for when, units in sorted(wanted.later.items()))]


# --- telling --------------------------------------------------------------------------------------------


def _tell(warehouse: str, said: Sequence[Said]) -> Flow[Verdicts]:
    """All rows of a warehouse in one call; verdicts of what was not stored, or not in the old row's place."""
    call = told(warehouse, [(each.wanted.sku, row) for each in said for row in each.rows])
    answer = yield from ask(call)
    targets = [each.wanted.target for each in said]
    if not answer.ok:
        judged = zip(said, for_all(targets, answer), strict=True)
        return {each.wanted.place: verdict for each, verdict in judged}
    found = answer.json()
    if not isinstance(found, list | Mapping):
        return {each.wanted.place: Unsure(each.wanted.target, answer.words) for each in said}
    stored = listed(found)
    verdicts: Verdicts = {}
    for each in said:
        if words := _lacking(each, stored, answer):
            verdicts[each.wanted.place] = Rejected(each.wanted.target, words, "not_stored")
        elif _beside(each, stored) and (late := (yield from _twice(each.wanted))):
            verdicts[each.wanted.place] = late
    return verdicts


def _beside(said: Said, stored: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a new row may stand beside the one that was there: it does not have its id."""
    here = [row_of(row) for row in stored if text(row, "sku_id") == said.wanted.sku]
    for row in said.rows:
        old = said.before.get(row.place, "")
        if old != "" and (old is None or [one.id for one in here if one.place == row.place] != [old]):
            return True
    return False


def _twice(wanted: Wanted) -> Flow[Verdict | None]:
    """A look at whether rows add up now; if they do, all are told anew before buyers see the sum."""
    try:
        known, _ = yield from looked(wanted.warehouse, wanted.sku)
    except Failed as failed:
        return _put_off(wanted.target, failed)
    return Later(wanted.target, ADDED) if doubled(known or ()) else None


def _lacking(said: Said, stored: Sequence[Mapping[str, Any]], answer: Response) -> str:
    """Which row is not among those that NuORDER says it has stored."""
    for row in said.rows:
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
    """The flags of all products that changed. Where that fails nothing is shown yet: it is all said again, in
    halves when it was refused, for it may be one product that is gone."""
    done = {index: v for index, v in verdicts.items() if isinstance(v, Accepted)}
    if not done:
        return
    targets = [verdict.target for verdict in done.values()]
    products = sorted({target.ids["product"] for target in targets})
    call = Request("PUT", "/api/inventory/flags", json={"product_ids": products}, repeatable=True)
    answer = yield from ask(call)
    if answer.ok:
        return
    words = f"stored, but not yet shown: {answer.words}"
    for index, said in zip(done, for_all(targets, answer), strict=True):
        refused = isinstance(said, Whole) and not answer.page
        late = Later(said.target, words, retry_after(answer))
        verdicts[index] = Whole(said.target, words, str(answer.status)) if refused else late
