"""Access tokens: an application is told the one it has again until it is half used up."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from onhand import auth
from onhand.dialects.flipkart import oauth
from onhand.dialects.flipkart.schema import DIALECT
from onhand.store import keys

TOKENS_LIMIT = 8
"""Live tokens of one application: the oldest beyond it are ended (the lifetime was set shorter)."""

_SECOND = 1_000_000


class Granted(NamedTuple):
    """A token and when it ends (microseconds UTC)."""

    token: str
    expires_at: int


def application(connection: Connection, app: oauth.App, now: int) -> keys.Stored:
    """The stored credential of an application that has proven itself. Raises oauth.Denied."""
    found = None if "\0" in app.id else keys.find(connection, DIALECT, app.id)
    if found is None or found.kind != "key":
        raise oauth.no_client(app.id)
    if auth.check(connection, DIALECT, app.id, app.secret, now) is None:
        raise oauth.unauthorized("Bad credentials")
    return found


def look_up(connection: Connection, app: oauth.App, now: int, seconds: int) -> tuple[int, Granted | None]:
    """The account of an application, and its token if that is still good enough. Raises oauth.Denied."""
    stored = application(connection, app, now)
    return stored.account, current(connection, app, stored, now, seconds)


def current(
    connection: Connection, app: oauth.App, stored: keys.Stored, now: int, seconds: int
) -> Granted | None:
    """The application's token, while it is good for at least half of ``seconds``, a lifetime."""
    enough = (_ending(stored, now, seconds) - now) // 2
    for token in keys.tokens(connection, stored.account, DIALECT, stored.lookup, now):
        ends = token.expires_at or 0
        # A lifetime that was set shorter since then ends the telling of longer tokens.
        if ends - token.created_at <= seconds * _SECOND and ends - now >= enough:
            return Granted(oauth.token(app, token.created_at), ends)
    return None


def grant(connection: Connection, app: oauth.App, now: int, seconds: int) -> Granted:
    """The application's token, a new one if need be. For the writer's connection; tidies up on the way.

    Raises oauth.Denied when the application was revoked since it was looked up.
    """
    if "\0" in app.id or not keys.hold(connection, DIALECT, app.id):
        raise oauth.unauthorized("Bad credentials")
    stored = application(connection, app, now)
    found = current(connection, app, stored, now, seconds)
    if found is not None:
        return found
    keys.drop_expired(connection, now)
    live = keys.tokens(connection, stored.account, DIALECT, stored.lookup, now)
    born_at = max([now, *(token.created_at + 1 for token in live)])
    made = oauth.token(app, born_at)
    row = stored._replace(
        lookup=auth.digest(made),
        secret_hash=None,
        kind="token",
        label=stored.lookup,
        created_at=born_at,
        expires_at=_ending(stored, now, seconds),
    )
    keys.add(connection, [row])
    keys.drop(connection, [(DIALECT, token.lookup) for token in live[TOKENS_LIMIT - 1 :]])
    return Granted(made, row.expires_at or 0)


def _ending(stored: keys.Stored, now: int, seconds: int) -> int:
    """A token never outlives the credential it was made from."""
    ends = now + seconds * _SECOND
    return ends if stored.expires_at is None else min(ends, stored.expires_at)
