"""The running hub: takes the database, starts the ledger and its clockwork, and serves until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hmac
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from onhand import frontdoor, hooks, web
from onhand.appliers import appliers
from onhand.clockwork import Clockwork
from onhand.courier.ports import Transport
from onhand.inventory import Inventory
from onhand.lock import Lock
from onhand.office.door import lock_for, perform
from onhand.orders_in import Polls
from onhand.outward import working
from onhand.outward.equipment import Equipment
from onhand.settings import Settings
from onhand.store.engine import Store, is_postgresql, migrate, open_store
from onhand.wire import BULK_LIMIT, body, incoming, respond

HUB_PATH = "/_hub"

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, lock: Lock | None, transport: Transport | None = None
) -> AsyncIterator[Equipment]:
    """The database of ``settings``, claimed, migrated, its writers running, and channels being told;
    over another ``transport`` than the usual one, where that is given."""
    store = claim(settings, lock)
    try:
        inventory = Inventory(store)
        inventory.start()
        equipment = Equipment(inventory, settings, transport=transport)
        clockwork = Clockwork(inventory, appliers(settings))
        await clockwork.start()
        try:
            async with (
                working.courier(equipment, Polls(inventory)) if settings.courier else contextlib.nullcontext()
            ):
                yield equipment
        finally:
            await clockwork.stop()
            await equipment.close()
            await inventory.stop()
    finally:
        store.close()
        if lock is not None:
            lock.release()


def claim(settings: Settings, lock: Lock | None) -> Store:
    """Open the database for writing. Raises StoreError (Held, WeakDurability) in words."""
    if lock is not None:
        lock.take()
    try:
        store = open_store(
            settings.db,
            accept_loss=settings.accept_data_loss,
            answer_seconds=settings.db_seconds,
            prepares=settings.db_prepare,
        )
        migrate(store)
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    return store


SWITCH_SECONDS = 0.00003
"""How long one thread may run while another waits, on SQLite. At Python's usual 5 ms the thread that commits
would wait that long to begin, and again to say that it has; and while it waits, it is awakened in vain each
time the loop lets the interpreter go for a moment. On PostgreSQL threads mostly wait for the server, and the
more often one takes its turn from the loop, the less gets done."""

YOUNG_LIMIT = 10_000
"""New objects after which the interpreter looks for garbage in cycles. A request leaves next to none, and
at the usual 700 it would look several times for every commit."""


async def serve(
    settings: Settings,
    on_ready: Callable[[Equipment, str], Awaitable[None]],
    *,
    before: Callable[[Equipment, str], Awaitable[None]] | None = None,
    beside: Mapping[str, ASGIApp] = {},
    transport: Transport | None = None,
) -> None:
    """Serve until a signal says to stop. ``on_ready`` is run with the base URL once requests are answered,
    ``before`` is done before the first one is; ``beside`` are more applications by path prefix,
    ``transport`` the way to channels."""
    if not is_postgresql(settings.db):
        sys.setswitchinterval(SWITCH_SECONDS)
    lock = lock_for(settings)
    async with opened(settings, lock, transport) as equipment:
        inventory = equipment.inventory
        around = dict(beside) | ({HUB_PATH: _local_door(equipment, lock)} if lock is not None else {})
        around[hooks.PREFIX] = hooks.app(inventory, equipment.seals, tuple(equipment), equipment)
        app = web.build(inventory, settings, around, equipment)
        # What is there now stays: no search for garbage needs to look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_LIMIT)

        async def first(port: int) -> None:
            if before is not None:
                await before(equipment, frontdoor.address(settings.host, port))

        def ready(port: int) -> None:
            url = frontdoor.address(settings.host, port)
            if lock is not None:
                lock.announce(url)
            tasks.append(asyncio.ensure_future(on_ready(equipment, url)))
            tasks[0].add_done_callback(
                lambda task: stop.set() if not task.cancelled() and task.exception() else None
            )

        tasks: list[asyncio.Future[None]] = []
        stop = asyncio.Event()
        await frontdoor.serve(
            app,
            settings.host,
            settings.port,
            bulk=_bulk,
            shape=web.shape,
            placed=web.placing(settings),
            before=first,
            on_ready=ready,
            on_stop=equipment.ending.set,
            stop=stop,
        )
        await asyncio.gather(*tasks)


def _bulk(path: str) -> bool:
    return web.bulk(path) or path.startswith(HUB_PATH)


def _local_door(equipment: Equipment, lock: Lock) -> ASGIApp:
    """What command lines on this machine use while this process holds the file."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await _perform(request, equipment, lock.token)
        await response(scope, receive, send)

    return app


async def _perform(request: Request, equipment: Equipment, token: str) -> Response:
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return respond(404, {"error": "Not found"})
    name = request.scope["path"].removeprefix(HUB_PATH + "/")
    raw = await body(incoming(request.scope, request.receive), BULK_LIMIT)
    status, answer = await perform(equipment, name, raw)
    return respond(status, answer)
