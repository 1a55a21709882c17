"""Kits that two processes on one PostgreSQL make at once: the second sees what the first has made."""

from __future__ import annotations

from sqlalchemy import Connection

from hubs import Call, demo_hub
from native_calls import PREFIX, admin, codes
from onhand.store import catalog
from side_by_side import beside


def test_no_kit_is_made_of_what_becomes_one(postgres_url: str) -> None:
    with demo_hub(postgres_url, "native") as hub:
        api = admin(hub)
        made = api.post("/items", {"items": [{"sku": sku} for sku in ("K1", "K2", "P")]}, 201)["data"]
        outer, inner, part = (one["id"] for one in made)

        def unit(connection: Connection) -> None:
            catalog.hold_kits(connection, hub.account)
            catalog.set_kit(connection, hub.account, inner, {part: 1}, 1)

        sent = {"components": [{"item": inner, "quantity": 1}]}
        who = {"Authorization": f"Bearer {api.key}"}
        asked = Call("PATCH", f"{PREFIX}/items/{outer}", {"json": sent, "headers": who})
        answer = beside(hub, postgres_url, unit, asked)
        assert (answer.status_code, codes(answer)) == (409, ("not_allowed", ["/components/0"]))
        assert api.get(f"/items/{outer}")["components"] in (None, [])
