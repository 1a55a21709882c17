"""Long work on the command line: a bar when a person is looking, and an end at Ctrl-C between two steps."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from onhand.cli import frame

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


KEPT = "what was done until then is kept: run the same command again to go on from there"
"""Said when something failed in the middle, and the command does each thing once."""


class Bar:
    """What is shown: call it with steps done."""

    def __init__(self, shown: Progress, task: TaskID) -> None:
        self._shown = shown
        self._task = task

    def __call__(self, steps: int) -> None:
        self._shown.advance(self._task, steps)

    def total(self, steps: int) -> None:
        """Now it is known how many there are."""
        self._shown.update(self._task, total=steps)


@contextlib.contextmanager
def bar(words: str, total: int | None) -> Iterator[Bar]:
    """A progress bar on standard error while the block runs; call what it gives with steps done. ``total``
    None: nobody knows how many there are, or not yet."""
    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Progress(*columns, console=Console(stderr=True), disable=not frame.watched(), transient=True)
    with shown:
        yield Bar(shown, shown.add_task(words, total=total))


@contextlib.contextmanager
def stoppable(*, also_terminate: bool = False) -> Iterator[Callable[[], bool]]:
    """Inside, the first Ctrl-C only makes what is given return True; the second one ends at once.
    ``also_terminate``: SIGTERM is heard like it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)

    def heard() -> None:
        stop.set()
        give_back()

    def give_back() -> None:
        if loop.remove_signal_handler(signal.SIGINT):
            signal.signal(signal.SIGINT, before)

    try:
        loop.add_signal_handler(signal.SIGINT, heard)
        if also_terminate:
            loop.add_signal_handler(signal.SIGTERM, stop.set)
    except (ValueError, RuntimeError):  # only the main thread hears signals
        yield stop.is_set
        return
    try:
        yield stop.is_set
    finally:
        give_back()
        if also_terminate:
            loop.remove_signal_handler(signal.SIGTERM)
