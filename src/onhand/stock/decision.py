"""What a decision may look at, and what it leads to."""

from __future__ import annotations

from collections.abc import Mapping

from onhand.stock.model import ABSENT, Kind, Level, Movement, Place, Reservation, Value


class Decision(Value, frozen=True):
    """What an accepted command does: movements in order, and the reservation it leaves behind."""

    movements: tuple[Movement, ...] = ()
    reservation: Reservation | None = None


NOTHING = Decision()


class Books(Value, frozen=True):
    """The part of the ledger that a decision may look at; absent levels may be left out."""

    levels: Mapping[Place, Level]
    reservations: Mapping[str, Reservation]

    def level(self, place: Place) -> Level:
        """The level at ``place``, absent ones included."""
        return self.levels.get(place, ABSENT)

    def move(
        self, place: Place, kind: Kind, on_hand: int, reserved: int, reference: str, reason: str | None
    ) -> Movement:
        """A movement under a reservation; the level stays as infinite as it is."""
        return Movement(*place, kind, on_hand, reserved, self.level(place).infinite, True, reason, reference)
