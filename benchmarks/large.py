"""A large ledger beside a small one: a million levels, ten million movements; and what memory it takes."""

from __future__ import annotations

import contextlib
import datetime
import random
import shutil
import sqlite3
import time
from collections.abc import Callable

from benchmarks import bulk, scene, seeding, traffic
from benchmarks.results import Bench, Take
from benchmarks.single import press
from benchmarks.stage import ITEMS, MANY_MOVEMENTS, SOME_MOVEMENTS
from benchmarks.traffic import Make, Scene
from onhand.store import claiming, outgoing
from onhand.store.engine import open_store, reading

CLAIM = 100
"""Stale listings that the courier asks for at once."""

BULK = 1_000
HISTORY = 10
"""Movements on a page of the history: as many as an item of the small ledger has."""

MEMORY_MB = 200
SETTLE_SECONDS = 3


def levels(bench: Bench) -> None:
    """A million levels, each listed on a channel that has not been told of it, beside ten thousand."""
    few, many = bench.stage.few_listed, bench.stage.many_listed
    resumed = {made.db: _resumed(made) for made in (few, many)}
    with scene.hub(few.db) as small, scene.hub(many.db) as large:
        takes: dict[str, Take] = {}
        for words, made, hub in (("10,000", few, small), ("1,000,000", many, large)):
            takes[f"adjust, {words} levels"] = press(bench, hub, traffic.adjust(made))
            takes[f"bulk, {words} levels"] = bulk.press(bench, hub, made, BULK)
            takes[f"read, {words} levels"] = press(bench, hub, traffic.level(made))
            takes[f"claim, {words} levels"] = _claims(bench, resumed[made.db])
        found = bench.take(_beside(takes))
    units = {"adjust": "requests", "bulk": "changes", "read": "requests", "claim": "claims"}
    for name, unit in units.items():
        ours, limit = found[f"{name}, 1,000,000 levels"], found[f"{name}, 10,000 levels"]
        bench.row(f"{name}, 1,000,000 levels", ours, "our own 10,000", limit, 0.85, unit=unit)


def _beside(takes: dict[str, Take]) -> dict[str, Take]:
    """The same takes, the small and the large one of a kind next to each other."""
    names = list(takes)
    half = len(names) // 2
    return {name: takes[name] for pair in zip(names[:half], names[half:], strict=True) for name in pair}


def _resumed(made: Scene) -> Scene:
    """A copy that nobody serves, of a connection that is not paused: of one that is nothing is claimed."""
    db = f"{made.db}.claims"
    shutil.copy(made.db, db)
    with contextlib.closing(sqlite3.connect(db)) as file, file:
        file.execute("UPDATE connections SET paused = 0 WHERE account = 1 AND id = ?", (made.link,))
    return made._replace(db=db)


def _claims(bench: Bench, made: Scene) -> Take:
    """How often a second the courier could take the longest waiting of all listings, each of them stale."""

    def take(_: int) -> float:
        store = open_store(made.db, reads_only=True)
        done, start = 0, time.perf_counter()
        while time.perf_counter() < start + bench.seconds:
            with reading(store, 1) as connection:
                now = time.time_ns() // 1000
                due = outgoing.due(connection, 1, made.link, now, CLAIM)
                found = claiming.claim(connection, 1, made.link, now, due)
            assert len(found.aims) == CLAIM
            done += 1
        took = time.perf_counter() - start
        store.close()
        return done / took

    return take


def movements(bench: Bench) -> None:
    """Ten million movements beside a hundred thousand, of as many items."""
    counts = {"100,000": SOME_MOVEMENTS, "10,000,000": MANY_MOVEMENTS}
    few, many = (bench.stage.history(count) for count in counts.values())
    with scene.hub(few.db) as small, scene.hub(many.db) as large:
        takes: dict[str, Take] = {}
        for (words, count), made, hub in zip(counts.items(), (few, many), (small, large), strict=True):
            page = traffic.level(made, rest=f"/movements?limit={HISTORY}")
            takes[f"history page, {words} movements"] = press(bench, hub, page)
            takes[f"as of a time, {words} movements"] = press(bench, hub, _as_of(made, count))
            takes[f"append, {words} movements"] = press(bench, hub, traffic.adjust(made))
        found = bench.take(_beside(takes))
    for name in ("history page", "as of a time", "append"):
        ours, limit = (found[f"{name}, {words} movements"] for words in ("10,000,000", "100,000"))
        bench.row(f"{name}, 10,000,000 movements", ours, "our own 100,000", limit, 0.8)


def _as_of(made: Scene, count: int) -> Make:
    """A level at a random time behind its first movement."""
    first = _recorded(made.db, ITEMS)
    span = (count - ITEMS) * seeding.STEP_US

    def make(dice: random.Random) -> str:
        at = datetime.datetime.fromtimestamp((first + dice.randrange(span)) / 1e6, datetime.UTC)
        return traffic.level(made, rest=f"?at={at:%Y-%m-%dT%H:%M:%S.%f}Z")(dice)

    return make


def _recorded(db: str, seq: int) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as file:
        query = "SELECT recorded_at FROM movements WHERE account = 1 AND seq = ?"
        return int(file.execute(query, (seq,)).fetchone()[0])


def memory(bench: Bench) -> None:
    """What a hub with a million items holds, idle and under every kind of load."""
    made = bench.stage.many_listed
    loads: dict[str, Callable[[], object]] = {}
    with scene.hub(made.db) as hub:
        time.sleep(SETTLE_SECONDS)
        bench.fact("ready on a million items", "s", [hub.ready_seconds])
        bench.fact("memory, a million items, idle", "MB", [hub.resident_mb()], MEMORY_MB)
        loads = {
            "adjusts": lambda: press(bench, hub, traffic.adjust(made, keyed=True))(0),
            "reservations": lambda: press(bench, hub, traffic.reserve(made), ("201",))(0),
            "bulk": lambda: bulk.press(bench, hub, made, bulk.SIZES[-1])(0),
            "reads": lambda: press(bench, hub, traffic.level(made))(0),
        }
        for name, load in loads.items():
            load()
            bench.say(f"{bench.elapsed():6.0f} s  after {name:<42}{hub.resident_mb():>12,.0f} MB")
        note = "keyed adjusts, reservations, 10,000 changes a request, reads; the hub has no login of people"
        bench.fact("memory, a million items, highest under load", "MB", [hub.highest_mb()], MEMORY_MB, note)
