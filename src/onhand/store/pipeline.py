"""Says to PostgreSQL what goes together in one go, and has it prepare what is said all the time.

A statement in a pipeline of the driver's own takes 25 µs and a packet for each; here all of them share one.
What is prepared is not parsed and planned anew each time. It is left behind in the session: so only where
that is ours alone, which it is not behind a pooler in transaction mode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, TypeAlias

import psycopg
import structlog
from psycopg import errors, generators
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Rows: TypeAlias = list[tuple[Any, ...]]

log = structlog.get_logger(__name__)

BEGIN, COMMIT = "BEGIN", "COMMIT"
WHO = "SELECT pg_backend_pid()"

PREPARING = "onhand_preparing"
"""The option of an engine under which its connections find their `Preparing`."""

NOT_OURS = frozenset({"26000", "42P05"})
"""A prepared statement is gone, or was there before: somebody hands our sessions around after all."""

OUTDATED = "RevalidateCachedQuery"
"""The server's function that refuses a prepared statement because what it returns is not what it was: a table
was changed. The error's code says less, and its words are in the server's language."""

_SESSION = "session"
_KEPT = 4_096
"""Texts of which the server's form is remembered: more than there are."""

_INT8, _NUMERIC, _UNKNOWN = 20, 1700, 0
_INT8_LIMIT = 1 << 63


class Said(NamedTuple):
    """A statement with ``%s`` for its parameters, which are whole numbers, text and None. ``take`` is given
    its rows."""

    text: str
    parameters: Sequence[Any] | None = None
    prepared: bool = False
    take: Callable[[Rows], object] | None = None


class Preparing:
    """Whether a store's connections may prepare statements: as it is set, until a session is not ours."""

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed


class Session:
    """What is known of a connection of the driver's."""

    def __init__(self, driver: Any, preparing: Preparing) -> None:
        self.driver = driver
        self.preparing = preparing
        self.reader = Transformer(driver)
        self.encoding: str = driver.info.encoding
        self.prepared: set[bytes] = set()
        self.ours: bool | None = None if preparing.allowed else False
        """Whether something can be left there; None: not known yet."""

    def identify(self, rows: Rows) -> None:
        """Whether it is this session that the driver was connected to. A pooler gives out numbers that it has
        made up: by them it knows whose request is to be cancelled."""
        self.ours = rows[0][0] == self.driver.info.backend_pid

    def rows(self, result: Any) -> Rows:
        """The rows of an answer; none of a statement that returns none."""
        if result.status != ExecStatus.TUPLES_OK:
            return []
        self.reader.set_pgresult(result)
        found: Rows = self.reader.load_rows(0, result.ntuples, tuple)
        return found


def of(connection: Connection) -> Session:
    """The session of a connection; a new one after it was connected anew."""
    info: dict[Any, Any] = connection.info
    session: Session | None = info.get(_SESSION)
    if session is None:
        preparing = connection.get_execution_options()[PREPARING]
        session = info[_SESSION] = Session(connection.connection.driver_connection, preparing)
    return session


def send(connection: Connection, said: Sequence[Said]) -> Rows:
    """Send all of ``said`` in one go; the rows of the last.

    Raises DBAPIError with the statement that the server has refused, and it has done none of those behind
    it. Where it did not say, that is the last one, which may have been done.
    """
    session = of(connection)
    if session.ours is None and said[0].text.startswith(BEGIN):
        said = [said[0], Said(WHO, take=session.identify), *said[1:]]
    failed = said[-1]
    try:
        answers = _asked(session, [_bound(session, one) for one in said])
        for one, (result, error) in zip(said, answers, strict=True):
            if error is not None:
                failed = one if error.sqlstate else failed
                raise error
            if one.take is not None:
                one.take(session.rows(result))
    except psycopg.Error as error:
        _raise(connection, session, failed, error)
    return session.rows(answers[-1][0])


class _Bound(NamedTuple):
    """A statement as the server takes it, and the name under which it is prepared, if it is."""

    text: bytes
    values: Sequence[bytes | None]
    types: tuple[int, ...]
    name: bytes


_Answer: TypeAlias = tuple[Any, psycopg.Error | None]


