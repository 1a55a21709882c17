"""What channels are measured with: a server of several sandbox channels, and items that are listed on all."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop
from sqlalchemy import Connection
from starlette.types import ASGIApp, Receive, Scope, Send

from onhand import frontdoor
from onhand.connectors import sandbox as connector
from onhand.inventory import Inventory
from onhand.office import people, trial
from onhand.outward import connecting
from onhand.outward.equipment import Equipment
from onhand.sandbox import card, catalogue
from onhand.sandbox.app import Sandbox, fresh
from onhand.sandbox.card import Card
from onhand.sandbox.model import PLACE_MAIN
from onhand.settings import Settings
from onhand.stock.offering import Rules
from onhand.store import counters, drives, linking
from onhand.store.engine import migrate, open_store
from onhand.store.linking import Linked

START_SECONDS = 60
OPENING = 1_000


class Mall(NamedTuple):
    """A prepared database: its account, the key of our own API, and the connections' ids."""

    db: str
    account: int
    api_key: str
    items: int
    links: tuple[int, ...]


# --- the channels' side ---------------------------------------------------------------------------------


async def serve(file: str, channels: int, products: int) -> None:
    """So many sandboxes with so many products each, by path on one port, as `onhand sandbox` serves one;
    their cards go into ``file``."""
    goods = [(f"S{number}", f"Item {number}") for number in range(1, products + 1)]
    shops = {f"/{n}": Sandbox(fresh(catalogue.of_skus(goods))) for n in range(1, channels + 1)}

    def ready(port: int) -> None:
        found = [card.card(shop.state, f"http://127.0.0.1:{port}{path}") for path, shop in shops.items()]
        draft = Path(file + ".new")
        draft.write_bytes(msgspec.json.encode(found))
        draft.replace(file)

    async with contextlib.AsyncExitStack() as stack:
        for shop in shops.values():
            await stack.enter_async_context(shop.running())
        await frontdoor.serve(_by_path(shops), "127.0.0.1", 0, bulk=lambda path: True, on_ready=ready)


def _by_path(shops: dict[str, Sandbox]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        root = "/" + scope["path"].split("/")[1]
        await shops[root]({**scope, "root_path": root}, receive, send)

    return app


@contextlib.contextmanager
def channels(folder: Path, count: int, products: int) -> Iterator[list[Card]]:
    """The server of sandboxes in a process of its own; the card of each."""
    file = folder / "cards.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.mall", str(file), str(count), str(products)]
    process = subprocess.Popen(command)
    until = time.perf_counter() + START_SECONDS
    try:
        while not file.exists():
            if process.poll() is not None or time.perf_counter() > until:
                raise SystemExit("the sandboxes did not start")
            time.sleep(0.02)
        yield msgspec.json.decode(file.read_bytes(), type=list[Card])
    finally:
        process.terminate()
        process.wait(15)


# --- our side -------------------------------------------------------------------------------------------


def prepare(db: str, cards: Sequence[Card], items: int, listings: int) -> Mall:
    """A SQLite database with ``items`` items, of which the first ones are listed on all connections, until
    there are so many ``listings``; all in step with their channels, so that nothing is stale."""
    return uvloop.run(_prepare(db, cards, items, listings))


async def _prepare(db: str, cards: Sequence[Card], items: int, listings: int) -> Mall:
    store = open_store(db)
    migrate(store)
    inventory = Inventory(store)
    inventory.start()
    account = int((await people.add_account(inventory, name="bench"))["id"])
    key = await trial.add_key(inventory, account=account, dialect="native", scopes="admin")
    equipment = Equipment(inventory, Settings(db=db, allow_private_channels=True))

    def unit(connection: Connection) -> tuple[int, ...]:
        links = tuple(_link(connection, equipment, account, one) for one in cards)
        _fill(connection, account, items, listings, links)
        return links

    links = await inventory.write(account, unit)
    await equipment.close()
    await inventory.stop()
    store.close()
    return Mall(db, account, str(key["api_key"]), items, links)


def _link(connection: Connection, equipment: Equipment, account: int, one: Card) -> int:
    values = {
        "url": one.url,
        "client_id": one.client_id,
        "client_secret": one.client_secret,
        "webhook_secret": one.webhook_secret,
    }
    link = linking.number(connection, account)
    shown, hidden = connecting.split(equipment.module(connector.CHANNEL.name), values)
    sealed = equipment.seals.seal(account, link, hidden)
    rules = Rules(places={PLACE_MAIN: (1,)})
    new = Linked(link, connector.CHANNEL.name, f"shop {link}", (1,), shown, rules, True, 0)
    linking.add(connection, account, new, sealed, 1)
    linking.change(connection, account, link, {"paused": False})
    # As if it had been looked at just now: what is measured is telling.
    now = equipment.now()
    drives.note(connection, account, link, {"swept_at": now, "polled_at": now})
    return link


_COUNT = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :count)"
_FILLED = (
    "INSERT INTO items (account, id, sku, created_at, updated_at) SELECT :account, n, 'S' || n, 1, 1 FROM n",
    "INSERT INTO levels (account, item, location, on_hand, reserved, infinite, present, version)"
    f" SELECT :account, n, 1, {OPENING}, 0, 0, 1, 1 FROM n",
)
# The n-th listing is of item (n - 1) / links + 1, on the connection whose turn it is.
_LISTED = (
    "INSERT INTO listings (account, id, connection, external_id, item, sku, ids, created_at, updated_at)"
    " SELECT :account, n, :first + (n - 1) % :links, 'v' || ((n - 1) / :links + 1), (n - 1) / :links + 1,"
    " 'S' || ((n - 1) / :links + 1), '{\"variant\":\"v' || ((n - 1) / :links + 1) || '\"}', 1, 1 FROM n",
    "INSERT INTO slots (account, listing, place, locations, wanted, wanted_at, acknowledged,"
    f" acknowledged_at, observed, observed_at, token) SELECT :account, n, '{PLACE_MAIN}', '[1]', {OPENING},"
    f" 1, {OPENING}, 1, NULL, NULL, NULL FROM n",
    "INSERT INTO feeds (account, item, location, listing) SELECT :account, (n - 1) / :links + 1, 1, n FROM n",
)


def _fill(connection: Connection, account: int, items: int, listings: int, links: Sequence[int]) -> None:
    values = {"account": account, "first": links[0], "links": len(links)}
    for count, statements in ((items, _FILLED), (listings, _LISTED)):
        for text in statements:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute(text.replace(" SELECT ", f" {_COUNT} SELECT ", 1), values | {"count": count})
    counters.at_least(connection, account, "item", items)
    counters.at_least(connection, account, "listing", listings)


# --- asking ---------------------------------------------------------------------------------------------


class Asks:
    """Asks a server one thing after the other, over one connection, with one bearer token."""

    def __init__(self, url: str, token: str) -> None:
        place, _, path = url.removeprefix("http://").partition("/")
        self._path = f"/{path}" if path else ""
        self._line = http.client.HTTPConnection(place, timeout=START_SECONDS)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __call__(self, method: str, path: str, value: object = None) -> Any:
        """The decoded answer; whatever is no success ends the run."""
        body = None if value is None else json.dumps(value).encode()
        self._line.request(method, self._path + path, body, self._headers)
        answer = self._line.getresponse()
        found = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {found[:300].decode()}")
        return json.loads(found)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
