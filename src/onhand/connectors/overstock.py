"""Speaks to Overstock (Bed Bath & Beyond), a Mirakl marketplace at a known host that wants a warehouse.

Mirakl Marketplace seller API, https://developer.mirakl.com/content/product/mmp/rest/seller/openapi3, as
`mirakl` speaks it; checked 2026-11-22 against that OpenAPI document; not yet called live. The
older drop-ship interface (SupplierOasis) has no published inventory call and is not spoken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from onhand.connectors import mirakl
from onhand.connectors.channel import Channel, Secret
from onhand.connectors.flow import Flow, Place, Rejected, Slot, Target, Verdict
from onhand.connectors.mirakl import check, orders, pace, pull, sign

__all__ = ["CHANNEL", "Settings", "base_url", "check", "orders", "pace", "places", "pull", "push", "sign"]

HOST = "https://bedbathandbeyondus-prod.mirakl.net"
NO_WAREHOUSE = "Overstock wants a warehouse with every quantity: set one for the connection or the slot"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``warehouse`` is the code that quantities without a location go to; ``warehouses`` are others."""

    api_key: Secret
    warehouse: str = ""
    shop_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]*$")] = ""
    warehouses: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()


CHANNEL = Channel(
    name="overstock",
    title="Overstock",
    version=mirakl.CHANNEL.version,
    document=mirakl.DOCUMENT,
    checked=mirakl.CHECKED,
    settings=Settings,
    shop=("shop_id", "api_key"),
    auth="shop API key",
    batch=mirakl.FILE_ROWS,
    limits=mirakl.LIMITS,
    asynchronous=True,
    largest=mirakl.CHANNEL.largest,
    locations=True,
    identity=mirakl.IDENTITY,
    cannot=(*mirakl.CANNOT, "The drop-ship interface (SupplierOasis) publishes no inventory call."),
)


def base_url(settings: Settings) -> str:
    """The marketplace's host."""
    return HOST


def push(settings: Settings, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """As Mirakl's, with the warehouse of the settings where a slot names none."""
    placed = [_placed(settings, target) for target in targets]
    going = [target for target in placed if target is not None]
    said = iter((yield from mirakl.push(settings, going)) if going else [])
    return [
        Rejected(target, NO_WAREHOUSE) if mine is None else msgspec.structs.replace(next(said), target=target)
        for target, mine in zip(targets, placed, strict=True)
    ]


def _placed(settings: Settings, target: Target) -> Target | None:
    """The target with a warehouse in every slot; None when one cannot be known."""
    slots: list[Slot] = []
    for slot in target.slots:
        location = slot.location or settings.warehouse
        if not location:
            return None
        slots.append(msgspec.structs.replace(slot, location=location))
    return msgspec.structs.replace(target, slots=tuple(slots))


def places(settings: Settings) -> Flow[list[Place]]:
    """The warehouses that are known, the default one first."""
    found = yield from mirakl.places(settings)
    if not settings.warehouse:
        return found
    others = [place for place in found if place.id != settings.warehouse]
    rest = [Place(place.id, place.name) for place in others]
    return [Place(settings.warehouse, settings.warehouse, default=True), *rest]
