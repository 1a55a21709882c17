"""Reads the address of a PostgreSQL as libpq does, several hosts included."""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import URL

SCHEMES = ("postgresql://", "postgres://")
DRIVER = "postgresql+psycopg"

CONNECT_SECONDS = 10

DEFAULTS = {
    "application_name": "onhand",
    "client_encoding": "utf8",
    # A machine that is gone without a word is noticed within seconds, not after TCP's quarter of an hour.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What a URL leaves open. All of it is the connection's own; nothing is said to the server's session."""

_PASSWORD = re.compile(r"(://[^:/@?]*):[^/]*@|([?&]password=)[^&]*")


class BadAddress(ValueError):
    """The URL is none that libpq reads, in its words."""


def is_postgresql(url: str) -> bool:
    """Whether ``url`` names a PostgreSQL; anything else is the path of a SQLite file."""
    return url.startswith(SCHEMES)


def target(url: str, seconds: float = CONNECT_SECONDS) -> URL:
    """``url`` for the engine, which waits for a connection no longer than so many seconds. Several hosts
    (``postgresql://me@one,two/db``) are tried in their order, and only one that takes writes is used, unless
    the URL says otherwise. Raises BadAddress."""
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error as error:
        raise BadAddress(" ".join(str(error).replace(url, shown(url)).split())) from error
    ports = found.get("port", "").split(",")
    if not all(port.isdecimal() for port in ports if port):
        raise BadAddress(f"a port is a number, not {','.join(ports)!r}")
    if "," in found.get("host", ""):
        found.setdefault("target_session_attrs", "read-write")
    options = DEFAULTS | {"connect_timeout": str(int(min(seconds, CONNECT_SECONDS)))} | found
    user, password, name = (options.pop(one, None) for one in ("user", "password", "dbname"))
    return URL.create(DRIVER, user, password, database=name, query=options)


def shown(url: str) -> str:
    """``url`` without its password."""
    return _PASSWORD.sub(lambda m: f"{m[1]}:***@" if m[1] else f"{m[2]}***", url)
