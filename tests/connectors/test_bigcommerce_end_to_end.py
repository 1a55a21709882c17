"""BigCommerce against a fake store: pushing, looking, orders, faults."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.account import Account
from connectors.account import stocked as filled
from connectors.driver import answer, run, settings_of, talk, target
from fakes.bigcommerce import EXAMPLE, Fake
from fakes.common import Faults
from onhand.connectors import bigcommerce
from onhand.connectors.flow import Accepted, Failed, Later, Place, Rejected, Response, Seen, Target, Unsure

SETTINGS = settings_of(bigcommerce, **EXAMPLE.settings)
ACCOUNT = Account(bigcommerce, SETTINGS)
push, pulled, polled = ACCOUNT.push, ACCOUNT.pulled, ACCOUNT.polled


def stocked(count: int = 3) -> Fake:
    return filled(Fake(), count)


def told(number: int, offer: int, place: str = "1", **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), place, **slot)


def test_a_push_shows_at_its_location() -> None:
    fake = stocked()
    fake.stock(3, 1, place=2)
    verdicts = push(fake, told(1, 4), told(2, 0), told(3, 7, "2"))
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)
    assert [fake.shown("SKU-1"), fake.shown("SKU-2"), fake.shown("SKU-3", 2)] == [4, 0, 7]


def test_the_bad_ones_of_a_batch_are_found() -> None:
    fake = stocked(5)
    fake.items[1].by_product = True
    verdicts = push(fake, *(told(n, n) for n in range(1, 6)), told(9, 9), told(1, 1, "8"))
    assert [type(verdict) for verdict in verdicts] == [Accepted] * 5 + [Rejected, Rejected]
    assert [fake.shown(f"SKU-{n}") for n in range(1, 6)] == [1, 2, 3, 4, 5]


def test_what_is_pulled_can_be_pushed_with_the_safety_stock() -> None:
    fake = stocked(1)
    fake.items[0].safety[1] = 4
    (seen,) = pulled(fake)
    assert seen.shown[0].quantity == 6
    push(fake, Target(1, seen.ids, (bigcommerce_slot(seen, 9),), "key"))
    assert fake.shown("SKU-1") == 9


def bigcommerce_slot(seen: Seen, offer: int) -> Any:
    return target(1, offer, {}, seen.shown[0].location, token=seen.shown[0].token).slots[0]


def test_pages_of_items_and_places() -> None:
    fake = stocked(260)
    fake.edit("SKU-9", 77)
    seen = pulled(fake)
    assert len(seen) == 260
    assert seen[8].shown[0].quantity == 77
    places = talk(bigcommerce.places(SETTINGS), bigcommerce, SETTINGS, fake)
    assert places == [Place("1", "Place 1", default=True), Place("2", "Place 2")]
    assert talk(bigcommerce.check(SETTINGS), bigcommerce, SETTINGS, fake) == "store abc123 with 2 locations"


@pytest.mark.parametrize("apart", [False, True])
def test_a_sale_lowers_the_store_and_is_an_order(apart: bool) -> None:
    fake = stocked()
    fake.products_apart = apart
    name = fake.sell("SKU-1", 2)
    assert fake.shown("SKU-1") == 8
    (order,), cursor = polled(fake, None)
    assert (order.id, order.lines[0].ordered, order.lines[0].ids) == (name, 2, EXAMPLE.ids(1))
    fake.touch(name, status_id=5)
    (order,), cursor = polled(fake, cursor)
    assert order.lines[0].cancelled == 2
    assert cursor == "2026-11-22T00:00:02Z"


def test_a_new_connection_takes_the_open_orders_only() -> None:
    fake = stocked()
    fake.touch(fake.sell("SKU-1", 1), status_id=10)
    open_one = fake.sell("SKU-2", 1)
    found, _ = polled(fake, None)
    assert [order.id for order in found] == [open_one]


def test_no_order_is_lost_when_one_changes_between_pages() -> None:
    fake = stocked(1)
    names = [fake.sell("SKU-1", 1) for _ in range(250)]
    first = talk(bigcommerce.orders(SETTINGS, "2026-11-22T00:00:00Z"), bigcommerce, SETTINGS, fake)
    assert first.more
    fake.touch(names[0])
    rest, _ = polled(fake, first.cursor)
    assert {order.id for order in (*first.orders, *rest)} == set(names)
    assert rest[-1].id == names[0]


def test_orders_of_one_second_are_paged() -> None:
    fake = stocked(1)
    names = [fake.sell("SKU-1", 1) for _ in range(230)]
    for order in fake.orders:
        order["modified"] = fake.orders[0]["modified"]
    found, _ = polled(fake, "2026-11-22T00:00:00Z")
    assert {order.id for order in found} == set(names)


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_page_that_ends_within_a_second_loses_no_order(exclusive: bool) -> None:
    """Whether the moment asked for is in the answer is not documented."""
    fake = stocked(1)
    fake.exclusive = exclusive
    names = [fake.sell("SKU-1", 1) for _ in range(150)]
    for order in fake.orders[95:106]:
        order["modified"] = fake.orders[100]["modified"]
    found, _ = polled(fake, "2026-11-22T00:00:00Z")
    assert {order.id for order in found} == set(names)


def test_orders_are_read_again_in_runs_of_ids() -> None:
    fake = stocked(1)
    names = [fake.sell("SKU-1", 1) for _ in range(330)]
    fake.touch(names[4], is_deleted=True)
    fake.touch(names[5], is_deleted=True, status_id=2)
    del fake.orders[250], fake.orders[7]
    wanted = [*names[3:9], *names[200:260], names[329], "5000", "x"]
    again = talk(bigcommerce.reread(SETTINGS, wanted), bigcommerce, SETTINGS, fake)
    assert again.gone == (names[7], names[250], "5000")
    counts = {order.id: (order.lines[0].cancelled, order.lines[0].shipped) for order in again.orders}
    assert counts.pop(names[4]) == (1, 0), "nobody ships what is in the archive"
    assert counts.pop(names[5]) == (0, 1)
    left = set(wanted) - {names[4], names[5], names[7], names[250], "5000", "x"}
    assert counts == dict.fromkeys(left, (0, 0))


@pytest.mark.parametrize(
    "said",
    [
        answer("<html>", 404),
        answer({"message": "no Route matched"}, 404),
        answer({"status": 403, "title": "scope"}, 403),
        answer({"id": 8}),
        answer([]),
        answer("", 204),
    ],
)
def test_an_order_is_not_gone_because_something_else_fails(said: Response) -> None:
    with pytest.raises(Failed):
        run(bigcommerce.reread(SETTINGS, ["7"]), [answer("", 204), said])


def test_a_store_that_does_not_heed_the_span_is_read_to_the_end_all_the_same() -> None:
    rows = [{"id": n, "status_id": 11, "date_modified": "2026-11-22T00:00:00Z"} for n in range(1, 101)]
    rows = [{**row, "consignments": []} for row in rows]
    missing = answer([{"status": 404, "message": "no"}], 404)
    said = [answer(rows), missing, answer(rows), missing]
    requests, again = run(bigcommerce.reread(SETTINGS, ["500", "600"]), said)
    assert (again.orders, again.gone, len(requests)) == ((), ("500", "600"), 4)


@pytest.mark.parametrize(
    ("faults", "kind", "shown"),
    [
        (Faults(throttle=1), Later, 10),
        (Faults(fail=1), Later, 10),
        (Faults(lose=1), Unsure, 4),
    ],
)
def test_faults(faults: Faults, kind: type, shown: int) -> None:
    fake = stocked(1)
    fake.faults = faults
    assert [type(verdict) for verdict in push(fake, told(1, 4))] == [kind]
    assert fake.shown("SKU-1") == shown
    assert [type(verdict) for verdict in push(fake, told(1, 4))] == [Accepted]
    assert fake.shown("SKU-1") == 4


def test_a_wrong_token_is_a_matter_of_login() -> None:
    wrong = settings_of(bigcommerce, **{**EXAMPLE.settings, "token": "bc-token-wrong"})
    with pytest.raises(Failed) as failed:
        talk(bigcommerce.check(wrong), bigcommerce, wrong, stocked())
    assert failed.value.login
