"""The pure parts: bodies, pointers, times, cursors, commands and how they are told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, structs

from onhand import wording
from onhand.api import asked, meaning, problems, schema, told
from onhand.api.problems import Problem
from onhand.stock import model
from onhand.stock.model import Floor, HoldStatus, Level

NOW = 1_800_000_000_000_000
NAMES = meaning.Names({"A": 7, "B": 8}, {"MAIN": 1, "EAST": 2}, usual=(1, 2))


# --- times and cursors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.000001z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59-01:00", 3_599_000_000),
        ("2026-11-22T13:15:23.123456789Z", 1_795_353_323_123_456),
        ("1969-12-31T23:59:59Z", -1_000_000),
        ("2026-11-22", None),
        ("2026-11-22T13:15:23", None),
        ("2026-11-22 13:15:23Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-01-01T24:00:00Z", None),
        ("2026-01-01T00:00:60Z", None),
        ("2026-01-01T00:00:00+24:00", None),
        ("２026-01-01T00:00:00Z", None),
        ("", None),
        ("now", None),
    ],
)
def test_times(text: str, micros: int | None) -> None:
    assert schema.moment(text) == micros


@pytest.mark.parametrize("micros", [0, 1, NOW, NOW + 123_456])
def test_times_come_back(micros: int) -> None:
    assert schema.moment(schema.shown(micros) or "") == micros
    assert schema.shown(None) is None


def test_cursors() -> None:
    text = schema.cursor("levels", ("x", None), 5, 6)
    shape = tuple[schema.Position, schema.Position]
    assert schema.position(text, "levels", ("x", None), shape) == (5, 6)
    for kind, filters, kinds in (
        ("items", ("x", None), shape),
        ("levels", ("y", None), shape),
        ("levels", ("x", None), tuple[schema.Position]),
    ):
        with pytest.raises(Problem, match="cursor"):
            schema.position(text, kind, filters, kinds)


@pytest.mark.parametrize("text", ["", "x", "é", "bnVsbA", "WzFd", "e30", "=" * 9, "A" * 5000, "WzEsMiwzXQ"])
def test_cursors_that_are_none(text: str) -> None:
    with pytest.raises(Problem) as caught:
        schema.position(text, "levels", (), tuple[schema.Position])
    assert caught.value.code == "invalid_cursor"


@pytest.mark.parametrize("seq", [0, 7, 10, 99, 123_456, 2**31, schema.ID_LIMIT])
def test_tokens_are_cursors(seq: int) -> None:
    assert told.token(seq) == schema.cursor(told.MOVEMENTS, (), seq)


def test_pointers() -> None:
    assert schema.pointer("a/b", "c~d", 0) == "/a~1b/c~0d/0"


# --- bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "pointer", "words"),
    [
        ({"op": "adjust"}, "", "The field location is missing"),
        ({"op": "adjust", "a/b": 1}, "/a~1b", "There is no such field here"),
        ({"op": "x" * 1000}, "/op", "Must be one of the values that are known here, not '" + "x" * 248),
        ({"op": 5}, "/op", "Must be text, not a whole number"),
        (
            {"op": "ship", "reference": "r", "lines": [{"quantity": 1, "to": 1}]},
            "/lines/0/to",
            "There is no such field here",
        ),
    ],
)
def test_what_is_wrong_is_pointed_at(value: object, pointer: str, words: str) -> None:
    with pytest.raises(Problem) as caught:
        schema.convert(value, asked.AnyChange)  # type: ignore[arg-type]  # a union is no class
    assert caught.value.errors == [{"pointer": pointer, "code": "invalid_body", "detail": words}]


class Everything(schema.Body, frozen=True, kw_only=True):
    """A field of each kind that our schemas have, and of those that they may have one day."""

    text: str = ""
    number: int = 0
    real: float = 0.0
    flag: bool = False
    maybe: str | None = None
    either: schema.Where = 1
    some: list[int] = []
    inner: asked.AnyChange | None = None
    named: dict[schema.Name, int] = {}
    few: Annotated[dict[str, int], Meta(min_length=1, max_length=2)] = {}
    listed: Annotated[list[int], Meta(min_length=1, max_length=2)] = []
    pair: tuple[int, int] = (0, 0)
    least: Annotated[int, Meta(ge=1, le=9)] = 1
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    dozen: Annotated[int, Meta(multiple_of=12)] = 0
    short: Annotated[str, Meta(min_length=1, max_length=3)] = "x"
    form: Annotated[str, Meta(pattern=r"^[a-z]\d*$")] = ""
    blank: Annotated[str, Meta(pattern=wording.NOT_BLANK)] = "-"
    money: Annotated[str, Meta(pattern=wording.MONEY)] = "0"
    currency: Annotated[str, Meta(pattern=wording.CURRENCY)] = "EUR"
    mode: Literal["atomic", "partial"] = "atomic"
    floor: Floor | None = None


NOT_FITTING: list[tuple[dict[str, Any], str, str]] = [
    ({"text": None}, "/text", "Must be text, not null"),
    ({"text": 1}, "/text", "Must be text, not a whole number"),
    ({"text": []}, "/text", "Must be text, not a list"),
    ({"number": True}, "/number", "Must be a whole number, not true or false"),
    ({"number": 3.5}, "/number", "Must be a whole number, not one with a fraction"),
    ({"number": "3"}, "/number", "Must be a whole number, not text"),
    ({"least": 2**80}, "/least", "Must be at most 9"),
    ({"real": "x"}, "/real", "Must be a number, not text"),
    ({"flag": 0}, "/flag", "Must be true or false, not a whole number"),
    ({"maybe": {}}, "/maybe", "Must be text or null, not an object"),
    ({"either": None}, "/either", "Must be a whole number or text, not null"),
    ({"some": {}}, "/some", "Must be a list, not an object"),
    ({"some": [1, None]}, "/some/1", "Must be a whole number, not null"),
    ({"inner": []}, "/inner", "Must be an object or null, not a list"),
    ({"inner": {}}, "/inner", "The field op is missing"),
    ({"inner": {"op": "confirm"}}, "/inner", "The field reference is missing"),
    ({"inner": {"op": "x"}}, "/inner/op", "Must be one of the values that are known here, not 'x'"),
    ({"inner": {"op": None}}, "/inner/op", "Must be text, not null"),
    ({"named": {"": 1}}, "/named", "A name in it must have at least 1 character"),
    ({"named": {"a": None}}, "/named", "Must be a whole number, not null"),
    ({"few": {}}, "/few", "Must have at least 1 entry"),
    ({"few": dict.fromkeys("abc", 1)}, "/few", "Must have at most 2 entries"),
    ({"listed": []}, "/listed", "Must have at least 1 entry"),
    ({"listed": [1, 2, 3]}, "/listed", "Must have at most 2 entries"),
    ({"pair": [1]}, "/pair", "Must have 2 entries"),
    ({"least": 0}, "/least", "Must be at least 1"),
    ({"least": 10}, "/least", "Must be at most 9"),
    ({"share": 0}, "/share", "Must be more than 0.0"),
    ({"share": 1.0}, "/share", "Must be less than 1.0"),
    ({"dozen": 13}, "/dozen", "Must be a multiple of 12"),
    ({"short": ""}, "/short", "Must have at least 1 character"),
    ({"short": "long"}, "/short", "Must have at most 3 characters"),
    ({"form": "A"}, "/form", r"Must match the pattern ^[a-z]\d*$"),
    ({"blank": "\u2003"}, "/blank", "Must not be blank"),
    ({"money": "1,5"}, "/money", wording.PATTERNS[wording.MONEY]),
    ({"currency": "eur"}, "/currency", wording.PATTERNS[wording.CURRENCY]),
    ({"mode": "all"}, "/mode", "Must be one of the values that are known here, not 'all'"),
    ({"floor": "x"}, "/floor", "Must be one of the values that are known here, not 'x'"),
    ({"more": 1}, "/more", "There is no such field here"),
]


@pytest.mark.parametrize(("value", "pointer", "words"), NOT_FITTING)
def test_every_complaint_is_in_plain_words(value: object, pointer: str, words: str) -> None:
    with pytest.raises(Problem) as caught:
        schema.convert(value, Everything)
    assert caught.value.errors == [{"pointer": pointer, "code": "invalid_body", "detail": words}]


@pytest.mark.parametrize("body", [None, 1, 1.5, "x", True, []])
def test_a_body_that_is_no_object(body: object) -> None:
    with pytest.raises(Problem, match=r"^Must be an object, not [a-z ]+$"):
        schema.convert(body, Everything)


def command(body: dict[str, Any], names: meaning.Names = NAMES) -> model.AnyCommand:
    change: asked.AnyChange = schema.convert(body, asked.AnyChange)  # type: ignore[arg-type]
    return meaning.command(change, names, NOW)


COMMANDS = [
    ({"op": "set_on_hand", "sku": "A", "location": 1, "quantity": 0}, model.SetOnHand(7, 1, 0)),
    (
        {"op": "set_available", "item": 9, "location": "EAST", "quantity": 4, "expected": 0, "reason": "x"},
        model.SetAvailable(9, 2, 4, 0, "x"),
    ),
    (
        {"op": "adjust", "sku": "B", "location": "MAIN", "delta": -3, "floor": "on_hand", "reference": "o"},
        model.Adjust(8, 1, -3, Floor.ON_HAND, None, "o"),
    ),
    ({"op": "set_infinite", "sku": "A", "location": 1, "infinite": False}, model.SetInfinite(7, 1, False)),
    ({"op": "forget", "sku": "A", "item": None, "location": 1}, model.Forget(7, 1)),
    ({"op": "transfer", "sku": "A", "from": "EAST", "to": 3, "quantity": 2}, model.Transfer(7, 2, 3, 2)),
    (
        {"op": "reserve", "reference": "r", "ttl_seconds": 2, "lines": [{"sku": "A", "quantity": 1}]},
        model.Reserve("r", (model.Line(7, 1, (1, 2)),), NOW + 2_000_000),
    ),
    (
        {
            "op": "reserve",
            "reference": "r",
            "confirmed": True,
            "lines": [{"sku": "A", "quantity": 1, "locations": [2, "MAIN", "EAST"]}],
        },
        model.Reserve("r", (model.Line(7, 1, (2, 1)),), None, True),
    ),
    ({"op": "extend", "reference": "r", "expires_at": None}, model.Extend("r", None)),
    (
        {"op": "extend", "reference": "r", "expires_at": "2027-01-15T08:00:01Z"},
        model.Extend("r", 1_800_000_001_000_000),
    ),
    ({"op": "confirm", "reference": "r", "reason": "paid"}, model.Confirm("r", "paid")),
    ({"op": "release", "reference": "r"}, model.Release("r")),
    (
        {"op": "ship", "reference": "r", "lines": [{"sku": "A", "quantity": 1, "location": "EAST"}]},
        model.Ship("r", (model.Part(7, 1, 2),)),
    ),
    ({"op": "return", "reference": "r", "lines": None}, model.Return("r")),
]


@pytest.mark.parametrize(("body", "expected"), COMMANDS)
def test_commands(body: dict[str, Any], expected: model.AnyCommand) -> None:
    assert command(body) == expected


def test_a_line_without_any_location() -> None:
    body = {"op": "reserve", "reference": "r", "expires_at": None, "lines": [{"sku": "A", "quantity": 1}]}
    with pytest.raises(Problem) as caught:
        command(body, structs.replace(NAMES, usual=()))
    assert caught.value.code == "unknown_location"


# --- telling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "code", "figures"),
    [
        (model.Stale(1, 2, 5, 4), "stale_quantity", {"item": 1, "location": 2, "expected": 5, "shown": 4}),
        (
            model.Insufficient(1, 2, 9, 3, 5, 2),
            "insufficient_stock",
            {"item": 1, "location": 2, "wanted": 9, "available": 3, "on_hand": 5, "reserved": 2},
        ),
        (model.Unknown("line", "7"), "unknown_line", {"name": "7"}),
        (model.Closed(4), "listing_closed", {"listing": 4}),
        (
            model.Expired("r", 1_000_000),
            "hold_expired",
            {"reference": "r", "expired_at": "1970-01-01T00:00:01.000000Z"},
        ),
        (model.Exists("r", HoldStatus.SHIPPED), "reference_taken", {"reference": "r", "status": "shipped"}),
        (model.Exists("r", None), "reference_taken", {"reference": "r"}),
        (model.TooLarge(10**13), "quantity_out_of_range", {"value": 10**13, "limit": 10**12}),
        (model.Forbidden("no kits here"), "not_allowed", {}),
        (model.Undone(), "undone", {}),
    ],
)
def test_refusals(refusal: model.AnyRefusal, code: str, figures: dict[str, Any]) -> None:
    entry = told.refusal(refusal, "/changes/3")
    assert (entry["pointer"], entry["code"]) == ("/changes/3", code)
    assert {name: entry[name] for name in entry.keys() - {"pointer", "code", "detail"}} == figures
    problem = told.refused(refusal)
    assert (problem.code, problem.status) == (code, problems.SORTS[code].status)


@pytest.mark.parametrize("kind", ["item", "location", "reservation", "level", "line"])
def test_everything_unknown_has_a_code(kind: str) -> None:
    assert told.refused(model.Unknown(kind, "x")).status == 404


def test_codes_have_a_status_of_their_own_kind() -> None:
    assert set(problems.BY_STATUS.values()) <= set(problems.SORTS)
    for code, sort in problems.SORTS.items():
        assert 400 <= sort.status < 600
        assert sort.title[0].isupper(), code
        assert sort.advice.endswith("."), code


@pytest.mark.parametrize("body", [body for body, _ in COMMANDS])
def test_changes_are_told_as_they_were_asked(body: dict[str, Any]) -> None:
    first = command(body)
    shown = told.change(first)
    if isinstance(first, model.Reserve | model.Extend):
        assert shown["op"] == body["op"]
        return
    assert command(shown) == first


def test_a_level_tells_an_expiry_only_while_something_is_reserved() -> None:
    level = Level(5, 2, present=True, version=3, next_expiry=NOW)
    assert told.level((1, 2), level).next_expiry == schema.shown(NOW)
    assert told.level((1, 2), Level(5, 0, present=True, version=3, next_expiry=NOW)).next_expiry is None
    rows = [(1, 2, 5, reserved, 0, 3, NOW) for reserved in (2, 0)]
    assert [row.next_expiry for row in told.standing(rows, told.NO_LABELS)] == [
        schema.shown(NOW),
        None,
    ]
