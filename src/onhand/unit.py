"""Runs a unit of a batch in a savepoint of its own, so that its failure is nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from onhand import faults
from onhand.store.sql import direct


class Failure:
    """A unit that raised, and left nothing behind."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def run(connection: Connection, unit: Callable[[Connection], Any]) -> Any:
    """What ``unit`` returns, or its `Failure`. Raises DBAPIError where the whole transaction is at an end."""
    keep, take_back = _savepoint(connection)
    try:
        value = unit(connection)
    except DBAPIError as error:
        if faults.wide(error) or faults.passing(error):
            raise
        take_back()
        return Failure(error)
    except Exception as error:  # noqa: BLE001 - it belongs to the caller
        take_back()
        return Failure(error)
    keep()
    return value


def _savepoint(connection: Connection) -> tuple[Callable[[], None], Callable[[], None]]:
    """Begin one; what keeps that which is done after it, and what takes it back.

    On SQLite the driver is spoken to itself: SQLAlchemy takes a third of a millisecond for each, as long as
    many a unit.
    """
    if connection.dialect.name != "sqlite":
        nested = connection.begin_nested()
        return nested.commit, nested.rollback
    direct(connection, "SAVEPOINT unit")

    def take_back() -> None:
        direct(connection, "ROLLBACK TO unit")
        direct(connection, "RELEASE unit")

    return lambda: direct(connection, "RELEASE unit"), take_back
