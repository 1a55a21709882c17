"""What the operator can set: ONHAND_* variables, decoded and checked once at the start."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from onhand import wording
from onhand.connectors.channel import Secret

PREFIX = "ONHAND_"
DEFAULT_DB = "onhand.db"
ANSWER_SECONDS = 40
"""Longer than a transaction in which another process stands still holds us up (`lapsing.IDLE_SECONDS`)."""

TOKEN_SECONDS_LIMIT = 100 * 366 * 24 * 3600
"""A hundred years: a time that is further away cannot be kept."""

CALLS_LIMIT = 1_000
"""Requests a second that a limit may have: each of the last second's is remembered."""


class BadSetting(Exception):
    """A setting has an unknown name or a value that is not allowed, in words."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every setting with its default. A name here is ``ONHAND_<NAME>`` in the environment."""

    db: str = DEFAULT_DB
    host: str = "127.0.0.1"
    port: int = 8080
    db_seconds: Annotated[int, msgspec.Meta(ge=2, le=86_400)] = ANSWER_SECONDS
    """How long an answer of PostgreSQL is waited for; only long work waits on while others are answered."""
    db_prepare: bool = True
    """Have PostgreSQL keep statements prepared, where no pooler is seen between."""
    accept_data_loss: bool = False
    """Start although the database may lose acknowledged changes at a power cut."""
    test_pg: str = ""
    """The PostgreSQL that the tests use instead of starting their own."""
    hosts: dict[str, str] = {}
    """Host name to dialect: that dialect is then served at the root of this host."""
    limit_trackstar: bool = False
    limit_marketplacer: bool = False
    limit_sellbrite: bool = False
    """Apply the published request limits of a dialect."""
    strict_trackstar: bool = False
    """Answer 422 to every field that the connection's integration does not know."""
    lenient_marketplacer: bool = False
    """Accept application/json where application/vnd.api+json is asked for."""
    limit_flipkart: Annotated[int, msgspec.Meta(ge=0, le=CALLS_LIMIT)] = 0
    """Requests a second that a Flipkart connection has; 0 for any number, as Flipkart publishes no limit."""
    flipkart_empty_lists: bool = False
    """Send Flipkart's lists of errors also where they are empty."""
    treet_unknown_listing_status: Literal[400, 404] = 400
    """The status for an unknown Treet listing: 400 (the endpoint's own page) or 404 (the error table)."""
    flipkart_token_seconds: Annotated[int, msgspec.Meta(ge=1, le=TOKEN_SECONDS_LIMIT)] = 5_184_000
    """How long a Flipkart access token lives."""
    courier: bool = True
    """Tell channels and take their orders in from the server's own process."""
    sweep_seconds: int = 3_600
    """How often a channel is asked for all that it shows, where a connection's rules say nothing."""
    poll_seconds: int = 60
    """How often a channel is asked for its orders, where a connection's rules say nothing."""
    oversold_loses: Literal["newest", "oldest", "largest"] = "newest"
    """Which order an incident names as the loser when more is promised than is there."""
    log_json: bool = False
    secret_key: Secret | None = None
    """The key that secrets of connections are sealed with: 32 bytes in base64. Several, by comma, while it
    is changed: the first one seals, all of them open."""
    secret_key_file: str = ""
    """A file with that key. SQLite's is ``<db>.key``, made on first use, if neither is set."""
    allow_private_channels: bool = False
    """Let channels have private addresses and plain http, as a shop on the same machine has."""


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of the environment. Raises BadSetting in words."""
    found: dict[str, Any] = {}
    source = os.environ if environment is None else environment
    for name, value in source.items():
        if name.startswith(PREFIX):
            field = name.removeprefix(PREFIX).lower()
            found[field] = _map(value) if field == "hosts" else value
    for field in found:
        if field not in Settings.__struct_fields__:
            raise BadSetting(f"there is no setting {_named(field)}{_meant(field)}")
    try:
        return msgspec.convert(found, Settings, strict=False, dec_hook=_hidden)
    except msgspec.ValidationError as error:
        said = wording.complaint(str(error))
        raise BadSetting(": ".join((*map(_named, said.steps[:1]), said.words))) from error


def _named(field: str) -> str:
    return f"{PREFIX}{field.upper()}"


def _meant(field: str) -> str:
    near = difflib.get_close_matches(field, Settings.__struct_fields__, 1)
    return f": did you mean {_named(near[0])}?" if near else ""


def _hidden(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError("expected text")


def _map(value: str) -> dict[str, str]:
    """``treet.example.com=treet,fk.example.com=flipkart`` as a dict."""
    pairs = (part.partition("=") for part in value.split(",") if part.strip())
    return {host.strip().lower(): dialect.strip() for host, _, dialect in pairs}
