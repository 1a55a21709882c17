"""What is needed to speak to channels on a person's behalf: ledger, seals, transport, connectors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

from onhand import connectors
from onhand.connectors.flow import Failed, Flow
from onhand.connectors.kind import Kind
from onhand.courier.flows import Session, Stopping, Way
from onhand.courier.office import Clock
from onhand.courier.ports import Transport
from onhand.courier.stored import Vault
from onhand.inventory import Inventory
from onhand.seals import Seals, seals
from onhand.settings import Settings
from onhand.store import drives
from onhand.store.drives import Driven
from onhand.transport import ChannelTransport

T = TypeVar("T")

SESSIONS_LIMIT = 100
ASKING_SECONDS = 120.0
"""How long a person waits for one answer of a channel, its own throttling included."""


class Refusal(Exception):
    """Something that cannot be done, with a stable code and words for a person; ``at`` names the setting,
    rule or parameter that is meant."""

    def __init__(self, code: str, words: str, at: str = "") -> None:
        super().__init__(words)
        self.code, self.words, self.at = code, words, at


class Equipment:
    """What a process speaks to channels with, besides its courier. Nothing is opened before it is used."""

    def __init__(
        self,
        inventory: Inventory,
        settings: Settings,
        *,
        modules: Sequence[Kind] | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.inventory = inventory
        self.settings = settings
        self.modules = {one.CHANNEL.name: one for one in (connectors.ALL if modules is None else modules)}
        self.transport: Transport = transport or ChannelTransport(private=settings.allow_private_channels)
        self.seals: Seals = seals(settings)
        self.ending = asyncio.Event()
        """Set when the process is asked to stop: who only waits for something to happen waits no longer."""
        self._stopping = asyncio.Event()
        self._sessions: dict[tuple[int, int], tuple[Session, Driven]] = {}

    def now(self) -> int:
        """Microseconds UTC."""
        return self.inventory.now()

    def module(self, channel: str) -> Kind:
        """The connector of a channel. Raises Refusal."""
        found = self.modules.get(channel)
        if found is None:
            names = ", ".join(sorted(self.modules))
            raise Refusal("unknown_channel", f"there is no channel {channel!r}: {names}", "channel")
        return found

    async def session(self, account: int, link: int) -> Session:
        """A way to a connection's channel, kept from page to page. Raises Refusal."""
        row = await self.inventory.read(account, partial(drives.driven, account=account, link=link))
        if row is None:
            unknown_connection()
        module = self.module(row.channel)
        kept = self._sessions.get((account, link))
        if kept is not None and _same(kept[1], row):
            return kept[0]
        vault = Vault(self.inventory, self.seals, account, link)
        try:
            values = vault.settings(module, row)
        except ValueError as error:
            raise Refusal("bad_settings", f"the settings do not fit: {error}", "settings") from error
        way = Way(self.transport, Clock(self.inventory.now), self._stopping, random.Random())
        pace = None if kept is None else kept[0].pace
        made = Session(module, values, way, vault=vault, pace=pace)
        if len(self._sessions) >= SESSIONS_LIMIT:
            self._sessions.clear()
        self._sessions[account, link] = (made, row)
        return made

    def forget(self, account: int, link: int) -> None:
        """The connection's settings have changed."""
        self._sessions.pop((account, link), None)

    async def close(self) -> None:
        """Stop waiting for channels, and close what is open to them."""
        self._stopping.set()
        if isinstance(self.transport, ChannelTransport):
            await self.transport.close()

    def __iter__(self) -> Iterator[Kind]:
        return iter(self.modules.values())


def _same(one: Driven, other: Driven) -> bool:
    """Whether a connection is spoken to as before: another process may have given it other secrets."""
    return (one.settings, one.rules, one.secrets) == (other.settings, other.rules, other.secrets)


def unknown_connection() -> NoReturn:
    """Raise Refusal."""
    raise Refusal("unknown_connection", "there is no such connection that the hub tells", "connection")


async def asked(session: Session, make: Callable[[Any], Flow[T]]) -> T:
    """Run a flow for a person. Raises Refusal with the channel's words."""
    try:
        async with asyncio.timeout(ASKING_SECONDS):
            return await session.run(make)
    except Failed as error:
        code = "channel_refused" if error.login or not error.retry else "channel_unavailable"
        raise Refusal(code, f"{session.module.CHANNEL.title}: {error.words}") from error
    except (TimeoutError, Stopping) as error:
        words = f"{session.module.CHANNEL.title} did not answer in time"
        raise Refusal("channel_unavailable", words) from error
