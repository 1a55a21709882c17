"""What the hub knows behind a request: the caller's multi-store, its variants, records and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.auth import Caller
from onhand.dialects.marketplacer.errors import Problem, missing
from onhand.dialects.marketplacer.schema import DETAIL, DIALECT, number
from onhand.dialects.marketplacer.variants import Variant
from onhand.inventory import Inventory
from onhand.stock.model import Level
from onhand.store import catalog, channels, counters, offers
from onhand.store.catalog import Price
from onhand.store.offers import Home

RECORD = "inventory"
COUNTER = "marketplacer.inventory"
_RECORDS, _MEMBERS = "marketplacer record", "marketplacer members"
"""What is remembered: item and seller to the id of a record, and an account's members."""


class Members(NamedTuple):
    """The members of a multi-store, by id of the seller: their homes, their locations, and the account's own
    seller, else the first; None where it has none with a location."""

    homes: Mapping[int, Home]
    places: Mapping[int, int]
    first: Home | None


class Shop(msgspec.Struct, frozen=True):
    """The multi-store as one caller has it. ``homes`` and ``places`` are its members' homes and locations, by
    id of the seller.

    ``mine`` is who the caller speaks for: the seller of a member's key, the account's own (else
    the first) seller for the parent; None where the account has no seller with a location.
    """

    account: int
    link: int
    bound: int | None
    homes: Mapping[int, Home]
    places: Mapping[int, int]
    mine: Home | None

    @property
    def parent(self) -> bool:
        """Whether the caller owns the multi-store."""
        return self.bound is None

    @property
    def single(self) -> bool:
        """Whether the caller may see the variants that only the account's own seller sells."""
        return self.parent or (self.mine is not None and self.mine.own)


def enter(connection: Connection, caller: Caller) -> Shop:
    """The caller's shop. Raises Problem 403 for a key of neither the parent nor a member."""
    return _of(_members(connection, caller.account), caller)


def remembered(inventory: Inventory, caller: Caller) -> Shop | None:
    """The same where it is remembered."""
    found = inventory.remembered(caller.account).get(_MEMBERS, {}).get(caller.account)
    return None if found is None else _of(found, caller)


async def entered(inventory: Inventory, caller: Caller) -> Shop:
    """The same, looked up where need be."""
    account = caller.account
    found = await inventory.recall_many(
        account, _MEMBERS, [account], lambda c, _: {account: _members(c, account)}
    )
    return _of(found[account], caller)


def _members(connection: Connection, account: int) -> Members:
    found = offers.homes(connection, account)
    first = next((home for home in found if home.own), found[0] if found else None)
    homes = {home.seller: home for home in found}
    return Members(homes, {home.seller: home.location for home in found}, first)


def _of(members: Members, caller: Caller) -> Shop:
    mine = members.first
    if caller.seller is not None:
        mine = members.homes.get(caller.seller)
        if mine is None:
            raise Problem(403, "The owner of this API key is not a member of this multi-store")
    link = caller.connection or 0
    return Shop(caller.account, link, caller.seller, members.homes, members.places, mine)


def variant(connection: Connection, shop: Shop, name: str) -> Variant:
    """The variant of this id. Raises Problem 404 when there is none for this caller."""
    found = variants(connection, shop, [name])
    if name not in found:
        raise missing(name)
    return found[name]


def variants(connection: Connection, shop: Shop, names: Iterable[str]) -> dict[str, Variant]:
    """The variants of these ids that are there for this caller, by id as it was written."""
    found = _listed(connection, shop, names)
    return {name: one for name, one in found.items() if one.multi_store or shop.single}


def _listed(connection: Connection, shop: Shop, names: Iterable[str]) -> dict[str, Variant]:
    wanted = [name for name in names if number(name)]
    listed = channels.listings_by_external(connection, shop.account, shop.link, wanted)
    items = catalog.items(connection, shop.account, [listing.item for listing in listed.values()])
    return {name: Variant(int(name), items[listing.item]) for name, listing in listed.items()}


def remembered_item(inventory: Inventory, shop: Shop, name: str) -> int | None:
    """The item of a variant that has inventories, where it is remembered."""
    found: _Kept | None = inventory.remembered(shop.account).get(_variants_of(shop), {}).get(name)
    return found.item if found is not None and found.multi_store else None


