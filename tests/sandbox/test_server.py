"""The sandbox over HTTP: connector against server, faults, webhooks, its page, and its state in a file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop

from onhand.connectors import sandbox as connector
from onhand.connectors.flow import Accepted, Later, Order, Orders, Page, Slot, Target, Unsure, Verdict
from onhand.courier.flows import Session
from onhand.sandbox import catalogue
from onhand.sandbox.app import Sandbox, fresh, load, now
from onhand.sandbox.asking import Declined, ask
from onhand.sandbox.card import Card
from sandbox.serving import listening, served, spoken, usual

Play = Callable[[Sandbox, Card, Session], Awaitable[None]]


def play(run: Play, sandbox: Sandbox | None = None) -> None:
    async def whole() -> None:
        made = sandbox or usual()
        async with served(made) as card, spoken(card) as session:
            await run(made, card, session)

    uvloop.run(whole())


def aim(number: int, offer: int, **slot: Any) -> Target:
    ids = {"product": f"p{number}", "variant": f"v{number}"}
    return Target(number, ids, (Slot(offer, "main", **slot),), f"key-{number}-{offer}")


async def push(session: Session, *targets: Target) -> list[Verdict]:
    return await session.run(lambda settings: connector.push(settings, targets), patience=5.0)


async def pull(session: Session, cursor: str | None = None) -> Page:
    return await session.run(lambda settings: connector.pull(settings, cursor))


async def orders(session: Session, cursor: str | None) -> Orders:
    return await session.run(lambda settings: connector.orders(settings, cursor))


def test_the_connector_talks_to_the_server() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        assert await session.run(connector.check) == "Sandbox, 20 products"
        seen = (await pull(session)).seen
        assert len(seen) == 22
        assert isinstance((await push(session, aim(9, 12)))[0], Accepted)
        first = await orders(session, None)
        sold = await ask(card, "sell", {"sku": "v9", "units": 2})
        found = await orders(session, first.cursor)
        assert [order.id for order in found.orders] == [sold["id"]]
        shown = {one.ids["variant"]: one.shown[0].quantity for one in (await pull(session)).seen}
        assert shown["v9"] == 10

    play(run)


def test_the_assortment_has_the_oddities_of_real_shops() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        seen = (await pull(session)).seen
        skus = [one.sku for one in seen]
        assert skus.count("SB-TWIN") == 2
        assert skus.count(None) == 1
        assert [one.sku for one in seen if not one.active] == ["SB-OLD-6"]
        assert [one.sku for one in seen if not one.writable] == ["SB-KEPT-7"]
        assert len({one.ids["product"] for one in seen}) < len(seen)

    play(run)
    assert catalogue.assortment(5) == catalogue.assortment(5) != catalogue.assortment(6)
    assert sum(product.kit for product in catalogue.assortment(5)) == 1


def test_a_token_that_ends_is_renewed() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        await session.run(connector.check)
        before = session.settings
        assert await ask(card, "expire") == {"expired": 1}
        await session.run(connector.check)
        assert session.settings.access_token != before.access_token
        assert session.settings.refresh_token != before.refresh_token

    play(run)


@pytest.mark.parametrize("seconds", [0.2, None])
def test_throttling_with_and_without_a_time(seconds: float | None) -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        await session.run(connector.check)
        await ask(card, "faults", {"throttle": 1, "retry_after": seconds})
        assert isinstance((await push(session, aim(9, 3)))[0], Accepted)
        assert session.count.throttled == 1

    play(run)


def test_a_server_that_fails_for_a_while() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        await session.run(connector.check)
        await ask(card, "faults", {"fail": 3})
        assert isinstance((await push(session, aim(9, 3)))[0], Later)
        assert isinstance((await push(session, aim(9, 3)))[0], Accepted)

    play(run)


def test_done_and_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onhand.courier.flows.TIMEOUT_SECONDS", 0.3)

    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        await session.run(connector.check)
        await ask(card, "faults", {"lose": 3})
        assert isinstance((await push(session, aim(9, 31)))[0], Unsure)
        assert sandbox.shop.by_sku("v9").levels["main"].quantity == 31
        before = sandbox.shop.by_sku("v9").levels["main"].revision
        assert isinstance((await push(session, aim(9, 31)))[0], Accepted)
        assert sandbox.shop.by_sku("v9").levels["main"].revision == before

    play(run)


def test_delay() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        await session.run(connector.check)
        await ask(card, "faults", {"delay": 0.3})
        began = asyncio.get_running_loop().time()
        await session.run(connector.check)
        assert asyncio.get_running_loop().time() - began >= 0.3

    play(run)


def test_a_rate_that_is_kept_is_not_throttled_and_one_that_is_not_is() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        await session.run(connector.check)
        await ask(card, "faults", {"rate": 1000.0, "burst": 100})
        for _ in range(30):
            await session.run(connector.check)
        assert session.count.throttled == 0
        await push(session, aim(9, 12))
        assert (await ask(card, "state", method="GET"))["counts"] == {
            "requests": session.count.requests,
            "throttled": 0,
            "numbers": 1,
        }
        await ask(card, "faults", {"rate": 10.0, "burst": 1})
        for _ in range(3):
            await session.run(connector.check)
        assert session.count.throttled > 0
        counts = (await ask(card, "state", method="GET"))["counts"]
        assert counts["throttled"] == session.count.throttled

    play(run)


# --- webhooks -------------------------------------------------------------------------------------------


class Ear:
    """Hears webhooks: an ASGI application that keeps them."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw, more = b"", True
        while more:
            part = await receive()
            raw, more = raw + part["body"], part["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        self.heard.put_nowait(({name.decode(): value.decode() for name, value in scope["headers"]}, raw))

    async def orders(self, session: Session, count: int) -> list[Order]:
        """So many orders that were told, as they came; every message is verified."""
        found: list[Order] = []
        async with asyncio.timeout(5):
            while len(found) < count:
                headers, raw = await self.heard.get()
                found += connector.hear(session.settings, headers, raw, now()).orders
        return found


@pytest.mark.parametrize(
    ("faults", "shipped"),
    [({}, [0, 1, 2]), ({"duplicate": 3}, [0, 0, 1, 1, 2, 2]), ({"reorder": 1}, [1, 0, 2])],
)
def test_webhooks(faults: dict[str, int], shipped: list[int]) -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        ear = Ear()
        async with listening(ear) as there:
            sold = await ask(card, "orders", {"lines": [{"sku": "v9", "units": 3}], "pay": False})
            sandbox.shop.pay(sandbox.shop.order(sold["id"]))
            await ask(card, "hook", {"url": f"{there}/hear"})
            await ask(card, "faults", faults)
            await ask(card, "orders", {"lines": [{"sku": "v10", "units": 1}], "pay": False})
            for _ in range(2):
                await ask(card, f"orders/{sold['id']}/ship", {"units": 1})
            heard = await ear.orders(session, len(shipped))
        assert [order.lines[0].shipped for order in heard] == shipped

    play(run)


# --- operator and page ----------------------------------------------------------------------------------


def test_the_operator_and_nobody_else() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        async with httpx2.AsyncClient(base_url=card.url) as http:
            for key in (None, "wrong", card.client_secret):
                headers = {"Authorization": f"Bearer {key}"} if key else {}
                answer = await http.post("/admin/sell", json={"sku": "v9"}, headers=headers)
                assert answer.status_code == 401
            assert (await http.get("/v1/products")).status_code == 401
            assert (await http.get("/nothing")).status_code == 404
        assert sandbox.state.orders == {}

    play(run)


BAD = [
    ("sell", {"sku": "v9", "units": 0}),
    ("sell", {"sku": "v9", "units": True}),
    ("sell", {"sku": "v9", "units": 3.5}),
    ("sell", {"sku": "v9", "units": 10**9}),
    ("sell", {"sku": "v9", "units": 999}),
    ("sell", {"sku": "nothing"}),
    ("sell", {"sku": "v9", "location": "moon"}),
    ("sell", []),
    ("orders", {"lines": []}),
    ("orders", {"lines": [{"sku": "v9", "units": 30}, {"sku": "v9", "units": 30}]}),
    ("orders/none/pay", {}),
    ("edit", {"sku": "v9", "quantity": -1}),
    ("faults", {"throttle": -1}),
    ("faults", {"throttle": "many"}),
    ("faults", {"unheard_of": 1}),
    ("hook", {"url": "ftp://x"}),
    ("reset", {"size": 0}),
    ("nothing", {}),
]


def test_what_the_operator_cannot_do() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        for path, value in BAD:
            with pytest.raises(Declined) as raised:
                await ask(card, path, value)
            assert str(raised.value), (path, value)
        assert sandbox.state.orders == {}

    play(run)


def test_what_the_protocol_refuses() -> None:
    item = {"variant": "v9", "quantity": 1}
    bodies: list[tuple[int, Any]] = [
        (422, {"items": []}),
        (422, {"items": [item] * 51}),
        (422, {"items": [item], "more": 1}),
        (422, {"items": [{**item, "more": 1}]}),
        (422, {"items": [{"variant": "v9"}]}),
        (422, {"items": [{**item, "quantity": -1}]}),
        (422, {"items": [{**item, "quantity": 1.0}]}),
        (422, {"items": [{**item, "quantity": True}]}),
        (422, {"items": [{**item, "quantity": 10**7}]}),
        (422, {"items": [{**item, "unlimited": True}]}),
        (422, {"items": [{**item, "revision": "1"}]}),
        (422, {"items": [3]}),
        (400, []),
    ]

    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        await session.run(connector.check)
        headers = {"Authorization": f"Bearer {session.settings.access_token.reveal()}"}
        before = sandbox.shop.by_sku("v9").levels["main"].revision
        async with httpx2.AsyncClient(base_url=card.url, headers=headers) as http:
            for status, value in bodies:
                assert (await http.post("/v1/stock", json=value)).status_code == status, value
            assert (await http.post("/v1/stock", content=b'{"items"')).status_code == 400
            for query in ("limit=0", "limit=x", "limit=201", "more=1", "cursor=x"):
                assert 400 <= (await http.get(f"/v1/products?{query}")).status_code < 423, query
        assert sandbox.shop.by_sku("v9").levels["main"].revision == before

    play(run)


def test_the_page() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        sandbox.state.products[8].title = "<script>alert(1)</script>"
        sandbox.state.products[8].variants[0].title = ""
        await ask(card, "edit", {"sku": "v9", "quantity": 4711})
        for _ in range(20):
            await ask(card, "sell", {"sku": "v9", "units": 1})
        await ask(card, "sell", {"sku": "v9", "units": 11})
        async with httpx2.AsyncClient() as http:
            answer, held = await http.get(card.url), await http.get(f"{card.url}/?hold")
        assert "http-equiv=refresh" not in held.text
        assert "4680" in answer.text
        assert "11 ×" in answer.text
        assert (answer.text.count("1 × "), "21 orders in all" in answer.text) == (20, True)
        assert "<script" not in answer.text
        assert "http-equiv=refresh" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]

    play(run)


def test_a_new_life_does_not_use_old_orders_and_cursors() -> None:
    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        first = await ask(card, "sell", {"sku": "v9"})
        cursor = (await orders(session, None)).cursor
        await ask(card, "reset", {"seed": 2, "size": 30})
        second = await ask(card, "sell", {"sku": "v9"})
        assert second["id"] != first["id"]
        assert [order.id for order in (await orders(session, cursor)).orders] == [second["id"]]

    play(run)


def test_everything_is_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "channel"

    async def run(sandbox: Sandbox, card: Card, session: Session) -> None:
        await push(session, aim(9, 40))
        await ask(card, "sell", {"sku": "v9", "units": 3})
        await ask(card, "faults", {"throttle": 2})

    first = Sandbox(fresh(catalogue.assortment(1)), file)
    play(run, first)
    kept = load(file)
    assert kept == first.state
    assert kept is not None
    assert kept.faults.throttle == 2
    assert file.stat().st_mode & 0o077 == 0
    assert load(tmp_path / "nothing") is None
