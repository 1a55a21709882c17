"""Opens a database: engines for the writer and the readers, durability read back, migrations run."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError

from onhand.settings import ANSWER_SECONDS
from onhand.store import addresses, durability, files, hearing, likeness, mounts, roles, strangers, together
from onhand.store.addresses import BadAddress
from onhand.store.hearing import patient
from onhand.store.pipeline import Preparing, Said

SQLITE_OLDEST = (3, 37, 0)
POSTGRESQL_OLDEST = 150_000
IN_MEMORY = ":memory:"
"""SQLite's name for no file at all."""

RETIRED = "retired "
"""Before the schema's revision, of a database that must not be written any more: other versions of onhand
do not know such a revision and refuse it, too."""
MIGRATION_LOCK = 0x6F6E68616E64
NOT_ALLOWED = "42501"
SYNTAX_OR_NAMES = "42"
OURS = re.compile(r"\d{4}")
"""How our revisions are named."""
MIGRATIONS = Path(__file__).parent / "migrations"
READERS, WRITERS = 4, 4

is_postgresql = addresses.is_postgresql


class StoreError(Exception):
    """The database cannot be used, and why, in words for the operator."""


class WeakDurability(StoreError):
    """The database may lose what it acknowledged; starting on it needs the operator's word."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open database. ``writer`` may change it; ``reader`` cannot."""

    url: str
    writer: Engine
    reader: Engine
    answer_seconds: float = ANSWER_SECONDS
    """How long an answer of PostgreSQL is waited for."""
    standing: files.Standing | None = None
    """The SQLite file as it was when it was opened."""

    @property
    def sqlite(self) -> bool:
        """Whether this is a SQLite file (one process, one writer)."""
        return self.writer.dialect.name == "sqlite"

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return Path(self.url)

    def moved(self) -> str:
        """What of a SQLite file was moved, deleted or replaced, in words; "" if nothing was. What is written
        then nobody would find."""
        return "" if self.standing is None else self.standing.moved()

    def close(self) -> None:
        """Give every connection back."""
        self.reader.dispose()
        self.writer.dispose()


def sqlite_version() -> str:
    """The version of the SQLite that this Python has."""
    return sqlite3.sqlite_version


def open_store(
    url: str,
    *,
    accept_loss: bool = False,
    create: bool = True,
    reads_only: bool = False,
    answer_seconds: float = ANSWER_SECONDS,
    prepares: bool = True,
) -> Store:
    """Open ``url`` (a SQLite path or a ``postgresql://`` URL) without changing its tables.

    Raises StoreError in words when it cannot be reached or is too old, and WeakDurability when a
    commit might be lost and ``accept_loss`` is False. ``create`` makes a SQLite file that is not
    there; ``reads_only`` is for a caller that never writes, and needs no durability. ``prepares`` is False
    where no statement may be prepared on a PostgreSQL.
    """
    if not create and not is_postgresql(url) and not Path(url).is_file():
        raise StoreError(f"there is no database at {url}: 'onhand init' makes one")
    store = _postgresql(url, answer_seconds, Preparing(prepares)) if is_postgresql(url) else _sqlite(url)
    try:
        _check_version(store)
        weak = [] if reads_only else durability_faults(store)
        revision(store)  # a file is only looked into at the first question: is it a database at all?
        if weak and not accept_loss:
            raise WeakDurability("; ".join(weak))
    except StoreError:
        store.close()
        raise
    except SQLAlchemyError as error:
        store.close()
        raise StoreError(f"cannot open {shown(url)}: {reason(error)}") from error
    except UnicodeDecodeError as error:  # SQLite's own complaint quotes what is no text any more
        store.close()
        raise StoreError(f"cannot open {shown(url)}: the file is damaged") from error
    return replace(store, standing=files.Standing(store.path)) if store.sqlite else store


def shown(url: str) -> str:
    """``url`` without its password."""
    return addresses.shown(url) if is_postgresql(url) else url


DatabaseFailed: TypeAlias = SQLAlchemyError
"""What a question or a change raises that the database could not do."""


def reason(error: SQLAlchemyError) -> str:
    """The driver's own words for a failure, on one line."""
    words = str(getattr(error, "orig", None) or error).strip()
    return " ".join(words.split())


# --- SQLite ---------------------------------------------------------------------------------------


