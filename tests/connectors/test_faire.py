"""Faire: exact requests, open orders on top, what is not tracked, refusals, orders."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from connectors.driver import NOW, SILENCE, answer, run, settings_of, target, wire
from fakes.faire import EXAMPLE
from onhand.connectors import faire, faire_levels
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    OrderLine,
    Rejected,
    Request,
    Response,
    Seen,
    Shown,
    Slot,
    Target,
    Unsure,
    Verdict,
    Whole,
)

SETTINGS = settings_of(faire, **EXAMPLE.settings)
BY_ID = "/product-inventory/by-product-variant-ids"
BY_SKU = "/product-inventory/by-skus"


def level(hand: int | None, committed: int = 0) -> dict[str, Any]:
    if hand is None:
        return {"on_hand_quantity": {"type": "UNTRACKED"}}
    counts = {"on_hand": hand, "committed": committed, "available": hand - committed}
    return {f"{name}_quantity": {"type": "QUANTITY", "quantity": n} for name, n in counts.items()}


def told(number: int, offer: int, **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), **{"token": "tracked", **slot})


def by_sku(number: int, offer: int, **slot: Any) -> Target:
    return target(number, offer, {}, **{"token": "tracked", **slot})


def push(
    targets: Sequence[Target], *answers: Response, settings: Any = SETTINGS
) -> tuple[list[Request], list[Verdict]]:
    return run(faire.push(settings, targets), answers)


def kinds(verdicts: Sequence[Verdict]) -> list[type]:
    return [type(verdict) for verdict in verdicts]


def shows(**levels: dict[str, Any]) -> Response:
    return answer({"inventories": levels})


def test_what_is_sent_is_on_hand_with_open_orders_on_top() -> None:
    requests, verdicts = push([told(1, 7, committed=2), told(2, 0)], shows(po_1=level(9, 2), po_2=level(0)))
    rows = [
        {"product_variant_id": "po_1", "on_hand_quantity": 9},
        {"product_variant_id": "po_2", "on_hand_quantity": 0},
    ]
    assert requests == [Request("PATCH", BY_ID, json={"inventories": rows}, limit="write")]
    assert kinds(verdicts) == [Accepted, Accepted]


def test_without_a_variant_the_sku_is_used() -> None:
    requests, verdicts = push([told(1, 7), by_sku(2, 3)], shows(po_1=level(7)), answer({"SKU-2": level(3)}))
    assert [request.url for request in requests] == [BY_ID, BY_SKU]
    assert requests[1].json == {"inventories": [{"sku": "SKU-2", "on_hand_quantity": 3}]}
    assert kinds(verdicts) == [Accepted, Accepted]


def test_the_wire_of_a_brand() -> None:
    sent = wire(faire, SETTINGS, Request("GET", "/orders", (("limit", "50"),)))
    assert sent.target == "https://www.faire.com/external-api/v2/orders?limit=50"
    assert sent.headers == {
        "Accept": "application/json",
        "User-Agent": "Mozilla/5.0 (compatible; onhand)",
        "X-FAIRE-ACCESS-TOKEN": "faire-token-83c1f0",
    }


def test_the_wire_of_an_app() -> None:
    app = settings_of(faire, token="app-token-11", application_id="ap_1", application_secret="app-secret-22")
    sent = wire(faire, app, Request("GET", "/orders"))
    assert sent.headers["X-FAIRE-OAUTH-ACCESS-TOKEN"] == "app-token-11"
    assert base64.b64decode(sent.headers["X-FAIRE-APP-CREDENTIALS"]) == b"ap_1:app-secret-22"
    assert "X-FAIRE-ACCESS-TOKEN" not in sent.headers


def test_half_an_app_is_no_setting() -> None:
    with pytest.raises(msgspec.ValidationError):
        settings_of(faire, token="app-token-11", application_id="ap_1")


UNTRACKED = "untracked"


@pytest.mark.parametrize(("infinite", "kind"), [(True, Accepted), (False, Rejected)])
def test_what_is_not_tracked_is_left_alone(infinite: bool, kind: type) -> None:
    requests, verdicts = push([told(1, 7, token=UNTRACKED, infinite=infinite)])
    assert not requests
    assert kinds(verdicts) == [kind]


def test_tracking_is_begun_only_when_allowed() -> None:
    allows = settings_of(faire, **EXAMPLE.settings, start_tracking=True)
    requests, verdicts = push([told(1, 7, token=UNTRACKED)], shows(po_1=level(7)), settings=allows)
    assert len(requests) == 1
    assert verdicts == [Accepted(told(1, 7, token=UNTRACKED), {None: "tracked"})]


@pytest.mark.parametrize(
    ("seen", "infinite", "kind", "calls"),
    [
        (shows(po_1=level(3)), False, Accepted, 2),
        (shows(po_1=level(3)), True, Accepted, 2),
        (shows(po_1=level(None)), False, Rejected, 1),
        (shows(po_1=level(None)), True, Accepted, 1),
        (shows(), False, Rejected, 1),
        (shows(), True, Rejected, 1),
        (answer("<html>"), False, Later, 1),
        (answer("<html>", status=403), False, Later, 1),
        (answer({}, status=404), False, Later, 1),
        (answer({}, status=429), False, Later, 1),
        (answer({"message": "Skus match multiple product variations: A"}, status=400), False, Whole, 1),
    ],
)
def test_what_nobody_has_looked_at_is_looked_at_before_a_number_begins_to_block_sales(
    seen: Response, infinite: bool, kind: type, calls: int
) -> None:
    aim = told(1, 7, token=None, infinite=infinite)
    requests, verdicts = push([aim], *[seen, shows(po_1=level(7))][:calls])
    assert (requests[0].method, requests[0].query) == ("GET", (("ids", "po_1"),))
    assert kinds(verdicts) == [kind]


def test_only_what_is_not_known_is_looked_at() -> None:
    aims = [told(1, 1), told(2, 2, token=None), by_sku(3, 3, token=None)]
    requests, verdicts = push(
        aims,
        shows(po_2=level(None)),
        shows(po_1=level(1)),
        shows(**{"SKU-3": level(9)}),
        shows(**{"SKU-3": level(3)}),
    )
    assert [(r.method, r.query) for r in requests] == [
        ("GET", (("ids", "po_2"),)),
        ("PATCH", ()),
        ("GET", (("skus", "SKU-3"),)),
        ("PATCH", ()),
    ]
    assert kinds(verdicts) == [Accepted, Rejected, Accepted]
    allows = settings_of(faire, **EXAMPLE.settings, start_tracking=True)
    assert len(push([aims[1]], shows(po_2=level(2)), settings=allows)[0]) == 1


def test_a_sku_on_several_variants_is_taken_out_and_the_rest_said_again() -> None:
    refused = answer({"message": "Skus match multiple product variations: SKU-2, SKU-3"}, status=400)
    targets = [by_sku(n, n) for n in range(1, 5)]
    now = shows(**{"SKU-1": level(1), "SKU-4": level(4)})
    requests, verdicts = push(targets, refused, now)
    assert [row["sku"] for row in requests[1].json["inventories"]] == ["SKU-1", "SKU-4"]
    assert kinds(verdicts) == [Accepted, Rejected, Rejected, Accepted]


def test_the_same_variant_twice_takes_one_number() -> None:
    targets = [told(1, 4), Target(2, EXAMPLE.ids(1), (Slot(5, token="tracked"),), "key-2")]
    requests, verdicts = push(targets, shows(po_1=level(4)))
    assert requests[0].json["inventories"] == [{"product_variant_id": "po_1", "on_hand_quantity": 4}]
    assert kinds(verdicts) == [Accepted, Rejected]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (answer({"message": "Inventory tracking is off"}, status=400), [Whole, Whole]),
        (answer({}, status=422), [Whole, Whole]),
        (answer({}, status=404), [Later, Later]),
        (answer({}, status=429, retry_after="5"), [Later, Later]),
        (answer("<html>", status=403), [Later, Later]),
        (answer({}, status=401), [Later, Later]),
        (answer("", status=502), [Later, Later]),
        (SILENCE, [Unsure, Unsure]),
        (answer("<html>"), [Unsure, Unsure]),
        (answer(""), [Unsure, Unsure]),
        (answer([]), [Unsure, Unsure]),
        (answer({}), [Unsure, Unsure]),
        (shows(po_1=level(7)), [Accepted, Rejected]),
        (shows(po_1=level(7), po_2=level(None), po_3=level(1)), [Accepted, Rejected]),
        (answer({"po_1": level(7), "po_2": level(3)}), [Accepted, Accepted]),
        (
            answer({"inventories": [{"product_variant_id": f"po_{n}", **level(n)} for n in (2, 1)]}),
            [Accepted, Accepted],
        ),
    ],
)
def test_answers_to_a_write(said: Response, expected: list[type]) -> None:
    assert kinds(push([told(1, 7), told(2, 3)], said)[1]) == expected


@pytest.mark.parametrize(
    "bad", [Target(1, {}, (Slot(1),), "key"), Target(1, {"variant_id": "po_1"}, (), "key")]
)
def test_what_cannot_be_said_is_refused_without_a_call(bad: Target) -> None:
    requests, verdicts = push([bad])
    assert not requests
    assert kinds(verdicts) == [Rejected]


# --- looking --------------------------------------------------------------------------------------------


def products(*states: str) -> dict[str, Any]:
    rows = [
        {
            "id": f"p_{n}",
            "name": "Mug",
            "lifecycle_state": state,
            "variants": [{"id": f"po_{n}", "sku": f"SKU-{n}", "name": "Blue"}],
        }
        for n, state in enumerate(states, 1)
    ]
    return {"products": rows, "cursor": "next"}


def test_a_page_of_products_with_their_levels() -> None:
    listed = products("PUBLISHED", "DRAFT", "PUBLISHED", "DELETED")
    levels = shows(po_1=level(9, 2), po_2=level(None))
    requests, page = run(faire.pull(SETTINGS, None), [answer(listed), levels])
    assert requests[0].query == (("limit", "50"),)
    assert requests[1].query == (("ids", "po_1"), ("ids", "po_2"), ("ids", "po_3"))
    assert page.cursor == "next"
    assert page.seen == (
        Seen(EXAMPLE.ids(1), "SKU-1", (Shown(7, token="tracked", committed=2),), "Mug Blue"),
        Seen(EXAMPLE.ids(2), "SKU-2", (Shown(None, token=UNTRACKED),), "Mug Blue", active=False),
        # No level is no number: it is unknown and never 0.
        Seen(EXAMPLE.ids(3), "SKU-3", (), "Mug Blue"),
    )


def test_the_next_page_is_asked_for_by_cursor_alone() -> None:
    requests, page = run(faire.pull(SETTINGS, "next"), [answer({"products": [], "cursor": "next"})])
    assert requests[0].query == (("cursor", "next"),)
    assert page.cursor is None


@pytest.mark.parametrize(
    ("state", "item", "counts"),
    [
        ("NEW", {}, (0, 0)),
        ("PROCESSING", {}, (0, 0)),
        ("PENDING_RETAILER_CONFIRMATION", {}, (0, 0)),
        ("BACKORDERED", {}, (0, 0)),
        ("PRE_TRANSIT", {}, (0, 12)),
        ("IN_TRANSIT", {}, (0, 12)),
        ("DELIVERED", {}, (0, 12)),
        ("CANCELED", {}, (12, 0)),
        ("IN_TRANSIT", {"state": "CANCELED"}, (12, 0)),
    ],
)
def test_an_order(state: str, item: dict[str, Any], counts: tuple[int, int]) -> None:
    line = {"id": "oi_1", "product_id": "p_1", "variant_id": "po_1", "sku": "A", "quantity": 12, **item}
    row = {
        "id": "bo_1",
        "display_id": "X",
        "state": state,
        "updated_at": "2026-11-22T00:00:00.000Z",
        "items": [line],
    }
    said = answer({"orders": [row]})
    requests, orders = run(faire.orders(SETTINGS, "2026-11-21T12:00:00Z"), [said])
    assert requests[0].query == (("limit", "50"), ("updated_at_min", "2026-11-21T11:58:00Z"))
    (order,) = orders.orders
    assert (order.id, order.name, order.updated) == ("bo_1", "X", NOW)
    assert order.lines == (OrderLine("oi_1", EXAMPLE.ids(1), "A", 12, *counts),)
    assert (orders.cursor, orders.more) == ("2026-11-22T00:00:00Z", False)


def test_a_cursor_that_died_begins_the_round_again() -> None:
    page = {"orders": [{"id": "bo_1", "state": "NEW", "updated_at": "2026-11-22T00:00:00Z"}], "cursor": "c1"}
    _, first = run(faire.orders(SETTINGS, "2026-11-21T12:00:00Z"), [answer(page)])
    assert first.more
    answers = [answer({"message": "Invalid cursor"}, status=400), answer({"orders": []})]
    requests, second = run(faire.orders(SETTINGS, first.cursor), answers)
    assert requests[0].query == (("cursor", "c1"),)
    assert requests[1].query == (("limit", "50"), ("updated_at_min", "2026-11-21T11:58:00Z"))
    assert second.cursor == "2026-11-22T00:00:00Z"


def test_a_first_look_that_begins_again_is_followed_by_what_changed_since_it_began() -> None:
    """What left since then may be among the orders that the first pages showed."""
    row = {"id": "bo_1", "state": "NEW", "updated_at": "2026-11-21T00:00:00Z"}
    begun = answer({"orders": [row], "cursor": "c1"}, date="Sun, 22 Nov 2026 00:00:10 GMT")
    _, first = run(faire.orders(SETTINGS, None), [begun])
    lost = answer({"message": "Invalid cursor"}, 400, date="Sun, 22 Nov 2026 08:00:00 GMT")
    again = answer({"orders": []}, date="Sun, 22 Nov 2026 08:00:00 GMT")
    _, second = run(faire.orders(SETTINGS, first.cursor), [lost, again])
    assert second.cursor == "2026-11-22T00:00:10Z"


def test_the_next_round_begins_where_this_one_did_and_not_at_its_latest_change() -> None:
    """An order of the first page may have changed again while the hub was away, and lies behind that."""
    row = {"id": "bo_1", "state": "NEW", "updated_at": "2026-11-21T23:00:00Z"}
    begun = answer({"orders": [row], "cursor": "c1"}, date="Sun, 22 Nov 2026 00:00:10 GMT")
    _, first = run(faire.orders(SETTINGS, "2026-11-21T12:00:00Z"), [begun])
    late = {"id": "bo_2", "state": "NEW", "updated_at": "2026-11-22T00:08:00Z"}
    rest = answer({"orders": [late]}, date="Sun, 22 Nov 2026 00:08:10 GMT")
    assert run(faire.orders(SETTINGS, first.cursor), [rest])[1].cursor == "2026-11-22T00:00:10Z"


def test_a_cursor_that_was_never_good_does_not_go_round_without_end() -> None:
    page = {"orders": [{"id": "bo_1", "state": "NEW", "updated_at": "2026-11-22T00:00:00Z"}], "cursor": "c1"}
    made = answer(page, date="Sun, 22 Nov 2026 00:00:10 GMT")
    _, first = run(faire.orders(SETTINGS, "2026-11-21T12:00:00Z"), [made])
    refused = {"message": "Invalid cursor"}
    with pytest.raises(Failed):
        run(
            faire.orders(SETTINGS, first.cursor), [answer(refused, 400, date="Sun, 22 Nov 2026 00:10:10 GMT")]
        )
    late = answer(refused, 400, date="Sun, 22 Nov 2026 00:10:11 GMT")
    assert len(run(faire.orders(SETTINGS, first.cursor), [late, answer({"orders": []})])[0]) == 2


@pytest.mark.parametrize("said", [answer({}), answer("<html>"), answer({"orders": [{"id": "bo_1"}]})])
def test_orders_that_are_not_as_documented_fail(said: Response) -> None:
    with pytest.raises(Failed):
        run(faire.orders(SETTINGS, None), [said])


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(answer({}, status=429, retry_after="5"), 5.0), (answer({}, status=429), None), (answer({}), None)],
)
def test_pace(said: Response, seconds: float | None) -> None:
    assert faire.pace(said) == seconds


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"on_hand": 9, "committed": 2, "available": 6}, Shown(6, token="tracked", committed=2)),
        ({"on_hand": 9, "committed": 2}, Shown(7, token="tracked", committed=2)),
        ({"on_hand": 9}, Shown(9, token="tracked")),
        ({"committed": 2, "available": 6}, Shown(None, token="untracked")),
    ],
)
def test_what_a_level_shows(counts: dict[str, int], expected: Shown) -> None:
    row = {f"{name}_quantity": {"type": "QUANTITY", "quantity": units} for name, units in counts.items()}
    assert faire_levels.shown(row) == expected
