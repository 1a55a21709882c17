"""Who applies the messages of which source: the registry that the clockwork is started with."""

from __future__ import annotations

from collections.abc import Mapping

from onhand.dialects.sellbrite import queue as sellbrite
from onhand.inbox import Applier

APPLIERS: Mapping[str, Applier] = {sellbrite.NAME: sellbrite.apply}
