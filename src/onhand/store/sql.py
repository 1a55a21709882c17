"""One SQL text for both engines: named parameters, and rows that travel as arrays."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from onhand.store.together import later

Row: TypeAlias = Sequence[Any]
"""A row as it goes in or comes out: whole numbers, text and None."""

CHUNK = 5_000
"""Rows in one array parameter: a large batch is cut into statements of this size."""

_PARAMETER = re.compile(r":([a-z_]+)")
_KINDS = {"int": "bigint[]", "text": "text[]"}


class Statement:
    """A statement with ``:named`` parameters and, where ``rows`` is given, a ``{rows}`` source.

    ``rows`` is like ``"account int, sku text"``: it becomes a table ``r`` of those columns, filled
    by one array parameter an engine: ``json_each`` on SQLite, ``unnest`` on PostgreSQL. There, where the
    first column is the account, all rows of a run are one account's, which is a parameter of its own: so
    the planner sees that the statement stays with that account's rows, and a node of Citus has them all.
    ``sqlite`` and ``postgresql`` give texts for the engine where one text cannot serve both.
    """

    def __init__(
        self, text: str = "", rows: str | None = None, *, sqlite: str = "", postgresql: str = ""
    ) -> None:
        self._columns = [part.split() for part in rows.split(",")] if rows else []
        self._by_account = len(self._columns) > 1 and self._columns[0] == ["account", "int"]
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
        whole = text.replace("{rows}", source) if self._columns else text
        # PostgreSQL casts are written '::type'; they are no parameters.
        parts = whole.replace("::", "\0")
        names = tuple(_PARAMETER.findall(parts))
        return _PARAMETER.sub(mark, parts).replace("\0", "::"), names

    def run(self, connection: Connection, rows: Sequence[Row] | None = None, **values: Any) -> list[Any]:
        """Run once; the rows it returned, as tuples. ``rows`` beyond `CHUNK` are sent in pieces."""
        if rows is None:
            return self._once(connection, values)
        if connection.dialect.name == "sqlite" and 0 < len(rows) <= CHUNK:
            # As nearly always: nothing to cut, and nothing to put together.
            values["rows"] = msgspec.json.encode(rows).decode()
            return self._once(connection, values)
        found: list[Any] = []
        for piece in self._pieces(connection, rows):
            found += self._once(connection, values | self._bind(connection, piece))
        return found

    def _pieces(self, connection: Connection, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        for whole in [rows] if connection.dialect.name == "sqlite" else self._apart(rows):
            for start in range(0, len(whole), CHUNK):
                yield whole[start : start + CHUNK]

    def later(self, connection: Connection, rows: Sequence[Row], **values: Any) -> None:
        """The same for a statement that returns nothing: on PostgreSQL it is sent with the next one, which
        raises what is wrong with it; see `store.together`."""
        if connection.dialect.name == "sqlite":
            self.run(connection, rows, **values)
            return
        text, names = self._texts["postgresql"]
        for piece in self._pieces(connection, rows):
            bound = values | self._bind(connection, piece)
            later(connection, text, tuple([bound[name] for name in names]))

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
        text, names = self._texts[connection.dialect.name]
        parameters = tuple([values[name] for name in names])
        if connection.dialect.name == "sqlite":
            return _step(connection, text, parameters)
        result = connection.exec_driver_sql(text, parameters)
        return list(result) if result.returns_rows else []


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
    _step(connection, text, ())


def undo(connection: Connection) -> None:
    """Roll back what was begun with `direct`, if it still goes on."""
    driver: Any = connection.connection.driver_connection
    if driver.in_transaction:
        driver.execute("ROLLBACK")


def _step(connection: Connection, text: str, parameters: Any, *, many: bool = False) -> list[Any]:
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


class Insert:
    """Rows into a table: one prepared statement stepped in the driver on SQLite (twice as fast there
    as an array, measured), one array statement on PostgreSQL. ``then`` is an ON CONFLICT clause."""

    def __init__(self, table: str, columns: str, then: str = "") -> None:
        self._names = [part.split()[0] for part in columns.split(",")]
        names = ", ".join(self._names)
        marks = ", ".join("?" * len(self._names))
        self._sqlite = f"INSERT INTO {table} ({names}) VALUES ({marks}) {then}"
        array = f"INSERT INTO {table} ({names}) SELECT {names} FROM {{rows}}"
        self._array = Statement(postgresql=f"{array} {then}", rows=columns)

    def run(self, connection: Connection, rows: Iterable[Row]) -> None:
        """Insert ``rows``; a list or tuple each, in column order."""
        filled = list(rows)
        if not filled:
            return
        if connection.dialect.name == "sqlite":
            _step(connection, self._sqlite, filled, many=True)
        else:
            self._array.run(connection, filled)

    def later(self, connection: Connection, rows: Iterable[Row]) -> None:
        """The same, with the next statement of the transaction: see `Statement.later`."""
        filled = list(rows)
        if connection.dialect.name == "sqlite":
            self.run(connection, filled)
        elif filled:
            self._array.later(connection, filled)
