"""The shop that the tests of the store work on, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shops import Shop, opened
from stores import Databases, SqliteDatabases


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite_templates: Path
) -> Iterator[Shop]:
    """A shop of each kind that the tests of a file share: a database costs more than emptying it."""
    if request.param == "sqlite":
        databases: Databases = SqliteDatabases(tmp_path_factory.mktemp("shop"), sqlite_templates)
    else:
        databases = request.getfixturevalue("postgres")
    yield from opened(databases)


@pytest.fixture
def shop(kept: Shop) -> Shop:
    """The shop, emptied, on each kind."""
    kept.reset()
    return kept
