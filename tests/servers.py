"""Hubs as processes of their own: `onhand serve` on a free port, to be asked, stopped and killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from onhand.store.engine import is_postgresql

START_SECONDS = 60
STOP_SECONDS = 30
POLL_SECONDS = 0.01
PROGRAM = (sys.executable, "-m", "onhand")
READY = "Press Ctrl-C to stop."


class Server:
    """A running hub. What it says is in the files ``out`` and ``err``."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, out: Path, err: Path) -> None:
        self.process = process
        self.url = url
        self.out = out
        self.err = err

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and wait; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)


def start(
    db: Path | str,
    *words: object,
    port: int = 0,
    folder: Path | None = None,
    program: Sequence[object] = PROGRAM,
    **environment: str,
) -> Server:
    """Start a hub on a database and wait until it says that it is ready.

    ``words`` are more options of `onhand serve`; ``folder`` is for what it says, else that is written
    beside a SQLite file; ``program`` is what is run instead of `onhand`. AssertionError
    with its words when it does not start.
    """
    assert folder is not None or not is_postgresql(str(db))
    place = folder or Path(db).parent
    out, err = place / "hub.out", place / "hub.err"
    command = [*program, "serve", "--db", db, "--port", port, *words]
    with out.open("wb") as said, err.open("wb") as complained:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=said,
            stderr=complained,
            env=clean_environment() | environment,
        )
    until = time.monotonic() + START_SECONDS
    while READY not in out.read_text(encoding="utf-8"):
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            process.wait(STOP_SECONDS)
            raise AssertionError(f"the hub did not start: {err.read_text(encoding='utf-8')}")
        time.sleep(POLL_SECONDS)
    found = re.search(r"is ready on (\S+)", out.read_text(encoding="utf-8"))
    assert found is not None
    return Server(process, found[1], out, err)


@contextlib.contextmanager
def serving(
    db: Path | str, *words: object, port: int = 0, folder: Path | None = None, **environment: str
) -> Iterator[Server]:
    """A hub that runs while the block does."""
    server = start(db, *words, port=port, folder=folder, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


@contextlib.contextmanager
def demo_server(
    folder: Path, db: Path | str | None = None, **environment: str
) -> Iterator[tuple[Server, dict[str, Any]]]:
    """A hub with the demo account, in ``folder``/hub.db unless ``db`` names another database; and what
    its demo.json says."""
    file = folder / "demo.json"
    where = db or folder / "hub.db"
    words = ("--demo", "--demo-json", file)
    with serving(where, *words, port=0, folder=folder, **environment) as server:
        yield server, json.loads(file.read_text(encoding="utf-8"))


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of onhand."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ONHAND_")}
