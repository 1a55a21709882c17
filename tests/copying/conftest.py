"""The database that the tests of copying copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from copying.whole import Whole, whole


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Made once; to be read only."""
    return whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def source(made: Whole, tmp_path: Path) -> Whole:
    """A copy of its files, for this test alone."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("hub.db", "hub.db.key"):
        shutil.copy(made.db.with_name(name), folder / name)
    return made._replace(db=folder / "hub.db")
