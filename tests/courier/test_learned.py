"""What a channel teaches us of a listing in its answer to a number joins what was learned meanwhile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from courier import bazaar
from courier.town import Like, Town, play
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Accepted, Flow, Response, Target, Verdict
from onhand.store import linking
from onhand.store.linking import Found


class Beside:
    """The stall, which is imported from anew while it answers."""

    def __init__(self, town: Town) -> None:
        self._town = town

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """Its answer, which comes after the import."""
        if wire.method == "POST":
            await self._town.inventory.write(1, _imported)
        return await self._town.stall.send(wire, timeout=timeout)


def _imported(connection: Connection) -> object:
    found = Found("1-1", 1, {"id": "1-1", "offers": "new"}, None, True)
    return linking.keep_listings(connection, 1, 1, [found], 7)


def push(settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
    """As the bazaar; all that is accepted is called something, too."""
    verdicts = yield from bazaar.push(settings, targets)
    return [
        Accepted(one.target, ids={"called": "x"}, notes=one.notes) if isinstance(one, Accepted) else one
        for one in verdicts
    ]


def test_ids_that_change_while_a_number_is_told_are_kept(town: Town) -> None:
    async def story(town: Town) -> None:
        await town.change("listings", 1, ids={"id": "1-1", "offers": "old"}, notes={"mine": "1"})
        await town.stock(1, 5)
        async with town.driven(Like(push=push), transport=Beside(town)):
            await town.calm()
        ((ids, notes),) = town.sql("SELECT ids, notes FROM listings WHERE id = 1")
        assert json.loads(ids) == {"id": "1-1", "offers": "new", "called": "x"}
        assert json.loads(notes).keys() == {"mine", "last"}

    play(town, story)