async def shared_item(inventory: Inventory, shop: Shop, name: str) -> int:
    """The same, looked up where need be. Raises Problem 404."""
    more = await inventory.recall_many(
        shop.account, _variants_of(shop), [name], lambda c, names: _kept(c, shop, names), alone=False
    )
    found = more.get(name)
    if found is None or not found.multi_store:
        raise missing(name)
    return found.item


def _variants_of(shop: Shop) -> str:
    return f"variant of {shop.link}"


class _Kept(NamedTuple):
    """What is remembered of a variant, whoever may see it."""

    item: int
    multi_store: bool


def _kept(connection: Connection, shop: Shop, names: Iterable[str]) -> dict[str, _Kept]:
    found = _listed(connection, shop, names)
    return {name: _Kept(one.item.id, one.multi_store) for name, one in found.items()}


# --- records ------------------------------------------------------------------------------------------


class State(NamedTuple):
    """The records of one variant, each part by seller."""

    levels: dict[int, Level]
    prices: dict[int, Price]
    providers: dict[int, str]


def state(connection: Connection, shop: Shop, item: int, now: int) -> State:
    """What the members have of an item."""
    kept = offers.kept(connection, shop.account, item, DIALECT, DETAIL, now)
    here = {
        home.seller: level
        for home in shop.homes.values()
        if (level := kept.levels.get((item, home.location))) is not None
    }
    providers = {seller: body["fulfilment_provider"] for seller, body in kept.details.items()}
    return State(here, kept.prices, providers)


def remembered_ids(
    inventory: Inventory, account: int, item: int, sellers: Sequence[int]
) -> dict[int, int] | None:
    """Seller to the id of its record, where all of them have one that is remembered."""
    known = inventory.remembered(account).get(_RECORDS, {})
    found: dict[int, int] = {}
    for seller in sellers:
        number = known.get(_pair(item, seller))
        if number is None:
            return None
        found[seller] = number
    return found


async def record_ids(inventory: Inventory, account: int, item: int, sellers: Sequence[int]) -> dict[int, int]:
    """The same; those without one are given one now, in the order of ``sellers``."""
    pairs = {_pair(item, seller): seller for seller in sellers}
    known = await inventory.recall_many(account, _RECORDS, pairs, lambda c, some: _ids(c, account, some))
    found = {seller: known[pair] for pair, seller in pairs.items() if pair in known}
    if new := [seller for seller in pairs.values() if seller not in found]:
        # Quiet: what has no id yet is not remembered, and what has one keeps it.
        unit = partial(give_ids, account=account, item=item, sellers=new)
        found |= await inventory.write(account, unit, quiet=True)
    return found


def _ids(connection: Connection, account: int, pairs: Iterable[str]) -> dict[str, int]:
    """The ids of records, by item and seller, where they have one."""
    found = channels.externals(connection, account, DIALECT, RECORD, pairs)
    return {pair: int(name) for pair, name in found.items()}


def give_ids(connection: Connection, account: int, item: int, sellers: Sequence[int]) -> dict[int, int]:
    """Seller to the id of its record; those without one are given one now, in the order of ``sellers``.

    An id belongs to the pair of item and seller for good. To be run by the writer: the counter's
    row is taken first, so that of two at once the second sees what the first gave.
    """
    counters.at_least(connection, account, COUNTER, 0)
    pairs = {_pair(item, seller): seller for seller in sellers}
    known = {pairs[pair]: number for pair, number in _ids(connection, account, pairs).items()}
    new = [seller for seller in dict.fromkeys(sellers) if seller not in known]
    if new:
        first = counters.take(connection, account, COUNTER, len(new))
        made = {seller: first + at for at, seller in enumerate(new)}
        names = {str(given): _pair(item, seller) for seller, given in made.items()}
        channels.map_ids(connection, account, DIALECT, RECORD, names)
        known |= made
    return known


def owner(connection: Connection, account: int, record: str) -> tuple[int, int] | None:
    """The (item, seller) whose record has this id."""
    if not number(record):
        return None
    found = channels.internals(connection, account, DIALECT, RECORD, [record]).get(record)
    if found is None:
        return None
    item, _, seller = found.partition(":")
    return int(item), int(seller)


def _pair(item: int, seller: int) -> str:
    return f"{item}:{seller}"
