"""Who drives a connection and until when, its settings and secrets, and where its polls and sweeps stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.stock.offering import Rules
from onhand.store.sql import Statement

HINTS_LIMIT = 100
EVERYTHING = ""
"""The hint to look at all that a channel shows."""
ORDER = "order: "
"""What a hint begins with that names an order and not a listing."""
SEEN_TO = " "
"""What stands behind hints while somebody looks: who says the same again meanwhile takes it away."""
AHEAD = 60_000_000
"""Microseconds that a time may lie ahead of now: clocks of several machines differ. What lies further ahead
was noted before the clock was set back."""
LONGEST_LEASE = 60_000_000 + AHEAD
"""Microseconds from now at which a lease has lapsed or was renewed: it holds for far less than a minute."""
LONGEST_OPEN = 300_000_000 + AHEAD
"""Microseconds from now at which a channel that is taken for down has been tried again."""


class LeaseLost(Exception):
    """Another courier drives this connection now."""


class Due(NamedTuple):
    """A connection that the hub tells, and what it may need: stale listings, or a poll or sweep since the
    given times (microseconds UTC, None: never)."""

    account: int
    link: int
    channel: str
    rules: Rules
    stale: bool
    polled_at: int | None
    swept_at: int | None
    hinted: bool
    """Whether a webhook said to look at something."""


class Driven(NamedTuple):
    """A connection as its driver needs it. ``settings`` are plain values, ``secrets`` an envelope."""

    link: int
    channel: str
    name: str
    settings: dict[str, Any]
    secrets: str | None
    rules: Rules
    paused: bool
    orders_cursor: str | None
    polled_at: int | None
    pull_cursor: str | None
    swept_at: int | None
    open_until: int | None
    failures: int
    words: str | None
    hints: str | None
    """What webhooks said to look at: see `hint`."""

    @property
    def wanted(self) -> list[str]:
        """The listings that `hints` name, or `EVERYTHING`."""
        return [name for name in self._hinted if not name.startswith(ORDER)]

    @property
    def orders(self) -> list[str]:
        """The orders that `hints` name."""
        return [name.removeprefix(ORDER) for name in self._hinted if name.startswith(ORDER)]

    @property
    def _hinted(self) -> list[str]:
        return msgspec.json.decode(self.hints, type=list[str]) if self.hints else []


def past(at: int | None, now: int) -> int:
    """When something was done last, in microseconds UTC; 0 for never, and for a time that is not yet."""
    return 0 if at is None or at > now + AHEAD else at


# --- leases -------------------------------------------------------------------------------------------

_take = Statement(
    "INSERT INTO drives (account, connection, owner, until) VALUES (:account, :link, :owner, :until)"
    " ON CONFLICT (account, connection) DO UPDATE SET owner = excluded.owner, until = excluded.until"
    " WHERE drives.owner = excluded.owner OR drives.until <= :now OR drives.until > :never"
    " RETURNING connection"
)
_release = Statement(
    "UPDATE drives SET owner = '', until = 0"
    " WHERE account = :account AND connection = :link AND owner = :owner"
)
_release_all = Statement("UPDATE drives SET owner = '', until = 0 WHERE until > 0")
HELD = "SELECT 1 FROM drives WHERE account = :account AND connection = :link AND owner = :owner"
_held = Statement(sqlite=HELD, postgresql=HELD + " FOR SHARE")


def take(connection: Connection, account: int, link: int, owner: str, until: int, now: int) -> bool:
    """Take or renew the lease on a connection; False while somebody else has it."""
    times: dict[str, Any] = {"until": until, "now": now, "never": now + LONGEST_LEASE}
    return bool(_take.run(connection, account=account, link=link, owner=owner, **times))


def release(connection: Connection, account: int, link: int, owner: str) -> None:
    """Give the lease back."""
    _release.run(connection, account=account, link=link, owner=owner)


def release_all(connection: Connection) -> None:
    """End every lease that a killed process left: for a database that only one process may hold."""
    _release_all.run(connection)


def require(connection: Connection, account: int, link: int, owner: str) -> None:
    """Raise LeaseLost unless ``owner`` still drives the connection, until this transaction ends."""
    if not _held.run(connection, account=account, link=link, owner=owner):
        raise LeaseLost(f"connection {link} of account {account}")


# --- who connects it ------------------------------------------------------------------------------------

_connects = Statement(
    "INSERT INTO drives (account, connection, owner) VALUES (:account, :link, :mark)"
    " ON CONFLICT (account, connection) DO UPDATE SET owner = excluded.owner, until = 0"
)
_connected = Statement("SELECT connection FROM drives WHERE account = :account AND owner = :mark")


def connects(connection: Connection, account: int, link: int, mark: str) -> None:
    """Note who connects a connection, "" for nobody any more, in the place of who will drive it: as a lease
    that is over, which is in nobody's way."""
    _connects.run(connection, account=account, link=link, mark=mark)


