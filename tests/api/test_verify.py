"""Verification: a ledger that was used is clean, and every kind of planted damage is found and named."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, text

from damages import FITS, SAID
from hubs import Hub
from native_calls import EAST, GIFT, LAMP, MAIN, SHADE, Api, adjust, hold
from onhand.store import verify
from onhand.store.verify import Finding, Kind

HERE = f"account = :account AND item = {GIFT} AND location = {MAIN}"
ELSEWHERE = f"account = :account AND item = {SHADE} AND location = {EAST}"
FIRST = "account = :account AND seq = 5"


UNFIT = ("chain", "quantities that fit the kind")


class _Undo(Exception):
    """Carries findings out of a unit that shall leave nothing behind."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("undo")
        self.findings = findings


@pytest.fixture(scope="module")
def used(shared: Api) -> Api:
    """A hub on which a bit of everything has happened."""
    shared.change(
        adjust(-3), adjust(5), hold(4, "kept"), hold(2, "lost", ttl_seconds=20), hold(2, "shipped"),
        {"op": "ship", "reference": "shipped"}, {"op": "return", "reference": "shipped"},
        {"op": "transfer", "item": SHADE, "from": MAIN, "to": EAST, "quantity": 2},
        {"op": "set_infinite", "item": LAMP, "location": 3, "infinite": True},
        adjust(4, LAMP, 3),
        {"op": "set_infinite", "item": LAMP, "location": 3, "infinite": False},
        {"op": "set_infinite", "item": LAMP, "location": EAST, "infinite": True},
        hold(3, "endless", lines=[{"item": LAMP, "quantity": 3, "location": EAST}]),
        {"op": "ship", "reference": "endless", "lines": [{"item": LAMP, "quantity": 1}]},
        {"op": "set_infinite", "item": LAMP, "location": EAST, "infinite": False},
        {"op": "set_on_hand", "item": LAMP, "location": EAST, "quantity": 5},
        {"op": "ship", "reference": "endless", "lines": [{"item": LAMP, "quantity": 1}]},
        {"op": "forget", "item": 3, "location": MAIN},
    )  # fmt: skip
    shared.hub.clock.ahead(30)
    shared.change(adjust(1))
    shared.change(adjust(1, item=3))
    shared.change(hold(1, "short", ttl_seconds=50_000))
    return shared


def seen(hub: Hub, *statements: str) -> list[Finding]:
    """What a verification finds after ``statements``, which are then undone."""

    def unit(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement), {"account": hub.account})
        raise _Undo(list(verify.verify(connection, hub.account)))

    with pytest.raises(_Undo) as caught:
        hub.write(unit)
    return caught.value.findings


def test_a_ledger_that_was_used_is_clean(used: Api) -> None:
    body = used.get("/verify")
    assert (body["clean"], body["faults"], body["oversold"]) == (True, [], [])
    assert body["movements"] == body["as_of_seq"] > 90
    assert (body["levels"], body["reservations"]) == (77, 5)


