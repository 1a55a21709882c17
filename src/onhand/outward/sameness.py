"""Finds the connection to a shop that is there already: one that a killed process left, or a whole one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand.connectors.channel import read_settings
from onhand.connectors.kind import Kind
from onhand.outward.equipment import Equipment
from onhand.outward.needs import needs
from onhand.store import drives, linking
from onhand.store.linking import Linked

ROLES = frozenset({"orders"})
"""Settings that tell what a connection is for, and not whose shop it is to."""

PASSING = frozenset({"access_token", "expires_at", "public_keys"})
"""Settings that change by themselves: they do not say which shop it is."""

TWICE = (
    "this shop is connected already, as connection {} ({}): a second one would take each of its orders again."
    " Import what is new there with that one, or change its settings"
)


def of_the_same_shop(
    connection: Connection,
    equipment: Equipment,
    account: int,
    channel: str,
    open_values: Mapping[str, Any],
    hidden: Mapping[str, Any],
    but: int = 0,
) -> Linked | None:
    """The connection (another one than ``but``) to the shop of these settings, an unfinished one before
    others: those settings are the same that tell shops apart (`Channel.shop`), or all of them but what
    changes by itself, and one at least that somebody gave. None when there is none."""
    module = equipment.module(channel)
    mine = _shop(module, {**open_values, **hidden})
    same = []
    for one in linking.links(connection, account) if mine else ():
        if one.channel != channel or one.id == but:
            continue
        envelope = drives.secrets(connection, account, one.id)
        try:
            kept = equipment.seals.open(account, one.id, envelope) if envelope else {}
        except ValueError:  # sealed with a key that is gone
            kept = {}
        if _shop(module, {**one.settings, **kept}) == mine:
            same.append(one)
    return min(same, key=lambda one: (not one.unfinished, one.id), default=None)


def leads_elsewhere(module: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The settings by which another shop is meant ``after`` than ``before``. A secret is none of them: a
    shop gets new ones."""
    secret = {one.name for one in needs(module.CHANNEL) if one.secret}
    return [
        name
        for name in module.CHANNEL.shop
        if name not in secret | ROLES
        and before.get(name) is not None
        and after.get(name) is not None
        and _plain(before[name]) != _plain(after[name])
    ]


def goes_elsewhere(module: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether secrets are sent to another address ``after`` than ``before``: whole settings, both. Those of
    before that do not fit any more cannot tell, which is taken for yes."""
    there, here = (_address(module, values) for values in (before, after))
    return there is None or there != here


def _address(module: Kind, values: Mapping[str, Any]) -> str | None:
    try:
        return module.base_url(read_settings(module.CHANNEL.settings, values)).rstrip("/")
    except msgspec.ValidationError:
        return None


def _shop(module: Kind, values: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a shop from others; nothing where nobody gave it."""
    fields = {field.name: field.default for field in msgspec.structs.fields(module.CHANNEL.settings)}
    usual = {one.name: fields[one.name] for one in needs(module.CHANNEL) if not one.required}
    given = {
        name: _plain(value)
        for name, value in values.items()
        if value is not None and not (name in usual and usual[name] == value)
    }
    telling = module.CHANNEL.shop or given.keys() - PASSING
    return {name: given[name] for name in telling if name in given}


def _plain(value: Any) -> Any:
    """A setting as it is when it was stored; an address without the stroke at its end, which says nothing."""
    return value.rstrip("/") if isinstance(value, str) else list(value) if isinstance(value, tuple) else value
