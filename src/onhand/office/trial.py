"""The demo account and fresh credentials, made through every API's own set-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from onhand import demo
from onhand.faces import FACES, face
from onhand.inventory import Inventory
from onhand.office.people import BadAsk
from onhand.sample import KeyWish
from onhand.store import linking


async def create(
    inventory: Inventory, *, base_url: str, kept: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The demo account, made if it is not there; what demo.json says (see `onhand.demo.create`)."""
    return await demo.create(inventory, base_url, {one.name: one.setup for one in FACES}, kept=kept)


async def add_key(
    inventory: Inventory,
    *,
    account: int,
    dialect: str,
    scopes: str = "write",
    seller: int | None = None,
    integration: str | None = None,
    label: str = "",
    locations: Sequence[str] = (),
) -> dict[str, Any]:
    """Fresh credentials for one API, shown this once."""
    if locations and integration is None:
        raise BadAsk("locations are chosen for a Trackstar connection: say which with --integration")
    try:
        setup = face(dialect).setup
    except ValueError as error:
        raise BadAsk(str(error)) from error
    now = inventory.now()
    wish = KeyWish(scopes, seller, integration, label, tuple(locations))

    def unit(connection: Connection) -> dict[str, Any]:
        linking.hold_links(connection, account)  # the API's connection is made where there is none
        made: dict[str, Any] = setup.issue(connection, account, now, wish)
        return made

    try:
        return await inventory.write(account, unit)
    except ValueError as error:
        raise BadAsk(str(error)) from error
