"""Accounts and keys, as the operator makes, lists and ends them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from onhand.inventory import Inventory
from onhand.outward.telling import moment
from onhand.store import accounts, catalog, keys
from onhand.store.catalog import Location, Seller

NAME_LIMIT = 100
TIMES = ("recorded_at", "created_at", "expires_at", "revoked_at")


class BadAsk(Exception):
    """The operator asked for something that cannot be, and why, in words."""


class BadWords(BadAsk):
    """What was asked for can be of no database: the command line itself is wrong."""


def plain_name(name: str, what: str) -> str:
    """``name`` if it can be one: printable, not empty, not too long."""
    if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
        raise BadAsk(f"a name of {what} has 1 to {NAME_LIMIT} printable characters")
    return name


async def add_account(inventory: Inventory, *, name: str) -> dict[str, Any]:
    """Create an account with its own seller and a first location, "main"."""
    plain_name(name, "an account")
    now = inventory.now()

    def unit(connection: Connection) -> dict[str, Any]:
        made = accounts.add(connection, name, now)
        seller = catalog.add_seller(connection, made.id, Seller(0, name, own=True), now)
        catalog.add_location(connection, made.id, Location(0, "main", seller.id), now)
        return {"id": made.id, "name": made.name}

    try:
        return await inventory.write(0, unit)
    except catalog.Taken as taken:
        raise BadAsk(f"there is an account named {name!r} already") from taken


async def list_accounts(inventory: Inventory) -> list[dict[str, Any]]:
    """Every account, with the number of its last movement."""
    found = await inventory.read(0, accounts.accounts)
    return [_shown(one._asdict()) for one in found]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its times as everything else tells them; None for what has not been."""
    return row | {name: moment(row[name]) for name in TIMES if name in row}


async def account_id(inventory: Inventory, name: str | None) -> int:
    """The account of this name; without a name, the only one. Raises BadAsk in words."""
    found = await inventory.read(0, accounts.accounts)
    if name is not None:
        for one in found:
            if one.name == name:
                return one.id
        raise BadAsk(f"there is no account named {name!r}")
    if len(found) == 1:
        return found[0].id
    if not found:
        raise BadAsk("there is no account yet: 'onhand accounts create NAME' makes one")
    names = ", ".join(one.name for one in found)
    raise BadAsk(f"there are several accounts ({names}): say which with --account")


async def list_keys(inventory: Inventory, *, account: int) -> list[dict[str, Any]]:
    """The account's keys, without their secrets."""
    found = await inventory.read(account, lambda c: keys.of_account(c, account))
    hidden = {"secret_hash", "lookup", "account", "kind"}
    return [_shown({k: v for k, v in one._asdict().items() if k not in hidden}) for one in found]


async def revoke_key(inventory: Inventory, *, account: int, principal: str) -> int:
    """End a principal's credentials at once; how many there were."""
    now = inventory.now()
    ended = await inventory.write(account, lambda c: keys.revoke(c, account, principal, now))
    if not ended:
        raise BadAsk(f"there is no running key of {principal!r}")
    return ended
