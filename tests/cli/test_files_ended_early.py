"""onhand import that ends before its file does: what it says of what was done, and how it is gone on with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands import numbers, onhand, write
from onhand.cli import files, progress

HEADER = "sku,location,on_hand"
LINES = 3 * files.CHUNK


@pytest.fixture
def shop(sqlite_url: str) -> str:
    """A SQLite database with one account."""
    assert onhand("accounts", "create", "shop", "--db", sqlite_url).code == 0
    return sqlite_url


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of three chunks; each line is an item of its own."""
    return write(tmp_path / "big.csv", HEADER, *(f"S{number},main,{number + 1}" for number in range(LINES)))


def stopping_after(chunks: int) -> Callable[[], contextlib.AbstractContextManager[Callable[[], bool]]]:
    """Instead of `progress.stoppable`: Ctrl-C is pressed when so many chunks are done."""

    @contextlib.contextmanager
    def stoppable() -> Iterator[Callable[[], bool]]:
        asked = iter(range(LINES))
        yield lambda: next(asked) >= chunks

    return stoppable


def test_it_tells_what_was_made_and_not_what_would_be(
    shop: str, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(progress, "stoppable", stopping_after(1))
        ran = onhand("import", big, "--create", "--db", shop, "--json")
        assert (ran.code, ran.json["interrupted"]) == (progress.INTERRUPTED, True)
        assert (ran.json["changed"], ran.json["new_items"]) == (files.CHUNK, files.CHUNK)
        patched.setattr(progress, "stoppable", stopping_after(2))
        ran = onhand("import", big, "--create", "--db", shop)
        words = f"{LINES} lines: {2 * files.CHUNK} changed, 0 unchanged, {2 * files.CHUNK} new items, 0 bad\n"
        assert ran.out.startswith(words)  # what was done before is among both
    told = onhand("import", big, "--create", "--db", shop, "--json").json
    assert (told["changed"], told["new_items"], told["done_before"]) == (LINES, LINES, 2 * files.CHUNK)
    assert len(numbers(shop)) == LINES
