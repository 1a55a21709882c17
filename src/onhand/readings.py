"""Runs queries on snapshots: point reads of SQLite in the event loop, all others in threads."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from onhand.faults import away, passing, silent
from onhand.store.engine import READERS, Store, by_index, reading, reason
from onhand.store.hearing import patient
from onhand.transact import Busy

T = TypeVar("T")


class Readings:
    """The readers of one store. Create, `start`, `close`. ``lost`` is called when the server was away and
    every connection that was kept is dead."""

    def __init__(self, store: Store, lost: Callable[[], None]) -> None:
        self._store = store
        self._lost = lost
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._inline: Connection | None = None
        self._silent_at = 0.0

    def start(self) -> None:
        """Open the connection of the loop's own point reads (SQLite)."""
        if self._store.sqlite:
            self._inline = self._store.reader.connect()

    def close(self) -> None:
        """Wait for reads under way, and let everything go."""
        self._threads.shutdown()
        if self._inline is not None:
            self._inline.close()

    async def run(self, account: int, query: Callable[[Connection], T], *, long: bool, alone: bool) -> T:
        """What ``query`` finds on a snapshot of the account. Raises Busy when the database cannot be
        reached. ``long`` reads go to a thread; ``alone`` says that it is one statement."""
        if self._inline is not None and not long:
            return (_alone if alone else _at_once)(self._inline, query)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, account, query, long, time.monotonic())

    def _read(self, account: int, query: Callable[[Connection], T], long: bool, since: float) -> T:
        if since <= min(self._silent_at, time.monotonic() - self._store.answer_seconds):
            raise Busy("the database did not answer meanwhile")
        try:
            return self._once(account, query, long)
        except DBAPIError as error:
            if silent(error) or away(error):
                self._silent_at = time.monotonic()
            if silent(error):
                self._store.close()  # what else is connected to it would be waited for as long
                _told(error)
            if not error.connection_invalidated and (self._store.sqlite or not away(error)):
                _told(error)
        self._lost()
        try:
            return self._once(account, query, long)
        except DBAPIError as error:
            _told(error)

    def _once(self, account: int, query: Callable[[Connection], T], long: bool) -> T:
        with patient() if long else contextlib.nullcontext(), reading(self._store, account) as connection:
            if not long:
                by_index(connection)
            return query(connection)


def _told(error: DBAPIError) -> NoReturn:
    """Raise Busy for what may go well a little later, and else the failure itself."""
    if away(error):
        raise Busy("the database cannot be reached") from error
    if passing(error):
        raise Busy(reason(error)) from error
    raise error


def _at_once(connection: Connection, query: Callable[[Connection], T]) -> T:
    """Run a point read on the loop itself, in a transaction of the driver's own: see `store.sql`."""
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN")
    try:
        return query(connection)
    finally:
        if connection.in_transaction():
            connection.rollback()
        else:
            driver.execute("ROLLBACK")


def _alone(connection: Connection, query: Callable[[Connection], T]) -> T:
    """Run a query of one statement, which is a snapshot by itself: each statement more would let the
    interpreter go and have to win it back from the writer."""
    try:
        return query(connection)
    finally:
        if connection.in_transaction():
            connection.rollback()
