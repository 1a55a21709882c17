"""Hands batches to a shop's ledger on SQLite as the hub does, and counts those that go the swift way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from sqlalchemy import Connection

from onhand import swift
from onhand.stock.model import AnyCommand
from onhand.store.books import Marked
from onhand.ticket import Ticket
from onhand.transact import Transactions
from onhand.work import Arrival, Recorded, Work
from shops import Shop

HERE = (1, 1)


class Door:
    """What hands batches to the shop's ledger as the hub does, and counts those that went the swift way."""

    def __init__(self, shop: Shop, patch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.swift = self.followed = 0
        self.ordinary = False
        self.marked: set[Marked] = set()
        """What the last batch made stale."""
        self._decide, self._write = swift.decide, swift.write
        self._transactions = Transactions(shop.store, lambda: shop.now)
        patch.setattr(swift, "decide", self.decide)
        patch.setattr(swift, "write", self.write)

    def decide(
        self, connection: Connection, works: list[Work], now: int, before: swift.Decided | None = None
    ) -> swift.Decided | None:
        return None if self.ordinary else self._decide(connection, works, now, before)

    def write(self, connection: Connection, decided: swift.Decided) -> bool:
        written = self._write(connection, decided)
        self.swift += written
        return written

    def batch(self, *jobs: Work | Arrival | Callable[[Connection], Any]) -> list[Any]:
        """What became of each; None for what waits for a later batch."""
        tickets = [Ticket(1, job, cast(Any, None), cast(Any, None)) for job in jobs]
        light = all(isinstance(job, (Work, Arrival)) for job in jobs)
        self.marked = set()
        opened = self._transactions.open(tickets) if light else None
        self._transactions.run(tickets, self.marked, opened)
        if opened is not None:
            self._transactions.ended(opened, None)
        return [ticket.error or ticket.result for ticket in tickets]

    def say(self, *commands: AnyCommand, **options: Any) -> Recorded:
        """One work."""
        (found,) = self.batch(self.shop.work(*commands, **options))
        assert isinstance(found, Recorded)
        return found

    def fill(self, *commands: AnyCommand) -> None:
        """One work, the ordinary way."""
        self.ordinary = True
        self.say(*commands)
        self.ordinary = False

    def close(self) -> None:
        self._transactions.close()

    def ahead(self, first: list[Work], second: list[Work]) -> list[Any]:
        """What became of each of two batches, of which the second is decided before the first is written,
        if that can be; `followed` counts how often it could."""
        transactions, self.marked = self._transactions, set()
        one, two = (
            [Ticket(1, job, cast(Any, None), cast(Any, None)) for job in jobs] for jobs in (first, second)
        )
        opened = transactions.open(one)
        later = None if opened is None or not opened.may_be_followed else transactions.open(two, opened)
        self.followed += later is not None
        transactions.run(one, self.marked, opened)
        if opened is not None:
            transactions.ended(opened, later)
        later = later or transactions.open(two)
        transactions.run(two, self.marked, later)
        if later is not None:
            transactions.ended(later, None)
        return [ticket.error or ticket.result for ticket in (*one, *two)]
