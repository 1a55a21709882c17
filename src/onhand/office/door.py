"""One way to ask for an operation, whether this process does it or the hub that holds the file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from onhand import transport
from onhand.demo import DemoFailed
from onhand.inventory import Inventory
from onhand.lock import Held, Holder, Lock
from onhand.office import channels, incidents, intake, people, replay, trial
from onhand.office.people import BadAsk
from onhand.orders_in import Polls
from onhand.outward import working
from onhand.outward.equipment import Equipment, Refusal
from onhand.settings import BadSetting, Settings
from onhand.store.engine import (
    DatabaseFailed,
    Store,
    is_postgresql,
    migrate,
    open_store,
    reason,
    require_head,
)
from onhand.transact import Busy, StoreFull, Unknowable
from onhand.transport import NoAnswer, NotReached

Operation = Callable[..., Awaitable[Any]]

UNKNOWN = "it is not known whether this was done: look, or run the command again"
AGAIN = "run the command again"
"""What a person can do after the hub was asked and gave no answer, and after it could not be asked."""

TOO_LARGE = "a number is larger than any that is kept"

OPERATIONS: dict[str, Operation] = {
    "account_id": people.account_id,
    "add_account": people.add_account,
    "add_key": trial.add_key,
    "close_incident": incidents.close,
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

CHANNEL_OPERATIONS: dict[str, Operation] = channels.OPERATIONS
"""Those that speak to channels, or about them: they are given the equipment instead of the ledger."""


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """A database that is there, for a command that serves nobody. Raises StoreError."""
    store = open_store(
        settings.db,
        create=False,
        reads_only=True,
        answer_seconds=settings.db_seconds,
        prepares=settings.db_prepare,
    )
    try:
        yield store
    finally:
        store.close()


class Door(Protocol):
    """Where operations are asked for."""

    @property
    def alone(self) -> bool:
        """Whether no hub serves this database now, as far as can be known."""

    async def ask(self, operation: str, **parameters: Any) -> Any:
        """Do an operation; its answer. Raises BadAsk in words."""

    def courier(self) -> contextlib.AbstractAsyncContextManager[None]:
        """A courier that tells the channels while the block runs: this process's own, or the hub's."""


class Here:
    """This process holds the database. Of a PostgreSQL others may be hubs."""

    def __init__(self, equipment: Equipment) -> None:
        self.inventory = equipment.inventory
        self.alone = equipment.inventory.store.sqlite
        self._equipment = equipment

    async def ask(self, operation: str, **parameters: Any) -> Any:
        """Do it here, with the answer as JSON would carry it."""
        try:
            answer = await _do(self._equipment, operation, parameters)
        except Refusal as refusal:
            raise BadAsk(str(refusal)) from refusal
        return msgspec.to_builtins(answer)

    def courier(self) -> contextlib.AbstractAsyncContextManager[None]:
        """A courier of this process."""
        return working.courier(self._equipment, Polls(self.inventory))


class There:
    """A hub holds the database; it is asked over its local door."""

    alone = False

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    async def ask(self, operation: str, **parameters: Any) -> Any:
        """Have the hub do it. Raises NoAnswer as well, with a note that says what to do then."""
        url = f"{self._holder.url}/_hub/{operation}"
        try:
            status, answer = await transport.post(url, self._holder.token, parameters)
        except NoAnswer as error:
            reached = not isinstance(error, NotReached)
            gone = NoAnswer(f"the hub {'stopped answering' if reached else 'cannot be reached'}: {error}")
            gone.add_note(UNKNOWN if reached else AGAIN)
            raise gone from error
        if status == 200:
            return answer
        words = answer.get("error") if isinstance(answer, dict) else None
        raise BadAsk(str(words or f"the hub answered {status}: its log says why"))

    def courier(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The hub has one."""
        return contextlib.nullcontext()


async def _do(equipment: Equipment, name: str, parameters: Mapping[str, Any]) -> Any:
    if name in CHANNEL_OPERATIONS:
        return await CHANNEL_OPERATIONS[name](equipment, **parameters)
    return await OPERATIONS[name](equipment.inventory, **parameters)


async def perform(equipment: Equipment, name: str, raw: bytes) -> tuple[int, object]:
    """The hub's side of `There.ask`: (status, answer)."""
    if name not in OPERATIONS and name not in CHANNEL_OPERATIONS:
        return 404, {"error": f"this hub does not know {name!r}: is it another version?"}
    try:
        parameters = msgspec.json.decode(raw, type=dict[str, Any])
        return 200, await _do(equipment, name, parameters)
    except (BadAsk, Refusal, BadSetting, DemoFailed) as refusal:
        return 422, {"error": str(refusal)}
    except OverflowError:
        return 422, {"error": TOO_LARGE}
    except (Busy, StoreFull, Unknowable, NoAnswer) as failure:
        return 503, {"error": str(failure)}
    except DatabaseFailed as failure:
        return 503, {"error": f"the database failed: {reason(failure)}"}


def several(settings: Settings) -> bool:
    """Whether several processes may hold the database."""
    return is_postgresql(settings.db)


def lock_for(settings: Settings) -> Lock | None:
    """The lock that a SQLite file needs; PostgreSQL has its own."""
    return None if is_postgresql(settings.db) else Lock(Path(settings.db).absolute())


@contextlib.asynccontextmanager
async def writing(settings: Settings, *, create: bool = False) -> AsyncIterator[Door]:
    """A door for writing commands: here if nobody holds the database, else the hub that does.

    Only with ``create`` a database is made, or its tables are: a name that was mistyped is to be told.
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
        store = open_store(
            settings.db,
            accept_loss=settings.accept_data_loss,
            create=create,
            answer_seconds=settings.db_seconds,
            prepares=settings.db_prepare,
        )
        try:
            if not create:
                require_head(store)
            migrate(store)
        except BaseException:
            store.close()
            raise
        inventory = Inventory(store)
        inventory.start()
        equipment = Equipment(inventory, settings)
        try:
            yield Here(equipment)
        finally:
            await equipment.close()
            await inventory.stop()
            store.close()
    finally:
        if lock is not None:
            lock.release()


@contextlib.asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Inventory]:
    """A ledger to read from; a hub that holds the file is not disturbed. Raises StoreError in words."""
    with opened(settings) as store:
        require_head(store)
        inventory = Inventory(store)
        try:
            yield inventory
        finally:
            await inventory.stop()
