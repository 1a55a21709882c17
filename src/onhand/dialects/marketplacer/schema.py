"""Marketplacer's bodies: what a request asks of the ledger, and how records and variants are shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeGuard, assert_never

import msgspec
from msgspec import UNSET, UnsetType

from onhand.dialects.marketplacer import prices
from onhand.dialects.marketplacer.errors import Problem, invalid
from onhand.stock.ledger import Refused
from onhand.stock.model import (
    QUANTITY_LIMIT,
    AnyCommand,
    AnyRefusal,
    Closed,
    Exists,
    Expired,
    Forbidden,
    Forget,
    Insufficient,
    SetInfinite,
    SetOnHand,
    Stale,
    TooLarge,
    Undone,
    Unknown,
)
from onhand.wire import is_int
from onhand.work import Companion, PutDetail, PutPrice, Recorded

DIALECT = "marketplacer"
DETAIL = "inventory"
"""The kind of detail that holds a record's fulfilment provider, by (item, seller)."""

PROVIDER_LIMIT = 255
STOCK_LIMIT = 5_000
"""Variants in one call of stock_on_hand."""

INFINITE = "INFINITE"
TYPE = "inventories"

_ID = re.compile(r"[1-9][0-9]{0,17}")
_DIGITS = re.compile(r"[0-9]{1,18}")
_COUNT_WORDS = f"must be a whole number from 0 to {QUANTITY_LIMIT}"


def number(text: str) -> bool:
    """Whether a text can be an id at all: a number as it is shown, so that what is shown can be asked for."""
    return _ID.fullmatch(text) is not None


# --- PUT inventories ----------------------------------------------------------------------------------


class Wish(msgspec.Struct, frozen=True):
    """One element of ``data``: what a record should say. UNSET and None for a count keep what is there.

    Prices are exact decimal text, None for no price.
    """

    seller: int | None = None
    count: int | None = None
    infinite: bool | None = None
    price: str | UnsetType | None = UNSET
    sale_price: str | UnsetType | None = UNSET
    provider: str | UnsetType | None = UNSET


def wishes(body: object) -> list[Wish]:
    """The elements of ``data``, all of them checked. Raises Problem 422 about the first bad one."""
    data = body.get("data", UNSET) if isinstance(body, dict) else UNSET
    if data is UNSET:
        raise invalid("data", "Data must be given")
    if not isinstance(data, list) or not data:
        raise invalid("data", "Data must be an array of at least one inventory")
    return [_Element(at, len(data)).read(one) for at, one in enumerate(data, 1)]