def connected_by(connection: Connection, account: int, mark: str) -> int:
    """The connection of which `connects` noted ``mark`` last; 0 for none."""
    found = _connected.run(connection, account=account, mark=mark)
    return found[0][0] if found else 0


# --- what is to be driven -----------------------------------------------------------------------------

_DUE = (
    "SELECT c.account, c.id, c.channel, c.rules, d.polled_at, d.swept_at,"
    " EXISTS (SELECT 1 FROM outbox o WHERE o.account = c.account AND o.connection = c.id AND o.due <= :now),"
    " d.hints IS NOT NULL"
    " FROM connections c LEFT JOIN drives d ON d.account = c.account AND d.connection = c.id"
    " WHERE {whose}c.connector = 1 AND c.paused = 0"
    " AND (d.until IS NULL OR d.until <= :now OR d.until > :never OR d.owner = :owner)"
    " AND (d.open_until IS NULL OR d.open_until <= :now OR d.open_until > :ahead)"
)
_due_here = Statement(_DUE.replace("{whose}", ""))
_due_of = Statement(_DUE.replace("{whose}", "c.account = :account AND "))
_one = Statement(
    "SELECT c.id, c.channel, c.name, c.settings, c.secrets, c.rules, c.paused, d.orders_cursor, d.polled_at,"
    " d.pull_cursor, d.swept_at, d.open_until, COALESCE(d.failures, 0), d.words, d.hints"
    " FROM connections c LEFT JOIN drives d ON d.account = c.account AND d.connection = c.id"
    " WHERE c.account = :account AND c.id = :link AND c.connector = 1"
)


def due(connection: Connection, owner: str, now: int, account: int | None = None) -> list[Due]:
    """The connections that nobody else drives, are not paused, and whose channel is not known to be down;
    of one account, or of all where the connection sees them all (SQLite)."""
    times = {"now": now, "never": now + LONGEST_LEASE, "ahead": now + LONGEST_OPEN}
    values: dict[str, Any] = {"owner": owner, **times}
    if account is None:
        found = _due_here.run(connection, **values)
    else:
        found = _due_of.run(connection, account=account, **values)
    return [
        Due(
            one[0],
            one[1],
            one[2],
            msgspec.json.decode(one[3], type=Rules),
            bool(one[6]),
            one[4],
            one[5],
            bool(one[7]),
        )
        for one in found
    ]


def driven(connection: Connection, account: int, link: int) -> Driven | None:
    """One connection that the hub tells; None when there is none."""
    found = _one.run(connection, account=account, link=link)
    if not found:
        return None
    number, channel, name, settings, secrets, rules, paused, *rest = found[0]
    values = msgspec.json.decode(settings, type=dict[str, Any])
    made = msgspec.json.decode(rules, type=Rules)
    return Driven(number, channel, name, values, secrets, made, bool(paused), *rest)


# --- what a driver notes ------------------------------------------------------------------------------

NOTES = frozenset({
    "orders_cursor", "polled_at", "pull_cursor", "swept_at", "open_until", "failures", "words", "stats",
})  # fmt: skip
"""The columns of `drives` that `note` may set."""

