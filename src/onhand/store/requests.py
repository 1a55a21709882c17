"""What is kept about requests: idempotency keys, the inbox of received messages, planned changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.store import ahead
from onhand.store.sql import Insert, Row, Statement

BODY_KEPT_US = 30 * 24 * 3600 * 1_000_000
"""A stored answer is kept for 30 days; its key for ever."""

PRUNED_AT_ONCE = 500
"""Bodies that are forgotten in one piece: changes wait for it."""

Named = tuple[int, str, str]
"""(account, scope, key)."""


class Stored(NamedTuple):
    """A key that was used: what for, and the answer (None while it is being made, or pruned)."""

    fingerprint: str
    status: int | None
    body: str | None
    headers: str | None


_KEYS = "account int, scope text, key text"
_claim = Statement(
    postgresql="INSERT INTO idempotency (account, scope, key, fingerprint, created_at)"
    " SELECT r.account, r.scope, r.key, r.fingerprint, :now FROM {rows} ORDER BY 1, 2, 3"
    " ON CONFLICT DO NOTHING RETURNING account, scope, key",
    rows=_KEYS + ", fingerprint text",
    prepared=True,
)
_known = Statement(
    "SELECT k.account, k.scope, k.key, k.fingerprint, k.status, k.body, k.headers FROM {rows}"
    " JOIN idempotency k ON k.account = r.account AND k.scope = r.scope AND k.key = r.key",
    rows=_KEYS,
    listed=True,
    prepared=True,
)
_keep = Insert(
    "idempotency",
    "account int, scope text, key text, fingerprint text, status int, body text, headers text,"
    " created_at int",
    "ON CONFLICT (account, scope, key) DO UPDATE SET status = excluded.status,"
    " body = excluded.body, headers = excluded.headers",
    prepared=True,
)
_free = Statement(
    postgresql="DELETE FROM idempotency k USING {rows}"
    " WHERE k.account = r.account AND k.scope = r.scope AND k.key = r.key AND k.status IS NULL",
    rows=_KEYS,
)
_prune = Statement(
    "UPDATE idempotency SET body = NULL, headers = NULL WHERE account = :account AND (scope, key) IN"
    " (SELECT scope, key FROM idempotency WHERE account = :account AND body IS NOT NULL"
    " AND created_at < :before ORDER BY created_at LIMIT :limit) RETURNING 1"
)


def claim(connection: Connection, keys: Sequence[tuple[int, str, str, str]], now: int) -> dict[Named, Stored]:
    """Of ``keys`` (account, scope, key, fingerprint), sorted, those that were used before.

    On PostgreSQL the others are taken at once, so that a second process waits for this commit; on
    SQLite nobody else writes.
    """
    if not keys:
        return {}
    names = [key[:3] for key in keys]
    if connection.dialect.name == "postgresql":
        taken = {tuple(row) for row in _claim.run(connection, keys, now=now)}
        names = [name for name in names if name not in taken]
    found = _known.run(connection, names) if names else []
    return {(row[0], row[1], row[2]): Stored(*row[3:]) for row in found}


def look_up(connection: Connection, name: Named) -> Stored | None:
    """What is kept under one key."""
    found = _known.run(connection, [name])
    return Stored(*found[0][3:]) if found else None


def keep(connection: Connection, rows: Iterable[Row]) -> None:
    """Store answers: (account, scope, key, fingerprint, status, body, headers, now)."""
    _keep.later(connection, rows)


def free(connection: Connection, names: Sequence[Named]) -> None:
    """Give back the keys of requests that were refused."""
    if names and connection.dialect.name == "postgresql":
        _free.later(connection, names)


def prune(connection: Connection, account: int, now: int) -> bool:
    """Forget the oldest bodies of stored answers beyond `BODY_KEPT_US`, `PRUNED_AT_ONCE` at most; whether
    there may be more."""
    pruned = _prune.run(connection, account=account, before=now - BODY_KEPT_US, limit=PRUNED_AT_ONCE)
    return len(pruned) == PRUNED_AT_ONCE


# --- inbox ------------------------------------------------------------------------------------------


class Message(NamedTuple):
    """A received message that is not yet applied."""

    id: int
    source: str
    principal: str
    body: str
    received_at: int


_receive = Insert("inbox", "account int, id int, source text, principal text, body text, received_at int")
_waiting = Statement(
    "SELECT id, source, principal, body, received_at FROM inbox"
    " WHERE account = :account AND id > :after ORDER BY id LIMIT :limit"
)
_accounts_waiting = Statement(
    "SELECT a.id FROM accounts a WHERE EXISTS (SELECT 1 FROM inbox n WHERE n.account = a.id)"
)
_ends = Statement("SELECT MIN(id), MAX(id) FROM inbox WHERE account = :account")
_there = Statement(
    rows="account int, id int",
    sqlite="SELECT n.account, n.id FROM {rows} JOIN inbox n ON n.account = r.account AND n.id = r.id",
    postgresql="SELECT n.account, n.id FROM {rows} JOIN inbox n ON n.account = r.account AND n.id = r.id"
    " ORDER BY n.account, n.id FOR UPDATE OF n",
)
_consumed = Statement(
    rows="account int, id int",
    sqlite="DELETE FROM inbox WHERE (account, id) IN (SELECT account, id FROM {rows}) RETURNING account, id",
    postgresql="DELETE FROM inbox n USING {rows} WHERE n.account = r.account AND n.id = r.id"
    " RETURNING n.account, n.id",
)


def receive(connection: Connection, account: int, *messages: Message) -> None:
    """Keep messages until they are applied; the id is the order of arrival."""
    _receive.run(connection, [(account, *message) for message in messages])


def waiting(connection: Connection, account: int, after: int = 0, limit: int = 200) -> list[Message]:
    """The oldest messages not yet applied, in order of arrival."""
    found = _waiting.run(connection, account=account, after=after, limit=limit)
    return [Message(*row) for row in found]


def accounts_waiting(connection: Connection) -> list[int]:
    """Accounts that have messages not yet applied."""
    return [row[0] for row in _accounts_waiting.run(connection)]


def ends(connection: Connection, account: int) -> tuple[int, int] | None:
    """The oldest and the newest message not yet applied; None when there is none."""
    oldest, newest = _ends.run(connection, account=account)[0]
    return None if oldest is None else (int(oldest), int(newest))


def there(connection: Connection, messages: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Of messages (account, id) those still in the inbox, locked until the transaction ends."""
    rows = sorted(set(messages))
    return {(row[0], row[1]) for row in _there.run(connection, rows)} if rows else set()


