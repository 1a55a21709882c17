"""The webhooks of every channel through /hooks: heard once, nobody else's; and eBay's keys and challenge."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any, NamedTuple

import httpx2
import pytest

from fakes.ebay import Fake
from market import SEALS, Market, open_market
from onhand import connectors, hooks
from onhand.connectors import ebay, kind
from onhand.connectors.auth import Wire
from onhand.connectors.channel import read_settings
from onhand.connectors.flow import Response
from onhand.courier.flows import Session, Way
from onhand.courier.office import Clock
from onhand.store import drives
from signed_hooks import KID, SENDERS, Message, curve_key, ebay_settings
from signed_hooks import ebay as told_by_ebay
from ticking import clock_of

HOUR = 3600 * 1_000_000
HEARING = [module.CHANNEL.name for module in connectors.ALL if kind.hears(module) is not None]
MARK = 9
"""Stands in `polled_at` until a webhook asks for a poll."""


def test_every_channel_that_sends_webhooks_is_here() -> None:
    assert sorted(HEARING) == sorted(SENDERS)


class Asks:
    """Makes ways to eBay for connections whose sessions know no key."""

    def __init__(self, here: Market, fake: Fake) -> None:
        self.here = here
        self.fake = fake
        self.stale: Any = read_settings(ebay.Settings, ebay_settings("ours"))

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """What eBay answers."""
        return self.fake(wire)

    async def session(self, account: int, link: int) -> Session:
        """A way to eBay."""
        way = Way(self, Clock(self.here.inventory.now), asyncio.Event(), random.Random(1))
        return Session(ebay, self.stale, way)


class Calls(NamedTuple):
    """A channel that calls the hub; connection 1 has the secret "ours", connection 2 "theirs"."""

    here: Market
    http: httpx2.AsyncClient

    async def post(self, message: Message, link: int = 1) -> int:
        """The status of an answer."""
        head, body = message
        answer = await self.http.post(f"/hooks/{self.here.account}-{link}", headers=head, content=body)
        if answer.status_code >= 400:
            assert answer.json().keys() == {"error"}
        return answer.status_code

    async def effects(self) -> tuple[list[Any], list[Any]]:
        """Which connections are to be polled, and how many messages carry an order; both from now on."""
        text = "SELECT connection FROM drives WHERE polled_at = 0 ORDER BY connection"
        polls = [row[0] for row in await self.here.rows(text)]
        kept = [row[0] for row in await self.here.rows("SELECT value FROM counters WHERE name = 'inbox'")]
        await self.here.run(
            f"UPDATE drives SET polled_at = {MARK}", "DELETE FROM counters WHERE name = 'inbox'"
        )
        return polls, kept


def calls(here: Market, asks: Asks | None = None) -> Calls:
    """The hooks application as the hub mounts it."""
    app = hooks.app(here.inventory, SEALS, connectors.ALL, asks)

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(dict(scope) | {"root_path": hooks.PREFIX}, receive, send)

    transport = httpx2.ASGITransport(mounted)
    return Calls(here, httpx2.AsyncClient(transport=transport, base_url="http://testserver"))


async def connect(here: Market, channel: str, link: int, settings: dict[str, Any]) -> None:
    """Make a connection one to this channel."""
    sealed = SEALS.seal(here.account, link, settings)
    await here.inventory.write(here.account, lambda c: drives.keep_secrets(c, here.account, link, sealed))
    await here.run(
        f"UPDATE connections SET channel = '{channel}' WHERE id = {link}",
        f"INSERT INTO drives (account, connection, polled_at) VALUES ({here.account}, {link}, {MARK})",
    )


def wrong(message: Message) -> list[Message]:
    """The same with a body or a proof that does not fit, or none."""
    head, body = message
    at = len(body) // 2
    changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    bad: list[Message] = [(head, changed), (head, body + b" x")]
    names = [name for name in head if any(word in name for word in ("signature", "hmac", "auth"))]
    for name in names:
        value = head[name]
        bad += [
            ({key: one for key, one in head.items() if key != name}, body),
            (head | {name: ""}, body),
            (head | {name: value[: len(value) // 2]}, body),
            (head | {name: value[:-4] + "AAA="}, body),
        ]
    return bad


@pytest.mark.parametrize("channel", HEARING)
def test_a_message_is_heard_once_and_no_other(sqlite_url: str, channel: str) -> None:
    settings, message = SENDERS[channel]

    async def go() -> None:
        async with open_market(sqlite_url) as here:
            app = calls(here)
            for link, secret in ((1, "ours"), (2, "theirs")):
                await connect(here, channel, link, settings(secret))
            now = here.inventory.now() // 1_000_000
            good = message("ours", now, "m-1")
            for bad in (*wrong(good), message("theirs", now, "m-2"), message("nobody's", now, "m-3")):
                assert 400 <= await app.post(bad) < 500, bad
            assert await app.effects() == ([], [])
            assert 400 <= await app.post(good, link=2) < 500
            assert await app.effects() == ([], [])
            assert await app.post(good) == 200
            heard = await app.effects()
            assert heard == (([], [1]) if channel == "sandbox" else ([1], []))
            for _ in range(3):
                assert await app.post(good) == 200
            clock_of(here).offset += HOUR
            assert (await app.post(good)) in (200, 401, 412)
            assert await app.effects() == ([], [])
            await app.http.aclose()

    asyncio.run(go())


@pytest.mark.parametrize("channel", ["shopify", "woocommerce"])
def test_a_name_that_is_not_signed_makes_one_look_more_and_nothing_else(
    sqlite_url: str, channel: str
) -> None:
    settings, message = SENDERS[channel]

    async def go() -> None:
        async with open_market(sqlite_url) as here:
            app = calls(here)
            await connect(here, channel, 1, settings("ours"))
            head, body = message("ours", 1, "m-1")
            assert await app.post((head, body)) == 200
            again = {name: value.replace("m-1", "m-2") for name, value in head.items()}
            assert await app.post((again, body)) == 200
            assert await app.effects() == ([1], [])
            await app.http.aclose()

    asyncio.run(go())


# --- eBay -----------------------------------------------------------------------------------------------


def test_ebays_challenge(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            app = calls(here)
            for link, name in ((1, "ours"), (2, "theirs")):
                await connect(here, "ebay", link, ebay_settings(name))
                answer = await app.http.get(f"/hooks/1-{link}", params={"challenge_code": "a 1&ü"})
                assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
                kept = ebay_settings(name)
                mixed = "a 1&ü" + kept["verification_token"] + kept["endpoint"]
                assert answer.json() == {"challengeResponse": hashlib.sha256(mixed.encode()).hexdigest()}
            bare = ebay_settings("ours")
            del bare["verification_token"]
            sealed = SEALS.seal(1, 2, bare)
            await here.inventory.write(1, lambda c: drives.keep_secrets(c, 1, 2, sealed))
            for path, code in (("1-2", "a"), ("1-1", ""), ("1-9", "a"), ("9-1", "a"), ("x", "a")):
                answer = await app.http.get(f"/hooks/{path}", params={"challenge_code": code})
                assert answer.status_code == 404, path
            assert (await app.http.get("/hooks/1-1")).status_code == 404
            await app.http.aclose()

    asyncio.run(go())


def test_a_key_that_is_not_known_is_fetched_and_the_message_heard_when_it_comes_again(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "LEARN_SECONDS", 0.02)

    async def go() -> None:
        async with open_market(migrated_url) as here:
            fake = Fake(signer=curve_key("ours"))
            app = calls(here, Asks(here, fake))
            await connect(here, "ebay", 1, ebay_settings("ours", "older"))
            now = here.inventory.now() // 1_000_000

            async def heard() -> bool:
                status = await app.post(told_by_ebay("ours", now, "m-1"))
                assert status in (200, 412)
                return status == 200

            assert not await heard()
            await here.until(heard)
            assert await app.effects() == ([1], [])
            # What was known before is known still, whatever the courier's own session knows.
            assert await app.post(told_by_ebay("ours", now, "m-2", "older")) == 200
            # A key that eBay does not have is asked for and not found; nothing else changes.
            before = len(fake.requests)

            async def asked() -> bool:
                # Sent again, as eBay does: a key is not asked for twice within a moment.
                assert await app.post(told_by_ebay("ours", now, "m-3", "key-9")) == 412
                return len(fake.requests) > before

            await here.until(asked)
            assert await app.post(told_by_ebay("theirs", now, "m-4", KID)) == 412
            assert await app.post(told_by_ebay("ours", now, "m-5")) == 200
            await app.http.aclose()

    asyncio.run(go())


def test_keys_are_not_fetched_for_everybody_who_names_one(sqlite_url: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            fake = Fake(signer=curve_key("ours"))
            app = calls(here, Asks(here, fake))
            await connect(here, "ebay", 1, ebay_settings("ours", KID))
            now = here.inventory.now() // 1_000_000
            for at in range(20):
                assert await app.post(told_by_ebay("ours", now, f"m-{at}", f"key-{at + 2}")) == 412
            await asyncio.sleep(0.1)
            named = [wire.path for wire in fake.requests if "public_key" in wire.path]
            assert len(named) == 1
            await app.http.aclose()

    asyncio.run(go())
