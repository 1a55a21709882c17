"""Why a listing shows the number it shows: every rule and term, down to movements and reservations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand.connectors.reading import iso
from onhand.courier import aiming
from onhand.outward import watching
from onhand.stock.model import Place
from onhand.stock.offering import Offer, Rules, Source
from onhand.store import drives, levels, linking, lookup, outgoing, showing
from onhand.store.linking import Numbers
from onhand.store.outgoing import Listed, SlotRow

MOVEMENTS_SHOWN = 5
HOLDS_SHOWN = 20
"""So many of a level's movements and reservations are shown one by one; of the others the sum is."""
UNCOUNTED = "nobody has counted its stock here: until then the channel keeps its own number"
MIRRORED = "the channel counts its stock itself: it is read, and never told"
ORDER = ("the listing's own rules", "the connection's rules", "what the hub does without a rule")
"""In this order rules are looked for, field by field."""


def explain(connection: Connection, account: int, row: Numbers, now: int) -> dict[str, Any]:
    """A listing's numbers with all that they are made of, in the snapshot in which ``row`` was read; times
    are microseconds UTC."""
    listed = outgoing.listed(connection, account, [row.id], now)[0]
    link = linking.links(connection, account, row.connection)[0]
    made = aiming.offers(listed, link.rules)
    return {
        "listing": row,
        "state": watching.state(row, row.id in showing.drifting(connection, account, [row.id])),
        "connection": {"id": link.id, "channel": link.channel, "name": link.name, "paused": link.paused},
        "waiting": _waiting(connection, account, row, now, alone=aiming.left_alone(listed, link.rules)),
        "rules": _rules(listed.rules, link.rules),
        "slots": list(_slots(connection, account, listed, made, now)),
        "as_of_seq": levels.last_seq(connection, account),
    }


def uncounted(connection: Connection, account: int, row: Numbers, now: int) -> bool:
    """Whether a listing is not told because nobody has counted its stock."""
    listed = outgoing.listed(connection, account, [row.id], now)[0]
    link = linking.links(connection, account, row.connection)[0]
    return row.writable and aiming.left_alone(listed, link.rules)


def _waiting(connection: Connection, account: int, row: Numbers, now: int, *, alone: bool) -> str | None:
    """Why a listing is not told, or a stale one has not been told yet, as far as that is known."""
    if not row.writable:
        return MIRRORED
    if alone:
        return UNCOUNTED
    if row.marked_at is None:
        return None
    state = drives.status(connection, account, row.connection)[0]
    if state.paused:
        return "the connection is paused"
    if state.open_until is not None:
        return f"the channel is taken for down: {state.words}"
    if row.due is not None and row.due > now and row.attempts:
        # Nobody drives a connection of which nothing is due, and that is no fault of the courier.
        said = f" ({row.words})" if row.words else ""
        return f"the channel could not take it yet{said}: it is told again at {iso(row.due)}"
    return "it is on its way" if state.owner else "no courier drives the connection now"


def _rules(own: Rules, above: Rules) -> list[dict[str, Any]]:
    """Each rule that is set, and who set the value that counts."""
    found = []
    for name in Rules.__struct_fields__:
        below, over = getattr(own, name), getattr(above, name)
        if below is not None:
            found.append({"rule": name, "value": below, "from": "listing", "instead_of": over})
        elif over is not None:
            found.append({"rule": name, "value": over, "from": "connection", "instead_of": None})
    return found


def _slots(
    connection: Connection, account: int, listed: Listed, made: Iterable[Offer], now: int
) -> Iterator[dict[str, Any]]:
    places = {source.location for sources in listed.sources for source in sources}
    names = lookup.names(connection, account, places)
    items = {part.item for sources in listed.sources for source in sources for part in source.parts}
    skus = lookup.skus(connection, account, items)
    for slot, sources, found in zip(listed.slots, listed.sources, made, strict=True):
        yield {
            "place": slot.place or None,
            "offer": found.units,
            "infinite": found.infinite,
            "terms": [
                msgspec.structs.asdict(one) | {"location_name": names.get(one.location or 0)}
                for one in found.terms
            ],
            "numbers": numbers(slot),
            "sources": [_source(connection, account, one, names, skus, now) for one in sources],
        }


def numbers(slot: SlotRow) -> dict[str, Any]:
    """The three numbers of a slot, each with its time."""
    return {
        name: {"units": getattr(slot, name), "at": getattr(slot, f"{name}_at")}
        for name in ("wanted", "acknowledged", "observed")
    }


def _source(
    connection: Connection,
    account: int,
    source: Source,
    names: dict[int, str],
    skus: dict[int, str | None],
    now: int,
) -> dict[str, Any]:
    parts = []
    for part in source.parts:
        place = (part.item, source.location)
        parts.append(
            {
                "item": part.item,
                "sku": skus.get(part.item),
                "per": part.per,
                "on_hand": part.level.on_hand,
                "reserved": part.level.reserved,
                "available": part.level.available,
                "infinite": part.level.infinite,
                "version": part.level.version,
                **_moved(connection, account, place),
                **_promised(connection, account, place, now),
            }
        )
    where = {"location": source.location, "location_name": names.get(source.location), "kind": source.kind}
    return where | {"parts": parts}


def _moved(connection: Connection, account: int, place: Place) -> dict[str, Any]:
    """A level's last movements, and what those before them come to."""
    found = levels.history(connection, account, place, limit=MOVEMENTS_SHOWN)
    earlier = {"movements": 0, "on_hand": 0, "reserved": 0}
    if found:
        first = found[-1]
        # The movements of a level are numbered by its version, and each has what it led to.
        earlier = {
            "movements": first.version - 1,
            "on_hand": first.on_hand_after - first.on_hand,
            "reserved": first.reserved_after - first.reserved,
        }
    return {"movements": found, "earlier": earlier}


def _promised(connection: Connection, account: int, place: Place, now: int) -> dict[str, Any]:
    """What holds units of a level, and what all that is not shown holds."""
    found = showing.promised(connection, account, place, now, HOLDS_SHOWN)
    whole, lapsed = showing.held(connection, account, place, now)
    more = {
        "reservations": whole.reservations - len(found),
        "held": whole.held - sum(one.held for one in found),
    }
    return {"reservations": found, "more": more, "lapsed": lapsed._asdict()}
