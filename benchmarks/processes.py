"""PostgreSQL: one process beside pgbench on random rows and a hot one, and four processes beside one."""

from __future__ import annotations

import psycopg

from benchmarks import postgres, scene, traffic
from benchmarks.checks import verify
from benchmarks.load import Load
from benchmarks.results import Bench, Take, Taken
from benchmarks.scene import Server
from benchmarks.stage import ITEMS, POSTGRES_OTHERS
from benchmarks.traffic import CONNECTIONS, Make, Scene, plan

PROCESSES = 4
HOT_ITEM = 7


def one_process(bench: Bench) -> None:
    """One adjust a request, beside one prepared statement that does the same rows."""
    made, bare = bench.stage.on_postgres, bench.stage.bare_postgres
    assert bare

    def pgbench(item: str) -> Take:
        return lambda _: bench.stage.postgres.pgbench("bare", bench.stage.folder, item, bench.seconds)

    with scene.hub(made.db) as hub:
        scene.acquaint(hub, traffic.adjust(made))
        found = bench.take(
            {
                "(d) pgbench, random rows": pgbench(f"random(1, {ITEMS})"),
                "adjust, PostgreSQL": _press(bench, [hub], traffic.adjust(made)),
                "(d) pgbench, hot row": pgbench(str(HOT_ITEM)),
                "adjust, one hot SKU, PostgreSQL": _press(bench, [hub], traffic.adjust_hot(made)),
            }
        )
    random_rows, ours, hot_row, hot = found.values()
    bench.row(
        "adjust, PostgreSQL", ours, f"(d) pgbench, random, {postgres.CLIENTS} clients", random_rows, 0.5
    )
    bench.row(
        "adjust, one hot SKU, PostgreSQL", hot, f"(d) pgbench, hot, {postgres.CLIENTS} clients", hot_row, 4
    )


def four_processes(bench: Bench) -> None:
    """Four processes beside the first of them alone; every movement is there afterwards."""
    made = bench.stage.on_postgres
    kinds = {"random SKUs": traffic.adjust(made), "one hot SKU": traffic.adjust_hot(made)}
    before, stuck = _movements(made.db), bench.stage.postgres.deadlocks("hub")
    with scene.hubs(made.db, PROCESSES) as hubs:
        takes: dict[str, Take] = {}
        for name, make in kinds.items():
            takes[f"1 process, {name}"] = _press(bench, hubs[:1], make)
            takes[f"{PROCESSES} processes, {name}"] = _press(bench, hubs, make)
        takes[_APART] = _press_apart(bench, hubs, made)
        found = bench.take(takes)
    _nothing_lost(found, _movements(made.db) - before)
    stuck = bench.stage.postgres.deadlocks("hub") - stuck
    if stuck:
        raise SystemExit(f"{stuck} deadlocks")
    verify(made.db)
    note = "nothing lost, no deadlock"
    for name in kinds:
        ours, alone = found[f"{PROCESSES} processes, {name}"], found[f"1 process, {name}"]
        bench.row(f"{PROCESSES} processes, {name}", ours, "our own single process", alone, 1.0, note=note)
    together = found[f"{PROCESSES} processes, random SKUs"]
    bench.row(f"{PROCESSES} processes: the account's lock", together, _APART, found[_APART])


_APART = f"{PROCESSES} processes, an account each"


def _press_apart(bench: Bench, hubs: list[Server], made: Scene) -> Take:
    """Each hub gets the requests of one account: batches as large as before, and no lock that they share."""
    items = ITEMS // POSTGRES_OTHERS

    def take(number: int) -> Load:
        plans = [plan(traffic.adjust_own(made, items, one), number) for one in range(len(hubs))]
        return scene.press(hubs, [plans[at % len(hubs)][at] for at in range(CONNECTIONS)], bench.seconds)

    return take


def _press(bench: Bench, hubs: list[Server], make: Make) -> Take:
    def take(number: int) -> Load:
        return scene.press(hubs, plan(make, number), bench.seconds)

    return take


def _movements(db: str) -> int:
    with psycopg.connect(db) as link:
        return int(link.execute("SELECT SUM(seq) FROM accounts").fetchall()[0][0])


def _nothing_lost(found: dict[str, Taken], moved: int) -> None:
    done = sum(load.total["200"] for taken in found.values() for load in taken.loads)
    if done != moved:
        raise SystemExit(f"{done} adjustments were acknowledged, {moved} movements are there")
