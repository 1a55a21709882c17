"""What is fuzzed: each contract with the demo's credentials and ids, and what a contract cannot say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from onhand.faces import face

Section = dict[str, Any]

POSITIVE = "positive_data_acceptance"
ALLOW = "allow_header_conformance"
OFF = {"enabled": False}
CHANGES = "^/(changes$|items|planned-changes|transfers)"
CHANNELS = "^/(channels|changes/.*/seen|connections|drifts|incidents|listings|parked)"
"""What concerns channels: asked of a hub that has one, the demo's sandbox."""
REMOVAL = "removeConnection"
WRITES = ("--include-operation-id", "adjustInventory", "--include-operation-id", "batchAdjustInventory")
SELLBRITE_WRITES = ("putInventory", "patchInventory", "createInventory", "createWarehouse", "updateWarehouse")
KNOWN = 0.6
"""How often a parameter has a value that the demo knows."""


class Target(NamedTuple):
    """One run: ``api`` by its name, credentials by security scheme, and values to be used as parameters.

    ``checks`` are settings of schemathesis's checks by its names, ``operations`` the like for single
    operations (by id); each is there because the published behaviour is wider than OpenAPI can say.
    ``choice`` are schemathesis's words for a choice of operations, ``phases`` what a short run does.
    """

    api: str
    auth: Callable[[Section], dict[str, dict[str, str]]]
    known: Callable[[Section], dict[str, list[Any]]]
    checks: dict[str, Any] = {}
    operations: dict[str, dict[str, Any]] = {}
    generation: dict[str, Any] = {}
    choice: tuple[str, ...] = ()
    phases: str = "examples,coverage,fuzzing"


def _bearer(scheme: str, token: str) -> dict[str, dict[str, str]]:
    return {scheme: {"bearer": token}}


def _native_known(section: Section) -> dict[str, list[Any]]:
    """What the demo has; a change that a token stands for, and an incident, are made here."""
    token, links, incident = _happened(section)
    return {
        "path.connection": links,
        "query.connection": links,
        "path.token": [token],
        "path.incident": [incident],
        "path.item": ["1", "7", "40", "sku:PEN-BRASS-07"],
        "path.location": ["1", "2", "MAIN"],
        "path.seller": [1, 2],
        "path.listing": [1, 2, 3, *_listed(section, links[-1])],
        "path.reference": ["sellbrite-demo-order-1"],
        "path.plan": [1],
    }


def _happened(section: Section) -> tuple[str, list[int], int]:
    """The token of a change, the ids of the connections, and of an incident."""
    head, base = {"Authorization": f"Bearer {section['api_key']}"}, section["base_url"]
    with httpx2.Client(base_url=base, headers=head, timeout=30) as http:
        change = {"op": "adjust", "item": 7, "location": "MAIN", "delta": 1}
        token = http.post("/changes", json={"changes": [change]}).json()["token"]
        links = [one["id"] for one in http.get("/connections").json()["data"]]
        due = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        moved = {"op": "transfer", "item": 40, "from": "MAIN", "to": "EAST", "quantity": 10**6}
        planned = http.post("/planned-changes", json={"due": due, "changes": [moved]})
        assert planned.status_code == 201, planned.text
        for _ in range(100):
            if found := http.get("/incidents").json()["data"]:
                return token, links, found[0]["id"]
            time.sleep(0.1)
    raise AssertionError("there is no incident")


def _listed(section: Section, link: int) -> list[int]:
    """Listings of a connection."""
    head = {"Authorization": f"Bearer {section['api_key']}"}
    answer = httpx2.get(f"{section['base_url']}/connections/{link}/numbers?limit=3", headers=head)
    return [one["id"] for one in answer.json()["data"]]


def _native(*which: str) -> Target:
    """Our own API in several runs of about the same length."""

    def auth(section: Section) -> dict[str, dict[str, str]]:
        return _bearer("bearer", section["api_key"])

    return Target("native", auth, _native_known, {POSITIVE: OFF}, choice=which)


def _treet_auth(section: Section) -> dict[str, dict[str, str]]:
    found = section["headers"]
    return {
        "ClientIdAuth": {"api_key": found["X-Treet-Client-Id"]},
        "ApiKeyAuth": {"api_key": found["X-Treet-Authentication-Key"]},
    }


def _flipkart_auth(section: Section) -> dict[str, dict[str, str]]:
    who = (section["app_id"], section["app_secret"])
    grant = {"grant_type": "client_credentials", "scope": "Seller_Api"}
    answer = httpx2.get(f"{section['base_url']}/oauth-service/oauth/token", params=grant, auth=who)
    return {
        "Application": {"username": who[0], "password": who[1]},
        "AccessToken": {"bearer": answer.json()["access_token"]},
    }


def _connection(section: Section, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in section["connections"] if one["integration"] == name)
    return found


