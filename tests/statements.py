"""Every statement that the program has: they are values, and so can be looked at without being run."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import onhand as package
from onhand.store.packed import Packed
from onhand.store.sql import Insert, Statement


class Said(NamedTuple):
    """A statement as PostgreSQL gets it, and the names of its parameters in their order."""

    name: str
    text: str
    names: tuple[str, ...]


def inside(one: Any) -> Any:
    """The statement that a value of any of the three kinds runs on PostgreSQL."""
    match one:
        case Insert():
            return one._array
        case Packed():
            return one._statement
        case _:
            return one


def statements() -> Iterator[Said]:
    """Every statement that the program has, as a value somewhere in its modules."""
    seen = set[int]()
    for found in pkgutil.walk_packages(package.__path__, "onhand."):
        if "migrations" in found.name or found.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            inner = (
                value.values()
                if isinstance(value, dict)
                else value
                if isinstance(value, list | tuple)
                else ()
            )
            for one in (value, *inner):
                if isinstance(one, Statement | Insert | Packed) and id(one) not in seen:
                    seen.add(id(one))
                    kept = inside(one)
                    yield Said(f"{found.name.removeprefix('onhand.')}.{name}", *kept._texts["postgresql"])


STATEMENTS = list(statements())
