"""Fewer round trips to PostgreSQL: what nobody waits for travels with the next statement, in one pipeline."""

from __future__ import annotations

import logging
from typing import Any, cast

import psycopg
from psycopg import ServerCursor
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, event

from onhand.store import pipeline
from onhand.store.pipeline import BEGIN, COMMIT, PREPARING, Preparing, Rows, Said

AHEAD = "ahead"
"""Under this name a connection keeps what is still to be sent."""

BEGINS = "onhand_begins"
"""The option of a connection or an engine that says how its transactions begin; `BEGIN` otherwise."""

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ"
READING = f"{SNAPSHOT} READ ONLY"
NOT_AT_ALL = ""
"""For statements that no transaction takes."""


def send_together(engine: Engine, preparing: Preparing) -> None:
    """Have the connections of ``engine`` send what `later` was given with the next statement.

    So are BEGIN itself, and COMMIT. The driver, which would wait for an answer to its own, is to be left in
    autocommit.
    """
    # What it warns of when a connection breaks in a pipeline is raised as well, and is no line of our log.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    engine.update_execution_options(**{PREPARING: preparing})
    event.listen(engine, "begin", _begin)
    event.listen(engine, "rollback", _forget)
    event.listen(engine, "commit", _commit)
    event.listen(engine, "do_execute", _execute)
    event.listen(engine, "do_execute_no_params", _execute_plain)


def run(connection: Connection, said: Said) -> Rows:
    """The rows of a statement, sent past SQLAlchemy together with what waits."""
    if not connection.in_transaction():
        result = connection.exec_driver_sql(said.text, said.parameters)
        return [tuple(row) for row in result] if result.returns_rows else []
    return pipeline.send(connection, [*_kept(connection).pop(AHEAD, ()), said])


def later(connection: Connection, said: Said) -> None:
    """Run a statement whose rows nobody waits for together with the transaction's next one, or its COMMIT.

    Should it fail, then that is where it is raised: so it must not be left waiting where a savepoint begins
    or ends. What it returns is known by then, too.
    """
    _kept(connection).setdefault(AHEAD, []).append(said)


def plan_once(connection: Connection, *, really: bool = True) -> None:
    """Have what is prepared planned once and for all, in the rest of this transaction. Left to itself,
    PostgreSQL plans anew each time what has few rows. It is not for what is not prepared."""
    if pipeline.of(connection).ours:
        mode = "force_generic_plan" if really else "auto"
        later(connection, Said(f"SET LOCAL plan_cache_mode = {mode}"))


def _kept(connection: Connection) -> dict[str, Any]:
    return cast(dict[str, Any], connection.connection.record_info)


def _begin(connection: Connection) -> None:
    text = connection.get_execution_options().get(BEGINS, BEGIN)
    _kept(connection)[AHEAD] = [Said(text)] if text else []


def _forget(connection: Connection) -> None:
    if not connection.invalidated:
        _kept(connection).pop(AHEAD, None)


def _commit(connection: Connection) -> None:
    """Send what waits, and COMMIT with it: the driver's own then finds nothing to do."""
    waiting = _kept(connection).pop(AHEAD, [])
    driver = pipeline.of(connection).driver
    begun = driver.info.transaction_status != TransactionStatus.IDLE
    if begun or (waiting and waiting[0].text.startswith(BEGIN)):
        waiting.append(Said(COMMIT))
    try:
        if waiting:
            pipeline.send(connection, waiting)
    except BaseException as error:
        # For SQLAlchemy the transaction is at its end, and the connection would be given back as it is.
        if not connection.invalidated:
            try:
                driver.rollback()
            except psycopg.Error:
                connection.invalidate(error)
        raise


def _execute_plain(cursor: Any, statement: str, context: Any) -> bool:
    return _execute(cursor, statement, None, context)


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Whether it was sent, because there was something to send with it and that could be."""
    waiting: list[Said] = _kept(context.root_connection).pop(AHEAD, [])
    if not waiting:
        return False
    driver = cursor.connection
    # A cursor of the server's is declared and fetched from, which no pipeline takes.
    alone = isinstance(cursor, ServerCursor)
    with driver.pipeline():
        sent = [driver.execute(said.text, said.parameters) for said in waiting]
        if not alone:
            cursor.execute(statement, parameters)
    for said, answer in zip(waiting, sent, strict=True):
        if said.take is not None:
            said.take(answer.fetchall())
    return not alone
