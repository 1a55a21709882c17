"""Processes that commit to one account at once take turns on PostgreSQL, each before it closes its batch.

Who waits for a level or for the account's number has already said what is in its commit: what comes meanwhile
is left to the next one, and four processes make commits of a quarter the size. Who waits here may still add.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from onhand.store.sql import Statement

TURNS = 0x6F6E68 << 40
"""Added to an account's number, this names its lock among those that programs make up for themselves."""

_try = Statement(postgresql="SELECT pg_try_advisory_xact_lock(:turn)", prepared=True)
# Whether it was to be had at once.
_wait = Statement(
    postgresql="SELECT CASE WHEN pg_try_advisory_xact_lock(:turn) THEN true"
    " ELSE pg_advisory_xact_lock(:turn) IS NULL END",
    prepared=True,
)


class Turns:
    """Whether other processes commit to the accounts of this one.

    Nothing rests on it but how large a commit is: what must not be changed meanwhile is locked by itself. The
    turn is taken before anything else is, so that nobody is kept from one by what he holds.
    """

    def __init__(self) -> None:
        self._shared: set[int] = set()
        """Accounts that another process was busy with, the last time."""

    def take(self, connection: Connection, account: int) -> bool:
        """Take the turn, until the transaction ends. Where nobody else wanted it the last time, that is tried
        along with the next statement. True where it was waited for, so that more may have come meanwhile."""
        if account not in self._shared:
            _try.later(connection, take=partial(self._tried, account), turn=TURNS + account)
            return False
        self._tried(account, _wait.run(connection, turn=TURNS + account))
        return True

    def _tried(self, account: int, found: list[tuple[bool]]) -> None:
        if found[0][0]:
            self._shared.discard(account)
        else:
            self._shared.add(account)
