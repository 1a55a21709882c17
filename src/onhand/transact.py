"""Runs a batch of tickets in one transaction, and says of each what became of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from onhand import after_commit, faults, mixed, swift
from onhand.store import shelf
from onhand.store.books import Marked
from onhand.store.engine import Store, by_index, reason, set_account
from onhand.store.files import BUSY_TIMEOUT_MS
from onhand.store.hearing import warning
from onhand.store.lapsing import lapsing
from onhand.store.pipeline import COMMIT
from onhand.store.sql import direct, undo
from onhand.store.turns import Turns
from onhand.ticket import Ticket
from onhand.work import Work

RETRIES = 5

More: TypeAlias = Callable[[], Sequence[Ticket]]
"""Takes those who have come since into a batch that is still to be decided."""

log = structlog.get_logger(__name__)


class Busy(Exception):
    """The hub cannot take more work now; nothing was done."""


class StoreFull(Exception):
    """The disk is full; nothing was done, and work goes on when there is room again."""


class Unknowable(Exception):
    """The database did not say whether it committed; ask again with the same key, or look."""


class _CommitFailed(Exception):
    """COMMIT itself did not answer."""


class _NotReplicated(Exception):
    """COMMIT came back before the standby had it: somebody has cancelled the wait."""


class Opened(NamedTuple):
    """A batch that is decided and written, but for its COMMIT."""

    connection: Connection
    results: Sequence[Any]
    marked: set[Marked]
    unwritten: swift.Decided | None = None
    """What is still to be written, too."""

    @property
    def may_be_followed(self) -> bool:
        """Whether the next batch may be decided before this one is committed."""
        return self.unwritten is not None and self.unwritten.deed is not None


class Transactions:
    """Commits batches on the writer's connections of one store."""

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now
        self._kept: Connection | None = None
        self._aside: Connection | None = None
        """What is read on while a batch is being written (SQLite)."""
        self._turns = Turns()
        self._patience_ms = BUSY_TIMEOUT_MS
        self._silent_at = 0.0
        """When PostgreSQL last kept somebody waiting in vain."""

    def open(self, tickets: Sequence[Ticket], before: Opened | None = None) -> Opened | None:
        """Decide and write a batch on SQLite, for `run` to commit; None where that needs more patience.

        It waits for nothing: not for another process that writes, and not for the disk. It speaks to the
        driver itself, which takes a fifth of the time of a connection from the pool. With ``before``, which
        `may_be_followed` and is for `run` to commit first, the batch is decided as it comes out after that.
        """
        if self._store.moved():  # asked here: in the thread, each look would have to win the interpreter back
            return None
        if before is not None:
            return self._follow(tickets, before)
        try:
            connection = self._keep()
        except SQLAlchemyError as error:
            log.debug("no connection to write on", reason=reason(error))
            return None
        try:
            self._wait_at_most(connection, 0)
            if (opened := self._swiftly(connection, connection, tickets)) is not None:
                return opened
            direct(connection, "BEGIN IMMEDIATE")
            return self._decided(connection, tickets)
        except Exception as error:  # noqa: BLE001 - it is tried again by `run`, which says whose fault it is
            _not_opened(error)
            undo(connection)
            return None

    def _follow(self, tickets: Sequence[Ticket], before: Opened) -> Opened | None:
        try:
            if self._aside is None:
                self._aside = self._store.reader.connect()
            return self._swiftly(self._aside, before.connection, tickets, before.unwritten)
        except Exception as error:  # noqa: BLE001 - as above, when its turn has come
            _not_opened(error)
            return None
        finally:
            if self._aside is not None and self._aside.in_transaction():
                self._aside.rollback()

    def _swiftly(
        self,
        reader: Connection,
        writer: Connection,
        tickets: Sequence[Ticket],
        before: swift.Decided | None = None,
    ) -> Opened | None:
        jobs = [ticket.job for ticket in tickets]
        if set(map(type, jobs)) != {Work}:
            return None
        decided = swift.decide(reader, cast(list[Work], jobs), self._now(), before)
        if decided is None:
            return None
        # As long as it may be written or not, nobody is told what the last movement is.
        decided.shelf.advanced(decided.advances)
        return Opened(writer, decided.recorded, decided.marked, decided)

    def _keep(self) -> Connection:
        if self._kept is None:
            self._kept = self._store.writer.connect()
        return self._kept

    def close(self) -> None:
        """Give the connections back that are kept. Who has the writer's next may write by other ways."""
        if self._kept is not None:
            shelf.of(self._kept).forget()
            self._kept.close()
            self._kept = None
        if self._aside is not None:
            self._aside.close()
            self._aside = None

    def run(
        self,
        tickets: Sequence[Ticket],
        marked: set[Marked],
        opened: Opened | None = None,
        more: More | None = None,
    ) -> Sequence[Ticket]:
        """Commit ``tickets`` together, each alone where that fails; those that must wait again.

        Every other ticket has ended when this returns, and what became stale is in ``marked``. ``opened`` is
        what `open` made of them. ``more``, which adds to ``tickets``, is asked when others were waited for.
        """
        again = self._attempt(tickets, marked, opened, more)
        if again is not None:
            return again
        if len(tickets) == 1:
            return []
        waiting: list[Ticket] = []
        for ticket in tickets:
            # A broken work must not harm its neighbours: each is tried alone, once.
            ticket.error = None
            waiting += self._attempt([ticket], marked) or []
        return waiting

    def _attempt(
        self,
        tickets: Sequence[Ticket],
        marked: set[Marked],
        opened: Opened | None = None,
        more: More | None = None,
    ) -> Sequence[Ticket] | None:
        """None when it failed in the database and may be tried in smaller pieces."""
        tickets = list(tickets) if self._store.sqlite else self._in_time(tickets)
        if not tickets:
            return []
        if opened is None and (gone := self._store.moved()):
            return self._refused(tickets, gone)
        for attempt in range(RETRIES):
            try:
                return self._once(tickets, marked, None if attempt else opened, more)
            except _CommitFailed:
                for ticket in after_commit.look_up_each(self._store, tickets):
                    ticket.fail(Unknowable("the database did not say whether it committed"))
                return []
            except _NotReplicated as error:
                # It is there, and a failover would take it away: nobody may rely on it, whatever its key is.
                for ticket in tickets:
                    ticket.fail(Unknowable(str(error)))
                return []
            except DBAPIError as error:
                if not self._store.sqlite and (faults.away(error) or faults.silent(error)):
                    return self._turned_away(tickets, error)
                again = faults.wide(error) or faults.state(error) == faults.COLLIDED
                # A disk that failed once may have kept what it was given, or lost what came before.
                lasting = faults.full(error) or faults.broken(error)
                if again and not lasting and attempt + 1 < RETRIES:
                    continue
                return self._failed(tickets, error)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who sent it
                return self._failed(tickets, error)
        return None

    def _turned_away(self, tickets: Sequence[Ticket], error: DBAPIError) -> list[Ticket]:
        """Trying each alone would only have each wait as long for a server that does not answer."""
        self._fell_silent(error)
        words = "the database does not answer" if faults.silent(error) else "the database cannot be reached"
        log.warning(words, reason=reason(error))
        for ticket in tickets:
            ticket.fail(Busy(words))
        return []

    def _refused(self, tickets: Sequence[Ticket], gone: str) -> list[Ticket]:
        """What is written to a file that was moved away is lost with it, or is kept where nobody looks."""
        words = f"{gone} was moved, deleted or replaced"
        log.error("nothing is written", reason=words, file=self._store.url)
        for ticket in tickets:
            ticket.fail(Busy(words))
        return []

    def _fell_silent(self, error: DBAPIError) -> None:
        self._silent_at = time.monotonic()
        if faults.silent(error):
            self._store.close()  # what else is connected to it would be waited for as long

    def _in_time(self, tickets: Sequence[Ticket]) -> list[Ticket]:
        """Those that may still be tried. Who was in line while the database kept others waiting in vain, and
        for as long as an answer is waited for, is told so: else a long line would take as often as long."""
        late = min(self._silent_at, time.monotonic() - self._store.answer_seconds)
        for ticket in tickets:
            if ticket.since <= late:
                ticket.fail(Busy("the database did not answer meanwhile"))
        return [ticket for ticket in tickets if ticket.since > late]

    def _failed(self, tickets: Sequence[Ticket], error: Exception) -> list[Ticket] | None:
        failure, hopeless = error, False
        if isinstance(error, DBAPIError):
            if faults.broken(error):
                faults.stop_now(reason(error))
            failure, hopeless = self._meant(error)
        for ticket in tickets:
            ticket.fail(failure)
        return [] if hopeless else None

    def _meant(self, error: DBAPIError) -> tuple[Exception, bool]:
        """What those who wait are told, and whether it would be the same for each of them alone."""
        if faults.full(error):
            return StoreFull(reason(error)), True
        if not faults.passing(error):
            return error, False
        log.warning("the database does not do it now", reason=reason(error))
        if faults.state(error) == faults.LOCKED:
            self._silent_at = time.monotonic()
        if faults.shut(error) and not self._store.sqlite:
            # Another server may take writes by now; who is connected to this one would never hear of it.
            self._store.close()
        # Of SQLite it is the file that another process holds: each alone would wait for it as long again.
        return Busy(reason(error)), faults.shut(error) or self._store.sqlite

    def _once(
        self, tickets: list[Ticket], marked: set[Marked], opened: Opened | None, more: More | None
    ) -> Sequence[Ticket]:
        done = None if opened is None else _finished(opened)
        _, results, stale, swiftly = self._again(tickets, more) if done is None else done
        marked |= stale
        if swiftly is not None:
            for ticket, result in zip(tickets, results, strict=True):
                ticket.result = result
            return ()
        if not self._store.sqlite:
            after_commit.remember(self._store, tickets, results)
        return mixed.end(tickets, results)

    def _again(self, tickets: list[Ticket], more: More | None) -> Opened:
        """Begin, decide, write and commit ``tickets`` and those that are added to them."""
        with self._connection() as connection:
            connection.begin()
            self._forget(connection, tickets)
            set_account(connection, tickets[0].account)
            by_index(connection)
            lapsing(connection, self._store.answer_seconds)
            if more is not None and self._turns.take(connection, tickets[0].account):
                tickets += more()
            decided = self._decided(connection, tickets)
            self._commit(connection)
            shelf.committed(connection)
            return decided

    def _forget(self, connection: Connection, tickets: Sequence[Ticket]) -> None:
        """What units change of the catalogue is not remembered any more."""
        if self._store.sqlite:
            for account in {ticket.account for ticket in tickets if ticket.changes_catalogue}:
                shelf.of(connection).forget(account or None)

    def ended(self, opened: Opened, later: Opened | None) -> None:
        """`run` is through with ``opened``; ``later`` may be under way. In its thread."""
        if opened.unwritten is not None:
            swift.settle(opened.unwritten, None if later is None else later.unwritten)

    def last(self, account: int) -> tuple[int, int] | None:
        """The number and time of the account's last movement on SQLite, if they are remembered: only while no
        commit is under way that changes a level of it. In any thread."""
        return None if self._kept is None else shelf.of(self._kept).known(account).last

    def altered(self) -> shelf.Altered:
        """Levels that were changed without a movement, or are by a commit under way. In any thread."""
        return shelf.NOTHING if self._kept is None else shelf.of(self._kept).altered

    def look(self, account: int) -> tuple[int, int] | None:
        """The same as `last`, looked up; only while there is no batch."""
        try:
            return shelf.of(self._keep()).last(self._keep(), account)
        except SQLAlchemyError as error:
            log.debug("the last movement was not looked up", reason=reason(error))
            return None

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        """One to write on; what was begun and not committed is rolled back in the end."""
        if not self._store.sqlite:
            with self._store.writer.connect() as connection:
                yield connection
            return
        connection = self._keep()
        self._wait_at_most(connection, BUSY_TIMEOUT_MS)
        try:
            yield connection
        finally:
            connection.rollback()

    def _decided(self, connection: Connection, tickets: Sequence[Ticket]) -> Opened:
        marked: set[Marked] = set()
        return Opened(connection, mixed.results(connection, tickets, self._now(), marked), marked)

    def _wait_at_most(self, connection: Connection, milliseconds: int) -> None:
        """How long the one connection that writes to SQLite waits for another process."""
        if self._patience_ms != milliseconds:
            direct(connection, f"PRAGMA busy_timeout = {milliseconds}")
            self._patience_ms = milliseconds

    def _commit(self, connection: Connection) -> None:
        warning(connection)  # what came before is not of this COMMIT
        try:
            connection.commit()
        except DBAPIError as error:
            # What was refused before it was not followed by it.
            if self._store.sqlite or error.statement != COMMIT or faults.state(error) in faults.RETRY_STATES:
                raise
            log.warning("commit did not answer", reason=reason(error))
            connection.invalidate()
            self._fell_silent(error)
            raise _CommitFailed from error
        if words := warning(connection):
            log.warning("commit came back with a warning", reason=words)
            raise _NotReplicated(f"the database committed, and warned: {words}")


def _not_opened(error: Exception) -> None:
    if isinstance(error, DBAPIError) and faults.broken(error):
        faults.stop_now(reason(error))
    log.debug("a batch is begun again", reason=repr(error))


def _finished(opened: Opened) -> Opened | None:
    """Commit what was opened; None where it was not written, and may be decided again in the ordinary way."""
    try:
        if opened.unwritten is None:
            direct(opened.connection, "COMMIT")
            shelf.committed(opened.connection)
        elif not swift.write(opened.connection, opened.unwritten):
            return None
    except DBAPIError as error:
        undo(opened.connection)
        if opened.unwritten is None or faults.broken(error) or faults.full(error):
            raise
        log.debug("a batch is begun again", reason=reason(error))
        return None
    except BaseException:
        undo(opened.connection)
        raise
    return opened
