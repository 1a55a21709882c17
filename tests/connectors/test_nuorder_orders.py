"""NuORDER: orders as snapshots, followed from status to status."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.account import Account
from connectors.driver import SILENCE, answer, run, settings_of, talk
from fakes.nuorder import EXAMPLE, Fake
from onhand.connectors import nuorder
from onhand.connectors.flow import Failed, Order, Reread, Response
from onhand.connectors.nuorder_orders import made_at

SETTINGS = settings_of(nuorder, **EXAMPLE.settings)
ACCOUNT = Account(nuorder, SETTINGS, lambda fake: fake.nonces.clear())


def polled(fake: Fake, cursor: str | None = None) -> tuple[dict[str, Order], str]:
    found, cursor = ACCOUNT.polled(fake, cursor)
    return {order.id: order for order in found}, cursor


NONE = answer([])


def order(status: str, *sizes: tuple[str, int], **more: Any) -> dict[str, Any]:
    listed = [{"size": size, "quantity": count, "upc": f"UPC-{size}"} for size, count in sizes]
    line = {"id": "L1", "product": {"_id": "P1"}, "warehouse": "wh-1", "sizes": listed, **more}
    known = {"_id": "6" * 24, "order_number": "N1", "modified_on": "2026-11-21T10:00:00.000Z"}
    return known | {"status": status, "line_items": [line]}


def first(*rows: dict[str, Any]) -> Any:
    """The first look: all living states, of which the second has these orders."""
    return run(nuorder.orders(SETTINGS, None), [NONE, answer(list(rows)), NONE, NONE])


def test_the_first_look_asks_for_what_is_open() -> None:
    requests, found = first(order("approved", ("M", 3), ("L", 2)))
    assert [r.url for r in requests] == [
        f"/api/orders/{status}/detail" for status in ("pending", "approved", "edited", "processed")
    ]
    (only,) = found.orders
    assert (only.id, only.name, only.updated) == ("6" * 24, "N1", 1_795_255_200_000_000)
    assert [(line.id, line.ids, line.sku, line.ordered, line.location) for line in only.lines] == [
        ("L1:M", {"product": "P1", "size": "M"}, "UPC-M", 3, "wh-1"),
        ("L1:L", {"product": "P1", "size": "L"}, "UPC-L", 2, "wh-1"),
    ]


@pytest.mark.parametrize(
    ("status", "counts", "holds"),
    [
        ("pending", (3, 0, 0), False),
        ("approved", (3, 0, 0), True),
        ("processed", (3, 0, 0), True),
        ("shipped", (3, 0, 3), True),
        ("cancelled", (3, 3, 0), True),
        ("review", (3, 0, 0), False),
    ],
)
def test_a_status_is_a_count(status: str, counts: tuple[int, int, int], holds: bool) -> None:
    """An order that was open and is in no list any more is fetched by its id."""
    cursor = '{"first":1795000000,"since":1795000000,"open":["' + "6" * 24 + '"]}'
    fetched = answer(order(status, ("M", 3)))
    requests, found = run(nuorder.orders(SETTINGS, cursor), [NONE, NONE, NONE, NONE, NONE, NONE, fetched])
    assert requests[-1].url == f"/api/order/{'6' * 24}"
    (only,) = found.orders
    (line,) = only.lines
    assert (line.ordered, line.cancelled, line.shipped) == counts
    assert only.holds is holds


@pytest.mark.parametrize(("status", "lines"), [("approved", 0), ("shipped", 1)])
def test_prebook_lines_count_when_they_are_shipped(status: str, lines: int) -> None:
    cursor = '{"first":1,"since":1,"open":["' + "6" * 24 + '"]}'
    fetched = answer(order(status, ("M", 3), prebook=True))
    _, found = run(nuorder.orders(SETTINGS, cursor), [NONE, NONE, NONE, NONE, NONE, NONE, fetched])
    assert len(found.orders[0].lines) == lines


def test_a_warehouse_that_is_not_kept_is_not_named() -> None:
    _, found = first(order("approved", ("M", 1), warehouse="default"))
    assert found.orders[0].lines[0].location is None


def test_a_status_that_a_portal_does_not_know_is_empty_and_others_are_not() -> None:
    unknown = answer({"code": 400, "message": "status"}, 400)
    run(nuorder.orders(SETTINGS, None), [NONE, NONE, unknown, NONE])
    with pytest.raises(Failed):
        run(nuorder.orders(SETTINGS, None), [unknown])


@pytest.mark.parametrize("reply", [SILENCE, answer(b"", 429), answer("<html>"), answer({"orders": 3})])
def test_what_cannot_be_read_is_no_empty_list(reply: Response) -> None:
    with pytest.raises(Failed) as raised:
        run(nuorder.orders(SETTINGS, None), [reply])
    assert raised.value.retry


@pytest.mark.parametrize(
    ("name", "seconds"), [("6a01f200" + "0" * 16, 0x6A01F200), ("x" * 24, 0), ("6a01", 0)]
)
def test_ids_tell_when_they_were_made(name: str, seconds: int) -> None:
    assert made_at(name) == seconds


# --- against a portal that keeps state ------------------------------------------------------------------


def test_orders_are_followed_until_they_are_gone() -> None:
    fake = Fake()
    known = fake.add(1)
    old = fake.sell(known, 1, "shipped")
    kept, waiting = fake.sell(known, 2), fake.sell(known, 3, "pending")
    found, cursor = polled(fake)
    assert set(found) == {kept, waiting}, "what was shipped before we came is not ours to count"
    fake.move(kept, "shipped")
    fake.move(waiting, "approved")
    found, cursor = polled(fake, cursor)
    assert found[kept].lines[0].shipped == 2
    assert found[waiting].holds
    fake.move(waiting, "cancelled")
    quick = fake.sell(known, 5, "shipped")
    found, cursor = polled(fake, cursor)
    assert found[waiting].lines[0].cancelled == 3
    assert found[quick].lines[0].shipped == 5, "it came and went between two polls"
    assert old not in found
    assert set(polled(fake, cursor)[0]) <= {quick, waiting, kept}


def test_an_order_sent_back_to_a_draft_is_let_go_and_taken_again() -> None:
    fake = Fake()
    name = fake.sell(fake.add(1), 2)
    _, cursor = polled(fake)
    fake.move(name, "draft")
    found, cursor = polled(fake, cursor)
    assert not found[name].holds
    fake.move(name, "approved")
    found, cursor = polled(fake, cursor)
    assert found[name].holds
    del fake.orders[name]
    assert polled(fake, cursor)[0] == {}


def reread(fake: Fake, *names: str) -> Reread:
    fake.nonces.clear()
    found: Reread = talk(nuorder.reread(SETTINGS, names), nuorder, SETTINGS, fake)
    return found


def test_an_order_that_was_deleted_is_gone_and_others_are_not() -> None:
    fake = Fake()
    size = fake.add(1)
    deleted, open_one, archived = (fake.sell(size, 1) for _ in range(3))
    del fake.orders[deleted]
    fake.move(archived, "archived")
    found = reread(fake, deleted, open_one, archived)
    assert (found.gone, [one.id for one in found.orders]) == ((deleted,), [archived])
    assert reread(fake, deleted, open_one).gone == (deleted,)


def test_a_portal_that_shows_no_order_by_its_id_denies_none() -> None:
    fake = Fake()
    deleted, other = (fake.sell(fake.add(number), 1) for number in (1, 2))
    del fake.orders[deleted]
    lists = [answer([other]), *[NONE] * 5, answer(b"", 404), NONE]
    denied = answer({"code": 404, "message": "not found"}, 404)
    shown = answer(order("approved", ("M", 3)))
    assert run(nuorder.reread(SETTINGS, (deleted,)), [*lists, denied, denied])[1] == Reread()
    assert run(nuorder.reread(SETTINGS, (deleted,)), [*lists, denied, shown])[1].gone == (deleted,)
    nothing = [NONE] * 8
    assert run(nuorder.reread(SETTINGS, (deleted,)), [*nothing, denied])[1] == Reread()
    with pytest.raises(Failed):
        run(nuorder.reread(SETTINGS, (deleted,)), [*lists, answer("<html>", 404)])


def test_very_many_that_left_at_once_are_fetched_in_turns() -> None:
    fake = Fake()
    known = fake.add(1)
    names = [fake.sell(known, 1) for _ in range(120)]
    _, cursor = polled(fake)
    for name in names:
        fake.move(name, "shipped")
    found, _ = polled(fake, cursor)
    assert {name for name, order in found.items() if order.lines[0].shipped} == set(names)


@pytest.mark.parametrize("status", ["shipped", "draft"])
def test_a_poll_that_finds_very_many_comes_to_its_end(status: str) -> None:
    """What came and went within a day is in the lists of every page, and a draft is fetched by every poll."""
    fake = Fake()
    known = fake.add(1)
    _, cursor = polled(fake)
    names = [fake.sell(known, 1) for _ in range(120)]
    if status == "draft":
        _, cursor = polled(fake, cursor)
    for name in names:
        fake.move(name, status)
    for _ in range(2):
        found: list[str] = []
        for _ in range(3):
            fake.nonces.clear()
            page = talk(nuorder.orders(SETTINGS, cursor), nuorder, SETTINGS, fake)
            found += [order.id for order in page.orders]
            cursor = page.cursor
        assert (sorted(found), page.more) == (sorted(names), False)
