"""The courier of a process, with the equipment that it shares with people's own questions."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from onhand.courier.courier import Courier
from onhand.courier.ports import TakesOrders
from onhand.outward.equipment import Equipment


@contextlib.asynccontextmanager
async def courier(equipment: Equipment, orders: TakesOrders | None = None) -> AsyncIterator[None]:
    """Tell the channels while the block runs. The ledger is running; in one process there is one courier."""
    made = Courier(
        equipment.inventory,
        equipment.transport,
        equipment.seals,
        tuple(equipment),
        equipment.settings,
        orders=orders,
    )
    await made.start()
    try:
        yield
    finally:
        await made.stop()
