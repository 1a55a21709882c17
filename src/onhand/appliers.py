"""Who applies the messages of which source: the registry that the clockwork is started with."""

from __future__ import annotations

from collections.abc import Mapping

from onhand import orders_applied, orders_in
from onhand.dialects.sellbrite import queue as sellbrite
from onhand.inbox import Applier
from onhand.settings import Settings


def appliers(settings: Settings) -> Mapping[str, Applier]:
    """The appliers of a hub with these settings."""
    return {
        sellbrite.NAME: sellbrite.apply,
        orders_in.SOURCE: orders_applied.applier(settings.oversold_loses),
    }


APPLIERS: Mapping[str, Applier] = appliers(Settings())
"""Those of the usual settings."""
