"""One SQLite file, one process: small writes and reads, hot and random, of one account and of a thousand."""

from __future__ import annotations

import contextlib
import json
import random
import statistics
from functools import partial
from typing import Any

from benchmarks import bare, limits, scene, traffic
from benchmarks.load import Load
from benchmarks.results import Bench, Take, Taken
from benchmarks.scene import Server
from benchmarks.seeding import OPENING
from benchmarks.stage import OTHER_ITEMS
from benchmarks.traffic import PAGE, Make, Scene, plan

CHANGES = "/api/v1/changes"
SAME_BYTES = "(a) the same bytes, no ledger"
SCARCE = 1_000
"""Units of the item that is sold out under load."""

TRIES = 20
HALF = 0.5


def press(bench: Bench, server: Server, make: Make, statuses: tuple[str, ...] = ("200",)) -> Take:
    """Load a server from all connections, with other requests in each round."""

    def take(number: int) -> Load:
        return scene.press(server, plan(make, number), bench.seconds, statuses=statuses)

    return take


def answer(server: Server, make: Make, statuses: tuple[str, ...] = ("200",)) -> str:
    """What the hub gives to one such request: the limit must give the same."""
    return scene.ask(server, make(random.Random(0)), statuses)


def adjust(bench: Bench) -> None:
    """One adjust a request, without and with a fresh idempotency key, beside servers with no ledger."""
    made = bench.stage.small
    plain, keyed = traffic.adjust(made), traffic.adjust(made, keyed=True)
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(scene.hub(made.db))
        answers = {CHANGES: answer(hub, plain)}
        scene.acquaint(hub, plain)
        kinds = (limits.FRAMEWORK, limits.ASGI, limits.UVICORN)
        same, function, uvicorn = (stack.enter_context(scene.limit(kind, answers)) for kind in kinds)
        found = bench.take(
            {
                SAME_BYTES: press(bench, same, plain),
                "adjust": press(bench, hub, plain),
                "adjust, fresh idempotency key": press(bench, hub, keyed),
                "(b) a bare function on the same server": press(bench, function, plain),
                "(b) a bare function on plain uvicorn": press(bench, uvicorn, plain),
            }
        )
    limit = found[SAME_BYTES]
    bench.row("adjust", found["adjust"], SAME_BYTES, limit, 0.5)
    bench.row("adjust, fresh idempotency key", found["adjust, fresh idempotency key"], SAME_BYTES, limit, 0.4)
    for name in list(found)[3:]:
        bench.fact(name, "requests/s", found[name].values)


def hot(bench: Bench) -> None:
    """64 clients reserve from one SKU, and from random ones; then one that runs out."""
    made = bench.stage.small
    one = "S7"
    with scene.hub(made.db) as hub:
        found = bench.take(
            {
                "reserve, random SKUs": press(bench, hub, traffic.reserve(made), ("201",)),
                "reserve, one hot SKU": press(bench, hub, traffic.reserve(made, one), ("201",)),
            }
        )
        sold = [sell_out(made, hub, bench.seconds, f"S{number + 10}") for number in range(bench.rounds)]
    note = f"of {SCARCE} units exactly {sold[0]} sold, {len(sold)} times"
    ours, limit = found["reserve, one hot SKU"], found["reserve, random SKUs"]
    bench.row("reserve, one hot SKU", ours, "our own random SKUs", limit, 1.0, note=note)


def sell_out(made: Scene, hub: Server, seconds: float, sku: str) -> int:
    """How many of `SCARCE` units are sold to 64 clients that want more; it must be all and no more."""
    before = _level(made, hub, sku)["reserved"]
    scene.ask(hub, traffic.put_level(made, sku, before + SCARCE))
    sold, refused, number = 0, 0, 0
    while not refused and number < TRIES:
        # More after the first is only for a machine that has no time to sell them all at once.
        load = scene.press(hub, plan(traffic.reserve(made, sku), number), seconds, statuses=("201", "409"))
        sold += load.total.get("201", 0)
        refused = load.total.get("409", 0)
        number += 1
    level = _level(made, hub, sku)
    scene.ask(hub, traffic.put_level(made, sku, OPENING))  # what is measured next may take from it again
    if sold != SCARCE or level["available"] != 0 or level["reserved"] != before + SCARCE:
        raise SystemExit(f"{SCARCE} units, {sold} sold, and then the level is {level}")
    return sold


