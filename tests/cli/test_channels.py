"""Channels from the command line: connected, told, looked at and steered, with and without a hub."""

from __future__ import annotations

import importlib
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import onhand, write
from onhand import connectors, seals
from onhand.connectors.kind import Kind
from servers import Server, start

outward_shop = importlib.import_module("outward.shop")


@pytest.fixture(scope="module")
def shop() -> Iterator[Any]:
    with outward_shop.shop() as running:
        yield running


class Line:
    """A command line on a database of its own."""

    def __init__(self, folder: Path, db: str) -> None:
        self.folder = folder
        self.db = Path(db)

    def run(self, *words: object, code: int = 0) -> str:
        """Run a command; what it said."""
        done = onhand(*words)
        assert done.code == code, (words, done.code, done.out, done.err)
        return done.out + done.err

    def json(self, *words: object, code: int = 0) -> Any:
        """What a command said to programs."""
        done = onhand(*words, "--json")
        assert done.code == code, (words, done.code, done.out, done.err)
        return json.loads(done.out)


@pytest.fixture
def line(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Line:
    made = Line(tmp_path, sqlite_url)
    monkeypatch.setenv("ONHAND_DB", sqlite_url)
    monkeypatch.setenv("ONHAND_ALLOW_PRIVATE_CHANNELS", "true")
    monkeypatch.chdir(tmp_path)
    made.run("accounts", "create", "shop")
    write(tmp_path / "stock.csv", "sku,location,on_hand", "SB-APRON-S,main,7", "SB-APRON-M,main,3")
    made.run("import", "stock.csv", "--create")
    return made


def test_what_the_channel_keeps_itself_is_shown_and_a_sale_of_it_takes_nothing_of_ours(line: Line) -> None:
    with outward_shop.shop() as shop:
        (line.folder / "settings.json").write_text(json.dumps(shop.settings))
        write(line.folder / "more.csv", "sku,location,on_hand", "SB-KEPT-7,main,5")
        line.run("import", "more.csv", "--create")
        done = line.json("connect", "sandbox", "--settings", "settings.json", code=3)
        assert (done["created"], done["mirrored"]) == (3, ["Fulfilment centre"])
        centre = "Sandbox: Fulfilment centre"

        def lies() -> dict[str, tuple[int, int]]:
            found = line.json("levels", "SB-KEPT-7")["levels"]
            return {one["location"]: (one["on_hand"], one["reserved"]) for one in found}

        line.run("pull", "sandbox")
        there = lies()[centre][0]
        sold = shop.ask("/sell", {"sku": "SB-KEPT-7", "units": 2})
        assert sold["lines"][0]["location"] == "centre"
        line.run("pull", "sandbox")
        assert lies() == {"main": (5, 0), centre: (there - 2, 0)}
        shop.ask(f"/orders/{sold['id']}/ship", {})
        line.run("pull", "sandbox")
        assert lies() == {"main": (5, 0), centre: (there - 2, 0)}
        assert (line.json("incidents"), line.json("drift")) == ([], [])
        listed = {one["sku"]: one for one in line.json("listings")}["SB-KEPT-7"]
        assert listed["state"] == "mirrored"
        why = line.run("explain", listed["id"])
        assert "not told: the channel counts its stock itself" in why and "would offer 5" in why
        line.run("push", "--all", "sandbox")
        shop.ask(f"/orders/{sold['id']}/refund", {})
        line.run("pull", "sandbox")
        assert lies() == {"main": (5, 0), centre: (there, 0)}


def wait(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def connect(line: Line, shop: Any, *words: str) -> dict[str, Any]:
    (line.folder / "settings.json").write_text(json.dumps(shop.settings))
    done: dict[str, Any] = line.json("connect", "sandbox", "--settings", "settings.json", *words, code=3)
    assert (done["created"], done["known"]) == (2, 0)
    assert {"there is no item with this SKU", "it has no SKU there"} == {
        one["why"] for one in done["unmatched"]
    }
    return done


def test_without_a_hub(line: Line, shop: Any) -> None:
    done = connect(line, shop, "--rule", "buffer=1", "--name", "Our shop")
    link = done["connection"]
    assert done["backlog"] == 2
    said = line.run("connect", "sandbox", "--again", link, code=3)
    assert f"connection {link} is told when 'onhand serve' runs; 2 listings wait" in said
    found = {one["sku"]: one for one in line.json("listings")}
    assert {one["state"] for one in found.values()} == {"stale"}
    cut = onhand("listings", "--limit", 1, "--json")
    assert (len(cut.json), cut.err) == (1, "onhand: these are the first 1; --limit shows more\n")
    told = line.run("push", "--all", "Our shop")
    assert "0 wait to be told" in told
    found = {one["sku"]: one for one in line.json("listings", "--connection", "sandbox")}
    numbers = found["SB-APRON-S"]["slots"][0]["numbers"]
    assert (numbers["wanted"]["units"], numbers["acknowledged"]["units"]) == (6, 6)
    assert "looked: 0 listings" in line.run("pull", link)
    assert line.json("drift") == [] and line.json("parked") == []
    words = line.run("explain", found["SB-APRON-S"]["id"])
    assert "offers 6" in words and "movement 1 " in words and "are held back" in words
    assert "rule: buffer = 1 (of the connection)" in words
    assert 'rule: places = {"main":[1]} (of the connection)' in words  # as `rules` shows it
    again = line.json("connect", "sandbox", "--again", link, code=3)
    assert (again["created"], again["known"]) == (0, 2)
    this = {"connection": link, "name": "Our shop"}
    assert line.json("pause", "Our shop") == this | {"paused": True}
    said = line.run("connect", "sandbox", "--again", link, code=3)
    assert f"connection {link} is paused: 'onhand resume {link}' begins to tell it" in said
    assert line.json("connections")[0]["paused"] is True
    assert line.json("resume", "sandbox") == this | {"paused": False}
    assert json.loads(line.run("rules", link, "--set", "cap=4")) == line.json("rules", link)
    assert line.json("rules", link) == {"buffer": 1, "cap": 4, "places": {"main": [1]}}
    for name in (found["SB-APRON-S"]["id"], "SB-APRON-S", "sku:SB-APRON-S"):
        assert "offers 4" in line.run("explain", name)
    assert [one["listing"]["id"] for one in line.json("explain", "SB-APRON-S")] == [found["SB-APRON-S"]["id"]]
    refused = onhand("reconnect", link, "--set", "client_id=other", "--db", line.db)
    assert (refused.code, "another client_id is another shop" in refused.err) == (1, True), refused.err
    assert line.json("connections")[0]["settings"]["client_id"] != "other"
    assert line.json("reconnect", link, "--set", "client_id=other", "--same-shop") == this
    assert line.json("connections")[0]["settings"]["client_id"] == "other"


@pytest.fixture
def server(line: Line) -> Iterator[Server]:
    running = start(line.db, ONHAND_ALLOW_PRIVATE_CHANNELS="true")
    yield running
    running.stop()


def test_through_the_hub_that_serves(line: Line, shop: Any, server: Server) -> None:
    link = connect(line, shop)["connection"]
    said = line.run("connect", "sandbox", "--again", link, code=3)
    assert f"connection {link} is told from now on" in said
    assert "0 wait to be told" in line.run("push", "--all", link)
    rotated = line.json("secrets", "rotate")
    assert (rotated["resealed"], rotated["still_needed"]) == (1, [])
    assert "0 wait to be told" in line.run("push", "--all", link)
    pushed = line.json("push", "--all", link)
    assert pushed | {"connection": link, "marked": 2, "backlog": 0, "paused": False} == pushed
    assert "looked" in line.run("pull", link)
    assert line.json("pull", link) == {"connection": link, "looked": True, "drifting": 0, "words": ""}
    assert "no such listing" in line.run("push", 9999, code=1)


def test_what_was_refused_is_told_again_when_it_is_released(line: Line, server: Server) -> None:
    """Although nothing else has moved meanwhile: what is said is a new request to a channel with keys."""
    with outward_shop.shop() as shop:
        connect(line, shop)
        line.run("push", "--all", "sandbox")
        shop.ask("/faults", {"errors": 1, "error_code": "not_today"})
        write(line.folder / "less.csv", "sku,location,on_hand", "SB-APRON-S,main,4")
        line.run("import", "less.csv")

        def found() -> Any:
            return next(one for one in line.json("listings") if one["sku"] == "SB-APRON-S")

        wait(lambda: found()["state"] == "parked")
        line.run("release", found()["id"])
        wait(lambda: found()["state"] == "told")
        assert found()["slots"][0]["numbers"]["acknowledged"]["units"] == 4


def test_secrets_are_sealed_and_rotated(line: Line, shop: Any) -> None:
    connect(line, shop, "--paused")
    secret = shop.card.client_secret.encode()
    files = [path for path in line.folder.iterdir() if path.name.startswith(line.db.name)]
    assert not [path for path in files if secret in path.read_bytes()]
    key = Path(f"{line.db}.key").read_text()
    assert line.json("secrets", "rotate")["resealed"] == 1
    assert Path(f"{line.db}.key").read_text() != key
    line.run("connect", "sandbox", "--again", "sandbox", code=3)
    with sqlite3.connect(line.db) as database:
        database.execute("UPDATE connections SET id = id + 0, secrets = 'x' || secrets WHERE connector = 1")
    assert "no envelope of ours" in line.run("connect", "sandbox", "--again", "sandbox", code=1)


def test_the_doctor_says_which_secrets_do_not_open(
    line: Line, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(line, shop, "--paused")
    assert line.json("doctor")["faults"] == []
    key = Path(f"{line.db}.key")
    key.rename(line.folder / "away")
    for _ in range(2):
        (fault,) = line.json("doctor", code=3)["faults"]
        assert fault.startswith("connection 1 of shop is not told: the secrets were sealed with the key ")
        assert not key.exists()  # a new one would seem to be the one that is missing
    monkeypatch.setenv("ONHAND_SECRET_KEY", seals.fresh().words())
    assert "which is not here" in line.run("doctor", code=3)
    monkeypatch.setenv("ONHAND_SECRET_KEY", (line.folder / "away").read_text())
    assert line.json("doctor")["faults"] == []
    monkeypatch.setenv("ONHAND_SECRET_KEY", "nonsense")
    assert line.json("doctor", code=3)["faults"] == ["a key for secrets has 32 bytes, in base64"]


@pytest.mark.parametrize("module", connectors.ALL, ids=lambda one: one.CHANNEL.name)
def test_what_a_channel_needs_is_explained(module: Kind) -> None:
    told = onhand("channels", module.CHANNEL.name).out
    settings, _, words = told.partition("settings\n")[2].partition("\n\n")
    assert "expires_at" not in settings, "nobody is asked for it"
    named = set(re.findall(r"'([a-z]+_[a-z_]+)'", words))
    assert words and not [name for name in named if name not in settings]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("connect", "sandbox"), "needs url, client_id, client_secret"),
        (("connect", "sandbox", "--set", "nothing=1"), "has no setting 'nothing'"),
        (("connect", "sandbox", "--settings", "card.json"), "has no setting 'admin_key': url, client_id"),
        (("connect", "sandbox", "--set", "url"), "'url' is not like name=value"),
        (("rules", "sandbox", "--set", "bufer=2"), "there is no rule 'bufer': buffer"),
        (("rules", "sandbox", "--unset", "bufer"), "there is no rule 'bufer': buffer"),
        (("connect", "sandbox", "--set", "url=x", "--set", "client_id=c", "--set", "client_secret=s"), ""),
        (("pause", "nothing"), "no connection of the name"),
        (("explain", "1"), "no such listing"),
        (("explain", "9" * 30), "no such listing"),
        (("explain", "NOTHING"), "there is no item NOTHING"),
        (("explain", "sku:1"), "there is no item 1"),
        (("explain", "SB-APRON-S"), "is listed on no connection"),
        (("release", "1"), "no such listing"),
        (("rules", "nothing"), "no connection"),
        (("courier",), "needs PostgreSQL"),
        (("channels", "nothing"), "there is no channel"),
    ],
)
def test_mistakes_are_said_in_words(line: Line, words: tuple[str, ...], said: str) -> None:
    write(Path("card.json"), '{"url": "http://127.0.0.1:1", "client_id": "c", "admin_key": "x"}')
    told = line.run(*words, code=1)
    assert told.startswith("onhand: ") and said in told and "Traceback" not in told


def test_a_channel_that_is_none_is_a_wrong_word(line: Line) -> None:
    assert "there is no channel 'nowhere': amazon" in line.run("connect", "nowhere", code=2)


def test_keys_are_made(line: Line) -> None:
    assert len(line.run("secrets", "new-key").strip()) == 44
    line.run("secrets", "new-key", "--file", "k")
    assert (line.folder / "k").stat().st_mode & 0o777 == 0o600
    line.run("secrets", "new-key", "--file", "k", code=1)
