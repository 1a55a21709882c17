"""When the store fails: a full disk, a broken one, and a COMMIT of which nobody says whether it happened."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import Connection, event

from onhand.faults import EXIT_IO_ERROR
from onhand.inventory import Inventory
from onhand.office.door import perform
from onhand.outward.equipment import Equipment
from onhand.settings import Settings
from onhand.stock.model import Adjust, SetOnHand
from onhand.store import catalog, integrity, levels, pipeline
from onhand.store.pipeline import COMMIT, Rows, Said
from onhand.transact import Busy, StoreFull, Unknowable
from onhand.work import Answer, Recorded
from shops import START, Shop, answer, key, opened, running, together, told
from stores import PostgresDatabases, SqliteDatabases

HERE = Path(__file__).parent
PATIENCE_SECONDS = 30
PLUS = Adjust(1, 1, 1)
LONG = "x" * 500
PLENTY = 1_000_000


@pytest.fixture
def small(sqlite: SqliteDatabases) -> Iterator[Shop]:
    """A shop on SQLite."""
    yield from opened(sqlite)


@pytest.fixture
def shop(postgres: PostgresDatabases) -> Iterator[Shop]:
    """A shop on PostgreSQL."""
    yield from opened(postgres)


# --- a full disk --------------------------------------------------------------------------------------


def may_grow(connection: Connection, pages: int) -> None:
    """Let the database grow by so many pages and no more. Only the connection that writes heeds it."""
    now = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    connection.exec_driver_sql(f"PRAGMA max_page_count = {now + pages}")


async def limit(inventory: Inventory, pages: int) -> None:
    """The same while a ledger has that connection."""
    await inventory.write(1, lambda connection: may_grow(connection, pages), quiet=True)


def test_a_full_disk_is_said_and_gone_when_there_is_room(small: Shop) -> None:
    async def main() -> int:
        done = 0
        async with running(small) as inventory:
            await limit(inventory, 3)
            with pytest.raises(StoreFull, match="full"):
                for _ in range(500):
                    await inventory.record(small.work(Adjust(1, 1, 1, reason=LONG)))
                    done += 1
            small.check()
            with pytest.raises(StoreFull):
                await inventory.write(1, fill)
            await limit(inventory, PLENTY)
            await inventory.record(small.work(Adjust(1, 1, 1, reason=LONG)))
            assert await inventory.write(1, fill) == 9
            return done

    done = asyncio.run(main())
    level = small.level((1, 1))
    assert level is not None
    assert level.on_hand == done + 1
    small.check()


def test_a_connection_that_cannot_be_had_at_first_holds_nobody_up(small: Shop) -> None:
    left = [1]

    def refuse(*_: Any) -> None:
        if left:
            left.pop()
            raise sqlite3.OperationalError("unable to open database file")

    async def main() -> Recorded:
        event.listen(small.store.writer, "checkout", refuse)
        async with running(small) as inventory:
            return await asyncio.wait_for(inventory.record(small.work(PLUS)), PATIENCE_SECONDS)

    recorded = asyncio.run(main())
    assert not left
    assert told(recorded) == "adjusted 1@1 +1+0 1/0"
    small.check()


def fill(connection: Connection) -> int:
    """A unit that needs many pages."""
    for number in range(200):
        catalog.change_item(connection, 1, 9, {"name": LONG * number}, START)
    return 9


def test_a_command_line_hears_of_a_full_disk_from_the_hub(small: Shop) -> None:
    async def main() -> list[tuple[int, object]]:
        async with running(small) as inventory:
            await limit(inventory, 0)
            equipment = Equipment(inventory, Settings())
            names = (f'{{"name": "{LONG[:90]}{number}"}}' for number in range(200))
            return [await perform(equipment, "add_account", name.encode()) for name in names]

    told = asyncio.run(main())[-1]
    assert told == (503, {"error": "database or disk is full"})


def test_a_full_disk_undoes_a_batch_whole(small: Shop) -> None:
    async def main() -> list[Any]:
        async with running(small) as inventory:
            await limit(inventory, 0)
            jobs: list[Callable[[], Any]] = [
                lambda: inventory.record(small.work(PLUS, key=key("k"), answer=answer)),
                lambda: inventory.write(1, fill),
                lambda: inventory.record(small.work(*[Adjust(1, 1, 1, reason=LONG)] * 90)),
            ]
            return await together(inventory, *jobs)

    assert [type(result) for result in asyncio.run(main())] == [StoreFull] * 3
    assert small.history() == []
    with small.store.writer.connect() as connection:
        may_grow(connection, PLENTY)
    (recorded,) = small.commit(small.work(PLUS, key=key("k"), answer=answer))
    assert recorded.fresh == Answer(200, "1", {"X-Seq": "1"})


# --- a file that somebody takes away ------------------------------------------------------------------


def _deleted(path: Path) -> None:
    path.rename(path.with_suffix(".away"))


def _replaced(path: Path) -> None:
    _deleted(path)
    sqlite3.connect(path).close()
    path.touch()


def _with_its_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_suffix(".away"))


@pytest.mark.parametrize("take", [_deleted, _replaced, _with_its_folder])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(small: Shop, take: Callable[[Path], None]) -> None:
    path = small.store.path
    before = path.stat().st_ino

    async def main() -> list[Any]:
        async with running(small) as inventory:
            await inventory.record(small.work(PLUS))
            take(path)
            assert "moved, deleted or replaced" in integrity.room(small.store)[0]
            tries = inventory.record(small.work(PLUS)), inventory.write(1, fill)
            ends = await asyncio.gather(*tries, return_exceptions=True)
            assert path.exists() == (take is _replaced)  # nobody has made an empty one
            if take is _with_its_folder:
                path.parent.with_suffix(".away").rename(path.parent)
            else:
                path.with_suffix(".away").replace(path)
            assert path.stat().st_ino == before
            await inventory.record(small.work(PLUS))
            return list(ends)

    assert [type(end) for end in asyncio.run(main())] == [Busy] * 2
    level = small.level((1, 1))
    assert level is not None
    assert level.on_hand == 2
    small.check()


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_acknowledged_into_a_log_that_is_gone(small: Shop, replaced: bool) -> None:
    """A kill would lose it; a stop takes what was in it into the file."""

    async def main() -> Any:
        async with running(small) as inventory:
            await inventory.record(small.work(PLUS))
            _log(small.store.path).unlink()
            if replaced:
                _log(small.store.path).touch()
            (fault,) = integrity.room(small.store)
            assert "(-wal) was moved, deleted or replaced" in fault and "SIGTERM" in fault
            with pytest.raises(Busy, match="-wal"):
                await inventory.record(small.work(PLUS))

    asyncio.run(main())
    small.store.close()
    with contextlib.closing(sqlite3.connect(small.store.path)) as raw:
        assert raw.execute("SELECT COUNT(*) FROM movements").fetchone() == (1,)


# --- a broken disk ------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="the size of files is limited on POSIX only")
@pytest.mark.parametrize("words", [["200000"], ["300003"], ["300003", "once"]], ids=" ".join)
def test_a_broken_disk_stops_the_process(small: Shop, words: list[str]) -> None:
    paths = os.pathsep.join((str(HERE), str(HERE.parent / "src")))
    ended = subprocess.run(
        [sys.executable, HERE / "sinker.py", small.url, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
    )
    assert ended.returncode == EXIT_IO_ERROR, ended.stderr
    acknowledged = [word for word in ended.stdout.split() if word.isdigit()]
    assert len(acknowledged) > 5
    # A commit that failed on its way to the disk may be there or not; what was answered is there.
    assert len(small.history()) - len(acknowledged) in (0, 1)
    small.check()
    assert str(small.say(PLUS)).startswith("adjusted")


# --- an unknown COMMIT --------------------------------------------------------------------------------


@contextlib.contextmanager
def at_commit(shop: Shop, act: Callable[[Connection], None]) -> Iterator[None]:
    """Do something to the writer's connection when it is about to commit, once."""
    left, send = [act], pipeline.send

    def once(connection: Connection, said: Sequence[Said]) -> Rows:
        if said[-1].text != COMMIT or connection.engine is not shop.store.writer or not left:
            return send(connection, said)
        if before := said[:-1]:
            send(connection, before)
        left.pop()(connection)
        return send(connection, said[-1:])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "send", once)
        yield
    assert not left


