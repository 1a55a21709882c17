"""Keys of this API: listed, created with scopes, shown once, revoked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta
from sqlalchemy import Connection
from starlette.responses import Response

from onhand import auth
from onhand.api import told
from onhand.api.calls import Call
from onhand.api.problems import Problem, invalid
from onhand.api.replies import Reply, response
from onhand.api.schema import Body, Id, ahead, missing, shown
from onhand.api.setup import PREFIX, stored_key
from onhand.store import catalog, keys

Scope: TypeAlias = Literal["read", "write", "admin"]
Label: TypeAlias = Annotated[str, Meta(max_length=100)]


class New(Body, frozen=True, kw_only=True):
    """A key to create: what it may do, for which seller, until when."""

    scope: Scope
    label: Label = ""
    seller: Id | None = None
    expires_at: str | None = None


async def listed(call: Call) -> Response:
    """GET /keys: of every API of the account, without their secrets."""
    call.account_wide()
    call.params()
    found = await call.read(lambda c: keys.of_account(c, call.account))
    return response(Reply(200, told.page([_body(one) for one in found], None)))


async def created(call: Call) -> Response:
    """POST /keys. The secret is in this answer and nowhere else, not even in a replay of it."""
    call.account_wide()
    call.params()
    asked = call.body(New)
    until = None if asked.expires_at is None else ahead(asked.expires_at, call.now, "/expires_at")
    if asked.seller is not None and asked.scope == auth.ADMIN:
        raise invalid("/scope", "A key that is bound to a seller may read or write")
    secret = auth.fresh(PREFIX)

    def unit(connection: Connection) -> Reply:
        sellers = {one.id for one in catalog.sellers(connection, call.account)}
        if asked.seller is not None and asked.seller not in sellers:
            raise missing("unknown_seller", f"seller {asked.seller}", "/seller")
        new = stored_key(
            connection,
            call.account,
            secret,
            call.now,
            scopes=asked.scope,
            seller=asked.seller,
            label=asked.label,
            expires_at=until,
        )
        keys.add(connection, [new])
        return Reply(201, _body(new) | {"api_key": secret})

    return await call.write(unit, kept=_without_secret)


def _without_secret(made: Reply) -> Reply:
    return Reply(made.status, made.body | {"api_key": None})


async def revoked(call: Call) -> Response:
    """DELETE /keys/{key}: every credential of this id ends at once."""
    call.account_wide()
    call.params()
    principal = call.path("key")

    def unit(connection: Connection) -> Reply:
        ended = keys.revoke(connection, call.account, principal, call.now)
        found = [one for one in keys.of_account(connection, call.account) if one.principal == principal]
        if not found and not ended:
            raise Problem("unknown_key", "There is no key of this id")
        return Reply(200, _body(found[-1]) if found else {"id": principal})

    return await call.write(unit)


def _body(one: keys.Stored) -> dict[str, Any]:
    return {
        "id": one.principal,
        "api": one.dialect,
        "scope": one.scopes,
        "seller": one.seller,
        "connection": one.connection,
        "label": one.label,
        "created_at": shown(one.created_at),
        "expires_at": shown(one.expires_at),
        "revoked_at": shown(one.revoked_at),
    }
