"""Incidents over our own API: listed by state and kind, shown with their figures, closed once with a note."""

from __future__ import annotations

from typing import Any

import pytest

from native_calls import Api, codes
from onhand.orders_in import TIME_LIMIT
from onhand.store import incidents

MESSAGE = {
    "id": 5,
    "source": "orders",
    "principal": "p",
    "body": "{",
    "received_at": 1,
    "why": "ValueError('x')",
}
ORDER = {"why": "No listing is what was sold", "order": "X", "connection": 1, "lines": [{"units": 2}]}
REFUSED = {"why": "There is no item 9", "refusal": {"type": "Unknown"}, "caller": "c"}
OVERSOLD = {
    "item": 40,
    "sku": "GIFT-CARD-BOX",
    "location": 1,
    "place": "MAIN",
    "on_hand": 4,
    "reserved": 7,
    "missing": 3,
    "orders": [
        {"reference": "order:1:X", "units": 4, "since": 2_000_000, "updated": 1_000_000, "lag": 5},
        {"reference": "order:1:Y", "units": 3, "since": 2_000_000, "updated": TIME_LIMIT, "lag": 0},
    ],
    "policy": "newest",
    "losers": [{"reference": "order:1:X", "units": 3}],
}
FOUND: list[tuple[str, dict[str, Any]]] = [
    (incidents.MESSAGE, MESSAGE),
    (incidents.ORDER, ORDER),
    (incidents.REFUSED, REFUSED),
    (incidents.PLANNED, REFUSED | {"plan": 3}),
    (incidents.OVERSOLD, OVERSOLD),
]


def opened(api: Api) -> list[int]:
    """One incident of each kind; their ids."""
    api.hub.write(lambda c: incidents.report(c, api.hub.account, FOUND, 1_700_000_000_000_000))
    return [row["id"] for row in api.get("/incidents")["data"]]


def test_every_kind_is_listed_and_shown(either: Api) -> None:
    numbers = opened(either)
    assert len(numbers) == len(FOUND)
    rows = [either.get(f"/incidents/{one}") for one in numbers]
    assert rows == either.get("/incidents")["data"]
    assert [row["kind"] for row in rows] == [kind for kind, _ in FOUND]
    assert {(row["state"], row["opened_at"]) for row in rows} == {("open", "2023-11-14T22:13:20.000000Z")}
    assert rows[0]["details"]["received_at"] == "1970-01-01T00:00:00.000001Z"
    assert rows[1]["why"] == "No listing is what was sold"
    why = "3 of GIFT-CARD-BOX at MAIN are promised and not there (4 on hand, 7 reserved)"
    assert rows[4]["why"] == why
    holder = rows[4]["details"]["orders"][0]
    assert (holder["since"], holder["updated"], holder["lag"]) == (
        "1970-01-01T00:00:02.000000Z",
        "1970-01-01T00:00:01.000000Z",
        5,
    )
    # A channel that counts in milliseconds where seconds are meant is far ahead of any calendar.
    assert rows[4]["details"]["orders"][1]["updated"] == "9999-12-31T00:00:00.000000Z"


def test_lists_by_state_kind_and_page(api: Api) -> None:
    numbers = opened(api)
    assert api.post(f"/incidents/{numbers[1]}/close")["state"] == "closed"

    def ids(**params: Any) -> list[int]:
        return [row["id"] for row in api.get("/incidents", params=params)["data"]]

    assert ids() == ids(state="open") == [one for one in numbers if one != numbers[1]]
    assert ids(state="closed") == [numbers[1]]
    assert ids(state="all") == numbers
    assert ids(state="all", kind="oversold") == [numbers[4]]
    first = api.get("/incidents", params={"limit": 2, "state": "all"})
    again = {"limit": 2, "state": "all", "cursor": first["next_cursor"]}
    assert [row["id"] for row in api.get("/incidents", params=again)["data"]] == numbers[2:4]
    other = api.ask("GET", "/incidents", params={"cursor": first["next_cursor"]})
    assert codes(other)[0] == "invalid_cursor"


def test_one_is_closed_once_with_a_note(either: Api) -> None:
    number = opened(either)[0]
    path = f"/incidents/{number}/close"
    done = either.post(path, {"note": " dealt with "}, 200, Idempotency_Key="c")
    assert done["resolution"] == {
        "by": "person",
        "note": "dealt with",
        "caller": "native:demo",
        "movement": None,
    }
    assert done["resolved_at"] is not None
    assert either.post(path, {"note": " dealt with "}, 200, Idempotency_Key="c") == done
    assert codes(either.ask("POST", path, {"note": "again"}))[0] == "already_ended"
    assert either.get(f"/incidents/{number}") == done


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/incidents/99", None, "unknown_incident"),
        ("GET", "/incidents/0", None, "unknown_incident"),
        ("GET", "/incidents/x", None, "unknown_incident"),
        ("POST", "/incidents/99/close", None, "unknown_incident"),
        ("POST", "/incidents/1/close", {"note": 1}, "invalid_body"),
        ("POST", "/incidents/1/close", {"note": None}, "invalid_body"),
        ("POST", "/incidents/1/close", {"note": "x" * 513}, "invalid_body"),
        ("POST", "/incidents/1/close", {"words": "x"}, "invalid_body"),
        ("POST", "/incidents/1/close", [], "invalid_body"),
        ("POST", "/incidents/1/close?x=1", None, "invalid_parameter"),
        ("GET", "/incidents?state=ended", None, "invalid_parameter"),
        ("GET", "/incidents?kind=other", None, "invalid_parameter"),
        ("GET", "/incidents?limit=0", None, "invalid_parameter"),
        ("GET", "/incidents?cursor=x", None, "invalid_cursor"),
    ],
)
def test_what_is_refused(api: Api, method: str, path: str, body: Any, code: str) -> None:
    opened(api)
    assert codes(api.ask(method, path, body))[0] == code
    assert len(api.get("/incidents")["data"]) == len(FOUND)


def test_who_may(api: Api) -> None:
    number = opened(api)[0]
    reader = Api(api.hub, api.post("/keys", {"scope": "read"}, 201)["api_key"])
    assert reader.ask("GET", f"/incidents/{number}").status_code == 200
    assert codes(reader.ask("POST", f"/incidents/{number}/close"))[0] == "insufficient_scope"
    bound = api.caller(seller=2)
    assert codes(bound.ask("GET", "/incidents"))[0] == "seller_bound"
    rival = Api(api.hub, api.hub.another()["native"]["api_key"])
    assert rival.get("/incidents")["data"] == []
    assert codes(rival.ask("POST", f"/incidents/{number}/close"))[0] == "unknown_incident"
