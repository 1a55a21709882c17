"""Spreads the tables over the nodes of a Citus: an account's rows lie together, and no statement leaves them.

Every table lies where its account does, so that a commit touches one node. `keys` says whose a credential
is before an account is known: every node has all of it. `wakeups` is looked through for all accounts at
once, and written after a commit: it stays on the node that the hub speaks to, as does the schema's version.
"""

from __future__ import annotations

from sqlalchemy import Connection

from onhand.store import outward, schema

EXTENSION = "citus"
ROOT = schema.accounts.name
SHARED = (schema.keys.name,)
LOCAL = (schema.wakeups.name,)
SPREAD = tuple(
    table.name for table in outward.feeds.metadata.sorted_tables if table.name not in (ROOT, *SHARED, *LOCAL)
)
"""Tables that lie where their account does, in an order in which none refers to a later one."""


def present(connection: Connection) -> bool:
    """Whether this database has the extension."""
    query = f"SELECT 1 FROM pg_extension WHERE extname = '{EXTENSION}'"
    return connection.exec_driver_sql(query).first() is not None


def spread(connection: Connection) -> frozenset[str]:
    """Tables that are distributed already."""
    query = "SELECT c.relname FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid"
    return frozenset(row[0] for row in connection.exec_driver_sql(query))


def statements(database: str, done: frozenset[str] = frozenset()) -> list[str]:
    """What is still to be done, in Citus's own words; ``database`` is a quoted name."""
    first = [
        # Row-level security on the nodes needs the account that a transaction names with SET LOCAL.
        f"ALTER DATABASE {database} SET citus.propagate_set_commands = 'local'",
        # A unique name cannot be seen to across nodes; whoever adds an account looks, under a lock.
        f"ALTER TABLE {ROOT} DROP CONSTRAINT IF EXISTS {ROOT}_name_key",
        f"SELECT create_distributed_table('{ROOT}', 'id')",
    ]
    shared = [(name, f"SELECT create_reference_table('{name}')") for name in SHARED]
    ours = [
        (name, f"SELECT create_distributed_table('{name}', 'account', colocate_with => '{ROOT}')")
        for name in SPREAD
    ]
    return [*([] if ROOT in done else first), *(words for name, words in shared + ours if name not in done)]