class _Element(msgspec.Struct, frozen=True):
    """Where in ``data`` a record stands: an error says so when there are several."""

    at: int
    of: int

    def read(self, one: object) -> Wish:
        if not isinstance(one, dict):
            self.fail("data", "Data must hold objects")
        if one.get("type", TYPE) != TYPE:
            self.fail("data/type", f"Type must be {TYPE}")
        given = one.get("attributes")
        if not isinstance(given, dict):
            self.fail("data/attributes", "Attributes must be an object")
        return Wish(
            self._seller(given.get("seller_id")),
            self._count(given["count_on_hand"]) if "count_on_hand" in given else None,
            self._infinite(given["infinite"]) if "infinite" in given else None,
            self._price(given["price"], "price", "Price") if "price" in given else UNSET,
            self._price(given["sale_price"], "sale_price", "Sale price") if "sale_price" in given else UNSET,
            self._provider(given["fulfilment_provider"]) if "fulfilment_provider" in given else UNSET,
        )

    def fail(self, source: str, words: str) -> NoReturn:
        raise invalid(source, f"{words} (inventory {self.at} of {self.of})" if self.of > 1 else words)

    def wrong(self, attribute: str, words: str) -> NoReturn:
        self.fail(f"data/attributes/{attribute}", words)

    def _seller(self, value: object) -> int | None:
        if value is None or (is_int(value) and value > 0):
            return value
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            return int(value)
        return self.wrong("seller_id", "Seller must be the id of a seller")

    def _count(self, value: object) -> int:
        if countable(value):
            return value
        return self.wrong("count_on_hand", f"Count on hand {_COUNT_WORDS}")

    def _infinite(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        return self.wrong("infinite", "Infinite must be true or false")

    def _price(self, value: object, name: str, title: str) -> str | None:
        if value is None:
            return None
        try:
            return prices.exact(value)
        except prices.BadPrice as bad:
            self.wrong(name, f"{title} {bad}")

    def _provider(self, value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not 0 < len(value) <= PROVIDER_LIMIT:
            words = f"Fulfilment provider must be text of 1 to {PROVIDER_LIMIT} characters"
            self.wrong("fulfilment_provider", words)
        return value


def countable(value: object) -> TypeGuard[int]:
    """Whether a value is a number of units."""
    return is_int(value) and 0 <= value <= QUANTITY_LIMIT


def by_seller(asked: Sequence[Wish], members: Mapping[int, int], bound: int | None) -> dict[int, Wish]:
    """Seller to wish, in the order of the body; the last word about a seller stands.

    ``members`` are the sellers of the multi-store. A key that is ``bound`` to one speaks for that
    seller with its last element, whatever seller that names. Raises Problem 422.
    """
    if bound is not None:
        return {bound: asked[-1]}
    chosen: dict[int, Wish] = {}
    for at, wish in enumerate(asked, 1):
        if wish.seller is None:
            _Element(at, len(asked)).wrong(
                "seller_id", "Seller must be given by the owner of the multi-store"
            )
        if wish.seller not in members:
            _Element(at, len(asked)).wrong("seller_id", "Seller is not a member of this multi-store")
        chosen[wish.seller] = wish
    return chosen


def commands(wish: Wish, item: int, location: int) -> list[AnyCommand]:
    """What makes the level at the seller's location say what is wished; a new one starts at 0."""
    made: list[AnyCommand] = []
    if wish.count is not None:
        made.append(SetOnHand(item, location, wish.count))
    elif not wish.infinite:
        made.append(SetOnHand(item, location, 0, only_absent=True))
    if wish.infinite is not None:
        made.append(SetInfinite(item, location, wish.infinite))
    return made


def companions(wish: Wish, item: int, seller: int) -> list[Companion]:
    """What goes with the commands: prices and the fulfilment provider, where they are given."""
    made: list[Companion] = []
    if wish.price is not UNSET or wish.sale_price is not UNSET:
        made.append(PutPrice(item, seller, wish.price, wish.sale_price))
    if wish.provider is not UNSET:
        made.append(PutDetail(DIALECT, DETAIL, item, seller, _detail(wish.provider)))
    return made


def _detail(provider: str | UnsetType | None) -> str | None:
    return msgspec.json.encode({"fulfilment_provider": provider}).decode() if provider else None


def removal(item: int, seller: int, location: int) -> tuple[tuple[AnyCommand, ...], tuple[Companion, ...]]:
    """A record goes with all that it said."""
    forget = Forget(item, location)
    return (forget,), (
        PutPrice(item, seller, None, None, None),
        PutDetail(DIALECT, DETAIL, item, seller, None),
    )


# --- PUT variants/{variant} ---------------------------------------------------------------------------

_VARIANT = "variants"
_OF_STOCK = ("count_on_hand", "infinite", "price", "sale_price")


def variant(body: object) -> Wish:
    """What the one seller of a variant should have of it; what the item says of itself is passed over.

    Raises Problem 422.
    """
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict):
        raise invalid("data", "Data must be an object")
    if data.get("type", _VARIANT) != _VARIANT:
        raise invalid("data/type", f"Type must be {_VARIANT}")
    given = data.get("attributes")
    if isinstance(given, dict):
        given = {name: given[name] for name in _OF_STOCK if name in given}
    return _Element(1, 1).read({"attributes": given})


def several_sellers() -> Problem:
    """The refusal of a variant that each seller has of its own."""
    return invalid("data", "The stock of a variant of several sellers is set by its inventories")


# --- POST variants/stock_on_hand ----------------------------------------------------------------------


def stock(body: object) -> dict[str, int | None]:
    """Variant id to units, None for infinite. Raises Problem 422."""
    given = body.get("count_on_hand") if isinstance(body, dict) else None
    if not isinstance(given, dict) or not given:
        raise invalid("count_on_hand", "Count on hand must be an object of variant ids and their stock")
    if len(given) > STOCK_LIMIT:
        raise invalid("count_on_hand", f"Count on hand may name at most {STOCK_LIMIT} variants")
    for name, value in given.items():
        if value != INFINITE and not countable(value):
            raise invalid(_stock_source(name), f"Count on hand {_COUNT_WORDS}, or {INFINITE!r}")
    return {name: None if value == INFINITE else value for name, value in given.items()}


def unknown_variant(name: str) -> Problem:
    """The refusal of a call that names a variant which is not there."""
    return invalid(_stock_source(name), "Variant could not be found")


def contradicted(name: str, other: str) -> Problem:
    """The refusal of a call that says something else of a variant's item under another variant."""
    words = f"Count on hand differs from that of variant {other}, which has the same stock"
    return invalid(_stock_source(name), words)


def stock_refused(refusal: AnyRefusal, name: str) -> Problem:
    """The ledger's refusal of what a call says of the variant ``name``, one of thousands perhaps."""
    problem = refused(refusal, name)
    return unknown_variant(name) if problem.status == 404 else invalid(_stock_source(name), problem.detail)


def _stock_source(name: str) -> str:
    return f"count_on_hand/{name[:20]}"


def stock_commands(count: int | None, item: int, location: int) -> tuple[AnyCommand, ...]:
    """A number makes stock finite, no number makes it infinite."""
    if count is None:
        return (SetInfinite(item, location, True),)
    return (SetOnHand(item, location, count), SetInfinite(item, location, False))


def stock_answer(asked: Mapping[str, int | None]) -> dict[str, Any]:
    """What was set, as it was asked."""
    return {"count_on_hand": {name: INFINITE if count is None else count for name, count in asked.items()}}


# --- refusals -----------------------------------------------------------------------------------------


def accepted(recorded: Recorded, name: str) -> None:
    """Raises the Problem of a request that the ledger refused; ``name`` is what was asked for."""
    outcome = recorded.outcomes[0]
    if isinstance(outcome, Refused):
        raise refused(outcome.refusal, name)


def refused(refusal: AnyRefusal, name: str) -> Problem:
    """The ledger's refusal in this API's words; ``name`` is the record or variant that was asked for."""
    match refusal:
        case Unknown():
            return Problem(404, f"The record identified by {name} could not be found.")
        case TooLarge():
            return invalid("data/attributes/count_on_hand", f"Count on hand {_COUNT_WORDS}")
        case Forbidden(why):
            return invalid("data", f"Inventory cannot be changed: {why}")
        case Stale() | Insufficient() | Closed() | Expired() | Exists() | Undone():
            return invalid("data", "Inventory cannot be changed")
        case _:
            assert_never(refusal)
