"""Starts a throwaway PostgreSQL, for the tests and for the benchmarks; `postgres_keeper` runs and ends it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

KEEPER = Path(__file__).with_name("postgres_keeper.py")
STOP_SECONDS = 30


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A superuser's URL of a PostgreSQL that ends with the block, however that ends.

    Raises RuntimeError when it does not start; why is on the standard error then.
    """
    # Its own session, so that Ctrl-C reaches the owner first and the server outlives its clean-up.
    with subprocess.Popen(
        [sys.executable, KEEPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            url = keeper.stdout.readline().strip()
            if not url:
                raise RuntimeError("PostgreSQL did not start; its words are above")
            yield url
        finally:
            keeper.stdin.close()
            keeper.wait(STOP_SECONDS)
