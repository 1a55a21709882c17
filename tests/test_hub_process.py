"""The hub as its user sees it: what `onhand serve` prints and writes, and its words when it cannot start."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest
import yaml

from commands import onhand, started
from onhand.dialects.trackstar.rules import RULES
from onhand.faces import FACES, face
from servers import PROGRAM, START_SECONDS, STOP_SECONDS, Server, clean_environment, demo_server, serving

APIS = ("native", "treet", "flipkart", "trackstar", "marketplacer", "sellbrite")
ELSEWHERE = re.compile(r"(?:https?:|[\"'(=])//(?!127\.0\.0\.1|localhost|[\w.-]*\bexample\.(?:com|org))")


class Running(NamedTuple):
    """The hub of this file's tests."""

    server: Server
    demo: dict[str, Any]
    folder: Path

    @property
    def db(self) -> Path:
        """Its database."""
        return self.folder / "hub.db"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hub")
    with demo_server(folder) as (server, demo):
        yield Running(server, demo, folder)


# --- what it prints and writes ------------------------------------------------------------------------


def curls(hub: Running) -> dict[str, str]:
    """The printed lines, by the title above them."""
    said = hub.server.out.read_text(encoding="utf-8")
    return dict(re.findall(r"^# (.+)\n(curl .+)$", said, re.MULTILINE))


