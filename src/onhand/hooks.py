"""Where channels send their webhooks: verified by the connector, noted once, answered as the channel wants.

The address is ``/hooks/<account>-<connection>``. It is no secret: what counts is the channel's signature.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
import structlog
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from onhand import orders_in
from onhand.asgi import application
from onhand.connectors import kind
from onhand.connectors.auth import fingerprint
from onhand.connectors.flow import Failed, Heard, Unheard
from onhand.connectors.kind import Kind
from onhand.courier.flows import Session
from onhand.courier.ports import Seals
from onhand.courier.stored import Vault
from onhand.inventory import Inventory
from onhand.store import drives, requests
from onhand.store.drives import Driven
from onhand.wire import BULK_LIMIT, body, incoming, respond

PREFIX = "/hooks"
LONGEST_ID = 200
LEARN_SECONDS = 10.0
"""A public key that is missing is asked for no more often than this, a connection: anybody can name one."""

_NAME = re.compile(r"([1-9][0-9]{0,17})-([1-9][0-9]{0,17})", re.ASCII)

log = structlog.get_logger(__name__)


class Asks(Protocol):
    """Makes a way to a connection's channel: `courier.Courier`."""

    async def session(self, account: int, link: int) -> Session:
        """The way. Raises an exception in words when there is none."""


def address(account: int, connection: int) -> str:
    """The path that a channel is to send a connection's webhooks to."""
    return f"{PREFIX}/{account}-{connection}"


def app(inventory: Inventory, seals: Seals, modules: Sequence[Kind], asks: Asks | None = None) -> ASGIApp:
    """The application below `PREFIX`. With ``asks``, public keys that are missing are fetched."""
    door = Door(inventory, seals, modules, asks)
    return application(
        [
            Route("/{name}", door.hear, methods=["POST"]),
            Route("/{name}", door.challenge, methods=["GET"]),
        ],
        shape,
    )


def shape(status: int, message: str) -> Response:
    """An error as every webhook gets it."""
    return respond(status, {"error": message})


class Door:
    """Takes webhooks of every connection."""

    def __init__(
        self, inventory: Inventory, seals: Seals, modules: Sequence[Kind], asks: Asks | None
    ) -> None:
        self._inventory = inventory
        self._seals = seals
        self._modules: Mapping[str, Kind] = {module.CHANNEL.name: module for module in modules}
        self._asks = asks
        self._asked: dict[tuple[int, int], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def hear(self, request: Request) -> Response:
        """A message: 401 (or what the connector says) unless it is the channel's, else noted and answered."""
        raw = await body(incoming(request.scope, request.receive), BULK_LIMIT)
        found = await self._find(request)
        verify = None if found is None else kind.hears(found[2])
        if found is None or verify is None:
            return shape(404, "Not found")
        account, row, module = found
        try:
            settings = Vault(self._inventory, self._seals, account, row.link).settings(module, row)
        except ValueError:
            log.warning("a webhook cannot be verified: the settings do not fit", connection=row.link)
            return shape(503, "The connection is not set up")
        try:
            heard = verify(settings, dict(request.headers), raw, self._inventory.now())
        except Unheard as refused:
            log.info("a webhook was refused", account=account, connection=row.link, words=str(refused))
            if refused.wants:
                self._learn(account, row.link, module, refused.wants)
            return shape(refused.status, str(refused))
        except Exception:  # whatever the message was, the channel must not be told that we failed
            log.exception("a webhook could not be read", account=account, connection=row.link)
            return shape(400, "The message cannot be read")
        await self._note(account, row.link, module, heard)
        return _answer(heard.reply)

    async def challenge(self, request: Request) -> Response:
        """Some channels ask first whether the address is ours."""
        found = await self._find(request)
        reply: Callable[[Any, str], bytes] | None = getattr(found[2], "challenge", None) if found else None
        code = request.query_params.get("challenge_code", "")
        if found is None or reply is None or not code:
            return shape(404, "Not found")
        account, row, module = found
        try:
            settings = Vault(self._inventory, self._seals, account, row.link).settings(module, row)
            return _answer(reply(settings, code))
        except Unheard as refused:
            return shape(refused.status, str(refused))
        except ValueError:
            return shape(503, "The connection is not set up")

    async def _find(self, request: Request) -> tuple[int, Driven, Kind] | None:
        name = _NAME.fullmatch(request.scope["path_params"]["name"])
        if name is None:
            return None
        account, link = int(name[1]), int(name[2])
        row = await self._inventory.read(account, partial(drives.driven, account=account, link=link))
        module = None if row is None else self._modules.get(row.channel)
        return None if row is None or module is None else (account, row, module)

    async def _note(self, account: int, link: int, module: Kind, heard: Heard) -> None:
        """Accept what a message carries, once, and ask for a poll or a look where it hints at one."""
        bodies = orders_in.told(link, heard.orders, module.CHANNEL)
        now = self._inventory.now()
        unit = partial(_once, account=account, link=link, heard=heard, bodies=bodies, now=now)
        wakes = orders_in.waking(now) if bodies else ()
        if await self._inventory.write(account, unit, wakes, quiet=True) and bodies:
            self._inventory.arrived(account)

    # --- public keys ------------------------------------------------------------------------------

    def _learn(self, account: int, link: int, module: Kind, wanted: str) -> None:
        """Get a public key in the background: the channel sends its message again."""
        now = asyncio.get_running_loop().time()
        last = self._asked.get((account, link))
        if self._asks is None or (last is not None and now < last + LEARN_SECONDS):
            return
        self._asked[account, link] = now
        task = asyncio.create_task(self._fetch(self._asks, account, link, module, wanted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, asks: Asks, account: int, link: int, module: Kind, wanted: str) -> None:
        keys: Any = getattr(module, "keys", None)
        if keys is None:
            return
        try:
            session = await asks.session(account, link)
            row = await self._inventory.read(account, partial(drives.driven, account=account, link=link))
            if row is None:
                return
            # The session may be older than the last key that was got: the new one joins what is kept now.
            vault = Vault(self._inventory, self._seals, account, link)
            known = vault.settings(module, row)
            await vault.keep(await session.run(lambda _: keys(known, wanted)))
        except Failed as error:
            log.warning("a public key could not be got", connection=link, words=error.words)
        except Exception:  # nobody waits for it
            log.exception("a public key could not be got", account=account, connection=link)


def _once(
    connection: Connection, account: int, link: int, heard: Heard, bodies: Sequence[str], now: int
) -> bool:
    """Note a message and what it carries in one commit; False when it was noted before."""
    scope, name = f"hook:{link}", heard.id.replace("\0", "")
    key = name if len(name) <= LONGEST_ID else fingerprint(name)
    if requests.claim(connection, [(account, scope, key, "")], now):
        return False
    requests.keep(connection, [(account, scope, key, "", 200, None, None, now)])
    if bodies:
        orders_in.arrive(connection, account, bodies, now)
    hints = (*heard.look_at, *(drives.ORDER + one for one in heard.reread))
    drives.hint(connection, account, link, (one.replace("\0", "") for one in hints))
    if heard.poll_orders:
        drives.note(connection, account, link, {"polled_at": 0})
    return True


def _answer(reply: bytes | None) -> Response:
    if reply is None:
        return Response(status_code=200)
    try:
        msgspec.json.decode(reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Response(reply, media_type="text/plain")
    return Response(reply, media_type="application/json")
