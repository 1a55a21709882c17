"""Which of our locations feed which place of a channel, and what is made of places that it fills itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from courier.town import Like, Town, built, play
from onhand.connectors.flow import Flow, Place
from onhand.outward.connecting import Began, begin
from onhand.outward.equipment import Equipment, Refusal
from onhand.settings import Settings
from stores import SqliteDatabases

BOTH = ["one", "two"]
X, Y = Place("a", "x"), Place("b", "y")


@pytest.fixture
def town(tmp_path: Path, sqlite_templates: Path) -> Iterator[Town]:
    """With the locations one and two, one that holds, and one that mirrors."""
    found = Town(SqliteDatabases(tmp_path, sqlite_templates).copy(built))
    yield found
    found.store.close()


def connected(
    town: Town, where: Path, places: Sequence[Place], feeds: Mapping[str, Sequence[str]] | None = None
) -> Began:
    """A new connection to a channel with these places."""

    def located(settings: Any) -> Flow[list[Place]]:
        yield from ()
        return list(places)

    made: list[Began] = []

    async def story(town: Town) -> None:
        town.stall.token = "t9"
        settings = Settings(secret_key_file=str(where / "key"))
        modules: list[Any] = [Like(places=located, locations=True)]
        equipment = Equipment(town.inventory, settings, modules=modules, transport=town.stall)
        given = {"token": "t9", "refresh": "r9"}
        made.append(await begin(equipment, 1, "bazaar", given, name="shop", feeds=feeds))

    play(town, story)
    return made[0]


@pytest.mark.parametrize(
    ("places", "feeds", "fed", "unfed"),
    [
        pytest.param([], None, {"": BOTH}, [], id="none"),
        pytest.param([X], None, {"x": BOTH}, [], id="one"),
        pytest.param([X, Place("b", " ONE ")], None, {" ONE ": ["one"]}, ["two"], id="one of a name"),
        pytest.param(
            [Place("b", "Two"), Place("a", "one")], None, {"Two": ["two"], "one": ["one"]}, [], id="all"
        ),
        pytest.param([X, Place("b", "y", default=True)], None, {"y": BOTH}, [], id="the default one"),
        pytest.param([X, Y], None, {"x": BOTH}, [], id="no default: the first"),
        pytest.param([X, Y], {"y": ["two"]}, {"y": ["two"]}, ["one"], id="as a person says, by name"),
        pytest.param([X, Y], {"b": ["two", "one"]}, {"y": ["two", "one"]}, [], id="and by id"),
        pytest.param([], {"": ["two"]}, {"": ["two"]}, ["one"], id="where there is none"),
    ],
)
def test_which_locations_feed_which_place(
    town: Town,
    tmp_path: Path,
    places: Sequence[Place],
    feeds: Mapping[str, Sequence[str]] | None,
    fed: dict[str, list[str]],
    unfed: list[str],
) -> None:
    made = connected(town, tmp_path, places, feeds)
    assert (made.feeds, made.unfed, made.mirrored) == (fed, unfed, [])


@pytest.mark.parametrize("feeds", [{"z": ["one"]}, {"x": ["bad"]}, {"": ["one"]}])
def test_what_is_not_there_feeds_nothing(town: Town, tmp_path: Path, feeds: dict[str, list[str]]) -> None:
    with pytest.raises(Refusal, match="there is no"):
        connected(town, tmp_path, [X, Y], feeds)
    assert town.sql("SELECT COUNT(*) FROM connections") == [(1,)], "nothing is left behind"


def test_a_place_of_the_channel_is_mirrored(town: Town, tmp_path: Path) -> None:
    made = connected(town, tmp_path, [X, Place("f", "their warehouse", ours=False)])
    assert (made.feeds, made.mirrored) == ({"x": BOTH}, ["their warehouse"])
    mirrors = town.sql(
        "SELECT l.name FROM locations l JOIN external_ids e ON e.account = l.account"
        f" AND e.internal = CAST(l.id AS TEXT) AND e.space = 'connection:{made.connection}'"
        " AND e.external = 'f' WHERE l.kind = 'mirrored'"
    )
    assert mirrors == [("shop: their warehouse",)]
