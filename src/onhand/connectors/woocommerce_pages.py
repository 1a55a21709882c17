"""Pages of a WooCommerce list in the order of ids: what leaves the list meanwhile hides nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onhand.connectors.flow import Pairs, Response
from onhand.connectors.reading import whole

PAGE = 100
STEP_BACK = 50
"""Rows that are read again when the list has moved up."""


class Spot(NamedTuple):
    """Where a walk through a list stands: the row where the next page begins, and the highest id that was
    read, which is to be that row's."""

    offset: int = 0
    last: int = 0


def asked(spot: Spot) -> Pairs:
    """The query for a page."""
    place = (("per_page", str(PAGE)), ("offset", str(spot.offset)))
    return (*place, ("orderby", "id"), ("order", "asc"))


def following(spot: Spot, listed: Sequence[Mapping[str, Any]], answer: Response) -> Spot | None:
    """Where the next page begins; None at the end of the list.

    What leaves the list (it is trashed, deleted, or in another state) moves all behind it up by one. So pages
    overlap by a row: one that does not begin with what was read already may have been moved, and what stands
    before it is read. Ids only grow, so that nothing comes between two that were read.
    """
    names = [whole(row, "id") or 0 for row in listed]
    if spot.offset and (not names or names[0] > spot.last):
        return spot._replace(offset=max(0, spot.offset - STEP_BACK))
    total = whole(answer.headers.get("x-wp-total"))
    if spot.offset + PAGE >= total if total is not None else len(listed) < PAGE:
        return None
    return Spot(spot.offset + PAGE - 1, max((spot.last, *names)))
