"""What an operator can set of the Flipkart dialect: a pace, and lists of errors that are always there."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialects.flipkart_wire import LISTINGS, ask_token, bearer, conforms, post, update
from hubs import demo_hub
from onhand.dialects.flipkart import setup
from onhand.settings import CALLS_LIMIT, PREFIX, BadSetting, Settings, load
from onhand.store import channels


def test_a_pace_counts_the_calls_of_a_connection(tmp_path: Path) -> None:
    with demo_hub(tmp_path, "flipkart", settings=Settings(limit_flipkart=3)) as hub:
        known, headers = hub.section["skus"][0], bearer(hub)
        link = hub.read(lambda c: channels.links(c, hub.account, "flipkart"))[0]
        reading = hub.write(
            lambda c: setup.credentials(c, hub.account, link, hub.clock(), scopes="read", label="")
        )
        reader = bearer(hub, reading)
        stopped = hub.clock()
        hub.inventory.now = lambda: stopped
        wanted = {known["sku"]: update(known, 7)}
        # What is refused for its body or its rights is a call, too; asking for a token is none.
        assert post(hub, b"{", headers).status_code == 400
        assert post(hub, wanted, reader).status_code == 403
        assert post(hub, wanted, headers).status_code == 200
        for answer in (
            post(hub, {known["sku"]: update(known, 8)}, headers),
            hub.client.get(LISTINGS + known["sku"], headers=reader),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            assert conforms(answer, "ErrorResponse")
            assert answer.json()["errors"][0]["code"] == 4290
        assert post(hub, wanted, {"Authorization": "Bearer nobody"}).status_code == 401
        assert ask_token(hub).status_code == 200
        assert hub.levels(known["sku"])["MAIN"].shown == 7
        hub.inventory.now = lambda: stopped + 1_000_000
        assert post(hub, wanted, headers).status_code == 200


def test_lists_of_errors_that_are_always_there(tmp_path: Path) -> None:
    with demo_hub(tmp_path, "flipkart", settings=Settings(flipkart_empty_lists=True)) as hub:
        first, second = hub.section["skus"][:2]
        answer = post(hub, {first["sku"]: update(first, 7), second["sku"]: update(second, -1), "GONE": 5})
        assert conforms(answer, "UpdateResponse")
        done, faulty, gone = answer.json().values()
        assert list(done.items()) == [("status", "SUCCESS"), ("errors", []), ("attribute_errors", [])]
        assert (faulty["errors"], [one["code"] for one in faulty["attribute_errors"]]) == ([], [2001])
        assert ([one["code"] for one in gone["errors"]], gone["attribute_errors"]) == ([1002, 1001], [])


@pytest.mark.parametrize("value", ["-1", str(CALLS_LIMIT + 1), "many", "true"])
def test_a_pace_that_is_none(value: str) -> None:
    with pytest.raises(BadSetting, match=f"{PREFIX}LIMIT_FLIPKART"):
        load({f"{PREFIX}LIMIT_FLIPKART": value})
