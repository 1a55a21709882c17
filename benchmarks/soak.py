"""`make soak`: half an hour of mixed load on one hub; its memory must stay flat and the ledger whole."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import results, scene, traffic
from benchmarks.checks import verify
from benchmarks.load import Load
from benchmarks.scene import Server
from benchmarks.stage import OTHER_ITEMS, Stage
from benchmarks.traffic import Make, Scene, plan

HERE = Path(__file__).parent
OUT = HERE / "soak.json"
SLICE_SECONDS = 20.0
SAMPLE_SECONDS = 1.0
WARM_UP = 0.2
"""The part of the time in which caches fill; what counts is the rest."""

GROWTH_MB = 10.0
"""How much the memory may differ between the first and the last third of the time that counts."""

LEAST_MINUTES = 5.0
"""Below this, caches are still filling: nothing is said about growth."""

PER_KIND = 16
"""Connections of each kind of request, all at once."""

PREPARED = 100


class Sample(NamedTuple):
    """Memory in RAM so many seconds after the start."""

    at: float
    mb: float


def kinds(made: Scene, hub: Server) -> dict[str, tuple[Make, str]]:
    """What is sent, and the status that it gets."""
    token = json.loads(scene.ask(hub, traffic.flipkart_token(made)))["access_token"]
    return {
        "adjust": (traffic.adjust(made), "200"),
        "keyed": (traffic.adjust(made, keyed=True), "200"),
        "accounts": (traffic.adjust_others(made, OTHER_ITEMS), "200"),
        "reserve": (traffic.reserve(made), "201"),
        "bulk": (traffic.bulk(made, 100), "200"),
        "read": (traffic.level(made), "200"),
        "history": (traffic.level(made, rest="/movements?limit=50"), "200"),
        "treet": (traffic.treet(made), "200"),
        "flipkart": (traffic.flipkart(made, token), "200"),
        "trackstar": (traffic.trackstar(made), "200"),
        "marketplacer": (traffic.marketplacer(made), "200"),
        "sellbrite": (traffic.sellbrite(made), "200"),
        "health": (lambda _: traffic.get(made, "/readyz"), "200"),
    }


@contextmanager
def sampled(hub: Server, samples: list[Sample]) -> Iterator[None]:
    """Memory of the hub, every second while the block runs."""
    over = threading.Event()
    start = time.perf_counter()

    def watch() -> None:
        while not over.wait(SAMPLE_SECONDS):
            samples.append(Sample(time.perf_counter() - start, hub.resident_mb()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def soak(made: Scene, hub: Server, minutes: float) -> tuple[list[Sample], list[Load]]:
    """Load it in slices, each with other connections and other requests."""
    asked = kinds(made, hub)
    samples: list[Sample] = []
    loads: list[Load] = []
    until = time.perf_counter() + minutes * 60
    with sampled(hub, samples):
        while time.perf_counter() < until:
            number = len(loads)
            requests = [one for make, _ in asked.values() for one in plan(make, number, PER_KIND, PREPARED)]
            seconds = min(SLICE_SECONDS, max(1.0, until - time.perf_counter()))
            statuses = sorted({status for _, status in asked.values()})
            loads.append(scene.press(hub, requests, seconds, statuses=statuses))
            show(number, loads[-1], samples[-1])
    return samples, loads


def show(number: int, load: Load, sample: Sample) -> None:
    """How it goes."""
    rate = f"{load.per_second:>8,.0f} requests/s"
    print(
        f"{sample.at:6.0f} s {sample.mb:8.1f} MB {rate}  p99 {load.p99_ms:6.0f} ms",
        file=sys.stderr,
        flush=True,
    )


def growth(samples: list[Sample]) -> float:
    """Median memory of the last third less that of the first third, once caches have filled."""
    counted = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(counted) // 3)
    first, last = (statistics.median(one.mb for one in part) for part in (counted[:third], counted[-third:]))
    return last - first


def main() -> int:
    """Soak, say whether memory stayed flat, and verify."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    options.add_argument("--minutes", type=float, default=30.0)
    options.add_argument("--out", type=Path, default=OUT, help="where the samples are written")
    asked = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=HERE, prefix="run-")))
        made = Stage(folder, stack).small
        with scene.hub(made.db) as hub:
            samples, loads = soak(made, hub, asked.minutes)
            highest = hub.highest_mb()
        verify(made.db)
    grown = growth(samples)
    answered = sum(sum(load.total.values()) for load in loads)
    judged = asked.minutes >= LEAST_MINUTES
    flat = grown <= GROWTH_MB or not judged
    print(f"{answered:,} answers; the ledger is whole")
    print(f"memory: {samples[-1].mb:.1f} MB at the end, {highest:.1f} MB at most,", end=" ")
    verdict = ("flat" if flat else "NOT FLAT") if judged else "too short to judge"
    print(f"{grown:+.1f} MB from the first to the last third: {verdict}")
    found = {"machine": results.machine(), "minutes": asked.minutes, "answers": answered, "grown_mb": grown}
    found |= {"highest_mb": highest, "samples": samples, "loads": [load._asdict() for load in loads]}
    results.write(asked.out, found)
    print(f"written to {asked.out}")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
