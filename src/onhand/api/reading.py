"""Reads bodies into their shapes: most of them in one step, whatever is out of the ordinary in several."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import NODEFAULT, inspect

from onhand import wire
from onhand.api.schema import convert, decode

_BACKSLASH = ord("\\")

S = TypeVar("S", bound=msgspec.Struct)


def read(raw: bytes, kind: type[S]) -> S:
    """``raw`` as this shape: what `convert` makes of what `decode` makes of it. Raises what they raise.

    A body without escapes is decoded into its shape at once. Of two equal keys the decoder keeps the last
    without a word, so what it has found is written again, without what nobody said: then it must have as many
    colons as ``raw``. If it has not, or if anything else is wrong, the long way says what.
    """
    at_once = decoder(kind)
    if at_once is not None and raw.isascii() and _BACKSLASH not in raw:
        try:
            found: S = at_once(raw)
        except msgspec.DecodeError:
            return convert(decode(raw), kind)
        if wire.encode(found).count(b":") == raw.count(b":"):
            return found
    return convert(decode(raw), kind)


@cache
def decoder(kind: type[msgspec.Struct]) -> Callable[[bytes], Any] | None:
    """The decoder of a shape that admits nothing which `wire.decode` refuses but equal keys; else None."""
    return msgspec.json.Decoder(kind).decode if _strict(inspect.type_info(kind)) else None


def _strict(found: inspect.Type) -> bool:
    match found:
        case inspect.StructType():
            config = found.cls.__struct_config__
            return (
                config.forbid_unknown_fields
                and config.omit_defaults
                and all(one.default_factory is NODEFAULT and _strict(one.type) for one in found.fields)
            )
        case inspect.ListType():
            return _strict(found.item_type)
        case inspect.UnionType():
            return all(_strict(one) for one in found.types)
        case inspect.IntType():
            # Then none has more digits than `wire.decode` lets a number have.
            return found.ge is not None and found.le is not None
        case inspect.StrType() | inspect.BoolType() | inspect.NoneType():
            return True
        case inspect.EnumType() | inspect.LiteralType():
            return True
        case _:
            # Any, a mapping and the like may hold levels without end, a number with a fraction any digits.
            return False