def _trackstar(name: str) -> Target:
    """The connection of one integration. An adjustment may be valid by the one contract for all
    integrations and still lack what this integration needs. A product may be named like the batch
    path, so that its `Allow` has GET too."""

    def auth(section: Section) -> dict[str, dict[str, str]]:
        token = _connection(section, name)["access_token"]
        return {"ApiKey": {"api_key": section["api_key"]}, "AccessToken": {"api_key": token}}

    def known(section: Section) -> dict[str, list[Any]]:
        found = _connection(section, name)["products"]
        places = found[0]["warehouse_ids"]
        return {
            "path.product_id": [one["id"] for one in found],
            "path.warehouse_id": places,
            "body.warehouse_id": places,
            "query.sku": [one["sku"] for one in found],
        }

    narrower = {"batchAdjustInventory": {ALLOW: OFF}}
    return Target("trackstar", auth, known, {POSITIVE: OFF}, narrower)


def _marketplacer_known(section: Section) -> dict[str, list[Any]]:
    return {
        "path.variant": [one["id"] for one in section["variants"]],
        "path.inventory": [1, 2, 3],
        "query.sku": [one["sku"] for one in section["variants"]],
    }


def _sellbrite_known(section: Section) -> dict[str, list[Any]]:
    return {
        "path.uuid": section["warehouses"],
        "query.sku": section["skus"],
        "query.warehouse_uuid": section["warehouses"],
        "body.sku": section["skus"],
        "body.warehouse_uuid": section["warehouses"],
    }


TARGETS = {
    "native-changes": _native("--include-path-regex", CHANGES),
    "native-channels": _native("--include-path-regex", CHANNELS, "--exclude-operation-id", REMOVAL),
    "native-removal": _native("--include-operation-id", REMOVAL),
    "native-others": _native("--exclude-path-regex", f"{CHANGES}|{CHANNELS}"),
    "treet": Target(
        "treet",
        _treet_auth,
        lambda section: {"path.id": [one["id"] for one in section["listings"]]},
        operations={"updateInventory": {POSITIVE: OFF}},
    ),
    "flipkart": Target(
        "flipkart",
        _flipkart_auth,
        lambda section: {"path.sku_ids": [one["sku"] for one in section["skus"]]},
        generation={"allow-x00": False},
    ),
    "trackstar-shopify": _trackstar("shopify"),
    **{
        f"trackstar-{name}": _trackstar(name)._replace(choice=WRITES, phases="examples,fuzzing")
        for name in ("mirakl", "base", "nuorder")
    },
    "marketplacer": Target(
        "marketplacer",
        lambda section: _bearer("BearerKey", section["parent_key"]),
        _marketplacer_known,
        {"unsupported_method": OFF},
        operations={
            "updateInventories": {POSITIVE: OFF},
            "deleteInventory": {POSITIVE: OFF},
            "updateVariant": {POSITIVE: OFF},
            "updateStockOnHand": {POSITIVE: OFF, ALLOW: OFF},
        },
    ),
    "sellbrite": Target(
        "sellbrite",
        lambda s: {"Basic": {"username": s["account_token"], "password": s["secret_key"]}},
        _sellbrite_known,
        operations={name: {POSITIVE: OFF} for name in SELLBRITE_WRITES},
    ),
}


def configuration(target: Target, demo: dict[str, Any]) -> str:
    """The configuration file of a run against the hub that wrote ``demo``, as TOML."""
    section = demo[target.api]
    known = target.known(section)
    common: dict[str, Any] = {
        "base-url": section["base_url"],
        "auth": {"openapi": target.auth(section)},
        "dictionaries": {_named(name): {"values": values} for name, values in known.items()},
        "parameters": {name: {"dictionary": _named(name), "probability": KNOWN} for name in known},
        "checks": target.checks,
        "generation": {"database": "none", **target.generation},
        "cache": {"enabled": False},
    }
    lines = [f"{path} = {json.dumps(value)}" for path, value in _flat(common)]
    for name, checks in target.operations.items():
        narrowed = {"include-operation-id": name, "checks": checks}
        lines += ["[[operations]]", *(f"{path} = {json.dumps(value)}" for path, value in _flat(narrowed))]
    return "\n".join(lines) + "\n"


def _named(parameter: str) -> str:
    return parameter.replace(".", "-")


def _flat(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The leaves of a value, with the dotted and quoted paths that TOML wants."""
    for name, inner in value.items():
        here = (*path, json.dumps(name))
        if isinstance(inner, dict):
            yield from _flat(inner, here)
        else:
            yield ".".join(here), inner


def document(target: Target) -> Path:
    """Where the contract is."""
    routes = face(target.api).routes.__file__
    assert routes is not None
    return Path(routes).with_name("openapi.yaml")
