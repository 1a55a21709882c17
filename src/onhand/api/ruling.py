"""Rules as a request changes them: those that are named, and no others."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from onhand.api.schema import Body
from onhand.stock.offering import Percent, Seconds, Units


class Ruling(Body, frozen=True, kw_only=True):
    """`Rules` to change: what is left out stays as it is, null drops it; see `outward.steering.merged`.
    Locations and places are each given as a whole."""

    buffer: Units | UnsetType | None = UNSET
    percent: Percent | UnsetType | None = UNSET
    minimum: Units | UnsetType | None = UNSET
    cap: Units | UnsetType | None = UNSET
    mirrored: bool | UnsetType | None = UNSET
    locations: tuple[int, ...] | UnsetType | None = UNSET
    places: dict[str, tuple[int, ...]] | UnsetType | None = UNSET
    heal: bool | UnsetType | None = UNSET
    sweep: Seconds | UnsetType | None = UNSET
    poll: Seconds | UnsetType | None = UNSET


def named(told: Ruling) -> dict[str, Any]:
    """The rules that ``told`` names, None for one to drop."""
    return {name: value for name, value in msgspec.structs.asdict(told).items() if value is not UNSET}
