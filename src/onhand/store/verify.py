"""Recomputes an account from its movements and says what does not agree; reads only, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection

from onhand.store.sql import Statement

FINDINGS_LIMIT = 1000
"""Findings that one check returns: what is broken everywhere need not be listed everywhere."""


class Kind(StrEnum):
    """What was found. All but `OVERSOLD` are faults of the ledger."""

    GAP = "gap"
    ORDER = "order"
    CHAIN = "chain"
    LEVEL = "level"
    NO_LEVEL = "no_level"
    NO_MOVEMENTS = "no_movements"
    RESERVED = "reserved"
    LINE = "line"
    EXPIRY = "expiry"
    OVERSOLD = "oversold"


class Finding(NamedTuple):
    """Something that does not agree: which number of what, what it should be and what it is.

    Quantities are units, ``seq`` a movement's number; a name that says nothing here is None.
    """

    kind: Kind
    what: str
    expected: int | None = None
    found: int | None = None
    item: int | None = None
    location: int | None = None
    seq: int | None = None
    reference: str | None = None

    @property
    def fault(self) -> bool:
        """Whether the ledger is wrong; being oversold is a state of trade, not a fault."""
        return self.kind is not Kind.OVERSOLD


class Extent(NamedTuple):
    """How much an account has: what a verification looks at."""

    seq: int
    movements: int
    levels: int
    reservations: int


class Check(NamedTuple):
    """One question to the ledger, in words, and who answers it."""

    words: str
    run: Callable[[Connection, int], Iterator[Finding]]


_extent = Statement(
    "SELECT a.seq, (SELECT COUNT(*) FROM movements WHERE account = a.id),"
    " (SELECT COUNT(*) FROM levels WHERE account = a.id AND version > 0),"
    " (SELECT COUNT(*) FROM reservations WHERE account = a.id) FROM accounts a WHERE a.id = :account"
)


def extent(connection: Connection, account: int) -> Extent:
    """How much there is to verify."""
    rows = _extent.run(connection, account=account)
    return Extent(*rows[0]) if rows else Extent(0, 0, 0, 0)


def verify(connection: Connection, account: int) -> Iterator[Finding]:
    """Everything that does not agree in the account, as the connection's snapshot shows it.

    Each check returns at most `FINDINGS_LIMIT` findings. Memory does not grow with the ledger: the
    database walks its indexes and returns only what is wrong. Run `CHECKS` one by one to show progress.
    """
    for check in CHECKS:
        yield from check.run(connection, account)


# A sum over the one row before is that row's value: unlike lag(), SQLite computes it without keeping rows.
_BEFORE = "ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING"


def _limited(statement: Statement, connection: Connection, account: int) -> Sequence[Any]:
    return statement.run(connection, account=account, limit=FINDINGS_LIMIT)


# --- movements ----------------------------------------------------------------------------------------

_ends = Statement(
    "SELECT a.seq, COALESCE(MAX(m.seq), 0), a.recorded_at, COALESCE(MAX(m.recorded_at), 0) FROM accounts a"
    " LEFT JOIN movements m ON m.account = a.id WHERE a.id = :account GROUP BY a.id, a.seq, a.recorded_at"
)
_order = Statement(
    "SELECT seq, before, recorded_at, earlier, effective_at, kind FROM"
    " (SELECT seq, recorded_at, effective_at, kind,"
    " COALESCE(SUM(seq) OVER w, 0) AS before, COALESCE(SUM(recorded_at) OVER w, 0) AS earlier"
    f" FROM movements WHERE account = :account WINDOW w AS (ORDER BY seq {_BEFORE})) o"
    " WHERE seq <> before + 1 OR recorded_at < earlier OR effective_at > recorded_at"
    " OR (effective_at < recorded_at AND kind <> 'expired')"
    " ORDER BY seq LIMIT :limit"
)


def _numbering(connection: Connection, account: int) -> Iterator[Finding]:
    """Movements are numbered from 1 to the account's seq without gaps, in the order of their times."""
    for seq, last, recorded_at, latest in _ends.run(connection, account=account):
        if seq != last:
            yield Finding(Kind.GAP, "the account's last movement", seq, last)
        if latest != recorded_at:
            yield Finding(Kind.ORDER, "the account's last time of recording", latest, recorded_at)
    for seq, before, recorded_at, earlier, effective_at, kind in _limited(_order, connection, account):
        if seq != before + 1:
            yield Finding(Kind.GAP, "the number of a movement", int(before) + 1, seq, seq=seq)
        if recorded_at < earlier:
            yield Finding(Kind.ORDER, "recorded before the one before", int(earlier), recorded_at, seq=seq)
        if effective_at > recorded_at:
            yield Finding(Kind.ORDER, "in effect after its recording", recorded_at, effective_at, seq=seq)
        if effective_at < recorded_at and kind != "expired":
            yield Finding(Kind.ORDER, "in effect before its recording", recorded_at, effective_at, seq=seq)