def _level(made: Scene, hub: Server, sku: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scene.ask(hub, traffic.level(made, sku)(random.Random(0))))
    return found


def accounts(bench: Bench) -> None:
    """A thousand accounts instead of one."""
    made = bench.stage.small
    with scene.hub(made.db) as hub:
        found = bench.take(
            {
                "adjust, one account": press(bench, hub, traffic.adjust(made)),
                "adjust, 1,000 accounts": press(bench, hub, traffic.adjust_others(made, OTHER_ITEMS)),
            }
        )
    ours, limit = found["adjust, 1,000 accounts"], found["adjust, one account"]
    bench.row("adjust, 1,000 accounts", ours, "our own single account", limit, 0.8)


def reads(bench: Bench) -> None:
    """A level, and a page of 250 levels."""
    made = bench.stage.small
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(scene.hub(made.db))
        makes = {
            "GET one level": traffic.level(made),
            f"GET {PAGE} levels": traffic.levels(made, cursors(made, hub)),
        }
        bodies = [answer(hub, make) for make in makes.values()]
        scene.acquaint(hub, *makes.values())
        answers = {"/api/v1/levels/": bodies[0], "/api/v1/levels": bodies[1]}
        same = stack.enter_context(scene.limit(limits.FRAMEWORK, answers))
        takes: dict[str, Take] = {}
        for name, make in makes.items():
            takes[name] = press(bench, hub, make)
            takes[f"(a) {name}"] = press(bench, same, make)
        found = bench.take(takes)
    for name, reach in zip(makes, (0.6, 0.4), strict=True):
        bench.row(name, found[name], SAME_BYTES, found[f"(a) {name}"], reach)


def cursors(made: Scene, hub: Server) -> list[str]:
    """Where the pages of the first account's levels begin."""
    found: list[str] = []
    path = f"/api/v1/levels?limit={PAGE}"
    while len(found) < made.items // PAGE - 1:
        page = json.loads(scene.ask(hub, traffic.get(made, path)))
        found.append(page["next_cursor"])
        path = f"/api/v1/levels?limit={PAGE}&cursor={found[-1]}"
    return found


def latency(bench: Bench) -> None:
    """How long an adjust takes alone, and when requests arrive at half the rate of what goes through."""
    made = bench.stage.small
    make = traffic.adjust(made)
    with scene.hub(made.db) as hub:
        full = Taken([], [])

        def closed(number: int) -> Load:
            load = scene.press(hub, plan(make, number), bench.seconds)
            full.values.append(load.per_second)
            return load

        def opened(number: int) -> Load:
            rate = statistics.median(full.values or [closed(number).per_second]) * HALF
            return scene.press(hub, plan(make, number), bench.seconds * 2, rate=rate)

        alone = partial(scene.press, hub, plan(make, 0, connections=1), bench.seconds)
        found = bench.take({"all connections": closed, "half of it": opened, "alone": lambda _: alone()})
    half, single = found["half of it"], found["alone"]
    p50, p99 = ([getattr(load, name) for load in half.loads] for name in ("p50_ms", "p99_ms"))
    bench.row("open loop, half of capacity: p99 (ms)", Taken(p99, half.loads), "p50 (ms)", Taken(p50, []))
    bench.fact("open loop, half of capacity: arrivals", "requests/s", half.values)
    bench.fact("adjust on one connection: p50", "ms", [load.p50_ms for load in single.loads])
    bench.fact("adjust on one connection: p99", "ms", [load.p99_ms for load in single.loads])


def disk(bench: Bench) -> None:
    """What the disk does: a limit of every durable commit that is not shared."""
    found = bench.take(
        {"(e) fdatasync of 4 KiB": lambda _: bare.flushes(bench.stage.folder, bench.seconds / 2)}
    )
    bench.fact("(e) fdatasync of 4 KiB", "a second", found["(e) fdatasync of 4 KiB"].values)
