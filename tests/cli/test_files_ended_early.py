"""onhand import that ends before its file does: what it says of what was done, and how it is gone on with."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands import numbers, onhand, started, write
from onhand.cli import files, progress
from onhand.lock import Lock
from onhand.office import door

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


@contextlib.contextmanager
def silent_hub(db: str, *, listens: bool) -> Iterator[None]:
    """A hub that holds the file and dies of whatever it is asked; or, unless it ``listens``, is dead."""
    lock = Lock(Path(db).absolute())
    lock.take()
    with socket.create_server(("127.0.0.1", 0)) as server:
        lock.announce(f"http://127.0.0.1:{server.getsockname()[1]}")
        if listens:
            threading.Thread(target=hang_up, args=(server,), daemon=True).start()
        else:
            server.close()
        yield
    lock.release()


def hang_up(server: socket.socket) -> None:
    """Read what is asked and answer nothing."""
    with contextlib.suppress(OSError):
        while True:
            one, _ = server.accept()
            with one:
                one.recv(65_536)


GONE = [(True, "stopped answering", door.UNKNOWN), (False, "cannot be reached", door.AGAIN)]


@pytest.mark.parametrize(("listens", "why", "then"), GONE)
def test_a_hub_that_gives_no_answer(shop: str, big: Path, listens: bool, why: str, then: str) -> None:
    with silent_hub(shop, listens=listens):
        for words, advice in (
            (("accounts", "create", "other"), then),
            (("keys", "create", "native"), then),
            (("import", big, "--create"), progress.KEPT),
        ):
            ran = onhand(*words, "--db", shop)
            assert (ran.code, ran.out) == (1, "")
            said = ran.err.splitlines()
            assert said[0].startswith(f"onhand: the hub {why}: http://127.0.0.1:")
            assert said[1:] == [f"onhand: {advice}"]


def test_a_hub_that_is_killed_in_the_middle(shop: str, big: Path) -> None:
    write(big, HEADER, *(f"S{number},main,{number + 1}" for number in range(60 * files.CHUNK)))
    hub = started("serve", "--db", shop, "--port", 0)
    assert hub.stdout is not None and "is ready on" in hub.stdout.readline()
    ran = started("import", big, "--create", "--db", shop)
    try:
        while len(numbers(shop)) < files.CHUNK:
            assert ran.poll() is None, ran.communicate()
    finally:
        hub.kill()
        hub.communicate()
    out, err = ran.communicate(timeout=60)
    assert (ran.returncode, out) == (1, "")
    assert err.startswith("onhand: the hub ") and err.endswith(f"\nonhand: {progress.KEPT}\n")
    told = onhand("import", big, "--create", "--db", shop, "--json").json
    assert (told["changed"], told["bad"], told["done_before"] >= files.CHUNK) == (60 * files.CHUNK, [], True)
    assert onhand("verify", "--db", shop).code == 0
