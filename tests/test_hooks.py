"""Webhooks and polls: verified, noted once, and one order however it comes."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import secrets
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import httpx2
import msgspec
import pytest

from market import LATER, SEALS, SECRET, SETTINGS, Market, open_market
from onhand import hooks
from onhand.connectors import sandbox, woocommerce
from onhand.connectors.auth import Wire, mac
from onhand.connectors.channel import read_settings
from onhand.connectors.flow import Heard, Response
from onhand.courier.flows import Session, Way
from onhand.courier.office import Clock
from onhand.orders_in import Polls
from onhand.seals import BadKey
from onhand.store import drives
from onhand.wire import BULK_LIMIT

MODULES = (sandbox, woocommerce)


def row(name: str, updated: int, ordered: int, shipped: int = 0) -> dict[str, Any]:
    """An order of item 1 as the sandbox tells it."""
    line = {"id": "1", "variant": "v1", "sku": "A", "ordered": ordered, "cancelled": 0}
    line |= {"shipped": shipped, "returned": 0}
    return {"id": name, "updated_at": LATER + updated, "paid": True, "test": False, "lines": [line]}


def message(here: Market, name: str, order: object | None, *, secret: str = SECRET, age: int = 0) -> Any:
    """Headers and body of a webhook."""
    body = json.dumps({"id": name, "topic": "order", "order": order}).encode()
    stamp = str(here.inventory.now() // 1_000_000 - age)
    proof = mac(secret.encode(), stamp.encode() + b"." + body).hex()
    return {"headers": {"sandbox-time": stamp, "sandbox-signature": proof}, "content": body}


def client(here: Market, seals: Any = SEALS, modules: Sequence[Any] = MODULES) -> httpx2.AsyncClient:
    """Calls the hooks application as the hub mounts it."""
    app = hooks.app(here.inventory, seals, modules)

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(dict(scope) | {"root_path": hooks.PREFIX}, receive, send)

    transport = httpx2.ASGITransport(mounted)
    return httpx2.AsyncClient(transport=transport, base_url="http://testserver")


class Wires:
    """A transport that answers order polls from pages, by cursor."""

    def __init__(self, pages: Sequence[Any]) -> None:
        self._pages = pages
        self.asked: list[str] = []

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """The page that the cursor names; the last one again at the end."""
        self.asked.append(wire.target)
        at = int(wire.target.partition("cursor=")[2] or 0)
        found = list(self._pages[at : at + 1])
        ahead = min(at + 1, len(self._pages))
        page = {"orders": found[0] if found else [], "cursor": str(ahead)}
        page["more"] = ahead < len(self._pages)
        return Response(200, body=json.dumps(page).encode())


def session(here: Market, wires: Wires) -> Session:
    """A way to the sandbox."""
    way = Way(wires, Clock(here.inventory.now), asyncio.Event(), random.Random(1))
    return Session(sandbox, read_settings(sandbox.Settings, SETTINGS), way)


async def poll_all(here: Market, wires: Wires) -> None:
    """Poll until the channel has no more."""
    polls, way = Polls(here.inventory), session(here, wires)
    while await polls.poll(here.account, 1, way):
        pass


def test_a_webhook_that_carries_an_order(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here, client(here) as channel:
            told = message(here, "m1", row("X", 1, 3))
            for _ in range(3):
                answer = await channel.post("/hooks/1-1", **told)
                assert (answer.status_code, answer.content) == (200, b"")
            await here.until(here.empty)
            assert (await here.stock()).startswith("1@1 10/3")
            taken = await here.rows("SELECT value FROM counters WHERE name = 'inbox'")
            assert taken == [(1,)]  # a repeated message is not even kept

    asyncio.run(go())


def refused(here: Market) -> list[tuple[str, str, Any, int]]:
    """(path, why, request, status)."""
    good = message(here, "m1", row("X", 1, 3))
    changed = good | {"content": good["content"].replace(b'"ordered": 3', b'"ordered": 9')}
    return [
        ("/hooks/1-1", "not signed", {"content": good["content"]}, 401),
        ("/hooks/1-1", "another secret", message(here, "m", row("X", 1, 3), secret="guess"), 401),
        ("/hooks/1-1", "changed on the way", changed, 401),
        ("/hooks/1-1", "said again later", message(here, "m", row("X", 1, 3), age=3_600), 401),
        ("/hooks/1-1", "no order", message(here, "m", {"id": "X"}), 400),
        ("/hooks/1-1", "too long", good | {"content": b"x" * (BULK_LIMIT + 1)}, 413),
        ("/hooks/1-9", "nobody's", good, 404),
        ("/hooks/9-1", "another account's", good, 404),
        ("/hooks/1-1-1", "no name", good, 404),
        ("/hooks/99999999999999999999-1", "a long number", good, 404),
        ("/hooks/", "nothing", good, 404),
        ("/hooks/1-1/more", "more", good, 404),
    ]


def test_what_is_not_the_channels_is_refused(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here, client(here) as channel:
            for path, why, request, status in refused(here):
                answer = await channel.post(path, **request)
                assert answer.status_code == status, why
                assert answer.json().keys() == {"error"}, why
                assert SECRET not in answer.text
            assert (await channel.put("/hooks/1-1")).status_code == 405
            assert (await channel.get("/hooks/1-1", params={"challenge_code": "x"})).status_code == 404
            assert (await here.stock()).startswith("1@1 10/0")
            assert await here.rows("SELECT COUNT(*) FROM idempotency") == [(0,)]

    asyncio.run(go())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5_000]
)
def test_a_signed_message_that_is_nonsense_is_no_fault_of_ours(sqlite_url: str, body: bytes) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here, client(here) as channel:
            stamp = str(here.inventory.now() // 1_000_000)
            proof = mac(SECRET.encode(), stamp.encode() + b"." + body).hex()
            headers = {"sandbox-time": stamp, "sandbox-signature": proof}
            answer = await channel.post("/hooks/1-1", headers=headers, content=body)
            assert answer.status_code == 400

    asyncio.run(go())


def test_a_webhook_that_hints_asks_for_a_poll(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here, client(here) as channel:
            shop = {"store": "https://shop.example", "consumer_key": "ck_1", "consumer_secret": "cs_1"}
            shop |= {"webhook_secret": SECRET}
            sealed = SEALS.seal(here.account, 2, shop)
            await here.inventory.write(
                here.account, lambda c: drives.keep_secrets(c, here.account, 2, sealed)
            )
            await here.run(
                "UPDATE connections SET channel = 'woocommerce' WHERE id = 2",
                "INSERT INTO drives (account, connection, polled_at) VALUES (1, 2, 5)",
            )
            body = b'{"id": 7}'
            headers = {"x-wc-webhook-topic": "order.created", "x-wc-webhook-delivery-id": "d1"}
            headers["x-wc-webhook-signature"] = base64.b64encode(mac(SECRET.encode(), body)).decode()
            answer = await channel.post("/hooks/1-2", headers=headers, content=body)
            assert answer.status_code == 200
            polled = "SELECT polled_at FROM drives WHERE connection = 2"
            assert await here.rows(polled) == [(0,)]
            await here.run("UPDATE drives SET polled_at = 9")
            await channel.post("/hooks/1-2", headers=headers, content=body)
            assert await here.rows(polled) == [(9,)]  # the same message again hints at nothing

    asyncio.run(go())


def hearing(hear: Callable[[], Heard]) -> SimpleNamespace:
    """A channel of our own that hears this whatever it is sent."""
    return SimpleNamespace(**vars(sandbox) | {"hear": lambda *_: hear()})


def test_a_channel_that_sends_none_is_not_heard(sqlite_url: str) -> None:
    silent = msgspec.structs.replace(sandbox.CHANNEL, webhooks=False)
    module = SimpleNamespace(**vars(sandbox) | {"CHANNEL": silent})

    async def go() -> None:
        async with open_market(sqlite_url) as here, client(here, modules=[module]) as channel:
            answer = await channel.post("/hooks/1-1", **message(here, "m1", row("X", 1, 3)))
            assert answer.status_code == 404

    asyncio.run(go())


HINTS = [
    # what was heard, listings to look at, orders to reread, whether to poll
    (Heard("m", "t", look_at=("v1", "v\0002")), ["v1", "v2"], [], False),
    (Heard("m", "t", reread=("X", "\0Y")), [], ["X", "Y"], False),
    (Heard("m", "t", look_at=("v1",), reread=("X",), poll_orders=True), ["v1"], ["X"], True),
    (Heard("m", "t"), [], [], False),
]


@pytest.mark.parametrize(("heard", "listings", "names", "polls"), HINTS)
def test_what_a_webhook_hints_at_and_no_more(
    sqlite_url: str, heard: Heard, listings: list[str], names: list[str], polls: bool
) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here, client(here, modules=[hearing(lambda: heard)]) as channel:
            await here.run("INSERT INTO drives (account, connection, polled_at) VALUES (1, 1, 5)")
            assert (await channel.post("/hooks/1-1", content=b"{}")).status_code == 200
            row = await here.inventory.read(here.account, lambda c: drives.driven(c, here.account, 1))
            assert row is not None
            assert (row.wanted, row.orders, row.polled_at) == (listings, names, 0 if polls else 5)

    asyncio.run(go())


def test_a_message_with_a_very_long_name_is_noted_like_others(migrated_url: str) -> None:
    name = secrets.token_hex(10_000)  # longer than a row of an index can be, however it is packed

    async def go() -> None:
        async with (
            open_market(migrated_url) as here,
            client(here, modules=[hearing(lambda: Heard(name, "t", look_at=("v",)))]) as channel,
        ):
            for _ in range(2):
                assert (await channel.post("/hooks/1-1", content=b"{}")).status_code == 200

    asyncio.run(go())


def test_what_cannot_be_read_is_not_said_to_be_our_fault(sqlite_url: str) -> None:
    def fail() -> Heard:
        raise KeyError("a field that was always there")

    async def go() -> None:
        async with open_market(sqlite_url) as here, client(here, modules=[hearing(fail)]) as channel:
            answer = await channel.post("/hooks/1-1", content=b"{}")
            assert (answer.status_code, answer.json()) == (400, {"error": "The message cannot be read"})

    asyncio.run(go())


@pytest.mark.parametrize(
    ("reply", "kind"), [(b'{"ok": true}', "application/json"), (b"heard", "text/plain; charset=utf-8")]
)
def test_a_channel_hears_what_it_wants_to(sqlite_url: str, reply: bytes, kind: str) -> None:
    async def go() -> None:
        heard = Heard("m", "t", reply=reply)
        async with open_market(sqlite_url) as here, client(here, modules=[hearing(lambda: heard)]) as channel:
            for _ in range(2):
                answer = await channel.post("/hooks/1-1", content=b"{}")
                assert (answer.content, answer.headers["content-type"]) == (reply, kind)

    asyncio.run(go())


def test_webhook_and_poll_race(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here, client(here) as channel:
            life = [row("X", 1, 4), row("X", 2, 4, 1), row("X", 3, 4, 3)]
            wires = Wires([[life[0]], [life[2], life[1]], [life[2]]])
            hints = [message(here, f"m{at}", one) for at, one in enumerate(life * 3)]
            random.Random(5).shuffle(hints)
            posts = [channel.post("/hooks/1-1", **one) for one in hints]
            answers = await asyncio.gather(poll_all(here, wires), *posts, poll_all(here, wires))
            assert {answer.status_code for answer in answers if answer is not None} == {200}
            await here.until(here.empty)
            assert await here.stock() == "1@1 7/1, 1@2 10/0, 2@1 10/0"
            gone = await here.rows("SELECT SUM(on_hand) FROM movements WHERE kind = 'shipped'")
            assert gone == [(-3,)]
            assert await here.incidents() == []

    asyncio.run(go())


def test_a_poll_goes_on_from_its_cursor_and_returns_when_it_is_applied(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            wires = Wires([[row("X", 1, 3)], [row("Y", 2, 2)]])
            await poll_all(here, wires)
            assert (await here.stock()).startswith("1@1 10/5")
            cursor = "SELECT orders_cursor FROM drives WHERE connection = 1"
            assert await here.rows(cursor) == [("2",)]
            await poll_all(here, wires)
            assert [target.partition("cursor=")[2] for target in wires.asked] == ["", "1", "2"]
            assert (await here.stock()).startswith("1@1 10/5")

    asyncio.run(go())


def test_a_poll_looks_at_waiting_orders_again(sqlite_url: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.run("UPDATE listings SET external_id = 'other' WHERE connection = 1 AND item = 1")
            unknown = row("X", 1, 3)
            unknown["lines"][0]["sku"] = "Z"
            await poll_all(here, Wires([[unknown]]))
            assert (await here.stock()).startswith("1@1 10/0")
            await here.run("UPDATE listings SET external_id = 'v1' WHERE connection = 1 AND item = 1")
            await poll_all(here, Wires([[], []]))
            assert (await here.stock()).startswith("1@1 10/3")

    asyncio.run(go())


class Lost:
    """Seals whose key is lost."""

    def open(self, account: int, connection: int, envelope: str) -> dict[str, Any]:
        """Never."""
        raise BadKey("the key is lost")

    def seal(self, account: int, connection: int, values: Any) -> str:
        """Never."""
        raise BadKey("the key is lost")


def test_without_the_key_for_secrets_a_channel_is_asked_to_come_again(sqlite_url: str) -> None:
    async def story() -> None:
        async with open_market(sqlite_url) as here, client(here, Lost()) as channel:
            await here.run("UPDATE connections SET secrets = 'sealed'")
            answer = await channel.post("/hooks/1-1", **message(here, "m1", row("o1", 1, 2)))
            assert answer.status_code == 503, answer.text

    asyncio.run(story())
