"""Runs a connector's flow over the transport: renders, signs, paces, repeats what may be repeated, and gets
fresh tokens once for all that wait.

    session = Session(module, settings, way)                  # settings: the module's own Settings
    words = await session.run(lambda s: module.check(s))
    page = await session.run(lambda s: module.pull(s, None))

A `Session` is a connection's way to its channel. It can be made without a stored connection, to try
settings before they are kept. With a ``vault`` (`stored.Vault`), fresh tokens are stored before they are
used. `run` raises `flow.Failed` when the flow does, and `Stopping` when the courier is told to stop while
the flow waits.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import structlog

from onhand.connectors import kind
from onhand.connectors.auth import Wire, render
from onhand.connectors.channel import plain_settings, read_settings
from onhand.connectors.flow import (
    Failed,
    Flow,
    Request,
    Response,
    Wait,
)
from onhand.connectors.kind import Kind
from onhand.connectors.reading import said_at
from onhand.courier.finishing import finished
from onhand.courier.pacing import Circuit, Pace, backoff

T = TypeVar("T")

TIMEOUT_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
"""How long a throttled call is worth waiting for, where nothing else depends on it."""
TRIES = 3
"""How often a repeatable request is sent when nothing or a server's fault comes back."""
THROTTLED_TRIES = 5
WITHOUT_END = 1_000_000
NOT_SENT = "not-sent"
"""The header of a silence by which the transport says that nothing had gone out yet."""
FRESH_SECONDS = 60
"""A token that ends within this time is not used any more."""
CLOCK_OFF = 60_000_000
"""Microseconds by which a channel's clock may differ from ours before its own time is signed with: channels
refuse what is minutes old, and a machine whose clock is wrong is no reason to sell what is gone."""
RECENT = 1_000
"""So many requests are what the rate of errors is of."""
REFUSED_SECONDS = 30
"""After tokens could not be got, nobody asks for them again within this time."""

log = structlog.get_logger(__name__)


class Stopping(Exception):
    """The courier is told to stop; what was under way is told again later."""


class Sends(Protocol):
    """See `ports.Transport`."""

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """The answer; status 0 when there was none."""


class Ticks(Protocol):
    """See `ports.Clock`."""

    def now(self) -> int:
        """Microseconds UTC."""

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """True as soon as the event is set, False after so many seconds."""


class Keeps(Protocol):
    """Where a connection's secrets are kept: see `stored.Vault`."""

    async def load(self) -> dict[str, Any]:
        """The secrets as they are stored now."""

    async def keep(self, values: Mapping[str, Any], still: Callable[[Mapping[str, Any]], bool]) -> None:
        """Store these in place of those of the same names, if ``still`` says so of the settings as they are
        stored now; returns after the commit."""


