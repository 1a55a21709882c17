"""Answers are lost on their way to clients of all APIs, whole or from the middle on: who asks again with the
same key hears the one true answer, and nothing is done twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from killed_load import CLIENTS, World
from test_kill import SETTLE_SECONDS, prepared, told

PIECE = 65_536
CHANCE = 0.2
"""How likely an answer is lost."""
LOST = 25
"""So many answers are lost."""


class Lossy:
    """Passes everything on to a port, but now and then cuts a connection when an answer comes."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._random = random.Random(seed)
        self.calm = False
        self.lost = 0
        self.enough = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until either side ends."""
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.suppress(ConnectionError):
            ways = [self._asked(reader, forth), self._answered(back, writer)]
            done, left = await asyncio.wait(map(asyncio.ensure_future, ways), return_when="FIRST_COMPLETED")
            for task in left:
                task.cancel()
            await asyncio.gather(*done, *left, return_exceptions=True)
        for one in (writer, forth):
            one.transport.abort()

    async def _asked(self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            forth.write(piece)
            await forth.drain()

    async def _answered(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await back.read(PIECE):
            if not self.calm and self._random.random() < CHANCE:
                self.lost += 1
                if self.lost == LOST:
                    self.enough.set()
                writer.write(piece[: self._random.choice((0, 1, len(piece) // 2))])
                return
            writer.write(piece)
            await writer.drain()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_nothing_is_done_twice(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    db = request.getfixturevalue("postgres_url") if engine == "postgresql" else tmp_path / "hub.db"
    case = prepared(str(db), tmp_path)

    async def main() -> World:
        world = World(case.demo, tmp_path / "acknowledged.jsonl", seed=1)
        hub = await asyncio.to_thread(case.start)
        way = Lossy(int(hub.url.rpartition(":")[2]), seed=1)
        clients = [asyncio.ensure_future(one.run(world, one.name, one.at)) for one in CLIENTS]
        try:
            async with await asyncio.start_server(way.serve, "127.0.0.1", 0) as server:
                world.moved(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
                await asyncio.wait_for(way.enough.wait(), SETTLE_SECONDS)
                for client in clients:
                    assert not client.done(), client.exception()
                way.calm = world.stopping = True
                await asyncio.wait_for(asyncio.gather(*clients), SETTLE_SECONDS)
                assert world.unsure
                assert await asyncio.to_thread(hub.stop) == 0
        finally:
            hub.kill()
            for client in clients:
                client.cancel()
            await world.close()
        return world

    told(case, asyncio.run(main()))
