"""Look-ups that go together: what is asked for while one is under way is asked for with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, TypeAlias

from onhand.transact import Busy

Ask: TypeAlias = Callable[[list[Any]], Awaitable[Mapping[Any, Any]]]


class _Question:
    """Names that wait to be asked for."""

    __slots__ = ("answer", "askers", "names")

    def __init__(self) -> None:
        self.names: set[Any] = set()
        self.askers = 0
        self.answer: asyncio.Future[Mapping[Any, Any]] = asyncio.get_running_loop().create_future()


class Joint:
    """One look-up at a time of each kind, for all who wait for one. Of one loop."""

    def __init__(self) -> None:
        self._next: dict[Hashable, _Question] = {}
        self._running: dict[Hashable, asyncio.Task[None]] = {}

    async def ask(self, kind: Hashable, names: list[Any], ask: Ask) -> Mapping[Any, Any]:
        """What ``ask`` finds for ``names``, and maybe for more. It begins after this is called, with the
        names of all who ask for this ``kind``; should that fail, then again with one's own alone."""
        question = self._next.get(kind)
        if question is None:
            question = self._next[kind] = _Question()
        question.names.update(names)
        question.askers += 1
        if kind not in self._running:
            self._running[kind] = asyncio.ensure_future(self._run(kind, ask))
        try:
            # A caller that leaves does not take the answer away from the others.
            return await asyncio.shield(question.answer)
        except Busy:
            raise  # whoever asked for whatever, it would take as long again
        except Exception:
            if question.askers == 1:
                raise
        return await ask(names)

    async def _run(self, kind: Hashable, ask: Ask) -> None:
        """Put one question after the other until nobody asks any more."""
        while (question := self._next.pop(kind, None)) is not None:
            try:
                answer = await ask(list(question.names))
            except Exception as error:  # noqa: BLE001 - it is for those who asked
                question.answer.set_exception(error)
                question.answer.exception()  # they may all have left
            else:
                question.answer.set_result(answer)
        del self._running[kind]
