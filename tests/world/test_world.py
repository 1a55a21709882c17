"""Worlds by their seeds: `make world SEEDS=5000` plays more, from FROM on; a failing seed names itself."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from onhand import connectors
from stores import PostgresDatabases, SqliteDatabases
from world import world
from world.mart import SHAPES
from world.stand import Stand

SUITE = 208
"""Seeds that are played in every run of the suite: thirteen for each of the sixteen channels, and more."""
SEEDS = int(os.environ.get("SEEDS", SUITE))
FROM = int(os.environ.get("FROM", "1"))
SERVED = (3, 26, 57)
"""Seeds that are played on PostgreSQL, too."""


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabases:
    """Where the worlds are."""
    folder = tmp_path_factory.mktemp("world")
    return SqliteDatabases(folder, folder)


@pytest.mark.parametrize("seed", range(FROM, FROM + SEEDS))
def test_the_world_comes_to_rest(seed: int, databases: SqliteDatabases) -> None:
    world.run(seed, databases)


@pytest.mark.parametrize("seed", SERVED)
def test_the_world_comes_to_rest_on_postgresql(seed: int, postgres: PostgresDatabases) -> None:
    world.run(seed, postgres, threads=True)


def test_threads_change_nothing(databases: SqliteDatabases) -> None:
    world.run(5, databases, threads=True)


def test_every_channel_and_every_shape_has_its_worlds() -> None:
    drawn = [name for seed in range(1, SUITE + 1) for name in world.drawn(seed)]
    for module in connectors.ALL:
        assert drawn.count(module.CHANNEL.name) >= SUITE // len(connectors.ALL)
    for shape in SHAPES:
        assert drawn.count(shape.CHANNEL.name) >= 20
    blind = {name for seed in range(1, SUITE + 1) if seed % 3 == 0 for name in world.drawn(seed)}
    assert blind == set(drawn), "each is told blindly, too"


def test_a_seed_is_always_the_same_world(databases: SqliteDatabases, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[float, str, str]] = []
    send = world.World.send

    async def note(self: world.World, wire: Any, *, timeout: float) -> Any:
        heard.append((asyncio.get_running_loop().time(), wire.method, wire.path))
        return await send(self, wire, timeout=timeout)

    monkeypatch.setattr(world.World, "send", note)
    world.run(10, databases)
    first = heard.copy()
    heard.clear()
    world.run(10, databases)
    assert len(first) > 50
    assert heard == first


def test_what_is_not_true_is_found(databases: SqliteDatabases, monkeypatch: pytest.MonkeyPatch) -> None:
    """A world that could not fail would show nothing."""
    monkeypatch.setattr(Stand, "sales", lambda self: iter(()))
    monkeypatch.setattr(world, "CALM_SECONDS", 300.0)
    with pytest.raises(AssertionError, match="should have") as failed:
        world.run(2, databases)
    assert "make world FROM=2 SEEDS=1" in failed.value.__notes__[0]
