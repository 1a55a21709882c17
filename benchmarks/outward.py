"""`make bench-channels`: how fast channels are told, under their limits and without, beside a bare loop."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks import mall, quiet, results, scene, telling
from benchmarks.telling import Market

OUT = Path(__file__).parent / "out" / "channels.json"
CHANNELS = 4
ITEMS = 25_000
"""Each on four channels: 100,000 listings."""
FREE_ITEMS = 12_500
RATE, BURST = 10.0, 10
"""Requests a second of 50 numbers each, and so many at once."""
QUICK, IDLE = 40, 3
IDLE_SECONDS = 6.0
"""A driver with nothing to do gives its lease back after five."""


class Line(NamedTuple):
    """A line of the table. ``floor`` is what is to be reached, ``most`` what is not to be passed."""

    name: str
    values: list[float]
    unit: str
    floor: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """Of its values."""
        return statistics.median(self.values)

    @property
    def kept(self) -> bool | None:
        """Whether it is as it should be; None where nothing was asked for."""
        if self.floor is not None:
            return self.median >= self.floor
        return None if self.most is None else self.median <= self.most


def measure(folder: Path, rounds: int, seconds: float) -> list[Line]:
    """Everything, one after the other."""
    os.environ["ONHAND_ALLOW_PRIVATE_CHANNELS"] = "true"
    lines: list[Line] = []
    with ExitStack() as stack:
        cards = stack.enter_context(mall.channels(folder, CHANNELS, ITEMS))
        made = mall.prepare(str(folder / "mall.db"), cards, ITEMS, ITEMS * CHANNELS)
        market = Market(stack.enter_context(scene.hub(made.db)), made, cards)
        market.limit(0, BURST)
        lines += without_limit(market, rounds)
        lines += under_limit(market, seconds)
        lines += one_change(market)
    return lines + quiet_lines(folder)


def without_limit(market: Market, rounds: int) -> list[Line]:
    """The hub and the bare loop in turn."""
    ours: list[float] = []
    limit: list[float] = []
    for number in range(rounds):
        for mine in (True, False) if number % 2 == 0 else (False, True):
            found = telling.free(market, FREE_ITEMS) if mine else telling.bare(market.cards, FREE_ITEMS)
            (ours if mine else limit).append(found)
            say(f"{'hub' if mine else 'bare loop'}: {found:,.0f} listings a second")
    ratios = [mine / other for mine, other in zip(ours, limit, strict=True)]
    return [
        Line("told without a limit", ours, "listings/s"),
        Line("a bare loop that posts the same", limit, "listings/s"),
        Line("the hub beside the bare loop", ratios, "", floor=0.5, note="median of the rounds' ratios"),
    ]


def under_limit(market: Market, seconds: float) -> list[Line]:
    """100,000 stale at once, watched for some seconds."""
    found = telling.paced(market, ITEMS, RATE, BURST, seconds)
    quarter = len(found.memory) // 4
    grown = statistics.median(found.memory[-quarter:]) / statistics.median(found.memory[:quarter])
    note = f"{RATE:g} requests/s a channel, watched for {seconds:g} s of 100,000 stale listings"
    return [
        Line("allowed rate that is used", [found.used], "", floor=0.9, note=note),
        Line("requests that were throttled", [found.throttled], "", most=0.01, note="from the first one on"),
        Line("told under the limit", [found.listings], "listings/s"),
        Line("memory, last quarter over first", [grown], "", most=1.05),
        Line("memory at most", [max(found.memory)], "MB"),
    ]


def one_change(market: Market) -> list[Line]:
    """From commit to acknowledgement, on an idle hub."""
    own = telling.own_time(market.cards, QUICK)
    quick = []
    for number in range(QUICK):
        time.sleep(0.3)
        quick.append(telling.seen(market, number * 17 + 1))
    cold = []
    for number in range(IDLE):
        time.sleep(IDLE_SECONDS)
        cold.append(telling.seen(market, number * 19 + 2))
    note = f"four channels at once; a channel alone takes {own * 1000:.1f} ms for one number"
    return [
        Line("commit to acknowledgement, p50", quick, "s", most=0.25 + own, note=note),
        Line("the slowest of them", [max(quick)], "s"),
        Line("the same after six idle seconds", cold, "s", most=0.25 + own),
    ]


def quiet_lines(folder: Path) -> list[Line]:
    """One changed item among few and among many quiet listings."""
    found = quiet.measure(folder, 200)
    lines = []
    for step in quiet.STEPS:
        few, many = statistics.median(found.few[step]), statistics.median(found.many[step])
        note = f"{few * 1e6:,.0f} µs with {quiet.FEW}, {many * 1e6:,.0f} µs with {quiet.MANY:,} quiet"
        lines.append(Line(step, [many / few], "", most=1.25, note=note))
    return lines


def say(words: str) -> None:
    """Tell a person how it goes."""
    print(words, flush=True)


def show(lines: list[Line]) -> None:
    """The table for a person."""
    say(f"\n{'':<34}{'median':>10} {'':<11}{'spread':>19}{'aim':>10}{'':>8}")
    for line in lines:
        aim = f">= {line.floor:g}" if line.floor is not None else ""
        aim = f"<= {line.most:.3g}" if line.most is not None else aim
        kept = {True: "kept", False: "MISSED", None: ""}[line.kept]
        low, high = number(min(line.values)), number(max(line.values))
        spread = f"{low} to {high}" if len(line.values) > 1 else ""
        head = f"{line.name:<34}{number(line.median):>10} {line.unit:<11}{spread:>19}"
        say(f"{head}{aim:>10}{kept:>8}  {line.note}")


def number(value: float) -> str:
    """As it is read best."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"


def main() -> None:
    """Measure, print, and keep the results."""
    options = argparse.ArgumentParser(prog="make bench-channels", description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=30.0, help="under the limit")
    asked = options.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="run-", dir=OUT.parent.parent) as folder:
        lines = measure(Path(folder), asked.rounds, asked.seconds)
    show(lines)
    OUT.parent.mkdir(exist_ok=True)
    took = round(time.perf_counter() - start)
    settings = {"rounds": asked.rounds, "seconds": asked.seconds, "rate": RATE, "burst": BURST}
    rows = [line._asdict() | {"median": line.median, "kept": line.kept} for line in lines]
    results.write(
        OUT, {"machine": results.machine(), "settings": settings, "took_seconds": took, "lines": rows}
    )
    say(f"\nwritten to {OUT} after {took} s")


if __name__ == "__main__":
    main()
