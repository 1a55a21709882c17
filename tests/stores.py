"""Fresh databases for tests: SQLite files in a folder, and databases on a real PostgreSQL server."""

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg

from postgres_server import server

SERVER_VARIABLE = "ONHAND_TEST_PG"
"""Names a PostgreSQL (a superuser's URL) to test on instead of one that the tests start."""

ROLE = "onhand_tests"
"""Tests log in as this role: row-level security does not hold for a superuser."""

DROP_TOGETHER = 8
"""Dropping a database costs a checkpoint, and many together hardly more than one. No test waits for it."""


class Databases(Protocol):
    """Hands out databases that nobody else uses, as what ``--db`` takes: a path or a URL."""

    def empty(self) -> str:
        """A new database with nothing in it."""

    def copy(self, prepare: Callable[[str], None]) -> str:
        """A copy of the database that ``prepare(url)`` filled; it runs once per session and closes it."""

    def drop(self, url: str) -> None:
        """The test is done with a database."""


class SqliteDatabases:
    """SQLite files in a folder."""

    def __init__(self, folder: Path, templates: Path) -> None:
        self._folder = folder
        self._templates = templates

    def empty(self) -> str:
        """The path of a file that does not exist yet."""
        return str(self._folder / f"{uuid.uuid4().hex[:8]}.db")

    def copy(self, prepare: Callable[[str], None]) -> str:
        """The path of a copy of what ``prepare`` made."""
        template = self._templates / f"{_name_of(prepare)}.db"
        if not template.exists():
            prepare(str(template))
        path = self.empty()
        with (
            contextlib.closing(sqlite3.connect(template)) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
        return path

    def drop(self, url: str) -> None:
        """Remove a file and what lies beside it."""
        for path in self._folder.glob(f"{Path(url).name}*"):
            path.unlink()


class PostgresDatabases:
    """Databases on one server; ``close`` drops them all."""

    def __init__(self, superuser_url: str) -> None:
        self._admin = psycopg.connect(superuser_url, autocommit=True)
        self._url = urlsplit(superuser_url)
        self._templates: dict[str, str] = {}
        self._made: set[str] = set()
        self._left: list[str] = []
        self._dropping = ThreadPoolExecutor(1, thread_name_prefix="dropping")
        with contextlib.suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            self._admin.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{ROLE}'")

    def empty(self, template: str = "template0") -> str:
        """The URL of a new database; ``template`` may go on with more options of CREATE DATABASE."""
        return self._create(template)

    def copy(self, prepare: Callable[[str], None]) -> str:
        """The URL of a copy of what ``prepare`` made."""
        key = _name_of(prepare)
        if key not in self._templates:
            template = self._create("template0")
            prepare(template)
            self._templates[key] = urlsplit(template).path[1:]
        return self._create(self._templates[key])

    def ruined(self, url: str, table: str) -> str:
        """The URL of a copy in which a byte of the table's first page is another. Nothing may be connected to
        ``url``, and the server's files must be here."""
        made = self._create(f"{urlsplit(url).path[1:]} STRATEGY file_copy")
        with psycopg.connect(made) as connection:
            (path,) = connection.execute("SELECT pg_relation_filepath(%s)", (table,)).fetchone() or ("",)
        (folder,) = self._admin.execute("SHOW data_directory").fetchone() or ("",)
        with Path(folder, path).open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\xff")
        return made

    def drop(self, url: str) -> None:
        """Forget a database, sooner or later, whoever may still be connected to it."""
        self._left.append(urlsplit(url).path[1:])
        if len(self._left) >= DROP_TOGETHER:
            left, self._left = self._left, []
            self._dropping.submit(self._drop, left).add_done_callback(Future.result)

    def close(self) -> None:
        """Drop the rest, on a server that outlives the tests: ours goes with all that is on it."""
        self._dropping.shutdown()
        if SERVER_VARIABLE in os.environ:
            self._drop(list(self._made))
        self._admin.close()

    def _create(self, template: str) -> str:
        name = f"onhand_{uuid.uuid4().hex}"
        self._made.add(name)
        self._admin.execute(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template}")
        host = self._url.netloc.rpartition("@")[2]
        return self._url._replace(netloc=f"{ROLE}:{ROLE}@{host}", path=f"/{name}").geturl()

    def _drop(self, names: list[str]) -> None:
        with psycopg.connect(self._url.geturl(), autocommit=True) as admin:
            for name in names:
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
                self._made.discard(name)


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """A superuser's URL of a PostgreSQL: the one that ONHAND_TEST_PG names, else a new one of our own."""
    if given := os.environ.get(SERVER_VARIABLE):
        yield given
        return
    with server() as url:
        yield url


def _name_of(prepare: Callable[[str], None]) -> str:
    return f"{prepare.__module__}.{prepare.__qualname__}"
