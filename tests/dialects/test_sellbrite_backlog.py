"""Sellbrite calls that come faster than they can be applied: held up, and not for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from hubs import Call, Hub, demo_hub
from onhand.dialects.sellbrite import queue
from onhand.dialects.sellbrite.backlog import RECORDS_LIMIT, Backlog
from onhand.dialects.sellbrite.schema import Change, queued
from onhand.store import requests
from sellbrite_calls import auth, record, waiting

RECORDS = 50
FULL = RECORDS_LIMIT // RECORDS + 1
"""So many calls of so many records are one too many."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub that applies nothing by itself."""
    with demo_hub(tmp_path, "sellbrite") as running:
        yield running


async def take(hub: Hub, backlog: Backlog, number: int) -> None:
    body = queued(True, [Change(f"SKU-{at}", "w", number) for at in range(RECORDS)], {"w": 1})
    await backlog.take(hub.inventory, hub.account, queue.NAME, "test", body, RECORDS)


async def oldest(hub: Hub, limit: int) -> list[requests.Message]:
    return await hub.inventory.read(hub.account, lambda c: requests.waiting(c, hub.account, limit=limit))


def test_a_call_waits_until_there_is_room(hub: Hub) -> None:
    backlog = Backlog()

    async def go() -> None:
        for number in range(FULL):
            await take(hub, backlog, number)
        late = [asyncio.create_task(take(hub, backlog, number)) for number in (100, 101, 102)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in late)
        await queue.apply(hub.inventory, hub.account, await oldest(hub, 2))
        await asyncio.wait_for(asyncio.gather(*late[:2]), 5)
        await asyncio.sleep(0.05)
        assert not late[2].done()
        await queue.apply(hub.inventory, hub.account, await oldest(hub, FULL))
        await asyncio.wait_for(late[2], 5)

    hub.run(go)
    assert waiting(hub) == 1


def test_a_call_is_taken_when_nothing_is_applied_for_long(hub: Hub) -> None:
    backlog = Backlog(patience=0.1)

    async def go() -> None:
        for number in range(FULL):
            await take(hub, backlog, number)
        await asyncio.wait_for(asyncio.gather(*(take(hub, backlog, number) for number in range(20))), 5)

    hub.run(go)
    assert waiting(hub) == FULL + 20


def test_what_is_not_taken_does_not_count(hub: Hub) -> None:
    """A message that could not be kept leaves no trace: the next one has its room."""
    backlog = Backlog()

    async def go() -> None:
        for _ in range(FULL):
            with pytest.raises(DBAPIError):
                await backlog.take(hub.inventory, hub.account, queue.NAME, "test", object(), RECORDS)  # type: ignore[arg-type]
        await asyncio.wait_for(take(hub, backlog, 1), 1)

    hub.run(go)
    assert waiting(hub) == 1


def test_calls_over_http_are_held_up(hub: Hub) -> None:
    records = [record(hub, f"SKU-{at}", on_hand=at) for at in range(RECORDS)]
    options = {"json": {"inventory": records}, "auth": auth(hub)}
    calls = [Call("PUT", "/sellbrite/inventory", options)] * (FULL + 4)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(hub.together, calls)
        end = time.monotonic() + 3
        while waiting(hub) < FULL and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.05)
        assert waiting(hub) == FULL
        hub.run(queue.apply, hub.inventory, hub.account, hub.run(oldest, hub, FULL))
        answers = sent.result(5)
    assert {one.status_code for one in answers} == {200}
    assert waiting(hub) == 4
