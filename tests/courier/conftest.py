"""A town as new for every test, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from courier.town import FakeTime, Town, built, rebuilt
from stores import PostgresDatabases, SqliteDatabases


@pytest.fixture(scope="module")
def kept(postgres: PostgresDatabases) -> Iterator[str]:
    """A PostgreSQL that the tests of a file share."""
    url = postgres.copy(built)
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def town_url(request: pytest.FixtureRequest, tmp_path: Path, sqlite_templates: Path) -> str:
    """A database with a town in it."""
    if request.param == "sqlite":
        return SqliteDatabases(tmp_path, sqlite_templates).copy(built)
    url: str = request.getfixturevalue("kept")
    rebuilt(url)
    return url


@pytest.fixture
def town(town_url: str) -> Iterator[Town]:
    """A town in real time."""
    found = Town(town_url)
    yield found
    found.store.close()


@pytest.fixture
def slow_town(town_url: str) -> Iterator[tuple[Town, FakeTime]]:
    """A town where time passes when the test says so."""
    time = FakeTime()
    found = Town(town_url, time.now)
    yield found, time
    found.store.close()
