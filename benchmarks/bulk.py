"""A thousand and ten thousand changes a request, on both engines, beside bare loops on the same database."""

from __future__ import annotations

from benchmarks import bare, scene, traffic
from benchmarks.load import Load
from benchmarks.results import Bench, Take
from benchmarks.scene import Server
from benchmarks.traffic import Scene, plan

SIZES = (1_000, 10_000)
CONNECTIONS = 2
"""They soon take turns together: both are committed, answered and sent anew at once."""

PREPARED = 5
REACH = 0.6
LEAST_SECONDS = 3.0
"""A request of ten thousand takes a good part of a second: a short time would count too few."""

LOOP = "(c) a bare loop, row by row"


def press(bench: Bench, server: Server, made: Scene, changes: int) -> Take:
    """Changes per second in requests of so many, from the first request to the last answer."""
    seconds = max(bench.seconds, LEAST_SECONDS) if changes == SIZES[-1] else bench.seconds

    def take(number: int) -> Load:
        requests = plan(traffic.bulk(made, changes), number, CONNECTIONS, PREPARED)
        load = scene.press(server, requests, seconds, warm_up=0)
        return load._replace(per_second=sum(load.total.values()) * changes / load.took)

    return take


def on_sqlite(bench: Bench) -> None:
    """On a SQLite file."""
    _bulk(bench, bench.stage.small, bench.stage.bare, "SQLite")


def on_postgres(bench: Bench) -> None:
    """On PostgreSQL, one process."""
    _bulk(bench, bench.stage.on_postgres, bench.stage.bare_postgres, "PostgreSQL")


def _bulk(bench: Bench, made: Scene, db: str, engine: str) -> None:
    takes: dict[str, Take] = {}
    with scene.hub(made.db) as hub:
        for size in SIZES:
            takes[f"{size:,} changes a request, {engine}"] = press(bench, hub, made, size)
            takes[f"(c) rows, {size:,}, {engine}"] = _loop(bench, db, made.items, size, sets=False)
            if engine == "PostgreSQL":
                # SQLite takes no more in sets than row by row: it has no way to go for each statement.
                takes[f"(c) sets, {size:,}, {engine}"] = _loop(bench, db, made.items, size, sets=True)
        found = bench.take(takes)
    for size in SIZES:
        name = f"{size:,} changes a request, {engine}"
        bench.row(name, found[name], LOOP, found[f"(c) rows, {size:,}, {engine}"], REACH, unit="changes")
        sets = found.get(f"(c) sets, {size:,}, {engine}")
        if sets is not None:
            bench.row(name, found[name], "the same writes in sets", sets, unit="changes")


def _loop(bench: Bench, db: str, items: int, size: int, *, sets: bool) -> Take:
    return lambda _: bare.loop(db, items, size, bench.seconds, sets=sets)
