"""WooCommerce against a fake shop: pushing, looking, orders, faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.account import Account
from connectors.driver import answer, run, settings_of, talk, target
from fakes.woocommerce import EXAMPLE, Fake
from onhand.connectors import woocommerce
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Rejected,
    Response,
    Stale,
    Target,
    Unsure,
)

SETTINGS = settings_of(woocommerce, **EXAMPLE.settings)
ACCOUNT = Account(woocommerce, SETTINGS)
push, pulled, polled = ACCOUNT.push, ACCOUNT.pulled, ACCOUNT.polled


def told(number: int, offer: int, parent: int = 0, **slot: Any) -> Target:
    ids = {"product": str(parent), "variation": str(number)} if parent else {"product": str(number)}
    return target(number, offer, ids, **slot)


def family() -> Fake:
    """A shop with simple and variable products of every sort."""
    fake = Fake()
    fake.stock(1, 10)
    fake.stock(2, None, manage=False)
    fake.stock(3, None, kind="grouped", manage=False)
    fake.stock(4, 6, status="draft")
    fake.stock(20, None, kind="variable", manage=False)
    fake.stock(21, 3, parent=20)
    fake.stock(22, None, parent=20, manage=False)
    fake.stock(30, 8, kind="variable")
    fake.stock(31, 8, parent=30, manage="parent")
    return fake


def test_a_push_shows_also_where_nothing_was_counted() -> None:
    fake = family()
    verdicts = push(fake, told(1, 4), told(2, 5), told(21, 7, parent=20), told(22, 1, parent=20))
    assert [type(verdict) for verdict in verdicts] == [Accepted] * 4
    assert [fake.shown(f"SKU-{n}") for n in (1, 2, 21, 22)] == [4, 5, 7, 1]


def test_a_variation_of_a_managing_parent_is_really_stored() -> None:
    fake = family()
    assert isinstance(push(fake, told(31, 5, parent=30))[0], Accepted)
    assert (fake.things[31].manage, fake.shown("SKU-31")) == (True, 5)


def test_unlimited_and_back() -> None:
    fake = family()
    assert isinstance(push(fake, told(1, 999, infinite=True))[0], Accepted)
    assert (fake.things[1].manage, fake.shown("SKU-1")) == (False, None)
    assert isinstance(push(fake, told(1, 2))[0], Accepted)
    assert (fake.things[1].manage, fake.shown("SKU-1")) == (True, 2)


def test_one_bad_row_does_not_harm_its_neighbours() -> None:
    fake = family()
    fake.things[4].stubborn = 6
    verdicts = push(fake, told(1, 4), told(77, 1), told(4, 2))
    assert [type(verdict) for verdict in verdicts] == [Accepted, Rejected, Stale]
    assert verdicts[2] == Stale(told(4, 2), {None: 6}, "the shop kept 6")


def test_a_shop_that_allows_fewer_gets_halves() -> None:
    fake = Fake(limit=10)
    for number in range(1, 41):
        fake.stock(number, 0)
    verdicts = push(fake, *(told(number, number) for number in range(1, 41)))
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)
    assert [fake.shown(f"SKU-{n}") for n in range(1, 41)] == list(range(1, 41))
    none = Fake(limit=0)
    none.stock(1, 0)
    assert not isinstance(push(none, told(1, 1))[0], Accepted)


def test_faults() -> None:
    fake = family()
    fake.faults.throttle = fake.faults.fail = 1
    assert push(fake, told(1, 4))[0] == Later(told(1, 4), "429 <html>slow down</html>", 3.0)
    assert isinstance(push(fake, told(1, 4))[0], Later)
    fake.faults.lose = 1
    assert isinstance(push(fake, told(1, 4))[0], Unsure)
    assert fake.shown("SKU-1") == 4
    assert isinstance(push(fake, told(1, 4))[0], Accepted)


def test_everything_that_has_stock_is_seen_once() -> None:
    seen = {one.sku: one for one in pulled(family())}
    shown = {sku: (one.shown[0].quantity, one.writable, one.active) for sku, one in seen.items()}
    assert shown == {
        "SKU-1": (10, True, True),
        "SKU-2": (None, True, True),
        "SKU-3": (None, False, True),
        "SKU-4": (6, True, False),
        "SKU-21": (3, True, True),
        "SKU-22": (None, True, True),
        "SKU-30": (8, True, True),
        "SKU-31": (None, False, True),
    }
    assert seen["SKU-21"].ids == {"product": "20", "variation": "21"}
    assert seen["SKU-21"].title == "Thing 20 Thing 21"
    assert seen["SKU-30"].ids == {"product": "30"}
    assert "parent" in seen["SKU-31"].why


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("count", [0, 99, 100, 250])
def test_pages_end_where_they_end(headers: bool, count: int) -> None:
    fake = Fake(headers=headers)
    for number in range(1, count + 1):
        fake.stock(number, 1)
    fake.stock(9000, None, kind="variable", manage=False)
    for number in range(9001, 9131):
        fake.stock(number, 2, parent=9000)
    seen = pulled(fake)
    assert len({one.sku for one in seen}) == len(seen) == count + 130


@pytest.mark.parametrize("gone", [1, 60, 99])
def test_a_product_that_is_deleted_between_two_pages_hides_no_other(gone: int) -> None:
    fake = Fake()
    for number in range(1, 251):
        fake.stock(number, 1)
    first = talk(woocommerce.pull(SETTINGS, None), woocommerce, SETTINGS, fake)
    for number in range(1, gone + 1):
        del fake.things[number]
    seen = [one.sku for one in first.seen]
    cursor = first.cursor
    while cursor is not None:
        page = talk(woocommerce.pull(SETTINGS, cursor), woocommerce, SETTINGS, fake)
        seen += [one.sku for one in page.seen]
        cursor = page.cursor
    assert sorted(map(str, seen)) == sorted(f"SKU-{number}" for number in range(1, 251))
    # A cursor of another form, as one of before, begins anew.
    again = talk(woocommerce.pull(SETTINGS, "2"), woocommerce, SETTINGS, fake)
    assert again.seen[0].sku == f"SKU-{gone + 1}"


def test_a_sweep_wakes_the_webhooks_that_lead_here() -> None:
    fake = family()
    fake.asleep = {7: "https://hub.example/hooks/1-3", 8: "https://elsewhere.example/orders"}
    talk(woocommerce.pull(SETTINGS, None), woocommerce, SETTINGS, fake)
    assert list(fake.asleep) == [8]


def test_a_key_that_may_not_see_webhooks_can_sweep() -> None:
    said = iter((answer({"code": "woocommerce_rest_cannot_view"}, 403), answer([])))
    assert run(woocommerce.pull(SETTINGS, None), said)[1].seen == ()


def test_check_counts_products_and_sleeping_webhooks_and_tries_to_write() -> None:
    fake = family()
    assert talk(woocommerce.check(SETTINGS), woocommerce, SETTINGS, fake) == (
        "6 products at https://shop.example"
    )
    fake.asleep = {7: "https://hub.example/hooks/1-3", 8: "https://elsewhere.example/orders"}
    assert talk(woocommerce.check(SETTINGS), woocommerce, SETTINGS, fake).endswith("2 webhooks are disabled")
    fake.read_only = True
    with pytest.raises(Failed) as failed:
        talk(woocommerce.check(SETTINGS), woocommerce, SETTINGS, fake)
    assert failed.value.login
    assert "write permissions" in failed.value.words


# --- orders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["pending"], (2, 0, 0, False)),
        (["processing"], (2, 0, 0, True)),
        (["on-hold"], (2, 0, 0, True)),
        (["processing", "completed"], (2, 0, 2, True)),
        (["processing", "cancelled"], (2, 2, 0, True)),
        (["processing", "refunded"], (2, 2, 0, True)),
        (["processing", "completed", "refunded"], (2, 0, 2, True)),
        (["processing", "completed", "trash"], (2, 0, 2, True)),
        (["processing", "trash"], (2, 2, 0, True)),
        (["pending", "failed"], (2, 0, 0, False)),
        (["processing", "packed-by-plugin"], (2, 0, 0, True)),
    ],
)
def test_what_a_status_says(statuses: list[str], expected: tuple[int, int, int, bool]) -> None:
    fake = family()
    first, *others = statuses
    name = fake.sell("SKU-1", 2, first)
    for status in others:
        fake.change(name, status)
    ((order,), _) = polled(fake, "2026-11-22T00:00:00Z")
    (line,) = order.lines
    assert (line.ordered, line.cancelled, line.shipped, order.holds) == expected
    assert (order.id, line.ids, line.sku) == (str(name), {"product": "1"}, "SKU-1")


def test_a_partial_refund_before_shipping_takes_units_off() -> None:
    fake = family()
    name = fake.sell("SKU-21", 3)
    fake.refund(name, 2)
    ((order,), _) = polled(fake, None)
    (line,) = order.lines
    assert (line.ordered, line.cancelled, line.shipped) == (3, 2, 0)
    assert line.ids == {"product": "20", "variation": "21"}
    fake.change(name, "completed")
    ((order,), _) = polled(fake, "2026-11-22T00:00:00Z")
    assert (order.lines[0].cancelled, order.lines[0].shipped, order.lines[0].returned) == (2, 1, 0)
    fake.refund(name, 1)
    ((order,), _) = polled(fake, "2026-11-22T00:00:00Z")
    assert (order.lines[0].cancelled, order.lines[0].shipped, order.lines[0].returned) == (2, 1, 1)


def test_the_first_look_leaves_the_past_and_goes_on_from_the_shop_s_clock() -> None:
    fake = family()
    old, waiting = fake.sell("SKU-1", 1), fake.sell("SKU-1", 1)
    fake.change(old, "completed")
    found, cursor = polled(fake, None)
    assert [order.id for order in found] == [str(waiting)]
    fake.clock.seconds += 600
    later = fake.sell("SKU-1", 1)
    found, cursor = polled(fake, cursor)
    assert str(later) in [order.id for order in found]
    fake.clock.seconds += 600
    fake.change(waiting, "trash")
    found, cursor = polled(fake, cursor)
    assert found[-1].id == str(waiting)
    assert found[-1].lines[0].cancelled == 1


@pytest.mark.parametrize("headers", [True, False])
def test_orders_page_by_page(headers: bool) -> None:
    fake = Fake(headers=headers)
    fake.stock(1, 1000)
    names = [str(fake.sell("SKU-1", 1)) for _ in range(230)]
    found, cursor = polled(fake, "2026-11-22T00:00:00Z")
    assert list(dict.fromkeys(order.id for order in found)) == names
    assert "|" not in cursor


CHANGES: dict[str, Callable[[Fake, int], None]] = {
    "trashed": lambda fake, order: fake.change(order, "trash"),
    "deleted": Fake.delete,
    "older ones changed": lambda fake, order: fake.change(max(500, order - 180), "on-hold"),
}


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("many", [1, 60, 99])
@pytest.mark.parametrize("change", list(CHANGES))
def test_what_changes_between_two_pages_hides_nothing(
    change: str, many: int, first: bool, headers: bool
) -> None:
    """The list moves up when an order leaves it, and down when an older one joins it."""
    fake = Fake(headers=headers)
    fake.stock(1, 1000)
    names = [fake.sell("SKU-1", 1) for _ in range(430)]
    since = None if first else fake.orders[180]["date_modified_gmt"] + "Z"
    start = 185 - 180 * first
    seen: set[str] = set()
    cursor, pages = since, 0
    while True:
        some = talk(woocommerce.orders(SETTINGS, cursor), woocommerce, SETTINGS, fake)
        pages += 1
        seen |= {order.id for order in some.orders}
        cursor = some.cursor
        if not some.more:
            break
        if pages == 1:
            for order in names[start : start + many]:
                CHANGES[change](fake, order)
    left = {str(order) for order in names[0 if first else 185 :]}
    assert left - {str(order) for order in names[start : start + many]} <= seen
    assert pages < 15
    # What changed behind our back is told by the next poll at the latest, unless it is nowhere any more.
    found, _ = polled(fake, cursor)
    moved = {str(row["id"]) for row in fake.orders if row["date_modified_gmt"] > "2026-11-22T00:07:12"}
    assert moved <= seen | {order.id for order in found}


def test_a_change_behind_our_back_in_a_poll_that_takes_long_is_told_by_the_next() -> None:
    fake = Fake()
    fake.stock(1, 1000)
    names = [fake.sell("SKU-1", 1) for _ in range(150)]
    page = talk(woocommerce.orders(SETTINGS, "2026-11-22T00:00:00Z"), woocommerce, SETTINGS, fake)
    fake.change(names[0], "cancelled")
    fake.clock.seconds += 600
    fake.change(names[149], "cancelled")
    _, cursor = polled(fake, page.cursor)
    found, _ = polled(fake, cursor)
    assert str(names[0]) in [order.id for order in found if order.lines[0].cancelled]


def test_a_shop_whose_own_clock_is_behind_its_web_server_s_tells_all_the_same() -> None:
    fake = Fake()
    fake.stock(1, 1000)
    fake.clock.seconds = 3_000
    _, cursor = polled(fake, None)
    new = fake.sell("SKU-1", 1)
    fake.orders[-1]["date_modified_gmt"] = "2026-11-22T00:05:00"
    found, _ = polled(fake, cursor)
    assert [order.id for order in found] == [str(new)]


@pytest.mark.parametrize(
    "told", ["2026-11-22T00:00:00Z|2026-11-22T00:01:00Z|0|3", "2026-11-22T00:00:00Z|x|y|9|0|0", "|b|0|2"]
)
def test_a_cursor_of_another_form_begins_its_poll_anew(told: str) -> None:
    fake = Fake()
    fake.stock(1, 1000)
    names = [str(fake.sell("SKU-1", 1)) for _ in range(120)]
    found, _ = polled(fake, told)
    assert {order.id for order in found} == set(names)


def test_orders_are_read_again_by_their_ids_and_only_those_denied_are_gone() -> None:
    fake = Fake()
    fake.stock(1, 1000)
    names = [fake.sell("SKU-1", 1) for _ in range(130)]
    fake.change(names[3], "trash")
    fake.delete(names[4])
    again = talk(
        woocommerce.reread(SETTINGS, [*map(str, names), "x/../1", "777777"]), woocommerce, SETTINGS, fake
    )
    assert again.gone == (str(names[4]), "777777")
    cancelled = {order.id: order.lines[0].cancelled for order in again.orders}
    assert cancelled == {str(name): int(name == names[3]) for name in names if name != names[4]}


@pytest.mark.parametrize(
    "said",
    [
        answer("<html>", 404),
        answer({"code": "rest_no_route"}, 404),
        answer({"code": "woocommerce_rest_cannot_view"}, 403),
        answer({"id": 8}),
        answer([]),
        answer("", 200),
    ],
)
def test_an_order_is_not_gone_because_something_else_fails(said: Response) -> None:
    with pytest.raises(Failed):
        run(woocommerce.reread(SETTINGS, ["7"]), [answer([]), said])


def test_a_refunded_order_that_vanishes_while_it_is_read_stops_no_other() -> None:
    rows = [{"id": n, "status": "processing", "line_items": [], "refunds": [{"id": 1}]} for n in (7, 8)]
    gone = answer({"code": "woocommerce_rest_shop_order_invalid_id"}, 404)
    _, found = run(woocommerce.orders(SETTINGS, None), [answer(rows), gone, answer([])])
    assert [order.id for order in found.orders] == ["7", "8"]


def test_products_that_a_webhook_named_are_looked_at_with_their_variations() -> None:
    fake = family()
    seen = talk(woocommerce.look(SETTINGS, ("1", "20/21", "20/22", "77")), woocommerce, SETTINGS, fake)
    assert [one.sku for one in seen] == ["SKU-1", "SKU-21", "SKU-22"]
    assert seen == [one for one in pulled(fake) if one.sku in ("SKU-1", "SKU-21", "SKU-22")]
