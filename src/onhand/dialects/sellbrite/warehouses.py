"""Warehouses: which location is meant by a uuid, and what is kept about one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from onhand.dialects.sellbrite.schema import STRING_LIMIT, Malformed, filled
from onhand.store import catalog, channels
from onhand.store.catalog import Location, Seller, Taken

NAME, KIND = "sellbrite", "warehouse"
NAMESPACE = uuid.UUID("c2d1ff0a-6f8d-4d35-9f0f-3b9a2e6f1a54")
KEPT = "sellbrite"
"""The part of a location's attributes that is ours."""

TEXTS = (
    "name",
    "sender_name",
    "company_name",
    "email",
    "phone_number",
    "address_1",
    "address_2",
    "postal_code",
    "city",
    "region",
    "country_code",
)
BLANK, INVALID, TAKEN = "can't be blank", "is invalid", "has already been taken"
TOO_LONG = f"is too long (maximum is {STRING_LIMIT} characters)"
_EMAIL = re.compile(r"[^@ \t\r\n]+@[^@ \t\r\n]+\Z")
_UUID_LIMIT = 64


class InvalidFields(Exception):
    """Fields with what is wrong with each: 422."""

    def __init__(self, faults: Mapping[str, list[str]]) -> None:
        super().__init__(str(faults))
        self.faults = faults


def by_uuid(connection: Connection, account: int, seller: int | None) -> dict[str, Location]:
    """The account's locations that stock is sold from, or of one seller's, by uuid.

    A location that was given no uuid has one that follows from its id.
    """
    found = [
        one
        for one in catalog.locations(connection, account)
        if one.kind != "held" and (seller is None or one.seller == seller)
    ]
    names = channels.externals(connection, account, NAME, KIND, [str(one.id) for one in found])
    return {names.get(str(one.id)) or derived(account, one.id): one for one in found}


def derived(account: int, location: int) -> str:
    """The uuid of a location that was given none."""
    return str(uuid.uuid5(NAMESPACE, f"{account}/{location}"))


def ids(connection: Connection, account: int, seller: int | None, wanted: Iterable[str]) -> dict[str, int]:
    """The location ids behind those of the uuids ``wanted`` that the caller may use."""
    names = {one for one in wanted if len(one) <= _UUID_LIMIT and one.isprintable()}
    if seller is None:
        found = channels.internals(connection, account, NAME, KIND, names)
        if len(found) == len(names):
            return {name: int(location) for name, location in found.items()}
    here = by_uuid(connection, account, seller)
    return {name: here[name].id for name in names if name in here}


def give_uuids(connection: Connection, account: int) -> None:
    """Give every location that has none a uuid of its own."""
    here = by_uuid(connection, account, None)
    channels.map_ids(connection, account, NAME, KIND, {
        str(uuid.uuid4()): str(one.id) for name, one in here.items() if name == derived(account, one.id)
    })  # fmt: skip


# --- bodies -------------------------------------------------------------------------------------------


def fields(body: object, *, create: bool) -> dict[str, Any]:
    """The fields of a warehouse that a body sets; None clears one. Raises Malformed or InvalidFields."""
    sent = body.get("warehouse") if isinstance(body, dict) else None
    if not isinstance(sent, dict):
        raise Malformed('The body must be an object with the key "warehouse", an object')
    faults: dict[str, list[str]] = {}
    known = {name: sent[name] for name in (*TEXTS, "enable_shipstation") if name in sent}
    if create:
        known.setdefault("name", None)
    for name, value in known.items():
        fault = _fault(name, value)
        if fault is not None:
            faults[name] = [fault]
    if faults:
        raise InvalidFields(faults)
    return known


def _fault(name: str, value: object) -> str | None:
    if name == "enable_shipstation":
        return None if value is None or isinstance(value, bool) else INVALID
    if value is None or (isinstance(value, str) and not filled(value)):
        return BLANK if name == "name" else None
    if not isinstance(value, str):
        return INVALID
    if len(value) > STRING_LIMIT:
        return TOO_LONG
    return INVALID if name == "email" and not _EMAIL.match(value) else None


def create(
    connection: Connection, account: int, seller: int | None, sent: Mapping[str, Any], now: int
) -> str:
    """Make a location of the caller's seller, or the account's own; its uuid. Raises InvalidFields."""
    owner = _own(connection, account, now) if seller is None else seller
    kept = {name: value for name, value in sent.items() if name != "name" and value is not None}
    try:
        new = Location(0, sent["name"], owner, attributes={KEPT: kept})
        made = catalog.add_location(connection, account, new, now)
    except Taken as taken:
        raise InvalidFields({"name": [TAKEN]}) from taken
    name = str(uuid.uuid4())
    channels.map_ids(connection, account, NAME, KIND, {name: str(made.id)})
    return name


def _own(connection: Connection, account: int, now: int) -> int:
    sellers = catalog.sellers(connection, account)
    found = next((one.id for one in sellers if one.own), None)
    return found or catalog.add_seller(connection, account, Seller(0, "Own", own=True), now).id


def update(
    connection: Connection, account: int, seller: int | None, name: str, sent: Mapping[str, Any]
) -> bool:
    """Set fields of a warehouse; False if there is none. Raises InvalidFields."""
    found = by_uuid(connection, account, seller).get(name)
    if found is None:
        return False
    # What is kept is read once nobody else can change it: another process may be doing so.
    catalog.hold_location(connection, account, found.id)
    location = by_uuid(connection, account, seller).get(name, found)
    kept = dict(location.attributes.get(KEPT, {})) | {k: v for k, v in sent.items() if k != "name"}
    kept = {key: value for key, value in kept.items() if value is not None}
    changed: dict[str, Any] = {"attributes": location.attributes | {KEPT: kept}}
    if "name" in sent:
        changed["name"] = sent["name"]
    try:
        return catalog.change(connection, "location", account, location.id, changed)
    except Taken as taken:
        raise InvalidFields({"name": [TAKEN]}) from taken


def rendered(name: str, location: Location) -> dict[str, Any]:
    """A warehouse with all the published fields; one that mirrors a channel's stock is Amazon's."""
    kept = location.attributes.get(KEPT, {})
    return {
        "uuid": name,
        "name": location.name,
        "inventory_master": "Amazon" if location.kind == "mirrored" else "Sellbrite",
        "address_1": kept.get("address_1"),
        "address_2": kept.get("address_2"),
        "city": kept.get("city"),
        "state_region": kept.get("region"),
        "postal_code": kept.get("postal_code"),
        "country_code": kept.get("country_code"),
        "archived": not location.active,
    }