def _sqlite(url: str) -> Store:
    if url == IN_MEMORY:
        raise StoreError(f"{url} is no file, and what is kept in memory is lost with the process")
    require_folder(Path(url))
    if beside := files.orphaned_log(Path(url)):
        raise StoreError(
            f"{url} is not there or is empty, and {beside} is what was written to it last:"
            " bring the file back, or move the log away"
        )
    return Store(url, *files.engines(Path(url), READERS))


def require_folder(path: Path) -> None:
    """Refuse, in words, a file that has no folder to lie in."""
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} does not exist: make it, or mend the name")


# --- PostgreSQL -----------------------------------------------------------------------------------


def _postgresql(url: str, seconds: float, preparing: Preparing) -> Store:
    try:
        target = addresses.target(url, seconds)
    except BadAddress as error:
        raise StoreError(f"cannot read {shown(url)}: {error}") from error
    shared: dict[str, Any] = {
        "pool_pre_ping": False,
        "max_overflow": 0,
        "connect_args": {"prepare_threshold": None},  # by the driver: see `store.pipeline`
        "use_native_hstore": False,
        "isolation_level": "AUTOCOMMIT",  # to the driver: we begin ourselves, see `together`
    }
    writer = create_engine(target, pool_size=WRITERS, **shared)
    # The options travel in BEGIN, so that a snapshot costs no statement of its own.
    reader = create_engine(target, pool_size=READERS, **shared).execution_options(
        **{together.BEGINS: together.READING}
    )
    for engine in (writer, reader):
        hearing.listen(engine, seconds)
        together.send_together(engine, preparing)
    return Store(url, writer, reader, seconds)


def set_account(connection: Connection, account: int) -> None:
    """Name the account of this transaction for row-level security; a no-op on SQLite.

    A SET LOCAL, which ends with the transaction, and not a function: Citus hands only that on to the
    nodes that hold the rows.
    """
    if connection.dialect.name == "postgresql":
        together.later(connection, Said(f"SET LOCAL onhand.account = '{int(account)}'"))


def by_index(connection: Connection) -> None:
    """Have the rest of this transaction find rows by their keys; a no-op on SQLite.

    PostgreSQL reads a whole table where it takes it for small: the look-ups of foreign keys, which it plans
    once for each connection, do so for ever after if the table was empty then.
    """
    if connection.dialect.name == "postgresql":
        together.later(connection, Said("SET LOCAL enable_seqscan = off"))


# --- checks ---------------------------------------------------------------------------------------


def _check_version(store: Store) -> None:
    if store.sqlite:
        if sqlite3.sqlite_version_info < SQLITE_OLDEST:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or later is needed")
        if other := strangers.tables(store.reader):  # before the writer changes anything in the file
            raise StoreError(f"{store.path} is another program's database: it has the tables {other}")
        return
    with store.reader.connect() as connection:
        query = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"
        number, encoding = connection.exec_driver_sql(query).one()
    if number < POSTGRESQL_OLDEST:
        raise StoreError(f"PostgreSQL {number // 10_000} is too old: 15 or later is needed")
    if encoding != "UTF8":
        raise StoreError(f"the database keeps text as {encoding}: make one with ENCODING 'UTF8'")


def durability_faults(store: Store) -> list[str]:
    """`durability.faults` of the writer, and of where a SQLite file lies. Not while a hub writes: SQLite has
    one connection for that, which is nobody else's to use."""
    with store.writer.connect() as connection:
        found = durability.faults(connection)
    if store.sqlite and (kind := mounts.distant(store.path)):
        words = "it may lose acknowledged changes, and another hub there may write to it"
        found.append(f"{store.path} lies on {kind}, another machine's file system: {words}")
    return found


# --- migrations -----------------------------------------------------------------------------------


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _revisions() -> tuple[str, frozenset[str]]:
    """The last revision, and all. Once for a process: what lies in its folder later is not its own."""
    scripts = ScriptDirectory.from_config(_config())
    found = scripts.get_current_head()
    if found is None:
        raise StoreError("this installation has no migrations")
    return found, frozenset(script.revision for script in scripts.walk_revisions())


def head() -> str:
    """The schema revision that this code speaks."""
    return _revisions()[0]


def newer(now: str | None) -> bool:
    """Whether a revision is one of an onhand that comes after this one."""
    return now is not None and OURS.fullmatch(now) is not None and now not in _revisions()[1]


