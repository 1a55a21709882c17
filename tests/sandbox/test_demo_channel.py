"""The demo's sales channel: a sale there lowers the ledger, a receipt here raises it, across restarts."""

from __future__ import annotations

import base64
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop

from commands import onhand
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response
from onhand.demo_channel import Neighbour
from onhand.sandbox import card
from servers import Server, demo_server

SKU = "TOWEL-WAFFLE-L"
SECONDS = 10.0


def shown(server: Server) -> int:
    """What a buyer sees on the channel's page."""
    page = httpx2.get(f"{server.url}/sandbox/").text
    found = re.search(rf"<code>{SKU}</code>.*?<td>(-?\d+)</tr>", page)
    assert found is not None
    return int(found[1])


def available(server: Server, made: dict[str, Any]) -> int:
    """What the ledger can promise at MAIN."""
    headers = {"Authorization": f"Bearer {made['native']['api_key']}"}
    answer = httpx2.get(f"{server.url}/api/v1/levels/sku:{SKU}/name:MAIN", headers=headers)
    found: int = answer.json()["available"]
    return found


def channel(server: Server, made: dict[str, Any], **change: Any) -> dict[str, Any]:
    """The connection to it, changed if something is to be."""
    headers = {"Authorization": f"Bearer {made['native']['api_key']}"}
    here = f"{server.url}/api/v1/connections"
    (link,) = [
        one["id"] for one in httpx2.get(here, headers=headers).json()["data"] if one["channel"] == "sandbox"
    ]
    if change:
        assert httpx2.patch(f"{here}/{link}", headers=headers, json=change).is_success
    found: dict[str, Any] = httpx2.get(f"{here}/{link}", headers=headers).json()
    return found


def within(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.02)
    return False


def pasted(server: Server, title: str) -> httpx2.Response:
    """Do what a line that the hub has printed does."""
    said = server.out.read_text(encoding="utf-8")
    words = shlex.split(said.split(f"\n# {title}")[1].split("\n")[1])
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    return httpx2.post(words[3], content=words[words.index("-d") + 1], headers=headers)


def test_a_sale_and_a_receipt_as_they_are_printed(tmp_path: Path) -> None:
    with demo_server(tmp_path) as (server, made):
        before = available(server, made)
        assert within(lambda: shown(server) == before)
        assert pasted(server, "A sale").status_code == 200
        assert within(lambda: available(server, made) == before - 2)
        assert within(lambda: shown(server) == before - 2)
        assert pasted(server, "A receipt").status_code == 200
        assert within(lambda: shown(server) == before + 3)
        ran = onhand("sandbox", "sell", SKU, 3, "--card", tmp_path / card.FILE.name)
        assert ran.code == 0, ran.err
        assert within(lambda: available(server, made) == before)
        assert server.stop() == 0
        assert server.err.read_text(encoding="utf-8") == ""
    with demo_server(tmp_path) as (server, made):
        assert shown(server) == before
        assert pasted(server, "A sale").status_code == 200
        assert within(lambda: available(server, made) == shown(server) == before - 2)
        assert channel(server, made, paused=True)["paused"] is True
    with demo_server(tmp_path) as (server, made):
        assert channel(server, made)["paused"] is True


def test_on_postgresql_with_a_key(tmp_path: Path, postgres_url: str) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    with demo_server(tmp_path, postgres_url, ONHAND_SECRET_KEY=key) as (server, made):
        before = available(server, made)
        assert within(lambda: shown(server) == before)
        assert pasted(server, "A sale").status_code == 200
        assert within(lambda: available(server, made) == before - 2)
        # A killed process keeps its lease on the connection until that ends; a stopped one gives it back.
        assert server.stop() == 0
    with demo_server(tmp_path, postgres_url, ONHAND_SECRET_KEY=key) as (server, made):
        assert within(lambda: shown(server) == available(server, made) == before - 2)


def test_without_a_key_the_demo_has_no_channel_and_goes_on(tmp_path: Path, postgres_url: str) -> None:
    with demo_server(tmp_path, postgres_url) as (server, made):
        assert "the demo has no sales channel" in server.err.read_text(encoding="utf-8")
        assert available(server, made) > 0


class Outside:
    """A way out that notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, wire: Wire, *, timeout: float = 30.0) -> Response:
        self.sent.append(wire.url)
        return Response(0)

    async def close(self) -> None:
        self.sent.append("closed")


async def _near(url: str) -> list[str]:
    outside = Outside()
    neighbour = Neighbour(outside)
    neighbour.open("http://127.0.0.1:9/sandbox")
    await neighbour.send(Wire("GET", url, (), {}, b""), timeout=1)
    await neighbour.close()
    return outside.sent[:-1]


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.0.0.1:9/sandbox/v1/shop", True),
        ("http://127.0.0.1:9/sandboxes/v1", False),
        ("http://127.0.0.1:9/api/v1/items", False),
        ("http://127.0.0.1:9/sandbox/../api/v1/items", False),
        ("http://127.0.0.1:9/sandbox/%2e%2e/api/v1/items", False),
        ("http://127.0.0.1:90/sandbox/v1/shop", False),
        ("http://127.0.0.1/sandbox/v1/shop", False),
        ("https://shop.example/http://127.0.0.1:9/sandbox/", False),
    ],
)
def test_only_the_sandbox_is_near(url: str, near: bool) -> None:
    assert uvloop.run(_near(url)) == ([] if near else [url])