def _asked(session: Session, bound: Sequence[_Bound]) -> list[_Answer]:
    """The answer to each statement. Raises what ends the connection."""
    pgconn = session.driver.pgconn
    new: set[bytes] = set()
    try:
        pgconn.enter_pipeline_mode()
        for text, values, types, name in bound:
            if not name:
                pgconn.send_query_params(text, values, types)
                continue
            if name not in session.prepared | new:
                pgconn.send_prepare(name, text, types)
                new.add(name)
            pgconn.send_query_prepared(name, values)
        pgconn.pipeline_sync()
        results = iter(session.driver.wait(_results(pgconn, len(bound) + len(new))))
        if pgconn.status == ConnStatus.OK:
            pgconn.exit_pipeline_mode()
    except BaseException:
        pgconn.finish()  # what it says from now on belongs to nobody
        raise
    answers: list[_Answer] = []
    for one in bound:
        error = None
        if one.name in new:
            new.remove(one.name)
            result = next(results, None)
            error = _error(session, result)
            if result is not None and result.status == ExecStatus.COMMAND_OK:
                session.prepared.add(one.name)
        result = next(results, None)
        answers.append((result, error or _error(session, result)))
    return answers


def _results(pgconn: Any, count: int) -> Generator[Any, Any, list[Any]]:
    """The server's answers to so many messages; fewer where the connection was lost."""
    yield from generators.send(pgconn)
    found: list[Any] = []
    while len(found) <= count:  # the end of the pipeline is answered, too
        results = yield from generators.fetch_many(pgconn)
        if not results:
            break
        found += results
    return found


def _error(session: Session, result: Any) -> psycopg.Error | None:
    if result is None:
        return psycopg.OperationalError("the connection was lost")
    if result.status == ExecStatus.FATAL_ERROR:
        return errors.error_from_result(result, session.encoding)
    return None


def _bound(session: Session, said: Said) -> _Bound:
    given = () if said.parameters is None else said.parameters
    text = said.text.encode() if said.parameters is None else _numbered(said.text, session.encoding)
    values = [_value(one, session.encoding) for one in given]
    types = tuple([_type(one) for one in given])
    prepared = said.prepared and session.ours and session.preparing.allowed
    return _Bound(text, values, types, _name(text, types) if prepared else b"")


def _value(value: int | str | None, encoding: str) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, int):
        return b"%d" % value
    if "\0" in value:
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return value.encode(encoding)


def _type(value: int | str | None) -> int:
    if not isinstance(value, int):
        return _UNKNOWN
    return _INT8 if -_INT8_LIMIT <= value < _INT8_LIMIT else _NUMERIC


@lru_cache(_KEPT)
def _numbered(text: str, encoding: str) -> bytes:
    """``text`` with ``$1`` and so on for each ``%s``."""
    first, *others = text.split("%s")
    numbered = first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))
    return numbered.replace("%%", "%").encode(encoding)


@lru_cache(_KEPT)
def _name(text: bytes, types: tuple[int, ...]) -> bytes:
    """The same for the same text alone: should a session be another's after all, it is not told to do what
    somebody else has prepared there."""
    return b"onhand_" + hashlib.sha256(b"%s %r" % (text, types)).hexdigest()[:40].encode()


def _raise(connection: Connection, session: Session, failed: Said, error: psycopg.Error) -> NoReturn:
    """As SQLAlchemy would raise it; a connection that is of no use any more is not used any more."""
    gone = session.driver.closed
    stranger = failed.prepared and error.sqlstate in NOT_OURS
    if stranger:
        session.preparing.allowed = False
        log.warning("statements are prepared no more: our sessions are handed around")
    # A new connection has nothing prepared: what is tried again there goes well.
    again = gone or stranger or error.diag.source_function == OUTDATED
    told = DBAPIError.instance(
        failed.text,
        failed.parameters,
        error,
        psycopg.Error,
        connection_invalidated=again,
        dialect=connection.dialect,
    )
    if again:
        connection.invalidate(error)
    if gone:
        connection.engine.dispose()  # what else was connected to it is gone, too
    raise told from error