_NEXT = {
    "version": "before + 1",
    "on_hand_after": "had + on_hand",
    "reserved_after": "held + reserved",
    "infinite": "CASE kind WHEN 'infinite' THEN 1 WHEN 'finite' THEN 0 WHEN 'forgotten' THEN 0"
    " ELSE endless END",
    "present": "CASE WHEN kind = 'forgotten' THEN 0 ELSE 1 END",
}
_chain = Statement(
    f"SELECT seq, item, location, {', '.join(_NEXT)}, {', '.join(_NEXT.values())}"
    " FROM (SELECT seq, item, location, kind, version, on_hand, reserved, on_hand_after, reserved_after,"
    " infinite, present, COALESCE(SUM(version) OVER w, 0) AS before,"
    " COALESCE(SUM(on_hand_after) OVER w, 0) AS had, COALESCE(SUM(reserved_after) OVER w, 0) AS held,"
    " COALESCE(SUM(infinite) OVER w, 0) AS endless FROM movements WHERE account = :account"
    f" WINDOW w AS (PARTITION BY item, location ORDER BY seq {_BEFORE})) o"
    f" WHERE {' OR '.join(f'{name} <> {rule}' for name, rule in _NEXT.items())}"
    " ORDER BY item, location, seq LIMIT :limit"
)

# What each kind may do to on_hand and to reserved; a kind that is not here is none.
_FITS = {
    "counted": "reserved = 0",
    "adjusted": "on_hand <> 0 AND reserved = 0",
    "reserved": "on_hand = 0 AND reserved > 0",
    "released": "on_hand = 0 AND reserved < 0",
    "expired": "on_hand = 0 AND reserved < 0",
    "shipped": "on_hand <= 0 AND reserved <= 0",
    "returned": "on_hand >= 0 AND reserved = 0",
    "found": "on_hand > 0 AND reserved = 0",
    "transferred": "on_hand <> 0 AND reserved = 0",
    "infinite": "on_hand = 0 AND reserved = 0",
    "finite": "on_hand = 0 AND reserved = 0",
    "forgotten": "on_hand_after = 0 AND reserved_after = 0",
}
_fit = " ".join(f"WHEN '{kind}' THEN {fits}" for kind, fits in _FITS.items())
_unfit = Statement(
    "SELECT seq, item, location FROM movements WHERE account = :account"
    f" AND NOT CASE kind {_fit} ELSE 1 = 0 END ORDER BY seq LIMIT :limit"
)


def _chains(connection: Connection, account: int) -> Iterator[Finding]:
    """Each movement follows from the one before at its level, and does what its kind may do."""
    for seq, item, location, *values in _limited(_chain, connection, account):
        for name, found, expected in zip(_NEXT, values[: len(_NEXT)], values[len(_NEXT) :], strict=True):
            if found != expected:
                yield Finding(Kind.CHAIN, name, int(expected), found, item, location, seq)
    for seq, item, location in _limited(_unfit, connection, account):
        yield Finding(Kind.CHAIN, "quantities that fit the kind", 1, 0, item, location, seq)


# --- levels -------------------------------------------------------------------------------------------

_SUMS = ("version", "on_hand", "reserved", "infinite", "present")
_levels = Statement(
    "SELECT s.item, s.location, s.seq, l.version, l.on_hand, l.reserved, l.infinite, l.present,"
    " s.count, s.on_hand, s.reserved, m.infinite, m.present FROM"
    " (SELECT item, location, COUNT(*) AS count, SUM(on_hand) AS on_hand, SUM(reserved) AS reserved,"
    " MAX(seq) AS seq FROM movements WHERE account = :account GROUP BY item, location) s"
    " JOIN movements m ON m.account = :account AND m.seq = s.seq"
    " LEFT JOIN levels l ON l.account = :account AND l.item = s.item AND l.location = s.location"
    " WHERE l.version IS NULL OR l.version <> s.count OR l.on_hand <> s.on_hand OR l.reserved <> s.reserved"
    " OR l.infinite <> m.infinite OR l.present <> m.present ORDER BY 1, 2 LIMIT :limit"
)
_unmoved = Statement(
    "SELECT l.item, l.location, l.version, l.on_hand, l.reserved, l.infinite, l.present FROM levels l"
    " WHERE l.account = :account AND NOT EXISTS (SELECT 1 FROM movements m WHERE m.account = l.account"
    " AND m.item = l.item AND m.location = l.location) AND (l.version <> 0 OR l.on_hand <> 0"
    " OR l.reserved <> 0 OR l.infinite <> 0 OR l.present <> 0) ORDER BY 1, 2 LIMIT :limit"
)


