"""An event loop whose time passes only when nothing is left to do: minutes of trade take moments."""

from __future__ import annotations

import asyncio
import random
import selectors
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from onhand.inventory import Inventory
from onhand.store.engine import Store

T = TypeVar("T")

START = 1_795_305_600_000_000
PATIENCE_SECONDS = 30.0
"""Real seconds to wait for a thread; longer, and something hangs."""
MOMENT_SECONDS = 0.02
"""What a thread would do takes so long at most before it is done, and again before anybody hears of it."""


class _Selector(selectors.DefaultSelector):
    """Looks for what has come; where the loop would sleep, time jumps instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As `selectors.BaseSelector`."""
        if not self.loop.busy:
            # Nothing comes from outside: the system need not be asked.
            if timeout is None:
                raise AssertionError("the world hangs: nothing is due")
            if timeout > 0:
                self.loop.ahead(timeout)
            return []
        if found := super().select(0 if timeout is not None and timeout <= 0 else PATIENCE_SECONDS):
            return found
        assert timeout is not None, "the world hangs: a thread does not end"
        assert timeout <= 0, "the world hangs: a thread does not end"
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes when all only wait. With ``lots``, whatever a thread would do is done in the loop itself,
    a moment later, and is heard of another moment later: each seed has an order of its own, and always the
    same. Without, threads do it, and time stands while they are at work (``busy`` of them)."""

    def __init__(self, lots: random.Random | None) -> None:
        self._seconds = 0.0
        self.lots = lots
        self.busy = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the loop began."""
        return self._seconds

    def ahead(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += seconds

    def watch(self, future: asyncio.Future[Any]) -> None:
        """Let time stand until this is done."""
        self.busy += 1
        future.add_done_callback(self._end)

    def _end(self, future: object) -> None:
        self.busy -= 1

    def soon(self, call: Callable[[], object]) -> None:
        """Call this a moment later. Needs ``lots``."""
        assert self.lots is not None
        self.call_later(self.lots.random() * MOMENT_SECONDS, call)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As in asyncio."""
        if self.lots is None:
            future = super().run_in_executor(executor, func, *args)
            self.watch(future)
            return future
        made: asyncio.Future[T] = self.create_future()
        self.soon(lambda: self._do(made, func, *args))
        return made

    def _do(self, future: asyncio.Future[T], func: Callable[..., T], *args: Any) -> None:
        try:
            found = func(*args)
        except Exception as error:  # noqa: BLE001 - it is who waits that it concerns
            self.soon(partial(_fail, future, error))
        else:
            self.soon(partial(_done, future, found))

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """As in asyncio; without ringing at the system's door where no thread is."""
        if self.lots is None:
            return super().call_soon_threadsafe(callback, *args, context=context)
        return self.call_later(self.lots.random() * MOMENT_SECONDS, callback, *args, context=context)


def _done(future: asyncio.Future[T], found: T) -> None:
    if not future.done():
        future.set_result(found)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class Time:
    """The wall clock of the world: no reading is like another. Any thread may ask."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._last = START
        self._guard = threading.Lock()

    def now(self) -> int:
        """Microseconds UTC."""
        with self._guard:
            self._last = max(self._last + 1, START + int(self._loop.time() * 1_000_000))
            return self._last


class _Desk:
    """In the place of the queue that a writer thread takes its turns from."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def put(self, turn: Callable[[], None] | None) -> None:
        """Do it a moment later."""
        if turn is not None:
            self._loop.soon(turn)

    def get(self) -> None:
        """Nothing: the writer thread ends as soon as it begins."""


class Ledger(Inventory):
    """The real one, in virtual time."""

    def __init__(self, store: Store, now: Callable[[], int], loop: VirtualLoop) -> None:
        super().__init__(store, now)
        commits = self._commits
        if loop.lots is not None:
            commits._ready = _Desk(loop)  # type: ignore[assignment]
            return
        submit = commits.submit

        def watched(*args: Any, **named: Any) -> asyncio.Future[Any]:
            future = submit(*args, **named)
            loop.watch(future)
            return future

        commits.submit = watched  # type: ignore[method-assign]


def play(story: Callable[[VirtualLoop], Coroutine[Any, Any, T]], lots: random.Random | None) -> T:
    """Run a story in a loop of its own, and end what it leaves."""
    loop = VirtualLoop(lots)
    try:
        return loop.run_until_complete(story(loop))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
