"""What a connector module must have, checked by mypy, and how to ask a module what else it can do. Pure.

    CHANNEL, Settings, base_url, sign, push, check, pace     every module: `Kind`
    pull    where ``CHANNEL.pulls``                          `pulls(module)`
    places  where ``CHANNEL.locations``                      `locates(module)`
    orders  where ``CHANNEL.takes_orders``                   `takes_orders(module)`
    tokens  where ``CHANNEL.refreshes``                      `refreshes(module)`
    hear    where ``CHANNEL.webhooks``                       `hears(module)`
    expired(response) -> bool, where a channel says that a token has expired with another status than 401
    tokenless(settings) -> bool, where a call without any token is not answered by 401: whether there is none
            yet, so that one is got before the first call
    look(settings, names) -> Flow[list[Seen]], where a channel shows single listings: those that `hear` names
            in ``look_at``; what is gone is left out
    reread(settings, names) -> Flow[Reread], where a channel forgets orders without saying so in its list of
            those that changed: they are asked for by their ids
    limits(settings) -> tuple[Limit, ...], where they depend on the connection: its plan, its own machine

Each of these functions gives the function itself, or None where the channel cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

from onhand.connectors.auth import Wire
from onhand.connectors.channel import (
    Channel,
    Limit,
)
from onhand.connectors.flow import (
    Flow,
    Heard,
    Orders,
    Page,
    Place,
    Reread,
    Response,
    Seen,
    Target,
    Verdict,
)

Pull: TypeAlias = Callable[[Any, str | None], Flow[Page]]
Places: TypeAlias = Callable[[Any], Flow[list[Place]]]
TakeOrders: TypeAlias = Callable[[Any, str | None], Flow[Orders]]
Tokens: TypeAlias = Callable[[Any], Flow[dict[str, Any]]]
Hear: TypeAlias = Callable[[Any, Mapping[str, str], bytes, int], Heard]
Expired: TypeAlias = Callable[[Response], bool]
Tokenless: TypeAlias = Callable[[Any], bool]
Look: TypeAlias = Callable[[Any, Sequence[str]], Flow[list[Seen]]]
Rereads: TypeAlias = Callable[[Any, Sequence[str]], Flow[Reread]]
Limits: TypeAlias = Callable[[Any], "tuple[Limit, ...]"]


class Kind(Protocol):
    """A connector module. ``settings`` are the module's own ``Settings``, made by `flow.read_settings`."""

    @property
    def __name__(self) -> str:
        """The module's full name."""

    @property
    def CHANNEL(self) -> Channel:
        """What the channel is and can do."""

    def base_url(self, settings: Any) -> str:
        """What relative URLs of requests are below."""

    def sign(self, settings: Any, wire: Wire, now: int, nonce: str) -> Wire:
        """The request with its proof; ``now`` in microseconds UTC."""

    def push(self, settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
        """Tell the channel; one verdict a target, in order. At most ``CHANNEL.batch`` targets."""

    def check(self, settings: Any) -> Flow[str]:
        """A harmless call: who we are there, in words. Raises Failed."""

    def pace(self, response: Response) -> float | None:
        """Seconds in which nothing more should be sent, where an answer says so."""


def pulls(module: Kind) -> Pull | None:
    """``pull(settings, cursor)``: what the channel shows, a page at a time."""
    return cast("Pull | None", _of(module, "pull", module.CHANNEL.pulls))


def locates(module: Kind) -> Places | None:
    """``places(settings)``: the channel's locations."""
    return cast("Places | None", _of(module, "places", module.CHANNEL.locations))


def takes_orders(module: Kind) -> TakeOrders | None:
    """``orders(settings, cursor)``: orders that changed since a cursor."""
    return cast("TakeOrders | None", _of(module, "orders", module.CHANNEL.takes_orders))


def refreshes(module: Kind) -> Tokens | None:
    """``tokens(settings)``: fresh values for fields of the settings; with ``expires_in`` seconds."""
    return cast("Tokens | None", _of(module, "tokens", module.CHANNEL.refreshes))


def hears(module: Kind) -> Hear | None:
    """``hear(settings, headers, body, now)``: a webhook, verified."""
    return cast("Hear | None", _of(module, "hear", module.CHANNEL.webhooks))


def expired(module: Kind) -> Expired | None:
    """``expired(response)``: whether an answer that is no 401 says that the token has expired."""
    return cast("Expired | None", _of(module, "expired", True))


def tokenless(module: Kind, settings: Any) -> bool:
    """Whether there is no token yet to sign with, and a call without one would not be known by its answer."""
    says = cast("Tokenless | None", _of(module, "tokenless", True))
    return says is not None and says(settings)


def looks(module: Kind) -> Look | None:
    """``look(settings, names)``: what the channel shows of the listings that a webhook named."""
    return cast("Look | None", _of(module, "look", module.CHANNEL.pulls))


def rereads(module: Kind) -> Rereads | None:
    """``reread(settings, names)``: how the orders of these ids stand now, and which of them are gone."""
    return cast("Rereads | None", _of(module, "reread", module.CHANNEL.takes_orders))


def limits(module: Kind, settings: Any) -> tuple[Limit, ...]:
    """The limits that a connection with these settings has: the module's ``limits(settings)``, else those
    of its CHANNEL. None at all is no limit."""
    own = cast("Limits | None", _of(module, "limits", True))
    return module.CHANNEL.limits if own is None else own(settings)


def _of(module: Kind, name: str, can: bool) -> Any:
    return getattr(module, name, None) if can else None


def external_id(channel: Channel, ids: Mapping[str, str]) -> str:
    """What a listing with these ids is called in `listings.external_id`: the ids of ``CHANNEL.identity``
    that it has, or all where none are named, joined by "/". Whoever makes a listing from a `Seen` uses
    this; the sweep finds the listing again by it."""
    names = channel.identity or tuple(sorted(ids))
    return "/".join(ids[name] for name in names if ids.get(name))
