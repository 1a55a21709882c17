"""Asks the ledger whether it is whole after a load."""

from __future__ import annotations

import subprocess
import sys


def verify(db: str) -> None:
    """`onhand verify`; a fault ends the run with what it says."""
    command = [sys.executable, "-m", "onhand", "verify", "--db", db]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the ledger is not whole: {done.stdout[-2000:]}{done.stderr[-2000:]}")
