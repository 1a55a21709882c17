"""Files that are whole or not there: one process writes a name at a time, and what was left goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commands import onhand
from onhand.store.drafts import draft
from onhand.store.engine import StoreError


@pytest.mark.parametrize("words", [("export",), ("export", "--movements"), ("backup",)])
def test_two_that_write_one_name(words: tuple[str, ...], sqlite_url: str, tmp_path: Path) -> None:
    onhand("accounts", "create", "shop", "--db", sqlite_url)
    target = tmp_path / "out"
    with draft(target, 0o600) as made:
        made.write_text("half")
        ran = onhand(words[0], target, *words[1:], "--db", sqlite_url)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == f"onhand: {target} is being written by somebody else at this moment\n"
        assert (made.read_text(), target.exists()) == ("half", False)
        made.write_text("whole")
        made.replace(target)
    assert [one.name for one in tmp_path.glob("out*")] == ["out"]
    assert target.read_text() == "whole"


@pytest.mark.parametrize("command", ["export", "backup"])
def test_what_a_killed_run_left_is_taken_away(command: str, sqlite_url: str, tmp_path: Path) -> None:
    onhand("accounts", "create", "shop", "--db", sqlite_url)
    left = tmp_path / "out.part"
    left.write_text("half of a file that is longer than what comes " * 9_000)
    ran = onhand(command, tmp_path / "out", "--db", sqlite_url)
    assert ran.code == 0, ran.err
    assert [one.name for one in tmp_path.glob("out*")] == ["out"]
    assert "half of a file" not in (tmp_path / "out").read_text(encoding="latin-1")
    assert (tmp_path / "out").stat().st_mode & 0o077 == (0o044 if command == "export" else 0)


def test_one_that_was_renamed_before_it_could_be_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, opens = tmp_path / "out", os.open

    def renamed(path: Path, flags: int, mode: int = 0o777) -> int:
        found = opens(path, flags, mode)
        path.write_text("whole")
        path.rename(whole)
        return found

    monkeypatch.setattr(os, "open", renamed)
    with pytest.raises(StoreError), draft(whole, 0o600):
        pass
    assert whole.read_text() == "whole"


def test_the_next_draft_of_a_name_is_left_alone(tmp_path: Path) -> None:
    with draft(tmp_path / "out", 0o600) as first:
        first.replace(tmp_path / "out")
        first.write_text("another's")
    assert first.read_text() == "another's"


def test_a_link_of_that_name_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "out.part").symlink_to(other)
    with pytest.raises(OSError), draft(tmp_path / "out", 0o600):
        pass
    assert other.read_text() == "mine"
