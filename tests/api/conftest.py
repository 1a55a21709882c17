"""A hub with our own API, and the demo's caller of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubs import Hub, demo_hub
from native_calls import Api, admin
from stores import PostgresDatabases


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """The demo on SQLite, with a Treet store besides."""
    with demo_hub(tmp_path, "native", "treet") as running:
        yield running


@pytest.fixture
def api(hub: Hub) -> Api:
    """The demo's caller, who may do everything."""
    return admin(hub)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    """The same on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        with demo_hub(tmp_path, "native", "treet") as running:
            yield admin(running)
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres")
    url = databases.empty()
    with demo_hub(url, "native", "treet") as running:
        yield admin(running)
    databases.drop(url)
