"""The kinds of columns that the tables are made of, the same on both engines."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.sqlite import INTEGER
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

metadata = MetaData()

BIG: TypeEngine[int] = BigInteger().with_variant(INTEGER(), "sqlite")
FLAG: TypeEngine[int] = SmallInteger().with_variant(INTEGER(), "sqlite")


def big(name: str, *, null: bool = False, default: int | None = None) -> Column[int]:
    fallback = None if default is None else text(str(default))
    return Column(name, BIG, nullable=null, server_default=fallback, autoincrement=False)


def flag(name: str, default: int = 0) -> Column[int]:
    return Column(name, FLAG, nullable=False, server_default=text(str(default)))


def string(name: str, *, null: bool = False, default: str | None = None) -> Column[str]:
    fallback = None if default is None else text(f"'{default}'")
    return Column(name, Text, nullable=null, server_default=fallback)


def table(name: str, *parts: SchemaItem, appended: bool = False) -> Table:
    """On SQLite a table lies in the order of its primary key; one that is ``appended`` in the order of
    arrival, with the key in an index beside it: for long rows whose keys come at random, each of which would
    otherwise be written with the page of others around it."""
    made: Table = Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=appended)
    return made


def to(columns: str, target: str, target_columns: str = "account id") -> ForeignKeyConstraint:
    there = [f"{target}.{column}" for column in target_columns.split()]
    return ForeignKeyConstraint(columns.split(), there)


def account() -> Column[int]:
    return big("account")
