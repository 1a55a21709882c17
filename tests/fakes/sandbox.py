"""The sandbox channel without its server: the same state machine and protocol behind a function."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.common import Clock, Example, micros
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response
from onhand.sandbox.hooks import signed
from onhand.sandbox.model import Faults, Keys, Level, Place, Product, State, Variant
from onhand.sandbox.protocol import Answer, Call, Protocol
from onhand.sandbox.shop import Event, Shop

EXAMPLE = Example(
    settings={
        "url": "http://127.0.0.1:8081",
        "client_id": "sandbox-client",
        "client_secret": "client-secret-77c1",
        "access_token": "access-token-0913",
        "refresh_token": "refresh-token-5be2",
        "webhook_secret": "webhook-secret-d06a",
    },
    ids=lambda n: {"product": f"p{n}", "variant": f"v{n}"},
    location="main",
)
YEAR = 365 * 24 * 3600 * 1_000_000


@dataclass
class Fake:
    """A sandbox in a test. ``state.faults`` are its faults; ``events`` what a webhook would tell."""

    settings: Mapping[str, Any] = field(default_factory=lambda: EXAMPLE.settings)
    clock: Clock = field(default_factory=Clock)
    requests: list[Wire] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        told = self.settings
        keys = Keys(told["client_id"], told["client_secret"], "admin-key", told["webhook_secret"])
        places = [
            Place("main", "Main", default=True),
            Place("outlet", "Outlet"),
            Place("centre", "Centre", owned=True),
        ]
        self.state = State("test", keys, [], places)
        self.state.access[told["access_token"]] = self.now() + YEAR
        self.state.refresh.append(told["refresh_token"])
        self._tokens = (f"fresh-token-{n:04}" for n in itertools.count(1))
        self.use(self.state)

    def use(self, state: State) -> None:
        """Go on with another state."""
        self.state = state
        self.shop = Shop(state, self.now, self.events.append)
        self.protocol = Protocol(self.shop, self.now, lambda: next(self._tokens))

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self.state.faults

    def now(self) -> int:
        """The channel's clock, in microseconds."""
        return micros(self.clock.tick())

    def __call__(self, wire: Wire) -> Response:
        """What it says to a request; nothing where the answer is lost."""
        self.requests.append(wire)
        answer = self.protocol.answer(called(wire))
        return Response(0) if answer.lost else said(answer)

    # --- the world behind the API -----------------------------------------------------------------------

    def stock(self, number: int, quantity: int, *, owned: bool = False, active: bool = True) -> Variant:
        """A product with one variant, SKU ``SKU-number``, and so many units in the main location; or, when
        the channel ``owned`` it, in its own warehouse."""
        levels = {"centre": Level(quantity)} if owned else {"main": Level(quantity), "outlet": Level(0)}
        variant = Variant(f"v{number}", f"SKU-{number}", f"Thing {number}", levels)
        self.state.products.append(Product(f"p{number}", f"Thing {number}", [variant], active))
        self.use(self.state)
        return variant

    def sell(self, sku: str, units: int) -> str:
        """Somebody buys and pays; the order's id."""
        order = self.shop.place([(sku, units, None)])
        self.shop.pay(order)
        return order.id

    def edit(self, sku: str, quantity: int) -> None:
        """Somebody sets a number by hand."""
        self.shop.edit(sku, None, quantity)

    def shown(self, sku: str, location: str = "main") -> int | None:
        """What a buyer sees; None for unlimited."""
        level = self.shop.by_sku(sku).levels[location]
        return None if level.unlimited else level.quantity

    def webhook(self, body: bytes, now: int) -> tuple[dict[str, str], bytes]:
        """Headers and body of a message as it would be sent."""
        wire = signed(self.state, body, now)
        return {name.lower(): value for name, value in wire.headers.items()}, wire.body


def called(wire: Wire) -> Call:
    """A request as the protocol is given it."""
    path = "/" + wire.url.split("://", 1)[1].partition("/")[2]
    headers = {name.lower(): value for name, value in wire.headers.items()}
    return Call(wire.method, path, dict(wire.query), headers, wire.body)


def said(answer: Answer) -> Response:
    """An answer as a client gets it."""
    return Response(answer.status, dict(answer.headers), answer.body)
