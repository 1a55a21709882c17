"""What the courier needs from outside: a transport, an opener of secrets, a clock, and what takes orders in.

Implementations are handed to `courier.Courier`; nothing here sends, seals or waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response
from onhand.courier.flows import Session

Probe: TypeAlias = Callable[[str], None]
"""Told the name of each point that a push passes: see `POINTS`. A test stops the courier by raising
`Crash` in it."""

POINTS = ("claimed", "prepared", "sending", "answered", "split", "told", "settled")
"""``claimed`` targets are computed; ``prepared`` what must be written before sending is written; ``sending``
a request goes out; ``answered`` it came back; ``split`` a refused batch was halved; ``told`` the verdicts
are there and not yet written; ``settled`` they are."""


class Crash(BaseException):
    """Raised by a probe: the courier dies at this point, as a killed process would. It writes nothing
    more and keeps its leases until they lapse."""


class Transport(Protocol):
    """Sends one request and follows no redirect."""

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """The answer, with header names in lower case. Status 0 when nothing came back within ``timeout``
        seconds, when the connection broke, or when the answer was too large; raises nothing but what
        cancels it."""


class Seals(Protocol):
    """Opens and makes the envelopes in which secrets are stored, bound to account and connection."""

    def open(self, account: int, connection: int, envelope: str) -> dict[str, Any]:
        """The values inside. Raises ValueError in words, without values."""

    def seal(self, account: int, connection: int, values: Mapping[str, Any]) -> str:
        """An envelope with these values."""


class Clock(Protocol):
    """The time, and waiting for it to pass."""

    def now(self) -> int:
        """Microseconds UTC."""

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """True as soon as the event is set, False when so many seconds have passed before."""


class TakesOrders(Protocol):
    """Asks a channel for its orders, from where it stood last, and takes them in."""

    async def poll(self, account: int, connection: int, session: Session) -> bool:
        """One page of orders, through ``session.run(lambda settings: module.orders(settings, cursor))``;
        True when the channel has more. It stores its own cursor (`drives.orders_cursor`) in the commit
        that takes the orders in. Raises `flow.Failed`."""

    async def reread(
        self, account: int, connection: int, session: Session, names: Sequence[str] | None = None
    ) -> None:
        """Ask for orders by their ids, for all that hold units here unless they are named, and take in how
        they stand or that they are gone. Raises `flow.Failed`."""

    def forget(self, account: int, connection: int) -> None:
        """A connection is gone: nothing of it need be remembered."""
