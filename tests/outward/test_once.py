"""Writes about channels under an Idempotency-Key: done once, answered alike, whatever has changed since."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hubs import Hub
from native_calls import Api, codes
from onhand.settings import Settings
from onhand.store import drives, feeding, orders

outward_shop = importlib.import_module("outward.shop")
rounds = importlib.import_module("outward.test_api")
SKUS = rounds.SKUS


@pytest.fixture(scope="module")
def shop() -> Iterator[Any]:
    with outward_shop.shop() as running:
        yield running


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    settings = Settings(allow_private_channels=True, secret_key_file=str(tmp_path / "key"))
    with rounds.channel_hub(tmp_path, settings) as running:
        yield running


@pytest.fixture
def api(hub: Hub) -> Api:
    return rounds.stocked(hub)  # type: ignore[no-any-return]


def backlog(hub: Hub, link: int) -> int:
    """Listings that are to be told."""
    return hub.read(lambda c: drives.status(c, hub.account, link))[0].backlog


def told(hub: Hub) -> None:
    """Pretend that everything was told."""
    hub.write(lambda c: c.exec_driver_sql("DELETE FROM outbox"))


Case = tuple[str, str, Any]
WRITES: dict[str, Callable[[int, int], Case]] = {
    "import": lambda link, listing: ("POST", f"/connections/{link}/import", {"cursor": None}),
    "push all": lambda link, listing: ("POST", f"/connections/{link}/push", None),
    "push one": lambda link, listing: ("POST", f"/listings/{listing}/push", None),
    "release": lambda link, listing: ("POST", f"/listings/{listing}/release", None),
    "rules": lambda link, listing: ("PUT", f"/listings/{listing}/rules", {"buffer": 1}),
    "change": lambda link, listing: ("PATCH", f"/connections/{link}", {"rules": {"cap": 3}}),
    "sweep": lambda link, listing: ("POST", f"/connections/{link}/sweep", None),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_repetition_changes_nothing_and_is_answered_alike(
    api: Api, hub: Hub, shop: Any, write: str
) -> None:
    link = rounds.connected(api, shop)
    api.ask("PATCH", f"/connections/{link}", {"paused": False})
    one = rounds.listings(api, link)["SB-APRON-M"]["id"]
    rounds.park(hub, one, "the product is archived")
    method, path, body = WRITES[write](link, one)
    first = api.ask(method, path, body, Idempotency_Key=write)
    assert first.is_success, first.text
    assert "idempotency-replayed" not in first.headers
    told(hub)
    api.ask("PUT", f"/listings/{one}/rules", {"buffer": 9})
    told(hub)
    second = api.ask(method, path, body, Idempotency_Key=write)
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["idempotency-replayed"] == "true"
    assert backlog(hub, link) == 0
    rules = {rule["rule"]: rule["value"] for rule in api.get(f"/listings/{one}/explain")["rules"]}
    assert rules["buffer"] == 9
    other = api.ask(method, f"{path}?x=1", body, Idempotency_Key=write)
    assert codes(other)[0] == "idempotency_key_reused"


def test_a_refusal_is_not_kept(api: Api, hub: Hub, shop: Any) -> None:
    link = rounds.connected(api, shop)
    one = rounds.listings(api, link)["SB-APRON-M"]["id"]
    path = f"/listings/{one}/release"
    assert codes(api.ask("POST", path, Idempotency_Key="r"))[0] == "not_allowed"
    rounds.park(hub, one, "the product is archived")
    assert api.ask("POST", path, Idempotency_Key="r").status_code == 202
    hub.write(lambda c: feeding.mark(c, hub.account, [one], 1))
    assert api.ask("POST", path, Idempotency_Key="r").headers["idempotency-replayed"] == "true"


def test_a_connection_is_made_once_and_removed_once(api: Api, shop: Any) -> None:
    body = {"channel": "sandbox", "settings": shop.settings}
    made = api.post("/connections", body, 201)
    # Whoever was cut off before the answer, and has another key or none, goes on with the same.
    again = api.post("/connections", body, 200, Idempotency_Key="other")
    assert (again["connection"], again["resumed"], made["resumed"]) == (made["connection"], True, False)
    assert api.get(f"/connections/{made['connection']}")["unfinished"] is True
    link = made["connection"]
    api.post(f"/connections/{link}/import", {"cursor": None}, 200)
    assert api.ask("PATCH", f"/connections/{link}", {"paused": False}).json()["unfinished"] is False
    gone = api.ask("DELETE", f"/connections/{link}", Idempotency_Key="d")
    assert gone.json() == {"connection": link, "name": "Sandbox", "listings": 2, "orders": 0, "released": 0}
    assert api.ask("DELETE", f"/connections/{link}", Idempotency_Key="d").content == gone.content
    assert codes(api.ask("DELETE", f"/connections/{link}"))[0] == "unknown_connection"
    assert codes(api.ask("DELETE", f"/connections/{link}", params={"orders": "x"}))[0] == "invalid_parameter"
    assert link not in [row["id"] for row in api.get("/connections")["data"]]
    assert api.post("/connections", body, 201)["connection"] == link + 1
    assert api.ask("DELETE", f"/connections/{link + 1}").json()["listings"] == 0


def test_what_is_removed_on_postgresql(postgres_url: str, tmp_path: Path, shop: Any) -> None:
    settings = Settings(allow_private_channels=True, secret_key_file=str(tmp_path / "key"))
    with rounds.channel_hub(postgres_url, settings) as hub:
        api = rounds.stocked(hub)
        test_a_connection_is_made_once_and_removed_once(api, shop)
        link = rounds.connected(api, shop)
        hold = {
            "reference": f"order:{link}:X",
            "confirmed": True,
            "lines": [{"sku": "SB-APRON-S", "quantity": 2}],
        }
        api.post("/reservations", hold, 201)
        row = (link, "X", f"order:{link}:X", "#X", 1, 1, "[]", 0)
        hub.write(lambda c: orders.put(c, hub.account, [row], 1))
        assert codes(api.ask("DELETE", f"/connections/{link}"))[0] == "not_allowed"
        gone = api.ask("DELETE", f"/connections/{link}", params={"orders": "release"}).json()
        assert (gone["listings"], gone["orders"], gone["released"]) == (2, 1, 1)
        assert api.get(f"/reservations/order:{link}:X")["status"] == "released"


def test_who_may_not_remove(api: Api, hub: Hub, shop: Any) -> None:
    link = rounds.connected(api, shop)
    answers: list[httpx2.Response] = [
        api.caller().ask("DELETE", f"/connections/{link}"),
        Api(hub, hub.another()["native"]["api_key"]).ask("DELETE", f"/connections/{link}"),
    ]
    assert [codes(one)[0] for one in answers] == ["insufficient_scope", "unknown_connection"]
    assert len(rounds.listings(api, link)) == len(SKUS)
