"""NuORDER: what is said to it word for word, what its answers mean, and a portal that keeps state."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.driver import NOW, SILENCE, answer, run, settings_of, talk, target, wire
from fakes.nuorder import EXAMPLE, Fake, ids
from onhand.connectors import nuorder
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Future,
    Later,
    Rejected,
    Request,
    Response,
    Seen,
    Slot,
    Target,
    Unsure,
    Verdict,
    Whole,
)
from onhand.connectors.nuorder_rows import day_of

SETTINGS = settings_of(nuorder, **EXAMPLE.settings, seasons=["spring"])
DATE = "Sun, 22 Nov 2026 00:00:10 GMT"
AIM = target(1, 42, ids(1), "wh-1")
SKU, PRODUCT = ids(1)["sku"], ids(1)["product"]
ROWS = f"/api/v3.0/warehouse/wh-1/sku/{SKU}/replenishments"


def row(quantity: int | None, name: str = "immediate", start: Any = "11/22/2026", **more: Any) -> Any:
    known = {"warehouse_id": "wh-1", "sku_id": SKU, "display_name": name, "prebook": False}
    return known | {
        "period_start": start,
        "period_end": None,
        "quantity": quantity,
        "active": True,
        **more,
    }


def looked(*rows: Any) -> Response:
    return answer(list(rows), date=DATE)


def push(*targets: Target, answers: list[Response]) -> tuple[list[Request], list[Verdict]]:
    return run(nuorder.push(SETTINGS, targets), answers)


def test_rows_are_looked_at_told_and_then_shown() -> None:
    requests, verdicts = push(AIM, answers=[looked(), answer([row(42)]), answer({"success": True})])
    assert [(r.method, r.url) for r in requests] == [
        ("GET", ROWS),
        ("PUT", "/api/v3.0/warehouse/wh-1/replenishments"),
        ("PUT", "/api/inventory/flags"),
    ]
    assert requests[1].json == {"replenishments": [row(42)]}
    assert requests[2].json == {"product_ids": [PRODUCT]}
    assert verdicts == [Accepted(AIM)]


def test_a_row_that_has_begun_keeps_its_day_so_that_it_is_replaced() -> None:
    """Otherwise there would be one more each day, and the numbers would add up."""
    old = row(9, start=1_793_664_000_000, id="r-1")
    new = row(42, start=1_793_664_000_000, id="r-1")
    requests, _ = push(AIM, answers=[looked(old), answer([new]), answer(b"")])
    assert requests[1].json == {"replenishments": [row(42, start="11/03/2026")]}


def test_rows_that_should_not_be_are_told_as_0_and_those_of_the_brand_left_alone() -> None:
    brand = row(500, "spring drop", "02/01/2027", prebook=True)
    gone, told = row(0, start="11/01/2026"), row(42, start="11/02/2026")
    late = row(0, "future", "12/01/2026")
    requests, verdicts = push(
        AIM,
        answers=[
            looked(
                row(9, start="11/01/2026"),
                row(8, start="11/02/2026"),
                row(7, "future", "12/01/2026"),
                row(0, "future", "10/01/2026"),
                brand,
            ),
            answer([told, gone, late]),
            looked(told, gone, late, brand),
            answer(b""),
        ],
    )
    assert [r.method for r in requests] == ["GET", "PUT", "GET", "PUT"], (
        "rows without ids are looked at again"
    )
    assert requests[1].json == {"replenishments": [told, gone, late]}
    assert verdicts == [Accepted(AIM)]


def test_where_rows_cannot_be_read_they_are_deleted_only_if_that_is_allowed() -> None:
    none = answer(b"", 404)
    requests, verdicts = push(AIM, answers=[none, answer([row(0, start="01/01/2020")]), none])
    assert requests[1].json == {"replenishments": [row(0, start="01/01/2020")]}, "which adds nothing"
    assert isinstance(verdicts[0], Rejected)
    assert "delete_unseen" in verdicts[0].words
    allowed = settings_of(nuorder, **EXAMPLE.settings, delete_unseen=True)
    told = [none, none, answer([row(42, start="01/01/2020")]), answer(b"")]
    requests, verdicts = run(nuorder.push(allowed, [AIM]), told)
    assert [(r.method, r.url) for r in requests[:2]] == [("GET", ROWS), ("DELETE", ROWS)]
    assert verdicts == [Accepted(AIM)]


def test_a_page_of_a_gateway_is_no_word_on_rows() -> None:
    allowed = settings_of(nuorder, **EXAMPLE.settings, delete_unseen=True)
    requests, verdicts = run(nuorder.push(allowed, [AIM]), [answer("<html>not found</html>", 404)])
    assert len(requests) == 1
    assert isinstance(verdicts[0], Later)


def test_planned_changes_are_rows_from_their_day_on() -> None:
    futures = (Future("2027-01-15", 60, "wh-1"), Future("2027-01-15", 40), Future("2027-02-01", 5))
    aim = Target(1, ids(1), (Slot(42, "wh-1"),), "k", futures=futures)
    told = [row(42), row(100, "future", "01/15/2027"), row(5, "future", "02/01/2027")]
    requests, verdicts = push(aim, answers=[looked(), answer(told), answer(b"")])
    assert requests[1].json == {"replenishments": told}
    assert verdicts == [Accepted(aim)]


@pytest.mark.parametrize(
    "aim",
    [
        Target(1, ids(1), (), "k"),
        Target(1, {"product": PRODUCT}, (Slot(1, "wh-1"),), "k"),
        Target(1, ids(1), (Slot(1, "wh-1"), Slot(2, "wh-1")), "k"),
        Target(1, ids(1), (Slot(1, "wh-1"),), "k", futures=(Future("soon", 1),)),
        Target(1, ids(1), (Slot(1, "wh-1"),), "k", futures=(Future("2027-01-15", 1, "wh-9"),)),
    ],
    ids=["no number", "no size", "warehouse twice", "no day", "future elsewhere"],
)
def test_what_cannot_be_said_is_not_sent(aim: Target) -> None:
    requests, verdicts = push(aim, answers=[])
    assert requests == []
    assert isinstance(verdicts[0], Rejected)


def test_the_only_warehouse_need_not_be_named() -> None:
    aim = target(1, 42, ids(1))
    assert push(aim, answers=[looked(), answer([row(42)]), answer(b"")])[1] == [Accepted(aim)]
    two = settings_of(nuorder, **{**EXAMPLE.settings, "warehouses": ["wh-1", "wh-2"]})
    assert isinstance(run(nuorder.push(two, [aim]), [])[1][0], Rejected)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([SILENCE], Later),
        ([answer(b"", 401)], Later),
        ([answer(b"", 429)], Later),
        ([answer("<html>", 502)], Later),
        ([answer("<html>")], Later),
        ([answer({"code": 400, "message": "bad"}, 400)], Rejected),
        ([looked(), SILENCE], Unsure),
        ([looked(), answer(b"", 500)], Later),
        ([looked(), answer({"code": 409, "message": "conflict"}, 409)], Whole),
        ([looked(), answer("<html>")], Unsure),
        ([looked(), answer([])], Rejected),
        ([looked(), answer([row(41)])], Rejected),
        ([looked(), answer([row(42)]), SILENCE], Later),
        ([looked(), answer([row(42)]), answer(b"", 500)], Later),
        ([looked(), answer([row(42)]), answer({"code": 404, "message": "no such product"}, 404)], Whole),
        ([looked(), answer([row(42)]), answer("<html>not found</html>", 404)], Later),
        ([looked(row(1), row(2)), answer(b"", 503)], Later),
        ([looked(row(1), row(2)), answer(b"", 409)], Rejected),
        ([answer(b"", 404), answer({"code": 400, "message": "no such size"}, 400)], Rejected),
        ([answer(b"", 404), SILENCE], Later),
        ([looked(row(1)), answer([row(42)]), looked(row(1), row(42))], Later),
        ([looked(row(1)), answer([row(42)]), answer(b"", 500)], Later),
    ],
)
def test_answers_and_their_verdicts(answers: list[Response], kind: type[Verdict]) -> None:
    _, verdicts = push(AIM, answers=answers)
    assert isinstance(verdicts[0], kind)


def test_when_nuorder_is_full_the_rest_waits_and_what_is_known_is_told() -> None:
    other, third = target(2, 3, ids(2), "wh-1"), target(3, 3, ids(3), "wh-1")
    requests, verdicts = push(
        AIM,
        other,
        third,
        answers=[looked(), answer(b"", 429, retry_after="9"), answer([row(42)]), answer(b"")],
    )
    assert [r.method for r in requests] == ["GET", "GET", "PUT", "PUT"]
    assert isinstance(verdicts[0], Accepted)
    assert [getattr(verdict, "seconds", None) for verdict in verdicts[1:]] == [9.0, 9.0]


def test_both_signatures() -> None:
    """By hand: the standard one sorts, encodes and writes base64; the older one does none of it."""
    request = Request("GET", "/api/orders/pending/list")
    fake = Fake()
    assert fake(wire(nuorder, SETTINGS, request)).ok
    assert fake(wire(nuorder, SETTINGS, request)).status == 401, "a nonce is good once"
    older = settings_of(nuorder, **EXAMPLE.settings, signing="nuorder")
    assert Fake(legacy=True)(wire(nuorder, older, request)).ok
    assert Fake()(wire(nuorder, older, request)).status == 401
    sent = wire(nuorder, older, request).headers["Authorization"]
    assert f'oauth_timestamp="{NOW // 1_000_000}"' in sent
    assert EXAMPLE.settings["token_secret"] not in sent


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (1_793_664_000_000, "11/03/2026"),
        (1_793_664_000, "11/03/2026"),
        (1_793_664_000_000 - 3_600_000, "11/03/2026"),
        (1_793_664_000_000 + 8 * 3_600_000, "11/03/2026"),
        ("11/03/2026", "11/03/2026"),
        ("2026-11-03T08:00:00Z", "11/03/2026"),
        ("soon", None),
        ("13/13/2026", None),
        (None, None),
        (10**30, None),
        (True, None),
    ],
)
def test_days_in_all_their_writings(value: Any, day: str | None) -> None:
    assert day_of(value) == day


def test_no_season_no_listings() -> None:
    with pytest.raises(Failed):
        run(nuorder.pull(settings_of(nuorder, **EXAMPLE.settings), None), [])


# --- against a portal that keeps state ------------------------------------------------------------------


def tell(fake: Fake, *targets: Target) -> list[Verdict]:
    return talk(nuorder.push(SETTINGS, targets), nuorder, SETTINGS, Once(fake))


class Once:
    """The fake, with the nonces of a new conversation."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        fake.nonces.clear()

    def __call__(self, sent: Any) -> Response:
        return self.fake(sent)


