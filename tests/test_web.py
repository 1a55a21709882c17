"""The hub's face as a whole: paths and host names find their API, and so do the refusals of its door."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from contracts import contract
from hubs import demo_hub
from onhand import web
from onhand.faces import FACES, Face
from onhand.settings import BadSetting, Settings, load

HOSTS = "treet.example.com=treet, TS.example.com=trackstar,mp.example.com=marketplacer,api.example.com=native"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The whole application over a demo, as an ASGI application that answers (status, media type, body)."""
    settings = load({"ONHAND_HOSTS": HOSTS})
    with demo_hub(tmp_path_factory.mktemp("web"), "treet") as hub:
        app = web.build(hub.inventory, settings, {})

        def ask(path: str, host: str = "127.0.0.1", method: str = "GET") -> tuple[int, str, bytes]:
            return hub.run(_ask, app, method, host, path)

        yield ask


async def _ask(app: Any, method: str, host: str, path: str) -> tuple[int, str, bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", host.encode())],
    }
    await app(scope, lambda: asyncio.sleep(0, {"type": "http.request", "body": b""}), send)
    headers = dict(sent[0]["headers"])
    return (
        sent[0]["status"],
        headers[b"content-type"].decode(),
        b"".join(m.get("body", b"") for m in sent[1:]),
    )


NO_CLIENT = b"The headers X-Treet-Client-Id and X-Treet-Authentication-Key are required"
FOUND = [
    ("127.0.0.1", "/treet/v1/listings", 403, NO_CLIENT),
    ("treet.example.com", "/v1/listings", 403, NO_CLIENT),
    ("Treet.Example.Com.:8080", "/v1/listings", 403, NO_CLIENT),
    ("treet.example.com", "/treet/v1/listings", 404, b'{"error":"Not found"}'),
    ("ts.example.com", "/cart/products", 401, b'"origin":"trackstar"'),
    ("other.example.com", "/v1/listings", 404, b'"see":"/docs"'),
    ("127.0.0.1", "/treety", 404, b'"see":"/docs"'),
    ("127.0.0.1", "/api", 404, b'"see":"/docs"'),
    ("127.0.0.1", "/api/v2", 404, b'"see":"/docs"'),
    ("127.0.0.1", "/api/v1", 404, b'"code":"not_found"'),
    ("127.0.0.1", "//treet/v1/listings", 404, b'"see":"/docs"'),
    ("127.0.0.1", "", 200, b"<title>onhand</title>"),
    ("127.0.0.1", "/flipkart/listings/v3/A\nB,C\n", 401, b"Full authentication"),
    ("127.0.0.1", "/treet/v1/listings/1/inventory\n", 404, b'{"error":"Not found"}'),
]


@pytest.mark.parametrize(("host", "path", "status", "words"), FOUND)
def test_which_api_answers(served: Any, host: str, path: str, status: int, words: bytes) -> None:
    found = served(path, host)
    assert found[0] == status
    assert words in found[2]


@pytest.mark.parametrize("host", ["127.0.0.1", "treet.example.com"])
def test_options_of_the_server_itself(served: Any, host: str) -> None:
    assert served("*", host, "OPTIONS") == (404, "application/json", b'{"error":"Not found"}')


PLACED = [
    ("", "/treet/v1/listings", "/treet/v1/listings"),
    ("other.example.com", "/changes", "/changes"),
    ("treet.example.com", "/v1/listings", "/treet/v1/listings"),
    ("ts.example.com", "", "/trackstar"),
    ("api.example.com", "/changes", "/api/v1/changes"),
]


@pytest.mark.parametrize(("host", "path", "there"), PLACED)
def test_where_a_request_belongs(host: str, path: str, there: str) -> None:
    assert web.placing(load({"ONHAND_HOSTS": HOSTS}))(host, path) == there


def test_bulk_requests_are_known_by_their_host_too() -> None:
    placed = web.placing(load({"ONHAND_HOSTS": HOSTS}))
    assert web.bulk(placed("api.example.com", "/changes"))
    assert not web.bulk(placed("treet.example.com", "/changes"))
    assert not web.bulk(placed("", "/changes"))


SHAPES = [
    ("treet.example.com", "application/json", b'{"error":"No"}'),
    ("ts.example.com", "application/json", b'{"error":"No","origin":"trackstar"}'),
    ("mp.example.com", "application/vnd.api+json", b'"code":413,'),
    ("api.example.com", "application/problem+json", b'"code":"body_too_large"'),
    ("other.example.com", "application/problem+json", b'"type":"about:blank"'),
]


@pytest.mark.parametrize(("host", "media_type", "words"), SHAPES)
def test_the_door_refuses_in_the_words_of_the_host(host: str, media_type: str, words: bytes) -> None:
    body, fields = web.shape(web.placing(load({"ONHAND_HOSTS": HOSTS}))(host, "/x"), 413, "No")
    headers = dict(fields)
    assert headers[b"content-type"].decode() == media_type
    assert b"content-length" not in headers
    assert words in body


def test_trackstar_gives_each_refusal_a_number_of_its_own() -> None:
    numbers = [dict(web.shape("/trackstar/x", 413, "No")[1])[b"x-request-id"] for _ in range(2)]
    assert all(len(one) == 32 for one in numbers)
    assert numbers[0] != numbers[1]


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
def test_each_contract_has_what_the_door_refuses(face: Face) -> None:
    paths = contract(face.routes.__package__ or "").document["paths"]
    refused = {"400", "408", "413", "415", "431", "503"}
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method != "parameters":
                assert refused <= set(operation["responses"]), (path, method)


def test_a_host_for_nobody() -> None:
    with pytest.raises(BadSetting, match="ONHAND_HOSTS: 'nobody' is no API of this hub"):
        web.placing(Settings(hosts={"a.example.com": "nobody"}))
