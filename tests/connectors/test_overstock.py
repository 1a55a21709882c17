"""Overstock: Mirakl's flows at its own host, with a warehouse for every quantity."""

from __future__ import annotations

import msgspec
import pytest

from connectors.driver import answer, run, settings_of, talk, target, wire
from fakes.mirakl import file_of
from fakes.overstock import EXAMPLE, Fake
from onhand.connectors import mirakl, overstock
from onhand.connectors.flow import Accepted, Place, Rejected, Shown, Slot

SETTINGS = settings_of(overstock, **EXAMPLE.settings)
BARE = settings_of(overstock, api_key="overstock-key-31bb")


def test_a_quantity_without_a_location_goes_to_the_warehouse_of_the_settings() -> None:
    fake = Fake()
    fake.stock(1, 1)
    both = target(1, 0, EXAMPLE.ids(1))
    both = msgspec.structs.replace(both, slots=(Slot(4), Slot(6, "EAST")))
    assert talk(overstock.push(SETTINGS, [both]), overstock, SETTINGS, fake) == [Accepted(both)]
    assert file_of(fake.requests[0]).splitlines()[1:] == ['"SKU-1";"4";"MAIN";""', '"SKU-1";"6";"EAST";""']
    page = talk(overstock.pull(SETTINGS, None), overstock, SETTINGS, fake)
    assert page.seen[0].shown == (Shown(4, "MAIN"), Shown(6, "EAST"))


def test_without_any_warehouse_nothing_is_sent() -> None:
    targets = [target(1, 4, EXAMPLE.ids(1)), target(2, 5, EXAMPLE.ids(2))]
    requests, verdicts = run(overstock.push(BARE, targets), [])
    assert requests == []
    assert all(isinstance(verdict, Rejected) and "warehouse" in verdict.words for verdict in verdicts)


@pytest.mark.parametrize("first_is_bad", [True, False])
def test_a_target_without_a_warehouse_is_refused_among_others(first_is_bad: bool) -> None:
    fake = Fake()
    fake.stock(2, 1)
    targets = [target(1, 4, EXAMPLE.ids(1)), target(2, 5, EXAMPLE.ids(2), "EAST")]
    if not first_is_bad:
        targets.reverse()
    verdicts = talk(overstock.push(BARE, targets), overstock, BARE, fake)
    assert [isinstance(verdict, Rejected) for verdict in verdicts] == [first_is_bad, not first_is_bad]
    assert [verdict.target for verdict in verdicts] == targets


def test_its_warehouses_begin_with_that_of_the_settings() -> None:
    fake = Fake()
    fake.stock(1, 1)
    found = talk(overstock.places(SETTINGS), overstock, SETTINGS, fake)
    assert found == [Place("MAIN", "MAIN", default=True), Place("EAST", "EAST")]


def test_its_host_and_key() -> None:
    requests, _ = run(overstock.check(SETTINGS), [answer({"shop_id": 1, "shop_name": "x"})])
    out = wire(overstock, SETTINGS, requests[0])
    assert out.target == "https://bedbathandbeyondus-prod.mirakl.net/api/account"
    assert out.headers["Authorization"] == "overstock-key-31bb"


def test_it_is_its_own_channel() -> None:
    assert overstock.CHANNEL.name == "overstock"
    assert overstock.CHANNEL.settings is not mirakl.CHANNEL.settings
    assert overstock.CHANNEL.limits == mirakl.CHANNEL.limits
