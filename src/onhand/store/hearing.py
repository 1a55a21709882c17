"""What is heard of a PostgreSQL beside its rows: what it warns of, and that it says nothing any more."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from typing import Any

import psycopg
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, Engine, event

LOCK_SHARE = 0.8
"""How much of that time a lock is waited for: a server that speaks says itself that it was not to be had."""

ON_ITS_WAY_SECONDS = 1
"""An answer that the server has given may still be under way to us."""

WARNED = "warned"

DONE = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state <> 'active'"
"""Whether a session waits for us. Behind a pooler there is none of that number, and it counts as at work."""

Waits = Generator[Any, Any, Any]


class Silent(psycopg.OperationalError):
    """The server took what it was sent and said nothing: whether it did anything, nobody knows."""


_long: ContextVar[bool] = ContextVar("long", default=False)


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """In this block a statement may take as long as it wants (a migration, a table read from end to end):
    a server that speaks to others is waited for."""
    before = _long.set(True)
    try:
        yield
    finally:
        _long.reset(before)


def listen(engine: Engine, seconds: float) -> None:
    """Have the connections of ``engine`` keep what PostgreSQL warns of (`warning`), and end with `Silent`
    when it says nothing for so long."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
        driver = dialect.connect(*arguments, **parameters)
        driver.add_notice_handler(lambda notice: _warned(record.info, notice))

        def speaks() -> bool:
            there = {"host": driver.info.host, "port": driver.info.port}
            known = {name: value for name, value in parameters.items() if name != "hostaddr"}
            return _speaks(lambda: dialect.connect(**known | there), driver.info.backend_pid, seconds)

        _bound(driver, seconds, speaks)
        return driver


def _warned(info: dict[str, Any], notice: Diagnostic) -> None:
    if notice.severity_nonlocalized == "WARNING":
        info[WARNED] = notice.message_primary


def warning(connection: Connection) -> str | None:
    """What PostgreSQL warned of on this connection since the last call; None for nothing."""
    words: str | None = connection.info.pop(WARNED, None)
    return words


def _bound(driver: Any, seconds: float, speaks: Callable[[], bool]) -> None:
    """All that the driver waits for passes its `wait`, which looks up from the socket ten times a second.

    Nothing is cancelled at the server: it may be in the middle of a COMMIT.
    """
    usual = driver.wait

    def wait(waits: Waits, *more: Any, **named: Any) -> Any:
        try:
            return usual(_heard(waits, seconds, speaks), *more, **named)
        except Silent:
            driver.pgconn.finish()  # what it says from now on belongs to nobody
            raise

    driver.wait = wait


def _heard(waits: Waits, seconds: float, speaks: Callable[[], bool]) -> Waits:
    """Pass ``waits`` on, and end it when nothing came or went for so long."""
    until = time.monotonic() + seconds
    ready = None
    lost = False
    while True:
        try:
            wanted = waits.send(ready)
        except StopIteration as end:
            return end.value
        ready = yield wanted
        if ready:
            until = time.monotonic() + seconds
        elif time.monotonic() > until:
            if lost or not _long.get():
                raise Silent(f"the server has said nothing for {seconds:g} s")
            lost = not speaks()
            until = time.monotonic() + (ON_ITS_WAY_SECONDS if lost else seconds)


def _speaks(connect: Callable[[], Any], session: int, seconds: float) -> bool:
    """Whether the server answers others, and is still at work for our session."""
    try:
        with contextlib.closing(connect()) as driver:
            _bound(driver, seconds, lambda: False)
            return driver.execute(DONE, (session,)).fetchone() is None
    except psycopg.Error:
        return False
