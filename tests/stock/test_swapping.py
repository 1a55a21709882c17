"""Lines of an order that become another product's: the one is let go, the other held."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from onhand.stock import ordering
from onhand.stock.ordering import State
from onhand.stock.swapping import parted
from order_book import STOCK, Book, line, on, play, snap
from transcript import ledger, levels_text

A, B = replace(line("a", 3), name="v1", sku="A"), replace(line("a", 2), name="v2", sku="B")
SWAPPED = {
    "another product": ([A, B], "1@1 10/0, 1@2 10/0, 2@1 10/2"),
    "another product, seen again": ([A, B, B], "1@1 10/0, 1@2 10/0, 2@1 10/2"),
    "another product, which is sent": ([A, B, replace(B, shipped=2)], "1@1 10/0, 1@2 10/0, 2@1 8/0"),
    "another product, called off": ([A, B, replace(B, cancelled=2)], "1@1 10/0, 1@2 10/0, 2@1 10/0"),
    "another product, and then not": ([A, B, A], "1@1 10/3, 1@2 10/0, 2@1 10/0"),
    "renamed": ([A, replace(A, sku="A-NEW", ordered=4)], "1@1 10/4, 1@2 10/0, 2@1 10/0"),
    "listed anew": ([A, replace(A, name="v9", ordered=4)], "1@1 10/4, 1@2 10/0, 2@1 10/0"),
    "not sold any more": ([A, replace(A, name="", ordered=4)], "1@1 10/4, 1@2 10/0, 2@1 10/0"),
}


@pytest.mark.parametrize("name", SWAPPED)
def test_a_line_that_becomes_another_products(name: str) -> None:
    lines, levels = SWAPPED[name]
    book = Book(ledger(STOCK), {"a": on(1), "a v2": on(2)})
    state: State | None = None
    for at, each in enumerate(lines, 1):
        state = play(book, [parted(state, snap(at, each))], state)
    assert levels_text(book.draft) == levels


def test_the_channel_gave_one_product_back_and_took_the_other() -> None:
    old = ordering.merged(None, snap(1, A))
    assert old is not None
    old = ordering.grounded(old, {"a": on(1)})
    new = ordering.merged(old, parted(old, snap(2, B)))
    assert new is not None
    new = ordering.grounded(new, {"a v2": on(2)})
    assert ordering.took(old, new) == [(10, "", -3, -3), (20, "", 2, 2)]
