"""Every API that the hub speaks: where it is mounted, what answers it, and how its keys are made."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

from onhand.api import routes as native_routes
from onhand.api import setup as native_setup
from onhand.dialects.flipkart import routes as flipkart_routes
from onhand.dialects.flipkart import setup as flipkart_setup
from onhand.dialects.marketplacer import routes as marketplacer_routes
from onhand.dialects.marketplacer import setup as marketplacer_setup
from onhand.dialects.sellbrite import routes as sellbrite_routes
from onhand.dialects.sellbrite import setup as sellbrite_setup
from onhand.dialects.trackstar import routes as trackstar_routes
from onhand.dialects.trackstar import setup as trackstar_setup
from onhand.dialects.treet import routes as treet_routes
from onhand.dialects.treet import setup as treet_setup


class Face(NamedTuple):
    """One API: its name, its title for people, its path, and the modules that make it up."""

    name: str
    title: str
    prefix: str
    routes: ModuleType
    setup: ModuleType


FACES = (
    Face("native", "onhand", "/api/v1", native_routes, native_setup),
    Face("treet", "Treet", "/treet", treet_routes, treet_setup),
    Face("flipkart", "Flipkart", "/flipkart", flipkart_routes, flipkart_setup),
    Face("trackstar", "Trackstar", "/trackstar", trackstar_routes, trackstar_setup),
    Face("marketplacer", "Marketplacer", "/marketplacer", marketplacer_routes, marketplacer_setup),
    Face("sellbrite", "Sellbrite", "/sellbrite", sellbrite_routes, sellbrite_setup),
)


def face(name: str) -> Face:
    """The API of this name. Raises ValueError in words."""
    for one in FACES:
        if one.name == name:
            return one
    raise ValueError(f"{name!r} is no API of this hub: {', '.join(one.name for one in FACES)}")
