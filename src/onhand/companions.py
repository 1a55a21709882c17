"""Writes what stands or falls with a group of commands: prices, details, states, plans, orders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from operator import itemgetter
from typing import TypeAlias, assert_never

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection

from onhand.store import counters, incidents, onestep, orders, oversold, requests
from onhand.store.sql import Insert, Row, Statement
from onhand.work import Companion, Plan, PutDetail, PutOrder, PutPrice, SetStatus

PLAIN = frozenset({PutPrice, PutDetail})
"""Those that are rows and nothing else: nobody has to look at anything to write them."""

_PRICE = ("price", "sale_price", "currency")


def _put(said: Sequence[str]) -> Insert:
    """The statement that writes these columns of a price and leaves the others as they are."""
    then = ", ".join(f"{name} = excluded.{name}" for name in said)
    return Insert(
        "prices",
        "account int, item int, seller int, price text, sale_price text, currency text",
        f"ON CONFLICT (account, item, seller) DO UPDATE SET {then}",
    )


_put_prices = {said: _put(said) for size in (1, 2, 3) for said in combinations(_PRICE, size)}
_put_details = Insert(
    "details",
    "account int, dialect text, kind text, item int, other int, body text",
    "ON CONFLICT (account, dialect, kind, item, other) DO UPDATE SET body = excluded.body",
)
_KEY = "account int, dialect text, kind text, item int, other int"
_INTO_DETAILS = (
    "INSERT INTO details (account, dialect, kind, item, other, body)"
    " SELECT account, dialect, kind, item, other, body FROM {rows} WHERE true"
    " ON CONFLICT (account, dialect, kind, item, other) DO UPDATE SET body ="
)
_put_parts = Statement(
    rows=f"{_KEY}, body text",
    sqlite=f"{_INTO_DETAILS} json_patch(details.body, excluded.body)",
    postgresql=f"{_INTO_DETAILS} (details.body::jsonb || excluded.body::jsonb)::text",
)
_drop_details = Statement(
    rows=_KEY,
    sqlite="DELETE FROM details WHERE (account, dialect, kind, item, other) IN"
    " (SELECT account, dialect, kind, item, other FROM {rows})",
    postgresql="DELETE FROM details d USING {rows} WHERE d.account = r.account"
    " AND d.dialect = r.dialect AND d.kind = r.kind AND d.item = r.item AND d.other = r.other",
)
_set_status = Statement(
    "UPDATE listings SET status = r.status, updated_at = :now FROM {rows}"
    " WHERE listings.account = r.account AND listings.id = r.id",
    rows="account int, id int, status text",
)

Details: TypeAlias = dict[tuple[int, str, str, int, int], PutDetail]
"""By account, dialect, kind, item and other."""


class _Rows:
    """Prices and details as they are to be, by key; the last word about one thing stands."""

    __slots__ = ("details", "prices")

    def __init__(self) -> None:
        self.prices: dict[tuple[int, int, int], PutPrice] = {}
        self.details: Details = {}

    def say(self, account: int, one: PutPrice | PutDetail) -> None:
        if isinstance(one, PutPrice):
            key = (account, one.item, one.seller)
            self.prices[key] = _later(self.prices.get(key), one)
        else:
            detail = (account, one.dialect, one.kind, one.item, one.other)
            self.details[detail] = _added(self.details.get(detail), one) if one.part else one


def rows(accepted: Iterable[tuple[int, str, Companion]]) -> list[Row]:
    """What `write` would write of (account, caller, companion), all of them `PLAIN`, for `onestep.deed`."""
    found = _Rows()
    for account, _, one in accepted:
        if isinstance(one, PutPrice | PutDetail):
            found.say(account, one)
    made = [onestep.detail(key, one.body, one.part) for key, one in found.details.items()]
    for key, price in found.prices.items():
        if said := _said(price):
            made.append(onestep.price(*key, said))
    return made


def write(connection: Connection, accepted: Iterable[tuple[int, str, Companion]], now: int) -> None:
    """Write (account, caller, companion) in order; the last word about one thing stands."""
    found = _Rows()
    statuses: dict[tuple[int, int], str] = {}
    plans: list[tuple[int, str, Plan]] = []
    put: list[tuple[int, PutOrder]] = []
    for account, caller, one in accepted:
        match one:
            case PutPrice() | PutDetail():
                found.say(account, one)
            case SetStatus(listing, status):
                statuses[account, listing] = status
            case Plan():
                plans.append((account, caller, one))
            case PutOrder():
                put.append((account, one))
            case _:
                assert_never(one)
    _prices(connection, found.prices)
    _details(connection, found.details)
    if statuses:
        rows = [(*key, status) for key, status in sorted(statuses.items())]
        _set_status.run(connection, rows, now=now)
    if plans:
        requests.plan(connection, [_plan_row(connection, *one, now) for one in plans])
    _orders(connection, put, now)


def _later(before: PutPrice | None, one: PutPrice) -> PutPrice:
    """``one``, with what it leaves open as an earlier word of the same commit has it."""
    if before is None:
        return one
    return msgspec.structs.replace(before, **_said(one))


def _added(before: PutDetail | None, one: PutDetail) -> PutDetail:
    """``one``, a part, with what it leaves open as an earlier word of the same commit has it."""
    if before is None or one.body is None:
        return one
    if before.body is None:
        return msgspec.structs.replace(one, part=False)
    members = msgspec.json.decode(before.body) | msgspec.json.decode(one.body)
    return msgspec.structs.replace(before, body=msgspec.json.encode(members).decode())


def _said(one: PutPrice) -> dict[str, str | None]:
    """What is said of a price."""
    return {name: value for name in _PRICE if (value := getattr(one, name)) is not UNSET}


def _prices(connection: Connection, prices: dict[tuple[int, int, int], PutPrice]) -> None:
    rows: dict[tuple[str, ...], list[Row]] = {}
    for key, one in sorted(prices.items(), key=itemgetter(0)):
        if said := _said(one):
            rows.setdefault(tuple(said), []).append((*key, *(said.get(name) for name in _PRICE)))
    for columns, these in sorted(rows.items()):
        _put_prices[columns].run(connection, these)


def _details(connection: Connection, details: Details) -> None:
    kept: list[Row] = []
    parts: list[Row] = []
    gone: list[Row] = []
    for key, one in sorted(details.items(), key=itemgetter(0)):
        if one.body is None:
            gone.append(key)
        else:
            (parts if one.part else kept).append((*key, one.body))
    _put_details.run(connection, kept)
    if parts:
        _put_parts.run(connection, parts)
    if gone:
        _drop_details.run(connection, gone)


def _orders(connection: Connection, put: list[tuple[int, PutOrder]], now: int) -> None:
    for account in sorted({account for account, _ in put}):
        mine = [one for other, one in put if other == account]
        orders.put(connection, account, [_order_row(one) for one in mine], now)
        for one in mine:
            orders.channel_took(connection, account, one.took, one.updated - one.off, gross=one.gross)
        incidents.report(connection, account, [news for one in mine for news in one.news], now)
        oversold.report(connection, account, {one.reference: one.loses for one in mine if one.reserves}, now)


def _order_row(one: PutOrder) -> Row:
    known = (one.connection, one.external_id, one.reference, one.name, one.updated)
    return (*known, int(one.holds), one.lines, int(one.waiting))


def _plan_row(connection: Connection, account: int, caller: str, plan: Plan, now: int) -> Row:
    number = counters.take(connection, account, "planned")
    commands = msgspec.json.encode(plan.commands).decode()
    return (account, number, plan.due, commands, caller, plan.context, now)