def pulled(fake: Fake) -> list[Seen]:
    found: list[Seen] = []
    cursor: str | None = None
    while True:
        page = talk(nuorder.pull(SETTINGS, cursor), nuorder, SETTINGS, Once(fake))
        found += page.seen
        cursor = page.cursor
        if cursor is None:
            return found


def test_a_number_is_told_shown_and_seen_again() -> None:
    fake = Fake()
    fake.add(1)
    assert tell(fake, AIM) == [Accepted(AIM)]
    assert fake.shown == {PRODUCT: 42}
    lower = target(1, 7, ids(1), "wh-1")
    assert tell(fake, lower) == [Accepted(lower)]
    assert fake.shown == {PRODUCT: 7}, "the row was replaced, not added to"
    (seen,) = pulled(fake)
    assert (seen.ids, seen.sku, seen.shown[0].quantity) == (ids(1), "UPC-1", 7)
    fake.edit("wh-1", SKU, 99)
    assert pulled(fake)[0].shown[0].quantity == 99


def test_listings_come_in_pages_and_products_that_are_gone_are_left_out() -> None:
    fake = Fake()
    for number in range(1, 24):
        fake.add(number)
    fake.add(99, season="autumn")
    assert [seen.sku for seen in pulled(fake)] == [f"UPC-{number}" for number in range(1, 24)]
    assert all(seen.shown[0].quantity is None for seen in pulled(fake))


def test_faults_leave_a_verdict_that_fits() -> None:
    fake = Fake()
    fake.add(1)
    fake.faults.throttle = 1
    assert isinstance(tell(fake, AIM)[0], Later)
    fake.faults.fail = 1
    assert isinstance(tell(fake, AIM)[0], Later)
    assert fake.rows == {}
    fake.faults.lose = 1
    assert isinstance(tell(fake, AIM)[0], Later)
    wrong = target(1, 4, ids(1), "wh-9")
    assert isinstance(tell(fake, wrong)[0], Whole)
    assert talk(nuorder.check(SETTINGS), nuorder, SETTINGS, Once(fake)).startswith("NuORDER portal")
    other = settings_of(nuorder, **{**EXAMPLE.settings, "token_secret": "another-secret"})
    with pytest.raises(Failed) as raised:
        talk(nuorder.check(other), nuorder, other, Once(fake))
    assert raised.value.login