def revision(store: Store) -> str | None:
    """The schema revision of the database; None for an empty one."""
    with store.reader.connect() as connection:
        return revision_of(connection)


def revision_of(connection: Connection) -> str | None:
    """The schema revision, as this transaction sees it. Several, which none of ours leaves, are no revision
    that is known."""
    return " and ".join(sorted(MigrationContext.configure(connection).get_current_heads())) or None


def migrate(store: Store) -> None:
    """Bring the tables to this code's revision, under a lock, in one transaction.

    Raises StoreError when the database is newer than this code or retired, and when this role may not.
    """
    now = revision(store)
    if now == head():
        _require_rights(store)
        return
    refuse_unknown(now)
    with patient(), store.writer.begin() as connection:
        bring_up(connection)


def bring_up(connection: Connection) -> None:
    """`migrate` within a transaction that does more. Raises StoreError."""
    now = revision_of(connection)
    if now == head():
        return
    refuse_unknown(now)
    try:
        if now is None and (other := roles.elsewhere(connection)):
            words = f"the schema {other} has onhand's tables, and this role does not look into it"
            raise StoreError(f"{words}: use one of their roles, or set its search_path")
        upgrade(connection)
    except (ProgrammingError, OperationalError) as error:
        if _unsettled(error):
            raise StoreError(f"{_unlike(now)} ({reason(error)}): {ANEW}") from error
        if getattr(error.orig, "sqlstate", None) != NOT_ALLOWED:
            raise
        words = f"{_state(now)}, this onhand needs {head()}, and this role may not change tables"
        raise StoreError(f"{words}: run 'onhand init' as the role that owns them") from error


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, in this transaction, once nobody else does."""
    if connection.dialect.name == "postgresql":
        # Of the transaction, not of the session: a pooler hands sessions around.
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
    refuse_unknown(revision_of(connection))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if faults := shape_faults(connection):
        raise StoreError(faults[0])


ANEW = (
    "it was made before the first release, or changed by hand. Restore a backup, or take the stock along to a"
    " new database ('onhand export' of the program that made this one)"
)


def _unlike(now: str | None) -> str:
    if now is None:
        return "the database has tables and does not say of which version they are"
    return f"{_state(now)}, and its tables are not what that version left"


def shape_faults(connection: Connection) -> list[str]:
    """What tables that are said to be of this version do not have, in words with what to do about it."""
    found = likeness.lacking(connection)
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return [f"the database has no column {found[0]}{more}: {ANEW}"] if found else []


def _unsettled(error: DBAPIError) -> bool:
    """Whether a statement of ours did not fit the tables that it met."""
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return any(words in reason(error) for words in likeness.UNSETTLED)
    return str(state).startswith(SYNTAX_OR_NAMES) and state != NOT_ALLOWED


def _require_rights(store: Store) -> None:
    with store.reader.connect() as connection:
        require_rights(connection)


def require_rights(connection: Connection) -> None:
    """Refuse, in words, a role that may not do what the hub does."""
    if lacking := roles.missing(connection):
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise StoreError(f"this role has no right to {lacking[0]}{more}: run 'onhand init --roles'")


def require_head(store: Store) -> None:
    """Refuse, in words, a database that this code does not speak; one that is retired can be read."""
    now = (revision(store) or "").removeprefix(RETIRED) or None
    refuse_unknown(now)
    if now != head():
        raise StoreError(f"{_state(now)}, this onhand needs {head()}: run 'onhand init'")


def refuse_unknown(now: str | None) -> None:
    """What a newer onhand's tables mean is not known here: neither is read nor written."""
    if now is not None and now.startswith(RETIRED):
        raise StoreError(
            "the database is retired: it was copied, and another one has gone on from there"
            " ('onhand retire --lift' if that is not so)"
        )
    if now is not None and not OURS.fullmatch(now):
        raise StoreError(f"{_state(now)}, which is none of onhand's: it is another program's database")
    if newer(now):
        raise StoreError(f"{_state(now)}, which is newer than this onhand ({head()}): use that onhand")


def _state(now: str | None) -> str:
    return "the database is empty" if now is None else f"the database is at revision {now}"


@contextlib.contextmanager
def reading(store: Store, account: int | None = None) -> Iterator[Connection]:
    """A read-only snapshot, for the account if one is named."""
    with store.reader.connect() as connection, connection.begin():
        if account is not None:
            set_account(connection, account)
        yield connection