DAMAGES = [
    (f"UPDATE levels SET on_hand = on_hand + 1 WHERE {HERE}", [("level", "on_hand")]),
    (f"UPDATE levels SET version = version + 1 WHERE {HERE}", [("level", "version")]),
    (f"UPDATE levels SET infinite = 1 WHERE {HERE}", [("level", "infinite")]),
    (f"UPDATE levels SET present = 0 WHERE {HERE}", [("level", "present")]),
    (
        f"UPDATE levels SET reserved = reserved + 1 WHERE {HERE}",
        [("level", "reserved"), ("reserved", "held by reservations")],
    ),
    ("DELETE FROM levels WHERE " + ELSEWHERE, [("no_level", "version")]),
    (
        "INSERT INTO levels (account, item, location, on_hand, reserved, infinite, present, version)"
        f" VALUES (:account, {GIFT}, 3, 4, 0, 0, 1, 2)",
        [("no_movements", "version"), ("no_movements", "on_hand"), ("no_movements", "present")],
    ),
    (
        "INSERT INTO levels (account, item, location, on_hand, reserved, infinite, present, version)"
        f" VALUES (:account, {GIFT}, 3, 0, 0, 0, 0, 0)",
        [],
    ),
    (
        "DELETE FROM movements WHERE " + FIRST,
        [("gap", "the number of a movement"), ("no_movements", "version")],
    ),
    (
        "DELETE FROM movements WHERE account = :account"
        " AND seq = (SELECT seq FROM accounts WHERE id = account)",
        [
            ("gap", "the account's last movement"),
            ("order", "the account's last time of recording"),
            ("level", "version"),
        ],
    ),
    ("UPDATE accounts SET seq = seq + 1 WHERE id = :account", [("gap", "the account's last movement")]),
    (
        "UPDATE accounts SET recorded_at = 1 WHERE id = :account",
        [("order", "the account's last time of recording")],
    ),
    (
        "UPDATE accounts SET recorded_at = recorded_at + 1 WHERE id = :account",
        [("order", "the account's last time of recording")],
    ),
    (
        f"UPDATE movements SET on_hand = on_hand + 1 WHERE {HERE} AND version = 2",
        [("chain", "on_hand_after"), ("level", "on_hand")],
    ),
    (
        "UPDATE movements SET on_hand = on_hand + 1, on_hand_after = on_hand_after + 1"
        f" WHERE {HERE} AND version = 2",
        [("chain", "on_hand_after"), ("level", "on_hand")],
    ),
    (
        f"UPDATE movements SET reserved_after = reserved_after + 1 WHERE {HERE} AND version = 3",
        [("chain", "reserved_after"), ("chain", "reserved_after")],
    ),
    (
        f"UPDATE movements SET version = version + 100 WHERE {HERE} AND version = 4",
        [("chain", "version"), ("chain", "version")],
    ),
    (
        f"UPDATE movements SET infinite = 1 WHERE {HERE} AND version = 2",
        [("chain", "infinite"), ("chain", "infinite")],
    ),
    (f"UPDATE movements SET present = 0 WHERE {HERE} AND version = 2", [("chain", "present")]),
    ("UPDATE movements SET recorded_at = 5 WHERE " + FIRST, [("order", "recorded before the one before")]),
    (
        "UPDATE movements SET effective_at = recorded_at + 1 WHERE " + FIRST,
        [("order", "in effect after its recording")],
    ),
    (
        "UPDATE movements SET effective_at = recorded_at - 1 WHERE " + FIRST,
        [("order", "in effect before its recording")],
    ),
    *[
        (f"UPDATE movements SET kind = '{kind}' WHERE {HERE} AND version = 4", [UNFIT])
        for kind in ("", "lost", "counted", "adjusted", "released", "expired", "shipped", "returned", "found")
    ],
    *[
        (f"UPDATE movements SET kind = '{kind}' WHERE {HERE} AND version = 2", [UNFIT])
        for kind in ("reserved", "found")
    ],
    (
        f"UPDATE movements SET kind = 'returned' WHERE {HERE} AND version = 2",
        [UNFIT, ("line", "returned by reservations")],
    ),
    (f"UPDATE movements SET kind = 'infinite', infinite = 1 WHERE {HERE} AND version = 2", [UNFIT]),
    (f"UPDATE movements SET kind = 'forgotten', present = 0 WHERE {HERE} AND version = 2", [UNFIT]),
    (
        "UPDATE reservation_lines SET held = held + 1 WHERE account = :account AND reference = 'kept'",
        [("reserved", "held by reservations")],
    ),
    (
        "UPDATE reservation_lines SET held = 0, released = 4 WHERE account = :account AND reference = 'kept'",
        [("reserved", "held by reservations")],
    ),
    (
        "UPDATE reservation_lines SET shipped = -1 WHERE account = :account AND reference = 'kept'",
        [("line", "shipped"), ("line", "returned of what was shipped")],
    ),
    (
        "UPDATE reservation_lines SET shipped = 1 WHERE account = :account AND reference = 'kept'",
        [("line", "shipped by reservations")],
    ),
    *[
        (  # at a level that nothing ever left or came back to
            "INSERT INTO reservation_lines SELECT account, reference, 1,"
            f" {SHADE}, location, 0, {shipped}, 0, 0, {returned}, NULL, 1, expires_at"
            " FROM reservation_lines WHERE account = :account AND reference = 'kept'",
            [("line", f"{kind} by reservations") for kind in kinds],
        )
        for shipped, returned, kinds in [(2, 0, ["shipped"]), (2, 1, ["shipped", "returned"])]
    ],
    (
        "UPDATE reservation_lines SET returned = 1 WHERE account = :account AND reference = 'shipped'",
        [("line", "returned by reservations")],
    ),
    (
        "UPDATE reservation_lines SET shipped = 0 WHERE account = :account AND reference = 'endless'",
        [("line", "shipped by reservations")],
    ),
    (  # of what left while the level was infinite, no movement says how much it was
        "UPDATE reservation_lines SET shipped = 1 WHERE account = :account AND reference = 'endless'",
        [],
    ),
    (
        "DELETE FROM reservation_lines WHERE account = :account AND reference = 'lost'",
        [("line", "lines of a reservation")],
    ),
    (
        "UPDATE reservation_lines SET per = 0 WHERE account = :account AND reference = 'kept'",
        [("line", "units in one kit")],
    ),
    (
        "UPDATE reservation_lines SET returned = 3 WHERE account = :account AND reference = 'shipped'",
        [("line", "returned of what was shipped")],
    ),
    (
        "UPDATE reservation_lines SET expires_at = 7 WHERE account = :account AND reference = 'shipped'",
        [("expiry", "the expiry of a line")],
    ),
    (
        "UPDATE reservations SET confirmed = 1, expires_at = 7"
        " WHERE account = :account AND reference = 'lost'",
        [("expiry", "the expiry of a line")],
    ),
]