class Way(NamedTuple):
    """What all sessions of a process share. ``probe`` is for tests: see `ports.Probe`."""

    transport: Sends
    clock: Ticks
    stopping: asyncio.Event
    lots: random.Random
    probe: Callable[[str], None] = lambda point: None

    def now(self) -> float:
        """Seconds UTC."""
        return self.clock.now() / 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait. Raises Stopping."""
        if await self.clock.wait(self.stopping, seconds):
            raise Stopping


class Count:
    """What went out and came back."""

    __slots__ = ("_last", "errors", "requests", "throttled")

    def __init__(self) -> None:
        self.requests = self.errors = self.throttled = 0
        self._last: deque[bool] = deque(maxlen=RECENT)

    def answered(self, *, throttled: bool, failed: bool) -> None:
        """A request has come to its end."""
        self.requests += 1
        self.throttled += throttled
        self.errors += failed
        self._last.append(failed)

    @property
    def failing(self) -> float:
        """The share of the last requests that failed."""
        return sum(self._last) / len(self._last) if self._last else 0.0


def _astray(response: Response) -> Response:
    """A redirect as a fault of the channel: none is followed, and it says nothing about a listing. Its query
    may hold what is secret, and is left out."""
    where = response.headers.get("location", "").partition("?")[0] or "nowhere"
    return Response(502, {}, f"it answered {response.status} and sends to {where}".encode())


class Session:
    """A connection's way to its channel."""

    def __init__(
        self,
        module: Kind,
        settings: Any,
        way: Way,
        *,
        vault: Keeps | None = None,
        pace: Pace | None = None,
        circuit: Circuit | None = None,
        count: Count | None = None,
    ) -> None:
        self.module = module
        self.settings = settings
        self.pace = pace or Pace()
        self.circuit = circuit or Circuit()
        self.count = count or Count()
        self.leased: Callable[[], Awaitable[None]] | None = None
        """Makes sure, before anything is sent, that nobody else drives the connection; raises LeaseLost."""
        self.first: str | None = None
        """The bucket that the last prepaid flow's first request drew on."""
        self.ahead: int | None = None
        """By how much the channel's clock was ahead of ours at its first answer that had a date, in
        microseconds; a date has no parts of a second."""
        self.off = 0
        """The same at its last answer that had one."""
        self._way = way
        self._vault = vault
        self._generation = 0
        self._refreshing = asyncio.Lock()
        self._room = asyncio.Semaphore(module.CHANNEL.parallel or WITHOUT_END)
        self._refused_at = -float(REFUSED_SECONDS)
        self._refused: str | None = None
        self._limit()

    @property
    def bucket(self) -> str:
        """The bucket that the next prepaid flow will most likely draw on."""
        return self.first or (self._limits[0].name if self._limits else "default")

    async def run(
        self,
        make: Callable[[Any], Flow[T]],
        *,
        patience: float = PATIENCE_SECONDS,
        prepaid: str | None = None,
        tells: bool = False,
    ) -> T:
        """Run the flow that ``make`` builds from the settings; what it returns.

        A throttled call is repeated when it may be within ``patience`` seconds, else the flow is told.
        ``prepaid`` names a bucket from which one place was taken already (`ready`). ``tells`` that it tells
        the channel numbers: a 403 is then a reason to leave it alone.
        """
        return await self._follow(make(self.settings), patience, prepaid, tells=tells)

    async def ready(self, name: str) -> None:
        """Take a place in a bucket and wait until a call may go out. Raises Stopping."""
        await self._turn(name, 1)

    async def _follow(
        self, flow: Flow[T], patience: float, prepaid: str | None = None, *, tells: bool = False
    ) -> T:
        said: Response | None = None
        try:
            while True:
                step = flow.send(said)
                if isinstance(step, Wait):
                    await self._way.sleep(step.seconds)
                    said = None
                    continue
                paid = prepaid == step.limit
                if prepaid is not None:
                    self.first = step.limit
                    if not paid:
                        self.pace.give_back(prepaid)
                    prepaid = None
                said = await self._ask(step, patience, paid=paid, tells=tells)
        except StopIteration as end:
            if prepaid is not None:
                self.pace.give_back(prepaid)
            found: T = end.value
            return found
        finally:
            flow.close()

    async def _ask(self, request: Request, patience: float, *, paid: bool, tells: bool) -> Response:
        """Send a request, again where that does no harm, and with fresh tokens where they were refused."""
        refreshed, tries, throttled = False, 0, 0
        while True:
            generation = self._generation
            response, held = await self._once(request, paid=paid)
            paid = False
            if request.signed and not refreshed and self._unknown_there(response):
                refreshed = True
                if await self._refresh(generation):
                    continue
            if response.status == 429 and throttled < THROTTLED_TRIES and held <= patience:
                throttled += 1
                continue
            # Who may not read orders, or a list, may be told numbers all the same.
            if response.status == 401 or (response.status == 403 and tells):
                self.circuit.failed(self._refused or response.words, self._way.now(), self._way.lots)
            failed = response.silent or response.status >= 500
            harmless = request.repeatable or (response.silent and NOT_SENT in response.headers)
            tries += 1
            if failed and harmless and tries < TRIES and held <= patience:
                await self._way.sleep(backoff(tries - 1, self._way.lots, 0.25, 2.0))
                continue
            return response

    async def _once(self, request: Request, *, paid: bool) -> tuple[Response, float]:
        """Send once; the answer, and the seconds for which the channel now wants to be left alone."""
        if request.signed and self._wants_token():
            await self._refresh(self._generation)
        async with self._room:
            response = await self._sent(request, paid=paid)
        return response, self._heard(response, request.limit)

    async def _sent(self, request: Request, *, paid: bool) -> Response:
        if not paid:
            await self._turn(request.limit, request.cost)
        elif request.cost > 1:
            await self._turn(request.limit, request.cost - 1)
        else:
            await self._unheld(request.limit, request.cost)
        wire = render(self.module.base_url(self.settings), request)
        if request.signed:
            now = self._way.clock.now() + (self.off if abs(self.off) > CLOCK_OFF else 0)
            wire = self.module.sign(self.settings, wire, now, secrets.token_hex(8))
        if self.leased is not None:
            await self.leased()
        self._way.probe("sending")
        response = await self._way.transport.send(wire, timeout=TIMEOUT_SECONDS)
        self._way.probe("answered")
        return _astray(response) if 300 <= response.status < 400 else response

    async def _turn(self, name: str, cost: int) -> None:
        seconds = self.pace.take(name, self._way.now(), cost)
        if seconds > 0:
            await self._way.sleep(seconds)
        await self._unheld(name, cost)

    async def _unheld(self, name: str, cost: int) -> None:
        # What the channel said while we waited in line counts, too; and who waited lines up anew, where
        # there is a line: a channel may have no limits.
        while (held := self.pace.held(name, self._way.now())) > 0:
            await self._way.sleep(max(held, self.pace.take(name, self._way.now(), cost)))

    def _heard(self, response: Response, name: str) -> float:
        """Note what an answer says about the channel's state, whatever it says about the request."""
        now, lots = self._way.now(), self._way.lots
        # What a cache has kept tells when it was made, and has an age.
        if (there := said_at(response)) is not None and "age" not in response.headers:
            self.off = there - self._way.clock.now()
            self.ahead = self.off if self.ahead is None else self.ahead
        held = self.pace.heard(response, name, self.module.pace(response), now, lots)
        failed = response.silent or response.status >= 500 or response.status == 408
        self.count.answered(throttled=response.status == 429 or bool(response.ok and held), failed=failed)
        if failed:
            self.circuit.failed(response.words, now, lots)
        elif response.status not in (401, 403):
            self.circuit.succeeded()
        return held

    # --- tokens -----------------------------------------------------------------------------------

    def _unknown_there(self, response: Response) -> bool:
        if response.status == 401:
            return True
        says = kind.expired(self.module)
        return says is not None and says(response)

    def _wants_token(self) -> bool:
        """Whether a token is to be got before anything is sent: there is none, or it ends soon."""
        if kind.refreshes(self.module) is None or self._way.now() < self._refused_at + REFUSED_SECONDS:
            return False
        ends = getattr(self.settings, "expires_at", 0)
        soon = ends and ends / 1_000_000 - FRESH_SECONDS <= self._way.now()
        return bool(soon or kind.tokenless(self.module, self.settings))

    async def _refresh(self, generation: int) -> bool:
        """Get fresh tokens, once for all that wait; True when there are others than ``generation`` had."""
        async with self._refreshing:
            if generation != self._generation:
                return True
            if 0 <= self._way.now() - self._refused_at < REFUSED_SECONDS:
                return False
            try:
                # Whoever drives this may have taken them up as soon as they were stored.
                return await self._adopt() or await self._renew() or generation != self._generation
            except (Failed, ValueError) as error:
                if generation == self._generation:
                    now, void = self._way.now(), getattr(error, "login", False)
                    self._refused_at, self._refused = now, f"no fresh token: {error}"
                    self.circuit.failed(self._refused, now, self._way.lots, at_once=void)
                return generation != self._generation

    async def _adopt(self) -> bool:
        """Take the stored tokens if they are others than ours: another process may have got them."""
        if self._vault is None:
            return False
        return self._take(await self._vault.load())

    async def _renew(self) -> bool:
        get = kind.refreshes(self.module)
        if get is None:
            return False
        # To its end: a pair that is exchanged, and not kept, shuts us out.
        return await finished(self._exchanged(get), TIMEOUT_SECONDS)

    async def _exchanged(self, get: kind.Tokens) -> bool:
        there = self.module.base_url(self.settings)
        try:
            found = await self._follow(get(self.settings), PATIENCE_SECONDS)
        except Failed:
            # Another session, or another process, may have been a moment faster with the same pair.
            if await self._adopt():
                return True
            raise
        if seconds := found.get("expires_in"):
            found["expires_at"] = self._way.clock.now() + int(seconds) * 1_000_000
        fields = self.module.CHANNEL.settings.__struct_fields__
        fresh = {name: value for name, value in found.items() if name in fields}
        if self._vault is not None:
            # Before it is used: the old one of a rotating pair is void as soon as the new one is out.
            await self._vault.keep(fresh, lambda stored: self._leads(stored, there))
        return self._take(fresh)

    def _leads(self, values: Mapping[str, Any], there: str) -> bool:
        """Whether settings lead to this address: what one gave must never be sent to another."""
        try:
            return self.module.base_url(read_settings(type(self.settings), values)) == there
        except ValueError:  # they do not fit: nothing is sent by them
            return False

    def use(self, settings: Any) -> None:
        """Go on with other settings."""
        if settings != self.settings:
            self.settings = settings
            self._generation += 1
            self._refused, self._refused_at = None, -float(REFUSED_SECONDS)
            self._limit()

    def _limit(self) -> None:
        self._limits = kind.limits(self.module, self.settings)
        self.pace.use(self._limits)

    def _take(self, values: Mapping[str, Any]) -> bool:
        before = plain_settings(self.settings)
        after = before | {name: value for name, value in values.items() if name in before}
        if after == before:
            return False
        self.use(read_settings(type(self.settings), after))
        return True