def killed_before(connection: Connection) -> None:
    """The server ends the session; the COMMIT that follows finds nobody."""
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    url = connection.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone():
            time.sleep(0.01)


def killed_after(connection: Connection) -> None:
    """The server commits, and ends every session before it can say so."""
    driver: Any = connection.connection.driver_connection
    driver.pgconn.exec_(
        b"COMMIT; SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        b" WHERE datname = current_database() ORDER BY pid = pg_backend_pid()"
    )


def say_twice(shop: Shop, keyed: bool, act: Callable[[Connection], None]) -> list[Any]:
    """Record a change whose COMMIT meets with ``act``, and then the same again."""

    async def main() -> list[Any]:
        results: list[Any] = []
        options = {"key": key("k"), "answer": answer} if keyed else {}
        async with running(shop) as inventory:
            assert await inventory.read(1, lambda c: levels.last_seq(c, 1)) == 0
            for _ in range(2):
                try:
                    results.append(await inventory.record(shop.work(PLUS, **options)))
                except Unknowable as error:
                    results.append(error)
        return results

    with at_commit(shop, act):
        return asyncio.run(main())


MADE = Answer(200, "1", {"X-Seq": "1"})


def test_a_commit_that_happened_unheard_is_looked_up_by_its_key(shop: Shop) -> None:
    first, again = say_twice(shop, True, killed_after)
    assert (first.replay, again.replay) == (MADE, MADE)
    shop.store.reader.dispose()
    assert shop.kinds() == ["adjusted"]


