"""A call of the system fails while SQLite is written: nothing is acknowledged that is not there, a disk that
fails stops the process, and one that is full does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from onhand.faults import EXIT_IO_ERROR
from powerloss import traced
from powerloss.writer import CHANGES
from shops import Shop, opened
from stores import SqliteDatabases

TESTS = Path(__file__).parent.parent
SECONDS = 60
MISSING = traced.missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def shop(sqlite: SqliteDatabases) -> Iterator[Shop]:
    """A shop on SQLite."""
    yield from opened(sqlite)


def wrote(shop: Shop, call: str, error: str, when: str) -> tuple[int, list[str], str]:
    """Exit code, what was said of the changes, and the complaints of a writer whose calls fail."""
    fault = f"inject={call}:error={error}:when={when}"
    command = [traced.STRACE, "-D", "-f", "-o", os.devnull, "-e", f"trace={call}", "-e", fault]
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent / "src")))
    ended = subprocess.run(
        [*command, sys.executable, str(TESTS / "powerloss" / "writer.py"), shop.url],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
    )
    said = [line for line in ended.stdout.splitlines() if line.isdigit() or line == "full"]
    return ended.returncode, said, ended.stdout + ended.stderr


CASES = [
    ("fdatasync", "EIO", "40", EXIT_IO_ERROR),
    ("fdatasync", "EIO", "40+", EXIT_IO_ERROR),
    ("pwrite64", "EIO", "200", EXIT_IO_ERROR),
    ("pwrite64", "EIO", "201+", EXIT_IO_ERROR),
    ("pwrite64", "ENOSPC", "200..260", 0),
    ("pwrite64", "ENOSPC", "201", 0),
    ("pwrite64", "EINTR", "200..210", 0),
]


@pytest.mark.parametrize(("call", "error", "when", "code"), CASES)
def test_what_was_acknowledged_is_there(shop: Shop, call: str, error: str, when: str, code: int) -> None:
    ended, said, complained = wrote(shop, call, error, when)
    assert ended == code, complained
    there = [one.reason for one in shop.history()]
    acknowledged = [f"change {int(number):03}" + "x" * 400 for number in said if number != "full"]
    assert len(acknowledged) > 5
    if code == EXIT_IO_ERROR:
        # One that failed on its way to the disk may be there or not.
        assert there[: len(acknowledged)] == acknowledged
        assert len(there) - len(acknowledged) in (0, 1)
    else:
        assert there == acknowledged
        assert len(said) == CHANGES
        assert ("full" in said) == (error == "ENOSPC")
    shop.check()
