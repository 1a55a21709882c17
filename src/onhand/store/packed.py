"""Queries whose rows come as tuples of a type; SQLite packs them into one JSON text.

Each row that SQLite hands out lets the interpreter go, and on a busy hub it must be won back from another
thread: a query of fifty rows would wait for it fifty times. One text is one row, and is decoded at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection

from onhand.store.sql import Row, Statement

T = TypeVar("T")
STRUCTURE = "json "
_ALIKE: Mapping[str, str] = {}


class Packed(Generic[T]):
    """``SELECT columns rest``, each row as a ``kind``: a tuple type, a NamedTuple, or a Struct that is
    written as an array.

    With several groups of columns a row is a tuple of them. A column that begins with "json " holds JSON
    text, or NULL, and becomes what that says. ``rest`` begins with FROM and may hold ``{rows}``, as in
    `Statement`, and so is ``listed``; rows come in the order that ``rest`` asks for. ``postgresql`` has what
    is said there in place of what only SQLite understands.
    """

    def __init__(
        self,
        kind: type[T],
        *groups: Sequence[str],
        rest: str,
        rows: str | None = None,
        listed: bool = False,
        postgresql: Mapping[str, str] = _ALIKE,
    ) -> None:
        self._kind: Any = list[kind]  # type: ignore[valid-type]
        self._decoder = msgspec.json.Decoder(self._kind)
        self._sizes = [len(group) for group in groups]
        columns = [column for group in groups for column in group]
        self._structures = [at for at, column in enumerate(columns) if column.startswith(STRUCTURE)]
        plain = [column.removeprefix(STRUCTURE) for column in columns]
        inner = ", ".join(f"{column} AS c{at}" for at, column in enumerate(plain))
        other = f"SELECT {', '.join(plain)} {rest}"
        for said, instead in postgresql.items():
            other = other.replace(said, instead)
        self._statement = Statement(
            rows=rows,
            listed=listed,
            sqlite=f"SELECT json_group_array({self._array()}) FROM (SELECT {inner} {rest})",
            postgresql=other,
        )

    def _array(self) -> str:
        parts, start = [], 0
        for size in self._sizes:
            here = range(start, start + size)
            names = (f"json(c{at})" if at in self._structures else f"c{at}" for at in here)
            parts.append(f"json_array({', '.join(names)})")
            start += size
        return parts[0] if len(parts) == 1 else f"json_array({', '.join(parts)})"

    def run(self, connection: Connection, rows: Sequence[Row] | None = None, **values: Any) -> list[T]:
        """Run once; no rows in `{rows}` find nothing."""
        found = self._statement.run(connection, rows, **values)
        if connection.dialect.name == "sqlite":
            if len(found) == 1:
                only: list[T] = self._decoder.decode(found[0][0])
                return only
            return [one for (text,) in found for one in self._decoder.decode(text)]
        made: list[T] = msgspec.convert([self._grouped(row) for row in found], self._kind)
        return made

    def _grouped(self, row: Row) -> list[Any]:
        values = list(row)
        for at in self._structures:
            if values[at] is not None:
                values[at] = msgspec.json.decode(values[at])
        if len(self._sizes) == 1:
            return values
        ends = list(accumulate(self._sizes))
        return [values[end - size : end] for end, size in zip(ends, self._sizes, strict=True)]