def test_a_commit_that_did_not_happen_is_not_known(shop: Shop) -> None:
    first, again = say_twice(shop, True, killed_before)
    assert isinstance(first, Unknowable)
    assert again.fresh == MADE
    assert shop.kinds() == ["adjusted"]


@pytest.mark.parametrize(("act", "times"), [(killed_before, 1), (killed_after, 2)])
def test_without_a_key_nobody_can_know(shop: Shop, act: Callable[[Connection], None], times: int) -> None:
    first, again = say_twice(shop, False, act)
    assert isinstance(first, Unknowable)
    assert isinstance(again, Recorded)
    shop.store.reader.dispose()
    assert shop.kinds() == ["adjusted"] * times
    shop.check()


def let_in(db: str, allow: bool) -> None:
    """Shut a database, and end every session, or open it again."""
    url = urlsplit(db)
    name = url.path[1:]
    with psycopg.connect(url._replace(path="/postgres").geturl(), autocommit=True) as other:
        other.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {allow}".encode())
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


def test_while_the_server_is_away_nothing_is_done_and_nobody_hangs(shop: Shop) -> None:
    async def main() -> None:
        async with running(shop) as inventory:
            await inventory.record(shop.work(PLUS))
            let_in(shop.url, False)
            works = [inventory.record(shop.work(PLUS)) for _ in range(5)]
            reads = [inventory.read(1, lambda c: levels.last_seq(c, 1)) for _ in range(2)]
            results = await asyncio.gather(*works, *reads, return_exceptions=True)
            assert [type(result) for result in results] == [Busy] * 7
            let_in(shop.url, True)
            assert await inventory.read(1, lambda c: levels.last_seq(c, 1)) == 1
            assert told(await inventory.record(shop.work(PLUS))) == "adjusted 1@1 +1+0 2/0"

    asyncio.run(main())


def test_a_session_that_ends_before_the_commit_costs_nobody_anything(shop: Shop) -> None:
    """The server restarts while we are idle: the next work finds dead connections, and is done."""
    shop.say(SetOnHand(1, 1, 5))

    async def main() -> str:
        async with running(shop) as inventory:
            await asyncio.gather(*(inventory.record(shop.work(PLUS)) for _ in range(3)))
            assert await inventory.read(1, lambda c: levels.last_seq(c, 1)) == 4
            with psycopg.connect(shop.url, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            said = told(await inventory.record(shop.work(PLUS)))
            assert await inventory.read(1, lambda c: levels.last_seq(c, 1)) == 5
            return str(said)

    assert asyncio.run(main()) == "adjusted 1@1 +1+0 9/0"
    shop.check()