_notes = {
    name: Statement(
        f"INSERT INTO drives (account, connection, {name}) VALUES (:account, :link, :value)"
        f" ON CONFLICT (account, connection) DO UPDATE SET {name} = excluded.{name}"
    )
    for name in NOTES
}
_polling = Statement(
    "UPDATE drives SET polled_at = 1 WHERE account = :account AND connection = :link AND polled_at = 0"
)
_polled = Statement(
    "INSERT INTO drives (account, connection, polled_at) VALUES (:account, :link, :at)"
    " ON CONFLICT (account, connection) DO UPDATE SET polled_at = excluded.polled_at"
    " WHERE drives.polled_at IS NULL OR drives.polled_at <> 0"
)
_swept = Statement(
    "UPDATE drives SET pull_cursor = NULL, swept_at = CASE WHEN COALESCE(swept_at, 0) = :before THEN :at"
    " ELSE swept_at END WHERE account = :account AND connection = :link"
)
# Makes the row or writes it as it is: waits for another process that notes a hint, and reads what it said.
_hints = Statement(
    "INSERT INTO drives (account, connection) VALUES (:account, :link)"
    " ON CONFLICT (account, connection) DO UPDATE SET hints = drives.hints RETURNING hints"
)
_hint = Statement("UPDATE drives SET hints = :hints WHERE account = :account AND connection = :link")
_heeding = Statement(
    "UPDATE drives SET hints = :marked WHERE account = :account AND connection = :link AND hints = :hints"
)
_heeded = Statement(
    "UPDATE drives SET hints = NULL WHERE account = :account AND connection = :link AND hints = :hints"
)
_keep = Statement("UPDATE connections SET secrets = :secrets WHERE account = :account AND id = :link")
_secrets = Statement("SELECT secrets FROM connections WHERE account = :account AND id = :link")


def note(connection: Connection, account: int, link: int, values: Mapping[str, Any]) -> None:
    """Write some of `NOTES` about a connection. Setting ``polled_at`` to 0 asks for a poll now, and
    ``swept_at`` to the time of asking, below 0, for a sweep."""
    for name in sorted(values):
        _notes[name].run(connection, account=account, link=link, value=values[name])


def polling(connection: Connection, account: int, link: int) -> None:
    """A poll begins: who asks for one from now on asks for another."""
    _polling.run(connection, account=account, link=link)


def polled(connection: Connection, account: int, link: int, at: int) -> None:
    """A poll that began ``at`` (microseconds UTC) has come to its end; what was asked for since stays."""
    _polled.run(connection, account=account, link=link, at=at)


def swept(connection: Connection, account: int, link: int, before: int | None, at: int) -> None:
    """A sweep has come to its end ``at`` (microseconds UTC) that began when ``swept_at`` was ``before``; one
    that was asked for since is still to be."""
    _swept.run(connection, account=account, link=link, before=before or 0, at=at)


def hint(connection: Connection, account: int, link: int, names: Iterable[str]) -> None:
    """A webhook says to look at these, by what the connector calls them; orders with `ORDER` before their
    ids. More than `HINTS_LIMIT` are `EVERYTHING`."""
    said = list(names)
    if not said:
        return
    ((before,),) = _hints.run(connection, account=account, link=link)
    wanted = list(dict.fromkeys([*(msgspec.json.decode(before, type=list[str]) if before else []), *said]))
    if len(wanted) > HINTS_LIMIT or EVERYTHING in wanted:
        wanted = [EVERYTHING]
    hints = msgspec.json.encode(wanted).decode()
    if hints != before:
        _hint.run(connection, account=account, link=link, hints=hints)


def heeding(connection: Connection, account: int, link: int, hints: str) -> None:
    """Somebody begins to look at what ``hints`` name: see `SEEN_TO`."""
    _heeding.run(connection, account=account, link=link, hints=hints, marked=hints.rstrip() + SEEN_TO)


