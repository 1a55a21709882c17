"""NuORDER: rows of all kinds of portals come to the right sum, and the brand's own are never lost."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from connectors.driver import run, settings_of, target, wire
from fakes.nuorder import EXAMPLE, Fake, ids
from onhand.connectors import nuorder
from onhand.connectors.flow import (
    Accepted,
    Future,
    Later,
    Rejected,
    Request,
    Response,
    Slot,
    Target,
    Verdict,
    Whole,
)

SETTINGS = settings_of(nuorder, **EXAMPLE.settings, seasons=["spring"])
ALLOWED = settings_of(nuorder, **EXAMPLE.settings, seasons=["spring"], delete_unseen=True)
KNOWN = ids(1)
PLACE = ("wh-1", KNOWN["sku"])
MOST_ROUNDS = 6
KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"renews": True},
    {"adds": True},
    {"hides": True},
    {"zone": 1},
    {"zone": -8},
)


class Killed(Exception):
    """The courier died."""


class Courier:
    """Tells one listing as the courier does, keeping its notes; ``killed`` before or after its nth request,
    of which the notes of the round are lost."""

    def __init__(self, fake: Fake, settings: Any = SETTINGS) -> None:
        self.fake, self.settings = fake, settings
        self.notes: dict[str, str] = {}
        self.sent = 0

    def tell(self, aim: Target, *, killed: int | None = None, done: bool = True) -> Verdict:
        """Until there is a verdict that lasts. Raises Killed."""
        for _ in range(MOST_ROUNDS):
            told = replace(aim, notes=dict(self.notes))

            def send(request: Request) -> Response:
                self.sent += 1
                if self.sent == killed and not done:
                    raise Killed
                said = self.fake(wire(nuorder, self.settings, request, nonce=f"nonce-{self.sent}"))
                if self.sent == killed:
                    raise Killed
                return said

            (verdict,) = run(nuorder.push(self.settings, [told]), send)[1]
            if isinstance(verdict, Accepted | Later):
                self.notes = {k: v for k, v in {**self.notes, **verdict.notes}.items() if v}
            if not isinstance(verdict, Later):
                return verdict
        raise AssertionError(f"it does not come to an end: {verdict}")


def brand_portal(**kind: Any) -> Fake:
    """A portal in which the brand has two rows of its own."""
    fake = Fake(**kind)
    fake.add(1)
    fake.drop(KNOWN)
    fake.drop(KNOWN, None, display_name="made to order", period_start="01/01/2027", period_end=None)
    return fake


def twice(fake: Fake) -> None:
    """Rows of the hub's that stand twice, as after a portal has added them."""
    more = {"display_name": "immediate", "prebook": False, "period_start": "11/20/2026", "period_end": None}
    fake.drop(KNOWN, 9, **more)
    fake.drop(KNOWN, 8, **more)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_whatever_a_portal_does_with_rows_the_sum_is_right(kind: dict[str, Any]) -> None:
    fake = brand_portal(**kind)
    brand = fake.brand(KNOWN)
    courier = Courier(fake)
    for offer in (42, 7, 7, 0, 11):
        assert isinstance(courier.tell(target(1, offer, KNOWN, "wh-1")), Accepted)
        assert fake.shown == {KNOWN["product"]: offer}
        assert fake.brand(KNOWN) == brand
        assert courier.notes == {}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_planned_change_that_is_called_off_counts_no_more(kind: dict[str, Any]) -> None:
    fake = brand_portal(**kind)
    brand = fake.brand(KNOWN)
    courier = Courier(fake)
    ahead = Target(1, KNOWN, (Slot(5, "wh-1"),), "k", futures=(Future("2027-01-15", 60),))
    courier.tell(ahead)
    assert isinstance(courier.tell(replace(ahead, futures=())), Accepted)
    ours = [row for row in fake.rows[PLACE] if row["display_name"] == "future"]
    assert sum(row["quantity"] for row in ours) == 0
    assert (fake.shown, fake.brand(KNOWN)) == ({KNOWN["product"]: 5}, brand)


def test_a_portal_is_asked_no_more_than_it_needs_to_be() -> None:
    fake = Fake()
    fake.add(1)
    courier = Courier(fake)
    for offer in (5, 6):
        fake.calls.clear()
        courier.tell(target(1, offer, KNOWN, "wh-1"))
        assert [call.split()[0] for call in fake.calls] == ["GET", "PUT", "PUT"]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("killed", range(1, 12))
