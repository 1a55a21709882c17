"""The simulated market by hand: who sees which number when, what is oversold, lost and late."""

from __future__ import annotations

import random

import pytest

from onhand.connectors.channel import Limit
from onhand.office.orderfile import Ask, What
from onhand.simulate import trade
from onhand.simulate.market import Market, Outcome
from onhand.simulate.profiles import HUB_SECONDS, Profile, Way
from onhand.simulate.trade import DAY, Event, Kind, Supply
from onhand.stock.offering import Rules

FAST = Limit("default", calls=100, seconds=1, burst=10)
HEARD = Profile("heard", 50, FAST, batch=10, shows=1.0, hears=2.0)
POLLED = Profile("polled", 50, FAST, batch=10, shows=1.0, polls=60.0)
AT_ONCE = Way("at once")
SYNCED = Way("synced", every=900.0)


def stock(at: float, units: int) -> Event:
    return Event(at, Kind.STOCK, "cup", units)


def sale(at: float, units: int, channel: int, order: int = 0) -> Event:
    return Event(at, Kind.SALE, "cup", units, channel, order)


END = stock(86_400.0, 1)
"""Something long after all else, so that everything gets through."""


def played(way: Way, *events: Event, channels: tuple[Profile, ...] = (HEARD, POLLED)) -> Outcome:
    return Market(way, channels).play([*events, END])


@pytest.mark.parametrize(
    ("second_at", "way", "oversold", "none_left"),
    [
        (102.0, AT_ONCE, 4, 0),  # the hub has not heard yet: nobody can know
        (103.0, AT_ONCE, 4, 0),  # it has, and the other channel does not show it yet
        (104.0, AT_ONCE, 0, 4),
        (899.0, SYNCED, 4, 0),
        (902.0, SYNCED, 0, 4),
    ],
)
def test_the_last_units_are_sold_twice_until_the_other_channel_shows_it(
    second_at: float, way: Way, oversold: int, none_left: int
) -> None:
    found = played(way, stock(0.0, 4), sale(100.0, 4, 0), sale(second_at, 4, 1, order=1))
    assert (found.sold, found.oversold, found.none_left, found.lost) == (4, oversold, none_left, 0)
    assert found.oversold_orders == (1 if oversold else 0)


def test_lag_runs_from_the_sale_to_the_other_channel() -> None:
    heard = played(AT_ONCE, stock(0.0, 9), sale(100.0, 1, 0))
    assert heard.lags == pytest.approx([2.0 + HUB_SECONDS + 1.0])
    polled = played(AT_ONCE, stock(0.0, 9), sale(100.0, 1, 1))
    assert polled.lags == pytest.approx([20.0 + HUB_SECONDS + 1.0])
    synced = played(SYNCED, stock(0.0, 9), sale(100.0, 1, 0))
    assert synced.lags == pytest.approx([801.0])
    assert synced.lag(50) == pytest.approx(801.0)
    assert played(AT_ONCE, stock(0.0, 9)).lag(50) is None


@pytest.mark.parametrize(
    ("ends", "way", "untold"),
    [
        (101.0, AT_ONCE, 2),  # not heard of
        (102.5, AT_ONCE, 2),  # on its way
        (103.5, AT_ONCE, 0),
        (899.0, SYNCED, 2),  # waits for the next look
        (902.0, SYNCED, 0),
    ],
)
def test_what_had_not_got_through_in_the_end(ends: float, way: Way, untold: int) -> None:
    events = [stock(0.0, 9), sale(100.0, 1, 0), sale(100.0, 2, 0, order=1), stock(ends, 1)]
    found = Market(way, (HEARD, POLLED)).play(events)
    assert (found.untold, len(found.lags)) == (untold, 2 - untold)


def test_a_buffer_loses_sales_that_the_shelf_could_have_served() -> None:
    way = Way("buffered", Rules(buffer=3))
    found = played(way, stock(0.0, 5), sale(100.0, 4, 0))
    assert (found.sold, found.oversold, found.lost, found.none_left) == (2, 0, 2, 0)


def test_a_delivery_is_shown_and_a_loss_takes_no_more_than_is_there() -> None:
    found = played(AT_ONCE, stock(0.0, 1), stock(50.0, -3), stock(100.0, 2), sale(200.0, 3, 0))
    assert (found.sold, found.none_left) == (2, 1)


def test_a_channel_is_called_no_faster_than_its_limit_and_the_last_number_wins() -> None:
    slow = Profile("slow", 1, Limit("default", calls=1, seconds=60), batch=1, shows=10.0, hears=1.0)
    sales = [sale(100.0 + at, 1, 0, at) for at in range(50)]
    found = Market(AT_ONCE, (HEARD, slow)).play([stock(0.0, 100), *sales, stock(400.0, 1)])
    assert found.calls <= 50 + 1 + 400 / 60
    assert len(found.lags) == 50
    assert found.lags[-1] < 2 * 62 + 10 + 5


def test_events_are_the_same_for_a_seed_and_deliveries_add_up() -> None:
    asks = [Ask(What.ORDER, str(n), 0, (("cup", 3), ("plate", 1)), "") for n in range(40)]
    asks += [Ask(What.RETURN, "C1", 0, (("cup", 2),), ""), Ask(What.LOSS, "9", 0, (("cup", 1),), "")]

    def made(seed: int) -> list[Event]:
        lots = random.Random(seed)
        times = trade.poisson(len(asks), 10.0, lots)
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] <= 10 * DAY
        return trade.events(asks, times, 10.0, (HEARD, POLLED), Supply(3.0, 150), lots)

    assert made(7) == made(7) != made(8)
    delivered = [one for one in made(7) if one.kind is Kind.STOCK and one.at % (3 * DAY) == 0]
    assert sum(one.units for one in delivered if one.sku == "cup") == 180
    assert sum(one.units for one in made(7) if one.kind is Kind.STOCK) == 180 + 60 + 2 - 1
    assert {one.channel for one in made(7) if one.kind is Kind.SALE} == {0, 1}


@pytest.mark.parametrize("way", [AT_ONCE, SYNCED, Way("buffered", Rules(buffer=2, cap=5), 300.0)])
def test_units_are_conserved(way: Way) -> None:
    lots = random.Random(3)
    asks = [
        Ask(What.ORDER, str(n), 0, ((f"s{lots.randrange(5)}", lots.randrange(1, 9)),), "") for n in range(900)
    ]
    times = trade.poisson(len(asks), 2.0, lots)
    events = trade.events(asks, times, 2.0, (HEARD, POLLED), Supply(1.0, 80), lots)
    found = Market(way, (HEARD, POLLED)).play(events)
    wanted = sum(trade.wanted(asks).values())
    assert found.sold + found.oversold + found.lost + found.none_left == wanted
    assert found.sold <= sum(one.units for one in events if one.kind is Kind.STOCK)
