"""Where a connection's secrets are kept: opened from and sealed into the envelope of its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection

from onhand.connectors.channel import (
    read_settings,
)
from onhand.connectors.kind import Kind
from onhand.courier.ports import Seals
from onhand.inventory import Inventory
from onhand.store import drives, linking
from onhand.store.drives import Driven


class Vault:
    """The secrets of one connection."""

    def __init__(self, inventory: Inventory, seals: Seals, account: int, link: int) -> None:
        self._inventory = inventory
        self._seals = seals
        self._account, self._link = account, link

    async def load(self) -> dict[str, Any]:
        """The secrets as they are stored now."""
        query = partial(drives.secrets, account=self._account, link=self._link)
        return self._open(await self._inventory.read(self._account, query))

    async def keep(
        self, values: Mapping[str, Any], still: Callable[[Mapping[str, Any]], bool] = lambda settings: True
    ) -> None:
        """Store these in place of those of the same names, if ``still`` says so of all settings as they are
        stored now; returns after the commit."""

        def unit(connection: Connection) -> None:
            linking.hold(connection, self._account, self._link)
            row = drives.driven(connection, self._account, self._link)
            if row is None:
                return
            old = self._open(row.secrets)
            if not still({**row.settings, **old}):
                return
            envelope = self._seals.seal(self._account, self._link, {**old, **values})
            drives.keep_secrets(connection, self._account, self._link, envelope)

        await self._inventory.write(self._account, unit, quiet=True)

    def settings(self, module: Kind, link: Driven) -> Any:
        """The module's Settings of a connection. Raises ValueError in words (msgspec.ValidationError is
        one) when they do not fit."""
        return read_settings(module.CHANNEL.settings, {**link.settings, **self._open(link.secrets)})

    def _open(self, envelope: str | None) -> dict[str, Any]:
        return self._seals.open(self._account, self._link, envelope) if envelope else {}
