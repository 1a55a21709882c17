"""Limits, backoff and the circuit by themselves: tables of calls against a clock that is only a number."""

import asyncio
import random

import pytest

from courier import bazaar
from courier.town import Like
from onhand.connectors.channel import Limit, Secret
from onhand.connectors.flow import Response
from onhand.courier.flows import Session, Way
from onhand.courier.pacing import (
    CIRCUIT_FAILURES,
    CIRCUIT_LAST,
    SHARE,
    Bucket,
    Circuit,
    Pace,
    backoff,
    told_to_wait,
)
from onhand.transport import ChannelTransport

NOW = 1_795_305_600.0


def times(limit: Limit, count: int) -> list[float]:
    """When so many calls that are all wanted now may go out, in seconds from now."""
    bucket = Bucket(limit)
    return [round(bucket.take(NOW), 6) for _ in range(count)]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Limit("a", calls=1 / SHARE, seconds=1), [0, 1, 2, 3]),
        (Limit("a", calls=1 / SHARE, seconds=1, burst=3), [0, 0, 0, 1]),
        (Limit("a", calls=2 / SHARE, seconds=60), [0, 30, 60, 90]),
    ],
)
def test_a_bucket_gives_each_call_its_time(limit: Limit, expected: list[float]) -> None:
    assert times(limit, 4) == expected


def test_a_place_that_is_given_back_is_the_next_ones() -> None:
    bucket = Bucket(Limit("a", calls=1 / SHARE, seconds=1))
    assert bucket.take(NOW) == 0
    assert bucket.take(NOW) == pytest.approx(1)
    bucket.give_back()
    assert bucket.take(NOW) == pytest.approx(1)
    assert bucket.take(NOW + 100) == 0


@pytest.mark.parametrize(("burst", "at_once"), [(1, 1), (4, 4), (5, 4), (10, 8), (50, 40)])
def test_a_part_of_a_large_burst_is_kept_back(burst: int, at_once: int) -> None:
    waits = times(Limit("a", calls=1 / SHARE, seconds=1, burst=burst), burst + 2)
    assert waits.count(0) == at_once
    assert waits[at_once] == 1


def test_other_limits_are_no_way_to_a_second_burst() -> None:
    before = Limit("a", calls=1 / SHARE, seconds=1, burst=3)
    pace = Pace([before])
    assert [pace.take("a", NOW) for _ in range(3)] == [0, 0, 0]
    pace.use([before])
    assert pace.take("a", NOW) == pytest.approx(1)
    pace.use([Limit("a", calls=10 / SHARE, seconds=1, burst=3)])
    assert pace.take("a", NOW) > 1
    pace.use([])
    assert pace.take("a", NOW) == 0
    assert pace.take("b", NOW) == 0


def test_a_held_bucket_has_no_burst_afterwards() -> None:
    pace = Pace([Limit("a", calls=1 / SHARE, seconds=1, burst=5), Limit("b", calls=1 / SHARE, seconds=1)])
    lots = random.Random(1)
    assert pace.heard(Response(429, {"retry-after": "10"}), "a", None, NOW, lots) == 10
    assert pace.held("a", NOW) == 10
    assert pace.held("b", NOW) == 0
    assert [round(pace.take("a", NOW)) for _ in range(3)] == [10, 11, 12]
    assert pace.heard(Response(200), "a", 7.0, NOW, lots) == 7
    assert pace.held("b", NOW) == 7


def test_throttling_without_a_time_backs_off() -> None:
    pace, lots = Pace([]), random.Random(1)
    held = [pace.heard(Response(429), "a", None, NOW, lots) for _ in range(6)]
    assert all(0.5 * 2**n <= seconds <= 2**n for n, seconds in enumerate(held))
    assert pace.heard(Response(200), "a", None, NOW, lots) == 0
    assert 0.5 <= pace.heard(Response(429), "a", None, NOW, lots) <= 1, "it was let in again meanwhile"


def test_what_a_channel_asks_for_holds_what_it_is_about() -> None:
    pace = Pace([Limit(name, calls=1 / SHARE, seconds=1) for name in ("a", "b")])
    lots, soon = random.Random(1), {"retry-after": "9"}
    assert pace.heard(Response(429, soon), "a", None, NOW, lots) == 9
    assert (pace.held("a", NOW), pace.held("b", NOW), pace.take("b", NOW)) == (9, 0, 0)
    assert pace.heard(Response(429), "b", 0.2, NOW, lots) == 0.2, "its connector has read when"
    assert pace.heard(Response(500, soon), "b", None, NOW + 1, lots) == 0, "only 503 is said to pass"
    assert pace.heard(Response(503, soon), "a", None, NOW + 1, lots) == 9
    assert pace.held("b", NOW + 1) == 9


