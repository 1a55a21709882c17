"""GET /verify: the account recomputed from its movements, and what does not agree."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from onhand.api.calls import Call
from onhand.api.replies import Reply, response
from onhand.store import verify


async def verified(call: Call) -> Response:
    """GET /verify. It may take long: minutes for tens of millions of movements."""
    call.account_wide()
    call.params()
    return response(Reply(200, await call.read(lambda c: _verified(c, call.account), long=True)))


def _verified(connection: Connection, account: int) -> dict[str, Any]:
    extent = verify.extent(connection, account)
    found = list(verify.verify(connection, account))
    faults = [one for one in found if one.fault]
    return {
        "clean": not faults,
        "as_of_seq": extent.seq,
        "movements": extent.movements,
        "levels": extent.levels,
        "reservations": extent.reservations,
        "faults": [_body(one) for one in faults],
        "oversold": [_body(one) for one in found if not one.fault],
    }


def _body(one: verify.Finding) -> dict[str, Any]:
    return one._asdict()
