"""Applies accepted calls in order, several in one commit, each together with its end in the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from onhand.dialects.sellbrite import schema
from onhand.dialects.sellbrite.schema import Change, Queued
from onhand.inventory import Inventory
from onhand.store import catalog, requests
from onhand.store.requests import Message
from onhand.work import Group, PutDetail, Recorded, Work

NAME, KIND = "sellbrite", "inventory"
"""Under these names is kept what a place has besides its stock."""

RECORDS_AT_ONCE = 1_000
"""Records in one commit: the work of others goes between two."""
PATIENCE_SECONDS = 0.25
STEP_SECONDS = 0.002


class Call(NamedTuple):
    """A message and the call it holds."""

    message: Message
    queued: Queued


async def apply(inventory: Inventory, account: int, messages: Sequence[Message]) -> None:
    """Apply messages of this dialect, oldest first; the `onhand.inbox.Applier` of "sellbrite"."""
    calls = [Call(message, schema.unqueued(message.body)) for message in messages]
    for run in _runs(calls):
        recorded = await _record(inventory, account, run)
        if recorded.done_before:
            # Another process has taken some of these calls. The ones behind must wait for those that it has
            # left: whoever looks next begins with the oldest.
            return


async def settled(inventory: Inventory, account: int) -> None:
    """Wait until what was accepted before now is applied, but not for long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    ends = partial(requests.ends, account=account)
    first = waiting = await inventory.read(account, ends)
    while first and waiting and waiting[0] <= first[1] and loop.time() < deadline:
        await asyncio.sleep(STEP_SECONDS)
        waiting = await inventory.read(account, ends)


def _runs(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """Neighbours, as many as make a commit."""
    run: list[Call] = []
    count = 0
    for call in calls:
        records = len(call.queued.changes)
        count += records
        if run and count > RECORDS_AT_ONCE:
            yield run
            run, count = [], records
        run.append(call)
    if run:
        yield run


async def _record(inventory: Inventory, account: int, run: Sequence[Call]) -> Recorded:
    skus = {change.sku for call in run for _, change in call.queued.changes}
    ids = await inventory.recall_many(
        account, "item of", skus, lambda c, some: catalog.item_ids(c, account, some)
    )
    made = {
        change.sku for call in run if call.queued.create for _, change in call.queued.changes
    } - ids.keys()
    if made:
        now = inventory.now()
        # Quiet: what is not there yet is not remembered.
        ids |= await inventory.write(
            account, lambda c: catalog.ensure_items(c, account, made, now), quiet=True
        )
    groups = tuple(
        group(
            change,
            ids[change.sku],
            location,
            existing=None if call.queued.create else True,
            caller=call.message.principal,
        )
        for call in run
        for location, change in call.queued.changes
        if change.sku in ids
    )
    numbers = tuple(call.message.id for call in run)
    named = f"message {numbers[0]}" if len(numbers) == 1 else f"messages {numbers[0]} to {numbers[-1]}"
    work = Work(account, groups, run[0].message.principal, consume=numbers, context=f"{NAME} {named}")
    return await inventory.record(work)


def group(
    change: Change, item: int, location: int, existing: bool | None, caller: str | None = None
) -> Group:
    """One change with what goes with it: of a bin and a cost only what was sent, for others may be saying
    something of the place at the same time. A record that is not to exist yet has nothing else of either."""
    command = schema.command(change, item, location)
    part = schema.detail(change)
    if existing is False:
        anew = (PutDetail(NAME, KIND, item, location, part),)
        return Group((command,), also=anew, existing=False, caller=caller)
    if part is None:
        return Group((command,), existing=existing, caller=caller)
    also = (PutDetail(NAME, KIND, item, location, part, part=True),)
    return Group((command,), also=also, existing=existing, caller=caller)
