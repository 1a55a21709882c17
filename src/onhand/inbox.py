"""Applies received messages: an account's strictly in order of arrival, each exactly once.

A message and what it does are committed together (`Work.consume`), so a kill at any moment leaves
both or neither. The messages of one source that wait are applied in one commit; when that fails,
one by one; and one that fails alone, again and again, is put aside as an incident.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog
from sqlalchemy import Connection

from onhand.inventory import Inventory
from onhand.store import incidents, requests
from onhand.store.requests import Message
from onhand.strikes import Strikes

Applier = Callable[[Inventory, int, Sequence[Message]], Awaitable[None]]
"""Applies messages of one source and one account, oldest first, each in one commit with its end;
when it returns they are out of the inbox."""

RUN = 100
"""Messages that an applier is given at once."""

log = structlog.get_logger(__name__)


class NotApplied(Exception):
    """An applier came back and left its message in the inbox."""


class Inbox:
    """The waiting messages of all accounts. `nudge` starts to apply an account's."""

    def __init__(
        self, inventory: Inventory, appliers: Mapping[str, Applier], stopping: asyncio.Event
    ) -> None:
        self._inventory = inventory
        self._appliers = appliers
        self._stopping = stopping
        self._strikes = Strikes()
        self._called: set[int] = set()
        self.draining: dict[int, asyncio.Task[None]] = {}

    def nudge(self, account: int) -> None:
        """See to an account's messages now; returns at once. To be called in the event loop."""
        self._called.add(account)
        if account not in self.draining and not self._stopping.is_set():
            self.draining[account] = asyncio.create_task(self._drain(account), name=f"inbox {account}")

    async def _drain(self, account: int) -> None:
        try:
            while not self._stopping.is_set():
                self._called.discard(account)
                if not await self._step(account) and account not in self._called:
                    return
        except Exception:  # the next nudge comes back to this account
            log.exception("an inbox could not be seen to, the next look tries again", account=account)
        finally:
            # Nothing is awaited between the last look at `_called` and this, so no nudge gets lost.
            del self.draining[account]

    async def _step(self, account: int) -> bool:
        """Apply the oldest messages; False when there were none."""
        messages = await self._inventory.read(account, partial(requests.waiting, account=account, limit=RUN))
        if not messages:
            return False
        run = _same_source(messages)
        if await self._try(account, run) is None:
            return True
        for message in run:
            # Somewhere in the run is one that fails; alone, each speaks for itself.
            if self._stopping.is_set():
                return True
            error = await self._try(account, [message])
            if error is not None:
                await self._failed(account, message, error)
                return True
        return True

    async def _try(self, account: int, run: Sequence[Message]) -> Exception | None:
        try:
            await self._appliers[run[0].source](self._inventory, account, run)
            left = await self._inventory.read(account, partial(requests.ends, account=account))
            if left is not None and left[0] <= run[0].id:
                raise NotApplied(f"message {run[0].id} is still in the inbox")
        except Exception as error:  # noqa: BLE001 - whatever it is, the messages behind it wait
            return error
        self._strikes.forget((account, run[0].id))
        return None

    async def _failed(self, account: int, message: Message, error: Exception) -> None:
        thing = (account, message.id)
        gone = self._strikes.strike(thing, error)
        what = {"account": account, "message": message.id, "source": message.source, "given_up": gone}
        log.error("a message could not be applied", **what, exc_info=error)
        if not gone:
            await pause(self._stopping, self._strikes.pause(thing))
            return
        self._strikes.forget(thing)
        now = self._inventory.now()
        await self._inventory.write(account, lambda c: _park(c, account, message, error, now), quiet=True)


async def pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait; True, and at once, when it is time to stop."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _same_source(messages: Sequence[Message]) -> Sequence[Message]:
    """The first messages, as far as they go to the same applier."""
    for at, message in enumerate(messages):
        if message.source != messages[0].source:
            return messages[:at]
    return messages


def _park(connection: Connection, account: int, message: Message, error: Exception, now: int) -> None:
    """Keep a message as an incident instead of in the inbox, so that those behind it go on."""
    if requests.consume(connection, [(account, message.id)]):
        body = message._asdict() | {"why": repr(error)}
        incidents.report(connection, account, [(incidents.MESSAGE, body)], now)
