"""One way to ask for an operation, whether this process does it or the hub that holds the file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from onhand import transport
from onhand.inventory import Inventory
from onhand.lock import Held, Holder, Lock
from onhand.office import intake, people, replay, trial
from onhand.office.people import BadAsk
from onhand.settings import Settings
from onhand.store.engine import is_postgresql, migrate, open_store, require_head

Operation = Callable[..., Awaitable[Any]]

OPERATIONS: dict[str, Operation] = {
    "account_id": people.account_id,
    "add_account": people.add_account,
    "add_key": trial.add_key,
    "demo": trial.create,
    "end_import": intake.end_run,
    "ensure_items": replay.ensure_items,
    "find_import": intake.find_run,
    "find_location": replay.find_location,
    "import_chunk": intake.apply,
    "receive_stock": replay.receive,
    "replay_orders": replay.replay,
    "revoke_key": people.revoke_key,
}
"""Every operation that a writing command line may ask for; parameters and answers are JSON."""


class Door(Protocol):
    """Where operations are asked for."""

    async def ask(self, operation: str, **parameters: Any) -> Any:
        """Do an operation; its answer. Raises BadAsk in words."""


class Here:
    """This process holds the database."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory

    async def ask(self, operation: str, **parameters: Any) -> Any:
        """Do it here, with the answer as JSON would carry it."""
        answer = await OPERATIONS[operation](self.inventory, **parameters)
        return msgspec.to_builtins(answer)


class There:
    """A hub holds the database; it is asked over its local door."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    async def ask(self, operation: str, **parameters: Any) -> Any:
        """Have the hub do it."""
        url = f"{self._holder.url}/_hub/{operation}"
        status, answer = await transport.post(url, self._holder.token, parameters)
        if status == 200:
            return answer
        words = answer.get("error") if isinstance(answer, dict) else None
        raise BadAsk(str(words or f"the hub answered {status}"))


async def perform(inventory: Inventory, name: str, raw: bytes) -> tuple[int, object]:
    """The hub's side of `There.ask`: (status, answer)."""
    operation = OPERATIONS.get(name)
    if operation is None:
        return 404, {"error": f"this hub does not know {name!r}: is it another version?"}
    try:
        parameters = msgspec.json.decode(raw, type=dict[str, Any])
        return 200, await operation(inventory, **parameters)
    except BadAsk as refusal:
        return 422, {"error": str(refusal)}


def lock_for(settings: Settings) -> Lock | None:
    """The lock that a SQLite file needs; PostgreSQL has its own."""
    return None if is_postgresql(settings.db) else Lock(Path(settings.db).absolute())


@contextlib.asynccontextmanager
async def writing(settings: Settings) -> AsyncIterator[Door]:
    """A door for writing commands: here if nobody holds the database, else the hub that does.

    Raises StoreError in words.
    """
    lock = lock_for(settings)
    try:
        if lock is not None:
            lock.take()
    except Held as held:
        if held.holder is None:
            raise
        yield There(held.holder)
        return
    try:
        store = open_store(settings.db, accept_loss=settings.accept_data_loss)
        migrate(store)
        inventory = Inventory(store)
        inventory.start()
        try:
            yield Here(inventory)
        finally:
            await inventory.stop()
            store.close()
    finally:
        if lock is not None:
            lock.release()


@contextlib.asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Inventory]:
    """A ledger to read from; a hub that holds the file is not disturbed. Raises StoreError in words."""
    store = open_store(settings.db, create=False, reads_only=True)
    try:
        require_head(store)
    except BaseException:
        store.close()
        raise
    inventory = Inventory(store)
    try:
        yield inventory
    finally:
        await inventory.stop()
        store.close()
