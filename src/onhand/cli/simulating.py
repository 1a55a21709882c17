"""The command that plays a file of real orders over simulated channels, several ways, and compares them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from onhand.cli import frame, progress
from onhand.cli.frame import AccountName, AsJson, Db
from onhand.office import channels, door, orderfile, ordertimes, people
from onhand.office.orderfile import Ask, Orders
from onhand.office.people import BadAsk, BadWords
from onhand.outward.equipment import Refusal
from onhand.simulate import trade
from onhand.simulate.market import Market, Outcome
from onhand.simulate.profiles import CONSTANT_BUFFER, HUB_SECONDS, SYNC_SECONDS, USUAL, Way, compared
from onhand.simulate.trade import DAY, Supply
from onhand.stock.offering import Rules, stacked

app = typer.Typer()

LONGEST_DAYS = 3_650.0


class Played(NamedTuple):
    """What was played: how long, where the times come from, how stock came in, and whose rules onhand had
    (a connection's name and how many SKUs have rules of their own). ``untimed`` invoices had no time in a
    file that has a column of them."""

    days: float
    seed: int
    spread: str
    supply: Supply
    orders: int
    units: int
    connection: str | None = None
    own_rules: int = 0
    untimed: int = 0


class Configured(NamedTuple):
    """Rules of the hub: a connection's, and by SKU those of its listings."""

    connection: str | None
    rules: Rules
    by_sku: dict[str, Rules]


@app.command()
@frame.command
async def simulate(
    file: Annotated[Path, typer.Argument(help="CSV with InvoiceNo, StockCode, Quantity; may be gzipped.")],
    days: Annotated[float, typer.Option(help="Spread the orders over so many days.")] = 30.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.")] = 1,
    time_column: Annotated[str | None, typer.Option(help="The column with the times of orders.")] = None,
    sync: Annotated[float, typer.Option(help="Minutes between two runs of the sync.")] = SYNC_SECONDS / 60,
    buffer: Annotated[int, typer.Option(help="The constant buffer of the second sync.")] = CONSTANT_BUFFER,
    rules: Annotated[str, typer.Option(help='Offer rules of onhand as JSON, as {"buffer": 1}.')] = "{}",
    connection: Annotated[
        str | None,
        typer.Option(help="Take the rules of this connection and its listings (id, name, channel)."),
    ] = None,
    restock: Annotated[float, typer.Option(help="Days between two deliveries.")] = 7.0,
    supply: Annotated[
        int, typer.Option(help="Percent of what is ordered on average that is delivered.")
    ] = 100,
    account: AccountName = None,
    db: Db = None,
    as_json: AsJson = False,
) -> int:
    """Play real orders over simulated channels and compare: oversold units, lost sales, and lag.

    A sync that looks every 15 minutes, without and with a constant buffer, and onhand with your rules. The
    orders are spread by a Poisson process, or by a column of the file that holds their times.
    """
    configured = await _configured(_rules(rules), connection, account, db)
    every = _within("--sync", sync, 0.1, 1_440) * 60
    ways = compared(every, _whole("--buffer", buffer), configured.rules, configured.by_sku)
    came = Supply(_within("--restock", restock, 0.01, LONGEST_DAYS), _whole("--supply", supply))
    _within("--days", days, 0.01, LONGEST_DAYS)
    orders = orderfile.read(file)
    lots = random.Random(seed)
    column = ordertimes.column(file, time_column)
    untimed = 0
    if column is None:
        times, spread = trade.poisson(len(orders.asks), days, lots), "a Poisson process"
    else:
        read = ordertimes.read(file, column)
        untimed = _untimed(orders, read)
        orders, times, days = _timed(orders, read.at)
        spread = f"column {column}"
    happened = trade.events(orders.asks, times, days, USUAL, came, lots)
    units = sum(trade.wanted(orders.asks).values())
    played = Played(
        round(days, 3),
        seed,
        spread,
        came,
        sum(ask.what == "order" for ask in orders.asks),
        units,
        configured.connection,
        len(configured.by_sku),
        untimed,
    )
    outcomes = _play(ways, happened)
    if as_json:
        frame.print_json(_told(played, ways, outcomes))
    else:
        _show(played, outcomes)
    return frame.OK


def _play(ways: Sequence[Way], happened: Sequence[trade.Event]) -> list[Outcome]:
    found = []
    with progress.bar("simulate", len(ways)) as step:
        for way in ways:
            found.append(Market(way, USUAL).play(happened))
            step(1)
    return found


# --- what was asked -----------------------------------------------------------------------------------


def _timed(orders: Orders, at: dict[str, float]) -> tuple[Orders, list[float], float]:
    """The orders by time, their times from the first one on, and the days between first and last. What
    has no time has that of the order before it."""
    last = min(at.values())
    pairs: list[tuple[float, Ask]] = []
    for ask in orders.asks:
        last = at.get(ask.invoice, last)
        pairs.append((last, ask))
    pairs.sort(key=lambda pair: pair[0])
    began = pairs[0][0] if pairs else 0.0
    times = [moment - began for moment, _ in pairs]
    days = max(1.0, times[-1] / DAY) if times else 1.0
    if days > LONGEST_DAYS:
        raise BadAsk(f"the orders of the file are {days:.0f} days apart: at most {LONGEST_DAYS:.0f}")
    return orders._replace(asks=[ask for _, ask in pairs]), times, days


def _untimed(orders: Orders, read: ordertimes.Times) -> int:
    """How many invoices have no time, which is said: times of another form make another trade."""
    found = len({ask.invoice for ask in orders.asks} - read.at.keys())
    if found:
        words = f"{found} orders have no time that can be read, and are taken for as late as the one before"
        frame.complain(words + (f" (the first: {read.unread!r})" if read.unread else ""))
    return found


def _rules(text: str) -> Rules:
    try:
        return msgspec.json.decode(text, type=Rules)
    except msgspec.DecodeError as error:
        raise BadAsk(f"--rules: {error}") from error


async def _configured(
    given: Rules, connection: str | None, account: str | None, db: str | None
) -> Configured:
    """The rules that were given, on those of a connection and its listings where one is named."""
    if connection is None:
        return Configured(None, given, {})
    async with door.reading(frame.load(db)) as inventory:
        number = await people.account_id(inventory, account)
        try:
            name, rules, by_sku = await inventory.read(
                number, lambda c: channels.rules_by_sku(c, number, connection), long=True
            )
        except Refusal as refusal:
            raise BadAsk(str(refusal)) from refusal
    return Configured(name, stacked(rules, given), {sku: stacked(one, given) for sku, one in by_sku.items()})


def _within(name: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise BadWords(f"{name} is a number from {least:g} to {most:g}")
    return value


def _whole(name: str, value: int) -> int:
    if not 0 <= value <= 1_000_000:
        raise BadWords(f"{name} is a number from 0 to 1000000")
    return value


# --- what is said -------------------------------------------------------------------------------------

COLUMNS = ("", "oversold units", "in orders", "lost sales (units)", "lag p50", "lag p99", "sold", "calls")


def _show(played: Played, outcomes: Sequence[Outcome]) -> None:
    frame.print_table(COLUMNS, [_row(one) for one in outcomes])
    supply = played.supply
    frame.say(
        f"\n{played.orders} orders of {played.units} units in {played.days:g} days, spread by"
        f" {played.spread}, seed {played.seed};"
        f" every {supply.days:g} days stock for {supply.percent} % of the average orders"
    )
    if played.connection is not None:
        own = f", and its own for {played.own_rules} SKUs" if played.own_rules else ""
        frame.say(f"onhand has the rules of connection {played.connection}{own}")
    for one in USUAL:
        heard = f"a webhook after {one.hears:g} s" if one.hears else f"a poll every {one.polls:g} s"
        rate = f"{one.limit.calls:g} calls in {one.limit.seconds:g} s with up to {one.batch} listings"
        frame.say(f"{one.name}: {one.share} % of the orders, {rate}, shown after {one.shows:g} s; {heard}")


def _row(one: Outcome) -> tuple[object, ...]:
    lags = (_seconds(one.lag(50)), _seconds(one.lag(99)))
    return (one.way, one.oversold, one.oversold_orders, one.lost, *lags, one.sold, one.calls)


def _seconds(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def _told(played: Played, ways: Sequence[Way], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "days": played.days,
        "seed": played.seed,
        "spread": played.spread,
        "untimed": played.untimed,
        "orders": played.orders,
        "units": played.units,
        "supply": played.supply._asdict(),
        "connection": played.connection,
        "hub_seconds": HUB_SECONDS,
        "channels": [{**one._asdict(), "limit": msgspec.to_builtins(one.limit)} for one in USUAL],
        "ways": [
            {
                "way": one.way,
                "every": way.every,
                "rules": msgspec.to_builtins(way.rules),
                "own_rules": len(way.by_sku),
                "oversold": one.oversold,
                "oversold_orders": one.oversold_orders,
                "lost": one.lost,
                "none_left": one.none_left,
                "sold": one.sold,
                "calls": one.calls,
                "lag_p50": _rounded(one.lag(50)),
                "lag_p99": _rounded(one.lag(99)),
                "lag_max": _rounded(one.lag(100)),
                "untold": one.untold,
            }
            for way, one in zip(ways, outcomes, strict=True)
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
