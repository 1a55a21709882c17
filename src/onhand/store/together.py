"""Fewer round trips to PostgreSQL: what nobody waits for travels with the next statement, in one pipeline."""

from __future__ import annotations

import logging
from typing import Any, cast

from psycopg import ServerCursor
from sqlalchemy import Connection, Engine, event

AHEAD = "ahead"
"""Under this name a connection keeps what is still to be sent."""

BEGINS = "onhand_begins"
"""The option of a connection or an engine that says how its transactions begin; `BEGIN` otherwise."""

BEGIN = "BEGIN"
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ"
READING = f"{SNAPSHOT} READ ONLY"
NOT_AT_ALL = ""
"""For statements that no transaction takes."""


def send_together(engine: Engine) -> None:
    """Have the connections of ``engine`` send what `later` was given with the next statement.

    So is BEGIN itself. The driver, which would wait for an answer to its own, is to be left in autocommit.
    """
    # What it warns of when a connection breaks in a pipeline is raised as well, and is no line of our log.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "rollback", _forget)
    event.listen(engine, "commit", flush)
    event.listen(engine, "do_execute", _execute)
    event.listen(engine, "do_execute_no_params", _execute_plain)


def later(connection: Connection, text: str, parameters: Any = None) -> None:
    """Run a statement of which no rows are wanted together with the transaction's next one, or its COMMIT.

    Should it fail, then that is where it is raised: so it must not be left waiting where a savepoint begins
    or ends.
    """
    _kept(connection).setdefault(AHEAD, []).append((text, parameters))


def flush(connection: Connection) -> None:
    """Send what waits now. Who must tell a failure from that of COMMIT does it before that."""
    if waiting := _kept(connection).get(AHEAD):
        text, parameters = waiting.pop()  # which takes the others along
        connection.exec_driver_sql(text, parameters)


def _kept(connection: Connection) -> dict[str, Any]:
    return cast(dict[str, Any], connection.connection.record_info)


def _begin(connection: Connection) -> None:
    text = connection.get_execution_options().get(BEGINS, BEGIN)
    _kept(connection)[AHEAD] = [(text, None)] if text else []


def _forget(connection: Connection) -> None:
    if not connection.invalidated:
        _kept(connection).pop(AHEAD, None)


def _execute_plain(cursor: Any, statement: str, context: Any) -> bool:
    return _execute(cursor, statement, None, context)


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Whether it was sent, because there was something to send with it and that could be."""
    waiting = _kept(context.root_connection).pop(AHEAD, ())
    if not waiting:
        return False
    driver = cursor.connection
    # A cursor of the server's is declared and fetched from, which no pipeline takes.
    alone = isinstance(cursor, ServerCursor)
    with driver.pipeline():
        for text, values in waiting:
            driver.execute(text, values)
        if not alone:
            cursor.execute(statement, parameters)
    return not alone
