"""Faire against a fake brand: pushing beside open orders, looking, orders, faults."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.account import Account
from connectors.account import stocked as filled
from connectors.driver import settings_of, talk, target
from fakes.common import Faults
from fakes.faire import EXAMPLE, Fake
from onhand.connectors import faire
from onhand.connectors.flow import Accepted, Failed, Later, Rejected, Target, Unsure, Whole

SETTINGS = settings_of(faire, **EXAMPLE.settings)
ACCOUNT = Account(faire, SETTINGS)
push, pulled, polled = ACCOUNT.push, ACCOUNT.pulled, ACCOUNT.polled


def stocked(count: int = 3, **more: Any) -> Fake:
    return filled(Fake(**more), count)


def told(number: int, offer: int, **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), **{"token": "tracked", **slot})


def test_a_variant_that_is_tracked_by_now_takes_numbers() -> None:
    """What a look tells is what the next push goes by, also when it is good news."""
    fake = stocked(1)
    fake.variants[0].hand = None
    (seen,) = pulled(fake)
    aim = told(1, 4, token=seen.shown[0].token)
    assert isinstance(push(fake, aim)[0], Rejected)
    assert fake.shown("SKU-1") is None
    fake.edit("SKU-1", 9)
    (seen,) = pulled(fake)
    assert isinstance(push(fake, told(1, 4, token=seen.shown[0].token))[0], Accepted)
    assert isinstance(push(fake, told(1, 5, token=None))[0], Accepted)
    assert fake.shown("SKU-1") == 5


@pytest.mark.parametrize("bare", [False, True])
def test_a_push_shows(bare: bool) -> None:
    fake = stocked(bare=bare)
    assert all(
        isinstance(v, Accepted) for v in push(fake, told(1, 4), told(2, 0), target(3, 7, {}, token="tracked"))
    )
    assert [fake.shown(f"SKU-{n}") for n in (1, 2, 3)] == [4, 0, 7]


def test_an_open_order_is_not_taken_off_twice() -> None:
    fake = stocked(1)
    name = fake.sell("SKU-1", 3)
    assert fake.shown("SKU-1") == 7
    # The ledger has the order: 7 are left to offer and 3 are committed there.
    push(fake, told(1, 7, committed=3))
    assert fake.shown("SKU-1") == 7
    fake.ship(name)
    push(fake, told(1, 7))
    assert fake.shown("SKU-1") == 7


def test_an_order_that_is_not_known_here_yet_is_kept_off_by_faire_itself() -> None:
    fake = stocked(1)
    fake.sell("SKU-1", 3)
    push(fake, told(1, 10))
    assert fake.shown("SKU-1") == 7


def test_pages_of_products() -> None:
    fake = stocked(120)
    fake.edit("SKU-9", 77)
    fake.sell("SKU-9", 7)
    fake.variants[3].hand = None
    fake.states["SKU-5"] = "DRAFT"
    seen = {each.sku: each for each in pulled(fake)}
    assert len(seen) == 120
    shown = seen["SKU-9"].shown[0]
    assert (shown.quantity, shown.committed) == (70, 7)
    assert seen["SKU-4"].shown[0].quantity is None
    assert not seen["SKU-5"].active
    assert talk(faire.check(SETTINGS), faire, SETTINGS, fake) == "Acme Pottery"


def test_a_sku_on_two_variants() -> None:
    fake = stocked(2)
    fake.stock(3, 5, sku="SKU-2")
    verdicts = push(fake, target(1, 4, {}), target(2, 4, {}))
    assert [isinstance(verdict, Accepted) for verdict in verdicts] == [True, False]
    assert fake.shown("SKU-1") == 4


def test_a_batch_that_is_refused_whole() -> None:
    assert [type(verdict) for verdict in push(stocked(1), told(1, 4), told(9, 4))] == [Whole, Whole]


def test_orders_come_once_in_order_and_open_ones_first() -> None:
    fake = stocked(1)
    names = [fake.sell("SKU-1", 1) for _ in range(120)]
    fake.ship(names[0])
    found, cursor = polled(fake, None)
    assert {order.id for order in found} == set(names[1:])
    assert cursor == "1970-01-01T00:00:00Z"
    found, cursor = polled(fake, "2026-11-22T00:00:00Z")
    assert {order.id for order in found} == set(names)
    fake.touch(names[5], state="CANCELED")
    found, _ = polled(fake, cursor)
    assert found[-1].id == names[5]
    assert found[-1].lines[0].cancelled == 1


@pytest.mark.parametrize(
    ("faults", "kind", "shown"),
    [(Faults(throttle=1), Later, 10), (Faults(fail=1), Later, 10), (Faults(lose=1), Unsure, 4)],
)
def test_faults(faults: Faults, kind: type, shown: int) -> None:
    fake = stocked(1)
    fake.faults = faults
    assert [type(verdict) for verdict in push(fake, told(1, 4))] == [kind]
    assert fake.shown("SKU-1") == shown
    push(fake, told(1, 4))
    assert fake.shown("SKU-1") == 4


def test_a_wrong_token_is_a_matter_of_login() -> None:
    wrong = settings_of(faire, token="faire-token-wrong")
    with pytest.raises(Failed) as failed:
        talk(faire.check(wrong), faire, wrong, stocked())
    assert failed.value.login
