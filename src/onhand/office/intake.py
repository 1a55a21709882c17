"""What an import of stock numbers asks of the ledger: chunks of a file, each applied once in its run."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand import unheard
from onhand.inventory import Inventory
from onhand.office.people import BadAsk
from onhand.office.stockfile import Count
from onhand.stock.ledger import Refused
from onhand.stock.model import AnyCommand, SetAvailable, SetInfinite, SetOnHand
from onhand.store import catalog, lookup, requests
from onhand.work import Answer, Conflict, Group, Key, Recorded, Work

CALLER = "onhand:import"
REASON = "imported"
DONE = 200


class Imported(msgspec.Struct, frozen=True):
    """What became of a chunk; ``refused`` is (line, why), ``before`` that it was applied earlier, ``new`` how
    many items were made for it."""

    changed: int = 0
    unchanged: int = 0
    refused: tuple[tuple[int, str], ...] = ()
    before: bool = False
    new: int = 0


async def find_run(inventory: Inventory, *, account: int, digest: str) -> int:
    """The number of the import of this file that is to be begun, or that was begun and not ended.

    A file that was imported to its end may be imported again: its numbers are then set once more.
    """
    return await inventory.read(account, lambda c: _open_run(c, account, digest))


def _open_run(connection: Connection, account: int, digest: str) -> int:
    run = 1
    while requests.look_up(connection, (account, _scope(digest), f"{run}:end")) is not None:
        run += 1
    return run


async def end_run(inventory: Inventory, *, account: int, digest: str, run: int) -> None:
    """Note that this import came to its end."""
    key = Key(_scope(digest), f"{run}:end", "")
    await inventory.record(Work(account, (), CALLER, key, lambda _: Answer(DONE, "")))


async def apply(
    inventory: Inventory,
    *,
    account: int,
    digest: str,
    run: int,
    chunk: int,
    rows: list[list[Any]],
    create: bool = False,
) -> Imported:
    """Apply the lines of a chunk (see `stockfile.Count`), each on its own; once in this run."""
    counts = msgspec.convert(rows, list[Count])
    items, new = await _items(inventory, account, [count.sku for count in counts], create)
    known = [count for count in counts if count.sku in items]
    groups = tuple(Group(_commands(count, items[count.sku])) for count in known)
    said = hashlib.sha256(msgspec.json.encode(counts)).hexdigest()
    # What the chunk says is part of its key: a line that was bad when the run began and is good now
    # must not be taken for done.
    key = Key(_scope(digest), f"{run}:{chunk}:{said[:32]}", said)
    work = Work(account, groups, CALLER, key, lambda recorded: _answer(known, new, recorded))
    imported = _imported(await inventory.record(work))
    gone = tuple(
        (count.line, f"there is no item {count.sku!r}") for count in counts if count.sku not in items
    )
    return msgspec.structs.replace(imported, refused=imported.refused + gone)


def _scope(digest: str) -> str:
    return f"import:{digest}"


async def _items(
    inventory: Inventory, account: int, skus: list[str], create: bool
) -> tuple[dict[str, int], int]:
    """The ids of these SKUs, and how many of them were made."""
    found = await inventory.read(account, lambda c: lookup.items(c, account, skus))
    new = list(dict.fromkeys(sku for sku in skus if sku not in found))
    if not (create and new):
        return found, 0
    now = inventory.now()
    found |= await inventory.write(account, lambda c: catalog.ensure_items(c, account, new, now))
    return found, len(new)


def _commands(count: Count, item: int) -> tuple[AnyCommand, ...]:
    ending = (count.reason or REASON, count.reference)
    first: AnyCommand
    if count.available:
        first = SetAvailable(item, count.location, count.quantity, None, *ending)
    else:
        first = SetOnHand(item, count.location, count.quantity, *ending)
    if count.infinite is None:
        return (first,)
    return (first, SetInfinite(item, count.location, count.infinite, *ending))


def _answer(counts: list[Count], new: int, recorded: Recorded) -> Answer:
    changed = 0
    refused: list[tuple[int, str]] = []
    for count, outcome in zip(counts, recorded.outcomes, strict=True):
        if isinstance(outcome, Refused):
            refused.append((count.line, unheard.explain(outcome.refusal)))
        elif outcome.entries:
            changed += 1
    told = Imported(changed, len(counts) - changed - len(refused), tuple(refused), new=new)
    return Answer(DONE, msgspec.json.encode(told).decode())


def _imported(recorded: Recorded) -> Imported:
    answer = recorded.fresh or recorded.replay
    if answer is None or isinstance(answer, Conflict):
        raise BadAsk("the ledger gave no answer to a chunk: run the command again")
    told = msgspec.json.decode(answer.body, type=Imported) if answer.body else Imported()
    return msgspec.structs.replace(told, before=recorded.replay is not None)
