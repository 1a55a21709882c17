"""Commands that are given numbers and options that cannot be: told so in words, whoever holds the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from commands import onhand, write
from onhand.office import door

HUGE = 2**63


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with the demo."""
    path = tmp_path_factory.mktemp("places") / "demo.db"
    assert onhand("demo", "--db", path).code == 0
    return path


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> str:
    """The same, a test's own."""
    return str(shutil.copy(made, tmp_path / "shop.db"))


@pytest.mark.parametrize(
    "words",
    [
        ("levels", "--at", "2024-05-31", "--seq", "3"),
        ("levels", "--at", "0001-01-01T00:00:00+14:00"),
        ("export", "a.csv", "--movements", "--location", "MAIN"),
        ("push",),
        ("rules",),
        ("reconnect", "shop"),
        ("init", "--roles", "--distribute"),
    ],
)
def test_wrong_words_are_said_before_a_database_is_looked_at(words: tuple[str, ...], tmp_path: Path) -> None:
    ran = onhand(*words, "--db", tmp_path / "missing.db")
    assert (ran.code, "there is no database" in ran.err) == (2, False)


def test_a_key_file_that_is_there_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("key"), "kept")
    ran = onhand("secrets", "new-key", "--file", "key")
    assert (ran.code, ran.err) == (1, "onhand: key is there already: nothing was written\n")


LARGE: list[tuple[object, ...]] = [
    ("levels", "--limit", HUGE),
    ("history", "LAMP-BRASS-40", "--limit", HUGE),
    ("export", "-", "--movements", "--after", HUGE),
    ("push", HUGE),
    ("release", HUGE),
    ("rules", "--listing", HUGE),
    ("incidents", "show", HUGE),
    ("incidents", "close", HUGE),
]


@pytest.mark.parametrize("words", LARGE, ids=lambda words: " ".join(map(str, words[:2])))
def test_a_number_larger_than_any(shop: str, words: tuple[object, ...]) -> None:
    ran = onhand(*words, "--db", shop)
    assert (ran.code, ran.err) == (1, f"onhand: {door.TOO_LARGE}\n")
