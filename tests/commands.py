"""Runs the command line for tests: in this process, or as a process of its own that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from typer import testing
from typer.testing import CliRunner

from onhand.cli import app

# A process builds the tree of all commands once; the runner would for each command, which takes three
# quarters of its time.
testing._get_command = cache(testing._get_command)  # type: ignore[attr-defined]


class Ran(NamedTuple):
    """What a command did: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it told a program."""
        return json.loads(self.out)


def onhand(*words: object) -> Ran:
    """Run a command here; an exception that it let through fails the test."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def started(*words: object, **environment: str) -> subprocess.Popen[str]:
    """Start a command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "onhand", *(str(word) for word in words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def write(path: Path, *lines: str) -> Path:
    """A text file of these lines."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def numbers(db: str, account: str | None = None) -> dict[tuple[str, str], int]:
    """What is on hand now: (sku, location) to units, without what was never set."""
    named = ["--account", account] if account else []
    told = onhand("levels", "--db", db, "--limit", "0", "--json", *named).json
    return {(one["sku"], one["location"]): one["on_hand"] for one in told["levels"]}
