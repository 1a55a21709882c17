"""Damage to the ledger of the demo that `tests/api/test_verify.py` has used, and all that is said of it."""

from __future__ import annotations

from collections.abc import Sequence

from native_calls import EAST, GIFT, LAMP, MAIN, SHADE

ELSEWHERE = f"account = :account AND item = {SHADE} AND location = {EAST}"
FIRST = "account = :account AND seq = 5"
EVEN = (
    "UPDATE movements SET recorded_at = 1000 + seq, effective_at = 1000 + seq WHERE account = :account",
    "UPDATE accounts SET recorded_at = 1000 + seq WHERE id = :account",
)
"""Has each movement recorded at a time that a row can name."""

THE_LINE = "account = :account AND reference ="
SECOND = f"{ELSEWHERE} AND version = 2"
LINES: list[tuple[str, str, list[tuple[object, ...]]]] = [
    ("endless", "held = 9", [("reserved", "held by reservations", 9, 1, LAMP, EAST)]),
    ("kept", "per = 0", [("line", "units in one kit", 1, 0, GIFT, MAIN, None, "kept")]),
    ("kept", "released = -1", [("line", "released", 0, -1, GIFT, MAIN, None, "kept")]),
    ("kept", "expired = -1", [("line", "expired", 0, -1, GIFT, MAIN, None, "kept")]),
    ("endless", "held = 0", [("reserved", "held by reservations", 0, 1, LAMP, EAST)]),
    ("endless", "returned = 1", [("line", "returned by reservations", 0, 1, LAMP, EAST)]),
    (
        "shipped",
        "returned = -1",
        [
            ("line", "returned", 0, -1, GIFT, MAIN, None, "shipped"),
            ("line", "returned by reservations", 2, -1, GIFT, MAIN),
        ],
    ),
    (
        "shipped",
        "held = -1, shipped = 4",
        [
            ("line", "held", 0, -1, GIFT, MAIN, None, "shipped"),
            ("line", "shipped by reservations", 2, 4, GIFT, MAIN),
        ],
    ),
    (
        "shipped",
        "returned = 3",
        [
            ("line", "returned of what was shipped", 2, 3, GIFT, MAIN, None, "shipped"),
            ("line", "returned by reservations", 2, 3, GIFT, MAIN),
        ],
    ),
]
"""Of a reservation: what is changed in its lines, and what is then said."""

