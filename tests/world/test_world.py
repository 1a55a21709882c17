"""Worlds by their seeds: `make world SEEDS=2000` plays more, from FROM on; a failing seed names itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from world import world

SEEDS = int(os.environ.get("SEEDS", "12"))
FROM = int(os.environ.get("FROM", "1"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the worlds are."""
    return tmp_path_factory.mktemp("world")


@pytest.mark.parametrize("seed", range(FROM, FROM + SEEDS))
def test_the_world_comes_to_rest(seed: int, folder: Path) -> None:
    world.run(seed, folder)
