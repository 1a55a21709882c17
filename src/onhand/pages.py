"""The pages around the APIs: a front page, the contracts with their reader, and the health of the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources, util
from pathlib import Path
from typing import Protocol

import yaml
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from onhand import __version__
from onhand.inventory import Inventory
from onhand.store import durability, engine, integrity
from onhand.wire import respond

READER_FILES = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"})
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Face(Protocol):
    """An API whose contract is shown."""

    @property
    def name(self) -> str:
        """Its name in paths."""

    @property
    def title(self) -> str:
        """Its name for people."""

    @property
    def prefix(self) -> str:
        """Where it is mounted."""


STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882 }
* { box-sizing: border-box }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 2.5rem 1.25rem }
h1 { font-size: 1.9rem; margin: 0 0 .25rem; letter-spacing: -.02em }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
p { margin: .4rem 0 }
code { font: .9em ui-monospace, monospace; background: var(--soft); padding: .1em .35em; border-radius: 4px }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .55rem .5rem; border-bottom: 1px solid var(--line) }
nav a { margin-right: 1rem }
.quiet { opacity: .7 }
@media (max-width: 32rem) {
  body { padding: 1.5rem 1rem }
  td, th { padding: .5rem .25rem; overflow-wrap: anywhere }
  .apis tr { display: flex; flex-wrap: wrap; gap: 0 .75rem; border-bottom: 1px solid var(--line) }
  .apis td, .apis th { border: 0 }
  .apis th[scope=row] { flex-basis: 100%; padding-bottom: 0 }
  .apis thead { display: none }
}
"""


class Pages:
    """Answers every path that belongs to no API."""

    def __init__(self, inventory: Inventory, faces: Sequence[Face]) -> None:
        self._inventory = inventory
        self._faces = {face.name: face for face in faces}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = await self._answer(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return respond(404, {"error": "Not found"})
        parts = [part for part in request.scope["path"].split("/") if part]
        match parts:
            case []:
                return HTMLResponse(self._home())
            case ["livez"]:
                return respond(200, {"status": "live", "version": __version__})
            case ["readyz" | "healthz"]:
                return await self._ready()
            case ["docs"]:
                return RedirectResponse("/", 307)
            case ["style.css"]:
                return Response(STYLE, media_type="text/css")
            case ["docs", "reader", name] if name in READER_FILES:
                return FileResponse(_reader_folder() / name)
            case ["docs", name, *rest] if name in self._faces:
                return await self._contract(name, rest)
            case _:
                return respond(404, {"error": "Not found", "see": "/docs"})

    async def _contract(self, name: str, rest: list[str]) -> Response:
        match rest:
            case []:
                return HTMLResponse(_reader(self._faces[name]))
            case ["start.js"]:
                return Response(_start(name), media_type="text/javascript")
            case ["openapi.yaml"]:
                return Response(contract_text(name), media_type="application/yaml")
            case ["openapi.json"]:
                return respond(200, await asyncio.to_thread(contract, name))
            case _:
                return respond(404, {"error": "Not found", "see": f"/docs/{name}"})

    def _home(self) -> str:
        rows = "".join(
            f"<tr><th scope=row>{escape(face.title)}</th><td><code>{escape(face.prefix)}</code></td>"
            f'<td><a href="/docs/{face.name}" aria-label="{escape(face.title)} documentation">'
            "documentation</a></td>"
            f'<td><a href="/docs/{face.name}/openapi.yaml" aria-label="{escape(face.title)} openapi.yaml">'
            "openapi.yaml</a></td></tr>"
            for face in self._faces.values()
        )
        return _page(
            "onhand",
            "<h1>onhand</h1><p>One stock ledger, and six ways to speak to it.</p>"
            "<h2>APIs</h2><table class=apis><thead><tr><th>API<th>base path<th>read<th>contract</tr></thead>"
            f"{rows}</table><h2>Health</h2><nav><a href='/livez'>livez</a><a href='/readyz'>readyz</a></nav>"
            f"<p class=quiet>version {__version__}</p>",
        )

    async def _ready(self) -> Response:
        faults = await self._inventory.read(0, self._faults, long=True)
        state = "ready" if not faults else "not ready"
        return respond(503 if faults else 200, {"status": state, "faults": faults, "version": __version__})

    def _faults(self, connection: Connection) -> list[str]:
        """What keeps the hub from keeping its promises, in words. All of it is asked on this one connection:
        the writer's is in use, and who waited for a second one while holding the first would wait for all
        others who do the same."""
        store = self._inventory.store
        try:
            faults = durability.faults(connection)
            now = engine.revision_of(connection)
            if now != engine.head() and not engine.newer(now):  # that only adds, and we go on
                faults.append("the database is not at this version's schema")
        except (SQLAlchemyError, engine.StoreError) as error:
            return [f"the database does not answer: {type(error).__name__}"]
        return [*faults, *integrity.room(store)]


def contract_text(name: str) -> str:
    """The OpenAPI document of an API, as it is checked in."""
    package = "onhand.api" if name == "native" else f"onhand.dialects.{name}"
    return (resources.files(package) / "openapi.yaml").read_text(encoding="utf-8")


@cache
def contract(name: str) -> dict[str, object]:
    """The OpenAPI document of an API as a value; read when it is first asked for, which takes a while."""
    loaded: dict[str, object] = yaml.load(contract_text(name), Loader=yaml.CSafeLoader)
    return loaded


@cache
def _reader_folder() -> Path:
    """Where the reader's files are. To import their package would be to import more than them."""
    found = util.find_spec("swagger_ui")
    return Path((found and found.origin) or "").with_name("static")


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<link rel=stylesheet href=/style.css><body><main>{body}</main></body></html>"
    )


def _reader(face: Face) -> str:
    title = escape(f"{face.title} API - onhand")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        "<link rel=icon href=/docs/reader/favicon-32x32.png>"
        "<link rel=stylesheet href=/docs/reader/swagger-ui.css><body>"
        f"<nav style='font: 14px sans-serif; padding: 1rem'><a href=/>all APIs</a> &nbsp; "
        f"<a href=/docs/{face.name}/openapi.yaml>openapi.yaml</a></nav>"
        "<noscript><p style='font: 14px sans-serif; padding: 1rem'>To be read and tried here the contract"
        " needs JavaScript; openapi.yaml is all of it.</p></noscript><div id=reader></div>"
        "<script src=/docs/reader/swagger-ui-bundle.js></script>"
        f"<script src=/docs/{face.name}/start.js></script></body></html>"
    )


def _start(name: str) -> str:
    return (
        "SwaggerUIBundle({"
        f"url: '/docs/{name}/openapi.json', dom_id: '#reader', deepLinking: true, tryItOutEnabled: true,"
        " validatorUrl: null, defaultModelsExpandDepth: 0});"
    )
