"""The documents about channels say what the connectors say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from onhand import connectors
from onhand.connectors import kind
from onhand.connectors.channel import Meaning
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


NAMED: list[tuple[str, str, Callable[[Kind], object]]] = [
    (
        "orders.md",
        r"counts its own open orders \(([^)]*)\)",
        lambda one: one.CHANNEL.meaning is Meaning.GROSS,
    ),
    ("orders.md", r"Where a channel can do that \(([^)]*)\)", kind.rereads),
    ("channels.md", r"shows single listings \(([^)]*) so far\)", kind.looks),
]
"""Where a page names the channels that do something, and what says of a connector that its channel does."""


@pytest.mark.parametrize(("page", "words", "does"), NAMED)
def test_the_channels_that_a_page_names_are_those_that_do_it(
    page: str, words: str, does: Callable[[Kind], object]
) -> None:
    (names,) = re.findall(words, (DOCS / page).read_text(encoding="utf-8"))
    wanted = {one.CHANNEL.title.partition(" / ")[0] for one in connectors.ALL if does(one)}
    assert set(re.split(", | and ", names)) == wanted


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
