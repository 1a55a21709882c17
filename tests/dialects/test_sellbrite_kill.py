"""Sellbrite calls over kill -9: what was accepted is applied, once, in the order of its arrival."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from hubs import Hub, demo_hub
from onhand.appliers import APPLIERS
from onhand.store import catalog, levels, requests
from sellbrite_child import LOCATION, SKU

CHILD = Path(__file__).parent.parent / "sellbrite_child.py"
SRC = Path(__file__).parent.parent.parent / "src"
ROUNDS, SPAN, ENOUGH = 4, 1_000_000, 40


def accepted_until_killed(url: str, account: int, first: int) -> list[int]:
    """Run the child until it has accepted some calls, kill it at an odd moment; what it acknowledged."""
    command = [sys.executable, str(CHILD), url, str(account), str(first)]
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(ENOUGH)]
        time.sleep(random.random() / 20)
        child.kill()
        told += child.stdout.readlines()
    return [int(line) for line in told if line.endswith("\n")]


def applied(hub: Hub) -> list[int]:
    """Every quantity that the SKU was set to, in order, once the inbox is empty."""
    end = time.monotonic() + 30
    while hub.read(lambda c: requests.ends(c, hub.account)) is not None:
        assert time.monotonic() < end
        time.sleep(0.02)
    item = hub.read(lambda c: catalog.item_ids(c, hub.account, [SKU]))[SKU]
    found = hub.read(lambda c: levels.history(c, hub.account, (item, LOCATION), limit=10**6))
    return [one.on_hand_after for one in reversed(found)]


def test_kill_at_any_moment(tmp_path: Path) -> None:
    with demo_hub(tmp_path, "sellbrite") as hub:
        account, url = hub.account, str(hub.inventory.store.path)
    acknowledged: list[int] = []
    for turn in range(ROUNDS):
        acknowledged += accepted_until_killed(url, account, 1 + turn * SPAN)
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(demo_hub(url, "sellbrite", appliers=APPLIERS))
        made = applied(hub)
    assert len(acknowledged) >= ROUNDS * ENOUGH
    assert set(acknowledged) <= set(made)
    assert len(made) == len(set(made))
    assert made == sorted(made)