def _recomputed(connection: Connection, account: int) -> Iterator[Finding]:
    """Each level is what its movements add up to."""
    for item, location, seq, *values in _limited(_levels, connection, account):
        if values[0] is None:
            yield Finding(Kind.NO_LEVEL, "version", int(values[5]), None, item, location, seq)
            continue
        for name, found, expected in zip(_SUMS, values[:5], values[5:], strict=True):
            if found != expected:
                yield Finding(Kind.LEVEL, name, int(expected), found, item, location, seq)
    for item, location, *values in _limited(_unmoved, connection, account):
        for name, found in zip(_SUMS, values, strict=True):
            if found:
                yield Finding(Kind.NO_MOVEMENTS, name, 0, found, item, location)


# --- reservations -------------------------------------------------------------------------------------

_held = Statement(
    "SELECT h.item, h.location, h.held, l.reserved, h.due, l.next_expiry FROM"
    " (SELECT item, location, SUM(held) AS held, MIN(expires_at) AS due FROM reservation_lines"
    " WHERE account = :account AND held > 0 GROUP BY item, location) h"
    " LEFT JOIN levels l ON l.account = :account AND l.item = h.item AND l.location = h.location"
    " WHERE l.reserved IS NULL OR l.reserved <> h.held"
    " OR (h.due IS NOT NULL AND (l.next_expiry IS NULL OR l.next_expiry > h.due)) ORDER BY 1, 2 LIMIT :limit"
)
_unheld = Statement(
    "SELECT l.item, l.location, l.reserved FROM levels l WHERE l.account = :account AND l.reserved <> 0"
    " AND NOT EXISTS (SELECT 1 FROM reservation_lines n WHERE n.account = l.account AND n.item = l.item"
    " AND n.location = l.location AND n.held > 0) ORDER BY 1, 2 LIMIT :limit"
)
_COUNTS = ("held", "shipped", "released", "expired", "returned")
_lines = Statement(
    f"SELECT n.reference, n.item, n.location, {', '.join(f'n.{name}' for name in _COUNTS)},"
    " COALESCE(n.expires_at, 0), COALESCE(h.expires_at, 0), h.confirmed, n.per FROM reservation_lines n"
    " LEFT JOIN reservations h ON h.account = n.account AND h.reference = n.reference"
    " WHERE n.account = :account AND (n.held < 0 OR n.shipped < 0 OR n.released < 0 OR n.expired < 0"
    " OR n.returned < 0 OR n.returned > n.shipped OR COALESCE(n.expires_at, 0) <> COALESCE(h.expires_at, 0)"
    " OR (h.confirmed = 1 AND h.expires_at IS NOT NULL) OR h.confirmed IS NULL OR n.per < 1)"
    " ORDER BY n.reference, n.line LIMIT :limit"
)
# Lines are numbered from 0 on; one that held nothing any more would be missed by nothing else.
_lacking = Statement(
    "SELECT h.reference, COUNT(n.line), COALESCE(MAX(n.line), 0) + 1 FROM reservations h"
    " LEFT JOIN reservation_lines n ON n.account = h.account AND n.reference = h.reference"
    " WHERE h.account = :account GROUP BY h.reference"
    " HAVING COUNT(n.line) <> COALESCE(MAX(n.line), 0) + 1 ORDER BY 1 LIMIT :limit"
)
# What leaves or comes back while a level is infinite does not touch its on_hand. A few movements of many are
# sorted for less than all of them are found through the index of their levels: hence the plus signs.
_PAST = (("shipped", "-on_hand"), ("returned", "on_hand"))
_sums = ", ".join(
    f"SUM(CASE WHEN kind = '{kind}' THEN {units} ELSE 0 END) AS {kind},"
    f" MAX(CASE WHEN kind = '{kind}' THEN infinite ELSE 0 END) AS {kind}_endless"
    for kind, units in _PAST
)
_amiss = " OR ".join(
    f"SUM(said_{kind}) < SUM({kind}) OR (MAX({kind}_endless) = 0 AND SUM(said_{kind}) <> SUM({kind}))"
    for kind, _ in _PAST
)
# Put under one another and not joined: what only one side knows is wrong as well.
_past = Statement(
    "SELECT item, location, SUM(shipped), MAX(shipped_endless), SUM(said_shipped), SUM(returned),"
    " MAX(returned_endless), SUM(said_returned) FROM"
    f" (SELECT +item AS item, +location AS location, {_sums}, 0 AS said_shipped, 0 AS said_returned"
    " FROM movements WHERE account = :account AND kind IN ('shipped', 'returned') GROUP BY 1, 2"
    " UNION ALL SELECT item, location, 0, 0, 0, 0, SUM(shipped), SUM(returned) FROM reservation_lines"
    " WHERE account = :account AND (shipped <> 0 OR returned <> 0) GROUP BY item, location) b"
    f" GROUP BY item, location HAVING {_amiss} ORDER BY 1, 2 LIMIT :limit"
)


