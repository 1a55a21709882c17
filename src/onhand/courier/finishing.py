"""Work that must not be left half because whoever waits for it is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finished(work: Coroutine[Any, Any, T], patience: float) -> T:
    """What ``work`` returns. Who is cut off meanwhile stays until it has ended, ``patience`` seconds at most;
    and who is cut off again goes at once, and ``work`` with it."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task], timeout=patience)
        finally:
            task.cancel()
        raise
