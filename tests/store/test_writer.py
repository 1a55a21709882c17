"""The one connection that writes to a SQLite file belongs to whoever has it, and to nobody else."""

from __future__ import annotations

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
