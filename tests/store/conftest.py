"""The shop that the tests of the store work on, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shops import Shop, opened
from stores import Databases, SqliteDatabases
from swift_door import Door


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kinds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite_templates: Path
) -> Databases:
    """Databases of each kind, for what the tests of a file share: one costs more than emptying it."""
    if request.param == "sqlite":
        return SqliteDatabases(tmp_path_factory.mktemp("shop"), sqlite_templates)
    found: Databases = request.getfixturevalue("postgres")
    return found


@pytest.fixture(scope="module")
def kept(kinds: Databases) -> Iterator[Shop]:
    """A shop of each kind that the tests of a file share."""
    yield from opened(kinds)


@pytest.fixture
def shop(kept: Shop) -> Shop:
    """The shop, emptied, on each kind."""
    kept.reset()
    return kept


@pytest.fixture
def door(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The shop's ledger, on SQLite, as the hub uses it."""
    found = Door(shop, monkeypatch)
    yield found
    found.close()
