"""How channels, connections, listings, drifts and incidents look to programs: plain values, times as text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from onhand.connectors.channel import Channel
from onhand.connectors.reading import LATEST
from onhand.outward import explaining, watching
from onhand.outward.needs import needs
from onhand.store import incidents, linking, showing
from onhand.store.incidents import Incident

COLUMNS = (
    "channel",
    "version",
    "guard",
    "batch",
    "rate",
    "places",
    "orders",
    "webhooks",
    "unlimited",
    "checked",
)


def row(channel: Channel) -> tuple[str, ...]:
    """A channel in the table of what each can do; the documentation has the same."""
    return (
        channel.title,
        channel.version,
        str(channel.guard),
        str(channel.batch),
        rate(channel),
        _yes(channel.locations),
        _yes(channel.takes_orders),
        _yes(channel.webhooks),
        _yes(channel.infinite),
        channel.checked,
    )


def rate(channel: Channel) -> str:
    """The slowest of its limits for a call, in words."""
    limit = min(channel.limits, key=lambda one: one.calls / one.seconds, default=None)
    if limit is None:
        return "none"
    if limit.calls < 1:
        return f"1 in {limit.seconds / limit.calls:.0f} s"
    every = {1: "s", 60: "min", 3600: "h", 86400: "day"}.get(int(limit.seconds), f"{limit.seconds:g} s")
    return f"{limit.calls:g}/{every}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def markdown(channels: Iterable[Channel]) -> str:
    """The table of the documentation: what each channel can do, and below it what it cannot."""
    names = (
        "channel",
        "API",
        "guard",
        "quantity",
        "batch",
        "rate",
        "confirmed",
        "places",
        "orders",
        "webhooks",
    )
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    cannot = []
    for one in sorted(channels, key=lambda channel: channel.title.casefold()):
        confirmed = "later" if one.asynchronous else "at once"
        cells = (one.title, one.version, one.guard, one.meaning, one.batch, rate(one), confirmed)
        flags = (one.locations, one.takes_orders, one.webhooks)
        lines.append("| " + " | ".join((*map(str, cells), *map(_yes, flags))) + " |")
        cannot += ["", f"**{one.title}** (read {one.checked})", *(f"- {words}" for words in one.cannot)]
    return "\n".join((*lines, *cannot)) + "\n"


def told(channel: Channel) -> dict[str, Any]:
    """A channel for programs."""
    values = {name: getattr(channel, name) for name in Channel.__struct_fields__ if name != "settings"}
    found: dict[str, Any] = msgspec.to_builtins(values)
    return found | {"settings": [one._asdict() for one in needs(channel)]}


TIMES = ("oldest", "swept_at", "polled_at", "open_until", "until")


def connection_told(one: watching.Stands) -> dict[str, Any]:
    """A connection for programs; no secret is among its settings."""
    values = one.status._asdict()
    del values["connection"], values["channel"], values["name"], values["paused"]
    times = {
        name: moment(values[name]) for name in ("oldest", "swept_at", "polled_at", "open_until", "until")
    }
    link: dict[str, Any] = msgspec.to_builtins(one.link)
    return link | {"created_at": moment(one.link.created_at), "status": values | times}


def listing_told(one: linking.Numbers, *, drifting: bool) -> dict[str, Any]:
    """A listing for programs."""
    slots = [{"place": slot.place or None, "numbers": _timed(explaining.numbers(slot))} for slot in one.slots]
    return {
        "id": one.id,
        "connection": one.connection,
        "external_id": one.external_id,
        "item": one.item,
        "sku": one.sku or one.item_sku,
        "state": watching.state(one, drifting),
        "status": one.status,
        "parked": one.parked,
        "stale_since": moment(one.marked_at),
        "attempts": one.attempts,
        "rules": msgspec.to_builtins(one.rules),
        "slots": slots,
    }


def _timed(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: {"units": one["units"], "at": moment(one["at"])} for name, one in numbers.items()}


def drift_told(one: showing.Drifted) -> dict[str, Any]:
    """A drift for programs."""
    values = one.drift._asdict()
    values |= {name: moment(values[name]) for name in ("found_at", "healed_at")}
    values["place"] = values["place"] or None
    return values | {"connection": one.connection, "sku": one.sku, "external_id": one.external_id}


def incident_told(one: Incident) -> dict[str, Any]:
    """An incident for programs: ``why`` in a sentence, and in ``details`` what is known, by kind."""
    return {
        "id": one.id,
        "kind": one.kind,
        "state": incidents.OPEN if one.resolved_at is None else incidents.CLOSED,
        "why": _why(one),
        "opened_at": moment(one.opened_at),
        "resolved_at": moment(one.resolved_at),
        "resolution": _resolution(one.resolution),
        "earlier": [
            {
                "opened_at": moment(time["opened_at"]),
                "resolved_at": moment(time["resolved_at"]),
                "resolution": _resolution(time["resolution"]),
            }
            for time in one.earlier
        ],
        "details": _details(one.kind, one.body),
    }


def _why(one: Incident) -> str:
    body = one.body
    if one.kind != incidents.OVERSOLD:
        return str(body["why"])
    what = body["sku"] or f"item {body['item']}"
    figures = f"{body['on_hand']} on hand, {body['reserved']} reserved"
    return f"{body['missing']} of {what} at {body['place']} are promised and not there ({figures})"


def _resolution(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is None:
        return None
    movement = value.get("movement")
    if movement is not None:
        movement = movement | {"recorded_at": moment(movement["recorded_at"])}
    who = {"by": value["by"], "note": value.get("note") or None, "caller": value.get("caller")}
    return who | {"movement": movement}


def _details(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in body.items() if name != "why"}
    if kind == incidents.OVERSOLD:
        found["orders"] = [_holder(one) for one in body["orders"]]
    if kind == incidents.MESSAGE:
        found["received_at"] = moment(body["received_at"])
    return found


def _holder(one: dict[str, Any]) -> dict[str, Any]:
    """What holds units of an oversold level; ``lag`` in microseconds as `connection_told` has it."""
    return one | {name: moment(one[name]) for name in ("since", "updated") if name in one}


def explained(found: dict[str, Any]) -> dict[str, Any]:
    """What `explaining.explain` found."""
    one: linking.Numbers = found["listing"]
    slots = [_slot(slot) for slot in found["slots"]]
    return found | {"listing": listing_told(one, drifting=found["state"] == "drift"), "slots": slots}


def _slot(slot: dict[str, Any]) -> dict[str, Any]:
    sources = [source | {"parts": [_part(part) for part in source["parts"]]} for source in slot["sources"]]
    return slot | {"numbers": _timed(slot["numbers"]), "sources": sources}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    movements = [
        {
            "seq": one.seq,
            "kind": str(one.kind),
            "on_hand": one.on_hand,
            "reserved": one.reserved,
            "reason": one.reason,
            "reference": one.reference,
            "caller": one.caller,
            "recorded_at": moment(one.recorded_at),
        }
        for one in part["movements"]
    ]
    holds = [one._asdict() | {"expires_at": moment(one.expires_at)} for one in part["reservations"]]
    return part | {"movements": movements, "reservations": holds}


def moment(micros: int | None) -> str | None:
    """Microseconds UTC as RFC 3339; None for none, for never (0), and for what is only asked for (below 0).
    What a channel dates after 9999 is brought to it."""
    if not micros or micros < 0:
        return None
    whole, rest = divmod(min(micros, LATEST), 1_000_000)
    found = datetime.fromtimestamp(whole, UTC).replace(microsecond=rest)
    return found.isoformat(timespec="microseconds").replace("+00:00", "Z")
