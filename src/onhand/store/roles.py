"""The two roles of a PostgreSQL: one owns the tables, the other works with them and can do no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.store import outward, schema

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

APPENDED = frozenset({"movements"})
"""The ledger: its rows never change and never go."""
REPLACED = frozenset({"external_ids", "kit_components"})
"""Tables whose rows go, but never change."""
PRUNED = frozenset(
    {
        "connections",
        "details",
        "drifts",
        "drives",
        "feeds",
        "idempotency",
        "inbox",
        "keys",
        "listings",
        "orders",
        "outbox",
        "reservation_lines",
        "slots",
        "wakeups",
    }
)
"""Tables that rows are deleted from."""
_METADATA = {table.metadata for table in (schema.accounts, outward.feeds)}.pop()
TABLES = tuple(table.name for table in _METADATA.sorted_tables)
VERSION = "alembic_version"


class Roles(NamedTuple):
    """Names: who owns the tables and migrates them, who serves, and the schema that both work in."""

    owner: str = "onhand_owner"
    runtime: str = "onhand_runtime"
    schema: str = "onhand"


class BadRole(ValueError):
    """A name that PostgreSQL would take only in quotes, or one name for both roles."""


def checked(roles: Roles) -> Roles:
    """``roles`` themselves. Raises BadRole in words."""
    for name in roles:
        if not NAME.fullmatch(name):
            raise BadRole(f"{name!r}: use lower-case letters, digits and underscores")
    if roles.owner == roles.runtime:
        raise BadRole("the role that owns the tables and the one that serves must be two")
    return roles


def rights(table: str) -> tuple[str, ...]:
    """What the hub does with a table, and the run-time role may do."""
    if table == VERSION:
        return ("SELECT",)
    if table in APPENDED:
        return ("SELECT", "INSERT")
    if table in REPLACED:
        return ("SELECT", "INSERT", "DELETE")
    return ("SELECT", "INSERT", "UPDATE", *(["DELETE"] if table in PRUNED else []))


def preparing(connection: Connection, roles: Roles) -> list[str]:
    """What an administrator must do before there are tables; of that, what has not been done yet."""
    database = connection.exec_driver_sql("SELECT quote_ident(current_database())").scalar_one()
    wanted = [
        *(
            (f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'", f"CREATE ROLE {name} LOGIN")
            for name in (roles.owner, roles.runtime)
        ),
        (
            f"SELECT 1 FROM pg_namespace WHERE nspname = '{roles.schema}'",
            f"CREATE SCHEMA {roles.schema} AUTHORIZATION {roles.owner}",
        ),
        (
            "SELECT 1 FROM pg_database WHERE datname = current_database()"
            " AND NOT EXISTS (SELECT 1 FROM aclexplode(COALESCE(datacl, acldefault('d', datdba))) a"
            " WHERE a.grantee = 0 AND a.privilege_type = 'TEMPORARY')",
            f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
        ),
        *(
            (_FIXED.format(name=name), f"ALTER ROLE {name} IN DATABASE {database} SET {path}")
            for name in (roles.owner, roles.runtime)
            for path in [_path(roles)]
        ),
    ]
    missing = [do for check, do in wanted if connection.exec_driver_sql(check).first() is None]
    return missing + list(_moves(connection, roles))


_FIXED = (
    "SELECT 1 FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole"
    " JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()"
    " AND r.rolname = '{name}' AND strpos(array_to_string(s.setconfig, ' '), 'search_path=') > 0"
)


def _path(roles: Roles) -> str:
    # A name that is not qualified means ours, whatever else is in the database; what is temporary comes last.
    return f"search_path = {roles.schema}, pg_temp"


def _moves(connection: Connection, roles: Roles) -> Iterator[str]:
    """Tables that were made before there were roles change schema and owner."""
    query = (
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind = 'r' AND 'public' <> %s ORDER BY c.relname"
    )
    found = {row[0] for row in connection.exec_driver_sql(query, (roles.schema,))}
    if VERSION not in found:
        return
    for table in sorted(found & {*TABLES, VERSION}):
        yield f"ALTER TABLE public.{table} SET SCHEMA {roles.schema}"
        yield f"ALTER TABLE {roles.schema}.{table} OWNER TO {roles.owner}"


def granting(roles: Roles) -> list[str]:
    """What the owner grants once there are tables; again after each version that brings new ones."""
    by_rights: dict[tuple[str, ...], list[str]] = {}
    for table in sorted((*TABLES, VERSION)):
        by_rights.setdefault(rights(table), []).append(f"{roles.schema}.{table}")
    return [
        f"GRANT USAGE ON SCHEMA {roles.schema} TO {roles.runtime}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {roles.schema} FROM {roles.runtime}",
        *(
            f"GRANT {', '.join(verbs)} ON {', '.join(tables)} TO {roles.runtime}"
            for verbs, tables in by_rights.items()
        ),
    ]


def become_owner(connection: Connection, roles: Roles) -> None:
    """Act as the owner, in its schema, until this transaction ends."""
    member = f"SELECT pg_has_role('{roles.owner}', 'MEMBER')"
    if not connection.exec_driver_sql(member).scalar_one():
        connection.exec_driver_sql(f"GRANT {roles.owner} TO CURRENT_USER")
    connection.exec_driver_sql(f"SET LOCAL ROLE {roles.owner}")
    connection.exec_driver_sql(f"SET LOCAL {_path(roles)}")


def missing(connection: Connection) -> list[str]:
    """What the hub does and this role may not, in words; nothing on SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    wanted = [(table, verb) for table in (*TABLES, VERSION) for verb in rights(table)]
    asked = ", ".join(f"('{table}', '{verb}')" for table, verb in wanted)
    query = f"SELECT t, v FROM (VALUES {asked}) AS w(t, v) WHERE NOT has_table_privilege(t, v) ORDER BY 1, 2"
    return [f"{verb} on {table}" for table, verb in connection.exec_driver_sql(query)]


def passes_walls(connection: Connection) -> bool:
    """Whether this role is not held by row-level security; SQLite has none."""
    if connection.dialect.name != "postgresql":
        return False
    query = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    return bool(connection.exec_driver_sql(query).scalar_one())


def elsewhere(connection: Connection) -> str | None:
    """The schema of this database that has our tables and that this role does not look into."""
    if connection.dialect.name != "postgresql":
        return None
    query = (
        "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = 'r' AND c.relname IN ('{VERSION}', 'accounts', 'movements')"
        " AND NOT n.nspname = ANY (current_schemas(false)) GROUP BY 1 HAVING COUNT(*) = 3 LIMIT 1"
    )
    found = connection.exec_driver_sql(query).scalar()
    return None if found is None else str(found)
