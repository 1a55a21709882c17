"""How channels, connections, listings and drifts look to programs: plain values, times in RFC 3339."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from onhand.connectors.channel import Channel
from onhand.outward import explaining, watching
from onhand.outward.needs import needs
from onhand.store import linking, showing

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
    """Microseconds UTC as RFC 3339; None for none and for never (0)."""
    if not micros:
        return None
    whole, rest = divmod(micros, 1_000_000)
    found = datetime.fromtimestamp(whole, UTC).replace(microsecond=rest)
    return found.isoformat(timespec="microseconds").replace("+00:00", "Z")