LEVEL = ("version", "on_hand", "reserved", "infinite", "present")
SAID: list[tuple[tuple[str, ...], Sequence[tuple[object, ...]]]] = [
    (("UPDATE accounts SET seq = 3 WHERE id = :account",), [("gap", "the account's last movement", 3, 97)]),
    (
        (*EVEN, "UPDATE accounts SET recorded_at = 7 WHERE id = :account"),
        [("order", "the account's last time of recording", 1097, 7)],
    ),
    (
        ("DELETE FROM movements WHERE " + FIRST,),
        [
            ("gap", "the number of a movement", 5, 6, None, None, 6),
            ("no_movements", "version", 0, 1, 3, EAST),
            ("no_movements", "on_hand", 0, 10, 3, EAST),
            ("no_movements", "present", 0, 1, 3, EAST),
        ],
    ),
    *[
        (
            (*EVEN, f"UPDATE movements SET {change} WHERE account = :account AND seq = {seq}"),
            [("order", what, expected, found, None, None, seq)],
        )
        for seq, change, what, expected, found in [
            (5, "recorded_at = 3, effective_at = 3", "recorded before the one before", 1004, 3),
            (5, "effective_at = 1007", "in effect after its recording", 1005, 1007),
            (5, "effective_at = 1002", "in effect before its recording", 1005, 1002),
            # What has run out is written down later, but not before what came before.
            (94, "recorded_at = 3, effective_at = 2", "recorded before the one before", 1093, 3),
        ]
    ],
    (
        (f"UPDATE movements SET on_hand = 5 WHERE {SECOND}",),
        [
            ("chain", "on_hand_after", 15, 12, SHADE, EAST, 84),
            ("level", "on_hand", 15, 12, SHADE, EAST, 84),
        ],
    ),
    (
        (f"UPDATE movements SET kind = 'lost' WHERE {SECOND}",),
        [("chain", "quantities that fit the kind", 1, 0, SHADE, EAST, 84)],
    ),
    (
        (f"UPDATE levels SET version = 9, on_hand = 7, infinite = 1, present = 0 WHERE {ELSEWHERE}",),
        [
            ("level", "version", 2, 9, SHADE, EAST, 84),
            ("level", "on_hand", 12, 7, SHADE, EAST, 84),
            ("level", "infinite", 0, 1, SHADE, EAST, 84),
            ("level", "present", 1, 0, SHADE, EAST, 84),
        ],
    ),
    ((f"DELETE FROM levels WHERE {ELSEWHERE}",), [("no_level", "version", 2, None, SHADE, EAST, 84)]),
    (
        (f"UPDATE levels SET reserved = 3 WHERE {ELSEWHERE}",),
        [
            ("level", "reserved", 0, 3, SHADE, EAST, 84),
            ("reserved", "held by reservations", 0, 3, SHADE, EAST),
        ],
    ),
    *[
        (
            (
                f"UPDATE reservations SET confirmed = 0, expires_at = 7 WHERE {THE_LINE} 'endless'",
                f"UPDATE reservation_lines SET expires_at = 7 WHERE {THE_LINE} 'endless'",
                f"UPDATE levels SET next_expiry = {word} WHERE account = :account AND item = {LAMP}"
                f" AND location = {EAST}",
            ),
            [("expiry", "the next expiry of a level", 7, known, LAMP, EAST)],
        )
        for word, known in [("NULL", None), ("8", 8)]
    ],
    *[
        ((f"UPDATE reservation_lines SET {change} WHERE {THE_LINE} '{name}'",), found)
        for name, change, found in LINES
    ],
    (
        (f"UPDATE reservations SET confirmed = 0, expires_at = 9 WHERE {THE_LINE} 'shipped'",),
        [("expiry", "the expiry of a line", 9, 0, GIFT, MAIN, None, "shipped")],
    ),
    (
        (
            f"UPDATE reservations SET confirmed = 1, expires_at = 7 WHERE {THE_LINE} 'shipped'",
            f"UPDATE reservation_lines SET expires_at = 7 WHERE {THE_LINE} 'shipped'",
        ),
        [("expiry", "the expiry of a line", 0, 7, GIFT, MAIN, None, "shipped")],
    ),
    (
        (f"DELETE FROM reservation_lines WHERE {THE_LINE} 'lost'",),
        [("line", "lines of a reservation", 1, 0, None, None, None, "lost")],
    ),
    (
        (f"UPDATE levels SET infinite = 0, on_hand = -1 WHERE {ELSEWHERE}",),
        [
            ("level", "on_hand", 12, -1, SHADE, EAST, 84),
            ("oversold", "on hand for what is reserved", 0, -1, SHADE, EAST),
        ],
    ),
    (
        (f"DELETE FROM levels WHERE account = :account AND item = {LAMP} AND location = {EAST}",),
        [
            ("no_level", "version", 6, None, LAMP, EAST, 92),
            ("reserved", "held by reservations", 1, None, LAMP, EAST),
        ],
    ),
    (  # of two ends it is the first that counts
        (
            f"UPDATE reservations SET confirmed = 0, expires_at = 8 WHERE {THE_LINE} 'kept'",
            f"UPDATE reservation_lines SET expires_at = 8 WHERE {THE_LINE} 'kept'",
            f"UPDATE levels SET next_expiry = 9 WHERE account = :account AND item = {GIFT}"
            f" AND location = {MAIN}",
        ),
        [("expiry", "the next expiry of a level", 8, 9, GIFT, MAIN)],
    ),
    (
        (
            "INSERT INTO reservation_lines SELECT account, reference, 2, item, location, 0, 0, 0, 0, 0, NULL,"
            f" 1, expires_at FROM reservation_lines WHERE {THE_LINE} 'kept'",
        ),
        [("line", "lines of a reservation", 3, 2, None, None, None, "kept")],
    ),
    *[
        (
            (
                "INSERT INTO levels (account, item, location, version, on_hand, reserved, infinite, present)"
                f" VALUES (:account, {GIFT}, 3, {', '.join(str(int(name == one)) for one in LEVEL)})",
            ),
            [
                ("no_movements", name, 0, 1, GIFT, 3),
                *[("reserved", "held by reservations", 0, 1, GIFT, 3)] * (name == "reserved"),
            ],
        )
        for name in LEVEL
    ],
]

FITS = {
    # what each kind may add to on hand and to reserved, and what it may not
    "counted": ([(5, 0), (0, 0), (-5, 0)], [(0, 1), (0, -1)]),
    "adjusted": ([(5, 0), (-5, 0)], [(0, 0), (5, 1), (0, 1)]),
    "reserved": ([(0, 1)], [(0, 0), (0, -1), (1, 1), (-1, 1)]),
    "released": ([(0, -1)], [(0, 0), (0, 1), (1, -1), (-1, -1)]),
    "expired": ([(0, -1)], [(0, 0), (0, 1), (1, -1), (-1, -1)]),
    "shipped": ([(-1, -1), (-1, 0), (0, -1), (0, 0)], [(1, -1), (-1, 1)]),
    "returned": ([(1, 0), (0, 0)], [(-1, 0), (1, 1), (1, -1)]),
    "found": ([(1, 0)], [(0, 0), (-1, 0), (1, 1), (1, -1)]),
    "transferred": ([(1, 0), (-1, 0)], [(0, 0), (1, 1), (0, 1)]),
    "infinite": ([(0, 0)], [(1, 0), (-1, 0), (0, 1)]),
    "finite": ([(0, 0)], [(1, 0), (-1, 0), (0, 1)]),
    "lost": ([], [(0, 0), (1, 0), (0, 1)]),
}
