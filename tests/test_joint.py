"""Look-ups that go together: none began before it was asked for, and nobody spoils another's."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from onhand.joint import Joint
from onhand.transact import Busy

PATIENCE_SECONDS = 10


class World:
    """Has a number, and looks at it that take until they are let go."""

    def __init__(self) -> None:
        self.number = 0
        self.looks: list[list[str]] = []
        self.fails: dict[str, Exception] = {}
        self.go = asyncio.Event()
        self._joint = Joint()

    async def look(self, names: list[str]) -> dict[str, int]:
        """The number as it is when the look begins, by name."""
        self.looks.append(sorted(names))
        found = dict.fromkeys(names, self.number)
        await self.go.wait()
        for name in names:
            if name in self.fails:
                raise self.fails[name]
        return found

    async def asked(self, *names: str) -> asyncio.Task[Any]:
        """Somebody who has asked for names, and waits."""
        task = asyncio.ensure_future(self._joint.ask("kind", list(names), self.look))
        for _ in range(3):
            await asyncio.sleep(0)
        return task

    async def told(self, *tasks: asyncio.Task[Any]) -> list[Any]:
        """What those who wait hear in the end, or which exception."""
        self.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, PATIENCE_SECONDS))


def test_what_was_read_before_somebody_asked_is_not_for_him() -> None:
    """A change is acknowledged while a look is under way: who asks then must see it."""

    async def story() -> None:
        world = World()
        early = await world.asked("a", "b")
        world.number = 1
        late = [await world.asked("a"), await world.asked("a", "c")]
        told = await world.told(early, *late)
        assert told[0] == {"a": 0, "b": 0}
        assert [one["a"] for one in told[1:]] == [1, 1]
        assert told[2]["c"] == 1
        assert world.looks == [["a", "b"], ["a", "c"]], "who waits goes together"
        assert await (await world.asked("a")) == {"a": 1}

    play(story())


BROKEN = ValueError("not with this one")
FAILING: Sequence[tuple[Exception, list[Any]]] = [
    (BROKEN, [{"a": 0}, {"b": 0}, BROKEN]),
    (busy := Busy("the database cannot be reached"), [{"a": 0}, busy, busy]),
]


@pytest.mark.parametrize(("error", "heard"), FAILING)
def test_a_name_that_fails_spoils_no_other(error: Exception, heard: list[Any]) -> None:
    """But for what would take everybody as long again."""

    async def story() -> None:
        world = World()
        world.fails["bad"] = error
        assert await world.told(*[await world.asked(name) for name in ("a", "b", "bad")]) == heard

    play(story())


def test_who_leaves_takes_no_answer_along() -> None:
    async def story() -> None:
        world = World()
        waiting = [await world.asked("a"), await world.asked("b"), await world.asked("c")]
        waiting[0].cancel()
        waiting[1].cancel()
        assert (await world.told(waiting[2]))[0]["c"] == 0

    play(story())
