"""Settings from a person: from a file, from options, and by asking for what is still missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from onhand.cli import frame
from onhand.connectors.channel import Channel
from onhand.office.people import BadAsk
from onhand.outward import needs
from onhand.outward.needs import Need
from onhand.stock.offering import Rules


def values(channel: Channel, file: Path | None, given: Sequence[str]) -> dict[str, Any]:
    """The settings of a channel as plain values: those in ``file``, those ``given`` as name=value on top.
    Where there is neither and a person is there, each one is asked for. Raises BadAsk."""
    known = {one.name: one for one in needs.needs(channel)}
    found = _read(file) if file is not None else {}
    said = _said(given)
    for name in (*found, *said):
        if name not in known:
            raise BadAsk(f"{channel.title} has no setting {name!r}: {', '.join(known)}")
    found |= {name: needs.typed(known[name], text) for name, text in said.items()}
    if file is None and not given and sys.stdin.isatty():
        return _asked(channel, list(known.values()))
    missing = [one.name for one in known.values() if one.required and one.name not in found]
    if missing:
        raise BadAsk(f"{channel.title} needs {', '.join(missing)}: --set name=value, or --settings FILE")
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadAsk(f"{file} is not JSON") from error
    if not isinstance(found, dict):
        raise BadAsk(f"{file} holds no JSON object")
    return found


def _text(text: str) -> str:
    """``@FILE`` is what stands in a file, so that a secret need not be typed where others can read it."""
    return Path(text[1:]).read_text(encoding="utf-8").strip() if text.startswith("@") else text


def _asked(channel: Channel, wanted: Sequence[Need]) -> dict[str, Any]:
    frame.say(f"{channel.title}: {channel.version} ({channel.auth})")
    frame.say(needs.words(channel))
    frame.say("Enter skips what is not required.\n")
    found: dict[str, Any] = {}
    for one in wanted:
        if one.ours:
            continue
        words = one.name + (f" ({' or '.join(one.choices)})" if one.choices else "")
        words += "" if one.required else " [optional]"
        text = typer.prompt(
            words, default=None if one.required else "", hide_input=one.secret, show_default=False, err=True
        )
        if text:
            found[one.name] = needs.typed(one, text)
    return found


def pairs(given: Sequence[str], *, plain: bool = False) -> dict[str, Any]:
    """``name=value`` words; values are JSON where they can be, unless ``plain``. Raises BadAsk."""
    found: dict[str, Any] = {}
    for name, text in _said(given).items():
        try:
            found[name] = text if plain else json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _said(given: Sequence[str]) -> dict[str, str]:
    """``name=value`` words, apart."""
    found: dict[str, str] = {}
    for words in given:
        name, equals, text = words.partition("=")
        if not name or not equals:
            raise BadAsk(f"{words!r} is not like name=value")
        found[name] = _text(text)
    return found


def rules(given: Sequence[str], unset: Sequence[str] = ()) -> dict[str, Any]:
    """Rules from ``name=value`` words. Raises BadAsk, for the name of one that is to be dropped as well."""
    found = pairs(given)
    for name in (*found, *unset):
        if name not in Rules.__struct_fields__:
            raise BadAsk(f"there is no rule {name!r}: {', '.join(Rules.__struct_fields__)}")
    return found


def feeds(given: Sequence[str]) -> dict[str, list[str]]:
    """``ours=theirs`` words as theirs to ours, in order. Raises BadAsk."""
    found: dict[str, list[str]] = {}
    for words in given:
        ours, equals, theirs = words.partition("=")
        if not ours or not equals:
            raise BadAsk(f"{words!r} is not like ours=theirs")
        found.setdefault(theirs, []).append(ours)
    return found


def agree(question: str, option: str) -> None:
    """Ask a person to agree. Raises BadAsk when nobody is there to ask, and when they do not."""
    if not sys.stdin.isatty():
        raise BadAsk(f"nothing was done: say {option} where nobody can be asked")
    if not typer.confirm(question, err=True):
        raise BadAsk("nothing was done")
