"""Writes down what channels answered: numbers per slot, parked listings, and what is still to be told.

Every function is for a unit of `inventory.write(quiet=True)`, by whoever holds the lease on the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import Value
from onhand.store import drives, taken
from onhand.store.sql import Statement

WORDS_LIMIT = 600
"""Characters that are kept of what a channel said."""


class SlotTold(Value, frozen=True):
    """What a slot was told: ``wanted``, and what it is now known to have acknowledged or to show; None
    where nothing new is known."""

    place: str
    wanted: int
    acknowledged: int | None = None
    observed: int | None = None
    token: str | None = None


class Told(Value, frozen=True):
    """What became of one listing. ``seq`` and ``marks`` are those of the outbox row that was told, ``at``
    when its numbers were read.

    ``due`` None ends it, unless it was marked again meanwhile; else it is told again then. ``parked`` are
    the channel's words when it will not take it, ``was_parked`` says that it would not before. ``ids`` and
    ``notes`` are what was learned: they join what is kept by now, and what is empty is forgotten. ``words``
    are why it is told again.
    """

    listing: int
    seq: int
    marks: int
    at: int
    slots: tuple[SlotTold, ...]
    due: int | None = None
    accepted: bool = False
    parked: str | None = None
    ids: Mapping[str, str] | None = None
    notes: Mapping[str, str] | None = None
    was_parked: bool = False
    words: str | None = None


_forget = Statement(
    "UPDATE slots SET acknowledged = NULL, observed = NULL, token = NULL FROM {rows}"
    " WHERE slots.account = r.account AND slots.listing = r.listing",
    rows="account int, listing int",
)
_slots = Statement(
    "UPDATE slots SET wanted = r.wanted, wanted_at = :now,"
    " acknowledged = COALESCE(r.acknowledged, slots.acknowledged),"
    " acknowledged_at = CASE WHEN r.acknowledged IS NULL THEN slots.acknowledged_at ELSE :now END,"
    " observed = COALESCE(r.observed, slots.observed),"
    " observed_at = CASE WHEN r.observed IS NULL THEN slots.observed_at ELSE :now END,"
    " token = COALESCE(r.token, slots.token) FROM {rows}"
    " WHERE slots.account = r.account AND slots.listing = r.listing AND slots.place = r.place",
    rows="account int, listing int, place text, wanted int, acknowledged int, observed int, token text",
)
# What was taken as it was sent, as nearly every slot is: each value of a row takes its time.
_taken = Statement(
    "UPDATE slots SET wanted = r.wanted, wanted_at = :now, acknowledged = r.wanted, acknowledged_at = :now,"
    " token = COALESCE(r.token, slots.token) FROM {rows}"
    " WHERE slots.account = r.account AND slots.listing = r.listing AND slots.place = r.place",
    rows="account int, listing int, place text, wanted int, token text",
)
_park = Statement(
    "UPDATE listings SET parked = r.words, updated_at = :now FROM {rows}"
    " WHERE listings.account = r.account AND listings.id = r.listing",
    rows="account int, listing int, words text",
)
_KEPT = (
    "SELECT g.id, g.ids, g.notes FROM {rows} JOIN listings g ON g.account = r.account AND g.id = r.listing"
)
_kept = Statement(
    sqlite=_KEPT,
    postgresql=_KEPT + " ORDER BY g.id FOR NO KEY UPDATE OF g",
    rows="account int, listing int",
)
_know = Statement(
    "UPDATE listings SET ids = r.ids, notes = r.notes, updated_at = :now FROM {rows}"
    " WHERE listings.account = r.account AND listings.id = r.listing",
    rows="account int, listing int, ids text, notes text",
)
_UNMOVED = " AND outbox.seq = r.seq AND outbox.marks = r.marks"
_TOLD = "account int, listing int, seq int, marks int"
_ROW = _TOLD + ", at int, due int"
_MINE = "outbox.account = r.account AND outbox.listing = r.listing"
_clear = Statement(
    sqlite="DELETE FROM outbox WHERE (account, listing, seq, marks) IN"
    " (SELECT account, listing, seq, marks FROM {rows})",
    postgresql=f"WITH gone AS (DELETE FROM outbox USING {{rows}} WHERE {_MINE}{_UNMOVED} RETURNING 1)"
    " SELECT COUNT(*) FROM gone",
    rows=_TOLD,
)
# What is still there was marked again while it was told: all up to the movement that was told is known.
_go_on = Statement(
    "UPDATE outbox SET since = r.seq + 1, marked_at = r.at, due = r.at, attempts = 0 FROM {rows}"
    f" WHERE {_MINE} AND outbox.since <= r.seq",
    rows=_ROW,
)
# The same of what was not taken: it has had its turn, and would else be the first in line again.
_line_up = Statement(
    f"UPDATE outbox SET due = r.at FROM {{rows}} WHERE {_MINE} AND outbox.due < r.at", rows=_ROW
)
_put_off = Statement(
    "UPDATE outbox SET due = r.due, attempts = outbox.attempts + 1, words = r.words FROM {rows}"
    f" WHERE {_MINE}{_UNMOVED}",
    rows=_ROW + ", words text",
)
_revive = Statement(
    "UPDATE outbox SET due = CASE WHEN due > :now THEN :now ELSE due END, attempts = 0"
    " WHERE account = :account AND connection = :link AND (due > :now OR attempts > 0)"
)
_DRIFTING = "SELECT 1 FROM drifts WHERE account = :account AND healed_at IS NULL"
_drifting = Statement(f"{_DRIFTING} LIMIT 1")
_mine = Statement(f"SELECT EXISTS ({_DRIFTING}) FROM ({drives.HELD}) AS held")
_healed = Statement(
    "UPDATE drifts SET healed_at = :now FROM {rows} WHERE drifts.account = r.account"
    " AND drifts.listing = r.listing AND drifts.healed_at IS NULL",
    rows="account int, listing int",
)


def before_delta(connection: Connection, account: int, link: int, owner: str, ids: Iterable[int]) -> None:
    """Forget what slots show before a change is sent that must not be sent twice: if its answer is lost,
    they are looked at before anything is said again. Raises `drives.LeaseLost`."""
    drives.require(connection, account, link, owner)
    rows = [(account, one) for one in sorted(set(ids))]
    if rows:
        _forget.run(connection, rows)


def settle(
    connection: Connection, account: int, link: int, owner: str, found: Sequence[Told], now: int
) -> None:
    """Write what became of listings. Raises `drives.LeaseLost`, and then nothing is written: another
    courier drives the connection and tells it anew."""
    sqlite = connection.dialect.name == "sqlite"
    drifting = _driven(connection, account, link, owner) if sqlite else None
    if drifting is None:
        drives.require(connection, account, link, owner)
    said = sorted(found, key=attrgetter("listing"))
    _listings(connection, account, said, now)
    rest = _short(connection, account, said, now) if sqlite else said
    _outbox(connection, account, rest)
    _numbers(connection, account, rest, now)
    accepted = [(account, one.listing) for one in said if one.accepted]
    # Mostly nothing drifts at all, and to look whether each of these did takes a while.
    if accepted and (_drifting.run(connection, account=account) if drifting is None else drifting):
        _healed.run(connection, accepted, now=now)


def _driven(connection: Connection, account: int, link: int, owner: str) -> bool | None:
    """Whether anything of the account drifts; None where ``owner`` does not drive the connection."""
    found = _mine.run(connection, account=account, link=link, owner=owner)
    return bool(found[0][0]) if found else None


def revive(connection: Connection, account: int, link: int, now: int) -> None:
    """A channel that was down is back: all that was put off is due, and how often is forgotten."""
    _revive.run(connection, account=account, link=link, now=now)


def _short(connection: Connection, account: int, said: Sequence[Told], now: int) -> Sequence[Told]:
    """Write those that took all as it was sent, as nearly all did, in one statement; the others."""
    usual: list[Told] = []
    rest: list[Told] = []
    for one in said:
        usually = one.accepted and one.due is None and one.slots and all(map(_as_sent, one.slots))
        (usual if usually else rest).append(one)
    rows = [
        (account, one.listing, one.seq, one.marks, slot.place, slot.wanted, slot.token, now)
        for one in usual
        for slot in one.slots
    ]
    if rows and taken.write(connection, rows) < len(rows) + len(usual):
        _go_on.run(connection, _rows(account, usual))
    return rest


def _as_sent(slot: SlotTold) -> bool:
    return slot.acknowledged == slot.wanted and slot.observed is None


def _listings(connection: Connection, account: int, said: Sequence[Told], now: int) -> None:
    parked = [
        (account, one.listing, one.parked and one.parked[:WORDS_LIMIT])
        for one in said
        if one.parked is not None or (one.accepted and one.was_parked)
    ]
    if parked:
        _park.run(connection, parked, now=now)
    if learned := {one.listing: one for one in said if one.ids or one.notes}:
        _learn(connection, account, learned, now)


def _learn(connection: Connection, account: int, learned: Mapping[int, Told], now: int) -> None:
    """A sweep or an import may have written other ids since the numbers were read: what was learned joins
    what is kept now."""
    rows = [
        (account, listing, _joined(ids, learned[listing].ids), _joined(notes, learned[listing].notes))
        for listing, ids, notes in _kept.run(connection, [(account, one) for one in learned])
    ]
    _know.run(connection, rows, now=now)


def _outbox(connection: Connection, account: int, said: Sequence[Told]) -> None:
    ended = [(account, one.listing, one.seq, one.marks) for one in said if one.due is None]
    # Where all are gone, as PostgreSQL says, none was marked again.
    left = bool(ended) and sum(count for (count,) in _clear.run(connection, ended)) < len(ended)
    if left and (accepted := [one for one in said if one.accepted and one.due is None]):
        _go_on.run(connection, _rows(account, accepted))
    if again := [one for one in said if one.due is not None]:
        words = (one.words and one.words[:WORDS_LIMIT] for one in again)
        _put_off.run(connection, [(*row, why) for row, why in zip(_rows(account, again), words, strict=True)])
    if (left or again) and (refused := [one for one in said if not one.accepted]):
        _line_up.run(connection, _rows(account, refused))


def _rows(account: int, some: Sequence[Told]) -> list[tuple[Any, ...]]:
    return [(account, one.listing, one.seq, one.marks, one.at, one.due) for one in some]


def _numbers(connection: Connection, account: int, said: Sequence[Told], now: int) -> None:
    as_sent, rest = [], []
    for one in said:
        for slot in one.slots:
            if _as_sent(slot):
                as_sent.append((account, one.listing, slot.place, slot.wanted, slot.token))
            else:
                numbers = (slot.wanted, slot.acknowledged, slot.observed)
                rest.append((account, one.listing, slot.place, *numbers, slot.token))
    if as_sent:
        _taken.run(connection, as_sent, now=now)
    if rest:
        _slots.run(connection, rest, now=now)


def _joined(kept: str, learned: Mapping[str, str] | None) -> str:
    if not learned:
        return kept
    values = {**msgspec.json.decode(kept, type=dict[str, str]), **learned}
    left = {name: value for name, value in values.items() if value or name not in learned}
    return msgspec.json.encode(left).decode()
