"""Instructions that the courier takes to tell a stale listing, database and HTTP client included.

    python -m benchmarks.told --items 1000

The courier runs in a process under callgrind (valgrind must be installed), the sandbox channels in another.
Each of so many items is listed on four of them, and all are stale at once. With ``--profile`` the courier
runs by itself and Python's own profiler says where its time goes.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import os
import pstats
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import uvloop
from sqlalchemy import Connection

from benchmarks import mall
from benchmarks.instructions import switch
from benchmarks.mall import Mall
from onhand import connectors
from onhand.courier.courier import Courier
from onhand.courier.office import Beats
from onhand.hub import YOUNG_LIMIT, claim
from onhand.inventory import Inventory
from onhand.seals import seals
from onhand.settings import Settings
from onhand.store import feeding
from onhand.transport import ChannelTransport

CHANNELS = 4
SLOWER = 40
"""Times as long as usual that beats are apart: a process takes so much longer under callgrind."""
LOOK_SECONDS = 0.1

_TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)


def main() -> None:
    """Count and print, or profile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--inside", metavar="MALL", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        made = msgspec.json.decode(asked.inside, type=Mall)
        uvloop.run(drive(made, profile=asked.profile))
        return
    if not (asked.profile or shutil.which("callgrind_control")):
        raise SystemExit("this counts with callgrind: install valgrind")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with mall.channels(folder, CHANNELS, asked.items) as cards:
            made = mall.prepare(str(folder / "mall.db"), cards, asked.items, asked.items * CHANNELS)
            count(made, folder / "callgrind", profile=asked.profile)


def count(made: Mall, found: Path, *, profile: bool) -> None:
    """Run the courier in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.told", "--inside", msgspec.json.encode(made).decode()]
    counting = ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"]
    counting.append(f"--callgrind-out-file={found}")
    subprocess.run(
        [*command, "--profile"] if profile else [*counting, *command],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        cwd=Path(__file__).parent.parent,
    )
    if not profile:
        (total,) = _TOTAL.findall(found.read_text(encoding="utf-8"))
        print(f"{int(total) // (made.items * CHANNELS):,} instructions a listing")


async def drive(made: Mall, *, profile: bool) -> None:
    """Tell all listings twice, and count the second time."""
    settings = Settings(db=made.db, allow_private_channels=True)
    inventory = Inventory(claim(settings, None))
    inventory.start()
    transport = ChannelTransport(private=True)
    await inventory.write(made.account, _without_limit)
    profiler = cProfile.Profile()
    for counted in (False, True):
        await inventory.write(made.account, lambda c: _all_stale(c, made, inventory.now()))
        slower = 1 if profile else SLOWER
        beats = Beats(look=Beats().look * slower, lease=Beats().lease * slower)
        courier = Courier(inventory, transport, seals(settings), connectors.ALL, settings, beats=beats)
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_LIMIT)
        if counted and profile:
            profiler.enable()
        elif counted:
            await asyncio.to_thread(switch, "on")
        await courier.start()
        while await inventory.read(0, _left):  # noqa: ASYNC110 - nobody says when the outbox is empty
            await asyncio.sleep(LOOK_SECONDS)
        profiler.disable()
        if counted and not profile:
            await asyncio.to_thread(switch, "off")
        await courier.stop()
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(60)
    await transport.close()
    await inventory.stop()
    inventory.store.close()


def _without_limit(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE connections SET settings = json_set(settings, '$.rate', 0)")


def _all_stale(connection: Connection, made: Mall, now: int) -> None:
    """As a person marks them, with another number to tell."""
    connection.exec_driver_sql("UPDATE levels SET on_hand = on_hand - 1, version = version + 1")
    feeding.mark(connection, made.account, range(1, made.items * CHANNELS + 1), now)


def _left(connection: Connection) -> int:
    found: int = connection.exec_driver_sql("SELECT COUNT(*) FROM outbox").scalar_one()
    return found


if __name__ == "__main__":
    main()
