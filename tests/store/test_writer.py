"""The one connection that writes to a SQLite file: it is one holder's alone, and its log stays small."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import TimeoutError as Waited

from onhand.store import files
from onhand.store.engine import open_store


def test_a_second_writer_waits_in_vain(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not be handed the same connection: one would end what the other has begun."""
    monkeypatch.setattr(files, "BUSY_TIMEOUT_MS", 50)
    store = open_store(sqlite_url)
    with store.writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (id INTEGER)")
        with pytest.raises(Waited):
            store.writer.connect()
    with store.writer.begin() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM kept").scalar_one() == 0
    store.close()


def test_a_log_that_has_grown_gives_its_room_back(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHECKPOINT_PAGES", 10)
    monkeypatch.setattr(files, "LOG_BYTES", 64 * 1024)
    store = open_store(sqlite_url)
    log = Path(f"{sqlite_url}-wal")

    def write(times: int) -> None:
        for _ in range(times):
            with store.writer.begin() as connection:
                connection.exec_driver_sql("INSERT INTO kept VALUES (zeroblob(20000))")

    with store.writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (bytes BLOB)")
    with store.reader.begin() as reading:
        assert reading.exec_driver_sql("SELECT COUNT(*) FROM kept").scalar_one() == 0
        write(50)
        assert log.stat().st_size > 1_000_000
    write(3)
    assert log.stat().st_size < 200_000
    store.close()