@pytest.mark.parametrize("settings", [SETTINGS, ALLOWED], ids=["strict", "delete_unseen"])
@pytest.mark.parametrize(
    "kind", [{}, {"adds": True}, {"hides": True}, {"adds": True, "hides": True}], ids=str
)
def test_whenever_the_courier_dies_nothing_of_the_brands_is_lost(
    kind: dict[str, Any], settings: Any, killed: int, done: bool
) -> None:
    fake = brand_portal(**kind)
    twice(fake)
    brand = fake.brand(KNOWN)
    courier = Courier(fake, settings)
    ahead = Target(1, KNOWN, (Slot(5, "wh-1"),), "k", futures=(Future("2027-01-15", 60),))
    try:
        courier.tell(ahead, killed=killed, done=done)
    except Killed:
        assert isinstance(courier.tell(ahead), Accepted), "the next one"
    else:
        assert courier.sent < killed, "all points were passed"
    assert fake.brand(KNOWN) == brand
    ours = {row["display_name"]: row["quantity"] for row in fake.rows[PLACE] if not row["prebook"]}
    assert ours == {"immediate": 5, "future": 60}
    assert fake.shown == {KNOWN["product"]: 5}
    assert courier.notes == {}


def test_what_the_brand_takes_away_meanwhile_stays_away() -> None:
    """A note is only of use between deleting and putting back."""
    fake = brand_portal()
    twice(fake)
    courier = Courier(fake)
    (first,) = run(
        nuorder.push(SETTINGS, [target(1, 5, KNOWN, "wh-1")]),
        lambda request: fake(wire(nuorder, SETTINGS, request)),
    )[1]
    assert isinstance(first, Later)
    courier.notes = dict(first.notes)
    fake.rows[PLACE] = [row for row in fake.rows[PLACE] if row["display_name"] != "spring drop"]
    assert isinstance(courier.tell(target(1, 5, KNOWN, "wh-1")), Accepted)
    assert [row["display_name"] for row in fake.brand(KNOWN)] == ["made to order"]


def test_rows_that_are_refused_when_put_back_are_remembered_until_they_are_taken() -> None:
    fake = brand_portal()
    twice(fake)
    brand = fake.brand(KNOWN)
    courier = Courier(fake)
    fake.warehouses = ()
    assert isinstance(courier.tell(target(1, 5, KNOWN, "wh-1")), Rejected)
    assert fake.brand(KNOWN) == []
    fake.warehouses = ("wh-1",)
    assert isinstance(courier.tell(target(1, 6, KNOWN, "wh-1")), Accepted)
    assert fake.brand(KNOWN) == brand


def test_dead_rows_do_not_pile_up() -> None:
    fake = brand_portal()
    brand = fake.brand(KNOWN)
    courier = Courier(fake)
    for number in range(60):
        day = f"2027-{1 + number // 28:02}-{1 + number % 28:02}"
        courier.tell(Target(1, KNOWN, (Slot(5, "wh-1"),), "k", futures=(Future(day, 60),)))
        assert len(fake.rows[PLACE]) < 30
    assert fake.brand(KNOWN) == brand


def test_a_portal_without_a_read_path_gets_one_row_where_that_is_allowed() -> None:
    fake = Fake(readable=False)
    fake.add(1)
    assert isinstance(Courier(fake).tell(target(1, 5, KNOWN, "wh-1")), Rejected)
    assert fake.shown == {}
    courier = Courier(fake, ALLOWED)
    for offer in (5, 6, 7):
        assert isinstance(courier.tell(target(1, offer, KNOWN, "wh-1")), Accepted)
    assert fake.shown == {KNOWN["product"]: 7}
    assert len(fake.rows[PLACE]) == 1


def test_a_product_that_is_gone_does_not_keep_others_from_being_shown() -> None:
    """The flags of all are refused: the courier halves the batch until the one stands alone."""
    fake = Fake()
    fake.add(1)
    fake.add(2)
    del fake.products[ids(2)["product"]]
    aims = [target(1, 5, ids(1), "wh-1"), target(2, 5, ids(2), "wh-1")]
    sent = iter(range(100))

    def send(request: Request) -> Response:
        return fake(wire(nuorder, SETTINGS, request, nonce=f"nonce-{next(sent)}"))

    assert all(isinstance(said, Whole) for said in run(nuorder.push(SETTINGS, aims), send)[1])
    alone = [run(nuorder.push(SETTINGS, [aim]), send)[1][0] for aim in aims]
    assert [type(said) for said in alone] == [Accepted, Whole]
