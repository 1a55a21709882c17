"""`make bench`: the hub beside its limits, measured in one run, as ratios of medians."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import bulk, dialects, large, processes, results, single
from benchmarks.results import Bench
from benchmarks.stage import Stage

HERE = Path(__file__).parent
OUT = HERE / "results.json"
LAST_SECONDS = 75
"""What a workload takes at most: one that is begun is finished."""

WORKLOADS: dict[str, Callable[[Bench], None]] = {
    "disk": single.disk,
    "adjust": single.adjust,
    "dialects": dialects.dialects,
    "hot": single.hot,
    "bulk": bulk.on_sqlite,
    "accounts": single.accounts,
    "reads": single.reads,
    "latency": single.latency,
    "postgres": processes.one_process,
    "bulk-postgres": bulk.on_postgres,
    "four": processes.four_processes,
    "memory": large.memory,
    "levels": large.levels,
    "movements": large.movements,
}


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in WORKLOADS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(WORKLOADS)}")
    return names


def main() -> int:
    """Measure, print, and keep the results."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument(
        "--only", type=_names, default=list(WORKLOADS), metavar="NAME,...", help=", ".join(WORKLOADS)
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=1.5, help="of each load, in each round")
    options.add_argument("--within", type=float, default=10, help="minutes; what would end later is left out")
    options.add_argument("--out", type=Path, default=OUT, help="where the results are written")
    asked = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=HERE, prefix="run-")))
        bench = Bench(Stage(folder, stack), asked.rounds, asked.seconds)
        for name in asked.only:
            if bench.elapsed() + LAST_SECONDS > asked.within * 60:
                bench.leave_out(name)
                continue
            rows, facts = len(bench.rows), len(bench.facts)
            try:
                WORKLOADS[name](bench)
            except (SystemExit, Exception) as error:  # noqa: BLE001 - the others can still be measured
                bench.fail(name, error)
            print(results.table(bench.rows[rows:], bench.facts[facts:]) + "\n", flush=True)
    if len(asked.only) > 1:
        print(results.table(bench.rows, bench.facts))
    results.write(asked.out, bench.result())
    print(f"\n{bench.elapsed():.0f} s; written to {asked.out}")
    for words in bench.failed:
        print(f"FAILED {words}")
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
