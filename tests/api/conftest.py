"""A hub with our own API, and the demo's caller of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import hubs
from hubs import Clock, Hub, demo_hub
from level_reader import opened
from native_calls import Api, admin
from onhand.inventory import Inventory
from onhand.settings import Settings
from onhand.store.engine import open_store
from shops import Shop
from stores import PostgresDatabases, SqliteDatabases

NAMES = ("native", "treet")
MADE: dict[str, Any] = {}
"""The sections of the demo in the PostgreSQL database that the others are copies of."""


@pytest.fixture(scope="module")
def level_databases(tmp_path_factory: pytest.TempPathFactory, sqlite_templates: Path) -> SqliteDatabases:
    return SqliteDatabases(tmp_path_factory.mktemp("read"), sqlite_templates)


@pytest.fixture
def shop(level_databases: SqliteDatabases) -> Iterator[Shop]:
    """A ledger on SQLite whose levels are read over our own API."""
    yield from opened(level_databases)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """The demo on SQLite, with a Treet store besides."""
    with demo_hub(tmp_path, *NAMES) as running:
        yield running


@pytest.fixture
def api(hub: Hub) -> Api:
    """The demo's caller, who may do everything."""
    return admin(hub)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    """The same on SQLite and on PostgreSQL."""
    with on(request.param, request, tmp_path) as caller:
        yield caller


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The same for all tests of a file."""
    with on(request.param, request, tmp_path_factory.mktemp("hub")) as caller:
        yield caller


@contextlib.contextmanager
def on(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Api]:
    """The demo's caller on a database of this kind."""
    if kind == "sqlite":
        with demo_hub(folder, *NAMES) as running:
            yield admin(running)
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres")
    url = databases.copy(made)
    with running_on(url) as running:
        yield admin(running)
    databases.drop(url)


def made(url: str) -> None:
    """Make the demo, and remember its sections."""
    MADE.update(hubs._made(url, NAMES))


@contextlib.contextmanager
def running_on(url: str) -> Iterator[Hub]:
    """A hub on a copy of what `made` made."""
    clock = Clock()
    store = open_store(url)
    inventory = Inventory(store, clock)
    try:
        app = hubs.application(inventory, NAMES, Settings(), {})
        with TestClient(app, base_url=hubs.BASE_URL, raise_server_exceptions=True) as client:
            yield Hub(client, inventory, MADE, clock)
    finally:
        store.close()
