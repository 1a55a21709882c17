"""Instructions that the hub's application takes for a request: exact, where times on a busy machine are not.

    python -m benchmarks.instructions --only adjust,treet

What ``bulk`` and a number counts are changes, in requests of so many, two at once.

The application runs in a process under callgrind (valgrind must be installed) and is called as the server
calls it, twenty requests at once, so that they share commits. What is counted is everything between the
server and the database, SQLite included; the server, the courier and the clockwork are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from starlette.types import ASGIApp, Message, Scope

from benchmarks import traffic
from benchmarks.load import MARK
from benchmarks.stage import Stage
from benchmarks.traffic import PAGE, Make
from benchmarks.traffic import Scene as Shop
from onhand import web
from onhand.api.schema import cursor
from onhand.hub import YOUNG_LIMIT, claim
from onhand.inventory import Inventory
from onhand.outward.equipment import Equipment
from onhand.settings import Settings

AT_ONCE = 20
ITEMS = 60
"""So few that all are known when the counting begins; every request is a new one, so that what sets a number
changes it."""

WARM_UP, ROUNDS = 18, 30
"""Rounds before the counting and while it goes on. Sellbrite's queue must take all: nobody applies them."""


class Pace(NamedTuple):
    """Items, requests at once, rounds of them before the counting and while it goes on, and how many of what
    is counted a request has."""

    items: int
    at_once: int
    warm_up: int
    rounds: int
    changes: int = 1


USUAL = Pace(ITEMS, AT_ONCE, WARM_UP, ROUNDS)
PACES = {"bulk-1000": Pace(10_000, 2, 7, 7, 1_000), "bulk-10000": Pace(10_000, 2, 1, 1, 10_000)}

_TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)

MAKES: dict[str, Callable[[Shop], Make]] = {
    "adjust": traffic.adjust,
    "keyed": lambda shop: traffic.adjust(shop, keyed=True),
    "level": traffic.level,
    "page": lambda shop: traffic.levels(shop, beginnings(shop)),
    "level-reserved": traffic.level,
    "page-reserved": lambda shop: traffic.levels(shop, beginnings(shop)),
    "treet": traffic.treet,
    "trackstar": traffic.trackstar,
    "marketplacer": traffic.marketplacer,
    "sellbrite": traffic.sellbrite,
    **{name: partial(traffic.bulk, changes=pace.changes) for name, pace in PACES.items()},
}
TOKENED: dict[str, Callable[[Shop, str], Make]] = {"flipkart": traffic.flipkart}
"""These need an access token, which the hub gives."""
KINDS = (*MAKES, *TOKENED)
RESERVED = "-reserved"
"""So ends what is counted after units of all levels in question were reserved."""


def main() -> None:
    """Count, and print a line for each kind of request."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", metavar="NAME,...", default=",".join(KINDS), help=", ".join(KINDS))
    parser.add_argument("--inside", nargs=3, metavar=("NAME", "SHOP", "DB"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        name, shop, db = asked.inside
        made = Shop(*json.loads(Path(shop).read_text(encoding="utf-8")))
        uvloop.run(drive(name, made, db))
        return
    if not shutil.which("callgrind_control"):
        raise SystemExit("this counts with callgrind: install valgrind")
    names = asked.only.split(",")
    if unknown := set(names) - set(KINDS):
        raise SystemExit(f"there is no {', '.join(sorted(unknown))}: there are {', '.join(KINDS)}")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        small = Stage(Path(folder), stack).small
        for name in names:
            counted = "change" if name in PACES else "request"
            print(f"{name:<16}{count(name, small, Path(folder)):>10,} instructions a {counted}", flush=True)


def beginnings(shop: Shop) -> list[str]:
    """Where pages of the first account's levels begin."""
    filters: tuple[object, ...] = ([], [], None, None, None)
    return [cursor("levels", filters, item, 1) for item in range(0, shop.items, PAGE)]


def count(name: str, shop: Shop, folder: Path) -> int:
    """Instructions a request, or a change of bulk, on a copy of the shop's database."""
    db, told, found = folder / "copy.db", folder / "shop.json", folder / "callgrind"
    shutil.copy(shop.db, db)
    told.write_text(json.dumps(shop), encoding="utf-8")
    subprocess.run(
        [
            *("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"),
            f"--callgrind-out-file={found}",
            *(sys.executable, "-m", "benchmarks.instructions", "--inside", name, str(told), str(db)),
        ],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        cwd=Path(__file__).parent.parent,
    )
    for old in folder.glob("copy.db*"):
        old.unlink()
    (total,) = _TOTAL.findall(found.read_text(encoding="utf-8"))
    pace = PACES.get(name, USUAL)
    return int(total) // (pace.at_once * pace.rounds * pace.changes)


async def drive(name: str, shop: Shop, db: str) -> None:
    """Call the application, and have callgrind count for all but the first rounds."""
    pace = PACES.get(name, USUAL)
    shop = shop._replace(items=pace.items)
    settings = Settings(db=db, courier=False)
    store = claim(settings, None)
    inventory = Inventory(store)
    inventory.start()
    equipment = Equipment(inventory, settings)
    app = web.build(inventory, settings, {}, equipment)
    make = await maker(name, shop, app)
    if name.endswith(RESERVED):
        await call(app, *parsed(traffic.hold(shop, PAGE)))
    dice = random.Random(1)
    sent = itertools.count()

    def batch() -> list[tuple[Scope, bytes]]:
        return [parsed(make(dice).replace(MARK, f"{next(sent):025}")) for _ in range(pace.at_once)]

    for _ in range(pace.warm_up):
        await asyncio.gather(*(call(app, *one) for one in batch()))
    todo = [batch() for _ in range(pace.rounds)]
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_LIMIT)
    await asyncio.to_thread(switch, "on")
    for some in todo:
        await asyncio.gather(*(call(app, *one) for one in some))
    await asyncio.to_thread(switch, "off")
    await equipment.close()
    await inventory.stop()
    store.close()


async def maker(name: str, shop: Shop, app: ASGIApp) -> Make:
    """What makes the requests of this name."""
    if name in MAKES:
        return MAKES[name](shop)
    granted = json.loads(await call(app, *parsed(traffic.flipkart_token(shop))))
    return TOKENED[name](shop, granted["access_token"])


def switch(how: str) -> None:
    """Have callgrind count this process, or not."""
    subprocess.run(["callgrind_control", "-i", how, str(os.getpid())], check=True, capture_output=True)


def parsed(request: str) -> tuple[Scope, bytes]:
    """A request as the server hands it on: its scope and its body."""
    head, _, body = request.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    fields = (line.partition(": ") for line in lines)
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, _, value in fields],
    }
    return scope, body.encode()


async def call(app: ASGIApp, scope: Scope, body: bytes) -> bytes:
    """The answer to one request. Raises RuntimeError when it is refused: that would be no work."""
    answer = b""

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        nonlocal answer
        answer += message.get("body", b"")
        if message.get("status", 200) >= 300:
            raise RuntimeError(f"{message['status']} for {scope['method']} {scope['path']}")

    await app(scope, receive, send)
    return answer


if __name__ == "__main__":
    main()
