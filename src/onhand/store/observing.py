"""What channels were seen to show: observed numbers per slot, and drifts, each with its cause and its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.store import counters, drives
from onhand.store.sql import Insert, Statement

NEVER_SENT, REFUSED, CHANGED_THERE, LOST_THERE, LATE = (
    "never_sent",
    "refused",
    "changed_there",
    "lost_there",
    "late",
)
"""Why a channel shows another number: it was never told; it would not take it; somebody or something
there changed it; it confirmed and yet shows what it showed before, or the listing is gone; it is stale
here for long and still waits to be told."""


class Sight(NamedTuple):
    """What a channel showed for a slot, in a request that began ``at`` (microseconds UTC). ``quantity`` is
    None when it does not track stock there."""

    listing: int
    place: str
    quantity: int | None
    token: str | None
    committed: int
    at: int


class Known(NamedTuple):
    """A slot as it is to be compared with a sight. ``marked_at`` is set while the listing is stale."""

    listing: int
    place: str
    wanted: int | None
    acknowledged: int | None
    acknowledged_at: int | None
    observed: int | None
    observed_at: int | None
    marked_at: int | None
    parked: bool


class Drift(NamedTuple):
    """A channel that showed another number. Times are microseconds UTC; ``healed_at`` None: it still does."""

    id: int
    listing: int
    place: str
    cause: str
    wanted: int | None
    acknowledged: int | None
    observed: int | None
    found_at: int
    healed_at: int | None


_by_name = Statement(
    "SELECT g.external_id, g.id FROM {rows} JOIN listings g ON g.account = r.account"
    " AND g.connection = r.link AND g.external_id = r.name",
    rows="account int, link int, name text",
)
_known = Statement(
    "SELECT s.listing, s.place, s.wanted, s.acknowledged, s.acknowledged_at, s.observed, s.observed_at,"
    " o.marked_at, g.parked IS NOT NULL FROM {rows}"
    " JOIN listings g ON g.account = r.account AND g.id = r.listing"
    " JOIN slots s ON s.account = g.account AND s.listing = g.id"
    " LEFT JOIN outbox o ON o.account = g.account AND o.listing = g.id ORDER BY s.listing, s.place",
    rows="account int, listing int",
)
# A number that was confirmed after the request began may be newer than what the answer shows. One that was
# confirmed so shortly before that the channel may still show the one before says nothing of its open orders,
# where they are what a new number lacks of an old one.
_observe = Statement(
    "UPDATE slots SET observed = r.quantity, observed_at = r.at, committed = CASE"
    " WHEN slots.acknowledged_at > r.at - :behind AND slots.acknowledged_at <= :ahead THEN slots.committed"
    " ELSE r.committed END,"
    " token = COALESCE(r.token, slots.token) FROM {rows} WHERE slots.account = r.account"
    " AND slots.listing = r.listing AND slots.place = r.place"
    " AND (slots.observed_at IS NULL OR slots.observed_at <= r.at OR slots.observed_at > :ahead)"
    " AND (slots.acknowledged_at IS NULL OR slots.acknowledged_at <= r.at OR slots.acknowledged_at > :ahead)",
    rows="account int, listing int, place text, quantity int, token text, committed int, at int",
)
_writable = Statement(
    "UPDATE listings SET writable = r.writable FROM {rows} WHERE listings.account = r.account"
    " AND listings.id = r.listing AND listings.writable <> r.writable",
    rows="account int, listing int, writable int",
)
_ids = Statement(
    "UPDATE listings SET ids = r.ids FROM {rows} WHERE listings.account = r.account"
    " AND listings.id = r.listing",
    rows="account int, listing int, ids text",
)
_open = Statement(
    "SELECT d.listing, d.place FROM {rows} JOIN drifts d ON d.account = r.account"
    " AND d.listing = r.listing AND d.healed_at IS NULL",
    rows="account int, listing int",
)
_again = Statement(
    "UPDATE drifts SET cause = r.cause, wanted = r.wanted, acknowledged = r.acknowledged,"
    " observed = r.observed FROM {rows} WHERE drifts.account = r.account AND drifts.listing = r.listing"
    " AND drifts.place = r.place AND drifts.healed_at IS NULL",
    rows="account int, listing int, place text, cause text, wanted int, acknowledged int, observed int",
)
_add = Insert(
    "drifts",
    "account int, id int, listing int, place text, cause text, wanted int, acknowledged int,"
    " observed int, found_at int",
)
_heal = Statement(
    "UPDATE drifts SET healed_at = :now FROM {rows} WHERE drifts.account = r.account"
    " AND drifts.listing = r.listing AND drifts.place = r.place AND drifts.healed_at IS NULL",
    rows="account int, listing int, place text",
)
_DRIFT = ", ".join(f"d.{name}" for name in Drift._fields)
_page = Statement(
    f"SELECT {_DRIFT} FROM drifts d JOIN listings g ON g.account = d.account AND g.id = d.listing"
    " WHERE d.account = :account AND d.id > :after AND (:link = 0 OR g.connection = :link)"
    " AND (:all = 1 OR d.healed_at IS NULL) ORDER BY d.id LIMIT :limit"
)
# Slots of a connection that a whole sweep did not come past.
_missed = Statement(
    "SELECT s.listing, s.place FROM listings g JOIN slots s ON s.account = g.account AND s.listing = g.id"
    " WHERE g.account = :account AND g.connection = :link AND g.id > :after AND s.acknowledged IS NOT NULL"
    " AND s.acknowledged_at < :began AND s.observed_at < :began ORDER BY g.id LIMIT :limit"
)


def listings_of(connection: Connection, account: int, link: int, names: Iterable[str]) -> dict[str, int]:
    """The connection's listings of these external ids (`connectors.kind.external_id`), by external id."""
    rows = [(account, link, name) for name in sorted(set(names))]
    return {row[0]: row[1] for row in _by_name.run(connection, rows)} if rows else {}