def _holds(connection: Connection, account: int) -> Iterator[Finding]:
    """What a level has reserved is what reservations hold there, and their expiry is known to it."""
    for item, location, held, reserved, due, expiry in _limited(_held, connection, account):
        if reserved is None or reserved != held:
            yield Finding(Kind.RESERVED, "held by reservations", int(held), reserved, item, location)
        if due is not None and (expiry is None or expiry > due):
            yield Finding(Kind.EXPIRY, "the next expiry of a level", due, expiry, item, location)
    for item, location, reserved in _limited(_unheld, connection, account):
        yield Finding(Kind.RESERVED, "held by reservations", 0, reserved, item, location)


def _counts(connection: Connection, account: int) -> Iterator[Finding]:
    """No line of a reservation counts below nothing, its expiry is its reservation's, and none is missing."""
    for reference, item, location, *values in _limited(_lines, connection, account):
        here = {"item": item, "location": location, "reference": reference}
        for name, found in zip(_COUNTS, values, strict=False):
            if found < 0:
                yield Finding(Kind.LINE, name, 0, found, **here)
        if values[4] > values[1]:
            yield Finding(Kind.LINE, "returned of what was shipped", values[1], values[4], **here)
        expiry, due, confirmed, per = values[5:]
        if confirmed is None:
            yield Finding(Kind.LINE, "the reservation of a line", 1, 0, **here)
        elif expiry != due or (confirmed and due):
            yield Finding(Kind.EXPIRY, "the expiry of a line", 0 if confirmed else due, expiry, **here)
        if per < 1:
            yield Finding(Kind.LINE, "units in one kit", 1, per, **here)
    for reference, found, expected in _limited(_lacking, connection, account):
        yield Finding(Kind.LINE, "lines of a reservation", expected, found, reference=reference)


def _gone(connection: Connection, account: int) -> Iterator[Finding]:
    """What reservations say was shipped and came back at a level is what its movements say."""
    for item, location, *values in _limited(_past, connection, account):
        for (kind, _), at in zip(_PAST, (0, 3), strict=True):
            moved, endless, counted = values[at : at + 3]
            if counted < moved or (counted != moved and not endless):
                what = f"{kind} by reservations"
                yield Finding(Kind.LINE, what, int(moved), int(counted), item, location)


# --- trade --------------------------------------------------------------------------------------------

_oversold = Statement(
    "SELECT item, location, reserved, on_hand FROM levels WHERE account = :account AND present = 1"
    " AND infinite = 0 AND on_hand < reserved ORDER BY 1, 2 LIMIT :limit"
)


def _promised(connection: Connection, account: int) -> Iterator[Finding]:
    """More is promised than is there: a recount or a channel's fact, to be looked at by people."""
    for item, location, reserved, on_hand in _limited(_oversold, connection, account):
        yield Finding(Kind.OVERSOLD, "on hand for what is reserved", reserved, on_hand, item, location)


CHECKS = (
    Check("movements are numbered without gaps", _numbering),
    Check("each movement follows from the one before", _chains),
    Check("levels are what their movements add up to", _recomputed),
    Check("what is reserved is held", _holds),
    Check("reservations count right", _counts),
    Check("reservations say what was shipped and came back", _gone),
    Check("nothing is oversold", _promised),
)
