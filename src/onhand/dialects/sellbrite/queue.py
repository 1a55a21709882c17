"""Applies accepted calls in order, several in one commit, each together with its end in the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.dialects.sellbrite import schema
from onhand.dialects.sellbrite.schema import Change, Queued
from onhand.inventory import Inventory
from onhand.store import catalog, channels, requests
from onhand.store.requests import Message
from onhand.work import Group, PutDetail, Recorded, Work

NAME, KIND = "sellbrite", "inventory"
"""Under these names is kept what a place has besides its stock."""

RECORDS_AT_ONCE = 1_000
"""Records in one commit: the work of others goes between two."""
PATIENCE_SECONDS = 0.25
STEP_SECONDS = 0.002

Details = dict[tuple[int, int], dict[str, Any]]


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
    """Neighbours, as many as make a commit. What a PATCH says about a bin or a cost is kept if its record
    is there: a PUT that goes on from it waits until that is known."""
    run: list[Call] = []
    count = 0
    patched: set[tuple[int, str]] = set()
    for call in calls:
        create, changes = call.queued.create, call.queued.changes
        detailed = {(location, change.sku) for location, change in changes if has_detail(change)}
        count += len(changes)
        if run and (count > RECORDS_AT_ONCE or (create and not patched.isdisjoint(detailed))):
            yield run
            run, count, patched = [], len(changes), set()
        run.append(call)
        if not create:
            patched |= detailed
    if run:
        yield run


async def _record(inventory: Inventory, account: int, run: Sequence[Call]) -> Recorded:
    skus = {change.sku for call in run for _, change in call.queued.changes}
    detailed = {change.sku for call in run for _, change in call.queued.changes if has_detail(change)}
    ids = await inventory.recall_many(
        account, "item of", skus, lambda c, some: catalog.item_ids(c, account, some)
    )
    details: Details = {}
    if detailed:
        wanted = [ids[sku] for sku in detailed if sku in ids]
        details = await inventory.read(account, lambda c: channels.details(c, account, NAME, KIND, wanted))
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
            details,
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


def has_detail(change: Change) -> bool:
    """Whether a change says more than a quantity."""
    return change.bin_location is not None or change.cost is not None


def look_up(
    connection: Connection, account: int, skus: set[str], detailed: set[str]
) -> tuple[dict[str, int], Details]:
    """The item ids of ``skus``, and what is kept about those of ``detailed``."""
    ids = catalog.item_ids(connection, account, skus)
    wanted = [ids[sku] for sku in detailed if sku in ids]
    return ids, channels.details(connection, account, NAME, KIND, wanted)


def group(
    change: Change,
    item: int,
    location: int,
    details: Details,
    existing: bool | None,
    caller: str | None = None,
) -> Group:
    """One change with what goes with it; ``details`` is brought up to date for those behind it."""
    command = schema.command(change, item, location)
    if not has_detail(change):
        return Group((command,), existing=existing, caller=caller)
    kept = schema.detail(details.get((item, location), {}), change)
    details[item, location] = kept
    return Group((command,), also=(_put(item, location, kept),), existing=existing, caller=caller)


def _put(item: int, location: int, kept: Mapping[str, Any]) -> PutDetail:
    return PutDetail(NAME, KIND, item, location, msgspec.json.encode(kept).decode())