def known(connection: Connection, account: int, listings: Iterable[int]) -> dict[tuple[int, str], Known]:
    """The slots of these listings, by (listing, place)."""
    rows = [(account, one) for one in sorted(set(listings))]
    found = _known.run(connection, rows) if rows else []
    return {(row[0], row[1]): Known(*row)._replace(parked=bool(row[8])) for row in found}


def observe(connection: Connection, account: int, sights: Sequence[Sight], now: int, behind: int = 0) -> None:
    """Keep what was seen, unless the slot was told or seen after the request began; a time that is not yet
    (``now`` in microseconds UTC) is of a clock that was set back, and counts for nothing. ``behind`` are the
    microseconds for which the channel may go on to show an old number."""
    last = {(one.listing, one.place): one for one in sights}
    rows = [
        (account, *slot, one.quantity, one.token, one.committed, one.at) for slot, one in sorted(last.items())
    ]
    if rows:
        _observe.run(connection, rows, ahead=now + drives.AHEAD, behind=behind)


def set_writable(connection: Connection, account: int, found: Iterable[tuple[int, bool]]) -> None:
    """Note which listings (id, writable) the channel lets us set."""
    rows = sorted({(account, listing, int(writable)) for listing, writable in found})
    if rows:
        _writable.run(connection, rows)


def set_ids(connection: Connection, account: int, found: Mapping[int, Mapping[str, str]]) -> None:
    """Keep what the channel calls listings by now, by listing."""
    rows = [(account, one, msgspec.json.encode(dict(ids)).decode()) for one, ids in sorted(found.items())]
    if rows:
        _ids.run(connection, rows)


def report(
    connection: Connection, account: int, found: Sequence[tuple[Known, str, int | None]], now: int
) -> None:
    """Open a drift for each (slot, cause, observed), or bring the one that is open up to date."""
    if not found:
        return
    ids = sorted({(account, slot.listing) for slot, _, _ in found})
    there = {(row[0], row[1]) for row in _open.run(connection, ids)}
    old = [one for one in found if one[0][:2] in there]
    new = [one for one in found if one[0][:2] not in there]
    if old:
        _again.run(
            connection,
            [(account, *s[:2], cause, s.wanted, s.acknowledged, seen) for s, cause, seen in old],
        )
    if new:
        first = counters.take(connection, account, "drift", len(new))
        _add.run(
            connection,
            [
                (account, first + at, *s[:2], cause, s.wanted, s.acknowledged, seen, now)
                for at, (s, cause, seen) in enumerate(new)
            ],
        )


def healed(connection: Connection, account: int, slots: Iterable[tuple[int, str]], now: int) -> None:
    """End the drifts of these (listing, place)."""
    rows = [(account, *slot) for slot in sorted(set(slots))]
    if rows:
        _heal.run(connection, rows, now=now)


def page(
    connection: Connection,
    account: int,
    link: int = 0,
    after: int = 0,
    limit: int = 100,
    *,
    ended: bool = False,
) -> list[Drift]:
    """Drifts by id; of one connection (0: all); those that are healed too if ``ended``."""
    found = _page.run(connection, account=account, link=link, after=after, limit=limit, all=int(ended))
    return [Drift(*row) for row in found]


def missed(
    connection: Connection, account: int, link: int, began: int, after: int, limit: int = 1000
) -> list[tuple[int, str]]:
    """Slots (listing, place) that were shown before and were neither seen nor told since ``began``: after a
    whole sweep, listings that are gone there."""
    found = _missed.run(connection, account=account, link=link, began=began, after=after, limit=limit)
    return [(row[0], row[1]) for row in found]
