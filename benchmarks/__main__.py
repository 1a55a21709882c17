"""`make bench`: the hub's speed and memory beside its limits, as ratios of medians from one run."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import random
import socket
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks import limits, scene
from benchmarks.load import Load
from benchmarks.scene import Scene, Server

OUT = Path(__file__).parent / "out"
CONNECTIONS = 64
PREPARED = 400
"""Different requests that each connection has ready and repeats."""

ITEMS = 10_000
BULK = 1_000
REACH = {
    "adjust": 0.35,
    "adjust, idempotency key": 0.25,
    "adjust, one hot SKU": 1.0,
    "1,000 changes a request": 0.3,
}


class Row(NamedTuple):
    """One line of the table: a rate, the limit that it is held against, and what is to be reached."""

    name: str
    rates: list[float]
    against: str
    limit: list[float]
    reach: float
    p50_ms: float
    p99_ms: float

    @property
    def ratio(self) -> float:
        """Our median over the limit's median."""
        return statistics.median(self.rates) / statistics.median(self.limit)


def request(scene: Scene, body: object, key: str | None = None) -> str:
    """A POST /api/v1/changes as it goes over the wire; ``{}`` in ``key`` is filled by the client."""
    text = json.dumps(body, separators=(",", ":"))
    header = f"Idempotency-Key: {key}\r\n" if key else ""
    return (
        "POST /api/v1/changes HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {scene.api_key}\r\n{header}Content-Length: {len(text)}\r\n\r\n{text}"
    )


def adjusts(made: Scene, dice: random.Random, per_request: int, *, hot: bool) -> Iterator[object]:
    """Bodies of requests that add or take one unit of random items, or of one."""
    while True:
        skus = ["S7" if hot else f"S{dice.randrange(made.items)}" for _ in range(per_request)]
        changes = [
            {"op": "adjust", "sku": sku, "location": "main", "delta": dice.choice((1, -1))} for sku in skus
        ]
        yield {"changes": changes}


def plan(made: Scene, seed: int, *, hot: bool = False, keyed: bool = False) -> list[list[str]]:
    """What every connection sends."""
    dice = random.Random(seed)
    bodies = adjusts(made, dice, 1, hot=hot)
    key = "{}" if keyed else None
    return [[request(made, next(bodies), key) for _ in range(PREPARED)] for _ in range(CONNECTIONS)]


def bulk_rate(made: Scene, server: Server, seconds: float, seed: int) -> Load:
    """Changes per second in requests of a thousand, two at a time."""
    dice = random.Random(seed)
    bodies = adjusts(made, dice, BULK, hot=False)
    load = scene.press(server, [[request(made, next(bodies)) for _ in range(5)] for _ in range(2)], seconds)
    return load._replace(per_second=load.per_second * BULK)


def sample_answer(made: Scene, server: Server) -> str:
    """The body that the hub gives to one adjust: what the limit must answer too."""
    with socket.create_connection((server.host, server.port), timeout=10) as line:
        line.sendall(request(made, next(adjusts(made, random.Random(1), 1, hot=False))).encode())
        answer = line.recv(65_536).decode()
    head, _, text = answer.partition("\r\n\r\n")
    if " 200 " not in head.splitlines()[0]:
        raise SystemExit(f"the hub does not adjust: {answer}")
    return text


def checked(load: Load, what: str) -> Load:
    """``load``, if every answer was a 200."""
    if set(load.statuses) != {"200"}:
        raise SystemExit(f"{what}: not only 200 but {load.statuses}")
    return load


def one_round(made: Scene, hub: Server, same: Server, number: int, seconds: float) -> dict[str, Load]:
    """Every workload once, one after the other."""
    return {
        "same bytes": scene.press(same, plan(made, number), seconds),
        "adjust": scene.press(hub, plan(made, number), seconds),
        "adjust, idempotency key": scene.press(hub, plan(made, number, keyed=True), seconds),
        "adjust, one hot SKU": scene.press(hub, plan(made, number, hot=True), seconds),
        "1,000 changes a request": bulk_rate(made, hub, seconds, number),
    }


def measure(rounds: int, seconds: float, folder: Path) -> tuple[list[Row], dict[str, object]]:
    """All workloads, each beside its limit in every round."""
    made = scene.prepare(str(folder / "bench.db"), ITEMS)
    found: dict[str, list[Load]] = {}
    bare: list[float] = []
    with ExitStack() as stack:
        hub = stack.enter_context(scene.hub(made.db))
        still = scene.resident_mb(hub.process)
        same = stack.enter_context(scene.same_bytes(folder, sample_answer(made, hub)))
        for number in range(rounds):
            for name, load in one_round(made, hub, same, number, seconds).items():
                found.setdefault(name, []).append(checked(load, name))
            items = random.Random(number).choices(range(1, ITEMS + 1), k=50_000)
            bare.append(limits.bare_loop(folder / f"bare{number}.db", items, BULK, seconds))
        busy = scene.resident_mb(hub.process)
    with scene.hub(made.db) as again:
        ready = again.ready_seconds
    facts = {
        "resident idle MB": still,
        "resident after load MB": busy,
        "ready on an existing database s": ready,
    }
    return table(found, bare), dict(facts)


def table(found: dict[str, list[Load]], bare: list[float]) -> list[Row]:
    """Rates against limits."""
    same = [load.per_second for load in found["same bytes"]]
    random_skus = [load.per_second for load in found["adjust"]]
    against = {
        "adjust": ("the same bytes, no ledger", same),
        "adjust, idempotency key": ("the same bytes, no ledger", same),
        "adjust, one hot SKU": ("our own random SKUs", random_skus),
        "1,000 changes a request": ("a bare loop, same rows", bare),
    }
    rows = []
    for name, (words, limit) in against.items():
        loads = found[name]
        p50 = statistics.median(load.p50_ms for load in loads)
        p99 = statistics.median(load.p99_ms for load in loads)
        rows.append(Row(name, [load.per_second for load in loads], words, limit, REACH[name], p50, p99))
    return rows


def show(rows: list[Row], facts: dict[str, object]) -> None:
    """The table for a person."""
    print(f"\n{'workload':<26}{'per second':>12}{'spread':>16}{'limit':>10}{'ratio':>8}{'reach':>7}  against")
    for row in rows:
        spread = f"{min(row.rates):,.0f}-{max(row.rates):,.0f}"
        print(
            f"{row.name:<26}{statistics.median(row.rates):>12,.0f}{spread:>16}"
            f"{statistics.median(row.limit):>10,.0f}{row.ratio:>8.2f}{row.reach:>7.2f}  {row.against}"
            f"  (p50 {row.p50_ms:.1f} ms, p99 {row.p99_ms:.1f} ms)"
        )
    for name, value in facts.items():
        print(f"{name:<40}{value:>10.1f}" if isinstance(value, float) else f"{name:<40}{value}")


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    names = ("msgspec", "sqlalchemy", "starlette", "uvicorn", "uvloop", "httptools")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: importlib.metadata.version(name) for name in names},
    }


def main() -> None:
    """Measure, print, and keep the results."""
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=5.0)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(dir=OUT.parent) as folder:
        rows, facts = measure(asked.rounds, asked.seconds, Path(folder))
    show(rows, facts)
    OUT.mkdir(exist_ok=True)
    result = {
        "machine": machine(),
        "settings": {"rounds": asked.rounds, "seconds": asked.seconds, "connections": CONNECTIONS},
        "rows": [row._asdict() | {"ratio": row.ratio} for row in rows],
        "facts": facts,
    }
    (OUT / "results.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {OUT / 'results.json'}")


if __name__ == "__main__":
    main()
