"""Rotation of the key for secrets: it comes to its end, whatever it meets, and never loses a key in use."""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from hubs import Hub
from native_calls import codes
from onhand import seals
from onhand.outward.equipment import Equipment, Refusal
from onhand.outward.rotation import Rotated, rotate
from onhand.settings import Settings

YOUNG = (
    "INSERT INTO connections (account, id, channel, name, connector, secrets, created_at)"
    " SELECT ?, id, channel, name, connector, ?, 1 FROM connections WHERE id = ?"
)

outward_shop = importlib.import_module("outward.shop")
channel_api = importlib.import_module("outward.test_api")


@pytest.fixture(scope="module")
def shop() -> Iterator[Any]:
    with outward_shop.shop() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(allow_private_channels=True, secret_key_file=str(tmp_path / "key"))


def spoil(hub: Hub, link: int) -> None:
    """Seal a connection's secrets with a key that nobody has."""

    def unit(connection: Connection) -> None:
        lost = seals.fresh()
        account = connection.execute(text("SELECT account FROM connections WHERE connector = 1")).scalar_one()
        envelope = seals.Seals(lambda: (lost,)).seal(account, link, {"client_secret": "x"})
        values = {"link": link, "secrets": envelope}
        connection.execute(text("UPDATE connections SET secrets = :secrets WHERE id = :link"), values)

    hub.run(hub.inventory.write, 0, unit)


def test_secrets_that_do_not_open_keep_no_others_on_an_old_key(
    tmp_path: Path, shop: Any, settings: Settings
) -> None:
    with channel_api.channel_hub(tmp_path, settings) as hub:
        api = channel_api.stocked(hub)
        broken = channel_api.connected(api, shop)
        spoil(hub, broken)
        by_name = shop.settings["url"].replace("127.0.0.1", "localhost")
        good = channel_api.connected(api, shop, settings=shop.settings | {"url": by_name})
        assert broken != good
        # As often as it is tried: what a rotation that failed has left must not add up.
        for _ in range(seals.KEYS_LIMIT + 2):
            with pytest.raises(Refusal, match=f"connection {broken}: .*not here"):
                hub.run(rotate, Equipment(hub.inventory, settings))
        assert len(seals.read_file(tmp_path / "key")) == 1
        api.post(f"/connections/{good}/import", {}, 200)
        answer = api.ask("POST", f"/connections/{broken}/import", {})
        assert codes(answer)[0] == "invalid_body" and "not here" in answer.text


def test_secrets_that_do_not_open_are_given_anew(tmp_path: Path, shop: Any, settings: Settings) -> None:
    with channel_api.channel_hub(tmp_path, settings) as hub:
        api = channel_api.stocked(hub)
        link = channel_api.connected(api, shop)
        spoil(hub, link)
        part = api.ask("PATCH", f"/connections/{link}", {"settings": {"client_id": "x"}})
        assert codes(part)[0] == "invalid_body" and "not here" in part.text
        assert api.ask("PATCH", f"/connections/{link}", {"settings": shop.settings}).status_code == 200
        api.post(f"/connections/{link}/import", {}, 200)
        assert hub.run(rotate, Equipment(hub.inventory, settings)).still_needed == []


def test_several_rotations_at_once(tmp_path: Path, shop: Any, settings: Settings) -> None:
    """Each on its own would leave out of the file the keys that another one is just sealing with."""
    with channel_api.channel_hub(tmp_path, settings) as hub:
        api = channel_api.stocked(hub)
        link = channel_api.connected(api, shop)
        equipment = Equipment(hub.inventory, settings)
        (tmp_path / "key.4711.0a1b2c3d").write_text("what a rotation that was killed has left")

        async def several() -> list[Any]:
            return await asyncio.gather(*(rotate(equipment) for _ in range(6)), return_exceptions=True)

        for _ in range(3):
            done = hub.run(several)
            refused = [one for one in done if isinstance(one, Refusal)]
            assert {str(one) for one in refused} == {"another rotation is under way: nothing was done"}
            assert [one.still_needed for one in done if isinstance(one, Rotated)] == [[]] * (6 - len(refused))
            assert len(seals.read_file(tmp_path / "key")) == 1
            assert sorted(one.name for one in tmp_path.glob("key*")) == ["key"]
        assert hub.run(rotate, equipment).resealed == 1
        api.post(f"/connections/{link}/import", {}, 200)


def test_an_account_that_is_made_meanwhile_can_open_its_secrets(
    tmp_path: Path, shop: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with channel_api.channel_hub(tmp_path, settings) as hub:
        link = channel_api.connected(channel_api.stocked(hub), shop)
        number, write, young = hub.account + 1, seals.write_file, list[str]()

        def late(file: Path, keys: Any) -> None:
            """When the new keys are written, somebody has just sealed with the old one in a young account."""
            if not young:
                young.append(seals.seals(settings).seal(number, link, {"client_secret": "young"}))
                with closing(sqlite3.connect(hub.inventory.store.path)) as raw, raw:
                    raw.execute(
                        "INSERT INTO accounts (id, name, created_at) VALUES (?, 'young', 1)", (number,)
                    )
                    raw.execute(YOUNG, (number, young[0], link))
            write(file, keys)

        monkeypatch.setattr(seals, "write_file", late)
        assert hub.run(rotate, Equipment(hub.inventory, settings)).resealed == 2
        assert len(seals.read_file(tmp_path / "key")) == 1
        assert hub.read(lambda c: seals.closed(c, seals.seals(settings), number), number) == {}


def test_a_key_file_where_nobody_may_write(tmp_path: Path, shop: Any, settings: Settings) -> None:
    with channel_api.channel_hub(tmp_path, settings) as hub:
        channel_api.connected(channel_api.stocked(hub), shop)
        (tmp_path / "key.part").mkdir()
        with pytest.raises(seals.BadKey, match="cannot be written: Is a directory"):
            hub.run(rotate, Equipment(hub.inventory, settings))
