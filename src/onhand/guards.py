"""Which listings of an account are open while a batch is decided, and which close with their level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onhand.stock.model import Place
from onhand.store.listed import Guard
from onhand.work import Accepted, Companion, Outcome, SetStatus, Work


class Guards:
    """The listings that the works of a batch come through, as every work leaves them for the next."""

    __slots__ = ("_bound", "_listings", "closing")

    def __init__(self) -> None:
        self._listings: dict[int, Guard] = {}
        self._bound: dict[Place, list[int]] = {}
        self.closing: set[Place] = set()
        """Levels that a work left showing nothing: listings bound to them close."""

    def watch(self, listing: int, guard: Guard) -> None:
        """Know a listing while the batch is decided."""
        self._listings[listing] = guard
        if guard.place is not None and guard.closes:
            self._bound.setdefault(guard.place, []).append(listing)

    def get(self, listing: int) -> Guard | None:
        """The listing as it is for what follows; None where there is none."""
        return self._listings.get(listing)

    def close(self, place: Place) -> None:
        """A work left ``place`` showing nothing: listings bound to it are closed for what follows, too."""
        self.closing.add(place)
        for listing in self._bound.get(place, ()):
            self.set_status(listing, "closed")

    def set_status(self, listing: int, status: str) -> None:
        """A listing is ``status`` for what follows."""
        if listing in self._listings:
            self._listings[listing] = self._listings[listing]._replace(status=status)

    def said(self, work: Work, outcomes: Sequence[Outcome]) -> Iterator[tuple[int, str, Companion]]:
        """What goes with the groups of ``work`` that were done, as (account, caller, companion)."""
        for group, outcome in zip(work.groups, outcomes, strict=True):
            if group.also and isinstance(outcome, Accepted):
                for companion in group.also:
                    if isinstance(companion, SetStatus) and companion.listing in self._listings:
                        # A later work of this batch may have had another word, or sold the last unit.
                        status = self._listings[companion.listing].status
                        companion = SetStatus(companion.listing, status)
                    yield work.account, group.caller or work.caller, companion
