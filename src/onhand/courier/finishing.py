"""Work that must not be left half because whoever waits for it is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger(__name__)


async def finished(work: Coroutine[Any, Any, T], patience: float) -> T:
    """What ``work`` returns. Who is cut off meanwhile stays until it has ended, ``patience`` seconds at most;
    and who is cut off again goes at once, and ``work`` with it. What it then fails with is logged."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.add_done_callback(_told)
        try:
            await asyncio.wait([task], timeout=patience)
        finally:
            task.cancel()
        raise
    return task.result()


def _told(task: asyncio.Task[Any]) -> None:
    """Say what work failed with that nobody waits for any more. Its words are without secrets."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("what was to be ended has failed", words=f"{type(error).__name__}: {error}")
