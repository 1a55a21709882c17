"""Work that is brought to its end although whoever waits for it is cut off."""

import asyncio
import gc
from typing import Any

import pytest
from structlog.testing import capture_logs

from onhand.connectors.flow import Failed
from onhand.courier.finishing import finished


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(None, [], id="it does not fail"),
        pytest.param(
            Failed("401 the pair is void", login=True), ["Failed: 401 the pair is void"], id="it does"
        ),
    ],
)
def test_what_fails_when_nobody_waits_any_more_is_in_the_log(error: Failed | None, words: list[str]) -> None:
    """In our words, once, and not in asyncio's with a traceback."""
    unseen: list[dict[str, Any]] = []

    async def go() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        ended = asyncio.Event()

        async def work() -> str:
            await ended.wait()
            if error is not None:
                raise error
            return "done"

        waiting = asyncio.create_task(finished(work(), 5))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        ended.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        del waiting
        gc.collect()

    with capture_logs() as logged:
        asyncio.run(go())
    assert [one["words"] for one in logged] == words
    assert unseen == []


def test_what_it_returns_or_raises_is_handed_on() -> None:
    async def work(value: str) -> str:
        if not value:
            raise Failed("nothing")
        return value

    assert asyncio.run(finished(work("this"), 1)) == "this"
    with pytest.raises(Failed, match="nothing"):
        asyncio.run(finished(work(""), 1))
