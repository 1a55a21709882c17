"""Sellers and the locations that they own."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Connection
from starlette.responses import Response

from onhand import wording
from onhand.api import told
from onhand.api.calls import Call
from onhand.api.problems import Problem, fault
from onhand.api.replies import Reply, response
from onhand.api.schema import Body, Id, Name, Where, missing, shown
from onhand.store import catalog, lookup
from onhand.store.catalog import Location, Seller

Kind: TypeAlias = Literal["stock", "held", "mirrored"]
LongName: TypeAlias = Annotated[Name, Meta(pattern=wording.NOT_BLANK)]


class NewSeller(Body, frozen=True, kw_only=True):
    """A seller to create."""

    name: LongName
    own: bool = False


class SellerChange(Body, frozen=True, kw_only=True):
    """What may change about a seller."""

    name: LongName | UnsetType = UNSET
    default_location: Where | UnsetType | None = UNSET


class NewLocation(Body, frozen=True, kw_only=True):
    """A location to create; without a seller it belongs to the account's own."""

    name: LongName
    kind: Kind = "stock"
    seller: Id | None = None


class LocationChange(Body, frozen=True, kw_only=True):
    """What may change about a location."""

    name: LongName | UnsetType = UNSET
    active: bool | UnsetType = UNSET


# --- sellers --------------------------------------------------------------------------------------------


async def sellers(call: Call) -> Response:
    """GET /sellers."""
    call.params()
    found = await call.read(lambda c: _sellers(c, call))
    return response(Reply(200, told.page([_seller_body(one) for one in found], None)))


async def seller(call: Call) -> Response:
    """GET /sellers/{seller}."""
    call.params()
    number = call.number("seller", "unknown_seller")
    return response(Reply(200, _seller_body(await call.read(lambda c: _seller(c, call, number)))))


async def add_seller(call: Call) -> Response:
    """POST /sellers."""
    call.account_wide()
    call.params()
    asked = call.body(NewSeller)

    def unit(connection: Connection) -> Reply:
        new = Seller(0, asked.name, asked.own)
        made = catalog.add_seller(connection, call.account, new, call.now)
        return Reply(201, _seller_body(made), {"Location": f"/api/v1/sellers/{made.id}"})

    return await call.write(unit)


async def change_seller(call: Call) -> Response:
    """PATCH /sellers/{seller}."""
    call.account_wide()
    call.params()
    number = call.number("seller", "unknown_seller")
    asked = call.body(SellerChange)

    def unit(connection: Connection) -> Reply:
        _seller(connection, call, number)
        fields = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not UNSET}
        if fields.get("default_location") is not None:
            fields["default_location"] = _place_of(connection, call, number, fields["default_location"])
        if fields:
            catalog.change(connection, "seller", call.account, number, fields)
        return Reply(200, _seller_body(_seller(connection, call, number)))

    return await call.write(unit)


def _place_of(connection: Connection, call: Call, seller: int, named: Where) -> int:
    """The id of one of the seller's locations."""
    for one in catalog.locations(connection, call.account):
        if one.seller == seller and named in (one.id, one.name):
            return one.id
    raise missing("unknown_location", f"location {named!r} of this seller", "/default_location")


def _sellers(connection: Connection, call: Call) -> list[Seller]:
    mine = call.caller.seller
    return [one for one in catalog.sellers(connection, call.account) if mine in (None, one.id)]


def _seller(connection: Connection, call: Call, number: int) -> Seller:
    for one in _sellers(connection, call):
        if one.id == number:
            return one
    raise Problem("unknown_seller", "There is no such seller")


def _seller_body(one: Seller) -> dict[str, Any]:
    return msgspec.structs.asdict(one) | {"created_at": shown(one.created_at)}


# --- locations --------------------------------------------------------------------------------------------


async def locations(call: Call) -> Response:
    """GET /locations."""
    call.params()
    found = await call.read(lambda c: _locations(c, call))
    return response(Reply(200, told.page([_location_body(one) for one in found], None)))


async def location(call: Call) -> Response:
    """GET /locations/{location}."""
    call.params()
    return response(Reply(200, _location_body(await call.read(lambda c: _location(c, call)))))


async def add_location(call: Call) -> Response:
    """POST /locations."""
    call.account_wide()
    call.params()
    asked = call.body(NewLocation)

    def unit(connection: Connection) -> Reply:
        owner = asked.seller or _own(connection, call.account)
        if all(one.id != owner for one in catalog.sellers(connection, call.account)):
            raise missing("unknown_seller", f"seller {owner}", "/seller")
        _free(connection, call.account, asked.name)
        new = Location(0, asked.name, owner, asked.kind)
        try:
            made = catalog.add_location(connection, call.account, new, call.now)
        except catalog.Taken as taken:
            raise _taken(asked.name) from taken
        return Reply(201, _location_body(made), {"Location": f"/api/v1/locations/{made.id}"})

    return await call.write(unit)


async def change_location(call: Call) -> Response:
    """PATCH /locations/{location}."""
    call.account_wide()
    call.params()
    asked = call.body(LocationChange)

    def unit(connection: Connection) -> Reply:
        old = _location(connection, call)
        fields = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not UNSET}
        if fields.get("name", old.name) != old.name:
            _free(connection, call.account, fields["name"])
        if fields:
            try:
                catalog.change(connection, "location", call.account, old.id, fields)
            except catalog.Taken as taken:
                raise _taken(fields.get("name")) from taken
        return Reply(200, _location_body(msgspec.structs.replace(old, **fields)))

    return await call.write(unit)


def _own(connection: Connection, account: int) -> int:
    for one in catalog.sellers(connection, account):
        if one.own:
            return one.id
    raise missing("unknown_seller", "seller of the account's own: name one", "/seller")


def _free(connection: Connection, account: int, name: str) -> None:
    if lookup.places(connection, account, [name]):
        raise _taken(name)


def _taken(name: object) -> Problem:
    words = f"Another location is named {name!r}"
    return Problem("name_taken", words, [fault("name_taken", words, pointer="/name")])


def _locations(connection: Connection, call: Call) -> list[Location]:
    mine = call.caller.seller
    return [one for one in catalog.locations(connection, call.account) if mine in (None, one.seller)]


def _location(connection: Connection, call: Call) -> Location:
    named = call.location()
    for one in _locations(connection, call):
        if named in (one.id, one.name):
            return one
    raise Problem("unknown_location", "There is no such location")


def _location_body(one: Location) -> dict[str, Any]:
    body = msgspec.structs.asdict(one) | {"created_at": shown(one.created_at)}
    del body["attributes"]
    return body
