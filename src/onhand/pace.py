"""Published rate limits: token buckets per key, several windows at once, with the clock passed in."""

import math
from collections import OrderedDict
from typing import NamedTuple

KEYS_LIMIT = 10_000
# Epoch seconds in a float are good to about a quarter of a microsecond, so a caller who waits exactly as long
# as told could come up short by that much of a token.
GRAIN = 1e-4


class Window(NamedTuple):
    """At most `calls` at once, coming back evenly over `seconds`."""

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


class _Bucket(NamedTuple):
    tokens: tuple[float, ...]
    at: float


class Pace:
    """A bucket set for each of the KEYS_LIMIT keys used last; a refused call takes nothing from any window.

    A key that was pushed out starts afresh, so size it above the number of credentials in use at once.
    """

    def __init__(self, *windows: Window, keys: int = KEYS_LIMIT) -> None:
        if not windows or any(window.calls < 1 or window.seconds <= 0 for window in windows):
            raise ValueError("a pace needs windows of at least one call and of more than no time")
        self.windows = windows
        self.keys = keys
        self._full = tuple(float(window.calls) for window in windows)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def allow(self, key: str, now: float) -> Ruling:
        """Takes one call from every window of `key`, or from none; `now` is in epoch seconds."""
        bucket = self._buckets.pop(key, None) or _Bucket(self._full, now)
        tokens = self._refilled(bucket, now)
        allowed = min(tokens) >= 1.0 - GRAIN
        if allowed:
            tokens = tuple(level - 1.0 for level in tokens)
        # Of a clock that was wrong and is put right, the wrong time must not stay: until it came again,
        # nothing would be given back.
        self._buckets[key] = _Bucket(tokens, now)
        if len(self._buckets) > self.keys:
            self._buckets.popitem(last=False)
        return self._ruling(allowed, tokens, now)

    def _refilled(self, bucket: _Bucket, now: float) -> tuple[float, ...]:
        # A clock that was set back must neither drain nor fill anything.
        elapsed = max(0.0, now - bucket.at)
        return tuple(
            min(full, level + elapsed * window.calls / window.seconds)
            for level, full, window in zip(bucket.tokens, self._full, self.windows, strict=True)
        )

    def _ruling(self, allowed: bool, tokens: tuple[float, ...], now: float) -> Ruling:
        after = max(
            (1.0 - level if level < 1.0 - GRAIN else 0.0) * window.seconds / window.calls
            for level, window in zip(tokens, self.windows, strict=True)
        )
        level, window = min(
            zip(tokens, self.windows, strict=True), key=lambda pair: (pair[0] / pair[1].calls, pair[1].calls)
        )
        missing = (window.calls - level) * window.seconds / window.calls
        return Ruling(allowed, window.calls, int(max(0.0, level) + GRAIN), math.ceil(now + missing), after)