@pytest.mark.parametrize(("statement", "faults"), DAMAGES)
def test_damage_is_found(used: Api, statement: str, faults: list[tuple[str, str]]) -> None:
    found = [(one.kind.value, one.what) for one in seen(used.hub, statement)]
    assert [fault for fault in found if fault in faults][: len(faults)] == faults, found
    assert {kind for kind, _ in found} == {kind for kind, _ in faults}
    assert used.get("/verify")["clean"] is True


@pytest.mark.parametrize("late", ["next_expiry + 1", "NULL"])
def test_a_level_that_would_forget_an_expiry(used: Api, late: str) -> None:
    found = seen(used.hub, f"UPDATE levels SET next_expiry = {late} WHERE {HERE}")
    assert [(one.kind, one.what) for one in found] == [(Kind.EXPIRY, "the next expiry of a level")]


@pytest.mark.parametrize(("statements", "findings"), SAID)
def test_findings_say_where_and_how_much(
    used: Api,
    statements: tuple[str, ...],
    findings: Sequence[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The database returns nothing but what is wrong: else that would be beyond the limit in a large ledger.
    monkeypatch.setattr(verify, "FINDINGS_LIMIT", 1)
    found = [(one.kind.value, *one[1:]) for one in seen(used.hub, *statements)]
    assert found == [(*one, *[None] * (len(Finding._fields) - len(one))) for one in findings]


@pytest.mark.parametrize("kind", FITS)
def test_what_a_kind_of_movement_may_do(used: Api, kind: str) -> None:
    for fits, given in zip((True, False), FITS[kind], strict=True):
        for on_hand, reserved in given:
            change = f"kind = '{kind}', on_hand = {on_hand}, reserved = {reserved}"
            found = seen(used.hub, f"UPDATE movements SET {change} WHERE {FIRST}")
            assert (UNFIT not in [(one.kind.value, one.what) for one in found]) is fits, (on_hand, reserved)


def test_a_ledger_without_its_movements(used: Api) -> None:
    last, reckoned, *_ = seen(used.hub, "DELETE FROM movements WHERE account = :account")
    assert (last.kind, last.expected, last.found) == (Kind.GAP, used.get("/verify")["as_of_seq"], 0)
    assert (reckoned.kind, reckoned.expected) == (Kind.ORDER, 0)


def test_a_line_whose_reservation_is_gone(used: Api) -> None:
    unguarded = {
        True: "PRAGMA defer_foreign_keys = ON",
        False: "ALTER TABLE reservation_lines DROP CONSTRAINT reservation_lines_account_reference_fkey",
    }[used.hub.inventory.store.sqlite]
    gone = "DELETE FROM reservations WHERE account = :account AND reference = 'kept'"
    found = seen(used.hub, unguarded, gone)
    assert [(one.what, one.reference) for one in found] == [("the reservation of a line", "kept")]


def test_oversold_is_no_fault(used: Api) -> None:
    count = {"op": "set_on_hand", "item": GIFT, "location": MAIN}
    had = used.level(GIFT)
    assert had is not None
    used.change(count | {"quantity": 1})
    found = seen(used.hub)
    used.change(count | {"quantity": had[0]})
    assert [(one.kind, one.fault, one.expected, one.found) for one in found] == [(Kind.OVERSOLD, False, 5, 1)]


def test_other_accounts_are_left_alone(used: Api) -> None:
    used.hub.another()
    other = used.hub.account_of("rival")
    assert used.hub.read(lambda c: list(verify.verify(c, other)), other) == []
    assert used.hub.read(lambda c: verify.extent(c, 999), 999) == (0, 0, 0, 0)


def test_the_api_tells_what_was_found(api: Api) -> None:
    statement = f"UPDATE levels SET on_hand = 7 WHERE {HERE}"
    api.hub.write(lambda c: c.execute(text(statement), {"account": api.hub.account}).rowcount)
    body = api.get("/verify")
    assert (body["clean"], len(body["faults"])) == (False, 1)
    fault = {"kind": "level", "what": "on_hand", "item": GIFT, "location": MAIN, "expected": 50, "found": 7}
    assert fault.items() <= body["faults"][0].items()


def test_findings_are_bounded(api: Api) -> None:
    skus = [{"sku": f"N-{n}"} for n in range(verify.FINDINGS_LIMIT + 50)]
    api.post("/items", {"items": skus}, 201)
    api.change(*[adjust(1, item=None, sku=one["sku"]) for one in skus])
    found = seen(api.hub, "UPDATE levels SET on_hand = on_hand + 1 WHERE account = :account")
    assert len(found) == verify.FINDINGS_LIMIT
