"""Claims stale listings. On SQLite the usual ones, and all that their numbers are made of, come in one step.

The usual listing has one slot that is fed by one level, and nothing else to be heeded: no kit, no rules or
notes of its own, not closed, not parked. Its row has what differs between such listings and nothing else, in
one flat array. All others are read by `outgoing.claim`, in the same snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import Level
from onhand.stock.offering import PLAIN, Part, Rules, Source
from onhand.store import outgoing
from onhand.store.outgoing import FOREVER, Aim, Claimed, Listed, SlotRow, Stale
from onhand.store.sql import Statement

_USUAL = (
    "g.status = 'open'",
    "g.writable = 1",
    "g.parked IS NULL",
    "g.notes = '{}'",
    "g.rules = '{}'",
    "i.kit = 0",
    "INSTR(s.locations, ',') = 0",
    "COALESCE(p.kind, 'stock') = 'stock'",
    "l.infinite = 0",
    "(l.next_expiry IS NULL OR l.next_expiry > :now)",
    "(s.acknowledged IS NOT NULL OR l.version > 0)",
)
_FIRST = "CAST(SUBSTR(s.locations, 2) AS INTEGER)"
_COLUMNS = (
    *("o.listing", f"CASE WHEN {' AND '.join(_USUAL)} THEN 1 ELSE 0 END"),
    *("o.seq", "o.marks", "o.attempts", "o.marked_at", "m.reason", "m.context"),
    *("g.item", "COALESCE(g.ids, '{}')", "g.sku", "i.sku"),
    *("COALESCE(s.place, '')", f"COALESCE({_FIRST}, 0)", "s.acknowledged", "s.acknowledged_at"),
    *("s.observed", "s.observed_at", "s.token", "COALESCE(s.committed, 0)"),
    *("COALESCE(l.on_hand, 0)", "COALESCE(l.reserved, 0)", "COALESCE(l.version, 0)", "l.next_expiry"),
)
_INNER = ", ".join(f"{column} AS c{at}" for at, column in enumerate(_COLUMNS))
_OUTER = ", ".join(f"c{at}" for at in range(len(_COLUMNS)))
_claimed = Statement(
    sqlite="SELECT json_array((SELECT rules FROM connections WHERE account = :account AND id = :link"
    f" AND paused = 0), json_group_array(json_array({_OUTER}))) FROM (SELECT {_INNER} FROM {{rows}}"
    " JOIN outbox o ON o.account = r.account AND o.listing = r.id AND o.due <= :until"
    " JOIN listings g ON g.account = o.account AND g.id = o.listing"
    " JOIN items i ON i.account = g.account AND i.id = g.item"
    " LEFT JOIN slots s ON s.account = g.account AND s.listing = g.id"
    " LEFT JOIN movements m ON m.account = o.account AND m.seq = o.seq AND o.since = o.seq"
    f" LEFT JOIN levels l ON l.account = g.account AND l.item = g.item AND l.location = {_FIRST}"
    f" AND l.present = 1 LEFT JOIN locations p ON p.account = g.account AND p.id = {_FIRST})",
    rows="account int, id int",
    listed=True,
)
_Text: TypeAlias = str | None
_Number: TypeAlias = int | None
_Row: TypeAlias = tuple[
    int, int,  # the listing, and whether it is usual
    int, int, int, int, _Text, _Text,  # the rest of `Stale`
    int, str, _Text, _Text,  # item, ids, the channel's SKU, our own
    str, int, _Number, _Number, _Number, _Number, _Text, int,  # the slot, `SlotRow`
    int, int, int, _Number,  # on hand, reserved, version, next expiry
]  # fmt: skip
_rows = msgspec.json.Decoder(tuple[_Text, list[_Row]])
_ids = msgspec.json.Decoder(list[dict[str, str]])
_NO_NOTES: dict[str, str] = {}


def claim(
    connection: Connection,
    account: int,
    link: int,
    now: int,
    ids: Sequence[int],
    *,
    early: bool = False,
    futures: bool = False,
) -> Claimed:
    """The same as `outgoing.claim`, whatever the listings are."""
    if futures or not ids or connection.dialect.name != "sqlite":
        return outgoing.claim(connection, account, link, now, ids, early=early, futures=futures)
    asked = [(account, one) for one in ids]
    until = FOREVER if early else now
    found = _claimed.run(connection, asked, account=account, link=link, now=now, until=until)
    parts = [_rows.decode(text) for (text,) in found]
    if (above := parts[0][0]) is None:
        return Claimed((), PLAIN, paused=True)
    made, odd = _made(list(chain.from_iterable([rows for _, rows in parts])), now)
    if odd:
        rest = outgoing.claim(connection, account, link, now, odd, early=early)
        made |= {one.stale.listing: one for one in rest.aims}
    return Claimed(tuple([made[one] for one in ids if one in made]), _rules(above))


@lru_cache(maxsize=64)
def _rules(text: str) -> Rules:
    return msgspec.json.decode(text, type=Rules)


def _made(rows: Sequence[_Row], now: int) -> tuple[dict[int, Aim], list[int]]:
    """The usual listings, and the ids of those that are not."""
    usual = [row for row in rows if row[1]]
    slots = len(usual)
    made: dict[int, Aim] = {}
    # All at once: to decode what is short takes less time than to begin.
    all_ids = _ids.decode(f"[{','.join([row[9] for row in usual])}]")
    for row, names in zip(usual, all_ids, strict=True):
        (
            listing, _, seq, marks, attempts, marked_at, reason, context, item, _, theirs, ours,
            place, where, acknowledged, acknowledged_at, observed, observed_at, token, committed,
            on_hand, reserved, version, next_expiry,
        ) = row  # fmt: skip
        level = Level(on_hand, reserved, False, True, version, next_expiry)
        slot = SlotRow(
            place, (where,), acknowledged, acknowledged_at, observed, observed_at, token, committed
        )
        listed = Listed(
            listing, item, names, theirs, ours, _NO_NOTES, PLAIN, True, False, None,
            (slot,), ((Source(where, "stock", (Part(item, level),)),),),
        )  # fmt: skip
        made[listing] = Aim(Stale(listing, seq, marks, attempts, marked_at, reason, context), listed, now)
    if len(made) == slots == len(rows):
        return made, []
    return _single(rows, made)


def _single(rows: Sequence[_Row], made: dict[int, Aim]) -> tuple[dict[int, Aim], list[int]]:
    """Without those that have another slot, or are not usual."""
    seen: set[int] = set()
    odd: set[int] = set()
    for row in rows:
        if not row[1] or row[0] in seen:
            odd.add(row[0])
        seen.add(row[0])
    return {one: aim for one, aim in made.items() if one not in odd}, sorted(odd)
