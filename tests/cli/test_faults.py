"""What is no database, and databases that fail under a command: words and an exit code, no traceback."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from commands import onhand, started, write
from onhand.cli import frame
from onhand.store import integrity
from onhand.store.engine import open_store
from servers import START_SECONDS, start

PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with the demo, all of it in its one file."""
    made = tmp_path_factory.mktemp("faults") / "demo.db"
    assert onhand("demo", "--db", made).code == 0
    with closing(sqlite3.connect(made)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return made


@pytest.fixture
def shop(demo: Path, tmp_path: Path) -> str:
    """The same, a test's own."""
    return str(shutil.copy(demo, tmp_path / "shop.db"))


def ruin(db: str, table: str) -> None:
    """Write rubbish over the first page of a table; the file still opens."""
    at = first_page(db, table)
    with Path(db).open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * PAGE_BYTES)


def first_page(db: str, table: str) -> int:
    """Where in the file a table begins, in bytes."""
    with closing(sqlite3.connect(db)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return int((page - 1) * PAGE_BYTES)


RUINED = [
    ("items", ("levels",)),
    ("items", ("history", "LAMP-BRASS-40")),
    ("levels", ("verify",)),
    ("levels", ("export", "-")),
    ("keys", ("keys", "list")),
    ("keys", ("demo",)),
    ("details", ("demo",)),
    ("listings", ("demo",)),
]


@pytest.mark.parametrize(("table", "words"), RUINED)
def test_a_database_that_fails(shop: str, table: str, words: tuple[str, ...]) -> None:
    ruin(shop, table)
    ran = onhand(*words, "--db", shop)
    assert (ran.code, ran.err) == (1, "onhand: the database failed: database disk image is malformed\n")


@pytest.mark.parametrize("table", ["items", "levels", "movements", "details", "wakeups"])
def test_the_doctor_reads_a_file_from_end_to_end(shop: str, table: str) -> None:
    assert onhand("doctor", "--db", shop, "--json").json["integrity"] == "whole"
    ruin(shop, table)
    ran = onhand("doctor", "--db", shop, "--json")
    assert (ran.code, ran.err, ran.json["integrity"]) == (3, "", "damaged")
    assert ran.json["faults"][0].startswith("the file is damaged (")
    assert ran.json["faults"][0].endswith("): keep it as it is, and restore a backup")
    said = onhand("doctor", "--db", shop)
    assert (said.code, "fault: the file is damaged (" in said.out) == (3, True)


def test_the_doctor_looks_at_the_disk(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert onhand("doctor", "--db", shop).code == 0
    monkeypatch.setattr(integrity, "DISK_FLOOR_BYTES", 2**62)
    ran = onhand("doctor", "--db", shop, "--json")
    assert ran.code == 3
    assert ran.json["faults"][0].startswith("the disk is nearly full: ")


def test_the_doctor_and_a_file_that_does_not_even_open(shop: str) -> None:
    ruin(shop, "alembic_version")
    ran = onhand("doctor", "--db", shop, "--json")
    assert ran.code == 3
    assert ran.json["faults"] == [f"cannot open {shop}: database disk image is malformed"]


def test_a_large_file_is_not_read_for_longer_than_is_allowed(
    shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "STEPS", 1)
    with closing(open_store(shop)) as store:
        assert (
            integrity.examine(store, seconds=0).words
            == "not known: 0 seconds were not enough to read the file"
        )
        assert integrity.examine(store).words == "whole"


LAID_OVER = [("items", "movements", "levels"), ("items", "listings", "levels"), ("items", "prices", "levels")]


@pytest.mark.parametrize(("table", "other", "command"), LAID_OVER)
def test_rows_that_no_code_of_ours_has_written(shop: str, table: str, other: str, command: str) -> None:
    """A page of another table lies where a table's first should be: what is read makes no sense."""
    with Path(shop).open("r+b") as file:
        file.seek(first_page(shop, other))
        page = file.read(PAGE_BYTES)
        file.seek(first_page(shop, table))
        file.write(page)
    ran = onhand(command, "--db", shop)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("onhand: the file is damaged (")


def test_an_import_into_a_database_that_fails(shop: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "sku,location,on_hand", "LAMP-BRASS-40,MAIN,7")
    ruin(shop, "movements")
    ran = onhand("import", file, "--db", shop)
    why, after = ran.err.splitlines()
    assert (ran.code, why) == (1, "onhand: the database failed: database disk image is malformed")
    assert after == f"onhand: {frame.DAMAGED}"


def test_an_import_through_a_hub_whose_database_fails(shop: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "sku,location,on_hand", "LAMP-BRASS-40,MAIN,7")
    ruin(shop, "movements")
    hub = start(shop)
    try:
        ran = onhand("import", file, "--db", shop)
    finally:
        hub.stop()
    why, after = ran.err.splitlines()
    assert (ran.code, why) == (1, "onhand: the database failed: database disk image is malformed")
    assert after == f"onhand: {frame.DAMAGED}"


def test_a_hub_whose_demo_fails(shop: str) -> None:
    ruin(shop, "keys")
    with started("serve", "--demo", "--db", shop, "--port", "0") as process:
        _, complaints = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 1
    assert complaints.splitlines()[-1] == "onhand: the database failed: database disk image is malformed"
    assert "Traceback" not in complaints


@pytest.mark.parametrize("command", ["init", "levels", "doctor", "serve"])
@pytest.mark.parametrize("db", ["", ":memory:", "mysql://shop/stock", "sqlite:///stock.db", "file:stock.db"])
def test_what_is_no_database(command: str, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = onhand(command, "--db", db)
    assert ran.code == 1
    assert ran.err == f"onhand: {db!r} is no database: give a SQLite file or a postgresql:// URL\n"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    for command in ("init", "verify"):
        assert onhand(command, "--db", tmp_path).err == f"onhand: {tmp_path} is no file\n"


def test_a_folder_for_credentials(shop: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    ran = onhand("demo", "--db", shop, "--json", place)
    assert (ran.code, ran.err) == (1, f"onhand: {place} is a folder, not a file for credentials\n")
    assert not list(tmp_path.glob("*.new"))


def test_credentials_are_for_their_owner_only(shop: str, tmp_path: Path) -> None:
    left = write(tmp_path / "demo.json.new", "left by a run that was killed")
    left.chmod(0o644)
    assert onhand("demo", "--db", shop, "--json", tmp_path / "demo.json").code == 0
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600


def test_what_steers_a_terminal_is_written_out(shop: str) -> None:
    # No file makes such a SKU, but a client of an API can.
    with closing(sqlite3.connect(shop)) as connection:
        connection.execute("UPDATE items SET sku = ? WHERE id = 2", ("EVIL\x1b]0;x\x07\u202e",))
        connection.execute("UPDATE levels SET on_hand = on_hand + 1 WHERE item = 2")
        connection.commit()
    for words in (("levels", "--limit", "0"), ("verify",)):  # a table, and lines
        shown = onhand(*words, "--db", shop).out
        assert "EVIL\\x1b]0;x\\x07\\u202e" in shown
        assert "\x1b" not in shown


@pytest.mark.parametrize("command", ["history", "explain"])
def test_an_argument_that_is_no_text(shop: str, command: str) -> None:
    shown = onhand(command, os.fsdecode(b"LAMP\xff"), "--db", shop)
    assert (shown.code, shown.err) == (1, "onhand: an argument is no text: it has bytes that are not UTF-8\n")


def test_output_that_takes_ascii_only(shop: str) -> None:
    with closing(sqlite3.connect(shop)) as connection:
        connection.execute("UPDATE items SET sku = 'LAMPE-GRÜN' WHERE id = 2")
        connection.commit()
    with started("levels", "--db", shop, "--json", PYTHONIOENCODING="ascii") as process:
        _, complaints = process.communicate(timeout=START_SECONDS)
    assert (process.returncode, "set PYTHONUTF8=1" in complaints) == (1, True), complaints


def test_a_command_that_is_stopped_while_it_is_imported(tmp_path: Path) -> None:
    write(tmp_path / "typer.py", "import time", "print('importing', flush=True)", "time.sleep(60)")
    paths = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    with started("levels", PYTHONPATH=paths) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=START_SECONDS)
    assert (process.returncode, complaints) == (130, "")


def test_a_pipe_is_written_to(shop: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for words in (("export", pipe), ("demo", "--json", pipe)):
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")), daemon=True)  # noqa: B023
        reader.start()
        assert onhand(*words, "--db", shop).code == 0
        reader.join(timeout=10)
        assert "LAMP-BRASS-40" in read[0]
        assert pipe.is_fifo()
    assert not list(tmp_path.glob("pipe.*"))


def test_a_link_stays_a_link(shop: str, tmp_path: Path) -> None:
    link, real = tmp_path / "latest.csv", tmp_path / "today.csv"
    link.symlink_to(real)
    assert onhand("export", link, "--db", shop).code == 0
    assert (link.is_symlink(), real.read_text(encoding="utf-8").count("LAMP-BRASS-40")) == (True, 1)


@pytest.mark.parametrize("words", [("levels",), ("levels", "--json"), ("keys", "list"), ("export", "-")])
def test_nobody_reads_on(shop: str, words: tuple[str, ...]) -> None:
    with started(*words, "--db", shop) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        complaints = process.stderr.read()
    assert (process.returncode, complaints) == (0, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(shop: str, closed: str) -> None:
    line = f'"$0" -m onhand pause nobody --db "$1" {closed}'
    ran = subprocess.run(
        ["sh", "-c", line, sys.executable, shop], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False)
    assert onhand("verify", "--db", shop).code == 0


def test_a_small_terminal_breaks_lines_instead_of_columns(shop: str) -> None:
    line = f"stty cols 40; exec {sys.executable} -m onhand history LAMP-BRASS-40 --db {shop}"
    control, terminal = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    subprocess.run(["sh", "-c", line], stdin=terminal, stdout=terminal, env=environment, check=True)
    os.close(terminal)
    shown = os.read(control, 65_536).decode()
    os.close(control)
    assert ("counted" in shown, "+10 = 10" in shown) == (True, True)
