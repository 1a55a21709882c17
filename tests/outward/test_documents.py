"""The documents about channels say what the connectors say."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from onhand import connectors
from onhand.connectors.kind import Kind
from onhand.outward.needs import needs
from onhand.outward.telling import markdown
from onhand.stock.offering import Rules
from onhand.store import observing

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
TABLE = re.compile(r"<!-- channels -->\n(.*?)<!-- /channels -->", re.DOTALL)


def test_the_table_of_channels_is_that_of_the_connectors() -> None:
    found = TABLE.search((DOCS / "channels.md").read_text(encoding="utf-8"))
    assert found is not None
    wanted = markdown(module.CHANNEL for module in connectors.ALL)
    assert found[1] == wanted, "write the output of 'onhand channels --markdown' between the marks"


def test_every_rule_and_cause_is_explained() -> None:
    text = (DOCS / "channels.md").read_text(encoding="utf-8")
    assert not [
        name for name in Rules.__struct_fields__ if f"`{name}`" not in text and f"{name}=" not in text
    ]
    causes = (
        observing.NEVER_SENT,
        observing.REFUSED,
        observing.CHANGED_THERE,
        observing.LOST_THERE,
        observing.LATE,
    )
    assert not [cause for cause in causes if f"`{cause}`" not in text]


@pytest.mark.parametrize("module", connectors.ALL, ids=lambda one: one.CHANNEL.name)
def test_what_a_channel_needs_is_read_from_its_settings(module: Kind) -> None:
    channel = module.CHANNEL
    found = {one.name: one for one in needs(channel)}
    assert list(found) == [field.name for field in msgspec.structs.fields(channel.settings)]
    telling = re.compile(r"secret$|password|_token$|api_key")
    hidden = [name for name, one in found.items() if telling.search(name) and not one.secret]
    assert not hidden, "a setting of this name is expected to be a Secret"
