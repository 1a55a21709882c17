"""Fixtures for every test: fresh databases, each on SQLite and on a real PostgreSQL."""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from onhand.store.engine import migrate, open_store
from stores import Databases, PostgresDatabases, SqliteDatabases, postgres_server

GARBAGE_THRESHOLD = 20_000
"""Objects that are made before the youngest are looked through: an eighth of the time was spent on that."""


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, though they may run in a shell's background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()


def pytest_collection_finish() -> None:
    """All that is there now stays to the end, so it need not be looked through for garbage."""
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    gc.enable()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresDatabases]:
    """Databases on a PostgreSQL that runs for this session; started by the first test that asks."""
    with postgres_server() as url:
        databases = PostgresDatabases(url)
        yield databases
        databases.close()


@pytest.fixture(scope="session")
def sqlite_templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the SQLite files that tests get copies of."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
def sqlite(tmp_path: Path, sqlite_templates: Path) -> SqliteDatabases:
    """SQLite files in this test's own folder."""
    return SqliteDatabases(tmp_path, sqlite_templates)


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Databases of one kind; a test that asks runs once on each kind."""
    wanted: Databases = request.getfixturevalue("sqlite" if request.param == "sqlite" else "postgres")
    return wanted


@pytest.fixture
def db_url(databases: Databases) -> Iterator[str]:
    """A fresh empty database, on SQLite and on PostgreSQL."""
    url = databases.empty()
    yield url
    databases.drop(url)


@pytest.fixture
def migrated_url(databases: Databases) -> Iterator[str]:
    """A fresh database with all tables and no rows, on SQLite and on PostgreSQL."""
    url = databases.copy(migrated)
    yield url
    databases.drop(url)


@pytest.fixture
def sqlite_url(sqlite: SqliteDatabases) -> str:
    """A fresh database with all tables and no rows, on SQLite."""
    return sqlite.copy(migrated)


@pytest.fixture
def postgres_url(postgres: PostgresDatabases) -> Iterator[str]:
    """A fresh database with all tables and no rows, on PostgreSQL."""
    url = postgres.copy(migrated)
    yield url
    postgres.drop(url)


def migrated(url: str) -> None:
    """Fill the database that copies are taken from."""
    store = open_store(url)
    try:
        migrate(store)
    finally:
        store.close()
