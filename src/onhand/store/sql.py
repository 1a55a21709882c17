"""One SQL text for both engines: named parameters, and rows that travel as arrays."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from onhand.store import together
from onhand.store.pipeline import Said

Row: TypeAlias = Sequence[Any]
"""A row as it goes in or comes out: whole numbers, text and None."""

CHUNK = 5_000
"""Rows in one array parameter: a large batch is cut into statements of this size."""

LISTED = 1_024
"""Rows that SQLite is given at once as values of their own, where a statement says so."""

STEPPED = 128
"""Rows up to which an insert that could be given values is stepped all the same: it takes no less time."""

_PARAMETER = re.compile(r":([a-z_]+)")
_KINDS = {"int": "bigint[]", "text": "text[]"}


class Statement:
    """A statement with ``:named`` parameters and, where ``rows`` is given, a ``{rows}`` source.

    ``rows`` is like ``"account int, sku text"``: it becomes a table ``r`` of those columns, filled
    by one array parameter an engine: ``json_each`` on SQLite, ``unnest`` on PostgreSQL. There, where the
    first column is the account, all rows of a run are one account's, which is a parameter of its own: so
    the planner sees that the statement stays with that account's rows, and a node of Citus has them all.
    With ``listed`` SQLite is given rows as values, `LISTED` at once: that takes half of the time, but what it
    plans then depends on how many there are. It is for what every commit asks. The first column is not NULL.
    ``prepared`` has PostgreSQL parse and plan it once for each connection (`store.pipeline`): for what every
    commit or read says, and finds by key whatever the parameters are.
    ``sqlite`` and ``postgresql`` give texts for the engine where one text cannot serve both.
    """

    def __init__(
        self,
        text: str = "",
        rows: str | None = None,
        *,
        sqlite: str = "",
        postgresql: str = "",
        listed: bool = False,
        prepared: bool = False,
    ) -> None:
        self._prepared = prepared
        self._columns = [part.split() for part in rows.split(",")] if rows else []
        self._by_account = len(self._columns) > 1 and self._columns[0] == ["account", "int"]
        self._listed: dict[int, str] | None = {} if listed else None
        """The texts for SQLite by the number of their rows."""
        self._around = [_compiled(part, "?") for part in (sqlite or text).split("{rows}")]
        self._texts = {
            "sqlite": self._compile(sqlite or text, "?", self._json_rows()),
            "postgresql": self._compile(postgresql or text, "%s", self._unnest_rows()),
        }

    def _json_rows(self) -> str:
        values = ", ".join(
            f"json_extract(value, '$[{at}]') AS {name}" for at, (name, _) in enumerate(self._columns)
        )
        return f"(SELECT {values} FROM json_each(:rows)) AS r"

    def _unnest_rows(self) -> str:
        found = [(f":rows{'_' * at}::{_KINDS[kind]}", name) for at, (name, kind) in enumerate(self._columns)]
        arrays, names = zip(*found[self._by_account :], strict=True) if found else ((), ())
        source = f"unnest({', '.join(arrays)})"
        if not self._by_account:
            return f"{source} AS r({', '.join(names)})"
        return f"(SELECT :rows::bigint AS account, u.* FROM {source} AS u({', '.join(names)})) AS r"

    def _compile(self, text: str, mark: str, source: str) -> tuple[str, tuple[str, ...]]:
        return _compiled(text.replace("{rows}", source) if self._columns else text, mark)

    def _list_rows(self, size: int) -> str:
        """A source of so many rows; one that begins with NULL is not there."""
        names = ", ".join(f"column{at} AS {name}" for at, (name, _) in enumerate(self._columns, 1))
        row = f"({', '.join('?' * len(self._columns))})"
        return f"(SELECT {names} FROM (VALUES {', '.join([row] * size)}) WHERE column1 IS NOT NULL) AS r"

    def run(self, connection: Connection, rows: Sequence[Row] | None = None, **values: Any) -> list[Any]:
        """Run once; the rows it returned, as tuples. ``rows`` beyond `CHUNK` are sent in pieces."""
        if rows is None:
            return self._once(connection, values)
        if connection.dialect.name == "sqlite" and self._listed is not None:
            return self._list(connection, self._listed, rows, values)
        if connection.dialect.name == "sqlite" and 0 < len(rows) <= CHUNK:
            # As nearly always: nothing to cut, and nothing to put together.
            values["rows"] = msgspec.json.encode(rows).decode()
            return self._once(connection, values)
        found: list[Any] = []
        for bound in self._bound(connection, rows, values):
            found += self._once(connection, bound)
        return found

    def _list(
        self, connection: Connection, texts: dict[int, str], rows: Sequence[Row], values: dict[str, Any]
    ) -> list[Any]:
        """Run on SQLite with rows as values, filled up to a power of two: few texts are to be prepared."""
        if not rows:
            return []
        if len(rows) > LISTED:
            pieces = (rows[start : start + LISTED] for start in range(0, len(rows), LISTED))
            return [row for piece in pieces for row in self._list(connection, texts, piece, values)]
        size = 1 << (len(rows) - 1).bit_length()
        (head, before), (tail, after) = self._around
        if size not in texts:
            texts[size] = f"{head}{self._list_rows(size)}{tail}"
        # A number is bound in a tenth of what NULL takes, and nobody looks beyond the first.
        nothing = (None, *[0] * (len(self._columns) - 1)) * (size - len(rows))
        given = chain(map(values.get, before), chain.from_iterable(rows), nothing, map(values.get, after))
        return step(connection, texts[size], tuple(given))

    def _pieces(self, connection: Connection, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        for whole in [rows] if connection.dialect.name == "sqlite" else self._apart(rows):
            for start in range(0, len(whole), CHUNK):
                yield whole[start : start + CHUNK]

    def later(
        self,
        connection: Connection,
        rows: Sequence[Row] | None = None,
        take: Callable[[list[Any]], object] | None = None,
        **values: Any,
    ) -> None:
        """The same where nobody waits for rows: on PostgreSQL it is sent with the next one, which raises what
        is wrong with it; see `store.together`. ``take`` is given what it returned; once for each piece."""
        if connection.dialect.name == "sqlite":
            found = self.run(connection, rows, **values)
            if take is not None:
                take(found)
            return
        for bound in [values] if rows is None else self._bound(connection, rows, values):
            together.later(connection, self._said(bound)._replace(take=take))

    def _bound(
        self, connection: Connection, rows: Sequence[Row], values: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        for piece in self._pieces(connection, rows):
            yield values | self._bind(connection, piece)

    def _apart(self, rows: Sequence[Row]) -> list[Sequence[Row]]:
        """The rows of each account; hardly ever of more than one."""
        if not self._by_account or len({row[0] for row in rows}) < 2:
            return [rows]
        found: dict[int, list[Row]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(row)
        return list(found.values())

    def _bind(self, connection: Connection, rows: Sequence[Row]) -> dict[str, Any]:
        if connection.dialect.name == "sqlite":
            return {"rows": msgspec.json.encode(rows).decode()}
        columns = zip(self._columns, zip(*rows, strict=True), strict=True)
        bound: dict[str, Any] = {
            f"rows{'_' * at}": _ARRAYS[kind](column) for at, ((_, kind), column) in enumerate(columns)
        }
        if self._by_account:
            bound["rows"] = rows[0][0]
        return bound

    def _once(self, connection: Connection, values: dict[str, Any]) -> list[Any]:
        if connection.dialect.name == "sqlite":
            text, names = self._texts["sqlite"]
            return step(connection, text, tuple([values[name] for name in names]))
        return together.run(connection, self._said(values))

    def _said(self, values: dict[str, Any]) -> Said:
        text, names = self._texts["postgresql"]
        return Said(text, tuple([values[name] for name in names]), self._prepared)


def _compiled(text: str, mark: str) -> tuple[str, tuple[str, ...]]:
    """``text`` with ``mark`` for each named parameter, and their names in order."""
    # PostgreSQL casts are written '::type'; they are no parameters.
    parts = text.replace("::", "\0")
    names = tuple(_PARAMETER.findall(parts))
    return _PARAMETER.sub(mark, parts).replace("\0", "::"), names


def _numbers(column: Sequence[int | None]) -> str:
    """Whole numbers as an array of PostgreSQL's. The driver makes its own value by value, in Python: for a
    movement that took as long as to decide it."""
    return f"{{{msgspec.json.encode(column).decode()[1:-1]}}}"


def _texts(column: Sequence[str | None]) -> str:
    quoted = [
        "NULL" if one is None else '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in column
    ]
    return f"{{{','.join(quoted)}}}"


_ARRAYS: dict[str, Callable[[Sequence[Any]], str]] = {"int": _numbers, "text": _texts}


def direct(connection: Connection, text: str) -> None:
    """Run a statement of SQLite's own transactions on the driver, past SQLAlchemy's."""
    step(connection, text, ())


def undo(connection: Connection) -> None:
    """Roll back what was begun with `direct`, if it still goes on."""
    driver: Any = connection.connection.driver_connection
    if driver.in_transaction:
        driver.execute("ROLLBACK")


def step(connection: Connection, text: str, parameters: Any, *, many: bool = False) -> list[Any]:
    """Run on SQLite's driver itself, in the connection's transaction: a point read costs a quarter of
    what it costs through the layers. A failure is raised as SQLAlchemy would raise it."""
    driver: Any = connection.connection.driver_connection
    try:
        if many:
            driver.executemany(text, parameters)
            return []
        found: list[Any] = driver.execute(text, parameters).fetchall()
        return found
    except sqlite3.Error as error:
        raise DBAPIError.instance(text, parameters, error, sqlite3.Error, ismulti=many) from error


class Steps:
    """A statement with ``?`` for parameters that SQLite is given row by row. PostgreSQL has none of these."""

    def __init__(self, text: str) -> None:
        self._text = text

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Run once for each row."""
        if rows:
            step(connection, self._text, rows, many=True)


