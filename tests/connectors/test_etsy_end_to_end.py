"""Etsy against a fake shop: pushing, zero and back, looking, receipts, tokens, faults."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.account import Account
from connectors.driver import answer, run, settings_of, talk, target
from fakes.common import Faults
from fakes.etsy import EXAMPLE, Fake
from onhand.connectors import etsy
from onhand.connectors.channel import (
    Secret,
)
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Rejected,
    Reread,
    Seen,
    Target,
    Unsure,
)
from onhand.connectors.kind import external_id

SETTINGS = settings_of(etsy, **EXAMPLE.settings)
ACCOUNT = Account(etsy, SETTINGS)
push, pulled, polled = ACCOUNT.push, ACCOUNT.pulled, ACCOUNT.polled


def wanted(seen: Seen, offer: int, **notes: str) -> Target:
    """What a hub that looked would push."""
    plain = target(1, offer, dict(seen.ids))
    return Target(1, plain.ids, plain.slots, plain.key, sku=seen.sku, notes=notes)


def remembered(target: Target, verdict: Any, offer: int) -> Target:
    """The same target later, with what the verdict asked to remember."""
    assert isinstance(verdict, Accepted)
    notes = {name: value for name, value in {**target.notes, **verdict.notes}.items() if value}
    again = wanted(Seen({**target.ids, **verdict.ids}, target.sku, ()), offer)
    return msgspec.structs.replace(again, notes=notes)


def test_a_push_changes_its_variation_and_nothing_else() -> None:
    fake = Fake()
    fake.stock(1, 5, 6, 7)
    seen = pulled(fake)
    verdicts = push(fake, wanted(seen[1], 2))
    assert [fake.shown(f"SKU-1-{n}") for n in range(3)] == [5, 2, 7]
    row = fake.listings[1].products[0]
    assert row["offerings"][0]["price"]["amount"] == 1850
    assert row["offerings"][0]["readiness_state_id"] == 123456
    assert verdicts[0].ids == {"product_id": str(fake.listings[1].products[1]["product_id"])}
    # The siblings' ids changed too, and they are found by their SKU.
    push(fake, wanted(seen[2], 3))
    assert fake.shown("SKU-1-2") == 3


def test_to_zero_and_back() -> None:
    fake = Fake()
    fake.stock(1, 5, 6)
    first = [wanted(each, 0) for each in pulled(fake)]
    verdicts = push(fake, *first)
    assert fake.listings[1].state == "inactive"
    assert [fake.shown("SKU-1-0"), fake.shown("SKU-1-1")] == [0, 0]
    second = [remembered(t, v, n) for t, v, n in zip(first, verdicts, (4, 0), strict=True)]
    verdicts = push(fake, *second)
    assert fake.listings[1].state == "active"
    assert [fake.shown("SKU-1-0"), fake.shown("SKU-1-1")] == [4, 0]
    third = [remembered(t, v, 0) for t, v in zip(second, verdicts, strict=True)]
    assert all(not target.notes for target in third)


def test_a_seller_s_own_inactive_listing_stays_off() -> None:
    fake = Fake()
    fake.stock(1, 5).state = "inactive"
    push(fake, wanted(pulled(fake)[0], 9))
    assert fake.listings[1].state == "inactive"
    assert fake.listings[1].products[0]["offerings"][0]["quantity"] == 9


def test_the_last_sale_ends_a_listing_and_only_leave_renews_it() -> None:
    fake = Fake()
    fake.stock(1, 2)
    fake.sell("SKU-1", 2)
    (seen,) = pulled(fake)
    assert not seen.active
    assert [type(verdict) for verdict in push(fake, wanted(seen, 7))] == [Rejected]
    assert fake.listings[1].renewals == 0
    renews = settings_of(etsy, **EXAMPLE.settings, renew_sold_out=True)
    push(fake, wanted(seen, 7), settings=renews)
    assert (fake.listings[1].renewals, fake.shown("SKU-1")) == (1, 7)


def test_one_sku_over_shared_variations_is_one_listing() -> None:
    fake = Fake()
    fake.stock(1, 5, 5, shared=True, one_sku=True)
    (seen,) = pulled(fake)
    push(fake, wanted(seen, 3))
    assert [row["offerings"][0]["quantity"] for row in fake.listings[1].products] == [3, 3]


@pytest.mark.parametrize("plain", [False, True])
def test_pages_of_listings_in_all_states(plain: bool) -> None:
    fake = Fake(plain_inventory=plain)
    for number in range(1, 131):
        fake.stock(number, number)
    for number, state in ((3, "inactive"), (4, "sold_out"), (5, "expired"), (6, "draft")):
        fake.listings[number].state = state
    fake.edit("SKU-9", 77)
    seen = {each.sku: each for each in pulled(fake)}
    assert len(seen) == 129
    assert not any(seen[f"SKU-{n}"].active for n in (3, 4, 5))
    assert seen["SKU-9"].shown[0].quantity == 77


@pytest.mark.parametrize("gone", [0, 1, 20])
def test_listings_that_sell_out_between_two_pages_hide_no_other(gone: int) -> None:
    fake = Fake()
    for number in range(1, 251):
        fake.stock(number, number)
    first = talk(etsy.pull(SETTINGS, None), etsy, SETTINGS, fake)
    for number in range(1, gone + 1):
        fake.listings[number].state = "sold_out"
    seen, cursor = [*first.seen], first.cursor
    while cursor is not None:
        page = talk(etsy.pull(SETTINGS, cursor), etsy, SETTINGS, fake)
        seen += page.seen
        cursor = page.cursor
    assert {each.sku for each in seen} == {f"SKU-{number}" for number in range(1, 251)}
    assert len(seen) == 250 + gone, "those that sold out are seen as such, too"


def test_the_state_is_found_without_the_association() -> None:
    fake = Fake(plain_inventory=True)
    fake.stock(1, 5)
    push(fake, wanted(Seen(EXAMPLE.ids(1), "SKU-1", ()), 0))
    assert fake.listings[1].state == "inactive"


def test_a_sale_is_a_receipt() -> None:
    fake = Fake()
    fake.stock(1, 5)
    name = fake.sell("SKU-1", 2)
    assert fake.shown("SKU-1") == 3
    (order,), cursor = polled(fake, None)
    assert (order.id, order.lines[0].ordered, order.lines[0].ids) == (name, 2, EXAMPLE.ids(1))
    fake.touch(name, is_shipped=True, status="Completed")
    (order,), cursor = polled(fake, cursor)
    assert order.lines[0].shipped == 2
    assert cursor == "2026-11-22T00:00:02Z"


def test_a_variation_is_known_by_one_name_before_and_after_a_write() -> None:
    fake = Fake()
    fake.stock(1, 5, 6)
    before = {external_id(etsy.CHANNEL, each.ids): each.sku for each in pulled(fake)}
    assert before == {"1/200=1": "SKU-1-0", "1/200=2": "SKU-1-1"}
    nameless = [msgspec.structs.replace(wanted(each, 3), sku=None) for each in pulled(fake)]
    push(fake, nameless[0])
    assert {external_id(etsy.CHANNEL, each.ids): each.sku for each in pulled(fake)} == before
    # The product's id is another now, and it has no SKU here: the variation finds it.
    assert isinstance(push(fake, nameless[1])[0], Accepted)
    assert fake.shown("SKU-1-1") == 3
    fake.sell("SKU-1-1", 1)
    (order,), _ = polled(fake, None)
    assert before[external_id(etsy.CHANNEL, order.lines[0].ids)] == "SKU-1-1"


def test_no_receipt_is_lost_when_one_changes_between_pages() -> None:
    fake = Fake()
    fake.stock(1, 900)
    names = [fake.sell("SKU-1", 1) for _ in range(250)]
    first = talk(etsy.orders(SETTINGS, "2026-11-22T00:00:00Z"), etsy, SETTINGS, fake)
    fake.touch(names[0])
    rest, _ = polled(fake, first.cursor)
    assert {order.id for order in (*first.orders, *rest)} == set(names)


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_page_that_ends_within_a_second_loses_no_receipt(exclusive: bool) -> None:
    fake = Fake(exclusive=exclusive)
    fake.stock(1, 900)
    names = [fake.sell("SKU-1", 1) for _ in range(150)]
    for row in fake.receipts[95:106]:
        row["updated_timestamp"] = fake.receipts[100]["updated_timestamp"]
    found, _ = polled(fake, "2026-11-22T00:00:00Z")
    assert {order.id for order in found} == set(names)


@pytest.mark.parametrize("many", [1, 30])
def test_a_receipt_that_is_cancelled_leaves_the_list_and_is_found_by_its_id(many: int) -> None:
    fake = Fake()
    fake.stock(1, 900)
    names = [fake.sell("SKU-1", 2) for _ in range(many)]
    _, cursor = polled(fake, None)
    fake.cancel(names[0])
    assert names[0] not in {order.id for order in polled(fake, cursor)[0]}
    again = talk(etsy.reread(SETTINGS, names), etsy, SETTINGS, fake)
    assert [(order.id, order.lines[0].cancelled) for order in again.orders] == [(names[0], 2)]
    assert again.gone == ()


def test_only_the_shop_s_own_word_says_that_a_receipt_is_gone() -> None:
    fake = Fake()
    fake.stock(1, 9)
    name = fake.sell("SKU-1", 2)
    again = talk(etsy.reread(SETTINGS, [name, "77", "x", name]), etsy, SETTINGS, fake)
    assert ([order.id for order in again.orders], again.gone) == ([name], ("77",))
    for words in ({"error": "Resource not found"}, "<html>no receipt</html>", {"error": None}):
        with pytest.raises(Failed):
            run(etsy.reread(SETTINGS, ["77"]), [answer(words, 404)])
    other = {"receipt_id": 78, "updated_timestamp": 5, "transactions": []}
    assert run(etsy.reread(SETTINGS, ["77"]), [answer(other)])[1] == Reread()


def test_the_newest_cancelled_receipts_are_looked_through_so_far_and_no_further() -> None:
    names = [str(number) for number in range(1, 20)]
    row = {"updated_timestamp": 5, "status": "canceled", "transactions": []}
    full = answer({"results": [{**row, "receipt_id": number} for number in range(1000, 1100)]})
    requests, again = run(etsy.reread(SETTINGS, names), [full] * 5)
    assert again == Reread()
    assert [dict(request.query)["offset"] for request in requests] == ["0", "100", "200", "300", "400"]
    assert all(dict(request.query)["was_canceled"] == "true" for request in requests)
    with pytest.raises(Failed):
        run(etsy.reread(SETTINGS, names), [answer({"error": "no"}, 400)])


def test_a_pair_works_once() -> None:
    fake = Fake(access="12.other")
    with pytest.raises(Failed) as failed:
        talk(etsy.check(SETTINGS), etsy, SETTINGS, fake)
    assert failed.value.login
    fresh = talk(etsy.tokens(SETTINGS), etsy, SETTINGS, fake)
    pair = {name: Secret(fresh[name]) for name in ("access_token", "refresh_token")}
    renewed = msgspec.structs.replace(SETTINGS, **pair)
    assert talk(etsy.check(renewed), etsy, renewed, fake) == "shop 501 of user 12"
    with pytest.raises(Failed):
        talk(etsy.tokens(SETTINGS), etsy, SETTINGS, fake)


def test_a_token_of_another_shop_is_refused() -> None:
    other = settings_of(etsy, **{**EXAMPLE.settings, "shop_id": "502"})
    with pytest.raises(Failed) as failed:
        talk(etsy.check(other), etsy, other, Fake())
    assert failed.value.login


@pytest.mark.parametrize(
    ("faults", "kind"),
    [(Faults(throttle=1), Later), (Faults(fail=1), Later), (Faults(lose=1), Unsure)],
)
def test_faults(faults: Faults, kind: type) -> None:
    fake = Fake(faults=faults)
    fake.stock(1, 5)
    want = wanted(Seen(EXAMPLE.ids(1), "SKU-1", ()), 4)
    assert [type(verdict) for verdict in push(fake, want)] == [kind]
    assert [type(verdict) for verdict in push(fake, want)] == [Accepted]
    assert fake.shown("SKU-1") == 4
