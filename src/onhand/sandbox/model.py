"""What a sandbox channel holds: products, locations, orders, tokens and faults, as values for a file."""

from __future__ import annotations

import msgspec

PLACE_MAIN, PLACE_OUTLET, PLACE_CENTRE = "main", "outlet", "centre"


class Level(msgspec.Struct):
    """Units of a variant at a location. ``revision`` goes up by one with every change, whoever made it."""

    quantity: int = 0
    revision: int = 1
    unlimited: bool = False


class Variant(msgspec.Struct):
    """What can be bought, and where it lies: at one location or more."""

    id: str
    sku: str | None
    title: str
    levels: dict[str, Level]


class Product(msgspec.Struct):
    """Variants under one title; ``kit`` says that it is made of other products."""

    id: str
    title: str
    variants: list[Variant]
    active: bool = True
    kit: bool = False


class Place(msgspec.Struct, frozen=True):
    """A location of the channel; the default one is meant where none is named. An ``owned`` one is the
    channel's own warehouse, which it fills and counts itself: sellers cannot set numbers there."""

    id: str
    name: str
    default: bool = False
    owned: bool = False


class Line(msgspec.Struct):
    """A line of an order: counts of units, none of which goes down."""

    id: str
    variant: str
    sku: str | None
    location: str
    ordered: int
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0

    @property
    def waiting(self) -> int:
        """Units that are neither shipped nor cancelled."""
        return self.ordered - self.cancelled - self.shipped


class Order(msgspec.Struct):
    """``changed`` is its place in the order of all changes, times are microseconds UTC: at ``sent_at`` the
    last of its units left. An order that was not ``paid`` has taken nothing from stock."""

    id: str
    placed_at: int
    updated_at: int
    changed: int
    lines: list[Line]
    paid: bool = False
    test: bool = False
    sent_at: int | None = None

    @property
    def open(self) -> bool:
        """Whether any unit is still to be shipped."""
        return any(line.waiting for line in self.lines)


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """What goes wrong, and how often still. All counts are of requests of the channel's own protocol,
    ``errors`` of items in them, ``duplicate`` and ``reorder`` of webhooks.

    ``delay``: seconds before every answer. ``throttle``: answers of 429, with ``retry_after`` seconds where
    that is set. ``fail``: answers of 503. ``errors``: items that are refused with ``error_code`` inside a
    200. ``lose``: writes that are done and answered only after ``lose_seconds``. ``duplicate``: webhooks
    that are sent twice; ``reorder``: webhooks that are overtaken by the next. ``rate``: requests in a
    second, ``burst`` of them at once; 0 is no limit. ``token_seconds``: how long a new token lives.
    """

    delay: float = 0.0
    throttle: int = 0
    retry_after: float | None = None
    fail: int = 0
    errors: int = 0
    error_code: str = "refused"
    lose: int = 0
    lose_seconds: float = 40.0
    duplicate: int = 0
    reorder: int = 0
    rate: float = 0.0
    burst: int = 50
    token_seconds: int = 3600


class Keys(msgspec.Struct):
    """What opens it: a client's id and secret for the protocol, a key for the operator, and the secret that
    signs webhooks, which go to ``hook_url`` ("" for nowhere)."""

    client_id: str
    client_secret: str
    admin_key: str
    webhook_secret: str
    hook_url: str = ""


class State(msgspec.Struct):
    """All of it. ``epoch`` names this life of the channel and is part of order ids and cursors; ``seq``
    counts changes of orders, ``clock`` is the last time that was given to one."""

    epoch: str
    keys: Keys
    products: list[Product]
    places: list[Place]
    orders: dict[str, Order] = {}
    seq: int = 0
    clock: int = 0
    hooks: int = 0
    faults: Faults = msgspec.field(default_factory=Faults)
    access: dict[str, int] = {}
    refresh: list[str] = []
