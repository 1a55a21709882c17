"""Shopify against a fake shop: pushing, looking, orders, faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.account import Account
from connectors.account import stocked as filled
from connectors.driver import answer, run, settings_of, talk, target, wire
from fakes.common import micros
from fakes.shopify import EXAMPLE, Fake, item_id, place_id
from onhand.connectors import shopify
from onhand.connectors.flow import Accepted, Failed, Later, Orders, Place, Stale, Target, Unsure

SETTINGS = settings_of(shopify, **EXAMPLE.settings)
ACCOUNT = Account(shopify, SETTINGS)
push, pulled, polled = ACCOUNT.push, ACCOUNT.pulled, ACCOUNT.polled


def stocked(count: int = 3) -> Fake:
    return filled(Fake(), count)


def told(number: int, offer: int, place: int = 1, **slot: Any) -> Target:
    return target(number, offer, {"inventory_item": item_id(number)}, place_id(place), **slot)


def test_a_push_shows() -> None:
    fake = stocked()
    verdicts = push(fake, told(1, 4, observed=10), told(2, 0), told(3, 7, place=2))
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)
    assert [fake.shown("SKU-1"), fake.shown("SKU-2"), fake.shown("SKU-3", 2)] == [4, 0, 7]


def test_a_sale_in_between_is_not_run_over() -> None:
    fake = stocked()
    fake.sell("SKU-1", 1)
    (verdict,) = push(fake, told(1, 10, observed=10))
    assert verdict == Stale(verdict.target, {place_id(1): 9}, verdict.words)
    assert fake.shown("SKU-1") == 9
    assert isinstance(push(fake, told(1, 8, observed=9))[0], Accepted)
    assert fake.shown("SKU-1") == 8


def test_silence_after_applying_is_said_again_without_harm() -> None:
    fake = stocked()
    fake.faults.lose = 1
    assert isinstance(push(fake, told(1, 4, observed=10))[0], Unsure)
    assert isinstance(push(fake, told(1, 4, observed=10))[0], Accepted)
    assert len(fake.done) == 1


def test_what_somebody_changes_back_is_healed_every_time() -> None:
    fake = stocked()
    assert isinstance(push(fake, told(1, 4, observed=10))[0], Accepted)
    for _ in range(3):
        fake.edit("SKU-1", 10)
        (shown,) = [seen.shown[0] for seen in pulled(fake) if seen.sku == "SKU-1"]
        healing = told(1, 4, observed=shown.quantity, acknowledged=4, token=shown.token)
        assert isinstance(push(fake, healing)[0], Accepted)
        assert fake.shown("SKU-1") == 4


def test_faults_are_nobody_s_fault() -> None:
    fake = stocked()
    fake.faults.throttle = fake.faults.fail = 1
    assert push(fake, told(1, 4))[0] == Later(told(1, 4), "THROTTLED Throttled", 2.0)
    assert isinstance(push(fake, told(1, 4))[0], Later)
    assert isinstance(push(fake, told(1, 4))[0], Accepted)


def test_all_items_are_seen_page_by_page() -> None:
    fake = stocked(45)
    fake.stock(1, 3, place=2)
    fake.stock(46, 5, tracked=False)
    fake.stock(47, 5, status="DRAFT")
    fake.items[item_id(48)] = fake.items.pop(item_id(45))
    fake.services = {place_id(9)}
    fake.stock(49, 5, place=9)
    seen = pulled(fake)
    assert len(seen) == len(fake.items)
    by_sku = {one.sku: one for one in seen}
    first = by_sku["SKU-1"]
    assert first.ids == {"inventory_item": item_id(1), "variant": "gid://shopify/ProductVariant/1"}
    assert [(shown.location, shown.quantity) for shown in first.shown] == [
        (place_id(1), 10),
        (place_id(2), 3),
    ]
    assert first.shown[0].token == "2026-11-21T00:00:00Z"
    assert by_sku["SKU-46"].shown[0].quantity is None
    assert by_sku["SKU-46"].ids["tracked"] == "false"
    assert not by_sku["SKU-47"].active
    assert (by_sku["SKU-49"].writable, first.writable) == (False, True)
    assert by_sku["SKU-49"].why


def test_a_page_that_is_too_dear_is_halved_and_stays_so() -> None:
    fake = stocked(12)
    fake.dearest_page = 6
    page = talk(shopify.pull(SETTINGS, None), shopify, SETTINGS, fake)
    assert (len(page.seen), page.cursor) == (5, "5|5")
    before = len(fake.requests)
    talk(shopify.pull(SETTINGS, page.cursor), shopify, SETTINGS, fake)
    assert len(fake.requests) == before + 1
    fake.dearest_page = 0
    with pytest.raises(Failed) as failed:
        talk(shopify.pull(SETTINGS, None), shopify, SETTINGS, fake)
    assert "MAX_COST_EXCEEDED" in failed.value.words


def test_items_that_a_webhook_named_are_looked_at_and_nothing_else() -> None:
    fake = stocked(45)
    names = [item_id(number) for number in (*range(1, 25), 77)]
    seen = talk(shopify.look(SETTINGS, names), shopify, SETTINGS, fake)
    assert [one.ids["inventory_item"] for one in seen] == names[:-1], "one is gone"
    assert seen[0] == talk(shopify.pull(SETTINGS, None), shopify, SETTINGS, fake).seen[0]
    assert len(fake.requests) == 3


def test_an_item_at_many_locations_is_read_to_the_end() -> None:
    fake = Fake()
    for place in range(1, 75):
        fake.stock(1, place, place=place)
    (seen,) = pulled(fake)
    assert [shown.quantity for shown in seen.shown] == list(range(1, 75))


def test_places() -> None:
    fake = stocked()
    fake.stock(1, 3, place=2)
    fake.services = {place_id(2)}
    assert talk(shopify.places(SETTINGS), shopify, SETTINGS, fake) == [
        Place(place_id(1), "Shop 1", ours=True, default=True),
        Place(place_id(2), "Shop 2", ours=False, default=False),
    ]


def test_check_names_the_shop_and_what_is_missing() -> None:
    assert talk(shopify.check(SETTINGS), shopify, SETTINGS, Fake()) == "Acme (acme.myshopify.com)"
    fake = Fake()
    fake._check = lambda *_: {"currentAppInstallation": {"accessScopes": []}}  # type: ignore[method-assign]
    with pytest.raises(Failed) as failed:
        talk(shopify.check(SETTINGS), shopify, SETTINGS, fake)
    assert "write_inventory" in failed.value.words
    assert failed.value.login


def test_a_token_that_expires_is_replaced() -> None:
    fake = stocked()
    fake.tokens.clear()
    with pytest.raises(Failed) as failed:
        talk(shopify.pull(SETTINGS, None), shopify, SETTINGS, fake)
    assert failed.value.login
    fresh = talk(shopify.tokens(SETTINGS), shopify, SETTINGS, fake)
    renewed = settings_of(shopify, **{**EXAMPLE.settings, "access_token": fresh["access_token"]})
    assert talk(shopify.pull(renewed, None), shopify, renewed, fake).seen


# --- orders ---------------------------------------------------------------------------------------------


def test_an_order_from_its_placing_to_its_return() -> None:
    fake = stocked()
    _, cursor = polled(fake, None)
    name = fake.sell("SKU-1", 3)
    ((order,), cursor) = polled(fake, cursor)
    (line,) = order.lines
    assert (order.id, order.name, order.holds, order.test) == (name, "#1001", True, False)
    assert order.updated == micros(fake.clock.tick()) // 1_000_000 * 1_000_000 - 2_000_000
    assert (line.ids["inventory_item"], line.sku, line.ordered) == (item_id(1), "SKU-1", 3)
    counts: list[tuple[int, int, int, int]] = []
    steps: tuple[Callable[[], None], ...] = (
        lambda: fake.ship(name, 2),
        lambda: fake.refund(name, 1, "RETURN"),
        lambda: fake.refund(name, 1, "NO_RESTOCK"),
        lambda: fake.cancel(name),
    )
    for step in steps:
        step()
        ((order,), cursor) = polled(fake, cursor)
        (line,) = order.lines
        counts.append((line.ordered, line.cancelled, line.shipped, line.returned))
    assert counts == [(3, 0, 2, 0), (3, 0, 2, 1), (3, 0, 2, 1), (3, 1, 2, 1)]


def test_the_first_look_takes_open_orders_and_leaves_the_past() -> None:
    fake = stocked()
    gone, shipped, half = fake.sell("SKU-1", 1), fake.sell("SKU-1", 1), fake.sell("SKU-2", 2)
    fake.cancel(gone)
    fake.ship(shipped, 1)
    fake.ship(half, 1)
    found, cursor = polled(fake, None)
    assert [order.id for order in found] == [half]
    assert cursor > "2026-11-22T00:00:00Z"
    assert "|" not in cursor


def test_orders_come_oldest_first_in_pages_and_overlap() -> None:
    fake = stocked()
    names = [fake.sell("SKU-1", 1) for _ in range(45)]
    found, cursor = polled(fake, "2026-11-22T00:00:00Z")
    assert [order.id for order in found] == names
    fake.clock.seconds += 600
    last = fake.sell("SKU-2", 1)
    found, cursor = polled(fake, cursor)
    assert found[-1].id == last
    assert [order.id for order in polled(fake, cursor)[0]] == [last]


def page(fake: Fake, cursor: str | None) -> Orders:
    return talk(shopify.orders(SETTINGS, cursor), shopify, SETTINGS, fake)


@pytest.mark.parametrize("opening", [True, False])
def test_a_page_that_the_shop_has_forgotten_is_asked_for_no_more(opening: bool) -> None:
    """A fresh one that is refused was never good. After a while the poll goes on without it, and what
    changed since it first looked is not lost to it."""
    fake = stocked()
    names = [fake.sell("SKU-1", 1) for _ in range(45)]
    first = page(fake, None if opening else "2026-11-22T00:00:00Z")
    fake.era += 1
    with pytest.raises(Failed, match="Invalid cursor"):
        page(fake, first.cursor)
    fake.clock.seconds += 3_600
    fake.ship(names[0], 1)
    again = page(fake, first.cursor)
    assert (again.orders, again.more) == ((), True)
    rest, cursor = polled(fake, again.cursor)
    assert {order.id for order in (*first.orders, *rest)} == set(names)
    last = {order.id: order.lines[0].shipped for order in (*rest, *polled(fake, cursor)[0])}
    assert last[names[0]] == 1


def test_a_poll_whose_every_page_is_forgotten_comes_to_its_end() -> None:
    fake = stocked()
    names = []
    for _ in range(45):
        fake.clock.seconds += 300
        names.append(fake.sell("SKU-1", 1))
    found: set[str] = set()
    cursor = "2026-11-22T00:00:00Z"
    for _ in range(10):
        some = page(fake, cursor)
        found |= {order.id for order in some.orders}
        cursor, fake.era = some.cursor, fake.era + 1
        fake.clock.seconds += 3_600
    assert (found, some.more) == (set(names), False)


def test_an_empty_page_leads_on_and_one_that_names_itself_is_the_last() -> None:
    ends = {"hasNextPage": True, "endCursor": "c1"}
    empty = answer(
        {"data": {"orders": {"nodes": [], "pageInfo": ends}}}, date="Sun, 22 Nov 2026 00:00:30 GMT"
    )
    first = run(shopify.orders(SETTINGS, "2026-11-22T00:00:00Z"), [empty])[1]
    assert first.more
    requests, second = run(shopify.orders(SETTINGS, first.cursor), [empty])
    assert requests[0].json["variables"]["after"] == "c1"
    assert (second.cursor, second.more) == ("2026-11-22T00:00:00Z", False)


def test_what_the_index_shows_late_on_a_long_way_comes_with_the_next_poll() -> None:
    """Many orders change after the poll began, and one of them is shown when the poll is long past it."""
    fake = stocked()
    names = [fake.sell("SKU-1", 1) for _ in range(30)]
    first = page(fake, "2026-11-22T00:00:00Z")
    late = fake.sell("SKU-1", 1)
    hidden = fake.orders.pop(late)
    fake.clock.seconds += 1_800
    names += [fake.sell("SKU-1", 1) for _ in range(30)]
    rest, cursor = polled(fake, first.cursor)
    assert {order.id for order in (*first.orders, *rest)} == set(names)
    fake.orders[late] = hidden
    assert late in {order.id for order in polled(fake, cursor)[0]}


def test_a_long_order_is_read_to_its_last_line() -> None:
    fake = stocked()
    name = fake.sell("SKU-1", 1)
    line = fake.orders[name]["lines"][0]
    fake.orders[name]["lines"] = [{**line, "id": f"line-{n}"} for n in range(150)]
    ((order,), _) = polled(fake, None)
    assert [line.id for line in order.lines] == [f"line-{n}" for n in range(150)]


def test_a_long_history_is_read_to_its_end() -> None:
    fake = stocked()
    name = fake.sell("SKU-1", 40)
    for _ in range(32):
        fake.ship(name, 1)
    fake.refund(name, 3)
    ((order,), _) = polled(fake, "2026-11-22T00:00:00Z")
    (line,) = order.lines
    assert (line.ordered, line.cancelled, line.shipped, line.returned) == (40, 0, 32, 3)


def test_a_history_that_is_too_dear_lets_nothing_go() -> None:
    """What may have left the house is not offered once more."""
    fake = stocked()
    fake.dearest_page = 5
    name = fake.sell("SKU-1", 12)
    for _ in range(12):
        fake.ship(name, 1)
    fake.refund(name, 2)
    ((order,), _) = polled(fake, "2026-11-22T00:00:00Z")
    (line,) = order.lines
    assert (line.ordered, line.cancelled, line.shipped) == (12, 0, 5)


def test_a_shipment_of_many_lines_is_read_to_its_last() -> None:
    """One refunded line has the history asked, in which the others must not be lost."""
    fake = stocked()
    name = fake.sell("SKU-1", 1)
    row = fake.orders[name]["lines"][0]
    lines = [{**row, "id": f"line-{n}", "unfulfilledQuantity": 0} for n in range(45)]
    fake.orders[name]["lines"] = lines
    sent = [{"quantity": 1, "lineItem": {"id": line["id"]}} for line in lines]
    fake.shipments[name] = [
        {"id": "gid://shopify/Fulfillment/1", "status": "SUCCESS", "fulfillmentLineItems": sent}
    ]
    back = [{"quantity": 1, "restockType": "RETURN", "lineItem": {"id": f"line-{n}"}} for n in range(15, 45)]
    fake.refunds[name] = [{"id": "gid://shopify/Refund/1", "refundLineItems": back}]
    for line in lines[15:]:
        line["currentQuantity"] = 0
    ((order,), _) = polled(fake, "2026-11-22T00:00:00Z")
    counts = [(line.cancelled, line.shipped, line.returned) for line in order.lines]
    assert counts == [(0, 1, 0)] * 15 + [(0, 1, 1)] * 30


@pytest.mark.parametrize("dearest", [1000, 4])
def test_orders_are_read_again_by_their_ids(dearest: int) -> None:
    fake = stocked()
    fake.dearest_page = dearest
    names = [fake.sell("SKU-1", 1) for _ in range(45)]
    fake.ship(names[3], 1)
    del fake.orders[names[7]]
    fake.hidden.add(names[8])
    again = talk(shopify.reread(SETTINGS, names), shopify, SETTINGS, fake)
    assert again.gone == (), "an order may be hidden for its age"
    assert {order.id: order.lines[0].shipped for order in again.orders} == {
        name: int(name == names[3]) for name in names if name not in (names[7], names[8])
    }
    fake.scopes += ("read_all_orders",)
    fake.hidden.clear()
    again = talk(shopify.reread(SETTINGS, names), shopify, SETTINGS, fake)
    assert again.gone == (names[7],)
    assert len(again.orders) == 44


@pytest.mark.parametrize("listed", [None, [], [None, None], "x"])
def test_an_answer_about_other_orders_is_not_believed(listed: Any) -> None:
    scopes = {"accessScopes": [{"handle": "read_all_orders"}]}
    with pytest.raises(Failed):
        run(
            shopify.reread(SETTINGS, ["gid://shopify/Order/1"]),
            [answer({"data": {"nodes": listed, "currentAppInstallation": scopes}})],
        )


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [({"test": True}, "test", True), ({"confirmed": False}, "holds", False)],
)
def test_orders_that_do_not_count(change: dict[str, Any], field: str, value: bool) -> None:
    fake = stocked()
    fake.orders[fake.sell("SKU-1", 1)] |= change
    ((order,), _) = polled(fake, None)
    assert getattr(order, field) is value


def test_a_line_of_no_known_item_is_told_as_it_is() -> None:
    fake = stocked()
    name = fake.sell("SKU-1", 1)
    fake.orders[name]["lines"][0] |= {"variant": None, "sku": None}
    ((order,), _) = polled(fake, None)
    assert (order.lines[0].ids, order.lines[0].sku) == ({}, None)


def test_what_the_shop_refuses_the_fake_refuses() -> None:
    fake = stocked()
    requests, _ = run(
        shopify.push(SETTINGS, [told(1, 1)]), lambda asked: fake(wire(shopify, SETTINGS, asked))
    )
    out = wire(shopify, SETTINGS, requests[0])
    keyless = fake(
        type(out)(out.method, out.url, (), out.headers, out.body.replace(b"@idempotent", b"@skip"))
    )
    assert b"@idempotent" in keyless.body
    bare = fake(type(out)(out.method, out.url, (), {}, out.body))
    assert bare.status == 401