class Insert:
    """Rows into a table: one prepared statement stepped in the driver on SQLite (twice as fast there
    as an array, measured), one array statement on PostgreSQL. ``then`` is an ON CONFLICT clause.

    With ``listed`` SQLite is given many rows as values, which takes two thirds of the time of steps where
    a row is short and lies in one index; a long one, such as a movement, takes more. The first column is not
    NULL there."""

    def __init__(
        self, table: str, columns: str, then: str = "", *, listed: bool = False, prepared: bool = False
    ) -> None:
        self._names = [part.split()[0] for part in columns.split(",")]
        names = ", ".join(self._names)
        marks = ", ".join("?" * len(self._names))
        self._sqlite = f"INSERT INTO {table} ({names}) VALUES ({marks}) {then}"
        array = f"INSERT INTO {table} ({names}) SELECT {names} FROM {{rows}}"
        self._array = Statement(postgresql=f"{array} {then}", rows=columns, prepared=prepared)
        # What follows WHERE is no part of a join that begins with ON.
        self._listed = Statement(sqlite=f"{array} WHERE true {then}", rows=columns, listed=True)
        self._stepped = STEPPED if listed else None

    def run(self, connection: Connection, rows: Iterable[Row]) -> None:
        """Insert ``rows``; a list or tuple each, in column order."""
        filled = list(rows)
        if not filled:
            return
        if connection.dialect.name != "sqlite":
            self._array.run(connection, filled)
        elif self._stepped is None or len(filled) <= self._stepped:
            step(connection, self._sqlite, filled, many=True)
        else:
            self._listed.run(connection, filled)

    def later(self, connection: Connection, rows: Iterable[Row]) -> None:
        """The same, with the next statement of the transaction: see `Statement.later`."""
        filled = list(rows)
        if connection.dialect.name == "sqlite":
            self.run(connection, filled)
        elif filled:
            self._array.later(connection, filled)
