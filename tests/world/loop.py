"""An event loop whose time passes only when nothing is left to do: minutes of trade take moments."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from onhand.inventory import Inventory

T = TypeVar("T")

START = 1_795_305_600_000_000
PATIENCE_SECONDS = 20.0
"""Real seconds to wait for a thread; longer, and something hangs."""


class _Selector(selectors.DefaultSelector):
    """Looks for what has come; where the loop would sleep, time jumps instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As `selectors.BaseSelector`."""
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        if self.loop.busy or timeout is None:
            found = super().select(PATIENCE_SECONDS)
            assert found, "the world hangs: nothing comes, and nothing is due"
            return found
        self.loop.ahead(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands while threads are at work (``busy`` of them), and jumps when all only wait."""

    def __init__(self) -> None:
        self._seconds = 0.0
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

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As in asyncio; time stands meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self.watch(future)
        return future


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


class Ledger(Inventory):
    """The real one; time stands while it writes."""

    def _submit(self, *args: Any, **named: Any) -> asyncio.Future[Any]:
        future = super()._submit(*args, **named)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.watch(future)
        return future


def play(story: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a story in a loop of its own, and end what it leaves."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(story(loop))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
