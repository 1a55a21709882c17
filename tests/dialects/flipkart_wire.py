"""What the tests of the Flipkart dialect share: paths, tokens, updates, and the contract of answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import yaml

from hubs import Hub
from onhand.dialects.flipkart import routes

ROOT = "/flipkart"
TOKEN = f"{ROOT}/oauth-service/oauth/token"
UPDATE = f"{ROOT}/sellers/listings/v3/update/inventory"
LISTINGS = f"{ROOT}/sellers/listings/v3/"
GRANT = {"grant_type": "client_credentials", "scope": "Seller_Api"}


def ask_token(
    hub: Hub, section: dict[str, Any] | None = None, params: Mapping[str, str] = GRANT
) -> httpx2.Response:
    """The token endpoint's answer to an application."""
    app = section or hub.section
    return hub.client.get(TOKEN, params=params, auth=(app["app_id"], app["app_secret"]))


def bearer(hub: Hub, section: dict[str, Any] | None = None) -> dict[str, str]:
    """The headers of an application that has a token."""
    token = ask_token(hub, section).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def post(
    hub: Hub, body: object, headers: dict[str, str] | None = None, path: str = UPDATE
) -> httpx2.Response:
    """An inventory update; ``body`` is sent as it is when it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return hub.client.post(path, content=content, headers=kind | (headers or bearer(hub)))


def update(known: dict[str, Any], *units: int, **more: object) -> dict[str, Any]:
    """An update of a demo SKU at its locations in order."""
    pairs = zip(known["locations"], units, strict=False)
    spots = [{"id": place, "inventory": count, **more} for place, count in pairs]
    return {"product_id": known["product_id"], "locations": spots}


def conforms(response: httpx2.Response, name: str) -> bool:
    """Whether an answer is JSON of the contract's schema ``name``, in the published media type."""
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    _validator(name).validate(response.json())
    return True


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    path = Path(routes.__file__).with_name("openapi.yaml")
    contract = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    whole = {"$ref": f"#/components/schemas/{name}", "components": contract["components"]}
    return jsonschema_rs.Draft202012Validator(whole)