def heeded(connection: Connection, account: int, link: int, hints: str) -> None:
    """What ``hints`` name is looked at; where more was said since `heeding`, or the same again, all of it
    stays."""
    _heeded.run(connection, account=account, link=link, hints=hints.rstrip() + SEEN_TO)


def secrets(connection: Connection, account: int, link: int) -> str | None:
    """The envelope of a connection's secrets."""
    found = _secrets.run(connection, account=account, link=link)
    return found[0][0] if found else None


def keep_secrets(connection: Connection, account: int, link: int, envelope: str) -> None:
    """Store an envelope in place of the one that is there."""
    _keep.run(connection, account=account, link=link, secrets=envelope)


# --- how it goes --------------------------------------------------------------------------------------


class Status(NamedTuple):
    """How a connection goes. Times are microseconds UTC, lags microseconds.

    ``backlog`` listings are stale, the longest since ``oldest``; ``parked`` ones the channel will not
    take, ``drifting`` ones show another number than was confirmed. ``stats`` of the courier that drives
    it: p50 and p99 from commit to acknowledgement, told, refused, requests, errors, throttled,
    error_rate, trouble (the last words of a sweep or a poll that failed). ``open_until`` and ``words``
    say that the channel is taken for down, until when, and why.
    """

    connection: int
    channel: str
    name: str
    paused: bool
    owner: str
    until: int
    backlog: int
    oldest: int | None
    parked: int
    drifting: int
    swept_at: int | None
    polled_at: int | None
    open_until: int | None
    failures: int
    words: str | None
    stats: dict[str, Any]


_status = Statement(
    "SELECT c.id, c.channel, c.name, c.paused, CASE WHEN d.until > 0 THEN d.owner ELSE '' END,"
    " COALESCE(d.until, 0),"
    " (SELECT COUNT(*) FROM outbox o WHERE o.account = c.account AND o.connection = c.id),"
    " (SELECT MIN(o.marked_at) FROM outbox o WHERE o.account = c.account AND o.connection = c.id),"
    " (SELECT COUNT(*) FROM listings g WHERE g.account = c.account AND g.connection = c.id"
    " AND g.parked IS NOT NULL),"
    " (SELECT COUNT(*) FROM drifts x JOIN listings g ON g.account = x.account AND g.id = x.listing"
    " WHERE x.account = c.account AND x.healed_at IS NULL AND g.connection = c.id),"
    " d.swept_at, d.polled_at, d.open_until, COALESCE(d.failures, 0), d.words, COALESCE(d.stats, '{}')"
    " FROM connections c LEFT JOIN drives d ON d.account = c.account AND d.connection = c.id"
    " WHERE c.account = :account AND c.connector = 1 AND (:link = 0 OR c.id = :link) ORDER BY c.id"
)
_unseen = Statement(
    "SELECT r.link FROM {rows} WHERE EXISTS (SELECT 1 FROM outbox o WHERE o.account = r.account"
    " AND o.connection = r.link AND o.since <= :seq)",
    rows="account int, link int",
)


def status(connection: Connection, account: int, link: int = 0) -> list[Status]:
    """How the account's connections go, or one of them; counts are exact and cost what they count."""
    found = []
    for row in _status.run(connection, account=account, link=link):
        values = dict(zip(Status._fields, row, strict=True))
        values |= {"paused": bool(row[3]), "stats": msgspec.json.decode(row[-1])}
        found.append(Status(**values))
    return found


def unseen(connection: Connection, account: int, seq: int, links: Iterable[int]) -> set[int]:
    """Those of the connections that have not acknowledged every movement up to ``seq``. What a channel
    refused (parked) counts as answered, not as waiting."""
    rows = [(account, one) for one in sorted(set(links))]
    return {row[0] for row in _unseen.run(connection, rows, seq=seq)} if rows else set()


def seen(connection: Connection, account: int, seq: int, links: Iterable[int]) -> bool:
    """Whether all these connections have acknowledged every movement up to ``seq``."""
    return not unseen(connection, account, seq, links)
