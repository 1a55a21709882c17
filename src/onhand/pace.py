"""Published rate limits: calls counted per key, in several windows at once, with the clock passed in."""

import math
from bisect import bisect_right
from collections import OrderedDict
from typing import NamedTuple

KEYS_LIMIT = 10_000
# Epoch seconds in a float are good to about a quarter of a microsecond, so a caller who waits exactly as long
# as told could come too early by that much.
GRAIN = 1e-4


class Window(NamedTuple):
    """At most `calls` within any `seconds`."""

    calls: int
    seconds: float


class Ruling(NamedTuple):
    """What one call was told: the figures are those of the window that is closest to being used up.

    `limit` and `remaining` count calls; `reset_epoch` is the whole second, rounded up and on the caller's
    clock, at which the window is full again; `after` is how many seconds to wait before a call is let
    through, 0.0 when the next one would be.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_epoch: int
    after: float

    @property
    def retry_after(self) -> int:
        """`after` in whole seconds for a Retry-After header; never 0 for a refused call."""
        return max(math.ceil(self.after), 0 if self.allowed else 1)


class Pace:
    """The last calls of each of the KEYS_LIMIT keys used last; a refused call counts in no window.

    A key that was pushed out starts afresh, so size it above the number of credentials in use at once.
    """

    def __init__(self, *windows: Window, keys: int = KEYS_LIMIT) -> None:
        if not windows or any(window.calls < 1 or window.seconds <= 0 for window in windows):
            raise ValueError("a pace needs windows of at least one call and of more than no time")
        self.windows = windows
        self.keys = keys
        self._most = max(window.calls for window in windows)
        self._calls: OrderedDict[str, list[float]] = OrderedDict()

    def allow(self, key: str, now: float) -> Ruling:
        """Counts one call of `key` in every window, or in none; `now` is in epoch seconds."""
        calls = self._calls.pop(key, [])
        # Of a clock that was set back or put right, the wrong time must not stay: until it came again,
        # nothing would be given back.
        for at in range(bisect_right(calls, now), len(calls)):
            calls[at] = now
        allowed = self._wait(calls, now) <= 0.0
        if allowed:
            calls.append(now)
            del calls[: -self._most]
        self._calls[key] = calls
        if len(self._calls) > self.keys:
            self._calls.popitem(last=False)
        return self._ruling(allowed, calls, now)

    def _wait(self, calls: list[float], now: float) -> float:
        """How long until every window has room for one more."""
        return max(
            calls[-window.calls] + window.seconds - now if _used(calls, window, now) >= window.calls else 0.0
            for window in self.windows
        )

    def _ruling(self, allowed: bool, calls: list[float], now: float) -> Ruling:
        left, window = min(
            ((window.calls - _used(calls, window, now), window) for window in self.windows),
            key=lambda pair: (pair[0] / pair[1].calls, pair[1].calls),
        )
        full = calls[-1] + window.seconds if left < window.calls else now
        return Ruling(allowed, window.calls, left, math.ceil(full), self._wait(calls, now))


def _used(calls: list[float], window: Window, now: float) -> int:
    """How many of the calls are in the window that ends now."""
    return min(len(calls) - bisect_right(calls, now - window.seconds + GRAIN), window.calls)
