"""Behind a pooler in transaction mode: nothing depends on a session, and the server's own log proves it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters import Postgres, servers
from commands import onhand
from killed_load import CLIENTS, World
from onhand.store.roles import Roles
from pooler import BOUNCER, pgbouncer, pooler
from servers import Server, start
from test_kill import SETTLE_SECONDS, Case, prepared, told

RUNTIME = Roles().runtime
LOADED_SECONDS = 0.8
DATABASE = "hub"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that logs every statement."""
    with servers("logging") as (made,):
        made.create(log_statement="'all'", log_line_prefix="'%m [%p] %q%a '")
        made.start()
        yield made


@pytest.fixture(autouse=True)
def database(server: Postgres) -> Iterator[None]:
    """The hub's database, new for each test, with its roles."""
    server.ask(f"CREATE DATABASE {DATABASE}")
    assert onhand("init", "--roles", "--db", url(server.port, "postgres")).code == 0
    yield
    server.ask(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def url(port: int, role: str = RUNTIME) -> str:
    return f"postgresql://{role}@127.0.0.1:{port}/{DATABASE}"


async def busy(case: Case, hubs: list[Server], folder: Path) -> World:
    """Clients of all APIs at work on these hubs in turn, for a while."""
    world = World(case.demo, folder / "acknowledged.jsonl", seed=1)
    clients = [asyncio.ensure_future(one.run(world, one.name, one.at)) for one in CLIENTS]
    try:
        for hub in hubs:
            world.moved(hub.url)
            await asyncio.sleep(LOADED_SECONDS / len(hubs))
        world.stopping = True
        await asyncio.wait_for(asyncio.gather(*clients), SETTLE_SECONDS)
    finally:
        for client in clients:
            client.cancel()
        await world.close()
    return world


def played(db: str, folder: Path) -> None:
    """Two hubs with their couriers, clients of all APIs, and the command line; then the books."""
    serve(prepared(db, folder), folder)


def serve(case: Case, folder: Path, prepares: str = "true") -> None:
    db = case.db
    others = [folder / name for name in ("one", "two")]
    for other in others:
        other.mkdir()
    hubs = [start(db, folder=other, ONHAND_DB_PREPARE=prepares) for other in others]
    try:
        world = asyncio.run(busy(case, hubs, folder))
        assert onhand("keys", "create", "native", "--scopes", "read", "--db", db).code == 0
        assert [hub.stop() for hub in hubs] == [0, 0]
    finally:
        for hub in hubs:
            hub.kill()
    assert not world.unsure
    told(case, world)


LOGGED = re.compile(r"LOG:  (?:statement|execute ([^:]*)): (.*)")
OF_THE_SESSION = {
    "a setting": re.compile(r"^\s*SET (?!LOCAL |TRANSACTION )|^\s*RESET |set_config\(.*,\s*false\s*\)", re.I),
    "a subscription": re.compile(r"^\s*(UN)?LISTEN\b", re.I),
    "a lock": re.compile(r"pg_(try_)?advisory_lock(_shared)?\(|pg_advisory_unlock", re.I),
    "a prepared statement": re.compile(r"^\s*(PREPARE (?!TRANSACTION)|DEALLOCATE|EXECUTE )", re.I),
    "a temporary table": re.compile(r"\bTEMP(ORARY)?\s+(TABLE|VIEW|SEQUENCE)|pg_temp\.", re.I),
    "a cursor": re.compile(r"WITH HOLD", re.I),
    "all of it": re.compile(r"^\s*DISCARD\b", re.I),
}


def session_state(log: str) -> list[str]:
    """What statements left behind in their session."""
    faults = []
    for name, statement in LOGGED.findall(log):
        if name not in ("", "<unnamed>"):
            faults.append(f"a prepared statement {name}: {statement}")
        faults += [
            f"{what}: {statement}" for what, words in OF_THE_SESSION.items() if words.search(statement)
        ]
    return sorted(set(faults))


FOUND = [
    "SET search_path = mine",
    "RESET ALL",
    "SELECT set_config('onhand.account', '1', false)",
    "LISTEN wakeups",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock(1)",
    "PREPARE mine AS SELECT 1",
    "CREATE TEMP TABLE mine (id int)",
    "DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
    "DISCARD ALL",
]


def looks_well() -> None:
    """The looking itself finds what it is to find, and no more."""
    for statement in FOUND:
        assert session_state(f"2026-01-01 LOG:  statement: {statement}"), statement
    assert session_state("LOG:  execute _pg3_0: SELECT 1")
    for harmless in ("SET LOCAL onhand.account = '1'", "SELECT pg_advisory_xact_lock(1)", "BEGIN", "COMMIT"):
        assert not session_state(f"LOG:  execute <unnamed>: {harmless}")


@pytest.mark.parametrize("between", [True, False], ids=["a pooler", "nobody"])
def test_no_statement_leaves_anything_in_its_session(
    server: Postgres, tmp_path: Path, between: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a pooler, and where we were told so."""
    looks_well()
    if between:
        before = server.log.stat().st_size
        with pooler(server.port) as (port, made):
            played(url(port), tmp_path)
        assert made.moved > 100
    else:
        monkeypatch.setenv("ONHAND_DB_PREPARE", "false")
        case = prepared(url(server.port), tmp_path)
        before = server.log.stat().st_size
        serve(case, tmp_path, "false")
    log = server.log.read_bytes()[before:].decode()
    found = LOGGED.findall(log)
    kinds = {statement.split()[0].upper() for _, statement in found if statement.split()}
    assert {"BEGIN", "SELECT", "INSERT", "UPDATE", "DELETE", "COMMIT", "SET"} <= kinds
    assert len(found) > 1_000
    assert session_state(log) == []


def test_our_own_sessions_prepare_what_is_said_all_the_time(server: Postgres, tmp_path: Path) -> None:
    before = server.log.stat().st_size
    played(url(server.port), tmp_path)
    faults = session_state(server.log.read_bytes()[before:].decode())
    assert faults
    assert all(fault.startswith("a prepared statement onhand_") for fault in faults)


def test_a_pooler_that_passes_off_sessions_as_its_own(server: Postgres, tmp_path: Path) -> None:
    """No real one does; then it is noticed by what is prepared somewhere else, and nothing is lost."""
    with pooler(server.port, own_keys=False) as (port, made):
        played(url(port), tmp_path)
    assert made.moved > 100


@pytest.mark.skipif(BOUNCER is None, reason="pgbouncer is not installed")
def test_behind_pgbouncer(server: Postgres, tmp_path: Path) -> None:
    with pgbouncer(server.port, tmp_path, RUNTIME) as port:
        played(url(port), tmp_path)
