"""Prepares a PostgreSQL beyond its tables: roles of their own, and accounts spread over several nodes."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from onhand.store import distribution, roles
from onhand.store.engine import Store, StoreError, reason, require_head, upgrade
from onhand.store.hearing import patient
from onhand.store.roles import BadRole, Roles


class Steps(NamedTuple):
    """Statements, in order, and whether they were carried out."""

    before: tuple[str, ...]
    """Those of an administrator, before there are tables."""
    after: tuple[str, ...]
    """Those of the owner, once there are tables."""
    done: bool


@patient()
def set_up_roles(store: Store, wanted: Roles, *, dry_run: bool = False) -> Steps:
    """Make the roles and the schema, the tables in it as their owner, and grant what the hub needs, all in
    one transaction. What is there already stays. Raises StoreError in words."""
    _only_postgresql(store)
    try:
        roles.checked(wanted)
        with store.writer.begin() as connection:
            before = tuple(roles.preparing(connection, wanted))
            after = tuple(roles.granting(wanted))
            if dry_run:
                return Steps(before, after, done=False)
            for statement in before:
                connection.exec_driver_sql(statement)
            roles.become_owner(connection, wanted)
            upgrade(connection)
            for statement in after:
                connection.exec_driver_sql(statement)
    except BadRole as error:
        raise StoreError(str(error)) from error
    except SQLAlchemyError as error:
        raise StoreError(f"the roles were not set up, nothing was changed: {reason(error)}") from error
    return Steps(before, after, done=True)


@patient()
def distribute(store: Store, *, dry_run: bool = False) -> Steps:
    """Spread the accounts over the nodes of a Citus; without the extension nothing is done. Raises
    StoreError in words."""
    _only_postgresql(store)
    require_head(store)
    try:
        with store.writer.begin() as connection:
            present = distribution.present(connection)
            database = connection.exec_driver_sql("SELECT quote_ident(current_database())").scalar_one()
            done = distribution.spread(connection) if present else frozenset[str]()
            steps = tuple(distribution.statements(database, done))
            if dry_run or not present:
                return Steps((), steps, done=False)
            for statement in steps:
                connection.exec_driver_sql(statement)
    except SQLAlchemyError as error:
        raise StoreError(f"nothing was distributed: {reason(error)}") from error
    return Steps((), steps, done=True)


def _only_postgresql(store: Store) -> None:
    if store.sqlite:
        raise StoreError("a SQLite file has neither roles nor nodes: this is for PostgreSQL")
