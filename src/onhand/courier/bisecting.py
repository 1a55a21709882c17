"""Splits a batch that was refused as a whole, until the one bad target stands alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeAlias

from onhand.connectors.flow import Accepted, Later, Rejected, Target, Verdict, Whole

Push: TypeAlias = Callable[[Sequence[Target]], Awaitable[Sequence[Verdict]]]

ALONE_LIMIT = 12
"""So many targets refused alone and none accepted: the channel refuses everything, and to go on splitting
would park every listing for what is no listing's fault."""


async def verdicts(
    push: Push, targets: Sequence[Target], split: Callable[[], None]
) -> AsyncGenerator[Sequence[Verdict], None]:
    """The verdicts on ``targets``, as they come, each target once and none of them `Whole`. ``split`` is
    called each time a batch is halved."""
    waiting: list[Sequence[Target]] = [targets]
    alone, taken = 0, False
    while waiting:
        batch = waiting.pop()
        said = await push(batch)
        taken = taken or any(isinstance(one, Accepted) for one in said)
        # Not by `isinstance`, which takes its time to say no, and is asked of every verdict.
        whole = [one for one in said if type(one) is Whole]
        ended = [one for one in said if type(one) is not Whole] if whole else list(said)
        if len(whole) == 1:
            # Alone in its batch, or the only one of it that is left: it is this one.
            ended.append(Rejected(whole[0].target, whole[0].words, whole[0].code))
            alone += 1
        elif alone >= ALONE_LIMIT and not taken:
            ended += [Later(one.target, one.words) for one in whole]
        elif whole:
            split()
            middle = len(whole) // 2
            waiting += [[one.target for one in half] for half in (whole[middle:], whole[:middle])]
        if ended:
            yield ended
