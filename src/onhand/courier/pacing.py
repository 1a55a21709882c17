"""How fast a channel may be called: its published limits, its own words, backoff, and a circuit breaker.

Times are seconds on the courier's clock, which is not expected to jump; where it does, pacing starts anew.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from onhand.connectors.channel import (
    Limit,
)
from onhand.connectors.flow import (
    LONGEST_RETRY,
    Response,
    retry_after,
)
from onhand.connectors.reading import dated

SHARE = 0.98
"""The share of an allowed rate that is used: clocks and networks are not exact."""
KEPT_BACK = 5
"""One of so many calls of a burst is not used: when the first ones are a little late and the next ones are
not, the channel sees more of them at once than were sent at once."""
JUMP_SECONDS = 5.0
"""A clock that goes back further than this was set, and what was reckoned by it is forgotten."""
BACKOFF_FIRST, BACKOFF_LAST = 1.0, 300.0
CIRCUIT_FAILURES = 5
"""So many requests in a row without an answer, or with a server's fault: the channel is taken for down."""
CIRCUIT_FIRST, CIRCUIT_LAST = 5.0, 300.0
THROTTLED = frozenset({429})
BACK_SOON = frozenset({503})


def backoff(
    attempts: int, lots: random.Random, first: float = BACKOFF_FIRST, last: float = BACKOFF_LAST
) -> float:
    """Seconds before attempt number ``attempts`` (from 0 on): doubling, with half of it left to chance."""
    return min(last, first * 2.0 ** min(attempts, 30)) * lots.uniform(0.5, 1.0)


def told_to_wait(response: Response, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date; a day at most."""
    seconds = retry_after(response)
    if seconds is not None:
        return seconds
    when = dated(response.headers.get("retry-after", ""))
    return None if when is None else min(LONGEST_RETRY, max(0.0, when / 1_000_000 - now))


class Bucket:
    """One limit, as a schedule: each call is given the next free time, ``burst`` of them at once."""

    __slots__ = ("_free", "_gap", "_slack")

    def __init__(self, limit: Limit, before: Bucket | None = None) -> None:
        self._gap = limit.seconds / (limit.calls * SHARE)
        self._slack = self._gap * max(0, limit.burst - limit.burst // KEPT_BACK - 1)
        self._free: float = 0.0 if before is None else before._free

    def take(self, now: float, cost: int = 1) -> float:
        """Seconds to wait before a call of this cost; its place is then taken."""
        start = max(self._free, now)
        self._free = start + self._gap * cost
        return max(0.0, start - self._slack - now)

    def give_back(self, cost: int = 1) -> None:
        """A place that was taken is not needed."""
        self._free -= self._gap * cost

    def empty(self, until: float) -> None:
        """The channel has counted otherwise: nothing is free before ``until``, and then one at a time."""
        self._free = max(self._free, until + self._slack)

    def shift(self, seconds: float) -> None:
        """The clock was set back."""
        self._free -= seconds


class Pace:
    """All limits of one connection, and what its channel has asked for. It outlives a lease, so that a
    connection that was idle for a while does not gain a burst by it."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._limits: dict[str, Limit] = {}
        self._buckets: dict[str, Bucket] = {}
        self._held: dict[str, float] = {}
        self._now = 0.0
        self.throttles = 0
        """Times in a row that the channel turned a call away."""
        self.use(limits)

    def use(self, limits: Iterable[Limit]) -> None:
        """Go by these limits from now on. What was taken from a bucket that has changed stays taken, so that
        a change of settings is no way to a second burst."""
        wanted = {limit.name: limit for limit in limits}
        if wanted == self._limits:
            return
        before, self._limits = self._buckets, wanted
        self._buckets = {name: Bucket(limit, before.get(name)) for name, limit in wanted.items()}

    def take(self, name: str, now: float, cost: int = 1) -> float:
        """Take a place in the bucket of this name; seconds to wait for it. One unknown has no limit."""
        self._see(now)
        bucket = self._buckets.get(name)
        return bucket.take(now, cost) if bucket is not None else 0.0

    def give_back(self, name: str, cost: int = 1) -> None:
        """A place that was taken is not needed."""
        if name in self._buckets:
            self._buckets[name].give_back(cost)

    def held(self, name: str, now: float) -> float:
        """Seconds for which the channel wants to hear nothing of this kind."""
        self._see(now)
        until = max(self._held.get(name, 0.0), self._held.get("", 0.0))
        return max(0.0, until - now)

    def hold(self, seconds: float, now: float, name: str = "") -> None:
        """Send nothing of this kind (or nothing at all) for so long."""
        self._see(now)
        until = now + seconds
        self._held[name] = max(self._held.get(name, 0.0), until)
        for one in [name] if name else self._buckets:
            if one in self._buckets:
                self._buckets[one].empty(until)

    def heard(
        self, response: Response, name: str, wanted: float | None, now: float, lots: random.Random
    ) -> float:
        """Learn from an answer; seconds that are now held. ``wanted`` is what the connector read in it."""
        throttled = response.status in THROTTLED
        seconds = told_to_wait(response, now) if throttled or response.status in BACK_SOON else None
        if throttled and not seconds and not wanted:
            # "Retry-After: 0" too: it is a rest of less than a second, and no leave to go on at once.
            seconds = backoff(self.throttles, lots)
        self.throttles = self.throttles + 1 if throttled else 0
        if seconds:
            # 503 is about the whole channel, 429 about this kind of call.
            self.hold(seconds, now, name if throttled else "")
        if wanted:
            self.hold(wanted, now)
        return max(seconds or 0.0, wanted or 0.0)

    def _see(self, now: float) -> None:
        if now < self._now - JUMP_SECONDS:
            back = self._now - now
            self._held = {name: until - back for name, until in self._held.items()}
            for bucket in self._buckets.values():
                bucket.shift(back)
        self._now = now


class Circuit:
    """Whether a channel is taken for down: open until a time, then one call may try."""

    def __init__(self, failures: int = 0, open_until: float | None = None, words: str | None = None) -> None:
        self.failures, self.open_until, self.words = failures, open_until, words

    @property
    def closed(self) -> bool:
        """Whether nothing speaks against calling."""
        return self.open_until is None

    def waits(self, now: float) -> float:
        """Seconds until a call may try; 0 when one may, also when the clock was set back meanwhile."""
        left = 0.0 if self.open_until is None else self.open_until - now
        return max(0.0, left) if left <= CIRCUIT_LAST + JUMP_SECONDS else 0.0

    def failed(self, words: str, now: float, lots: random.Random, *, at_once: bool = False) -> bool:
        """Count a failure; True when the circuit has just opened, or stays open after a try."""
        if self.waits(now) > 0:
            return False  # it was under way when the circuit opened
        self.failures += CIRCUIT_FAILURES if at_once and not self.failures else 1
        self.words = words
        if self.failures < CIRCUIT_FAILURES:
            return False
        rounds = self.failures - CIRCUIT_FAILURES
        self.open_until = now + backoff(rounds, lots, CIRCUIT_FIRST, CIRCUIT_LAST)
        return True

    def succeeded(self) -> bool:
        """The channel answered; True when the circuit has just closed."""
        was = self.open_until is not None
        self.failures, self.open_until, self.words = 0, None, None
        return was
