"""Squarespace: where one poll of orders ends and the next begins."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.account import Account
from connectors.driver import settings_of, talk
from fakes.common import START
from fakes.squarespace import EXAMPLE, Fake
from onhand.connectors import squarespace
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response

SETTINGS = settings_of(squarespace, **EXAMPLE.settings)
polled = Account(squarespace, SETTINGS).polled


def sold(count: int) -> tuple[Fake, list[str]]:
    """A site with so many orders that wait, of a second each, and their ids."""
    fake = Fake()
    fake.stock(1, 1000)
    return fake, [fake.sell("SKU-1", 1) for _ in range(count)]


def asked_from(fake: Fake, cursor: str) -> str:
    """The moment that the first request of a poll from this cursor begins at."""
    fake.requests.clear()
    polled(fake, cursor)
    return dict(fake.requests[0].query)["modifiedAfter"]


def test_the_first_look_says_when_it_began_itself() -> None:
    """Of its first page: neither with all that ever changed, nor behind what changed while it paged."""
    fake, names = sold(60)
    began = START + timedelta(seconds=fake.clock.seconds + 1)
    some = talk(squarespace.orders(SETTINGS, None), squarespace, SETTINGS, fake)
    assert some.more
    rest, cursor = polled(fake, some.cursor)
    assert {order.id for order in (*some.orders, *rest)} == set(names)
    assert datetime.fromisoformat(cursor) == began
    assert datetime.fromisoformat(asked_from(fake, cursor)) == began - timedelta(minutes=1)


def test_what_is_placed_during_the_first_look_does_not_move_the_next_poll() -> None:
    """Else a change of what its first page showed, made before, would never be heard of."""
    fake, names = sold(60)
    some = talk(squarespace.orders(SETTINGS, None), squarespace, SETTINGS, fake)
    fake.change(names[0], fulfillmentStatus="CANCELED")
    fake.clock.seconds += 600
    late = fake.sell("SKU-1", 1)
    rest, cursor = polled(fake, some.cursor)
    assert late in {order.id for order in rest}
    found, _ = polled(fake, cursor)
    assert {(order.id, order.lines[0].cancelled) for order in found} >= {(names[0], 1), (late, 0)}


def test_a_first_look_without_a_date_is_followed_by_all_there_is() -> None:
    fake, names = sold(2)
    fake.change(names[0], fulfillmentStatus="FULFILLED")

    def dateless(wire: Wire) -> Response:
        return msgspec.structs.replace(fake(wire), headers={})

    found = talk(squarespace.orders(SETTINGS, None), squarespace, SETTINGS, dateless)
    assert ([order.id for order in found.orders], found.more) == ([names[1]], False)
    then = talk(squarespace.orders(SETTINGS, found.cursor), squarespace, SETTINGS, dateless)
    assert {order.id for order in then.orders} == set(names)


def test_a_poll_ends_at_the_newest_change_it_saw_and_never_before_it_began() -> None:
    fake, _ = sold(3)
    newest = max(row["modifiedOn"] for row in fake.orders)
    found, cursor = polled(fake, "2026-11-22T00:00:00Z")
    assert (len(found), datetime.fromisoformat(cursor)) == (3, datetime.fromisoformat(newest))
    assert polled(fake, "2026-11-23T00:00:00Z")[1] == "2026-11-23T00:00:00Z"


@pytest.mark.parametrize("pages", [{"hasNextPage": False, "nextPageCursor": "again"}, {}, None])
def test_a_page_that_says_it_is_the_last_is(pages: Any) -> None:
    """Whatever else it names: a cursor that is followed for ever would hold up every later order."""
    said = msgspec.json.encode({"result": [], "pagination": pages})
    found = talk(
        squarespace.orders(SETTINGS, "2026-11-22T00:00:00Z"),
        squarespace,
        SETTINGS,
        lambda _: Response(200, {}, said),
    )
    assert (found.orders, found.more) == ((), False)


def test_a_line_without_a_variant_is_known_by_its_sku_alone() -> None:
    fake, _ = sold(1)
    fake.orders[0]["lineItems"] = [{"id": "one", "sku": "SKU-1", "quantity": 2, "variantId": None}]
    ((order,), _) = polled(fake, None)
    assert [(line.id, line.ids, line.sku, line.ordered) for line in order.lines] == [("one", {}, "SKU-1", 2)]