def test_a_place_in_a_bucket_is_given_back_by_its_name() -> None:
    pace = Pace([Limit("a", calls=1 / SHARE, seconds=1)])
    assert pace.take("a", NOW) == 0
    pace.give_back("b")
    pace.give_back("a")
    assert pace.take("a", NOW) == 0
    assert pace.take("a", NOW) == pytest.approx(1)


def test_a_clock_that_is_set_back_does_not_stop_everything() -> None:
    pace = Pace([Limit("a", calls=1 / SHARE, seconds=1)])
    pace.hold(5, NOW, "a")
    assert pace.held("a", NOW + 2) == 3
    assert pace.held("a", NOW - 3600) == 3
    assert pace.held("a", NOW - 3602) == 5, "that little is no jump"
    assert pace.take("a", NOW - 3600) == pytest.approx(3)


class Steps:
    """A clock on which time passes by waiting, and which counts how often somebody waits."""

    def __init__(self) -> None:
        self.waits = 0
        self._now = int(NOW * 1_000_000)

    def now(self) -> int:
        """Microseconds UTC."""
        return self._now

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """As `ports.Clock`."""
        self.waits += 1
        self._now += max(1_000, int(seconds * 1_000_000))
        return event.is_set()


@pytest.mark.parametrize("limits", [(), (Limit("default", calls=1, seconds=1),)], ids=["no limit", "a limit"])
def test_what_is_held_is_waited_for_at_once(limits: tuple[Limit, ...]) -> None:
    """Whoever asks each millisecond whether it is over keeps a processor busy for as long."""

    async def go() -> Steps:
        clock = Steps()
        way = Way(ChannelTransport(), clock, asyncio.Event(), random.Random(1))
        session = Session(Like(limits=limits), bazaar.Settings(Secret("t")), way)
        session.pace.hold(60, way.now())
        await session.ready("default")
        assert session.pace.held("default", way.now()) == 0
        return clock

    assert asyncio.run(go()).waits <= 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("99999999", 86_400.0),
        ("Sun, 22 Nov 2026 00:00:40 GMT", 40.0),
        ("Sat, 21 Nov 2026 00:00:40 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("nan", 0.0),
        ("1e999", 86_400.0),
        ("9" * 400, 86_400.0),
        ("Sun, 22 Nov 2026 00:00:40", 40.0),
        ("Sun, 22 Nov 2026 00:00:40 -0000", 40.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400.0),
        ("Sun, 22 Nov 2026 00:00:40 +99999999999999999999", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    found = told_to_wait(Response(429, {"retry-after": header}), NOW)
    assert found == seconds


def test_the_circuit_opens_tries_and_closes() -> None:
    circuit, lots = Circuit(), random.Random(1)
    assert [circuit.failed("down", NOW, lots) for _ in range(5)] == [False] * 4 + [True]
    first = circuit.waits(NOW)
    assert 2.5 <= first <= 5
    assert circuit.failed("still under way", NOW, lots) is False
    later = NOW + first
    assert circuit.waits(later) == 0
    assert not circuit.closed
    assert circuit.failed("down", later, lots) is True
    assert circuit.waits(later) >= 5
    assert circuit.succeeded() is True
    assert (circuit.open_until, circuit.words, circuit.failures) == (None, None, 0)
    assert circuit.failed("void", NOW, lots, at_once=True) is True
    assert circuit.failures == CIRCUIT_FAILURES
    later = NOW + circuit.waits(NOW)
    assert circuit.failed("void", later, lots, at_once=True) is True
    assert circuit.failures == CIRCUIT_FAILURES + 1, "one try, one failure"


def test_an_open_circuit_outlasts_small_steps_of_the_clock_only() -> None:
    circuit = Circuit(9, NOW + CIRCUIT_LAST, "down")
    assert circuit.waits(NOW - 5) == CIRCUIT_LAST + 5
    assert circuit.waits(NOW - 6) == 0, "the clock was set back"
    assert Circuit().waits(NOW) == 0


def test_backoff_is_bounded() -> None:
    lots = random.Random(1)
    assert all(backoff(n, lots) <= 300 for n in range(0, 2000, 7))