def test_it_says_where_everything_is(hub: Running) -> None:
    lines = hub.server.out.read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(f"is ready on {hub.server.url}  (data in {hub.db})")
    assert lines[1].split() == ["documentation", f"{hub.server.url}/"]
    assert lines[2].split() == ["credentials", str(hub.folder / "demo.json")]
    assert list(curls(hub))[: len(FACES)] == [face.title for face in FACES]
    assert hub.server.err.read_text(encoding="utf-8") == ""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_every_printed_line_works_when_pasted(hub: Running) -> None:
    for title, line in curls(hub).items():
        strict = line.replace("curl ", "curl -sS --fail-with-body ")
        done = subprocess.run(["bash", "-c", strict], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{title}: {done.stdout}{done.stderr}"
        assert json.loads(done.stdout), title
        assert "FAILURE" not in done.stdout, title


def test_demo_json_has_the_promised_keys(hub: Running) -> None:
    demo = hub.demo
    assert list(demo) == ["base_url", *APIS]
    assert demo["base_url"] == hub.server.url
    assert {name: demo[name]["base_url"] for name in APIS} == {
        face.name: hub.server.url + face.prefix for face in FACES
    }
    assert [set(demo[name]) - {"base_url"} for name in APIS] == [
        {"api_key"},
        {"headers", "listings"},
        {"app_id", "app_secret", "skus"},
        {"api_key", "connections"},
        {"parent_key", "members", "variants"},
        {"account_token", "secret_key", "warehouses", "skus"},
    ]
    assert set(demo["treet"]["headers"]) == {"X-Treet-Client-Id", "X-Treet-Authentication-Key"}
    assert keys(demo["treet"]["listings"]) == {"id", "sku", "availableInventory"}
    assert 5 in [one["availableInventory"] for one in demo["treet"]["listings"]]
    assert keys(demo["flipkart"]["skus"]) == {"sku", "product_id", "locations"}
    assert all(13 <= len(one["product_id"]) <= 16 for one in demo["flipkart"]["skus"])
    assert all(place.startswith("LOC") for one in demo["flipkart"]["skus"] for place in one["locations"])
    links = demo["trackstar"]["connections"]
    assert {one["integration"] for one in links} == set(RULES) >= {"base", "shopify", "tiktok"}
    assert len(links) == 17
    for one in links:
        shop = {"shop_id"} if one["integration"] == "tiktok" else set()
        assert set(one) == {"integration", "access_token", "products"} | shop
        assert keys(one["products"]) == {"id", "sku", "warehouse_ids"}
    assert keys(demo["marketplacer"]["members"]) == {"seller_id", "key"}
    assert [one["seller_id"] for one in demo["marketplacer"]["members"]] == [1, 2, 3]
    assert keys(demo["marketplacer"]["variants"]) == {"id", "sku"}
    assert demo["marketplacer"]["variants"][0]["id"] == 1
    offered = [demo[name][what] for name, what in OFFERED.items()]
    assert all(len(one) >= 5 for one in [*offered, *(one["products"] for one in links)])


OFFERED = {"treet": "listings", "flipkart": "skus", "marketplacer": "variants", "sellbrite": "skus"}


def keys(rows: list[dict[str, Any]]) -> set[str]:
    """The keys that all rows have."""
    found = {frozenset(row) for row in rows}
    assert len(found) == 1, found
    return set(found.pop())


def test_the_demo_has_goods_enough(hub: Running) -> None:
    headers = {"Authorization": f"Bearer {hub.demo['native']['api_key']}"}
    with httpx2.Client(base_url=f"{hub.server.url}/api/v1", headers=headers) as http:
        counts = [len(http.get(f"/{name}").json()["data"]) for name in ("items", "locations", "sellers")]
    assert all(count >= least for count, least in zip(counts, (20, 3, 3), strict=True))


# --- pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health(hub: Running, path: str) -> None:
    answer = httpx2.get(hub.server.url + path)
    assert answer.status_code == 200
    assert answer.json()["status"] in ("live", "ready")
    assert answer.json().get("faults", []) == []


@pytest.mark.parametrize("name", APIS)
def test_the_documentation_needs_no_internet(hub: Running, name: str) -> None:
    with httpx2.Client(base_url=hub.server.url) as http:
        home, page = http.get("/"), http.get(f"/docs/{name}")
        assert (home.status_code, page.status_code) == (200, 200)
        assert f'href="/docs/{name}"' in home.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for text in (home.text, page.text):
            assert not ELSEWHERE.search(text)
        assert "<a href=/>" in page.text
        for path in re.findall(r"(?:src|href)=(/[^\s>]+)", page.text):
            assert http.get(path).status_code == 200, path
        contract = http.get(f"/docs/{name}/openapi.yaml")
        assert contract.status_code == 200
        document = yaml.load(contract.text, Loader=yaml.CSafeLoader)
        assert document["openapi"].startswith("3.1")
        assert http.get(f"/docs/{name}/openapi.json").json() == document
        assert document["servers"][0]["url"] == face(name).prefix
        assert not ELSEWHERE.search(contract.text)


# --- beside it -----------------------------------------------------------------------------------------


def test_writing_commands_go_through_the_running_hub(hub: Running, tmp_path: Path) -> None:
    made = onhand("accounts", "create", "second", "--db", hub.db, "--json")
    assert (made.code, made.json["name"]) == (0, "second")
    key = onhand(
        "keys", "create", "native", "--account", "second", "--scopes", "admin", "--db", hub.db, "--json"
    )
    headers = {"Authorization": f"Bearer {key.json['api_key']}"}
    answer = httpx2.get(f"{hub.server.url}/api/v1/locations", headers=headers)
    assert [one["name"] for one in answer.json()["data"]] == ["main"]
    place = ("--location", "main", "--account", "second", "--db", hub.db)
    assert onhand("keys", "create", "trackstar", "--integration", "wix", *place).json["integration"] == "wix"
    assert "--integration" in onhand("keys", "create", "treet", *place).err
    orders = tmp_path / "orders.csv"
    orders.write_text("InvoiceNo,StockCode,Quantity\n1,10001,3\n2,10001,4\nC3,10001,-1\n", encoding="utf-8")
    ran = onhand("replay", orders, "--stock", "6", "--account", "second", "--db", hub.db, "--json")
    assert ran.code == 0, ran.err
    level = httpx2.get(f"{hub.server.url}/api/v1/levels", params={"sku": "10001"}, headers=headers).json()
    assert [one["on_hand"] for one in level["data"]] == [4]
    assert onhand("verify", "--db", hub.db).code == 0


@pytest.mark.parametrize("number", [2**63, 2**70])
@pytest.mark.parametrize("words", [("push",), ("release",), ("incidents", "close")])
def test_a_number_that_no_hub_can_look_up(hub: Running, words: tuple[str, ...], number: int) -> None:
    ran = onhand(*words, number, "--account", "demo", "--db", hub.db)
    assert (ran.code, ran.err) == (1, "onhand: a number is larger than any that is kept\n")


def test_a_second_hub_on_the_same_file(hub: Running, tmp_path: Path) -> None:
    link = tmp_path / "current.db"
    link.symlink_to(hub.db)
    who = f"process {hub.server.process.pid}, on {hub.server.url}"
    for name, demo in itertools.product((hub.db, link), ((), ("--demo",))):
        words = refused_start("--db", name, "--port", 0, *demo)
        assert words == f"onhand: {name} is being written by {who}: stop it first\n"
    made = onhand("accounts", "create", "linked", "--db", link, "--json")
    assert made.code == 0
    assert "linked" in onhand("accounts", "list", "--db", hub.db).out
    assert [one.name for one in tmp_path.iterdir()] == ["current.db"]


def test_a_port_in_use(hub: Running, tmp_path: Path) -> None:
    port = hub.server.url.rpartition(":")[2]
    words = refused_start("--db", tmp_path / "other.db", "--port", port)
    assert (
        words
        == f"onhand: port {port} is in use by another program: choose another (--port, or PORT= of make)\n"
    )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ONHAND_PROT": "1"}, "there is no setting ONHAND_PROT: did you mean ONHAND_PORT?"),
        ({"ONHAND_XYZ": "1"}, "there is no setting ONHAND_XYZ\n"),
        ({"ONHAND_PORT": "eighty"}, "ONHAND_PORT: Must be a whole number, not text"),
        ({"ONHAND_HOSTS": "a.example.com=nobody"}, "nobody"),
        ({"ONHAND_PORT": "70000"}, "70000"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, environment: dict[str, str], said: str) -> None:
    assert said in refused_start("--db", tmp_path / "other.db", **environment)


def test_a_newer_database(sqlite_url: str) -> None:
    with contextlib.closing(sqlite3.connect(sqlite_url)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (["init"], ["serve", "--port", 0], ["accounts", "create", "x"]):
        ran = onhand(*command, "--db", sqlite_url)
        assert (ran.code, ran.out) == (1, "")
        assert "newer than this onhand" in ran.err


def test_a_database_that_may_lose_commits(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = urlsplit(postgres_url).path[1:]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    ran = onhand("serve", "--port", 0, "--db", postgres_url)
    assert (ran.code, ran.out) == (1, "")
    assert "can lose acknowledged changes" in ran.err
    faults = onhand("doctor", "--db", postgres_url, "--json")
    assert faults.code == 3
    assert "synchronous_commit is off" in faults.json["faults"][0]
    monkeypatch.setenv("ONHAND_ACCEPT_DATA_LOSS", "true")
    assert onhand("init", "--db", postgres_url).code == 0
    doctor = onhand("doctor", "--db", postgres_url, "--json")
    assert (doctor.code, "accounts" in doctor.json) == (3, True)
    assert "served by" not in doctor.json  # of a PostgreSQL nobody knows


def refused_start(*options: object, **environment: str) -> str:
    """What a hub says that does not start."""
    process = started("serve", *options, **environment)
    try:
        out, err = process.communicate(timeout=STOP_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, out) == (1, "")
    assert len(err.splitlines()) == 1, err
    return err


def test_doctor_beside_a_running_hub(hub: Running) -> None:
    ran = onhand("doctor", "--db", hub.db, "--json")
    assert ran.code == 0
    assert ran.json["faults"] == []
    assert ran.json["served by"] == f"process {hub.server.process.pid} on {hub.server.url}"


# --- a second start --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_start_finds_its_data(tmp_path: Path, number: signal.Signals) -> None:
    with demo_server(tmp_path) as (server, demo):
        port = server.url.rpartition(":")[2]
        listing = demo["treet"]["listings"][1]
        path = f"/treet/v1/listings/{listing['id']}/inventory"
        body = {"action": "ADJUST_INVENTORY", "inventoryAdjustment": 7}
        assert httpx2.put(server.url + path, headers=demo["treet"]["headers"], json=body).status_code == 200
        assert server.stop(number) == 0
        assert server.out.read_text(encoding="utf-8").endswith("stopped\n")
    before = (tmp_path / "demo.json").read_bytes()
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600
    with serving(
        tmp_path / "hub.db", "--demo", "--demo-json", tmp_path / "demo.json", port=int(port)
    ) as server:
        assert (tmp_path / "demo.json").read_bytes() == before
        answer = httpx2.put(server.url + path, headers=demo["treet"]["headers"], json=body)
    assert answer.json()["availableInventory"] == listing["availableInventory"] + 14
    doctor = onhand("doctor", "--db", tmp_path / "hub.db", "--json")
    assert (doctor.code, doctor.json["served by"]) == (0, "nobody")


def test_who_gets_an_answer_finds_the_credentials(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [*PROGRAM, "serve", "--demo", "--db", tmp_path / "hub.db", "--port", port]
    command += ["--demo-json", tmp_path / "demo.json"]
    with subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, env=clean_environment()
    ) as process:
        try:
            until = time.monotonic() + START_SECONDS
            while not answers(port) and time.monotonic() < until:
                time.sleep(0.001)
            assert json.loads((tmp_path / "demo.json").read_text(encoding="utf-8"))["native"]["api_key"]
        finally:
            process.terminate()
    assert process.returncode == 0


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/livez").status_code == 200
    except httpx2.HTTPError:
        return False


def test_without_a_demo_nothing_is_made(tmp_path: Path) -> None:
    with serving(tmp_path / "hub.db") as server:
        assert "curl" not in server.out.read_text(encoding="utf-8")
        assert onhand("accounts", "list", "--db", tmp_path / "hub.db", "--json").json == []
        answer = httpx2.get(f"{server.url}/api/v1/items", headers={"Authorization": "Bearer onhand_x"})
        assert answer.status_code == 401


def test_a_dialect_at_the_root_of_its_own_host(tmp_path: Path) -> None:
    with demo_server(tmp_path, ONHAND_HOSTS="fk.example.com=flipkart") as (server, demo):
        section = demo["flipkart"]
        answer = httpx2.get(
            f"{server.url}/oauth-service/oauth/token?grant_type=client_credentials&scope=Seller_Api",
            auth=(section["app_id"], section["app_secret"]),
            headers={"Host": "fk.example.com"},
        )
        assert answer.status_code == 200, answer.text
        assert httpx2.get(f"{server.url}/oauth-service/oauth/token").status_code == 404
        large = httpx2.post(f"{server.url}/x", content=b"x" * 300_000, headers={"Host": "fk.example.com"})
        assert (large.status_code, large.json()["errors"][0]["code"]) == (413, 4130)


def test_an_address_of_ipv6(tmp_path: Path) -> None:
    with serving(tmp_path / "hub.db", "--demo", "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert f"curl {server.url}/api/v1/changes" in server.out.read_text(encoding="utf-8")
        assert server.err.read_text(encoding="utf-8") == ""
        assert onhand("keys", "create", "native", "--db", tmp_path / "hub.db").code == 0


@pytest.mark.parametrize("demo", [(), ("--demo",)])
def test_where_no_database_can_be_nothing_is_made(tmp_path: Path, demo: tuple[str, ...]) -> None:
    assert refused_start("--db", tmp_path / "no" / "a.db", *demo) == (
        f"onhand: the folder {tmp_path / 'no'} does not exist: make it, or mend the name\n"
    )
    text = tmp_path / "README.md"
    text.write_text("# a text, and no database\n", encoding="utf-8")
    assert refused_start("--db", text, *demo).startswith(f"onhand: {text} is not a database of SQLite")
    assert [one.name for one in tmp_path.iterdir()] == [text.name]


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    words = refused_start("--db", tmp_path / "a.db", "--port", 0, "--host", "192.0.2.1")
    assert words.startswith("onhand: ")
