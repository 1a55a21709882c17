"""The address of a PostgreSQL: read as libpq reads it, shown without its password."""

import pytest

from onhand.store import addresses
from onhand.store.engine import StoreError, open_store

READ = [
    ("postgresql://me:pw@one/hub", {"host": "one"}, "hub"),
    ("postgres://me@one:5433/hub?connect_timeout=3", {"port": "5433", "connect_timeout": "3"}, "hub"),
    (
        "postgresql://me@one:1,two:2/hub",
        {"host": "one,two", "port": "1,2", "target_session_attrs": "read-write"},
        "hub",
    ),
    ("postgresql://me@one,two/hub?target_session_attrs=any", {"target_session_attrs": "any"}, "hub"),
    ("postgresql:///hub?host=/run/postgresql", {"host": "/run/postgresql"}, "hub"),
]


@pytest.mark.parametrize(("url", "options", "database"), READ)
def test_it_is_read_as_libpq_does(url: str, options: dict[str, str], database: str) -> None:
    found = addresses.target(url)
    assert found.database == database
    assert dict(found.query) == addresses.DEFAULTS | dict(found.query) | options


SHOWN = [
    ("postgresql://me:se@cret@one:1,two:2/hub", "postgresql://me:***@one:1,two:2/hub"),
    (
        "postgresql://me@one/hub?password=secret&connect_timeout=1",
        "postgresql://me@one/hub?password=***&connect_timeout=1",
    ),
    ("postgresql://me@one/hub", "postgresql://me@one/hub"),
    ("postgresql://me:secret@/hub?host=one", "postgresql://me:***@/hub?host=one"),
]


@pytest.mark.parametrize(("url", "shown"), SHOWN)
def test_its_password_is_not_shown(url: str, shown: str) -> None:
    assert addresses.shown(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@one/hub?nonsense=1",
        "postgresql://me:secret@one:port/hub",
        "postgresql://me:secret@[one/hub",
        "postgresql://me:secret@127.0.0.1:1,127.0.0.1:1/hub",
    ],
)
def test_what_leads_nowhere_is_said(url: str) -> None:
    with pytest.raises(StoreError, match=r"cannot (read|open) postgresql://") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
