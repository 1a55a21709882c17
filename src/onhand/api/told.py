"""How the ledger's values look in answers: levels, movements, reservations, commands, refusals."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

import msgspec

from onhand.api.problems import Fault, Problem, fault
from onhand.api.schema import cursor, pointer, shown
from onhand.stock import model
from onhand.stock.ledger import Entry, places
from onhand.stock.model import AnyCommand, AnyRefusal, HoldLine, Level, Place, Reservation
from onhand.store.levels import Standing

MOVEMENTS = "movements"


class Labels(msgspec.Struct, frozen=True):
    """What ids are called: item to SKU, location to name. An id without a label shows null."""

    skus: Mapping[int, str | None]
    locations: Mapping[int, str]


NO_LABELS = Labels({}, {})
NO_HOLDS: Mapping[str, Reservation] = {}
"""For the levels that a command names: what a reservation holds is not among them."""


def page(rows: Sequence[Any], next_cursor: str | None, seq: int | None = None, **more: Any) -> dict[str, Any]:
    """A list as it is answered: the rows, where it goes on, and the movement it was read after."""
    found: dict[str, Any] = {"data": rows, "next_cursor": next_cursor}
    return found | ({} if seq is None else {"as_of_seq": seq}) | more


_SEEN = cursor(MOVEMENTS, (), 0)[:24]
"""How such a cursor begins: what is before its number has eighteen bytes, and they are 24 characters."""


def token(seq: int) -> str:
    """What an answer has seen, as clients keep it: a cursor for GET /movements that begins behind it."""
    # Each write is answered with one, so that only what differs is encoded.
    return _SEEN + b2a_base64(b"%d]" % seq, newline=False).rstrip(b"=").decode()


def not_ahead(seq: int, last: int) -> None:
    """Refuse a token that stands behind the ledger's end: what it knew of is not there any more, and what
    comes to be under those numbers would be missed. Raises Problem."""
    if seq > last:
        words = "this cursor is ahead of it, as after an older copy was restored: begin without one"
        raise Problem("moment_out_of_range", f"The last movement is {last}, {words}")


# --- levels and movements --------------------------------------------------------------------------


class Shown(msgspec.Struct, frozen=True, gc=False):
    """One level."""

    item: int
    sku: str | None
    location: int
    location_name: str | None
    on_hand: int
    reserved: int
    available: int
    infinite: bool
    version: int
    next_expiry: str | None


class Seen(Shown, frozen=True, gc=False):
    """One level, with the movement it was read after."""

    as_of_seq: int


def level(place: Place, found: Level, labels: Labels = NO_LABELS) -> Shown:
    """One level."""
    return Shown(*_fields(place, found, labels))


def level_seen(place: Place, found: Level, labels: Labels, seq: int) -> Seen:
    """One level as the movement ``seq`` left it, or one before."""
    return Seen(*_fields(place, found, labels), seq)


def _fields(
    place: Place, found: Level, labels: Labels
) -> tuple[int, str | None, int, str | None, int, int, int, bool, int, str | None]:
    item, location = place
    return (
        item,
        labels.skus.get(item),
        location,
        labels.locations.get(location),
        found.on_hand,
        found.reserved,
        found.available,
        found.infinite,
        found.version,
        shown(found.next_expiry) if found.reserved else None,
    )


def level_and(place: Place, found: Level, labels: Labels, **more: Any) -> dict[str, Any]:
    """One level, with what is said besides."""
    return msgspec.structs.asdict(level(place, found, labels)) | more


def standing(rows: Iterable[Standing], labels: Labels) -> list[Shown]:
    """The levels of a page: there are hundreds, and nothing but this is made of each."""
    sku, name = labels.skus.get, labels.locations.get
    return [
        Shown(
            item,
            sku(item),
            location,
            name(location),
            on_hand,
            reserved,
            on_hand - reserved,
            infinite == 1,
            version,
            shown(expiry) if reserved else None,
        )
        for item, location, on_hand, reserved, infinite, version, expiry in rows
    ]


_ENCODER = msgspec.json.Encoder()


def apart(rows: Sequence[Shown]) -> list[bytes]:
    """The levels of a page, each as JSON."""
    return _ENCODER.encode_lines(rows).split(b"\n")[:-1]


def joined(rows: Iterable[bytes]) -> bytes:
    """Rows that are JSON already as a list. Raises TypeError where one is None."""
    return b"[%b]" % b",".join(rows)


def whole(rows: bytes, next_cursor: bytes, seq: int) -> bytes:
    """What `page` says, of rows that are `joined` and a cursor that is JSON, too."""
    return b'{"data":%b,"next_cursor":%b,"as_of_seq":%d}' % (rows, next_cursor, seq)


def after(text: bytes, seq: int) -> bytes:
    """A level that is JSON already, with the movement it was read after."""
    return b'%b,"as_of_seq":%d}' % (text[:-1], seq)


def etag(version: int | str) -> str:
    """The strong entity tag of a level."""
    return f'"{version}"'


_EXPIRY = b',"next_expiry":'


def tag(text: bytes) -> bytes:
    """The same of a level that is JSON already. What others have named comes before its version."""
    end = text.rindex(_EXPIRY)
    return b'"%b"' % text[text.rindex(b":", 0, end) + 1 : end]


class Brief(msgspec.Struct, frozen=True, gc=False):
    """A level as a change left it."""

    item: int
    location: int
    on_hand: int
    reserved: int
    available: int
    infinite: bool
    version: int


def brief(item: int, location: int, found: Level) -> Brief:
    """A level in an answer that may have thousands."""
    on_hand, reserved = found.on_hand, found.reserved
    return Brief(item, location, on_hand, reserved, on_hand - reserved, found.infinite, found.version)


class Done(msgspec.Struct, frozen=True, gc=False):
    """A change that was made: the numbers of its movements and the levels they led to; ``seq`` is null
    where nothing had to move."""

    status: str
    seq: int | None
    last_seq: int | None
    levels: Sequence[Brief]


class Made(msgspec.Struct, frozen=True):
    """What became of the changes of a request, and what the answer has seen."""

    mode: str
    done: int
    refused: int
    as_of_seq: int
    token: str
    changes: Sequence[Any]


def done(entries: Sequence[Entry], first: int, asked: AnyCommand, after: Mapping[Place, Level]) -> Done:
    """What a change did; where it moved nothing, the levels it named as the commit left them."""
    if len(entries) == 1:  # as nearly always
        moved = entries[0].movement
        return Done("done", first, first, (brief(moved.item, moved.location, entries[0].level),))
    if not entries:
        named = dict.fromkeys(places(asked, NO_HOLDS))
        shown = [brief(*at, after[at]) for at in named if at in after]
        return Done("done", None, None, shown)
    levels = {(place := entry.movement.place): brief(*place, entry.level) for entry in entries}
    return Done("done", first, first + len(entries) - 1, list(levels.values()))


# --- reservations ----------------------------------------------------------------------------------


def reservation(found: Reservation, labels: Labels = NO_LABELS) -> dict[str, Any]:
    """One reservation with its lines."""
    return {
        "reference": found.reference,
        "owner": found.owner,
        "status": found.status,
        "expires_at": shown(None if found.confirmed else found.expires_at),
        "lines": [_hold_line(line, labels) for line in found.lines],
    }


def _hold_line(line: HoldLine, labels: Labels) -> dict[str, Any]:
    return {
        "item": line.item,
        "sku": labels.skus.get(line.item),
        "location": line.location,
        "location_name": labels.locations.get(line.location),
        "kit": line.kit,
        "per": line.per,
        "held": line.held,
        "shipped": line.shipped,
        "released": line.released,
        "expired": line.expired,
        "returned": line.returned,
    }


# --- commands, for planned changes -----------------------------------------------------------------

_OPS: dict[type, str] = {
    model.SetOnHand: "set_on_hand",
    model.SetAvailable: "set_available",
    model.Adjust: "adjust",
    model.SetInfinite: "set_infinite",
    model.Forget: "forget",
    model.Transfer: "transfer",
    model.Reserve: "reserve",
    model.Extend: "extend",
    model.Confirm: "confirm",
    model.Release: "release",
    model.Ship: "ship",
    model.Return: "return",
    model.Expire: "expire",
}
_OURS = ("force", "only_absent")
"""What this API does not ask for; the plans of others may."""

_FIELDS = {"source": "from", "destination": "to", "parts": "lines"}


def change(command: AnyCommand) -> dict[str, Any]:
    """A command as the change that asks for it; what is not said in it is left out."""
    values: dict[str, Any] = msgspec.to_builtins(command)
    values.pop("type")
    if "expires_at" in values:
        values["expires_at"] = shown(values["expires_at"])
    for name in _OURS:
        if not values.get(name):
            values.pop(name, None)
    kept = {_FIELDS.get(name, name): value for name, value in values.items() if value is not None}
    return {"op": _OPS[type(command)]} | kept


# --- refusals --------------------------------------------------------------------------------------


def refusal(found: AnyRefusal, at: str) -> Fault:
    """Why a change cannot be made, with its figures; ``at`` points at the change."""
    match found:
        case model.Stale():
            words = f"Expected {found.expected}, but {found.shown} is what the ledger shows"
            return fault("stale_quantity", words, pointer=at, **_figures(found))
        case model.Insufficient():
            words = f"{found.wanted} wanted, {found.available} can be had"
            return fault("insufficient_stock", words, pointer=at, **_figures(found))
        case model.Unknown():
            return _unknown(found, at)
        case model.Closed():
            return fault("listing_closed", "The listing is closed", pointer=at, **_figures(found))
        case model.Expired():
            when = shown(found.expired_at)
            words = f"The hold ran out at {when}"
            return fault("hold_expired", words, pointer=at, reference=found.reference, expired_at=when)
        case model.Exists():
            words = "The reservation is another caller's"
            if found.status is not None:
                words = f"The reservation is {found.status}"
            return fault("reference_taken", words, pointer=at, **_figures(found))
        case model.TooLarge():
            words = f"{found.value} is further from 0 than {found.limit}"
            return fault("quantity_out_of_range", words, pointer=at, **_figures(found))
        case model.Forbidden():
            return fault("not_allowed", found.why[:1].upper() + found.why[1:], pointer=at)
        case model.Undone():
            return fault("undone", "Another change of this request was refused", pointer=at)
        case _:
            assert_never(found)


def _figures(found: AnyRefusal) -> dict[str, Any]:
    values = {name: getattr(found, name) for name in found.__struct_fields__}
    return {name: value for name, value in values.items() if value is not None}


def _unknown(found: model.Unknown, at: str) -> Fault:
    words = f"There is no {found.kind} {found.name}"
    if found.kind == "line":
        words = f"The reservation has no such line of item {found.name}; parts of a kit are named by the kit"
    if found.kind == "level":
        item, _, location = found.name.partition("@")
        words = f"There is no level of item {item} at location {location}"
    return fault(f"unknown_{found.kind}", words, pointer=at, name=found.name)


def refused(found: AnyRefusal, at: str = "") -> Problem:
    """A refusal as the answer to a whole request."""
    entry = refusal(found, at)
    return Problem(entry["code"], entry["detail"], [entry])


def at_line(command: AnyCommand, found: AnyRefusal) -> str:
    """The pointer from a change to its line that was refused; "" where that cannot be told, as several lines
    that name one item at one place are refused for what they want together."""
    location: int | None = None
    match found:
        case model.Insufficient():
            item, location = found.kit or found.item, found.location
        case model.Unknown(kind="line"):
            item = int(found.name)
        case _:
            return ""
    fitting = [
        index
        for index, (named, places) in enumerate(_lines(command))
        if named == item and (location is None or places[0] in (None, location))
    ]
    return pointer("lines", fitting[0]) if len(fitting) == 1 else ""


def _lines(command: AnyCommand) -> list[tuple[int, tuple[int | None, ...]]]:
    match command:
        case model.Reserve():
            return [(line.item, line.locations) for line in command.lines]
        case model.Release() | model.Ship() | model.Return():
            return [(part.item, (part.location,)) for part in command.parts or ()]
        case _:
            return []


def at_change(index: int) -> str:
    """The pointer to a change of a request."""
    return pointer("changes", index)
