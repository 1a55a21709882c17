"""The commands that look at stock: levels now and then, and the history of an item."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from onhand.cli import frame
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.office import door, outgoing, people, replay
from onhand.office.people import BadAsk
from onhand.stock.model import Place
from onhand.store import catalog, levels, lookup, past

app = typer.Typer()

LEVELS_SHOWN = 1_000
HISTORY_SHOWN = 100
ENDLESS = 2**62


@app.command("levels")
@frame.command
async def show_levels(
    skus: Annotated[list[str] | None, typer.Argument(help="Which; else all.")] = None,
    location: Annotated[str | None, typer.Option(help="Only at this location.")] = None,
    at: Annotated[str | None, typer.Option(help="As of this time (ISO 8601; UTC unless it says).")] = None,
    seq: Annotated[int | None, typer.Option(min=0, help="As of this movement of the account.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Show at most this many; 0 for all.")] = LEVELS_SHOWN,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Show stock: on hand, reserved and available, now or as of a moment."""
    if at is not None and seq is not None:
        raise typer.BadParameter("--at and --seq are two ways to say when: use one")
    moment = None if at is None else _moment(at)
    async with door.reading(frame.load(db)) as inventory:
        number = await people.account_id(inventory, account)
        now = inventory.now()
        if moment is not None and moment > now:
            raise BadAsk(f"{at} is ahead of now")

        def query(connection: Connection) -> dict[str, Any]:
            wanted = _wanted(connection, number, skus or [], location, limit or ENDLESS)
            more = limit != 0 and len(wanted) > limit
            found = _levels(connection, number, wanted[: limit or None], (moment, seq, now))
            return found | {"more": more}

        told = await inventory.read(number, query, long=True)
    if told["more"]:
        frame.complain("there are more than these: --limit 0 shows all, 'onhand export' writes all")
    if as_json:
        frame.print_json(told)
        return
    frame.print_table(_LEVEL_COLUMNS, [[one[name] for name in _LEVEL_COLUMNS] for one in told["levels"]])


_LEVEL_COLUMNS = (*outgoing.LEVEL_COLUMNS, "version")


def _moment(words: str) -> int:
    """A time in words as microseconds UTC."""
    try:
        found = datetime.fromisoformat(words)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{words!r} is no time like 2024-05-31T14:30:00Z") from error
    days = found - datetime(1970, 1, 1, tzinfo=UTC)
    return (days.days * 86_400 + days.seconds) * 1_000_000 + days.microseconds


def _items(connection: Connection, account: int, skus: list[str]) -> dict[str, int]:
    found = lookup.items(connection, account, skus)
    for sku in skus:
        if sku not in found:
            raise BadAsk(f"there is no item with the sku {sku!r} (capitals and blanks count)")
    return found


def _wanted(
    connection: Connection, account: int, skus: list[str], location: str | None, limit: int
) -> list[Place]:
    """Where the asked items ever had a level; with one too many when there are more than ``limit``."""
    only = None if location is None else replay.location_named(connection, account, location).id
    if skus:
        found = past.of_items(connection, account, _items(connection, account, skus).values())
        return [place for place in found if only in (None, place[1])]
    return past.page(connection, account, (0, 0), limit + 1, only)


def _levels(
    connection: Connection, account: int, places: list[Place], when: tuple[int | None, int | None, int]
) -> dict[str, Any]:
    """The levels at ``places``; ``when`` is (a time, a movement, now), the first two may be None."""
    moment, seq, now = when
    last = levels.last_seq(connection, account)
    if seq is not None and seq > last:
        raise BadAsk(f"the account's last movement is number {last}")
    if moment is not None:
        seq = levels.seq_at(connection, account, moment)
    if seq is None:
        found = levels.at(connection, account, places, now)
    else:
        found = past.levels(connection, account, places, seq, moment)
    skus = lookup.skus(connection, account, {item for item, _ in found})
    names = {one.id: one.name for one in catalog.locations(connection, account)}
    rows = [
        outgoing.level(skus.get(item), names[at], one) | {"version": one.version}
        for (item, at), one in sorted(found.items())
    ]
    at_words = None if moment is None else outgoing.moment(moment)
    return {"seq": last if seq is None else seq, "at": at_words, "levels": rows}


@app.command("history")
@frame.command
async def history(
    sku: Annotated[str, typer.Argument(help="Which item.")],
    location: Annotated[str | None, typer.Option(help="Only at this location.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many, newest first.")] = HISTORY_SHOWN,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Show every movement of an item, newest first: what changed, what it led to, why and by whom."""
    async with door.reading(frame.load(db)) as inventory:
        number = await people.account_id(inventory, account)
        found = await inventory.read(number, lambda c: _history(c, number, sku, location, limit), long=True)
    frame.say_cut(found, limit, "newest")
    if as_json:
        frame.print_json(found)
        return
    frame.print_table(_HISTORY_COLUMNS, [_told(one) for one in found])


_HISTORY_COLUMNS = ("seq", "time", "location", "kind", "on hand", "reserved", "reason", "reference", "caller")


def _told(one: dict[str, Any]) -> list[object]:
    """A movement for a person: each number as its change and what it became."""
    on_hand = f"{one['on_hand']:+} = {one['on_hand_after']}"
    reserved = f"{one['reserved']:+} = {one['reserved_after']}"
    time = one["recorded_at"][:19].replace("T", " ")
    why = [one["reason"], one["reference"], one["caller"]]
    return [one["seq"], time, one["location"], one["kind"], on_hand, reserved, *why]


def _history(
    connection: Connection, account: int, sku: str, location: str | None, limit: int
) -> list[dict[str, Any]]:
    places = _wanted(connection, account, [sku], location, ENDLESS)
    each = [levels.history(connection, account, place, limit=limit) for place in places]
    newest = islice(heapq.merge(*each, key=lambda one: -one.seq), limit)
    names = {one.id: one.name for one in catalog.locations(connection, account)}
    return [outgoing.movement(one, sku, names[one.location]) for one in newest]
