"""A primary and a standby that change places: one is killed, the other takes over, a new one follows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from clusters import Postgres, servers
from commands import onhand
from onhand.store.roles import Roles

DATABASE = "hub"
CAUGHT_UP_SECONDS = 30
POLL_SECONDS = 0.02


class Pair:
    """Two servers; ``primary`` takes writes, and ``standby`` has all that was acknowledged if they are
    ``synchronous``."""

    def __init__(self, primary: Postgres, standby: Postgres, *, synchronous: bool) -> None:
        self.primary = primary
        self.standby = standby
        self._hosts = ",".join(f"127.0.0.1:{one.port}" for one in (primary, standby))
        primary.create()
        primary.start()
        primary.ask(f"CREATE DATABASE {DATABASE}")
        if synchronous:
            # Before it is copied: the promoted one has it, too, and acknowledges nothing that only it has.
            primary.require("ANY 1 (*)")
        self._synchronous = synchronous
        standby.follow(primary)
        self.ready()

    def url(self, role: str) -> str:
        """Both servers in one URL: whoever connects finds the one that takes writes."""
        return f"postgresql://{role}@{self._hosts}/{DATABASE}"

    def ready(self) -> None:
        """Wait until the standby has what the primary has, and is waited for if the two are synchronous."""
        until = time.monotonic() + CAUGHT_UP_SECONDS
        state = "quorum" if self._synchronous else "async"
        query = (
            "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn = sent_lsn"
            f" AND sync_state = '{state}'"
        )
        while not self.primary.ask(query):
            assert time.monotonic() < until, "the standby does not follow"
            time.sleep(POLL_SECONDS)

    def cut(self) -> None:
        """Nothing reaches the standby any more."""
        self.standby.ask("ALTER SYSTEM SET primary_conninfo = ''")
        self.standby.ask("SELECT pg_reload_conf()")
        until = time.monotonic() + CAUGHT_UP_SECONDS
        while self.standby.ask("SELECT 1 FROM pg_stat_wal_receiver"):
            assert time.monotonic() < until, "the standby still follows"
            time.sleep(POLL_SECONDS)

    def fail_over(self) -> float:
        """Kill the primary, promote the standby; the seconds until that took writes."""
        began = time.monotonic()
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary
        return time.monotonic() - began

    def heal(self) -> None:
        """Make a new standby of the server that was killed."""
        self.standby.follow(self.primary)


@contextlib.contextmanager
def pair(*, synchronous: bool) -> Iterator[Pair]:
    """Two servers with the hub's roles and tables on them."""
    with servers("one", "two") as (one, two):
        made = Pair(one, two, synchronous=synchronous)
        ran = onhand("init", "--roles", "--db", made.url("postgres"))
        assert ran.code == 0, ran.err
        yield made


RUNTIME = Roles().runtime
