"""What a channel needs to be connected, read from the type of its settings."""

from __future__ import annotations

import inspect
import json
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from onhand.connectors.channel import Channel, Secret


class Need(NamedTuple):
    """A setting of a channel: ``kind`` is text, number, choice or structure; ``ours`` ones the hub fills in
    by itself; ``choices`` are the words that may stand there."""

    name: str
    required: bool
    secret: bool
    kind: str
    ours: bool
    choices: tuple[str, ...] = ()


OURS = frozenset({"expires_at", "public_keys"})
"""Settings that nobody is asked for: they come with the channel's own answers."""


def needs(channel: Channel) -> list[Need]:
    """What a channel needs to be connected, in the order of its settings."""
    return [_need(field) for field in msgspec.structs.fields(channel.settings)]


def words(channel: Channel) -> str:
    """What its settings mean, from the type's own description, for people."""
    return (inspect.getdoc(channel.settings) or "").replace("``", "'")


def _need(field: msgspec.structs.FieldInfo) -> Need:
    kinds = _kinds(field.type)
    choices = tuple(str(one) for kind in kinds for one in getattr(kind, "__args__", ()) if _literal(kind))
    if Secret in kinds or str in kinds:
        shape = "text"
    elif choices:
        shape = "choice"
    else:
        shape = "number" if {int, bool, float} & set(kinds) else "structure"
    return Need(field.name, field.required, Secret in kinds, shape, field.name in OURS, choices)


def _kinds(found: Any) -> list[Any]:
    """The types of a union, without what is annotated to them."""
    if get_origin(found) in (Union, UnionType):
        return [kind for one in get_args(found) for kind in _kinds(one)]
    return _kinds(get_args(found)[0]) if get_origin(found) is Annotated else [found]


def _literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def typed(need: Need, text: str) -> Any:
    """What a person wrote, as the setting wants it."""
    if need.kind in ("text", "choice"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return [part.strip() for part in text.split(",")] if need.kind == "structure" else text
