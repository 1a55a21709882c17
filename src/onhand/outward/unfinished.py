"""Finds the connection that a killed process began and did not finish, so that the next goes on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand.connectors.kind import Kind
from onhand.outward.equipment import Equipment
from onhand.outward.needs import needs
from onhand.store import drives, linking

PASSING = frozenset({"access_token", "refresh_token", "auth_code", "expires_at", "public_keys"})
"""Settings that change by themselves: they do not say which shop it is."""


def of_the_same_shop(
    connection: Connection,
    equipment: Equipment,
    account: int,
    channel: str,
    open_values: Mapping[str, Any],
    hidden: Mapping[str, Any],
) -> int | None:
    """The unfinished connection with these settings: all of them the same but what changes by itself, and
    one at least that somebody gave. None when there is none."""
    usual = _usual(equipment.module(channel))
    mine = _steady(dict(open_values) | dict(hidden), usual)
    for one in linking.links(connection, account):
        if one.channel != channel or not one.unfinished:
            continue
        envelope = drives.secrets(connection, account, one.id)
        try:
            kept = equipment.seals.open(account, one.id, envelope) if envelope else {}
        except ValueError:  # sealed with a key that is gone
            continue
        if mine and _steady(one.settings | dict(kept), usual) == mine:
            return one.id
    return None


def _usual(module: Kind) -> Mapping[str, Any]:
    fields = {field.name: field.default for field in msgspec.structs.fields(module.CHANNEL.settings)}
    return {one.name: fields[one.name] for one in needs(module.CHANNEL) if not one.required}


def _steady(values: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in values.items()
        if name not in PASSING and value is not None and not (name in usual and usual[name] == value)
    }
