"""Which listings of an account are open while a batch is decided, and which close with their level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from onhand.stock.ledger import Entry, Refused
from onhand.stock.model import ABSENT, Closed, Level, Place, Stale
from onhand.store.listed import Guard
from onhand.work import Accepted, Companion, Group, Outcome, SetStatus, Work


class Guards:
    """The listings that the works of a batch come through, as every work leaves them for the next."""

    __slots__ = ("_bound", "_listings", "closing")

    def __init__(self) -> None:
        self._listings: dict[int, Guard] = {}
        self._bound: dict[Place, list[int]] = {}
        self.closing: set[Place] = set()
        """Levels that a work left showing nothing: listings bound to them close, for what follows, too."""

    def watch(self, listing: int, guard: Guard) -> None:
        """Know a listing while the batch is decided."""
        self._listings[listing] = guard
        if guard.place is not None and guard.closes:
            self._bound.setdefault(guard.place, []).append(listing)

    def barred(self, group: Group, levels: Mapping[Place, Level]) -> Refused | None:
        """Why a group may not begin: its listing is not open, or a level has another version."""
        if group.listing is not None:
            guard = self._listings.get(group.listing)
            if guard is None or guard.status != "open":
                return Refused(0, Closed(group.listing))
        for place, version in group.expect:
            level = levels.get(place, ABSENT)
            if level.version != version:
                return Refused(0, Stale(*place, version, level.version))
        return None

    def follow(self, group: Group, entries: Iterable[Entry], levels: Mapping[Place, Level]) -> None:
        """Close what a group that was done left showing nothing, and open and close what it says."""
        for entry in entries:
            place = entry.movement.place
            if levels[place].shown == 0:
                self._close(place)
        if group.listing is not None:
            bound = self._listings[group.listing].place
            if bound is not None and bound in levels and levels[bound].shown == 0:
                self._close(bound)
        for companion in group.also:
            if isinstance(companion, SetStatus):
                self._set_status(companion.listing, companion.status)

    def _close(self, place: Place) -> None:
        self.closing.add(place)
        for listing in self._bound.get(place, ()):
            self._set_status(listing, "closed")

    def _set_status(self, listing: int, status: str) -> None:
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
