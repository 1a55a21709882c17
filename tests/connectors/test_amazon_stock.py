"""Amazon: pages of listings and of its own stock that do not end as they should."""

from __future__ import annotations

import pytest

from connectors.driver import answer, run, settings_of
from fakes.amazon import EXAMPLE
from onhand.connectors import amazon
from onhand.connectors.flow import Failed, Response, Shown

SETTINGS = settings_of(amazon, **EXAMPLE.settings)


@pytest.mark.parametrize("then", ["the same token", "a refusal"])
def test_a_token_of_amazon_s_that_leads_nowhere_ends_the_list_of_its_own_stock(then: str) -> None:
    def page(token: str) -> Response:
        stock = [{"sellerSku": "A", "inventoryDetails": {"fulfillableQuantity": 9}}]
        return answer({"payload": {"inventorySummaries": stock}, "pagination": {"nextToken": token}})

    entries = [
        {"sku": sku, "fulfillmentAvailability": [{"fulfillmentChannelCode": "AMAZON_NA"}]} for sku in "AB"
    ]
    bad = page("x") if then == "the same token" else answer({"errors": [{"code": "InvalidInput"}]}, 400)
    said = [answer({"items": entries, "numberOfResults": 2}), page("x"), bad]
    seen = run(amazon.pull(SETTINGS, None), said)[1].seen
    assert [one.shown for one in seen] == [(Shown(9, "FBA"),), (Shown(None, "FBA"),)]


def test_a_first_refusal_to_show_amazon_s_own_stock_is_one() -> None:
    item = {"sku": "A", "fulfillmentAvailability": [{"fulfillmentChannelCode": "AMAZON_NA"}]}
    said = [answer({"items": [item], "numberOfResults": 1}), answer({"errors": []}, 400)]
    with pytest.raises(Failed):
        run(amazon.pull(SETTINGS, None), said)


def test_listings_end_with_the_token_that_they_began_with() -> None:
    again = answer({"items": [], "numberOfResults": 40, "pagination": {"nextToken": "t"}})
    assert run(amazon.pull(SETTINGS, None), [again])[1].cursor == "t"
    assert run(amazon.pull(SETTINGS, "t"), [again])[1].cursor is None
