"""The contracts are written so that generators of clients understand all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from onhand.faces import FACES
from onhand.pages import contract

NESTED = ("oneOf", "anyOf", "allOf")
CHOICES = ("oneOf", "anyOf")
INT32, LARGEST = 2**31 - 1, 2**63 - 1


def _schemas(node: Any, where: str = "", *, named: bool = False) -> Iterator[tuple[str, Any]]:
    """Every schema in ``node`` with its place; with ``named`` the node's values are schemas."""
    match node:
        case dict():
            for key, inner in node.items():
                place = f"{where}/{key}"
                if key in ("example", "examples", "default", "const", "enum") and not named:
                    continue
                if named or key in ("schema", "items", "not", "additionalProperties"):
                    yield place, inner
                yield from _schemas(inner, place, named=key in ("schemas", "properties") and not named)
        case list():
            for at, inner in enumerate(node):
                if where.endswith(NESTED):
                    yield f"{where}/{at}", inner
                yield from _schemas(inner, f"{where}/{at}")
        case _:
            pass


def _unclear(place: str, schema: Any) -> str | None:
    """Why a generator makes no client, or a wrong one, of ``schema``."""
    match schema:
        case bool() if not place.endswith("/additionalProperties"):
            return "a schema that is true or false stops generators"
        case {"type": "array"} if "items" not in schema:
            return "a list needs items, if only for what is never in it"
        case {"type": "null"} if "/properties/" in place and not place.rpartition("/")[2].isdigit():
            return "a field of no other type than null stops generators: say const"
        case {"const": bool()} if "/not/" not in place:
            return "a choice by true or false is none for generators"
        case {"properties": _} if any(word in schema for word in CHOICES):
            return "fields beside alternatives are dropped by generators: say what may not be with not"
        case {"oneOf": _, "allOf": _}:
            return "what alternatives have in common is dropped by generators"
        case _:
            return None


def _branches(schema: Any) -> Iterator[str]:
    """The names of the schemas that ``schema`` chooses from."""
    for word in CHOICES:
        for one in schema.get(word, []) if isinstance(schema, dict) else []:
            yield one.get("$ref", "").rpartition("/")[2]


@pytest.mark.parametrize("name", [face.name for face in FACES])
def test_a_generator_understands_the_contract(name: str) -> None:
    found = dict(_schemas(contract(name)))
    assert len(found) > 20
    assert {place: why for place, schema in found.items() if (why := _unclear(place, schema))} == {}
    named: Any = contract(name)["components"]
    chosen = {one for schema in found.values() for one in _branches(schema) if one}
    # What is chosen within a choice is written out as an empty object.
    assert [one for one in chosen if any(word in named["schemas"][one] for word in CHOICES)] == []


def test_large_numbers_fit_into_what_is_generated() -> None:
    """Without a format a whole number is one of 32 bits in Java, C# and Go, and a quantity may be larger."""
    narrow = [
        place
        for place, schema in _schemas(contract("native"))
        if "integer" in (found := _types(schema)) and "string" not in found
        if schema.get("format") != "int64" and schema.get("maximum", LARGEST) > INT32
        if "/not/" not in place and not place.endswith("/status")
    ]
    assert narrow == []


def _types(schema: Any) -> list[str]:
    found = schema.get("type", []) if isinstance(schema, dict) else []
    return [found] if isinstance(found, str) else list(found)


@pytest.mark.parametrize("name", [face.name for face in FACES])
def test_no_type_is_named_like_the_maker_of_another(name: str) -> None:
    """In Go, NewKey makes a Key."""
    document: Any = contract(name)
    known = document["components"]["schemas"]
    assert [one for one in known if "New" + one in known] == []
