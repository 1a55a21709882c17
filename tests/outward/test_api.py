"""Channels over our own API: connected, imported, told, explained, paused, and who has seen a change."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount

from hubs import Hub, demo_hub
from native_calls import EAST, PREFIX, Api, admin, codes
from onhand import connectors
from onhand.api import routes, told
from onhand.courier.courier import Courier
from onhand.orders_in import Polls
from onhand.outward.equipment import Equipment
from onhand.outward.rotation import rotate
from onhand.settings import Settings
from onhand.store import drives

outward_shop = importlib.import_module("outward.shop")
SKUS = {"SB-APRON-S": 7, "SB-APRON-M": 3}


@pytest.fixture(scope="module")
def shop() -> Iterator[Any]:
    with outward_shop.shop() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(allow_private_channels=True, secret_key_file=str(tmp_path / "key"))


@pytest.fixture
def hub(tmp_path: Path, settings: Settings) -> Iterator[Hub]:
    with channel_hub(tmp_path, settings) as running:
        yield running


@contextlib.contextmanager
def channel_hub(where: Path | str, settings: Settings) -> Iterator[Hub]:
    """A hub whose own API can speak to channels on this machine."""
    with demo_hub(where, "native", settings=settings) as running:
        equipment = Equipment(running.inventory, settings)
        served: Any = running.client.app
        served.router.routes[0] = Mount(PREFIX, routes.app(running.inventory, settings, equipment))
        yield running
        running.run(equipment.close)


@pytest.fixture
def api(hub: Hub) -> Api:
    return stocked(hub)


def stocked(hub: Hub) -> Api:
    """The demo's caller, with some of the shop's items in the ledger."""
    caller = admin(hub)
    caller.post("/items", {"items": [{"sku": sku} for sku in SKUS]})
    caller.change(
        *({"op": "set_on_hand", "sku": sku, "location": "MAIN", "quantity": n} for sku, n in SKUS.items())
    )
    return caller


def connected(api: Api, shop: Any, **more: Any) -> int:
    """A connection with its listings imported, still paused."""
    body = {"channel": "sandbox", "settings": shop.settings} | more
    link = int(api.post("/connections", body, 201)["connection"])
    cursor, created = None, 0
    while True:
        done = api.post(f"/connections/{link}/import", {"cursor": cursor}, 200)
        created += done["created"]
        cursor = done["cursor"]
        if cursor is None:
            assert created == len(SKUS)
            return link


@pytest.mark.parametrize("cursor", ["²", "٣|٣", "a\nb", "9" * 5_000], ids=["sup", "arabic", "line", "long"])
def test_a_cursor_that_no_import_has_given(api: Api, shop: Any, cursor: str) -> None:
    link = api.post("/connections", {"channel": "sandbox", "settings": shop.settings}, 201)["connection"]
    refused = api.post(f"/connections/{link}/import", {"cursor": cursor}, 400)
    assert refused["code"] == "invalid_cursor"


class Told:
    """A courier beside the hub, in its loop."""

    def __init__(self, hub: Hub, settings: Settings) -> None:
        self.hub = hub
        self.equipment = equipment = Equipment(hub.inventory, settings)
        self.courier = Courier(
            hub.inventory,
            equipment.transport,
            equipment.seals,
            tuple(equipment),
            settings,
            orders=Polls(hub.inventory),
        )

    def __enter__(self) -> Told:
        self.hub.run(self.courier.start)
        return self

    def __exit__(self, *_: object) -> None:
        self.hub.run(self.courier.stop)
        self.hub.run(self.equipment.close)


def listings(api: Api, link: int) -> dict[str, Any]:
    return {one["sku"]: one for one in api.get(f"/connections/{link}/numbers")["data"]}


def test_a_channel_is_connected_told_and_explained(api: Api, hub: Hub, shop: Any, settings: Settings) -> None:
    link = connected(api, shop, name="Our shop", rules={"buffer": 2})
    state = api.get(f"/connections/{link}")
    assert (state["name"], state["paused"], state["status"]["backlog"]) == ("Our shop", True, len(SKUS))
    assert shop.card.client_secret not in str(state)
    one = listings(api, link)["SB-APRON-S"]
    assert one["state"] == "stale" and one["slots"][0]["numbers"]["observed"]["units"] is not None

    api.ask("PATCH", f"/connections/{link}", {"paused": False})
    made = api.change({"op": "adjust", "sku": "SB-APRON-S", "location": "MAIN", "delta": -1})
    path = f"/changes/{made['token']}/seen"
    assert api.get(path)["seen"] is False
    assert api.get(path, params={"channels": "sandbox", "wait": 1})["connections"][0]["seen"] is False
    with Told(hub, settings):
        began = time.monotonic()
        answer = api.get(path, params={"channels": str(link), "wait": 20})
        assert answer["seen"] is True and time.monotonic() - began < 15
    numbers = listings(api, link)["SB-APRON-S"]
    assert numbers["state"] == "told"
    assert numbers["slots"][0]["numbers"]["acknowledged"]["units"] == 4

    why = api.get(f"/listings/{one['id']}/explain")
    slot = why["slots"][0]
    assert [(term["name"], term["change"], term["after"]) for term in slot["terms"]] == [
        ("available", 6, 6),
        ("buffer", -2, 4),
    ]
    assert slot["sources"][0]["parts"][0]["movements"][0]["on_hand"] == -1
    assert {"rule": "buffer", "value": 2, "from": "connection", "instead_of": None} in why["rules"]


def test_the_same_on_postgresql(postgres_url: str, shop: Any, settings: Settings) -> None:
    with channel_hub(postgres_url, settings) as hub:
        api = stocked(hub)
        test_a_channel_is_connected_told_and_explained(api, hub, shop, settings)
        (link,) = (one["id"] for one in api.get("/connections")["data"] if one["channel"] == "sandbox")
        one = listings(api, link)["SB-APRON-M"]["id"]
        assert api.post(f"/listings/{one}/push", None, 202)["state"] == "stale"
        assert codes(api.ask("POST", f"/listings/{one}/release"))[0] == "not_allowed"
        assert api.post(f"/connections/{link}/push", None, 202)["marked"] == len(SKUS)
        assert api.ask("PATCH", f"/connections/{link}", {"rules": {"cap": 1}}).status_code == 200
        assert api.get("/drifts")["data"] == api.get("/parked")["data"] == []
        assert hub.run(rotate, Equipment(hub.inventory, settings)).resealed == len(
            api.get("/connections")["data"]
        )


def test_rules_of_a_listing_go_before_those_of_its_connection(api: Api, shop: Any) -> None:
    link = connected(api, shop, rules={"buffer": 2})
    one = listings(api, link)["SB-APRON-S"]["id"]
    api.ask("PUT", f"/listings/{one}/rules", {"buffer": 1, "cap": 5})
    why = api.get(f"/listings/{one}/explain")
    assert why["slots"][0]["offer"] == 5
    assert {"rule": "buffer", "value": 1, "from": "listing", "instead_of": 2} in why["rules"]
    assert why["waiting"] == "the connection is paused"


@pytest.mark.parametrize("whose", ["listing", "connection"])
def test_rules_that_name_locations_lead_to_other_stock(api: Api, hub: Hub, shop: Any, whose: str) -> None:
    link = connected(api, shop)
    one = listings(api, link)["SB-APRON-S"]["id"]
    if whose == "listing":
        assert api.ask("PUT", f"/listings/{one}/rules", {"locations": [EAST]}).status_code == 200
    else:
        assert api.ask("PATCH", f"/connections/{link}", {"rules": {"locations": [EAST]}}).status_code == 200
    hub.write(lambda c: c.exec_driver_sql("DELETE FROM outbox WHERE listing = ?", (one,)))
    api.change({"op": "set_on_hand", "sku": "SB-APRON-S", "location": EAST, "quantity": 3})
    why = api.get(f"/listings/{one}/explain")
    assert (why["slots"][0]["offer"], why["state"]) == (3, "stale")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"channel": "nowhere"}, "unknown_channel"),
        ({"settings": {}}, "invalid_body"),
        ({"settings": {"url": 3}}, "invalid_body"),
        ({"settings": []}, "invalid_body"),
        ({"rules": {"buffer": -1}}, "invalid_body"),
        ({"rules": {"unheard": 1}}, "invalid_body"),
        ({"feeds": {"main": ["NOWHERE"]}}, "unknown_location"),
        ({"feeds": {"nowhere": ["MAIN"]}}, "unknown_location"),
        ({"name": "\n"}, "invalid_body"),
        ({"more": 1}, "invalid_body"),
    ],
)
def test_what_cannot_be_connected_leaves_nothing(api: Api, shop: Any, change: Any, code: str) -> None:
    before = len(api.get("/connections")["data"])
    answer = api.ask("POST", "/connections", {"channel": "sandbox", "settings": shop.settings} | change)
    assert codes(answer)[0] == code
    assert len(api.get("/connections")["data"]) == before


def test_a_wrong_password_is_the_channels_word(api: Api, shop: Any) -> None:
    before = len(api.get("/connections")["data"])
    settings = shop.settings | {"client_secret": "wr0ng-5ecret"}
    answer = api.ask("POST", "/connections", {"channel": "sandbox", "settings": settings})
    assert codes(answer)[0] == "channel_refused"
    assert "wr0ng-5ecret" not in answer.text
    assert len(api.get("/connections")["data"]) == before


def test_nobody_there(api: Api, shop: Any) -> None:
    settings = shop.settings | {"url": "http://127.0.0.1:9"}
    answer = api.ask("POST", "/connections", {"channel": "sandbox", "settings": settings})
    assert codes(answer)[0] in ("channel_unavailable", "channel_refused")


def test_the_same_request_twice_connects_once(api: Api, shop: Any) -> None:
    body = {"channel": "sandbox", "settings": shop.settings}
    one = api.post("/connections", body, 201, Idempotency_Key="c")
    two = api.post("/connections", body, 201, Idempotency_Key="c")
    assert one == two
    assert sum(row["channel"] == "sandbox" for row in api.get("/connections")["data"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"client_secret": "another-0ne"},
        {"webhook_secret": "another-0ne"},
    ],
)
def test_a_shop_is_connected_once(api: Api, shop: Any, change: Any) -> None:
    link = connected(api, shop, name="Our shop")
    api.ask("PATCH", f"/connections/{link}", {"paused": False})
    url = shop.settings["url"] + "/"
    body = {"channel": "sandbox", "settings": shop.settings | {"url": url} | change}
    answer = api.ask("POST", "/connections", body)
    assert codes(answer)[0] == "not_allowed"
    assert f"connection {link} (Our shop)" in answer.json()["detail"]
    assert [one["id"] for one in api.get("/connections")["data"] if one["channel"] == "sandbox"] == [link]


def test_parked_listings_are_shown_and_released(api: Api, hub: Hub, shop: Any) -> None:
    link = connected(api, shop)
    one = listings(api, link)["SB-APRON-M"]["id"]
    assert codes(api.ask("POST", f"/listings/{one}/release"))[0] == "not_allowed"
    park(hub, one, "the product is archived")
    parked = api.get("/parked", params={"connection": link})["data"]
    assert [(row["id"], row["parked"]) for row in parked] == [(one, "the product is archived")]
    for freeing in ("release", "push"):
        park(hub, one, "the product is archived")
        freed = api.post(f"/listings/{one}/{freeing}", None, 202)
        assert (freed["parked"], freed["state"]) == (None, "stale")
        assert api.get("/parked")["data"] == []


def park(hub: Hub, listing: int, words: str) -> None:
    def unit(connection: Any) -> None:
        statement = "UPDATE listings SET parked = ? WHERE account = ? AND id = ?"
        connection.exec_driver_sql(statement, (words, hub.account, listing))
        connection.exec_driver_sql("DELETE FROM outbox WHERE listing = ?", (listing,))

    hub.write(unit)


def test_drift_is_found_and_healed(api: Api, hub: Hub, shop: Any, settings: Settings) -> None:
    link = connected(api, shop)
    api.ask("PATCH", f"/connections/{link}", {"paused": False})
    with Told(hub, settings):
        wait(lambda: hub.read(lambda c: drives.status(c, hub.account, link))[0].backlog == 0)
        shop.ask("/edit", {"sku": "SB-APRON-S", "quantity": 40})
        asked = api.post(f"/connections/{link}/sweep", None, 202)["asked_at"]
        wait(lambda: (api.get(f"/connections/{link}")["status"]["swept_at"] or "") > asked)
        wait(lambda: api.get("/drifts", params={"connection": link})["data"] == [])
    found = api.get("/drifts", params={"connection": link, "healed": "true"})["data"]
    assert [(row["sku"], row["cause"], row["observed"]) for row in found] == [
        ("SB-APRON-S", "changed_there", 40)
    ]


def wait(true: Any, seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def test_settings_are_changed_one_by_one(api: Api, hub: Hub, shop: Any) -> None:
    link = connected(api, shop)
    other = {"settings": {"client_id": "other"}}
    assert codes(api.ask("PATCH", f"/connections/{link}", other))[0] == "not_allowed"
    answer = api.ask("PATCH", f"/connections/{link}", other | {"same_shop": True})
    assert answer.json()["settings"]["client_id"] == "other"
    back = {"settings": {"client_id": shop.settings["client_id"]}, "same_shop": True}
    assert api.ask("PATCH", f"/connections/{link}", back).status_code == 200
    assert codes(api.ask("PATCH", f"/connections/{link}", {"settings": {"nothing": 1}}))[0] == "invalid_body"
    assert api.ask("PATCH", f"/connections/{link}", {"rules": {"locations": [99999]}}).status_code == 404
    assert codes(api.ask("PATCH", "/connections/99999", {"paused": True}))[0] == "unknown_connection"


def test_secrets_do_not_follow_to_another_address(api: Api, hub: Hub, shop: Any, settings: Settings) -> None:
    link = connected(api, shop)
    account, seals = hub.account_of("demo"), Equipment(hub.inventory, settings).seals

    def stored() -> dict[str, Any]:
        return seals.open(account, link, str(hub.read(lambda c: drives.secrets(c, account, link))))

    before = stored()
    assert before["access_token"] and before["expires_at"]

    def moved(some: dict[str, Any]) -> Any:
        body = {"settings": {"url": "http://127.0.0.1:9"} | some, "same_shop": True}
        return api.ask("PATCH", f"/connections/{link}", body)

    given = {name: shop.settings[name] for name in ("client_secret", "webhook_secret")}
    for some in ({}, {"client_secret": "of theirs"}, {"client_id": "theirs"}, {"access_token": "theirs"}):
        refused = moved(some)
        assert codes(refused)[0] == "invalid_body", refused.text
        missing = " and ".join(sorted(given.keys() - some.keys()))
        assert f"give {missing} again in the same request" in refused.text
    assert api.get(f"/connections/{link}")["settings"]["url"] == shop.settings["url"]
    assert stored() == before
    assert moved(given).status_code == 200
    # Nor do tokens that the channel had given for them.
    assert stored() == given
    assert api.get(f"/connections/{link}")["settings"]["expires_at"] == 0


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/connections/99999", "unknown_connection"),
        ("GET", "/connections/0", "unknown_connection"),
        ("GET", "/connections/99999/numbers", "unknown_connection"),
        ("GET", "/connections/1/numbers", "unknown_connection"),
        ("POST", "/connections/99999/import", "unknown_connection"),
        ("POST", "/connections/99999/push", "unknown_connection"),
        ("POST", "/connections/99999/sweep", "unknown_connection"),
        ("GET", "/listings/99999/explain", "unknown_listing"),
        ("POST", "/listings/99999/push", "unknown_listing"),
        ("POST", "/listings/99999/release", "unknown_listing"),
        ("GET", "/changes/nonsense/seen", "invalid_cursor"),
        ("GET", "/drifts?healed=perhaps", "invalid_parameter"),
        ("GET", "/parked?connection=x", "invalid_parameter"),
    ],
)
def test_what_is_not_there(api: Api, method: str, path: str, code: str) -> None:
    assert codes(api.ask(method, path))[0] == code


def test_a_change_that_is_no_more_was_seen_by_nobody(api: Api) -> None:
    last = api.change({"op": "adjust", "sku": "SB-APRON-S", "location": "MAIN", "delta": 1})["as_of_seq"]
    assert codes(api.ask("GET", f"/changes/{told.token(last + 1)}/seen"))[0] == "moment_out_of_range"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"wait": 31}, "invalid_parameter"),
        ({"wait": -1}, "invalid_parameter"),
        ({"wait": "x"}, "invalid_parameter"),
        ({"channels": "nowhere"}, "unknown_connection"),
    ],
)
def test_bounds_of_waiting(api: Api, params: dict[str, Any], code: str) -> None:
    token = api.change({"op": "adjust", "sku": "SB-APRON-S", "location": "MAIN", "delta": 1})["token"]
    assert codes(api.ask("GET", f"/changes/{token}/seen", params=params))[0] == code


def test_another_account_sees_nothing(api: Api, hub: Hub, shop: Any) -> None:
    link = connected(api, shop)
    one = listings(api, link)["SB-APRON-S"]["id"]
    rival = Api(hub, hub.another()["native"]["api_key"])
    assert rival.ask("GET", f"/connections/{link}").status_code == 404
    assert rival.ask("GET", f"/connections/{link}/numbers").status_code == 404
    assert rival.ask("GET", f"/listings/{one}/explain").status_code == 404
    assert rival.ask("PATCH", f"/connections/{link}", {"paused": False}).status_code == 404
    assert rival.get("/parked")["data"] == []


def test_channels_say_what_they_can(api: Api) -> None:
    rows = {row["name"]: row for row in api.get("/channels")["data"]}
    assert set(rows) == {module.CHANNEL.name for module in connectors.ALL}
    secret = {one["name"] for one in rows["sandbox"]["settings"] if one["secret"]}
    assert {"client_secret", "webhook_secret"} <= secret
