"""Takes a whole database to another one of either engine: all of it, verified, or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.lock import Held
from onhand.office import door
from onhand.settings import Settings
from onhand.store import copying, engine, hearing, retiring
from onhand.store.copying import Arrived, Ledger
from onhand.store.engine import DatabaseFailed, Store, StoreError, is_postgresql, reason, shown
from onhand.store.retiring import AtWork

REHEARSE = "; --while-serving copies all the same, without what is written from now on"
"""What else there is than to stop whoever works on the source."""


class AfterAll(StoreError):
    """The copy is there, or may be; but something is to be said, in words."""


class Wish(NamedTuple):
    """How to copy: although somebody may be writing; and whether the source is out of service afterwards."""

    while_serving: bool = False
    retire: bool = False


class Moved(NamedTuple):
    """What was copied. ``equal``: every table arrived as it was; else nothing was kept. ``clean``: every
    account of the copy agrees with itself. ``sealed`` connections need the key of their secrets."""

    tables: list[Arrived]
    accounts: list[Ledger]
    sealed: int
    retired: bool = False

    @property
    def equal(self) -> bool:
        """Whether the copy is the source."""
        return all(one.equal for one in self.tables)

    @property
    def clean(self) -> bool:
        """Whether the copy's ledgers agree with themselves."""
        return not any(one.faults for one in self.accounts)


class Watch(NamedTuple):
    """Who looks on: told first how many steps there are, then of each. Either may raise to end it all."""

    total: Callable[[int], None]
    step: Callable[[int], None]


@hearing.patient()
def move(source: Settings, target: Settings, wish: Wish, watch: Watch) -> Moved:
    """Copy all rows of one moment of ``source`` into ``target``, which has nothing in it, in one transaction
    that also makes its tables and verifies them: what is there is all or nothing. Raises StoreError in words.
    """
    _apart(source.db, target.db)
    _empty(target.db)
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(door.opened(source))
        engine.require_head(here)
        if not wish.while_serving:
            stack.enter_context(_locked(source, REHEARSE))
        stack.enter_context(_locked(target))
        there = stack.enter_context(_fresh(target))
        with _worded(f"{shown(source.db)} cannot be copied"):
            try:
                return _moved(here, there, wish, watch)
            except AtWork as error:
                raise StoreError(f"{error}{REHEARSE}") from error


@hearing.patient()
def retire(settings: Settings, *, lift: bool) -> None:
    """Take a database out of service, or back. Raises StoreError in words."""
    with (
        door.opened(settings) as store,
        _locked(settings),
        _worded(f"{shown(settings.db)} was left as it is"),
    ):
        (retiring.lift if lift else retiring.retire)(store)


def _moved(here: Store, there: Store, wish: Wish, watch: Watch) -> Moved:
    snapshot = engine.reading(here) if wish.while_serving else retiring.still(here, retire=wish.retire)
    done: Moved | None = None
    try:
        with snapshot as source, there.writer.connect() as target:
            rows = copying.count(source, walled=copying.walled(here))
            watch.total(2 * rows)
            filled = _filled(source, target, watch)
            if not filled.equal:
                target.rollback()
                return filled
            if wish.retire and filled.clean:
                retiring.mark(source)  # counts when the snapshot ends: once the copy has been committed
            _commit(target, there)
            done = filled._replace(retired=wish.retire and filled.clean)
    except DatabaseFailed as error:
        if done is None:
            raise
        words = f"{shown(there.url)} has all of it, but {shown(here.url)} is not retired"
        raise AfterAll(f"{words}: {reason(error)}") from error
    return done


def _filled(source: Connection, target: Connection, watch: Watch) -> Moved:
    try:
        copying.begin(target)
        wanted = copying.fill(source, target, watch.step)
        tables = copying.compare(target, wanted, watch.step)
        return Moved(tables, copying.ledgers(target, watch.step), copying.sealed(target))
    except BaseException:
        target.rollback()
        raise


def _commit(target: Connection, store: Store) -> None:
    """Make the copy last. Raises AfterAll when nobody knows whether it does."""
    hearing.warning(target)
    try:
        target.commit()
    except DatabaseFailed as error:
        words = f"COMMIT failed ({reason(error)}): {shown(store.url)} has all of it or nothing"
        raise AfterAll(f"{words}, 'onhand accounts list' shows which") from error
    if warned := hearing.warning(target):
        raise AfterAll(f"{shown(store.url)} has all of it, but COMMIT came with a warning: {warned}")


# --- two databases ----------------------------------------------------------------------------------


def _apart(source: str, target: str) -> None:
    """Refuse one database as both; two URLs of one are found out by what is in it."""
    if is_postgresql(source) != is_postgresql(target):
        return
    same = source == target if is_postgresql(source) else Path(source).resolve() == Path(target).resolve()
    if same:
        raise StoreError(f"{shown(source)} is both: copy into another database")


def _empty(target: str) -> None:
    """Look before anything is touched; a file would be opened for writing otherwise."""
    if not is_postgresql(target) and not Path(target).exists():
        if not Path(target).parent.is_dir():
            raise StoreError(f"the folder {Path(target).parent} does not exist")
        return
    with (
        contextlib.closing(engine.open_store(target, create=False, reads_only=True)) as store,
        _worded(f"{shown(target)} cannot take a copy"),
        engine.reading(store) as connection,
    ):
        copying.empty(connection)


@contextlib.contextmanager
def _locked(settings: Settings, hint: str = "") -> Iterator[None]:
    lock = door.lock_for(settings)
    try:
        if lock is not None:
            lock.take()
    except Held as held:
        raise StoreError(f"{held}{hint}") from held
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


@contextlib.contextmanager
def _fresh(settings: Settings) -> Iterator[Store]:
    """The target, opened for writing; a file that was made for it goes if nothing came to be in it."""
    path = None if is_postgresql(settings.db) else Path(settings.db)
    made = path is not None and not path.exists()
    store = engine.open_store(
        settings.db,
        accept_loss=settings.accept_data_loss,
        answer_seconds=settings.db_seconds,
        prepares=settings.db_prepare,
    )
    try:
        yield store
    finally:
        nothing = made and _bare(store)
        store.close()
        if path is not None and nothing:
            for end in ("", "-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)


def _bare(store: Store) -> bool:
    try:
        return engine.revision(store) is None
    except DatabaseFailed:
        return False


@contextlib.contextmanager
def _worded(prefix: str) -> Iterator[None]:
    """What goes wrong, with what it means."""
    try:
        yield
    except AfterAll:
        raise
    except StoreError as error:
        raise StoreError(f"{prefix}: {error}") from error
    except DatabaseFailed as error:
        raise StoreError(f"{prefix}: {reason(error)}") from error
