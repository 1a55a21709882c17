"""What a change to one item costs where few listings are quiet, and where a million are."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import uvloop
from sqlalchemy import Connection

from benchmarks import mall
from benchmarks.mall import Mall
from onhand.connectors import sandbox
from onhand.connectors.flow import Accepted
from onhand.courier import aiming, settling
from onhand.inventory import Inventory
from onhand.sandbox.card import Card
from onhand.stock.model import Adjust
from onhand.store import claiming, drives, outgoing, told
from onhand.store.engine import open_store
from onhand.store.outgoing import Claimed
from onhand.work import Group, Work

FEW, MANY = 10, 1_000_000
LINKS = 4
WARM_UP = 20
OWNER = "bench"
STEPS = ("change, committed", "what to tell, found and read", "what was told, committed")


class Costs(NamedTuple):
    """Seconds of each round, by step, where few and where many listings are quiet."""

    few: dict[str, list[float]]
    many: dict[str, list[float]]


def measure(folder: Path, rounds: int) -> Costs:
    """Change an item, claim its listings and settle them, on both databases in turn."""
    cards = [Card(f"http://127.0.0.1:1/{number}", "c", "s", "a", "w") for number in range(LINKS)]
    malls = [
        mall.prepare(str(folder / f"{count}.db"), cards, -(-count // LINKS), count) for count in (FEW, MANY)
    ]
    return uvloop.run(_measure(malls, rounds))


async def _measure(malls: list[Mall], rounds: int) -> Costs:
    found = Costs({step: [] for step in STEPS}, {step: [] for step in STEPS})
    stores = [open_store(one.db) for one in malls]
    opened = [Inventory(store) for store in stores]
    lots = random.Random(1)
    for inventory in opened:
        inventory.start()
    for number in range(rounds + WARM_UP):
        for inventory, made, costs in zip(opened, malls, found, strict=True):
            took = await _once(inventory, made, lots)
            if number >= WARM_UP:
                for step, seconds in zip(STEPS, took, strict=True):
                    costs[step].append(seconds)
    for inventory, store in zip(opened, stores, strict=True):
        await inventory.stop()
        store.close()
    return found


async def _once(inventory: Inventory, made: Mall, lots: random.Random) -> tuple[float, float, float]:
    """Seconds that the three steps took for a random item."""
    item, link = lots.randrange(made.items) + 1, made.links[0]
    work = Work(made.account, (Group((Adjust(item, 1, -1),)),), OWNER)
    times = [time.perf_counter()]
    await inventory.record(work)
    times.append(time.perf_counter())
    claimed = await inventory.read(made.account, _claim(made, link, inventory.now()))
    assert len(claimed.aims) == 1
    times.append(time.perf_counter())
    await _settle(inventory, made, link, claimed)
    times.append(time.perf_counter())
    for other in made.links[1:]:
        rest = await inventory.read(made.account, _claim(made, other, inventory.now()))
        await _settle(inventory, made, other, rest)
    first, second, third, fourth = times
    return second - first, third - second, fourth - third


def _claim(made: Mall, link: int, now: int) -> Callable[..., Claimed]:
    def query(connection: Connection) -> Claimed:
        due = outgoing.due(connection, made.account, link, now, sandbox.BATCH)
        return claiming.claim(connection, made.account, link, now, due)

    return query


async def _settle(inventory: Inventory, made: Mall, link: int, claimed: Claimed) -> None:
    now, lots = inventory.now(), random.Random(1)
    found = []
    for aim in claimed.aims:
        target = aiming.target(aim, claimed.rules, sandbox.CHANNEL)
        found.append(settling.told(aim, target, Accepted(target), now, lots))
    until = now + 60_000_000
    take = partial(drives.take, account=made.account, link=link, owner=OWNER, until=until, now=now)
    settle = partial(told.settle, account=made.account, link=link, owner=OWNER, found=found, now=now)

    def unit(connection: Connection) -> None:
        take(connection)
        settle(connection)

    await inventory.write(made.account, unit, quiet=True)