def consume(connection: Connection, messages: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Take messages (account, id) out of the inbox; those that were still there."""
    rows = sorted(messages)
    return {(row[0], row[1]) for row in _consumed.run(connection, rows)} if rows else set()


# --- planned changes ----------------------------------------------------------------------------------


class Planned(NamedTuple):
    """A planned change: ``status`` is waiting, applied, refused or cancelled."""

    id: int
    due: int
    commands: str
    caller: str
    context: str | None
    status: str
    outcome: str | None
    created_at: int
    ended_at: int | None


_PLANNED = "id, due, commands, caller, context, status, outcome, created_at, ended_at"
_plan = Insert(
    "planned",
    "account int, id int, due int, commands text, caller text, context text, created_at int",
)
_DUE_PLANS = (
    f"SELECT {_PLANNED} FROM {{planned}} WHERE account = :account AND status = 'waiting'"
    " AND due <= :now ORDER BY due, id LIMIT :limit"
)
# Left to itself, SQLite looks at every plan that there ever was, several times a second.
_INDEXED = "planned INDEXED BY planned_due"
_due_plans = Statement(
    sqlite=_DUE_PLANS.replace("{planned}", _INDEXED), postgresql=_DUE_PLANS.replace("{planned}", "planned")
)
_plans = Statement(
    f"SELECT {_PLANNED} FROM planned WHERE account = :account AND id > :after ORDER BY id LIMIT :limit"
)
_one_plan = Statement(f"SELECT {_PLANNED} FROM planned WHERE account = :account AND id = :id")
_DUE_EVERYWHERE = "SELECT DISTINCT account FROM {planned} WHERE status = 'waiting' AND due <= :now"
_accounts_due = Statement(
    sqlite=_DUE_EVERYWHERE.replace("{planned}", _INDEXED),
    postgresql=_DUE_EVERYWHERE.replace("{planned}", "planned"),
)
_end_plan = Statement(
    "UPDATE planned SET status = :status, ended_at = :now"
    " WHERE account = :account AND id = :id AND status = 'waiting' RETURNING commands"
)
_refuse_plan = Statement(
    "UPDATE planned SET status = 'refused', outcome = :outcome WHERE account = :account AND id = :id"
    " RETURNING commands"
)


def plan(connection: Connection, rows: Iterable[Row]) -> None:
    """Keep planned changes: (account, id, due, commands, caller, context, now)."""
    made = list(rows)
    _plan.run(connection, made)
    for account, _, _, commands, _, _, now in made:
        ahead.mark(connection, account, [commands], now)


def due_plans(connection: Connection, account: int, now: int, limit: int = 200) -> list[Planned]:
    """Planned changes whose time has come, oldest first."""
    found = _due_plans.run(connection, account=account, now=now, limit=limit)
    return [Planned(*row) for row in found]


def plans(connection: Connection, account: int, after: int = 0, limit: int = 200) -> list[Planned]:
    """Planned changes of every status, by id."""
    return [Planned(*row) for row in _plans.run(connection, account=account, after=after, limit=limit)]


def one_plan(connection: Connection, account: int, plan_id: int) -> Planned | None:
    """The planned change of this id."""
    found = _one_plan.run(connection, account=account, id=plan_id)
    return Planned(*found[0]) if found else None


def accounts_due(connection: Connection, now: int) -> list[int]:
    """Accounts with a planned change whose time has come."""
    return [row[0] for row in _accounts_due.run(connection, now=now)]


def end_plan(connection: Connection, account: int, plan_id: int, status: str, now: int) -> bool:
    """End a waiting planned change as ``status``; False if it was ended before."""
    ended = _end_plan.run(connection, account=account, id=plan_id, status=status, now=now)
    if status != "applied":
        ahead.mark(connection, account, [row[0] for row in ended], now)
    return bool(ended)


def refuse_plan(connection: Connection, account: int, plan_id: int, why: str, now: int) -> None:
    """Write down why a planned change that has ended was not made. Channels that were told of it ahead are
    told anew: nothing has moved that would have them take it back."""
    ended = _refuse_plan.run(connection, account=account, id=plan_id, outcome=why)
    ahead.mark(connection, account, [row[0] for row in ended], now)
