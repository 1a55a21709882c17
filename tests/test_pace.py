"""How calls are counted behind the published rate limits."""

import random

import pytest

from onhand.pace import Pace, Ruling, Window

START = 1_800_000_000.0
TWO = Window(2, 1.0)
FORTY = Window(40, 60.0)


def _run(pace: Pace, times: list[float], key: str = "k") -> list[bool]:
    return [pace.allow(key, START + time).allowed for time in times]


@pytest.mark.parametrize(
    ("windows", "times", "expected"),
    [
        pytest.param([TWO], [0, 0, 0], [True, True, False], id="a burst up to the limit"),
        pytest.param(
            [TWO], [0, 0.4, 0.9, 1.0, 1.3, 1.4], [True, True, False, True, False, True], id="slides"
        ),
        pytest.param([Window(10, 1.0)], [0] * 11, [True] * 10 + [False], id="ten a second"),
        pytest.param([TWO], [0, 0, -100, -100], [True, True, False, False], id="clock set back"),
        pytest.param([TWO], [0, 0, -100, -99.5, -99], [True, True, False, False, True], id="and goes on"),
        pytest.param([TWO], [0, 3e7, 3e7, 0, 0.9, 1.0], [True] * 3 + [False, False, True], id="a year ahead"),
        pytest.param([TWO], [0, 0, 1e6, 1e6, 1e6], [True] * 4 + [False], id="never over full"),
        pytest.param([TWO, FORTY], [0, 0, 0, 1, 1, 1], [True, True, False] * 2, id="two windows"),
        pytest.param([Window(1, 60.0)], [0, 59, 60], [True, False, True], id="one a minute"),
    ],
)
def test_allow(windows: list[Window], times: list[float], expected: list[bool]) -> None:
    assert _run(Pace(*windows), times) == expected


def test_the_wider_window_holds_when_the_tighter_is_respected() -> None:
    """Two a second for two minutes ask for 240."""
    allowed = _run(Pace(TWO, FORTY), [tick / 2 for tick in range(240)])
    assert allowed == ([True] * 40 + [False] * 80) * 2


@pytest.mark.parametrize("window", [TWO, Window(10, 1.0), Window(50, 1.0), FORTY])
def test_no_span_has_more_calls_than_are_published(window: Window) -> None:
    pace, chance = Pace(window), random.Random(7)
    times = sorted(chance.uniform(0, 4 * window.seconds) for _ in range(12 * window.calls))
    through = [time for time in times if pace.allow("k", START + time).allowed]
    spans = [last - first for first, last in zip(through, through[window.calls :], strict=False)]
    assert min(spans) > window.seconds - 0.001
    assert len(through) > 3 * window.calls


def test_a_refused_call_takes_nothing() -> None:
    pace = Pace(TWO, FORTY)
    assert sum(_run(pace, [0.0] * 100)) == 2
    assert pace.allow("k", START + 1).remaining == 1


def test_keys_do_not_share() -> None:
    pace = Pace(Window(1, 1.0))
    assert [pace.allow(key, START).allowed for key in "aab"] == [True, False, True]


@pytest.mark.parametrize(
    ("calls", "at", "expected"),
    [
        (1, 0.0, Ruling(True, 10, 9, 1_800_000_001, 0.0)),
        (10, 0.0, Ruling(True, 10, 0, 1_800_000_001, 1.0)),
        (11, 0.0, Ruling(False, 10, 0, 1_800_000_001, 1.0)),
        (11, 0.2, Ruling(False, 10, 0, 1_800_000_002, 1.0)),
    ],
)
def test_the_figures(calls: int, at: float, expected: Ruling) -> None:
    pace = Pace(Window(10, 1.0))
    ruling = [pace.allow("k", START + at) for _ in range(calls)][-1]
    assert ruling._replace(after=round(ruling.after, 6)) == expected
    assert ruling.retry_after == (1 if ruling.after else 0)


def test_the_figures_are_those_of_the_window_nearest_its_end() -> None:
    pace = Pace(TWO, FORTY)
    assert pace.allow("k", START).limit == 2
    for tick in range(1, 40):
        pace.allow("k", START + tick)
    ruling = pace.allow("k", START + 100)
    assert (ruling.allowed, ruling.limit, ruling.remaining) == (True, 2, 1)
    for tick in range(120):
        ruling = pace.allow("k", START + 100 + tick / 2)
    assert (ruling.allowed, ruling.limit) == (False, 40)


def test_waiting_as_told_is_enough() -> None:
    pace = Pace(Window(3, 7.0), Window(5, 11.0))
    now = START + 0.123456
    for _ in range(500):
        ruling = pace.allow("k", now)
        if not ruling.allowed:
            now += ruling.after
            assert pace.allow("k", now).allowed


def test_the_number_of_keys_is_bounded_and_the_oldest_goes() -> None:
    pace = Pace(Window(1, 1_000.0), keys=2)
    assert [pace.allow(key, START).allowed for key in ("a", "b", "a")] == [True, True, False]
    pace.allow("c", START)
    assert pace.allow("a", START).allowed is False
    assert pace.allow("b", START).allowed is True


@pytest.mark.parametrize("windows", [[], [Window(0, 1.0)], [Window(1, 0.0)]])
def test_a_pace_needs_windows(windows: list[Window]) -> None:
    with pytest.raises(ValueError, match="windows"):
        Pace(*windows)
