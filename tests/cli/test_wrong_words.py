"""Commands that are given numbers and options that cannot be: told so in words, whoever holds the file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from commands import onhand, write
from onhand.cli import ELSEWHERE, app, main
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
        ("keys", "create", "nope"),
        ("serve", "--port", "99999"),
        ("serve", "--port", "-1"),
        ("connect", "nope"),
        ("incidents", "list", "--kind", "nope"),
        ("replay", "a.csv", "--stock", "-1"),
    ],
)
def test_wrong_words_are_said_before_a_database_is_looked_at(words: tuple[str, ...], tmp_path: Path) -> None:
    ran = onhand(*words, "--db", tmp_path / "missing.db")
    assert (ran.code, "there is no database" in ran.err) == (2, False)


@pytest.mark.parametrize("word", ELSEWHERE)
def test_a_word_that_people_try(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["onhand", word, "x.db"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err == f"onhand: there is no command {word!r}: {ELSEWHERE[word]}\n"


def test_what_people_are_told_to_do_is_there() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = {word for words in ELSEWHERE.values() for word in re.findall(r"'onhand ([a-z]+)", words)}
    assert named
    assert named <= commands.keys()
    assert not ELSEWHERE.keys() & commands.keys()


def test_whatever_a_program_may_read_is_there_as_json() -> None:
    def lacking(command: Any, name: str) -> Iterator[str]:
        for word, one in getattr(command, "commands", {}).items():
            yield from lacking(one, f"{name} {word}".strip())
        if not hasattr(command, "commands") and not any("--json" in one.opts for one in command.params):
            yield name

    assert set(lacking(typer.main.get_command(app), "")) == {"serve", "courier", "secrets new-key"}


def test_a_key_file_that_is_there_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("key"), "kept")
    ran = onhand("secrets", "new-key", "--file", "key")
    assert (ran.code, ran.err) == (1, "onhand: key is there already: nothing was written\n")


LARGE: list[tuple[object, ...]] = [
    ("levels", "--limit", HUGE),
    ("history", "LAMP-BRASS-40", "--limit", HUGE),
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
