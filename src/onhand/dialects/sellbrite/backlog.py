"""Takes calls into the inbox, and holds them up while more comes in than can be applied in time."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial

from onhand.inventory import Inventory
from onhand.store import requests

RECORDS_LIMIT = 1_000
"""Records that may wait, of those that this process took: what is applied in a part of half a second."""

PATIENCE_SECONDS = 5.0
"""How long a call is held up at most: what is not applied by then is held up by something else."""

STEP_SECONDS = 0.005


class _Line:
    """An account's calls: records under way or waiting, and the messages that hold them."""

    __slots__ = ("count", "gate", "taken")

    def __init__(self) -> None:
        self.gate = asyncio.Lock()
        self.count = 0
        self.taken: deque[tuple[int, int]] = deque()


class Backlog:
    """What was taken here and may not be applied yet, by account. ``patience`` is in seconds."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._lines: dict[int, _Line] = {}

    async def take(
        self, inventory: Inventory, account: int, source: str, principal: str, body: str, records: int
    ) -> None:
        """`Inventory.accept` for a call of so many records. It waits until those before it are nearly done:
        many clients can be answered at a time, and what they ask for is applied in one line."""
        line = self._lines.get(account)
        if line is None:
            line = self._lines[account] = _Line()
        if line.count > RECORDS_LIMIT or line.gate.locked():
            deadline = asyncio.get_running_loop().time() + self._patience
            async with line.gate:
                if line.count > RECORDS_LIMIT:
                    await _ease(inventory, account, line, deadline)
        line.count += records
        try:
            number = await inventory.accept(account, source, principal, body)
        except BaseException:
            line.count -= records
            raise
        line.taken.append((number, records))


async def _ease(inventory: Inventory, account: int, line: _Line, deadline: float) -> None:
    """Take what is applied off ``line``, until there is room or the time is up."""
    ends = partial(requests.ends, account=account)
    left = await inventory.read(account, ends, alone=True)
    while _full(line, left) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(STEP_SECONDS)
        left = await inventory.read(account, ends, alone=True)


def _full(line: _Line, left: tuple[int, int] | None) -> bool:
    """Whether ``line`` is full, of what is ``left`` in the inbox."""
    while line.taken and (left is None or line.taken[0][0] < left[0]):
        line.count -= line.taken.popleft()[1]
    return line.count > RECORDS_LIMIT
