"""Reads a file of real orders: which lines are orders, returns and losses, and what is passed over."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

from onhand.office import sheets
from onhand.office.people import BadWords
from onhand.office.sheets import Bad, Row
from onhand.stock.model import QUANTITY_LIMIT
from onhand.store.catalog import SKU_LIMIT

INVOICE_LIMIT = 200
"""Characters in an invoice number."""

COLUMNS = ("InvoiceNo", "StockCode", "Quantity")
RETURNS = "C"
"""What the invoice numbers of returns begin with."""

_GOODS = re.compile(r"[0-9]{5}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


class What(StrEnum):
    """What a part of an invoice asks of the stock."""

    ORDER = "order"
    LOSS = "loss"
    RETURN = "return"


class Ask(msgspec.Struct, frozen=True):
    """One thing to do, under a key of its own: an order with all its goods, or one line that is lost
    or comes back. ``lines`` are (SKU, units above 0), each SKU once. ``digest`` stands for what the
    invoice says, so that another invoice of the same number is noticed."""

    what: What
    invoice: str
    number: int
    lines: tuple[tuple[str, int], ...]
    digest: str

    @property
    def units(self) -> int:
        """How many units it is about."""
        return sum(units for _, units in self.lines)


class Orders(NamedTuple):
    """A file of orders. ``asks`` are in the order in which their invoices first appear.

    ``lines`` counts every line behind the header that is not empty; of these ``not_goods`` and
    ``empty`` (a quantity of 0) are passed over, and ``bad`` cannot be read.
    """

    asks: list[Ask]
    skus: list[str]
    lines: int
    not_goods: int
    empty: int
    bad: list[Bad]


def read(path: Path) -> Orders:
    """The orders in the file at ``path``. Raises OSError, and BadAsk in words.

    All lines of an invoice number make one invoice, wherever they stand: an order is reserved and
    shipped whole. So the file is read to its end before the first order is sent.
    """
    invoices: dict[str, list[tuple[str, int]]] = {}
    skus: dict[str, str] = {}
    bad: list[Bad] = []
    lines = not_goods = empty = 0
    with sheets.opened(path) as sheet:
        at = tuple(sheet.column(name) for name in COLUMNS)
        for row in sheet.rows:
            lines += 1
            found = row if isinstance(row, Bad) else _line(row, *at)
            if isinstance(found, Bad):
                bad.append(found)
                continue
            invoice, code, quantity = found
            if not _GOODS.match(code):
                not_goods += 1
            elif not quantity:
                empty += 1
            else:
                # One string for each SKU keeps a long file small in memory.
                invoices.setdefault(invoice, []).append((skus.setdefault(code, code), quantity))
    asks = [ask for invoice, asked in invoices.items() for ask in _asks(invoice, asked)]
    return Orders(asks, list(skus), lines, not_goods, empty, bad)


def _line(row: Row, invoice_at: int, code_at: int, quantity_at: int) -> tuple[str, str, int] | Bad:
    invoice, code, words = row.cells[invoice_at], row.cells[code_at], row.cells[quantity_at].strip()
    if not invoice.strip() or len(invoice) > INVOICE_LIMIT:
        return Bad(row.line, f"InvoiceNo has 1 to {INVOICE_LIMIT} characters")
    if len(code) > SKU_LIMIT:
        return Bad(row.line, f"StockCode has more than {SKU_LIMIT} characters")
    quantity = whole(words)
    if quantity is None:
        return Bad(row.line, f"Quantity {words[:40]!r} is no whole number within {QUANTITY_LIMIT}")
    return invoice, code, quantity


def whole(words: str) -> int | None:
    """The whole number that ``words`` say, if it is one that the ledger can keep."""
    if not _WHOLE.fullmatch(words):
        return None
    number = int(words)
    return number if -QUANTITY_LIMIT <= number <= QUANTITY_LIMIT else None


def _asks(invoice: str, lines: list[tuple[str, int]]) -> Iterable[Ask]:
    digest = _digest(lines)
    if invoice.startswith(RETURNS):
        yield from _singly(What.RETURN, invoice, [(sku, abs(units)) for sku, units in lines], digest)
        return
    wanted: dict[str, int] = {}
    for sku, quantity in lines:
        if quantity > 0:
            wanted[sku] = wanted.get(sku, 0) + quantity
    if wanted:
        yield Ask(What.ORDER, invoice, 0, tuple(wanted.items()), digest)
    lost = [(sku, -quantity) for sku, quantity in lines if quantity < 0]
    yield from _singly(What.LOSS, invoice, lost, digest)


def _singly(what: What, invoice: str, lines: list[tuple[str, int]], digest: str) -> Iterable[Ask]:
    """Each line on its own, numbered by what it says and not by where it stands: the same invoice
    exported in another order is the same invoice."""
    numbers = {at: number for number, at in enumerate(sorted(range(len(lines)), key=lines.__getitem__))}
    for at, line in enumerate(lines):
        yield Ask(what, invoice, numbers[at], (line,), digest)


def _digest(lines: list[tuple[str, int]]) -> str:
    return hashlib.sha256(json.dumps(sorted(lines)).encode()).hexdigest()


def bounded(stock: int) -> int:
    """``stock`` if a SKU can be given that many units. Raises BadWords."""
    if not 0 <= stock <= QUANTITY_LIMIT:
        raise BadWords(f"--stock is a number from 0 to {QUANTITY_LIMIT}")
    return stock
