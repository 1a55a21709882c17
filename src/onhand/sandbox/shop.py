"""The sandbox's state machine: stock that is set, and orders that are placed, paid, shipped and undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from onhand.sandbox.model import Level, Line, Order, Product, State, Variant

LARGEST = 1_000_000
ORDERS_LIMIT = 10_000
"""Orders that are remembered; the oldest of those that are done with are forgotten beyond that."""


class Refused(Exception):
    """What the channel will not do: an HTTP status, a code for programs and words for people."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words


class Event(NamedTuple):
    """Something that happened and that a webhook tells: the order that changed, or the variant."""

    topic: str
    order: Order | None = None
    variant: str = ""


class Shop:
    """Works on a `State`. ``now`` gives microseconds UTC; ``tell`` hears of every event."""

    def __init__(
        self, state: State, now: Callable[[], int], tell: Callable[[Event], None] = lambda _: None
    ) -> None:
        self.state = state
        self._now, self._tell = now, tell
        self._variants = {one.id: one for product in state.products for one in product.variants}
        self.default = next((place.id for place in state.places if place.default), state.places[0].id)
        self._owned = {place.id for place in state.places if place.owned}

    # --- finding ----------------------------------------------------------------------------------------

    def variant(self, name: str) -> Variant:
        """The variant of this id. Raises Refused."""
        found = self._variants.get(name)
        if found is None:
            raise Refused(404, "unknown_variant", f"there is no variant {name!r}")
        return found

    def by_sku(self, sku: str) -> Variant:
        """The first variant of this SKU, or of this id. Raises Refused."""
        for found in self._variants.values():
            if found.sku == sku:
                return found
        return self.variant(sku)

    def where(self, variant: Variant, location: str | None) -> str:
        """The location that is meant: the default one where none is named, or where it lies if not there."""
        return location or (self.default if self.default in variant.levels else next(iter(variant.levels)))

    def owned(self, variant: Variant) -> bool:
        """Whether it lies in the channel's own warehouses alone, so that sellers cannot set it."""
        return self._owned.issuperset(variant.levels)

    def own(self, location: str) -> bool:
        """Whether this location is a warehouse of the channel's own."""
        return location in self._owned

    def level(self, variant: Variant, location: str | None) -> Level:
        """Its level at a location, or where it lies. Raises Refused."""
        found = variant.levels.get(self.where(variant, location))
        if found is None:
            raise Refused(404, "unknown_location", f"there is no location {location!r}")
        return found

    def order(self, name: str) -> Order:
        """The order of this id. Raises Refused."""
        found = self.state.orders.get(name)
        if found is None:
            raise Refused(404, "unknown_order", f"there is no order {name!r}")
        return found

    def products(self, after: int, limit: int) -> tuple[list[Product], int | None]:
        """A page of products, and where the next begins."""
        end = after + limit
        return self.state.products[after:end], end if end < len(self.state.products) else None

    def changed(self, since: int, limit: int, *, only_open: bool) -> tuple[list[Order], int, bool]:
        """Orders that changed after ``since``, oldest change first; where to go on, and whether at once."""
        later = sorted(
            (
                one
                for one in self.state.orders.values()
                if one.changed > since and (one.open or not only_open)
            ),
            key=lambda one: one.changed,
        )
        if len(later) > limit:
            return later[:limit], later[limit - 1].changed, True
        return later, self.state.seq, False

    # --- stock ------------------------------------------------------------------------------------------

    def put(self, variant: Variant, location: str | None, quantity: int | None) -> Level:
        """Set a number, None for unlimited. Raises Refused."""
        level = self.level(variant, location)
        level.unlimited = quantity is None
        level.quantity = quantity or 0
        level.revision += 1
        return level

    def edit(self, sku: str, location: str | None, quantity: int) -> Level:
        """Somebody sets a number by hand, behind the hub's back, and no webhook tells."""
        return self.put(self.by_sku(sku), location, quantity)

    def _take(self, line: Line, units: int) -> None:
        level = self.level(self.variant(line.variant), line.location)
        if not level.unlimited:
            level.quantity -= units
        level.revision += 1
        self._tell(Event("stock.changed", variant=line.variant))

    # --- orders -----------------------------------------------------------------------------------------

    def place(self, wanted: Sequence[tuple[str, int, str | None]], *, test: bool = False) -> Order:
        """An order of (SKU, units, location) lines. Raises Refused where a number shows too few."""
        number = self.state.seq + 1
        lines: list[Line] = []
        for at, (sku, units, location) in enumerate(wanted, 1):
            variant = self.by_sku(sku)
            level = self.level(variant, location)
            place = self.where(variant, location)
            here = (variant.id, place)
            before = sum(one.ordered for one in lines if (one.variant, one.location) == here)
            if not level.unlimited and level.quantity < before + units:
                raise Refused(409, "sold_out", f"{sku} has {level.quantity} units left")
            lines.append(Line(f"{number}-{at}", variant.id, variant.sku, place, units))
        order = Order(f"{self.state.epoch}-{number}", 0, 0, 0, lines, test=test)
        self._note(order)
        order.placed_at = order.updated_at
        self.state.orders[order.id] = order
        self._forget()
        return order

    def pay(self, order: Order) -> None:
        """The buyer pays: the channel lowers its own numbers now."""
        if order.paid:
            raise Refused(409, "already_paid", "the order is paid")
        order.paid = True
        for line in order.lines:
            self._take(line, line.waiting)
        self._note(order)

    def cancel(self, order: Order, line: str | None = None, units: int | None = None) -> None:
        """Units that are not shipped are called off and put back where they were taken."""
        for one, some in self._some(order, line, units, lambda it: it.waiting):
            one.cancelled += some
            if order.paid:
                self._take(one, -some)
        self._note(order)

    def ship(self, order: Order, line: str | None = None, units: int | None = None) -> None:
        """Units leave the house; the numbers were lowered when they were paid."""
        if not order.paid:
            raise Refused(409, "not_paid", "the order is not paid")
        for one, some in self._some(order, line, units, lambda it: it.waiting):
            one.shipped += some
        order.sent_at = self._now()
        self._note(order)

    def refund(self, order: Order, line: str | None = None, units: int | None = None) -> None:
        """Units that were shipped come back and can be sold again."""
        for one, some in self._some(order, line, units, lambda it: it.shipped - it.returned):
            one.returned += some
            self._take(one, -some)
        self._note(order)

    def _some(
        self, order: Order, line: str | None, units: int | None, left: Callable[[Line], int]
    ) -> Iterator[tuple[Line, int]]:
        """So many units of one line or of all lines, first lines first. Raises Refused before anything."""
        lines = [one for one in order.lines if line is None or one.id == line]
        most = sum(left(one) for one in lines)
        rest = most if units is None else units
        if not lines:
            raise Refused(404, "unknown_line", f"there is no line {line!r}")
        if not 0 < rest <= most:
            raise Refused(409, "not_so_many", f"only {most} units of the order allow that")
        takes = []
        for one in lines:
            some = min(rest, left(one))
            rest -= some
            if some:
                takes.append((one, some))
        return iter(takes)

    def _note(self, order: Order) -> None:
        """The order changed: it gets a new place and a later time than any before."""
        self.state.seq += 1
        self.state.clock = max(self._now(), self.state.clock + 1)
        order.changed, order.updated_at = self.state.seq, self.state.clock
        self._tell(Event("order.changed", order=order))

    def _forget(self) -> None:
        if len(self.state.orders) > ORDERS_LIMIT:
            done = next((one.id for one in self.state.orders.values() if not one.open), None)
            if done is not None:
                del self.state.orders[done]
