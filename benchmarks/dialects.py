"""One adjust a request through each of the five dialects, beside the same bytes without a ledger."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time

from benchmarks import limits, scene, traffic
from benchmarks.load import Load
from benchmarks.results import Bench, Take
from benchmarks.scene import Server
from benchmarks.single import SAME_BYTES, answer, press
from benchmarks.traffic import Make, Scene, plan

REACH = 0.4
DRAIN_SECONDS = 120
LOOK_SECONDS = 0.02


def dialects(bench: Bench) -> None:
    """All five; Sellbrite's count when they are applied, not when they are taken in."""
    made = bench.stage.small
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(scene.hub(made.db))
        makes = _makes(made, hub)
        answers = {f"/{name}/": answer(hub, make) for name, make in makes.items()}
        scene.acquaint(hub, *makes.values())
        _drain(made.db)
        same = stack.enter_context(scene.limit(limits.FRAMEWORK, answers))
        takes: dict[str, Take] = {}
        for name, make in makes.items():
            takes[name] = _applied(bench, made, hub, make) if name == "sellbrite" else press(bench, hub, make)
            takes[f"(a) {name}"] = press(bench, same, make)
        found = bench.take(takes)
    for name in makes:
        bench.row(f"adjust through {name}", found[name], SAME_BYTES, found[f"(a) {name}"], REACH)


def _makes(made: Scene, hub: Server) -> dict[str, Make]:
    token = json.loads(scene.ask(hub, traffic.flipkart_token(made)))["access_token"]
    return {
        "treet": traffic.treet(made),
        "flipkart": traffic.flipkart(made, token),
        "trackstar": traffic.trackstar(made),
        "marketplacer": traffic.marketplacer(made),
        "sellbrite": traffic.sellbrite(made),
    }


def _applied(bench: Bench, made: Scene, hub: Server, make: Make) -> Take:
    """The rate at which calls are taken in and applied: what still waits when the load ends is waited for."""

    def take(number: int) -> Load:
        load = scene.press(hub, plan(make, number), bench.seconds)
        took = load.took + _drain(made.db)
        return load._replace(per_second=sum(load.total.values()) / took)

    return take


def _drain(db: str) -> float:
    """Wait until all that was taken in is applied; the seconds that it took."""
    start = time.perf_counter()
    while _waiting(db):
        if time.perf_counter() > start + DRAIN_SECONDS:
            raise SystemExit("what Sellbrite's clients sent is not applied")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter() - start


def _waiting(db: str) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as file:
        return int(file.execute("SELECT COUNT(*) FROM inbox").fetchone()[0])
